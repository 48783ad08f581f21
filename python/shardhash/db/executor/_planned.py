"""Read tables as a plan knows them: whoever alters one while its rows move stops the operation."""

from shardhash.db.executor._work import Work
from shardhash.db.inspect import inspect_table
from shardhash.db.schema import Table
from shardhash.errors import MismatchError

__all__ = ["planned_table"]


def planned_table(work: Work, shard: str, name: str) -> Table:
    """Return a table, which is what it was when the plan was made.

    Raises:
        MismatchError: its columns, keys, triggers or references are others: what was copied or
            compared before would not be what is there now.
    """
    with work.read(shard) as connection:
        table = inspect_table(connection, name, work.backend(shard))
    if work.plan.fingerprints.get(f"{shard}.{name}", table.fingerprint) != table.fingerprint:
        raise MismatchError(
            f"table {name} of {shard} changed since the plan was made: its columns, keys, triggers "
            "or references are others",
            next_step=f"change {name} back to what it was",
        )
    return table
