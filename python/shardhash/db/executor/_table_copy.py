"""The copy of one table: what is copied already, what comes next.

Each batch is one transaction on the target together with its checkpoint, so that a copy which was
killed goes on where its last commit was.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.drivers import is_duplicate
from shardhash.db.executor._ahead import read_ahead
from shardhash.db.executor._exact import ExactWriter, Row
from shardhash.db.executor._pages import Interval, Read, fitting, iter_pages
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._statements import PrimaryKey, fetch, mind_references, run
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter
from shardhash.db.topology import Backend
from shardhash.errors import DatabaseError, MismatchError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["TableCopy"]

_PAGE_ROWS = 5_000
_NO_LIMIT = 2**31 - 1
_PAGE_BYTES = 4_000_000
_BLOCK_BYTES = 1_000_000
_TEXT_BYTES = 3_000_000  # far above a block, far below the default max_allowed_packet

Checkpoint = tuple[PrimaryKey | None, int, bool]
"""The last primary key copied, the number of rows copied, and whether they are all."""


@dataclass(frozen=True, slots=True)
class _Block:
    """The rows of a page: each, or all in one text, or none where they are beside the target."""

    page: Interval
    row_count: int
    is_last: bool
    rows: list[Row] | None = None
    text: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCopy:
    """The copy of one table; ``read`` gives a connection to the source.

    ``beside`` is the source's database where it is on the target's server: then that server copies
    by itself. Where the rows ``may_change`` it copies what is there when it comes to a page, locks
    nothing, and the pages must be compared with ``read`` afterwards, and replaced if they differ.
    """

    work: RowWork
    source: str
    target: str
    table: Table
    rows: RowFilter
    read: Read
    beside: str | None = None
    may_change: bool = False
    _row_bytes: list[float] = field(default_factory=lambda: [_BLOCK_BYTES / 500])

    def copy(self) -> int:
        """Copy what the checkpoint says is not copied yet; return the number of rows of all."""
        with self.work.read(self.target) as connection:
            after, copied, is_done = self._checkpoint(connection)
        if copied:
            self.work.on_earlier_rows(copied)
        if is_done:
            return copied
        if self.may_change:  # a batch that does not lock what it reads locks this record alone
            self._batch(lambda connection: self._save(connection, (after, copied, False)))
        with closing(read_ahead(self._blocks(after))) as blocks:
            for block in blocks:
                copied += block.row_count
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
        self._fill(differing)
        self._batch(lambda connection: self._save(connection, (None, copied, True)))
        return copied

    def replace(self, pages: Sequence[Interval]) -> None:
        """Make pages of the target equal to the source's, as ``sync`` does."""
        for page in pages:
            self._replace(page, [])
        self._fill(pages)

    def _fill(self, pages: Sequence[Interval]) -> None:
        for page in pages:
            with self.read() as connection:
                _, rows = self._read(connection, page, _NO_LIMIT)
            self._replace(page, rows)
            self.work.on_rows(len(rows))

    def has_begun(self) -> bool:
        """Tell whether an earlier try may have left rows."""
        with self.work.read(self.target) as connection:
            return bool(fetch(connection, self._saved()))

    def _saved(self, lock: str = "") -> sql.Statement:
        place = self.work.place(self.target)
        return sql.read_checkpoint(place, self.work.operation, self.table.name, lock=lock)

    def _checkpoint(self, connection: "Connection", lock: str = "") -> Checkpoint:
        found = fetch(connection, self._saved(lock))
        if not found:
            return None, 0, False
        [(last_key, row_count, is_done)] = found
        after = None if last_key is None else sql.key_from_text(last_key)
        return after, int(row_count), bool(is_done)

    @property
    def _writer(self) -> ExactWriter:
        return ExactWriter(self.table, self.source, self.target)

    def _blocks(self, after: PrimaryKey | None) -> Generator[_Block, None, None]:
        """Yield the rows after a key; each block is read in a transaction of its own."""
        next_block = self._next_block()
        while True:
            with self.read() as connection:
                block = next_block(connection, after)
            yield block
            if block.is_last:
                return
            after = block.page[1]

    def _next_block(self) -> "Callable[[Connection, PrimaryKey | None], _Block]":
        if self.beside is not None:
            return self._count_block
        if self.table.backend is Backend.SQLITE:
            return self._read_block
        with self.work.read(self.target) as connection:
            room = min(_TEXT_BYTES, self._writer.room(connection))
        return partial(self._read_text, room)

    def _limit(self) -> int:
        return max(1, min(_PAGE_ROWS, int(_BLOCK_BYTES / self._row_bytes[0])))

    def _read_text(self, room: int, connection: "Connection", after: PrimaryKey | None) -> _Block:
        """Read rows as one text that fits into a statement, or one by one if they do not."""
        limit = self._limit()
        ends = fetch(connection, sql.filtered_page_end(self.table, self.rows, after, limit))
        page = (after, ends[0] if ends else None)
        run(connection, sql.allow_long_texts(room))
        [(count, text)] = fetch(connection, sql.read_page_text(self.table, self.rows, *page))
        [(warnings,)] = fetch(connection, sql.warning_count())
        if warnings:
            return self._read_block(connection, after)
        if count:
            self._row_bytes[0] = len(text) / count
        return _Block(page, count, is_last=not ends, text=text or b"")

    def _read_block(self, connection: "Connection", after: PrimaryKey | None) -> _Block:
        limit = self._limit()
        until = None
        sizes = sql.read_row_sizes(self.table, self.rows, after, limit)
        if sizes is not None:
            found = fetch(connection, sizes)
            count = fitting(_PAGE_BYTES, [row[-1] for row in found])
            until = found[count - 1][:-1] if count < len(found) else None
        last_key, rows = self._read(connection, (after, until), limit)
        is_last = until is None and len(rows) < limit
        return _Block((after, last_key or after), len(rows), is_last, rows=rows)

    def _count_block(self, connection: "Connection", after: PrimaryKey | None) -> _Block:
        ends = fetch(connection, sql.filtered_page_end(self.table, self.rows, after, _PAGE_ROWS))
        if ends:
            return _Block((after, ends[0]), _PAGE_ROWS, is_last=False)
        [(count,)] = fetch(connection, sql.count_page(self.table, self.rows, after))
        return _Block((after, None), count, is_last=True)

    def _read(
        self, connection: "Connection", page: Interval, limit: int
    ) -> tuple[PrimaryKey | None, list[Row]]:
        """Return the last primary key and the rows of the first ones of a page."""
        found = fetch(connection, sql.read_page(self.table, self.rows, *page, limit))
        if not found:
            return None, []
        width = len(self.table.primary_key)
        last_key = found[-1][:width]
        if self.table.backend is Backend.SQLITE:
            return last_key, [row[width:] for row in found]
        rows = [row[width] for row in found]
        if None in rows:
            raise self._writer.too_long(self.source, "its server cannot write one of its rows down")
        self._row_bytes[0] = max(1.0, sum(map(len, rows)) / len(rows))
        return last_key, rows

    def _write(self, block: _Block, copied: int) -> None:
        """Insert a block in one transaction, with the checkpoint, unless that was done before."""
        checkpoint = (block.page[1], copied, block.is_last)

        def insert(connection: "Connection") -> None:
            # a try whose answer was lost may be committing just now: the lock waits for it
            if self._checkpoint(connection, "exclusive") == checkpoint:
                return
            self._insert(connection, block)
            self._save(connection, checkpoint)

        self._batch(insert, locks_reads=not self.may_change)
        self.work.on_rows(block.row_count)

    def _insert(self, connection: "Connection", block: _Block) -> None:
        if block.rows is not None:
            self._writer.insert(connection, block.rows)
        elif block.text is None:
            assert self.beside is not None, "rows that are nowhere else are beside the target"
            count = None if self.may_change else block.row_count
            if block.row_count:
                self._writer.insert_beside(connection, self.beside, self.rows, block.page, count)
        elif block.row_count:
            self._writer.insert_text(connection, block.text, block.row_count)

    def _replace(self, page: Interval, rows: list[Row]) -> None:
        """Put rows in the place of those of a page, in one transaction."""

        def replace(connection: "Connection") -> None:
            mind_references(connection, self.table, wanted=False)
            run(connection, sql.delete_page(self.table, self.rows, *page))
            self._writer.insert(connection, rows)
            self._save(connection, (None, 0, False))

        self._batch(replace)

    def _batch(self, do: "Callable[[Connection], None]", *, locks_reads: bool = True) -> None:
        try:
            self.work.batch(self.target, do, locks_reads=locks_reads)
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
