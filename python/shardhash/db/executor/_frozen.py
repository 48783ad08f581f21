"""Look whether moving slots are still refused: a crash, or somebody, may have opened them again.

What was copied and compared is worth something only as long as no write came in between. A server
that was restored from a backup, or has lost its last commits, has forgotten the fence.
"""

from shardhash.db import guard, sql
from shardhash.db.executor._planned import planned_table
from shardhash.db.executor._runner import slots_of
from shardhash.db.executor._statements import fetch
from shardhash.db.executor._work import Work
from shardhash.db.guard import GuardedTable, SlotState
from shardhash.db.plan import Step
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter
from shardhash.db.topology import Backend
from shardhash.errors import MismatchError

__all__ = ["check_filled", "check_frozen"]


def check_frozen(work: Work, step: Step) -> None:
    """Refuse to go on with the transfer of a step where its source may take writes; only reads.

    Raises:
        MismatchError: a slot is not fenced, or a guard is missing, so rows may have changed since
            they were copied.
        PreflightError: a server could forget by its next crash what is written there now.
    """
    source, target = step.arguments["source"], step.arguments["target"]
    mapping = work.config.mapping(step.arguments["mapping"])
    with work.read(source) as connection:
        states = guard.read_slots(connection, work.place(source), mapping.state_name)
    missing = slots_of(step) - states[SlotState.FENCED]
    if missing:
        raise _changed(
            work,
            f"{len(missing)} slots of {mapping.name} are not fenced on {source} any more "
            f"({missing}): its server has lost commits, or somebody has changed them",
        )
    for shard in (source, target):
        _check_guards(work, step, shard)


def check_filled(work: Work, step: Step) -> None:
    """Refuse to make a target the owner that has no row of a table any more; only reads.

    No guard sees TRUNCATE: it may have emptied what was copied and compared.

    Raises:
        MismatchError: the source has rows of the slots, and the target has none.
    """
    source, target = step.arguments["source"], step.arguments["target"]
    mapping = work.config.mapping(step.arguments["mapping"])
    for rule in mapping.tables:
        table = planned_table(work, source, rule.name)
        rows = RowFilter.of_mapping(mapping, table.column(rule.key), slots_of(step), table.backend)
        if _has_rows(work, source, table, rows) and not _has_rows(work, target, table, rows):
            raise _changed(work, f"{target} has no row of {rule.name} any more: it was emptied")


def _has_rows(work: Work, shard: str, table: Table, rows: RowFilter) -> bool:
    with work.read(shard) as connection:
        return bool(fetch(connection, sql.filtered_page_end(table, rows, None, 1)))


def _check_guards(work: Work, step: Step, shard: str) -> None:
    mapping, place = work.config.mapping(step.arguments["mapping"]), work.place(shard)
    tables = [
        GuardedTable(planned_table(work, shard, rule.name), rule.key) for rule in mapping.tables
    ]
    with work.read(shard) as connection:
        if place.backend is Backend.MYSQL:
            guard.check_durable(
                connection, f"{step.arguments['target']} was to get slots of {mapping.name}"
            )
        faults = guard.find_guard_faults(connection, place, mapping, tables)
    if faults:
        told = "; ".join(f"of {each.table} for {each.event} {each.problem}" for each in faults)
        raise _changed(work, f"{shard} does not refuse writes any more: its guard {told}")


def _changed(work: Work, what: str) -> MismatchError:
    return MismatchError(
        f"{what}; rows may have changed since they were copied",
        next_step=f"take it back, and begin anew: shardhash op abort {work.id}",
    )
