"""Copy whole tables as they are at one moment, while the source goes on taking writes.

One read transaction sees all tables of that moment. After a crash there is no way back to it: a new
moment is taken, and pages that were copied are compared with it and replaced where they differ.

Where both shards are on one server it fills a page from the other by itself, as it is at that time.
What was written since the moment of the snapshot is found when all pages are compared with it, and
replaced.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.drivers import is_duplicate
from shardhash.db.executor._beside import readable_beside
from shardhash.db.executor._indexes import drop_indexes, make_indexes
from shardhash.db.executor._pages import Read
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._statements import run
from shardhash.db.executor._table_copy import TableCopy
from shardhash.db.executor._verify import PageMismatch, compare_tables
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter
from shardhash.db.topology import Backend
from shardhash.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["copy_snapshot"]


def copy_snapshot(
    work: RowWork, source: str, target: str, tables: Sequence[Table]
) -> tuple[dict[str, int], list[PageMismatch]]:
    """Copy all rows of tables, parents first, and compare them with the same moment's.

    Tables that are empty on the target get their indexes after their rows.

    Returns:
        The number of rows by table, and the pages that differ: none, unless somebody else wrote to
        the target.

    Raises:
        MismatchError: the target has other rows with a key of a row to copy.
        DatabaseError: a batch failed or was not taken exactly; it was rolled back.
    """
    counts: dict[str, int] = {}
    found: list[PageMismatch] = []
    beside = readable_beside(work, source, target, tables)
    with _snapshot(work, source) as read:
        copies = []
        for table in tables:
            # where indexes stay, moments would meet in them
            place = None if table.is_numbered_by_an_index else beside
            copies.append(
                TableCopy(
                    work=work,
                    source=source,
                    target=target,
                    table=table,
                    rows=RowFilter.all_rows(),
                    read=read,
                    beside=place,
                    may_change=place is not None,
                )
            )
        for copy in copies:
            if copy.has_begun():
                counts[copy.table.name] = copy.sync()
            else:
                drop_indexes(work, target, copy.table)
                counts[copy.table.name] = copy.copy()
        for copy in copies:
            _make_indexes(copy)
        for copy in copies:
            found.extend(_compare(copy))
    return counts, found


def _make_indexes(copy: TableCopy) -> None:
    """Make a table's indexes; pages of several moments may hold a unique value twice before."""
    make = partial(make_indexes, copy.work, copy.source, copy.target, copy.table)
    try:
        make()
    except DatabaseError as error:
        if not (copy.may_change and is_duplicate(error)):
            raise
        _replace(copy, _differing(copy))
        make()


def _compare(copy: TableCopy) -> list[PageMismatch]:
    """Return the pages that differ from the snapshot, after replacing those of a later moment."""
    found = _differing(copy)
    if found and copy.may_change:
        _replace(copy, found)
        found = _differing(copy)
    return found


def _differing(copy: TableCopy) -> list[PageMismatch]:
    return compare_tables(copy.read, lambda: copy.work.read(copy.target), copy.table)


def _replace(copy: TableCopy, pages: Sequence[PageMismatch]) -> None:
    copy.replace([(page.after, page.until) for page in pages])


@contextmanager
def _snapshot(work: RowWork, shard: str) -> Iterator[Read]:
    """Yield what gives the connection of a snapshot, to one thread at a time."""
    with work.read(shard) as connection:
        if work.backend(shard) is Backend.MYSQL:
            run(connection, sql.begin_snapshot())
        lock = Lock()

        @contextmanager
        def read() -> "Iterator[Connection]":
            with lock:
                yield connection

        yield read
