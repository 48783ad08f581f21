"""Compare a table on two shards, both ways, page by page; and say whose rows are where.

A page is an interval of the primary key, so what is only there is found as well as what is missing
there.
"""

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.executor._ahead import read_ahead
from shardhash.db.executor._pages import FIRST, Page, Read, page_end, read_pages, write_pages
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._statements import PrimaryKey, fetch
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["PageMismatch", "compare_pages", "compare_tables", "verify_table"]

_PAGES_A_BATCH = 20
_LISTED_ROWS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PageMismatch:
    """A page whose rows are not the same on both shards, and the first of those rows.

    The page holds the primary keys of ``(after, until]``; None stands for an open end. The lists
    are of primary keys, ten at most each: rows that are missing on the target, rows that only the
    target has, and rows that differ.
    """

    table: str
    number: int
    after: PrimaryKey | None
    until: PrimaryKey | None
    source_rows: int
    target_rows: int
    missing: tuple[PrimaryKey, ...] = ()
    extra: tuple[PrimaryKey, ...] = ()
    differing: tuple[PrimaryKey, ...] = ()


def verify_table(
    work: RowWork, source: str, target: str, table: Table, rows: RowFilter, *, record: bool
) -> list[PageMismatch]:
    """Return the pages of a table that differ between two shards; no page means that all agree.

    With `record`, each page that agrees is written to the source's ``_shardhash_pages``, up to the
    first that does not, as proof for ``prune_pages``; a verification that was killed goes on after
    the last page recorded. So neither side may have changed since.
    """
    recorded = read_pages(work, source, table) if record else []
    start = recorded[-1] if recorded else FIRST
    if recorded:
        work.on_earlier_rows(sum(page.row_count for page in recorded))
    if start.number and start.until is None:
        return []
    agreed: list[Page] = []
    found: list[PageMismatch] = []
    pages = compare_pages(
        lambda: work.read(source), lambda: work.read(target), table, rows, start=start
    )
    with closing(pages):
        for page, mismatch in pages:
            if mismatch is not None:
                found.append(mismatch)
            elif record and not found:
                agreed.append(page)
            if len(agreed) >= _PAGES_A_BATCH or (agreed and page.until is None):
                write_pages(work, source, table, agreed)
                agreed.clear()
            work.on_rows(page.row_count)
    return found


def compare_tables(
    read_source: Read, read_target: Read, table: Table, rows: RowFilter | None = None
) -> list[PageMismatch]:
    """Return the pages of a table that differ between two shards; nothing is written."""
    chosen = RowFilter.all_rows() if rows is None else rows
    pages = compare_pages(read_source, read_target, table, chosen, start=FIRST)
    with closing(pages):
        return [mismatch for _, mismatch in pages if mismatch is not None]


def compare_pages(
    read_source: Read, read_target: Read, table: Table, rows: RowFilter, *, start: Page
) -> Generator[tuple[Page, PageMismatch | None], None, None]:
    """Yield the source's pages after the one of `start`, each with what is wrong in it, or None."""
    with closing(read_ahead(_source_pages(read_source, table, rows, start))) as pages:
        for page in pages:
            statement = sql.page_checksum(table, rows, page.after, page.until)
            with read_target() as connection:
                [(row_count, checksum)] = fetch(connection, statement)
            if (row_count, checksum) == (page.row_count, page.checksum):
                yield page, None
            else:
                with read_source() as ours, read_target() as theirs:
                    mismatch = _mismatch(ours, theirs, table, rows, page)
                yield page, mismatch  # no connection is held that a writer would wait for


def _source_pages(
    read: Read, table: Table, rows: RowFilter, start: Page
) -> Generator[Page, None, None]:
    number, after = start.number, start.until
    while True:
        number += 1
        with read() as connection:
            until = page_end(connection, table, after)
            statement = sql.page_checksum(table, rows, after, until)
            [(row_count, checksum)] = fetch(connection, statement)
        yield Page(number, after, until, row_count, checksum, is_pruned=row_count == 0)
        if until is None:
            return
        after = until


def _mismatch(
    ours: "Connection", theirs: "Connection", table: Table, rows: RowFilter, page: Page
) -> PageMismatch:
    statement = sql.page_digests(table, rows, page.after, page.until)
    here = {row[:-1]: row[-1] for row in fetch(ours, statement)}
    there = {row[:-1]: row[-1] for row in fetch(theirs, statement)}
    return PageMismatch(
        table=table.name,
        number=page.number,
        after=page.after,
        until=page.until,
        source_rows=len(here),
        target_rows=len(there),
        missing=_first(key for key in here if key not in there),
        extra=_first(key for key in there if key not in here),
        differing=_first(
            key for key in here if key in there and (here[key] is None or here[key] != there[key])
        ),
    )


def _first(keys: Iterable[PrimaryKey]) -> tuple[PrimaryKey, ...]:
    return tuple(islice(keys, _LISTED_ROWS))
