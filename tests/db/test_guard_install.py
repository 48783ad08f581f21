"""Installing guards: repeated, replaced, removed, under other modes, names and accounts."""

from contextlib import closing
from dataclasses import replace
from threading import Event, Thread

import pytest

from guarding import (
    app_connection,
    control_of,
    execute,
    guard_all,
    guarded,
    keys_in,
    refusal,
    ring_mapping,
    set_up,
    slot_mapping,
)
from server_software import is_mysql, mariadb_only
from servers import MySQLFleet, Server
from shardhash.db import guard
from shardhash.db.connections import SessionSettings
from shardhash.db.planning.privileges import OPERATIONS
from shardhash.db.sql import GuardEvent, SlotState
from shardhash.errors import AccessDeniedError, PreflightError, WrongShardError
from shardhash.slots import SlotSet

MINE, FENCED, THEIRS = (keys_in(slot)[0] for slot in (0, 1, 2))
PATIENT = SessionSettings(lock_wait_s=120)
HOSTILE_MODE = (
    "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,PIPES_AS_CONCAT,IGNORE_SPACE,"
    "HIGH_NOT_PRECEDENCE,NO_UNSIGNED_SUBTRACTION,REAL_AS_FLOAT"
) + ("" if is_mysql() else ",SIMULTANEOUS_ASSIGNMENT")
OTHER_MODES = [
    pytest.param(mode, marks=mariadb_only(f"sql_mode of {mode}")) for mode in ("ORACLE", "MSSQL")
]


def triggers(fleet):
    if fleet.kind == "sqlite":
        return dict(fleet.sql("s1", "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    return {
        name: (created, text)
        for name, created, text in fleet.sql(
            "s1",
            "SELECT TRIGGER_NAME, CREATED, ACTION_STATEMENT FROM information_schema.TRIGGERS"
            " WHERE TRIGGER_SCHEMA = DATABASE()",
        )
    }


def faults(fleet, mapping=None):
    mapping = mapping or slot_mapping()
    with control_of(fleet, "s1") as (connection, place):
        tables = guarded(connection, place, mapping)
        return guard.find_guard_faults(connection, place, mapping, tables)


def install(fleet, mapping=None, **options):
    mapping = mapping or slot_mapping()
    with control_of(fleet, "s1", session=PATIENT) as (connection, place):
        tables = guarded(connection, place, mapping)
        connection.rollback()
        guard.install_guards(connection, place, mapping, tables, **options)
        connection.commit()


@pytest.fixture
def shard(backend):
    set_up(backend, "s1")
    return backend


def test_guards_that_are_right_stay(shard):
    before = triggers(shard)

    install(shard)

    assert len(before) == 3
    assert triggers(shard) == before
    assert faults(shard) == []


def test_a_guard_that_is_missing_is_found_and_made_again(shard):
    with closing(app_connection(shard, "s1")) as app:
        execute(app, "DROP TRIGGER _shardhash_guard_update1_orders")
    assert [(fault.table, fault.event, fault.problem) for fault in faults(shard)] == [
        ("orders", GuardEvent.UPDATE, "is missing")
    ]

    install(shard)
    assert faults(shard) == []


def test_a_guard_of_another_mapping_is_replaced(shard):
    other = slot_mapping(slot_count=32)
    assert len(faults(shard, other)) == 3

    install(shard, other)

    assert faults(shard, other) == []
    assert set(triggers(shard)) == {
        f"_shardhash_guard_{event}2_orders" for event in ("insert", "update", "delete")
    }
    install(shard)
    assert faults(shard) == []


def test_two_guards_for_one_event_become_one(shard):
    names = ("_shardhash_guard_insert1_orders", "_shardhash_guard_insert2_orders")
    with closing(app_connection(shard, "s1")) as app:
        if shard.kind == "sqlite":
            [(text,)] = execute(app, "SELECT sql FROM sqlite_master WHERE name = %s", names[:1])
        else:
            text = execute(app, f"SHOW CREATE TRIGGER {names[0]}")[0][2]
        execute(app, text.replace(*names))
    assert [fault.event for fault in faults(shard)] == [GuardEvent.INSERT]

    install(shard)
    assert faults(shard) == []
    assert len(triggers(shard)) == 3


def test_removed_guards_let_everything_through(shard):
    with control_of(shard, "s1") as (connection, place):
        with pytest.raises(PreflightError, match="3 guards need them, on orders"):
            guard.drop_control(connection, place)
        guard.remove_guards(connection, place, ["orders", "no_such_table"])
        guard.remove_guards(connection, place, ["orders"])
        guard.drop_control(connection, place)
        guard.remove_guards(connection, place, ["orders"])
        connection.commit()

    with closing(app_connection(shard, "s1")) as app:
        execute(app, f"INSERT INTO orders VALUES (1, {THEIRS}, 1), (2, NULL, 1)")


def test_a_replaced_guard_leaves_no_moment_without(shard):
    stop = Event()
    landed = []

    def write():
        with closing(app_connection(shard, "s1")) as app:
            while not stop.wait(0.001):
                try:
                    execute(app, f"INSERT INTO orders VALUES (1, {THEIRS}, 1)")
                    landed.append(1)
                except Exception:
                    continue

    writers = [Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        for slot_count in (16, 8, 4) * 3:
            install(shard, slot_mapping(slot_count=slot_count))
    finally:
        stop.set()
        for writer in writers:
            writer.join()

    assert landed == []


def test_a_crash_between_new_and_old_guard_is_mended(mysql_fleet):
    set_up(mysql_fleet, "s1")
    other = slot_mapping(slot_count=8)
    with control_of(mysql_fleet, "s1") as (connection, place):
        [table] = guarded(connection, place, other)
        guard.install_guards(connection, place, other, [table])
        connection.exec_driver_sql("DROP TRIGGER _shardhash_guard_insert2_orders")
    install(mysql_fleet)

    assert faults(mysql_fleet) == []


def test_long_names_and_names_alike_are_guarded(backend):
    tables = ("t" * 64, "t" * 63 + "u", "u" * 63)
    mapping = slot_mapping(tables=tables)
    set_up(
        backend,
        "s1",
        *(f"CREATE TABLE {table} (id INT PRIMARY KEY, k INT)" for table in tables),
        mapping=mapping,
    )

    assert faults(backend, mapping) == []
    assert len(triggers(backend)) == 9
    with closing(app_connection(backend, "s1")) as app:
        for table in tables:
            execute(app, f"INSERT INTO {table} VALUES (1, {MINE})")
            refused = refusal(app, f"INSERT INTO {table} VALUES (2, {THEIRS})")
            assert isinstance(refused, WrongShardError)
    with control_of(backend, "s1") as (connection, place):
        guard.remove_guards(connection, place, tables[:1])
        connection.commit()
    assert {fault.table for fault in faults(backend, mapping)} == {tables[0]}


def test_tables_that_differ_in_case_have_guards_of_their_own(mysql_fleet):
    mapping = slot_mapping(tables=("Orders", "orders"))
    statements = [
        f"CREATE TABLE {name} (id INT PRIMARY KEY, k INT)" for name in ("Orders", "orders")
    ]
    set_up(mysql_fleet, "s1", *statements, mapping=mapping)

    with control_of(mysql_fleet, "s1") as (connection, place):
        guard.remove_guards(connection, place, ["Orders"])

    assert {fault.table for fault in faults(mysql_fleet, mapping)} == {"Orders"}


def test_names_with_quotes_and_percent_signs_are_guarded(backend):
    table, column = 'it\'s `50%` "x"', "the `key` 100%"
    mapping = slot_mapping("str", column=column, tables=(table,))
    mark = '"' if backend.kind == "sqlite" else "`"
    shown, key = (mark + name.replace(mark, 2 * mark) + mark for name in (table, column))
    type_ = "TEXT" if backend.kind == "sqlite" else "VARCHAR(20)"
    backend.add("s1")
    with closing(app_connection(backend, "s1")) as app:
        execute(app, f"CREATE TABLE {shown} (id INT PRIMARY KEY, {key} {type_}, v INT)")
        guard_all(backend, mapping, 16, owned=SlotSet([0]))
        execute(app, f"INSERT INTO {shown} VALUES (1, '{MINE}', 1)")
        refused = refusal(app, f"INSERT INTO {shown} VALUES (2, '{THEIRS}', 1)")
        assert isinstance(refused, WrongShardError)
        execute(app, f"UPDATE {shown} SET v = 2")
        assert "change of" in str(refusal(app, f"UPDATE {shown} SET {key} = 'x'"))

    assert faults(backend, mapping) == []


@pytest.mark.parametrize("mode", ["", HOSTILE_MODE, *OTHER_MODES, "TRADITIONAL"])
def test_guards_hold_whatever_the_modes_of_who_makes_them_and_of_who_writes(mysql_fleet, mode):
    mysql_fleet.add("s1")
    mysql_fleet.sql("s1", "CREATE TABLE orders (id INT PRIMARY KEY, k CHAR(20), v INT)")
    mapping = slot_mapping("str")
    with control_of(mysql_fleet, "s1", session=SessionSettings(sql_mode=mode)) as (made, place):
        before = made.exec_driver_sql("SELECT @@sql_mode").scalar_one()
        guard.fill_slots(made, place, "by_key", 16, SlotSet([0]))
        guard.install_guards(made, place, mapping, guarded(made, place, mapping))
        made.commit()
        assert made.exec_driver_sql("SELECT @@sql_mode").scalar_one() == before

    assert faults(mysql_fleet, mapping) == []
    with closing(app_connection(mysql_fleet, "s1")) as app:
        execute(app, "SET SESSION sql_mode = %s", [mode])
        execute(app, "SET NAMES latin1 COLLATE latin1_german2_ci")
        execute(app, f"INSERT INTO orders VALUES (1, '{MINE}', 1)")
        execute(app, "UPDATE orders SET v = 2")
        assert refusal(app, f"INSERT INTO orders VALUES (2, '{THEIRS}', 1)").state == "foreign"
        assert "change of" in str(refusal(app, f"UPDATE orders SET k = '{keys_in(0)[1]}'"))
        execute(app, "DELETE FROM orders")


@pytest.mark.parametrize("charset", ["latin1", "utf8mb3", "ucs2", "utf32", "cp1250", "binary"])
def test_guards_hold_whatever_the_databases_charset(mysql_fleet, charset):
    mysql_fleet.add("s1")
    mysql_fleet.sql("s1", f"ALTER DATABASE CHARACTER SET {charset}")
    mysql_fleet.sql("s1", "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    guard_all(mysql_fleet, slot_mapping(), 16, owned=SlotSet([0]))

    with closing(app_connection(mysql_fleet, "s1")) as app:
        execute(app, f"INSERT INTO orders VALUES (1, {MINE})")
        error = refusal(app, f"INSERT INTO orders VALUES (2, {THEIRS})")
    assert (error.mapping, error.slot, error.state) == ("by_key", 2, "foreign")


def test_the_longest_mapping_name_fits_into_the_message(mysql_fleet):
    mapping = replace(slot_mapping(slot_count=65_536), name="m" * 63)
    mysql_fleet.add("s1")
    mysql_fleet.sql("s1", "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    guard_all(mysql_fleet, mapping, 65_536)

    key = keys_in(65_535, 1, 65_536)[0]
    with closing(app_connection(mysql_fleet, "s1")) as app:
        error = refusal(app, f"INSERT INTO orders VALUES (1, {key})")
        assert (error.mapping, error.slot, error.state) == ("m" * 63, 65_535, "foreign")
        assert "takes no row without" in str(refusal(app, "INSERT INTO orders VALUES (1, NULL)"))


def test_triggers_of_the_user_stay_and_cannot_get_around_the_guard(mysql_fleet):
    mysql_fleet.add("s1")
    mysql_fleet.sql("s1", "CREATE TABLE orders (id INT PRIMARY KEY, k INT, v INT)")
    mysql_fleet.sql("s1", "CREATE TABLE log (id INT)")
    head = "CREATE TRIGGER {} ON orders FOR EACH ROW "
    mysql_fleet.sql("s1", head.format("earlier AFTER INSERT") + "INSERT INTO log VALUES (1)")
    guard_all(mysql_fleet, slot_mapping(), 16, owned=SlotSet([0]))
    rewrite = f"SET NEW.k = IF(NEW.v = 7, {THEIRS}, NEW.k)"
    mysql_fleet.sql("s1", head.format("later BEFORE INSERT") + rewrite)
    mysql_fleet.sql("s1", head.format("update_later BEFORE UPDATE") + rewrite)

    with closing(app_connection(mysql_fleet, "s1")) as app:
        execute(app, f"INSERT INTO orders VALUES (1, {MINE}, 1)")
        error = refusal(app, f"INSERT INTO orders VALUES (2, {MINE}, 7)")
        assert (error.slot, error.state) == (2, "foreign")
        assert "change of" in str(refusal(app, "UPDATE orders SET v = 7"))

    assert mysql_fleet.sql("s1", "SELECT id, k FROM orders") == [(1, MINE)]
    assert mysql_fleet.sql("s1", "SELECT COUNT(*) FROM log") == [(1,)]
    assert {"earlier", "later", "update_later"} < set(triggers(mysql_fleet))


def test_a_table_that_cannot_be_guarded_is_refused(mysql_fleet):
    mysql_fleet.add("s1")
    mysql_fleet.sql("s1", "CREATE TABLE orders (id INT PRIMARY KEY, k INT) ENGINE=MyISAM")
    with pytest.raises(PreflightError, match="a table without transactions"):
        guard_all(mysql_fleet, slot_mapping(), 16)
    mysql_fleet.sql("s1", "RENAME TABLE orders TO old")
    mysql_fleet.sql("s1", "CREATE VIEW orders AS SELECT * FROM old")
    with pytest.raises(PreflightError, match="is a view"):
        guard_all(mysql_fleet, slot_mapping(), 16)


def test_a_ring_is_refused(shard):
    with control_of(shard, "s1") as (connection, place):
        tables = guarded(connection, place, slot_mapping())
        with pytest.raises(PreflightError, match="is by a ring"):
            guard.install_guards(connection, place, ring_mapping(), tables)


def test_a_dropped_definer_is_told(mysql_fleet):
    set_up(mysql_fleet, "s1")
    server = mysql_fleet.server("s1")
    database = mysql_fleet.database("s1")
    name = f"definer_{database[:10]}"
    account = f"{name}@'%'"
    server.sql(f"CREATE USER {account} ACCOUNT LOCK")
    server.sql(f"GRANT SELECT, TRIGGER ON {database}.* TO {account}")
    server.sql(f"GRANT SELECT, UPDATE ON {database}_shardhash.* TO {account}")
    try:
        install(mysql_fleet, definer=(name, "%"))
        assert faults(mysql_fleet) == []
        with closing(app_connection(mysql_fleet, "s1")) as app:
            execute(app, f"INSERT INTO orders VALUES (1, {MINE}, 1)")
            assert refusal(app, f"INSERT INTO orders VALUES (2, {THEIRS}, 1)").state == "foreign"
    finally:
        server.sql(f"DROP USER {account}")

    problem = f"runs as {name}@%, an account that does not exist: every write fails (1449)"
    assert [fault.problem for fault in faults(mysql_fleet)] == [problem] * 3
    with closing(app_connection(mysql_fleet, "s1")) as app:
        error = refusal(app, f"INSERT INTO orders VALUES (2, {MINE}, 1)")
        assert "1449" in str(error)
        assert "install the guards anew" in error.next_step
    install(mysql_fleet, definer=("root", "localhost"))
    assert faults(mysql_fleet) == []


@pytest.fixture
def limited(mysql_fleet):
    """Yield a function that makes an account with some privileges, and a fleet as that account."""
    made = []

    def make(shard_privileges, control_privileges):
        database, server = mysql_fleet.database("s1"), mysql_fleet.server("s1")
        account = f"limited_{database[:10]}"
        server.sql(f"CREATE USER {account}@'%'")
        made.append((server, account))
        pairs = ((database, shard_privileges), (f"{database}_shardhash", control_privileges))
        for name, privileges in pairs:
            if privileges:
                escaped = name.replace("_", r"\_")
                server.sql(f"GRANT {', '.join(privileges)} ON `{escaped}`.* TO {account}@'%'")

        plain = {n: replace_user(s, account) for n, s in mysql_fleet.servers.items()}
        return MySQLFleet(mysql_fleet.directory, mysql_fleet._places, servers=plain)

    def replace_user(server, account):

        return Server(host=server.host, port=server.port, user=account)

    yield make
    for server, account in made:
        server.sql(f"DROP USER {account}@'%'")


def test_the_privileges_of_guard_are_enough_and_each_is_needed(mysql_fleet, limited):
    mysql_fleet.add("s1")
    mysql_fleet.sql("s1", "CREATE TABLE orders (id INT PRIMARY KEY, k INT, v INT)")
    needs = OPERATIONS["guard"]
    operator = limited(sorted(needs.shard), sorted(needs.control))

    guard_all(operator, slot_mapping(), 16, owned=SlotSet([0]))
    assert faults(operator) == []
    with closing(app_connection(mysql_fleet, "s1")) as app:
        execute(app, f"INSERT INTO orders VALUES (1, {MINE}, 1)")
        execute(app, "UPDATE orders SET v = 2")
        execute(app, "DELETE FROM orders")
    with control_of(operator, "s1") as (connection, place):
        guard.set_slots(
            connection, place, "by_key", SlotSet([0]), SlotState.FENCED, among=[SlotState.OWNED]
        )
        guard.remove_guards(connection, place, ["orders"])
        guard.drop_slots(connection, place, "by_key")
        guard.drop_control(connection, place)


@pytest.mark.parametrize("privilege", sorted(OPERATIONS["guard"].shard))
def test_without_a_privilege_on_the_shard_no_guard_works(mysql_fleet, limited, privilege):
    mysql_fleet.add("s1")
    mysql_fleet.sql("s1", "CREATE TABLE orders (id INT PRIMARY KEY, k INT, v INT)")
    needs = OPERATIONS["guard"]
    operator = limited(sorted(needs.shard - {privilege}), sorted(needs.control))

    with pytest.raises((AccessDeniedError, PreflightError)):
        guard_all(operator, slot_mapping(), 16, owned=SlotSet([0]))
    assert not triggers(mysql_fleet)


def test_the_application_can_write_its_rows_and_not_the_states(mysql_fleet, limited):
    set_up(mysql_fleet, "s1")
    app_fleet = limited(["SELECT", "INSERT", "UPDATE", "DELETE"], [])
    schema = f"{mysql_fleet.database('s1')}_shardhash"

    with closing(app_connection(app_fleet, "s1")) as app:
        execute(app, f"INSERT INTO orders VALUES (1, {MINE}, 1)")
        assert refusal(app, f"INSERT INTO orders VALUES (2, {THEIRS}, 1)").state == "foreign"
        for statement in (
            f"UPDATE {schema}._shardhash_slots SET state = 'owned'",
            f"INSERT INTO {schema}._shardhash_pass VALUES ('x', 'y')",
            f"SELECT * FROM {schema}._shardhash_pass",
            "DROP TRIGGER _shardhash_guard_insert1_orders",
        ):
            assert isinstance(refusal(app, statement), AccessDeniedError)


def test_an_operator_who_may_not_see_accounts_is_told_of_no_dropped_ones(mysql_fleet, limited):
    set_up(mysql_fleet, "s1")
    needs = OPERATIONS["guard"]

    assert faults(limited(sorted(needs.shard), sorted(needs.control))) == []
