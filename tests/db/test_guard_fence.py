"""A fence waits for writers in flight, refuses later ones, and disturbs no other slot."""

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random
from threading import Event

import pymysql
import pytest

from guarding import app_connection, execute, keys_in, place_of, refusal, set_up, slot_mapping
from managers import SteppedClock, manager_of
from server_software import is_mysql, isolation_variable, mariadb_only, mysql_only
from servers import MySQLFleet
from shardhash.db import guard
from shardhash.db.connections import SessionSettings
from shardhash.db.guard import _fence
from shardhash.db.sql import SlotState
from shardhash.errors import LeaseLostError, PreflightError, StoppedError, WrongShardError
from shardhash.slots import SlotSet

SLOT = 5
KEY, OTHER_KEY = keys_in(SLOT)[0], keys_in(6)[0]
TABLE = "CREATE TABLE orders (id INT PRIMARY KEY, k INT, v INT)"
LEVELS = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


def fence(fleet, slots=(SLOT,), *, wait_s=1.0, clock=None, token=0):
    session = SessionSettings(lock_wait_s=1, is_repeatable=True)
    with manager_of(fleet, session=session) as manager:
        guard.fence_slots(
            manager, "s1", place_of(fleet, "s1"), "by_key", SlotSet(slots),
            token=token, wait_s=wait_s, clock=clock or SteppedClock(),
        )  # fmt: skip


def states(fleet):
    with manager_of(fleet) as manager, manager.write("s1") as connection:
        return guard.read_slots(connection, place_of(fleet, "s1"), "by_key")


@pytest.fixture
def shard(backend):
    set_up(backend, "s1")
    return backend


def test_a_fence_refuses_later_writers_and_may_be_repeated(shard):
    fence(shard)
    fence(shard, (1, SLOT))

    assert states(shard)[SlotState.FENCED] == SlotSet([1, SLOT])
    with closing(app_connection(shard, "s1")) as app:
        assert isinstance(refusal(app, f"INSERT INTO orders VALUES (1, {KEY}, 1)"), WrongShardError)
        execute(app, f"INSERT INTO orders VALUES (2, {OTHER_KEY}, 1)")


def test_a_fence_with_another_token_changes_nothing(shard):
    with pytest.raises(LeaseLostError):
        fence(shard, token=1)
    assert states(shard)[SlotState.FENCED] == SlotSet([1])


def test_a_slot_of_another_shard_is_not_fenced(shard):
    with pytest.raises(PreflightError, match="slot 2 is foreign"):
        fence(shard, (SLOT, 2))
    assert states(shard)[SlotState.FENCED] == SlotSet([1])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT INTO orders VALUES (2, {KEY}, 1)",
        "UPDATE orders SET v = 2 WHERE id = 1",
        "DELETE FROM orders WHERE id = 1",
    ],
)
def test_a_fence_waits_for_the_open_writer(mysql_fleet, level, statement):
    set_up(mysql_fleet, "s1")
    mysql_fleet.sql("s1", f"INSERT INTO orders VALUES (1, {KEY}, 1)")
    with closing(app_connection(mysql_fleet, "s1", autocommit=False)) as app:
        execute(app, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
        execute(app, statement)
        written = execute(app, "SELECT * FROM orders")

        with pytest.raises(StoppedError, match=r"in the way are .*connection [0-9]+ of root"):
            fence(mysql_fleet, wait_s=0)
        assert states(mysql_fleet)[SlotState.FENCED] == SlotSet([1])
        fence(mysql_fleet, clock=SteppedClock(then=app.commit))

    assert states(mysql_fleet)[SlotState.FENCED] == SlotSet([1, SLOT])
    assert mysql_fleet.sql("s1", "SELECT * FROM orders") == written


@pytest.mark.parametrize("level", LEVELS)
def test_a_fence_refuses_a_writer_with_an_older_snapshot(mysql_fleet, level):
    set_up(mysql_fleet, "s1")
    mysql_fleet.sql("s1", f"INSERT INTO orders VALUES (1, {KEY}, 1)")
    with closing(app_connection(mysql_fleet, "s1", autocommit=False)) as app:
        execute(app, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
        execute(app, "START TRANSACTION")
        execute(app, "SELECT COUNT(*) FROM orders WHERE id > 1")
        execute(app, f"INSERT INTO orders VALUES (2, {OTHER_KEY}, 1)")
        fence(mysql_fleet)

        assert refusal(app, "UPDATE orders SET v = 2 WHERE id = 1").state == "fenced"
        app.commit()
    assert mysql_fleet.sql("s1", "SELECT id, v FROM orders") == [(1, 1), (2, 1)]


def test_a_fence_waits_for_no_writer_of_other_slots(mysql_fleet):
    set_up(mysql_fleet, "s1")
    with closing(app_connection(mysql_fleet, "s1", autocommit=False)) as app:
        for number, slot in enumerate(range(3, 16, 2)):
            execute(app, f"INSERT INTO orders VALUES ({number}, {keys_in(slot)[0]}, 1)")

        fence(mysql_fleet, range(4, 16, 2), wait_s=0)
        app.commit()
    assert states(mysql_fleet)[SlotState.FENCED] == SlotSet([1, *range(4, 16, 2)])


def test_a_fence_of_thousands_of_slots_locks_no_other(mysql_fleet):
    count = 65_536
    set_up(mysql_fleet, "s1", mapping=slot_mapping(slot_count=count))
    beside = [4, 5_000, 16_384, 40_000, 65_534]
    with closing(app_connection(mysql_fleet, "s1", autocommit=False)) as app:
        for number, slot in enumerate(beside):
            key = keys_in(slot, 1, count)[0]
            execute(app, f"INSERT INTO orders VALUES ({number}, {key}, 1)")

        fence(mysql_fleet, range(5, count, 2), wait_s=0)
        app.commit()
    assert len(states(mysql_fleet)[SlotState.FENCED]) == 1 + len(range(5, count, 2))


def test_a_sqlite_fence_waits_for_the_open_writer(sqlite_fleet):
    set_up(sqlite_fleet, "s1")
    with closing(app_connection(sqlite_fleet, "s1")) as app:
        execute(app, "BEGIN")
        execute(app, f"INSERT INTO orders VALUES (1, {KEY}, 1)")

        with pytest.raises(StoppedError, match="in the way are another process that writes"):
            fence(sqlite_fleet, wait_s=0)
        fence(sqlite_fleet, clock=SteppedClock(then=lambda: execute(app, "COMMIT")))

    assert states(sqlite_fleet)[SlotState.FENCED] == SlotSet([1, SLOT])
    assert sqlite_fleet.sql("s1", "SELECT id FROM orders") == [(1,)]


def test_a_sqlite_writer_with_an_older_snapshot_is_refused(sqlite_fleet):
    set_up(sqlite_fleet, "s1", "PRAGMA journal_mode=WAL", TABLE)
    with closing(app_connection(sqlite_fleet, "s1")) as app:
        execute(app, "BEGIN")
        execute(app, "SELECT * FROM orders")
        fence(sqlite_fleet)

        assert "locked" in str(refusal(app, f"INSERT INTO orders VALUES (1, {KEY}, 1)"))
        execute(app, "ROLLBACK")
        refused = refusal(app, f"INSERT INTO orders VALUES (1, {KEY}, 1)")
        assert isinstance(refused, WrongShardError)


def test_a_prepared_transaction_stops_the_fence_and_leaves_the_slots_open(start_server, tmp_path):
    fleet = MySQLFleet(tmp_path, servers={"a": start_server()})
    set_up(fleet, "s1")
    with closing(app_connection(fleet, "s1")) as app:
        execute(app, "XA START 'branch'")
        execute(app, f"INSERT INTO orders VALUES (1, {KEY}, 1)")
        execute(app, "XA END 'branch'")
        execute(app, "XA PREPARE 'branch'")

        with pytest.raises(StoppedError, match="1 prepared XA transactions"):
            fence(fleet)
        assert states(fleet)[SlotState.FENCED] == SlotSet([1])
        fence(fleet, clock=SteppedClock(then=lambda: execute(app, "XA COMMIT 'branch'")))

    assert states(fleet)[SlotState.FENCED] == SlotSet([1, SLOT])
    assert fleet.sql("s1", "SELECT id FROM orders") == [(1,)]


def test_a_transaction_prepared_while_the_fence_is_set_opens_the_slots_again(
    start_server, tmp_path, monkeypatch
):
    fleet = MySQLFleet(tmp_path, servers={"a": start_server()})
    set_up(fleet, "s1")
    with closing(app_connection(fleet, "s1")) as app:
        execute(app, "XA START 'branch'")
        execute(app, f"INSERT INTO orders VALUES (1, {KEY}, 1)")
        execute(app, "XA END 'branch'")
        original = _fence.check_token

        def prepare_first(*arguments):
            monkeypatch.setattr(_fence, "check_token", original)
            original(*arguments)
            execute(app, "XA PREPARE 'branch'")

        monkeypatch.setattr(_fence, "check_token", prepare_first)
        with pytest.raises(StoppedError, match="1 prepared XA transactions"):
            fence(fleet, (1, SLOT))

        assert states(fleet)[SlotState.FENCED] == SlotSet([1])
        execute(app, "XA COMMIT 'branch'")
    assert fleet.sql("s1", "SELECT id FROM orders") == [(1,)]


AT_EACH_STEP = pytest.param(3, True, marks=mariadb_only("innodb_flush_log_at_trx_commit of 3"))


@pytest.mark.parametrize(("setting", "durable"), [(0, False), (1, True), (2, False), AT_EACH_STEP])
def test_a_server_that_could_forget_the_fence_is_refused(start_server, tmp_path, setting, durable):
    server = start_server(f"--innodb-flush-log-at-trx-commit={setting}")
    fleet = MySQLFleet(tmp_path, servers={"a": server})
    set_up(fleet, "s1")

    if durable:
        fence(fleet)
    else:
        with pytest.raises(PreflightError, match="a crash of its server could forget it"):
            fence(fleet)
    assert (SLOT in states(fleet)[SlotState.FENCED]) is durable


@mariadb_only("Galera")
def test_a_member_of_a_cluster_that_writes_everywhere_is_refused(start_server, tmp_path):
    server = start_server("--wsrep-on=ON", "--wsrep-provider=none", "--binlog-format=ROW")
    fleet = MySQLFleet(tmp_path, servers={"a": server})
    set_up(fleet, "s1")

    with pytest.raises(PreflightError, match="takes writes on several servers"):
        fence(fleet)


def test_a_fence_outlives_the_servers_crash(start_server, tmp_path):
    server = start_server()
    fleet = MySQLFleet(tmp_path, servers={"a": server})
    set_up(fleet, "s1")
    fence(fleet)

    server.kill()
    server.start()

    assert states(fleet)[SlotState.FENCED] == SlotSet([1, SLOT])
    with closing(app_connection(fleet, "s1")) as app:
        assert refusal(app, f"INSERT INTO orders VALUES (1, {KEY}, 1)").state == "fenced"


@mysql_only("LOCK TABLES that takes the tables of triggers as well")
def test_locked_tables_hold_a_fence_up(mysql_fleet):
    set_up(mysql_fleet, "s1")
    with closing(app_connection(mysql_fleet, "s1")) as app:
        execute(app, "LOCK TABLES orders WRITE")
        with pytest.raises(StoppedError, match="LOCK TABLES"):
            fence(mysql_fleet, wait_s=0)
        execute(app, f"INSERT INTO orders VALUES (1, {KEY}, 1)")
        execute(app, "UNLOCK TABLES")
        fence(mysql_fleet, wait_s=0)
        assert refusal(app, f"INSERT INTO orders VALUES (2, {KEY}, 1)").state == "fenced"


@mariadb_only("LOCK TABLES that leaves the tables of triggers free")
def test_locked_tables_neither_hold_a_fence_up_nor_get_past_it(mysql_fleet):
    set_up(mysql_fleet, "s1")
    with closing(app_connection(mysql_fleet, "s1")) as app:
        execute(app, "LOCK TABLES orders WRITE")
        execute(app, f"INSERT INTO orders VALUES (1, {KEY}, 1)")
        fence(mysql_fleet, wait_s=0)
        assert refusal(app, f"INSERT INTO orders VALUES (2, {KEY}, 1)").state == "fenced"


def test_the_fences_session_waits_as_before_when_it_is_given_back(mysql_fleet):
    set_up(mysql_fleet, "s1")
    session = SessionSettings(lock_wait_s=7)
    with manager_of(mysql_fleet, session=session, max_connections=1) as manager:
        guard.fence_slots(
            manager, "s1", place_of(mysql_fleet, "s1"), "by_key", SlotSet([SLOT]),
            token=0, wait_s=1, clock=SteppedClock(),
        )  # fmt: skip
        with manager.write("s1") as connection:
            row = connection.exec_driver_sql(
                f"SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@{isolation_variable()}"
            ).one()
    assert tuple(row) == (7, 7, "REPEATABLE-READ")


def test_the_transactions_in_the_way_are_named_without_what_they_said(mysql_fleet):
    set_up(mysql_fleet, "s1")
    with closing(app_connection(mysql_fleet, "s1", autocommit=False)) as app:
        execute(app, f"INSERT INTO orders VALUES (1, {KEY}, 987654321)")
        number = app.thread_id()

        with pytest.raises(StoppedError) as stopped:
            fence(mysql_fleet, wait_s=0)
    assert re.search(rf"connection {number} of root, open for \d+ s", str(stopped.value))
    assert "987654321" not in str(stopped.value) + stopped.value.next_step
    assert stopped.value.exit_code == 4


@pytest.mark.parametrize(
    "isolation", ["OFF", pytest.param("ON", marks=mariadb_only("innodb_snapshot_isolation"))]
)
def test_writers_and_fences_side_by_side_lose_no_write(start_server, tmp_path, isolation):
    """Counters of fenced slots stand still; all others hold just what was acknowledged."""
    options = [] if is_mysql() else [f"--innodb-snapshot-isolation={isolation}"]
    server = start_server(*options)
    fleet = MySQLFleet(tmp_path, servers={"a": server})
    set_up(fleet, "s1")
    slots = range(3, 16)
    counters = {slot: keys_in(slot)[0] for slot in slots}
    for slot, key in counters.items():
        fleet.sql("s1", f"INSERT INTO orders VALUES ({slot}, {key}, 0)")
    acknowledged = Counter()
    stop = Event()

    def write(number):
        chooser = Random(number)
        with closing(app_connection(fleet, "s1", autocommit=False)) as app:
            execute(app, f"SET SESSION TRANSACTION ISOLATION LEVEL {LEVELS[number % 4]}")
            done = Counter()
            while not stop.is_set():
                some = sorted(chooser.sample(slots, 2))
                try:
                    for slot in some:
                        execute(app, f"UPDATE orders SET v = v + 1 WHERE id = {slot}")
                    app.commit()
                    done.update(some)
                except pymysql.err.MySQLError:
                    app.rollback()
        return done

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(write, number) for number in range(4)]
        try:
            for slot in slots:
                fence(fleet, [slot], wait_s=60, clock=time)
                seen = fleet.sql("s1", f"SELECT v FROM orders WHERE id = {slot}")
                fence(fleet, [slot], wait_s=60, clock=time)
                assert fleet.sql("s1", f"SELECT v FROM orders WHERE id = {slot}") == seen
        finally:
            stop.set()
        for each in running:
            acknowledged.update(each.result())

    assert dict(fleet.sql("s1", "SELECT id, v FROM orders")) == {
        slot: acknowledged[slot] for slot in slots
    }
    assert acknowledged.total() > 0
