"""Pages of a table: where each ends, and the record of those that were verified."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._statements import PrimaryKey, fetch, run
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "FIRST",
    "Interval",
    "Page",
    "Read",
    "fitting",
    "forget_pages",
    "iter_pages",
    "page_end",
    "read_pages",
    "write_pages",
]

_PAGE_ROWS = 5_000
_PAGE_BYTES = 4_000_000

Read = Callable[[], "AbstractContextManager[Connection]"]
Interval = tuple[PrimaryKey | None, PrimaryKey | None]
"""Primary keys of ``(after, until]``; None stands for an open end."""


@dataclass(frozen=True, slots=True)
class Page:
    """What was found in the primary keys of ``(after, until]``; None stands for an open end."""

    number: int
    after: PrimaryKey | None
    until: PrimaryKey | None
    row_count: int
    checksum: int
    is_pruned: bool = False


FIRST = Page(0, None, None, 0, 0)
"""What stands before the first page."""


def page_end(connection: "Connection", table: Table, after: PrimaryKey | None) -> PrimaryKey | None:
    """Return the primary key that ends the page after a key; None if the page is the last.

    A page has a bounded number of rows, and few enough of long ones to be held in memory.
    """
    sizes = sql.read_row_sizes(table, RowFilter.all_rows(), after, _PAGE_ROWS)
    if sizes is None:
        ends = fetch(connection, sql.next_page(table, after, _PAGE_ROWS))
        return ends[0] if ends else None
    found = fetch(connection, sizes)
    count = fitting(_PAGE_BYTES, [row[-1] for row in found])
    return None if count == len(found) < _PAGE_ROWS else found[count - 1][:-1]


def iter_pages(read: Read, table: Table) -> Iterator[Interval]:
    """Yield pages ``(after, until]`` that together hold every primary key there can be."""
    after = None
    while True:
        with read() as connection:
            until = page_end(connection, table, after)
        yield after, until
        if until is None:
            return
        after = until


def fitting(room: float, sizes: Sequence[float]) -> int:
    """Return how many of the first items fit, at least one of those there are."""
    total = 0.0
    for count, size in enumerate(sizes):
        total += size
        if total > room and count:
            return count
    return len(sizes)


def read_pages(work: RowWork, shard: str, table: Table) -> list[Page]:
    """Return the pages of a table that this operation has recorded on a shard."""
    statement = sql.read_pages(work.place(shard), work.operation, table.name)
    with work.read(shard) as connection:
        found = fetch(connection, statement)
    return [
        Page(number, _key(after), _key(until), row_count, checksum, bool(is_pruned))
        for number, after, until, row_count, checksum, is_pruned in found
    ]


def write_pages(work: RowWork, shard: str, table: Table, pages: Sequence[Page]) -> None:
    """Record pages of a table on a shard, in one transaction."""
    values = [
        (
            *(page.number, _text(page.after), _text(page.until)),
            *(page.row_count, page.checksum, int(page.is_pruned)),
        )
        for page in pages
    ]
    statement = sql.add_pages(work.place(shard), work.operation, table.name, values)
    work.batch(shard, lambda connection: run(connection, statement))


def forget_pages(work: RowWork, shard: str, table: str) -> None:
    """Delete what this operation recorded of a table on a shard."""
    statement = sql.drop_pages(work.place(shard), work.operation, table)
    work.batch(shard, lambda connection: run(connection, statement))


def _text(key: PrimaryKey | None) -> str | None:
    return None if key is None else sql.key_to_text(key)


def _key(text: str | None) -> PrimaryKey | None:
    return None if text is None else sql.key_from_text(text)
