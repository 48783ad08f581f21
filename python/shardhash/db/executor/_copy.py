"""Copy rows of a table to another shard, or remove such a copy.

Each batch is one transaction on the target together with its checkpoint, so that a copy which was
killed goes on where its last commit was. A batch counts only if the server took every row and had
nothing to say about any.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shardhash.db import sql
from shardhash.db.drivers import is_duplicate
from shardhash.db.executor._ahead import read_ahead
from shardhash.db.executor._pages import Interval, Read, fitting, iter_pages
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._statements import (
    PrimaryKey,
    fetch,
    mind_references,
    run,
)
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter
from shardhash.db.topology import Backend
from shardhash.errors import DatabaseError, MismatchError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["TableCopy", "copy_table", "delete_copy"]

_PAGE_ROWS = 2_000
_NO_LIMIT = 2**31 - 1
_PAGE_BYTES = 4_000_000
_BATCH_BYTES = 1_000_000
_PACKET_SHARE = 0.9  # of max_allowed_packet; the rest is for the head of the statement

Checkpoint = tuple[PrimaryKey | None, int, bool]
"""The last primary key copied, the number of rows copied, and whether they are all."""

Row = Any
"""A row as ``sql.read_page`` reads it: SQL in bytes for MySQL, a tuple of values for SQLite."""


def copy_table(
    work: RowWork,
    source: str,
    target: str,
    table: Table,
    rows: RowFilter,
    *,
    sync: bool = False,
) -> int:
    """Copy the filter's rows from `source` to `target` and return how many there are.

    Without `sync` the source's rows must not change meanwhile, and a checkpoint of this operation
    is gone on from. With `sync` every page is compared by checksum, and one that differs is
    replaced, so that a copy of an older state becomes one of the present.

    Raises:
        MismatchError: the target has other rows with a primary or unique key of a row to copy.
        DatabaseError: a batch failed or was not taken exactly; it was rolled back.
    """
    copy = TableCopy(
        work=work,
        source=source,
        target=target,
        table=table,
        rows=rows,
        read=lambda: work.read(source),
    )
    return copy.sync() if sync else copy.copy()


def delete_copy(work: RowWork, shard: str, table: Table, rows: RowFilter) -> int:
    """Delete the filter's rows of a table from a shard, in batches, and return how many.

    The checkpoint of this operation goes first, so that no later copy goes on from it.
    """
    place = work.place(shard)
    work.batch(
        shard,
        lambda connection: run(connection, sql.drop_checkpoint(place, work.operation, table.name)),
    )
    deleted = 0
    for after, until in iter_pages(lambda: work.read(shard), table):

        def delete(connection: "Connection", after: Any = after, until: Any = until) -> int:
            mind_references(connection, table, wanted=bool(table.children))
            return run(connection, sql.delete_page(table, rows, after, until))

        count = work.batch(shard, delete)
        deleted += count
        work.on_rows(count)
    return deleted


@dataclass(slots=True)
class _Block:
    """Rows that were read at once; ``last_key`` is the primary key of the last of them."""

    rows: list[Row]
    last_key: PrimaryKey | None
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCopy:
    """The copy of one table; ``read`` gives a connection to the source."""

    work: RowWork
    source: str
    target: str
    table: Table
    rows: RowFilter
    read: Read
    _row_bytes: list[float] = field(default_factory=lambda: [_BATCH_BYTES / 500])

    def copy(self) -> int:
        """Copy what the checkpoint says is not copied yet; return the number of rows of all."""
        with self.work.read(self.target) as connection:
            after, copied, is_done = self._checkpoint(connection)
        if is_done:
            return copied
        with closing(read_ahead(self._blocks(after))) as blocks:
            for block in blocks:
                copied += len(block.rows)
                self._write(block, copied)
        return copied

    def sync(self) -> int:
        """Make the target's pages equal to the source's; return the number of rows of all.

        All pages that differ are emptied before any of them is filled: a unique value may have
        moved from one row to another since, in another page.
        """
        copied = 0
        differing = []
        for page in iter_pages(self.read, self.table):
            checksum = sql.page_checksum(self.table, self.rows, *page)
            with self.read() as connection:
                ours = fetch(connection, checksum)
            with self.work.read(self.target) as connection:
                theirs = fetch(connection, checksum)
            copied += ours[0][0]
            if ours == theirs:
                self.work.on_rows(ours[0][0])
                continue
            differing.append(page)
            if theirs[0][0]:
                self._replace(page, [])
        for page in differing:
            with self.read() as connection:
                _, rows = self._read(connection, *page, _NO_LIMIT)
            self._replace(page, rows)
            self.work.on_rows(len(rows))
        self._batch(lambda connection: self._save(connection, (None, copied, True)))
        return copied

    def has_begun(self) -> bool:
        """Tell whether an earlier try may have left rows."""
        with self.work.read(self.target) as connection:
            return bool(fetch(connection, self._saved()))

    def _saved(self) -> sql.Statement:
        place = self.work.place(self.target)
        return sql.read_checkpoint(place, self.work.operation, self.table.name)

    def _checkpoint(self, connection: "Connection") -> Checkpoint:
        found = fetch(connection, self._saved())
        if not found:
            return None, 0, False
        [(last_key, row_count, is_done)] = found
        after = None if last_key is None else sql.key_from_text(last_key)
        return after, int(row_count), bool(is_done)

    def _blocks(self, after: PrimaryKey | None) -> Generator[_Block, None, None]:
        """Yield the rows after a key; each block is read in a transaction of its own."""
        while True:
            with self.read() as connection:
                block = self._block(connection, after)
            yield block
            if block.is_last:
                return
            after = block.last_key

    def _block(self, connection: "Connection", after: PrimaryKey | None) -> _Block:
        limit = max(1, min(_PAGE_ROWS, int(_BATCH_BYTES / self._row_bytes[0])))
        until = None
        sizes = sql.read_row_sizes(self.table, self.rows, after, limit)
        if sizes is not None:
            found = fetch(connection, sizes)
            count = fitting(_PAGE_BYTES, [row[-1] for row in found])
            until = found[count - 1][:-1] if count < len(found) else None
        keys, rows = self._read(connection, after, until, limit)
        is_last = until is None and len(rows) < limit
        return _Block(rows, keys[-1] if keys else after, is_last)

    def _read(
        self,
        connection: "Connection",
        after: PrimaryKey | None,
        until: PrimaryKey | None,
        limit: int,
    ) -> tuple[list[PrimaryKey], list[Row]]:
        found = fetch(connection, sql.read_page(self.table, self.rows, after, until, limit))
        width = len(self.table.primary_key)
        keys = [row[:width] for row in found]
        if self.table.backend is Backend.SQLITE:
            return keys, [row[width:] for row in found]
        rows = [row[width] for row in found]
        if None in rows:
            raise self._too_long(self.source, "a row of it is no text that the server can make")
        if rows:
            self._row_bytes[0] = max(1.0, sum(map(len, rows)) / len(rows))
        return keys, rows

    def _write(self, block: _Block, copied: int) -> None:
        """Insert a block in one transaction, with the checkpoint, unless that was done before."""
        checkpoint = (block.last_key, copied, block.is_last)

        def insert(connection: "Connection") -> None:
            if self._checkpoint(connection) != checkpoint:
                self._insert(connection, block.rows)
                self._save(connection, checkpoint)

        self._batch(insert)
        self.work.on_rows(len(block.rows))

    def _replace(self, page: Interval, rows: list[Row]) -> None:
        """Put rows in the place of those of a page, in one transaction."""

        def replace(connection: "Connection") -> None:
            mind_references(connection, self.table, wanted=False)
            run(connection, sql.delete_page(self.table, self.rows, *page))
            self._insert(connection, rows)
            self._save(connection, (None, 0, False))

        self._batch(replace)

    def _batch(self, do: "Callable[[Connection], None]") -> None:
        try:
            self.work.batch(self.target, do)
        except DatabaseError as error:
            if not is_duplicate(error):
                raise
            raise MismatchError(
                f"copy of {self.table.name} from {self.source} to {self.target}: {self.target} has "
                f"another row with a primary or unique key of a row to copy ({error})",
                next_step=f"compare the rows of {self.table.name} on both shards, and change or "
                f"remove the one on {self.target}",
            ) from error

    def _save(self, connection: "Connection", checkpoint: Checkpoint) -> None:
        key, copied, is_done = checkpoint
        last_key = None if key is None else sql.key_to_text(key)
        place = self.work.place(self.target)
        values = (last_key, copied, int(is_done))
        run(
            connection,
            sql.save_checkpoint(place, self.work.operation, self.table.name, values),
        )

    def _insert(self, connection: "Connection", rows: list[Row]) -> None:
        """Insert rows exactly as they were read, or raise."""
        if not rows:
            return
        if self.table.backend is Backend.SQLITE:
            mind_references(connection, self.table, wanted=True)
            taken = connection.exec_driver_sql(sql.insert_row(self.table), rows).rowcount
            self._check_taken(len(rows), taken, warnings=0)
            return
        mind_references(
            connection,
            self.table,
            wanted=bool(self.table.parents) and not self.table.refers_to_itself,
        )
        [(packet,)] = fetch(connection, sql.packet_size())
        head = sql.insert_head(self.table)
        for batch in self._split(rows, int(packet * _PACKET_SHARE) - len(head)):
            taken = _execute(connection, head + b",".join(batch))
            [(warnings,)] = fetch(connection, sql.warning_count())
            self._check_taken(len(batch), taken, warnings)

    def _split(self, rows: Sequence[bytes], room: int) -> Iterator[list[bytes]]:
        """Yield the rows in pieces that fit into a statement."""
        start = 0
        lengths = [len(row) + 1 for row in rows]
        while start < len(rows):
            if lengths[start] > room:
                raise self._too_long(
                    self.target, f"a row of it is {lengths[start]} bytes as an INSERT"
                )
            end = start + fitting(min(room, _BATCH_BYTES), lengths[start:])
            yield list(rows[start:end])
            start = end

    def _check_taken(self, sent: int, taken: int, warnings: int) -> None:
        if taken != sent or warnings:
            raise DatabaseError(
                f"copy of {self.table.name} to {self.target}: of {sent} rows the server took "
                f"{taken}, with {warnings} warnings, so they would not be the same there; the "
                "batch is rolled back",
                next_step=f"compare the definitions of {self.table.name} on {self.source} and "
                f"{self.target}, and look for triggers",
            )

    def _too_long(self, shard: str, what: str) -> DatabaseError:
        return DatabaseError(
            f"copy of {self.table.name}: {what}, more than max_allowed_packet of {shard} allows",
            next_step=f"SET GLOBAL max_allowed_packet on the server of {shard} to at least twice "
            "the longest row, then go on",
        )


def _execute(connection: "Connection", statement: bytes) -> int:
    """Run a statement of bytes as it is, which SQLAlchemy would take for text."""
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(statement)
        return cursor.rowcount
