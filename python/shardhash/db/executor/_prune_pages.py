"""Prune the source of a move by the pages that its verification recorded.

Since before the verification no application could change a row of the moved slots here. So a page
may go when it is, in the deleting transaction and under its lock, what it was when both shards
agreed on it; the owner's present rows are not asked, because the owner has taken writes since.
"""

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.executor._lanes import in_lanes
from shardhash.db.executor._pages import Page, read_pages
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._quarantine import make_quarantine
from shardhash.db.executor._statements import (
    fetch,
    has_other_children,
    lock_file,
    mind_references,
    run,
)
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter
from shardhash.db.topology import Backend
from shardhash.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["PrunedPages", "prune_pages"]


_LANES = 2  # two connections delete beside each other; more gained nothing on two cores


@dataclass(frozen=True, slots=True)
class PrunedPages:
    """What a prune by pages did: rows that went and stayed, and the pages that stayed."""

    deleted: int
    kept: int
    kept_pages: tuple[Page, ...] = ()


def prune_pages(
    work: RowWork, shard: str, table: Table, rows: RowFilter, *, quarantine: bool = False
) -> PrunedPages:
    """Delete the filter's rows of each recorded page that is as it was recorded.

    A page that is not stays whole; the caller decides what that means. Running it again goes on.

    Raises:
        DatabaseError: a batch failed; it was rolled back, those before it are whole.
    """
    if quarantine:
        make_quarantine(work, shard, table)
    pages = [page for page in read_pages(work, shard, table) if not page.is_pruned]
    lanes = 1 if table.backend is Backend.SQLITE else _LANES

    def prune(page: Page) -> tuple[Page, bool, int]:
        pruning = _PagePrune(work, shard, table, rows, page, quarantine)
        return page, *work.batch(shard, pruning.run)

    deleted = kept = 0
    kept_pages: list[Page] = []
    with closing(in_lanes(prune, pages, lanes)) as outcomes:
        for page, is_gone, count in outcomes:
            if is_gone:
                deleted += count
            else:
                kept += count
                kept_pages.append(page)
            work.on_rows(count)
    kept_pages.sort(key=lambda page: page.number)
    return PrunedPages(deleted, kept, tuple(kept_pages))


@dataclass(frozen=True, slots=True)
class _PagePrune:
    """One page, in one transaction."""

    work: RowWork
    shard: str
    table: Table
    rows: RowFilter
    page: Page
    quarantine: bool

    def run(self, connection: "Connection") -> tuple[bool, int]:
        """Return whether the page's rows are gone, and how many they are."""
        table, rows, after, until = self.table, self.rows, self.page.after, self.page.until
        place, operation = self.work.place(self.shard), self.work.operation
        lock_file(connection, table)
        [(is_pruned,)] = fetch(
            connection, sql.read_pruned(place, operation, table.name, self.page.number)
        )
        if is_pruned:  # by a try whose commit was not heard of
            return True, self.page.row_count
        mind_references(connection, table, wanted=has_other_children(table))
        [(count, checksum)] = fetch(
            connection, sql.page_checksum(table, rows, after, until, lock=True)
        )
        if count and (count, checksum) != (self.page.row_count, self.page.checksum):
            return False, count
        if not count:  # somebody was quicker: there is nothing left to go
            run(connection, sql.mark_pruned(place, operation, table.name, self.page.number))
            return True, 0
        if self.quarantine:
            taken = run(
                connection, sql.enter_quarantine(place, table, operation, rows, after, until)
            )
            self._check(taken, "put in quarantine")
        deleted = run(connection, sql.delete_page(table, rows, after, until))
        self._check(deleted, "deleted")
        run(connection, sql.mark_pruned(place, operation, table.name, self.page.number))
        return True, count

    def _check(self, count: int, what: str) -> None:
        if count != self.page.row_count:
            raise DatabaseError(
                f"{self.shard}.{self.table.name}: {self.page.row_count} locked rows were to go, "
                f"the server has {what} {count}; the batch is rolled back",
                next_step="look for triggers or rules on the table, then go on",
            )
