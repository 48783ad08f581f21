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
    """What a prune by pages did, to one page or to several.

    Attributes:
        deleted: rows that it deleted.
        kept: rows of the pages that stayed.
        gone_already: rows that somebody else had deleted since they were verified.
        kept_pages: the pages that stayed, in their order.
    """

    deleted: int = 0
    kept: int = 0
    gone_already: int = 0
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
    recorded = read_pages(work, shard, table)
    pages = [page for page in recorded if not page.is_pruned]
    if len(pages) < len(recorded):
        work.on_earlier_rows(sum(page.row_count for page in recorded if page.is_pruned))
    lanes = 1 if table.backend is Backend.SQLITE else _LANES

    def prune(page: Page) -> PrunedPages:
        pruning = _PagePrune(work, shard, table, rows, page, quarantine)
        return work.batch(shard, pruning.run)

    pruned: list[PrunedPages] = []
    with closing(in_lanes(prune, pages, lanes)) as outcomes:
        for each in outcomes:
            pruned.append(each)
            work.on_rows(each.deleted + each.kept)
    kept_pages = [page for each in pruned for page in each.kept_pages]
    return PrunedPages(
        deleted=sum(each.deleted for each in pruned),
        kept=sum(each.kept for each in pruned),
        gone_already=sum(each.gone_already for each in pruned),
        kept_pages=tuple(sorted(kept_pages, key=lambda page: page.number)),
    )


@dataclass(slots=True)
class _PagePrune:
    """One page, in one transaction, which may be run again where its commit was not heard of.

    ``tried`` is what the last try has done, should its commit have arrived.
    """

    work: RowWork
    shard: str
    table: Table
    rows: RowFilter
    page: Page
    quarantine: bool
    tried: PrunedPages = PrunedPages()

    def run(self, connection: "Connection") -> PrunedPages:
        """Delete the page's rows if they are what they were; return what became of them."""
        table, rows, after, until = self.table, self.rows, self.page.after, self.page.until
        place, operation = self.work.place(self.shard), self.work.operation
        lock_file(connection, table)
        [(is_pruned,)] = fetch(
            connection, sql.read_pruned(place, operation, table.name, self.page.number)
        )
        if is_pruned:  # by a try whose commit was not heard of
            return self.tried
        mind_references(connection, table, wanted=has_other_children(table))
        [(count, checksum)] = fetch(
            connection, sql.page_checksum(table, rows, after, until, lock=True)
        )
        if count == 0:  # there is nothing left to go
            self.tried = PrunedPages(gone_already=self.page.row_count)
        elif (count, checksum) == (self.page.row_count, self.page.checksum):
            self._delete(connection)
            self.tried = PrunedPages(deleted=count)
        else:
            return PrunedPages(kept=count, kept_pages=(self.page,))
        run(connection, sql.mark_pruned(place, operation, table.name, self.page.number))
        return self.tried

    def _delete(self, connection: "Connection") -> None:
        table, rows, after, until = self.table, self.rows, self.page.after, self.page.until
        if self.quarantine:
            place, operation = self.work.place(self.shard), self.work.operation
            taken = run(
                connection, sql.enter_quarantine(place, table, operation, rows, after, until)
            )
            self._check(taken, "put in quarantine")
        deleted = run(connection, sql.delete_page(table, rows, after, until))
        self._check(deleted, "deleted")

    def _check(self, count: int, what: str) -> None:
        if count != self.page.row_count:
            raise DatabaseError(
                f"{self.shard}.{self.table.name}: {self.page.row_count} locked rows were to go, "
                f"the server has {what} {count}; the batch is rolled back",
                next_step="look for triggers or rules on the table, then go on",
            )
