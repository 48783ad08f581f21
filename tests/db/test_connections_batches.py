"""run_batch on real servers: committed once, or not at all."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, text

from managers import SteppedClock, config_of, manager_of, update, with_table
from servers import Fleet, MariaDB, MySQLFleet
from shardhash.db import ConnectionManager
from shardhash.db.connections import RetryPolicy, SessionSettings
from shardhash.errors import (
    TransientError,
)


def test_a_batch_is_committed_and_its_result_returned(backend: Fleet) -> None:
    with_table(backend, "s1")

    def work(connection: Connection) -> str:
        update(connection)
        return "done"

    with manager_of(backend) as manager:
        assert manager.run_batch("s1", work, idempotent=False) == "done"
    assert backend.sql("s1", "SELECT v FROM t WHERE id = 1") == [(11,)]


def test_a_failing_batch_is_rolled_back(backend: Fleet) -> None:
    with_table(backend, "s1")

    def work(connection: Connection) -> None:
        update(connection)
        raise ZeroDivisionError

    with manager_of(backend) as manager, pytest.raises(ZeroDivisionError):
        manager.run_batch("s1", work, idempotent=True)
    assert backend.sql("s1", "SELECT v FROM t WHERE id = 1") == [(10,)]


def test_a_batch_waits_for_a_server_that_comes_back(start_server: Callable[..., MariaDB]) -> None:
    server = start_server()
    server.sql("CREATE DATABASE d")
    server.sql("CREATE TABLE d.t (id INT PRIMARY KEY)")
    server.kill()
    clock = SteppedClock(then=server.start)

    with ConnectionManager(config_of(server, "d"), clock=clock) as manager:
        manager.run_batch(
            "s", lambda c: c.execute(text("INSERT INTO t VALUES (1)")), idempotent=False
        )
    assert (len(clock.slept), server.sql("SELECT id FROM d.t")) == (1, [(1,)])


def test_a_lock_wait_is_retried_as_a_whole(
    backend: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    with_table(backend, "s1")
    rival = backend.connect("s1")
    with rival:
        cursor = rival.cursor()
        cursor.execute("BEGIN")
        cursor.execute("UPDATE t SET v = 99 WHERE id = 2")
        clock = SteppedClock(then=lambda: cursor.execute("ROLLBACK"))

        def work(connection: Connection) -> None:
            update(connection, 1)
            update(connection, 2)

        session = SessionSettings(lock_wait_s=1)
        with manager_of(backend, session=session, clock=clock) as manager:
            manager.run_batch("s1", work, idempotent=False)
        cursor.close()
    if backend.kind == "sqlite":
        rival.close()
    assert backend.sql("s1", "SELECT v FROM t ORDER BY id") == [(11,), (21,)]
    assert "batch_retried" in caplog.text
    assert "'reason': 'lock wait'" in caplog.text


def test_both_sides_of_a_deadlock_are_done_once(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")
    both_hold_one = threading.Barrier(2)
    tries = []

    def swap(manager: ConnectionManager, first: int, second: int) -> None:
        def work(connection: Connection) -> None:
            tries.append(first)
            update(connection, first)
            if tries.count(first) == 1:
                both_hold_one.wait(20)
            update(connection, second)

        manager.run_batch("s1", work, idempotent=False)

    with manager_of(mysql_fleet) as manager, ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(swap, manager, *pair) for pair in ((1, 2), (2, 1))]
        for future in futures:
            future.result(30)
    assert mysql_fleet.sql("s1", "SELECT v FROM t ORDER BY id") == [(12,), (22,)]
    assert len(tries) == 3


def kill_own_session(fleet: MySQLFleet, connection: Connection) -> None:
    session = connection.scalar(text("SELECT CONNECTION_ID()"))
    fleet.server("s1").sql(f"KILL {session}")


def test_an_idempotent_batch_survives_a_killed_connection(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")
    tries = []

    def work(connection: Connection) -> None:
        update(connection, 1)
        tries.append(1)
        if len(tries) == 1:
            kill_own_session(mysql_fleet, connection)
        update(connection, 2)

    with manager_of(mysql_fleet, clock=SteppedClock()) as manager:
        manager.run_batch("s1", work, idempotent=True)
    assert (len(tries), mysql_fleet.sql("s1", "SELECT v FROM t ORDER BY id")) == (
        2,
        [(11,), (21,)],
    )


def test_a_batch_that_is_not_idempotent_ends_with_a_killed_connection(
    mysql_fleet: MySQLFleet,
) -> None:
    with_table(mysql_fleet, "s1")
    clock = SteppedClock()

    def work(connection: Connection) -> None:
        kill_own_session(mysql_fleet, connection)
        update(connection)

    with (
        manager_of(mysql_fleet, clock=clock) as manager,
        pytest.raises(TransientError, match="may or may not have been committed"),
    ):
        manager.run_batch("s1", work, idempotent=False)
    assert clock.slept == []


def test_retries_end(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")
    rival = mysql_fleet.connect("s1")
    cursor = rival.cursor()
    cursor.execute("BEGIN")
    cursor.execute("UPDATE t SET v = 99 WHERE id = 1")
    clock = SteppedClock()

    with (
        manager_of(
            mysql_fleet,
            session=SessionSettings(lock_wait_s=1),
            retry=RetryPolicy(attempts=2),
            clock=clock,
        ) as manager,
        pytest.raises(TransientError, match="tried 2 times"),
    ):
        manager.run_batch("s1", update, idempotent=True)
    rival.close()
    assert len(clock.slept) == 1
