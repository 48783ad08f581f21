"""Read tables as a plan knows them: whoever alters one while its rows move stops the operation."""

from collections.abc import Iterator

from shardhash.db.executor._statements import has_other_children
from shardhash.db.executor._work import Work
from shardhash.db.inspect import inspect_table
from shardhash.db.plan import Step
from shardhash.db.schema import Table, row_fingerprint
from shardhash.errors import MismatchError

__all__ = ["planned_table", "table_to_prune"]


def planned_table(work: Work, shard: str, name: str) -> Table:
    """Return a table, which is what it was when the plan was made.

    Raises:
        MismatchError: its columns, keys, triggers or references are others: what was copied or
            compared before would not be what is there now.
    """
    table = _read(work, shard, name)
    if work.plan.fingerprints.get(f"{shard}.{name}", table.fingerprint) != table.fingerprint:
        raise _changed(shard, name, "columns, keys, triggers or references")
    return table


def table_to_prune(work: Work, shard: str, step: Step) -> Table:
    """Return the table of a step that deletes the old rows of a transfer page by page.

    The flip cannot be taken back, so no more is asked than the delete needs. Each page's checksum
    proves its rows, whatever has become unique since, and whoever refers to them.

    Raises:
        MismatchError: its columns or primary key are others than when the plan was made, or
            deleting its rows would change more than these rows.
    """
    name = step.table or ""
    table = _read(work, shard, name)
    planned = work.plan.fingerprints.get(f"{shard}.{name}", table.fingerprint)
    if row_fingerprint(planned) != row_fingerprint(table.fingerprint):
        raise _changed(shard, name, "columns or primary key")
    mapping = work.config.mapping(step.arguments["mapping"])
    moved = {rule.name.lower() for rule in mapping.tables}
    known = moved | {each.lower() for each in mapping.global_tables}
    for hindrance, remedy in _hindrances(table, known):
        raise MismatchError(
            f"the old rows of {name} on {shard} cannot be deleted alone: {hindrance}",
            next_step=f"{remedy} for the time of the operation",
        )
    return table


def _hindrances(table: Table, known: set[str]) -> Iterator[tuple[str, str]]:
    """Yield what a DELETE would do beside deleting its rows, and what helps against it."""
    for trigger in table.delete_triggers:
        yield f"DELETE fires trigger {trigger}", f"drop {trigger}"
    for key in table.children:
        if key.changes_rows:
            yield (
                f"foreign key {key.name} of {key.table} says ON DELETE {key.on_delete}",
                f"make {key.name} ON DELETE RESTRICT",
            )
        if not has_other_children(table) and key.table.lower() not in known:
            why = f"is new, and is not checked as {table.name} refers to itself"
            yield f"foreign key {key.name} of {key.table} {why}", f"drop {key.name}"


def _read(work: Work, shard: str, name: str) -> Table:
    with work.read(shard) as connection:
        return inspect_table(connection, name, work.backend(shard))


def _changed(shard: str, name: str, what: str) -> MismatchError:
    return MismatchError(
        f"table {name} of {shard} changed since the plan was made: its {what} are others",
        next_step=f"change {name} back to what it was",
    )
