"""Copy whole tables as they are at one moment, while the source goes on taking writes.

One read transaction sees all tables of that moment. After a crash there is no way back to it: a new
moment is taken, and pages that were copied are compared with it and replaced where they differ.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.executor._indexes import drop_indexes, make_indexes
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._statements import run
from shardhash.db.executor._table_copy import TableCopy
from shardhash.db.executor._verify import PageMismatch, compare_tables
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter
from shardhash.db.topology import Backend

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
    with _snapshot(work, source) as snapshot:
        for table in tables:
            copy = TableCopy(
                work=work,
                source=source,
                target=target,
                table=table,
                rows=RowFilter.all_rows(),
                read=lambda: nullcontext(snapshot),
            )
            if copy.has_begun():
                counts[table.name] = copy.sync()
            else:
                drop_indexes(work, target, table)
                counts[table.name] = copy.copy()
        for table in tables:
            make_indexes(work, source, target, table)
        for table in tables:
            found.extend(
                compare_tables(lambda: nullcontext(snapshot), lambda: work.read(target), table)
            )
    return counts, found


@contextmanager
def _snapshot(work: RowWork, shard: str) -> "Iterator[Connection]":
    with work.read(shard) as connection:
        if work.backend(shard) is Backend.MYSQL:
            run(connection, sql.begin_snapshot())
        yield connection
