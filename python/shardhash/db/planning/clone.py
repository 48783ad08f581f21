"""Plan a clone of a shard, and the removal of a shard or clone. Pure."""

from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import dataclass, field

from shardhash.db.plan import Plan, Step, StepKind
from shardhash.db.planning.allocate import create_database
from shardhash.db.planning.hazards import RowHazards, check_hazards, check_room
from shardhash.db.planning.prune import check_itself, check_pages
from shardhash.db.schema import Table
from shardhash.db.topology import Backend, Mapping, RingRule
from shardhash.errors import PreflightError

__all__ = [
    "CloneFacts",
    "RemoveFacts",
    "check_drainable",
    "plan_clone",
    "plan_removal",
    "removal_steps",
    "removal_warnings",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneFacts:
    """A shard to be copied whole.

    Attributes:
        tables: all tables of its database, parents first, with their rows.
        programs: its views, triggers and routines, by kind and name.
        mappings: those that the source is in.
        hazards: by table, rows that would not arrive as they are.
        size_bytes: of all tables, from the server's statistics.
        free_bytes: what is known to be free where the copy is made.
        is_elsewhere: whether that is another instance than the source's.
    """

    source: str
    target: str
    instance: str
    database: str
    tables: Sequence[tuple[Table, int]]
    programs: Sequence[tuple[str, str]] = ()
    mappings: Sequence[Mapping] = ()
    hazards: MappingABC[str, RowHazards] = field(default_factory=dict)
    size_bytes: int = 0
    free_bytes: int | None = None
    is_elsewhere: bool = False


def plan_clone(
    facts: CloneFacts,
    *,
    config_version: str,
    identities: MappingABC[str, str],
    fingerprints: MappingABC[str, str],
) -> Plan:
    """Return the plan that makes an equal copy of a shard, to which no key is routed."""
    names = [table.name for table, _ in facts.tables]
    for table, _ in facts.tables:
        _check(table, facts)
    check_room(facts.target, facts.size_bytes, facts.free_bytes)
    steps = [
        create_database(facts.target, facts.instance, facts.database),
        Step(
            kind=StepKind.CREATE_TABLES,
            shard=facts.target,
            title=f"create {', '.join(names)} as on {facts.source}",
            check="the tables are there",
            arguments={"model": facts.source, "tables": names},
        ),
        Step(
            kind=StepKind.COPY_SNAPSHOT,
            shard=facts.target,
            title=f"copy all rows of one moment from {facts.source}, and compare them",
            check="checkpoints; pages copied from an earlier moment are compared",
            rows=sum(rows for _, rows in facts.tables) or None,  # SQLite does not guess
            rows_are_exact=False,
            arguments={"model": facts.source, "tables": names},
        ),
    ]
    if facts.programs:
        steps.append(
            Step(
                kind=StepKind.CREATE_PROGRAMS,
                shard=facts.target,
                title=f"create {', '.join(f'{kind} {name}' for kind, name in facts.programs)}",
                check="they are there",
                arguments={
                    "model": facts.source,
                    "programs": [list(program) for program in facts.programs],
                },
            )
        )
    steps += [
        Step(
            kind=StepKind.GUARD,
            shard=facts.target,
            title=f"guard the tables of {mapping.name}: every write is refused",
            check="the triggers are there with this text",
            arguments={
                "mapping": mapping.name,
                "owned": "",
                "tables": [rule.name for rule in mapping.tables],
            },
        )
        for mapping in facts.mappings
        if not isinstance(mapping.rule, RingRule)
    ]
    entry = {"instance": facts.instance, "database": facts.database}
    steps.append(
        Step(
            kind=StepKind.REGISTER,
            shard=facts.target,
            title=f"write {facts.target} into the configuration, detached",
            check="the configuration has it",
            arguments={"mapping": "", "entry": {**entry, "detached": True}},
        )
    )
    return Plan(
        operation="clone",
        shard=facts.target,
        mapping="",
        config_version=config_version,
        steps=tuple(steps),
        shards=(facts.target,),
        new_shards={facts.target: entry},
        identities=dict(sorted(identities.items())),
        fingerprints=dict(sorted(fingerprints.items())),
        warnings=("the copy is of one moment: what is written after it is not in it",),
    )


def _check(table: Table, facts: CloneFacts) -> None:
    check_pages(table, "cloned")
    if table.backend is Backend.SQLITE:
        check_itself(table, "cloned")
    if facts.is_elsewhere:
        _check_references(table, facts)
    check_hazards(table, facts.hazards.get(table.name, RowHazards()), "cloned", facts.target)


def _check_references(table: Table, facts: CloneFacts) -> None:
    """Refuse references to tables that are not copied, and that another server does not have."""
    names = {each.name.lower() for each, _ in facts.tables}
    for key in table.parents:
        if key.parent.lower() not in names:
            raise PreflightError(
                f"table {table.name} cannot be cloned to {facts.instance}: foreign key {key.name} "
                f"refers to {key.parent}, which is not there",
                next_step=f"drop {key.name}, or clone to the same instance",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFacts:
    """What stands in the way of removing a shard.

    Attributes:
        slots: by mapping, how many slots it owns.
        rows: by table, how many rows of its mappings' tables it holds.
        null_keys: how many of them have no key, so that no move takes them.
        strangers: tables of its database that no mapping names.
        made_by: the operation that made the database; empty: it was adopted.
        has_grants: whether the application's account may be allowed to use it.
    """

    shard: str
    instance: str
    database: str
    mappings: MappingABC[str, Sequence[str]]
    slots: MappingABC[str, int] = field(default_factory=dict)
    rows: MappingABC[str, int] = field(default_factory=dict)
    null_keys: MappingABC[str, int] = field(default_factory=dict)
    strangers: Sequence[str] = ()
    made_by: str = ""
    is_detached: bool = False
    has_grants: bool = False

    @property
    def place(self) -> dict[str, dict[str, str]]:
        """Where the shard is, for when the configuration says so no more."""
        return {self.shard: {"instance": self.instance, "database": self.database}}


def plan_removal(
    facts: RemoveFacts, *, config_version: str, identities: MappingABC[str, str]
) -> Plan:
    """Return the plan that takes an empty shard, or a detached copy, out of the cluster.

    Raises:
        PreflightError: it owns slots or holds rows.
    """
    if not facts.is_detached:
        _check_empty(facts)
    return Plan(
        operation="remove",
        shard=facts.shard,
        mapping=next(iter(facts.mappings), ""),
        config_version=config_version,
        steps=tuple(removal_steps(facts)),
        shards=(facts.shard,),
        new_shards=facts.place,
        identities=dict(identities),
        point_of_no_return=0,
        warnings=removal_warnings(facts),
    )


def _check_empty(facts: RemoveFacts) -> None:
    """Raise PreflightError where a shard owns slots, or holds rows of its mappings."""
    owned = {name: count for name, count in facts.slots.items() if count}
    if owned:
        told = ", ".join(f"{count} of {name}" for name, count in owned.items())
        raise PreflightError(
            f"shard {facts.shard} owns slots: {told}",
            next_step=f"shardhash shard remove {facts.shard} --drain --freeze moves them first",
        )
    held = {name: count for name, count in facts.rows.items() if count}
    if held:
        told = ", ".join(f"{count} of {name}" for name, count in held.items())
        raise PreflightError(
            f"shard {facts.shard} still holds rows: {told}",
            next_step=f"shardhash shard verify {facts.shard} says whose; rows without a key stay "
            "until you move or delete them",
        )


def check_drainable(facts: RemoveFacts, others: MappingABC[str, int]) -> None:
    """Raise PreflightError where rows would stay behind.

    Rows without a key move nowhere; nor do the `others`, by table the rows of slots that are not
    the shard's, rows without a key among them.
    """
    held = {name: count for name, count in facts.null_keys.items() if count}
    if held:
        told = ", ".join(f"{count} of {name}" for name, count in held.items())
        raise PreflightError(
            f"shard {facts.shard} holds rows without a key, which no move takes: {told}",
            next_step="give them a key, move or delete them yourself, then plan again",
        )
    if others:
        told = ", ".join(f"{count} of {name}" for name, count in others.items())
        raise PreflightError(
            f"shard {facts.shard} holds rows of slots that are not its own: {told}",
            next_step=f"shardhash shard prune {facts.shard} removes those that their owners have; "
            "then plan again",
        )


def removal_steps(facts: RemoveFacts) -> list[Step]:
    """Return the steps after which nothing knows the shard any more."""
    steps = [
        Step(
            kind=StepKind.DEREGISTER,
            shard=facts.shard,
            title=f"take {facts.shard} out of the configuration, and wait until all have heard",
            check="the configuration has it no more",
            is_reversible=False,
        )
    ]
    if facts.has_grants:
        steps.append(
            Step(
                kind=StepKind.REVOKE,
                shard=facts.shard,
                title=f"take the application's rights on {facts.database} away",
                check="the server's grants",
                is_reversible=False,
            )
        )
    if facts.made_by and (facts.is_detached or not facts.strangers):
        must_be_empty = [] if facts.is_detached else sorted(facts.rows)
        steps.append(
            Step(
                kind=StepKind.DROP_DATABASE,
                shard=facts.shard,
                title=f"drop database {facts.database}",
                check="it is gone",
                is_reversible=False,
                arguments={"made_by": facts.made_by, "must_be_empty": must_be_empty},
            )
        )
        return steps
    steps += [
        Step(
            kind=StepKind.UNGUARD,
            shard=facts.shard,
            title=f"take the guards off {', '.join(tables)}",
            check="they are gone",
            is_reversible=False,
            arguments={"mapping": mapping, "tables": list(tables)},
        )
        for mapping, tables in facts.mappings.items()
    ]
    steps.append(
        Step(
            kind=StepKind.RELEASE,
            shard=facts.shard,
            title="drop the control tables",
            check="they are gone",
            is_reversible=False,
        )
    )
    return steps


def removal_warnings(facts: RemoveFacts) -> tuple[str, ...]:
    """Say what happens to the database itself."""
    if facts.made_by and (facts.is_detached or not facts.strangers):
        return (f"database {facts.database} is dropped for good",)
    why = "no operation made it" if not facts.made_by else f"it has {', '.join(facts.strangers)}"
    return (f"database {facts.database} stays where it is, because {why}",)
