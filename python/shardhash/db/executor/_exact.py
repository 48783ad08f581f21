"""Write rows so that they are what was read, or not at all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shardhash.db import sql
from shardhash.db.drivers import insert_bytes, load_bytes
from shardhash.db.executor._pages import Interval, fitting
from shardhash.db.executor._statements import fetch, mind_references, run
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter
from shardhash.db.topology import Backend
from shardhash.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["ExactWriter", "Row"]

_STATEMENT_BYTES = 1_000_000

Row = Any
"""A row as ``sql.read_page`` reads it: SQL in bytes for MySQL, a tuple of values for SQLite."""


@dataclass(frozen=True, slots=True)
class ExactWriter:
    """Inserts rows of a table that were read on `source` into the one on `target`.

    A statement counts only if the server took every row and had nothing to say about any;
    otherwise it raises, and the transaction must be rolled back.
    """

    table: Table
    source: str
    target: str

    def insert(self, connection: "Connection", rows: Sequence[Row]) -> None:
        """Insert rows as they were read."""
        if not rows:
            return
        self._mind_references(connection)
        if self.table.backend is Backend.SQLITE:
            taken = connection.exec_driver_sql(sql.insert_row(self.table), list(rows)).rowcount
            self._check(len(rows), taken, warnings=0)
            return
        head = sql.insert_head(self.table)
        for piece in self._split(rows, self.room(connection)):
            self._check(len(piece), *insert_bytes(_driver(connection), head + b",".join(piece)))

    def room(self, connection: "Connection") -> int:
        """Return how many bytes of tuples the target's MySQL server takes in a statement."""
        [(packet,)] = fetch(connection, sql.packet_size())
        return sql.row_room(self.table, packet)

    def insert_text(self, connection: "Connection", text: bytes, count: int) -> None:
        """Insert the ``count`` rows of a text of tuples."""
        self._mind_references(connection)
        if not self._load(connection, text, count):
            statement = sql.insert_head(self.table) + text
            self._check(count, *insert_bytes(_driver(connection), statement))

    def _load(self, connection: "Connection", text: bytes, count: int) -> bool:
        """Insert rows by LOAD DATA LOCAL; False, and nothing is done, where not all are exact.

        It leaves out a row that is in the way and cuts values that do not fit, with no more than a
        warning. An INSERT of the same rows then says what is wrong.
        """
        statement = sql.load_rows(self.table)
        if statement is None:
            return False
        run(connection, sql.begin_page())
        if load_bytes(_driver(connection), statement, text) == (count, 0):
            return True
        run(connection, sql.undo_page())
        return False

    def insert_beside(
        self,
        connection: "Connection",
        database: str,
        rows: RowFilter,
        page: Interval,
        count: int | None,
    ) -> None:
        """Insert the rows of a page that stand in another database of the same server.

        They are ``count``, or as many as there are then.
        """
        self._mind_references(connection)
        taken = run(connection, sql.insert_page(self.table, database, rows, *page))
        [(warnings,)] = fetch(connection, sql.warning_count())
        self._check(taken if count is None else count, taken, warnings)

    def too_long(self, shard: str, what: str) -> DatabaseError:
        """Return the error for a row that is longer than a server's packets."""
        return DatabaseError(
            f"copy of {self.table.name}: {what}, more than max_allowed_packet of {shard} allows",
            next_step=f"SET GLOBAL max_allowed_packet on the server of {shard} to at least twice "
            "the longest row, then go on",
        )

    def _mind_references(self, connection: "Connection") -> None:
        wanted = bool(self.table.parents) and not self.table.refers_to_itself
        mind_references(connection, self.table, wanted=wanted)

    def _split(self, rows: Sequence[bytes], room: int) -> Iterator[Sequence[bytes]]:
        """Yield the rows in pieces that fit into a statement."""
        start = 0
        lengths = [len(row) + 1 for row in rows]
        while start < len(rows):
            if lengths[start] > room:
                raise self.too_long(
                    self.target, f"a row of it is {lengths[start]} bytes as an INSERT"
                )
            end = start + fitting(min(room, _STATEMENT_BYTES), lengths[start:])
            yield rows[start:end]
            start = end

    def _check(self, sent: int, taken: int, warnings: int) -> None:
        if taken != sent or warnings:
            raise DatabaseError(
                f"copy of {self.table.name} to {self.target}: of {sent} rows the server took "
                f"{taken}, with {warnings} warnings, so they would not be the same there; the "
                "batch is rolled back",
                next_step=f"compare the definitions of {self.table.name} on {self.source} and "
                f"{self.target}, and look for triggers",
            )


def _driver(connection: "Connection") -> Any:
    """Return the driver's own connection: SQLAlchemy would take a statement of bytes for text."""
    return connection.connection.driver_connection
