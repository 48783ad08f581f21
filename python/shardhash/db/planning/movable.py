"""What has to be true of a table before its rows can be moved to another shard. Pure."""

from collections.abc import Collection, Sequence
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field

from shardhash.db.planning.hazards import RowHazards, check_hazards
from shardhash.db.planning.prune import check_itself, check_table
from shardhash.db.schema import ForeignKey, Table, differences
from shardhash.db.topology import Backend, KeyType, TableRule
from shardhash.errors import PreflightError

__all__ = [
    "MovableFacts",
    "check_movable",
    "check_names",
    "counts_from_highest",
    "numbers_itself",
    "parents_first",
    "tables_parents_first",
]

_COUNTED_TYPES = frozenset({"bigint"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MovableFacts:
    """What was read of one table before rows of it move.

    Attributes:
        target: the table where they go; None where the operation makes it.
        rows: rows of the slots that move, exact.
        null_keys: rows of the source without a key; they stay.
        stale_rows: rows of these slots that are on the target already.
        shared_ids: how many primary keys of the moving rows are on the target, and the first ten.
        shared_values: by unique key, how many moving rows hold a value that the target has.
        size_bytes: of the moving rows, from the server's statistics.
        hazards: rows that would not arrive as they are.
    """

    rule: TableRule
    key_type: KeyType
    source: Table
    target: Table | None = None
    rows: int = 0
    null_keys: int = 0
    stale_rows: int = 0
    shared_ids: tuple[int, Sequence[object]] = (0, ())
    shared_values: MappingABC[str, int] = field(default_factory=dict)
    size_bytes: int | None = None
    hazards: RowHazards = field(default_factory=RowHazards)

    @property
    def name(self) -> str:
        """The table's name."""
        return self.source.name


def check_movable(facts: MovableFacts, source: str, target: str, *, sync: bool = False) -> None:
    """Raise PreflightError unless rows can be copied to the target and deleted here exactly.

    With ``sync`` rows that are on the target already are compared, and replaced if they differ.
    """
    check_table(facts.source, "moved")
    if facts.source.backend is Backend.SQLITE:
        check_itself(facts.source, "moved")
    _check_triggers(facts.source, source)
    _check_equal_triggers(facts, source, target)
    _check_references(facts.source)
    _check_ids(facts.source)
    check_hazards(facts.source, facts.hazards, "moved", target)
    if facts.target is None:
        return
    check_table(facts.target, "moved")
    _check_triggers(facts.target, target)
    found = differences(facts.source, facts.target)
    if found:
        raise PreflightError(
            f"table {facts.name} cannot be moved: {source} and {target} differ in "
            f"{'; '.join(found)}",
            next_step="make the tables equal, then plan again",
        )
    if sync:
        return
    if facts.stale_rows:
        raise PreflightError(
            f"{target} holds {facts.stale_rows} rows of {facts.name} in these slots already, which "
            f"it does not own",
            next_step=f"shardhash shard prune {target}, then plan again",
        )
    count, first = facts.shared_ids
    if count:
        raise PreflightError(
            f"{count} rows of {facts.name} have a primary key that another row has on {target}; "
            f"the first: {', '.join(map(str, first))}",
            next_step="give one of each pair another primary key, then plan again",
        )
    for key, number in sorted(facts.shared_values.items()):
        raise PreflightError(
            f"{number} rows of {facts.name} hold a value of unique key {key} that another row has "
            f"on {target}",
            next_step="give one of each pair another value, then plan again",
        )


def _check_triggers(table: Table, shard: str) -> None:
    found = [
        trigger.name
        for trigger in table.triggers
        if not trigger.is_own and trigger.event in ("INSERT", "DELETE")
    ]
    if found:
        raise PreflightError(
            f"table {table.name} cannot be moved: on {shard} trigger {', '.join(found)} would take "
            "copied and deleted rows for the application's",
            next_step="drop the trigger for the time of the operation",
        )


def _check_equal_triggers(facts: MovableFacts, source: str, target: str) -> None:
    """Refuse a target on which an UPDATE would do other things than on the source."""
    here = {(each.timing, each.event, each.name) for each in facts.source.user_triggers}
    there = facts.target.user_triggers if facts.target else ()
    missing = here - {(each.timing, each.event, each.name) for each in there}
    if missing:
        names = ", ".join(sorted(name for _, _, name in missing))
        raise PreflightError(
            f"table {facts.name} cannot be moved: trigger {names} of {source} is not on {target}, "
            "where an UPDATE would not do the same",
            next_step=f"make it on {target} first (shardhash shard allocate makes a new shard "
            "without triggers), or drop it",
        )


def _check_references(table: Table) -> None:
    for key in table.children:
        if key.changes_rows or key.updates_rows:
            raise PreflightError(
                f"table {table.name} cannot be moved: foreign key {key.name} of {key.table} says "
                f"ON DELETE {key.on_delete} ON UPDATE {key.on_update}, which changes rows unseen",
                next_step=f"make {key.name} RESTRICT on both",
            )


def _check_ids(table: Table) -> None:
    """Refuse counters that are too small for a band of their own on each shard."""
    if not numbers_itself(table) or table.backend is Backend.SQLITE:
        return
    column = table.column(table.auto_increment or "")
    if column.data_type not in _COUNTED_TYPES:
        raise PreflightError(
            f"table {table.name} cannot be moved: its key {column.name} is {column.definition} "
            "AUTO_INCREMENT, too small for ids that are unique over all shards",
            next_step=f"ALTER TABLE {table.name} MODIFY {column.name} BIGINT NOT NULL "
            "AUTO_INCREMENT",
        )


def numbers_itself(table: Table) -> bool:
    """Tell whether the primary key is nothing but a number that the server counts up."""
    return table.auto_increment is not None and table.primary_key == (table.auto_increment,)


def counts_from_highest(table: Table) -> bool:
    """Tell whether SQLite numbers rows without a counter that could be given a band."""
    if table.backend is not Backend.SQLITE or table.auto_increment or len(table.primary_key) != 1:
        return False
    return table.column(table.primary_key[0]).definition.upper() == "INTEGER"


def check_names(facts: Sequence[MovableFacts], global_tables: Sequence[str]) -> None:
    """Raise PreflightError where a table refers to one whose rows do not move with it."""
    here = {each.name.lower() for each in facts} | {name.lower() for name in global_tables}
    for each in facts:
        for key in (*each.source.parents, *each.source.children):
            other = _other_end(key, each.source)
            if other.lower() not in here:
                raise PreflightError(
                    f"table {each.name} cannot be moved: foreign key {key.name} ties it to "
                    f"{other}, which is no table of the mapping",
                    next_step=f"add {other} to the mapping's tables, or drop {key.name}",
                )


def _other_end(key: ForeignKey, table: Table) -> str:
    return key.table if key.parent.lower() == table.name.lower() else key.parent


def parents_first(facts: Sequence[MovableFacts]) -> list[MovableFacts]:
    """Return the facts in the order of ``tables_parents_first``."""
    by_name = {each.name: each for each in facts}
    ordered = tables_parents_first([each.source for each in facts])
    return [by_name[table.name] for table in ordered]


def tables_parents_first(tables: Sequence[Table]) -> list[Table]:
    """Return the tables so that each comes after those that it refers to.

    Raises:
        PreflightError: they refer to one another in a circle.
    """
    left = {table.name: table for table in tables}
    ordered: list[Table] = []
    while left:
        free = [name for name, table in left.items() if not _parents(table, left)]
        if not free:
            raise PreflightError(
                f"tables {', '.join(table.name for table in left.values())} refer to one another "
                "in a circle, so no order of copying keeps their references",
                next_step="drop one of the references for the time of the operation",
            )
        ordered.extend(left.pop(name) for name in free)
    return ordered


def _parents(table: Table, names: Collection[str]) -> set[str]:
    """Return which of some tables a table refers to, itself left out.

    References may have a name in another case, but there may be tables of both names.
    """
    found = set()
    for key in table.parents:
        alike = {name for name in names if name.lower() == key.parent.lower()}
        found |= {key.parent} if key.parent in alike else alike
    return found - {table.name}
