"""ConnectionManager across fork and interrupts."""

import gc
import os
import signal
from collections.abc import Callable

import pytest
from sqlalchemy import text

from managers import manager_of, update, with_table
from servers import Fleet, MySQLFleet
from shardhash.db import ConnectionManager


def in_child(action: Callable[[], None]) -> int:
    """Run `action` in a forked child that ends without clean-up, and return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def test_a_forked_child_has_its_own_connections(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")

    with manager_of(mysql_fleet) as manager:
        with manager.write("s1") as connection:
            session = connection.scalar(text("SELECT CONNECTION_ID()"))

        def child() -> None:
            with manager.write("s1") as connection:
                assert connection.scalar(text("SELECT CONNECTION_ID()")) != session
            manager.close()
            gc.collect()

        assert in_child(child) == 0
        with manager.write("s1") as connection:
            assert connection.scalar(text("SELECT CONNECTION_ID()")) == session


def test_a_transaction_survives_a_child_that_leaves_its_block(backend: Fleet) -> None:
    with_table(backend, "s1")

    with manager_of(backend) as manager:
        block = manager.write("s1")
        connection = block.__enter__()
        update(connection)

        def child() -> None:
            block.__exit__(None, None, None)
            gc.collect()

        assert in_child(child) == 0
        connection.commit()
        block.__exit__(None, None, None)
    assert backend.sql("s1", "SELECT v FROM t WHERE id = 1") == [(11,)]


def test_an_interrupted_statement_does_not_spoil_the_next(mysql_fleet: MySQLFleet) -> None:
    with_table(mysql_fleet, "s1")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def sleep_and_be_interrupted(manager: ConnectionManager) -> None:
        with manager.write("s1") as connection:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            connection.execute(text("SELECT SLEEP(20)"))

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with manager_of(mysql_fleet) as manager:
            with pytest.raises(KeyboardInterrupt):
                sleep_and_be_interrupted(manager)
            with manager.write("s1") as connection:
                assert connection.scalar(text("SELECT COUNT(*) FROM t")) == 2
    finally:
        signal.signal(signal.SIGALRM, previous)
