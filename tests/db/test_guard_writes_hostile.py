"""Clients, sessions and schemas that could get a write past a guard, and what happens to them."""

import shutil
import subprocess
from contextlib import closing

import pytest

from guarding import (
    TOKEN,
    app_connection,
    change_state,
    control_of,
    execute,
    guard_all,
    keys_in,
    refusal,
    set_up,
    slot_mapping,
)
from managers import manager_of
from server_software import deadline_variable, is_mysql
from shardhash.db import guard
from shardhash.db.connections import SessionSettings
from shardhash.db.sql import SlotState
from shardhash.errors import DatabaseError, WrongShardError
from shardhash.slots import SlotSet

MINE, FENCED, THEIRS = (keys_in(slot)[0] for slot in (0, 1, 2))
WRITE = f"INSERT INTO orders VALUES (9, {THEIRS}, 1)"


@pytest.fixture
def shard(backend):
    set_up(backend, "s1")
    return backend


def schema_of(fleet):
    return "" if fleet.kind == "sqlite" else f"{fleet.database('s1')}_shardhash."


def test_the_pass_of_a_running_operation_writes_and_ends_with_it(shard):
    with control_of(shard, "s1") as (connection, place):
        guard.add_pass(connection, place, "op", TOKEN)
        connection.commit()
        guard.use_pass(connection, place.backend, TOKEN)
        connection.exec_driver_sql(f"INSERT INTO orders VALUES (1, {THEIRS}, 1), (2, NULL, 1)")
        connection.exec_driver_sql("UPDATE orders SET k = 1, v = 3")
        connection.exec_driver_sql("DELETE FROM orders WHERE id = 1")
        connection.commit()

        guard.remove_pass(connection, place, "op")
        connection.commit()
        with pytest.raises(Exception, match="by_key slot"):
            connection.exec_driver_sql(WRITE)


def test_a_pass_that_is_taken_back_does_not_go_on_in_the_pool(shard):
    with manager_of(shard, max_connections=1) as manager:
        with manager.write("s1") as connection, connection.begin():
            place = guard.ControlPlace(manager.backend("s1"), shard.database("s1"))
            guard.add_pass(connection, place, "op", TOKEN)
            guard.use_pass(connection, place.backend, TOKEN)
            guard.use_pass(connection, place.backend, None)
        with pytest.raises(WrongShardError), manager.write("s1") as connection:
            connection.exec_driver_sql(WRITE)


def test_a_pass_ends_only_after_the_writes_that_used_it(mysql_fleet):
    set_up(mysql_fleet, "s1")
    mysql_fleet.sql("s1", f"INSERT INTO orders VALUES (1, {MINE}, 1)")
    session = SessionSettings(lock_wait_s=1)
    with control_of(mysql_fleet, "s1", session=session) as (connection, place):
        guard.add_pass(connection, place, "op", TOKEN)
        connection.commit()
        with closing(app_connection(mysql_fleet, "s1", autocommit=False)) as tool:
            execute(tool, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            execute(tool, "SET @shardhash_pass = %s", [TOKEN])
            execute(tool, "UPDATE orders SET k = 1")

            with pytest.raises(Exception, match="Lock wait timeout"):
                guard.remove_pass(connection, place, "op")
            connection.rollback()
            tool.commit()
            guard.remove_pass(connection, place, "op")


def test_a_pass_is_seen_by_a_transaction_that_began_before_it(mysql_fleet):
    set_up(mysql_fleet, "s1")
    with control_of(mysql_fleet, "s1") as (connection, place):
        connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        with manager_of(mysql_fleet) as other, other.write("s1") as adding, adding.begin():
            guard.add_pass(adding, place, "op", TOKEN)
        guard.use_pass(connection, place.backend, TOKEN)
        connection.exec_driver_sql(WRITE)


@pytest.mark.parametrize(
    "value", ["'x'", "1", "''", "x'00'", "1.5", "NULL", "SHA2('x', 256)", "REPEAT('x', 100000)"]
)
def test_a_forged_variable_does_not_get_past_the_guard(mysql_fleet, value):
    set_up(mysql_fleet, "s1")
    with control_of(mysql_fleet, "s1") as (connection, place):
        guard.add_pass(connection, place, "op", TOKEN)
        connection.commit()

    with closing(app_connection(mysql_fleet, "s1")) as app:
        execute(app, f"SET @shardhash_pass = {value}")
        assert refusal(app, WRITE).state == "foreign"
        stored = f"(SELECT hash FROM {schema_of(mysql_fleet)}_shardhash_pass)"
        for form in (stored, f"HEX({stored})", f"LOWER(HEX({stored}))"):
            execute(app, f"SET @shardhash_pass = {form}")
            error = refusal(app, WRITE)
            is_of_type = is_mysql() and "(1366)" in str(error)  # a number became a text
            assert is_of_type or error.state == "foreign"


def test_an_anonymous_account_does_not_get_past_the_guard(start_server, tmp_path):
    from servers import MySQLFleet, Server

    server = start_server()
    fleet = MySQLFleet(tmp_path, servers={"a": server})
    set_up(fleet, "s1")
    server.sql("CREATE USER ''@'%'")
    server.sql(f"GRANT ALL ON {fleet.database('s1')}.* TO ''@'%'")
    forged = Server(host=server.host, port=server.port, user="shardhash")

    with closing(forged.connect(fleet.database("s1"))) as app:
        assert execute(app, "SELECT USER() LIKE 'shardhash@%%', CURRENT_USER()")[0][1] == "@%"
        assert refusal(app, WRITE).state == "foreign"


def test_the_plain_client_is_refused_by_the_database(mysql_fleet):
    set_up(mysql_fleet, "s1")
    server = mysql_fleet.server("s1")
    client = shutil.which("mariadb") or shutil.which("mysql")
    assert client, "the server's package brings its client"
    command = [client, "--no-defaults", f"--host={server.host}", f"--port={server.port}"]
    command += [f"--user={server.user}", "--protocol=TCP", "--skip-ssl"]
    environment = {"MYSQL_PWD": server.password}

    done = subprocess.run(
        [*command, mysql_fleet.database("s1"), "-e", WRITE],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "ERROR 1644 (45000)" in done.stderr
    assert "shardhash: by_key slot 2 is foreign here; reload the map" in done.stderr


def test_a_sqlite_client_without_the_functions_cannot_write(sqlite_fleet):
    set_up(sqlite_fleet, "s1")
    with closing(sqlite_fleet.connect("s1")) as app:
        for statement in (WRITE, f"INSERT INTO orders VALUES (1, {MINE}, 1)", "DELETE FROM orders"):
            error = refusal(app, statement)
            assert type(error) is DatabaseError
            assert "no such function: shardhash_" in str(error)
            assert "prepare_sqlite" in error.next_step


def test_sessions_cannot_switch_guards_off(mysql_fleet):
    set_up(mysql_fleet, "s1")
    with closing(app_connection(mysql_fleet, "s1")) as app:
        of_mariadb = () if is_mysql() else ("old_mode = ''", "check_constraint_checks = 0")
        for setting in (
            *of_mariadb,
            "foreign_key_checks = 0", "unique_checks = 0", "sql_mode = ''", "sql_log_bin = 0",
            "sql_select_limit = 0", f"{deadline_variable()} = 0", "time_zone = '+05:00'",
            "collation_connection = 'utf8mb4_bin'", "character_set_client = 'latin1'",
            "sql_safe_updates = 0", "max_join_size = 1", "sql_big_selects = 0",
            "optimizer_switch = 'materialization=off'",
        ):  # fmt: skip
            execute(app, f"SET SESSION {setting}")
            assert refusal(app, WRITE).state == "foreign", setting
        execute(app, f"INSERT INTO orders VALUES (1, {MINE}, 1)")


def test_a_caught_refusal_leaves_the_rest_of_the_transaction(shard):
    with closing(app_connection(shard, "s1")) as app:
        execute(app, "BEGIN")
        execute(app, f"INSERT INTO orders VALUES (1, {MINE}, 1)")
        refusal(app, f"INSERT INTO orders VALUES (2, {MINE}, 1), (3, {THEIRS}, 1)")
        execute(app, "COMMIT")

    assert shard.sql("s1", "SELECT id FROM orders") == [(1,)]


def test_a_fence_in_the_middle_of_a_transaction_stops_its_next_write_to_the_slot(mysql_fleet):
    set_up(mysql_fleet, "s1")
    mysql_fleet.sql("s1", f"INSERT INTO orders VALUES (1, {keys_in(3)[0]}, 1)")
    with closing(app_connection(mysql_fleet, "s1", autocommit=False)) as app:
        execute(app, f"INSERT INTO orders VALUES (2, {MINE}, 1)")
        execute(app, "SAVEPOINT here")
        change_state(mysql_fleet, "s1", 3, "fenced")
        assert refusal(app, "DELETE FROM orders WHERE id = 1").state == "fenced"
        execute(app, "ROLLBACK TO here")
        app.commit()


PARENTS = (
    "CREATE TABLE orders (id INT PRIMARY KEY, k INT, v INT)",
    "CREATE TABLE items (id INT PRIMARY KEY, k INT, o INT, FOREIGN KEY (o) REFERENCES orders (id))",
)


def test_parents_and_children_are_guarded_each_by_its_own_row(backend):
    mapping = slot_mapping(tables=("orders", "items"))
    set_up(backend, "s1", *PARENTS, mapping=mapping)
    change_state(backend, "s1", 2, "owned")
    with closing(app_connection(backend, "s1")) as app:
        execute(app, f"INSERT INTO orders VALUES (1, {MINE}, 1), (2, {THEIRS}, 1)")
        execute(app, f"INSERT INTO items VALUES (1, {MINE}, 1), (2, {THEIRS}, 2), (3, {MINE}, 2)")
        change_state(backend, "s1", 2, "foreign")

        assert isinstance(
            refusal(app, f"INSERT INTO items VALUES (4, {THEIRS}, 1)"), WrongShardError
        )
        assert isinstance(refusal(app, "DELETE FROM items WHERE id = 2"), WrongShardError)
        assert isinstance(refusal(app, "UPDATE orders SET v = 2 WHERE id = 2"), WrongShardError)
        execute(app, f"INSERT INTO items VALUES (4, {MINE}, 2)")
        assert type(refusal(app, "DELETE FROM orders WHERE id = 1")) is DatabaseError
        execute(app, "DELETE FROM items WHERE o = 1")
        execute(app, "DELETE FROM orders WHERE id = 1")


def test_a_sqlite_cascade_is_seen_by_the_guard(sqlite_fleet):
    mapping = slot_mapping(tables=("orders", "items"))
    cascade = PARENTS[1].replace("(id))", "(id) ON DELETE CASCADE)")
    set_up(sqlite_fleet, "s1", PARENTS[0], cascade, mapping=mapping)
    change_state(sqlite_fleet, "s1", 2, "owned")
    with closing(app_connection(sqlite_fleet, "s1")) as app:
        execute(app, f"INSERT INTO orders VALUES (1, {MINE}, 1)")
        execute(app, f"INSERT INTO items VALUES (1, {THEIRS}, 1)")
        change_state(sqlite_fleet, "s1", 2, "foreign")

        assert isinstance(refusal(app, "DELETE FROM orders"), WrongShardError)


def test_what_no_trigger_sees_on_a_server_is_as_the_limits_say(mysql_fleet):
    """TRUNCATE, a cascade and CREATE OR REPLACE: limits, and what rights keep from the app."""
    mapping = slot_mapping(tables=("orders", "items"))
    cascade = PARENTS[1].replace("(id))", "(id) ON DELETE CASCADE)")
    set_up(mysql_fleet, "s1", PARENTS[0], cascade, mapping=mapping)
    change_state(mysql_fleet, "s1", 2, "owned")
    with closing(app_connection(mysql_fleet, "s1")) as app:
        execute(app, f"INSERT INTO orders VALUES (1, {MINE}, 1)")
        execute(app, f"INSERT INTO items VALUES (1, {THEIRS}, 1)")
        change_state(mysql_fleet, "s1", 2, "foreign")

        execute(app, "DELETE FROM orders")
        assert execute(app, "SELECT COUNT(*) FROM items") == [(0,)]


def test_zero_dates_and_nulls_are_not_taken_for_each_other(mysql_fleet):
    mysql_fleet.add("s1")
    mysql_fleet.sql("s1", "CREATE TABLE orders (id INT PRIMARY KEY, k DATE NOT NULL, v INT)")
    guard_all(mysql_fleet, slot_mapping("date"), 16, owned=SlotSet(range(16)))
    with closing(app_connection(mysql_fleet, "s1")) as app:
        execute(app, "SET SESSION sql_mode = '', sql_auto_is_null = 1")
        execute(app, "INSERT INTO orders VALUES (1, '0000-00-00', 1)")
        with control_of(mysql_fleet, "s1") as (connection, place):
            every = SlotSet(range(16))
            guard.set_slots(
                connection, place, "by_key", every, SlotState.FENCED, among=[SlotState.OWNED]
            )
            connection.commit()
        assert refusal(app, "UPDATE orders SET v = 2").state == "fenced"
        assert refusal(app, "DELETE FROM orders").state == "fenced"


def test_writes_through_other_triggers_and_routines_are_guarded(backend):
    set_up(backend, "s1", *PARENTS)
    with closing(app_connection(backend, "s1")) as app:
        body = f"INSERT INTO orders VALUES (7, {THEIRS}, 1);"
        execute(app, f"CREATE TRIGGER mine AFTER INSERT ON items FOR EACH ROW BEGIN {body} END")
        refused = refusal(app, f"INSERT INTO items VALUES (1, {MINE}, NULL)")

    assert isinstance(refused, WrongShardError)
    assert backend.sql("s1", "SELECT COUNT(*) FROM items") == [(0,)]
