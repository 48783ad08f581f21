"""Keep deleted rows beside the shard, and put them back."""

from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.drivers import is_duplicate
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._statements import fetch, mind_references, run
from shardhash.db.schema import Table
from shardhash.errors import DatabaseError, MismatchError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["make_quarantine", "restore_quarantine"]

_BATCH_ROWS = 1_000


def make_quarantine(work: RowWork, shard: str, table: Table) -> None:
    """Create the quarantine table of a table unless it is there."""
    statement = sql.create_quarantine(work.place(shard), table)
    work.batch(shard, lambda connection: run(connection, statement))


def restore_quarantine(work: RowWork, shard: str, table: Table, operation: str) -> int:
    """Put the rows back that an operation has put in quarantine; return how many.

    Each batch is one transaction, so a call that was killed goes on where it was.

    Raises:
        MismatchError: a row with such a key is there now; it stays, and so does the quarantine.
    """
    place = work.place(shard)
    restored = 0
    while True:
        with work.read(shard) as connection:
            page = sql.quarantine_page(place, table, operation, _BATCH_ROWS)
            [(until,)] = fetch(connection, page)
        if until is None:
            return restored

        def restore(connection: "Connection", until: int = until) -> int:
            mind_references(connection, table, wanted=not table.refers_to_itself)
            count = run(connection, sql.leave_quarantine(place, table, operation, until))
            gone = run(connection, sql.clear_quarantine(place, table, operation, until))
            if gone != count:
                raise DatabaseError(
                    f"quarantine of {table.name} on {shard}: {count} rows were put back, but "
                    f"{gone} left the quarantine; the batch is rolled back",
                    next_step="look for another process that works on the quarantine",
                )
            return count

        try:
            count = work.batch(shard, restore, idempotent=False)
        except DatabaseError as error:
            if not is_duplicate(error):
                raise
            raise MismatchError(
                f"quarantine of {table.name} on {shard}: a row with the key of a row to put back "
                f"is there already ({error})",
                next_step=f"compare it with {sql.quarantine_table(place, table)}, remove one of "
                "them, then undo again",
            ) from error
        restored += count
        work.on_rows(count)
