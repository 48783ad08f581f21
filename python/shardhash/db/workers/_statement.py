"""One task's statement on one connection: run it, read it in blocks, end it from another thread.

MySQL rows come from a server-side cursor, so the client holds no more than it was asked for.
Sources: https://mariadb.com/kb/en/set-statement/, https://mariadb.com/kb/en/aborting-statements/,
https://dev.mysql.com/doc/refman/8.0/en/server-system-variables.html#sysvar_max_execution_time,
https://sqlite.org/c3ref/progress_handler.html.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from shardhash.db.connections import ConnectionManager, interrupter
from shardhash.db.drivers import row_cursor
from shardhash.db.tasks import ResultColumn, Row, ShardTask, result_columns
from shardhash.db.topology import Backend
from shardhash.errors import DeadlineError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "FIRST_BLOCK_ROWS",
    "EndedError",
    "OpenStatement",
    "Statement",
    "block_bytes",
    "next_row_count",
    "with_deadline",
]

FIRST_BLOCK_ROWS = 64
_BLOCK_BYTES = 256 * 1024
_MOST_BLOCK_ROWS = 4096
_STEPS_BETWEEN_LOOKS = 20_000  # of SQLite's virtual machine: well under a millisecond
_VALUE_BYTES = 32
_SAMPLED_ROWS = 512


class EndedError(Exception):
    """The statement was ended by ``Statement.end``."""


class OpenStatement:
    """A statement that has begun to answer: its columns, and its rows read once.

    ``row_count`` is how many rows a statement without columns changed.
    """

    def __init__(
        self, columns: tuple[ResultColumn, ...], blocks: Iterator[Sequence[Row]], row_count: int
    ) -> None:
        self.columns = columns
        self.blocks = blocks
        self.row_count = row_count


class Statement:
    """A task that can be run once, and ended at any time from any thread.

    With ``commit`` it runs on the primary, and what it changed is committed when its rows were
    read without an error. ``is_fetched`` tells that the server has no row left.
    """

    def __init__(
        self, task: ShardTask, connections: ConnectionManager, *, commit: bool = False
    ) -> None:
        self._task = task
        self._connect = connections.write if commit else connections.read
        self._commit = commit
        self._backend = connections.backend(task.shard)
        self._lock = Lock()
        self._interrupt: Callable[[], None] | None = None
        self._is_ended = False
        self.is_fetched = False

    def end(self) -> None:
        """End the statement if it runs, and keep it from being begun.

        A statement on its way to the server is missed: call this until it has stopped.
        """
        with self._lock:
            self._is_ended = True
            if self._interrupt:
                self._interrupt()

    @contextmanager
    def running(self) -> Iterator[OpenStatement]:
        """Yield the statement once it answers; leaving the block gives the connection back.

        Raises:
            EndedError: it was ended.
            DeadlineError: the server ended it at its deadline.
            DatabaseError: the shard failed.
        """
        if self._is_ended:
            raise EndedError
        with self._connect(self._task.shard) as connection:
            try:
                with self._held(connection), self._opened(connection) as statement:
                    yield statement
            except Exception:
                if self._is_ended:
                    raise EndedError from None
                raise
            finally:
                if self._is_ended:  # what was sent to end it may still be on its way
                    connection.invalidate()

    @contextmanager
    def _held(self, connection: "Connection") -> Iterator[None]:
        """Let ``end`` reach the connection for as long as it is this statement's own."""
        with self._lock:
            if self._is_ended:
                raise EndedError
            self._interrupt = interrupter(connection)
        try:
            yield
        except Exception:
            raise
        except BaseException:  # Ctrl-C in the thread that waits for the server itself
            self.end()
            raise
        finally:
            with self._lock:
                self._interrupt = None

    @contextmanager
    def _opened(self, connection: "Connection") -> Iterator[OpenStatement]:
        driver: Any = connection.connection.driver_connection
        if self._backend is Backend.SQLITE:
            opened = _sqlite(driver, self._task, is_ended=lambda: self._is_ended)
        else:
            opened = _mysql(driver, self._task, is_mariadb=_is_mariadb(connection))
        with opened as cursor:
            columns = result_columns(cursor.description, self._backend)
            row_count = 0 if columns else max(cursor.rowcount, 0)
            yield OpenStatement(columns, self._blocks(cursor) if columns else iter(()), row_count)
        if self._commit:
            driver.commit()

    def _blocks(self, cursor: Any) -> Iterator[Sequence[Row]]:
        """Yield the rows in blocks of about the same size in bytes."""
        row_count = FIRST_BLOCK_ROWS
        while not self.is_fetched:
            block = cursor.fetchmany(row_count)
            if self._is_ended:
                raise EndedError
            self.is_fetched = len(block) < row_count
            if block:
                yield block
                row_count = next_row_count(block)


def next_row_count(block: Sequence[Row]) -> int:
    """Return how many rows to fetch after a full block, so that they take about 256 KiB."""
    some = block[:: max(1, len(block) // _SAMPLED_ROWS)]
    fitting = len(some) * _BLOCK_BYTES // max(block_bytes(some), 1)
    return max(1, min(fitting, 4 * len(block), _MOST_BLOCK_ROWS))


def block_bytes(block: Sequence[Row]) -> int:
    """Return about how many bytes rows take."""
    texts = sum(len(value) for row in block for value in row if isinstance(value, (str, bytes)))
    return texts + len(block) * len(block[0]) * _VALUE_BYTES


def with_deadline(sql: str, deadline_s: float) -> str:
    """Return a statement with its deadline, as MariaDB takes it."""
    return f"SET STATEMENT max_statement_time = {max(deadline_s, 1e-3):.6f} FOR {sql}"


def _is_mariadb(connection: "Connection") -> bool:
    return bool(getattr(connection.dialect, "is_mariadb", False))


@contextmanager
def _mysql(driver: Any, task: ShardTask, *, is_mariadb: bool) -> Iterator[Any]:
    sql, deadline_s = task.sql, task.deadline_s
    if deadline_s is not None and is_mariadb:
        sql = with_deadline(sql, deadline_s)
    with (
        _session_deadline(driver, None if is_mariadb else deadline_s),
        closing(row_cursor(driver)) as cursor,
    ):
        cursor.execute(sql, task.parameters)
        yield cursor


@contextmanager
def _session_deadline(driver: Any, deadline_s: float | None) -> Iterator[None]:
    """Limit the session's SELECTs, as MySQL does it; a connection that broke needs no reset."""
    if deadline_s is None:
        yield
        return
    driver.query(f"SET SESSION max_execution_time = {max(1, round(deadline_s * 1000))}")
    try:
        yield
    finally:
        if driver.open:
            driver.query("SET SESSION max_execution_time = DEFAULT")


@contextmanager
def _sqlite(
    driver: sqlite3.Connection, task: ShardTask, *, is_ended: Callable[[], bool]
) -> Iterator[Any]:
    deadline = None if task.deadline_s is None else time.monotonic() + task.deadline_s

    def is_late() -> bool:  # is called now and then, which also lets Python see Ctrl-C
        return deadline is not None and time.monotonic() > deadline

    driver.set_progress_handler(is_late, _STEPS_BETWEEN_LOOKS)
    try:
        with closing(driver.execute(task.sql, task.parameters)) as cursor:
            yield cursor
    except OverflowError as error:
        raise UsageError(
            f"shard {task.shard}: a value is beyond the 64 bits of SQLite's integers",
            next_step="pass it as text where the column holds text, or correct it",
        ) from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        if not is_late():
            if is_ended():
                raise
            raise KeyboardInterrupt from None  # SQLite swallows what the handler raises
        raise DeadlineError(
            f"shard {task.shard}: the statement was ended at its deadline of {task.deadline_s:g} s",
            next_step="ask for less at once, or give the statement more time",
        ) from error
    finally:
        driver.set_progress_handler(None, 0)
