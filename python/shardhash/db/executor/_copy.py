"""Copy the rows of a filter to another shard, or remove such a copy."""

from typing import TYPE_CHECKING, Any

from shardhash.db import sql
from shardhash.db.executor._beside import database_beside
from shardhash.db.executor._indexes import drop_indexes, make_indexes
from shardhash.db.executor._pages import iter_pages
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._statements import has_other_children, mind_references, run
from shardhash.db.executor._table_copy import TableCopy
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["copy_table", "delete_copy"]


def copy_table(
    work: RowWork,
    source: str,
    target: str,
    table: Table,
    rows: RowFilter,
    *,
    sync: bool = False,
    fresh: bool = False,
) -> int:
    """Copy the filter's rows from `source` to `target` and return how many there are.

    Without `sync` the source's rows must not change meanwhile, and a checkpoint of this operation
    is gone on from. With `sync` every page is compared by checksum, and one that differs is
    replaced, so that a copy of an older state becomes one of the present. With `fresh` the target's
    table was made by this operation as the source's is: it gets its indexes after its rows.

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
        beside=None if sync else database_beside(work, source, target),
    )
    if sync:
        return copy.sync()
    if fresh and not copy.has_begun():
        drop_indexes(work, target, table)
    copied = copy.copy()
    if fresh:
        make_indexes(work, source, target, table)
    return copied


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
            mind_references(connection, table, wanted=has_other_children(table))
            return run(connection, sql.delete_page(table, rows, after, until))

        count = work.batch(shard, delete)
        deleted += count
        work.on_rows(count)
    return deleted
