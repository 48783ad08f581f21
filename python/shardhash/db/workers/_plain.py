"""A statement that leaves nothing in its session, in the thread that asks: one round trip.

An answer of few rows is whole at once, and holds no connection. Of a longer one the rows are
fetched when they are read.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from shardhash.db.connections import ConnectionManager, Session
from shardhash.db.drivers import row_cursor
from shardhash.db.tasks import Row
from shardhash.db.workers._statement import FIRST_BLOCK_ROWS, next_row_count, with_deadline
from shardhash.errors import UsageError

__all__ = ["PlainAnswer", "PlainReader", "read_plain"]


class PlainAnswer(NamedTuple):
    """An answer: what ``result_columns`` takes, rows, and what ends rows left on the server."""

    description: Sequence[Sequence[object]]
    rows: Iterator[Row]
    end: Callable[[], None] | None


PlainReader = Callable[[str, str, Sequence[object], float | None], PlainAnswer | None]
"""``read_plain`` bound to the connections of a configuration."""


def read_plain(
    connections: ConnectionManager,
    shard: str,
    sql: str,
    parameters: Sequence[object],
    deadline_s: float | None,
) -> PlainAnswer | None:
    """Run a SELECT on a MySQL shard that leaves nothing in its session, and return its answer.

    A session that had ended while it was idle is replaced by another one. None: this server cannot
    keep the deadline of a single statement, and was not asked. What the statement is given as is
    what a ``ShardTask`` has under the same names.

    Raises:
        ShardhashError: the shard failed.
    """
    while True:
        session = connections.take_session(shard)
        if deadline_s is not None:
            if not session.is_mariadb:
                session.give_back()
                return None
            sql = with_deadline(sql, deadline_s)
            deadline_s = None
        try:
            return _asked(session, sql, parameters)
        except BaseException as error:
            meaning = session.failed(error, has_begun=False)
            if meaning is error:
                raise
            if meaning is not None:
                raise meaning from error


def _asked(session: Session, sql: str, parameters: Sequence[object]) -> PlainAnswer:
    cursor = row_cursor(session.driver)
    try:
        cursor.execute(sql, parameters)
        block = cursor.fetchmany(FIRST_BLOCK_ROWS)
    except BaseException:
        cursor.leave()
        raise
    if len(block) < FIRST_BLOCK_ROWS:
        cursor.close()
        session.give_back()
        return PlainAnswer(cursor.description, iter(block), None)
    rest = _Rest(session, cursor, block)
    return PlainAnswer(cursor.description, chain.from_iterable(rest.blocks()), rest.end)


class _Rest:
    """The rows of an answer that has begun. The loan of the session ends with the last row."""

    def __init__(self, session: Session, cursor: Any, first: Sequence[Row]) -> None:
        self._session = session
        self._cursor = cursor
        self._first = first
        self._is_lent = True
        self._is_ended = False
        self._process = os.getpid()

    def __del__(self) -> None:
        """End an answer that was forgotten."""
        self.end()

    def blocks(self) -> Iterator[Sequence[Row]]:
        """Yield the blocks, fetching each when it is asked for."""
        block = self._first
        while block:
            self._check_open()
            yield block
            self._check_open()
            block = self._fetched(next_row_count(block)) if self._is_lent else ()

    def end(self) -> None:
        """End the statement unless all rows were fetched; a forked child leaves it alone."""
        if not self._is_lent:
            return
        self._is_ended = True
        self._is_lent = False
        if os.getpid() == self._process:
            self._session.end()
        else:
            self._session.forget()

    def _check_open(self) -> None:
        if self._is_ended:
            raise UsageError(
                "the answer was closed before all its rows were read",
                next_step="read the rows inside the block that opened the answer",
            )

    def _fetched(self, row_count: int) -> Sequence[Row]:
        try:
            block: Sequence[Row] = self._cursor.fetchmany(row_count)
        except BaseException as error:
            self._is_lent = False
            self._cursor.leave()
            meaning = self._session.failed(error, has_begun=True)
            if meaning is None or meaning is error:
                raise
            raise meaning from error
        if len(block) < row_count:
            self._is_lent = False
            self._cursor.close()
            self._session.give_back()
        return block
