"""Plan the adoption of a database as it is, and its release. Pure."""

from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shardhash.db.plan import Plan, Step, StepKind
from shardhash.db.planning.allocate import grant
from shardhash.db.planning.hazards import check_guardable
from shardhash.db.planning.prune import check_table
from shardhash.db.schema import Table
from shardhash.db.topology import Backend
from shardhash.errors import PreflightError
from shardhash.slots import SlotSet

__all__ = ["AdoptFacts", "AdoptedTable", "plan_adopt", "plan_guard", "plan_release"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedTable:
    """A table of the database: its rows by the shard that owns them, and those without a key."""

    table: Table
    key: str
    rows: int
    owners: MappingABC[str, int] = field(default_factory=dict)
    null_keys: int = 0
    folded_keys: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptFacts:
    """A database to take in, and what was read of it.

    Attributes:
        owned: the slots that the shard owns once it is adopted.
        new_mapping: the mapping as the configuration will have it, where it has none of that name.
        is_registered: whether the configuration has the shard already.
        guards: whether guards are installed.
    """

    shard: str
    instance: str
    database: str
    backend: Backend
    mapping: str
    tables: Sequence[AdoptedTable]
    owned: SlotSet
    new_mapping: MappingABC[str, Any] | None = None
    is_registered: bool = False
    guards: bool = True
    has_app_user: bool = False


def plan_adopt(facts: AdoptFacts, *, config_version: str, identities: MappingABC[str, str]) -> Plan:
    """Return the plan that makes a database a shard without touching a row of it.

    Raises:
        PreflightError: a table could not be sharded exactly, or rows belong to other shards.
    """
    for each in facts.tables:
        check_table(each.table, "adopted")
        if facts.guards:
            check_guardable(each.table)
        _check_placement(facts, each)
    steps = _guard_steps(facts)
    if facts.has_app_user and facts.backend is Backend.MYSQL:
        steps.append(grant(facts.shard))
    if not facts.is_registered:
        steps.append(
            Step(
                kind=StepKind.REGISTER,
                shard=facts.shard,
                title=f"write {facts.shard} into the configuration"
                + (f", with mapping {facts.mapping}" if facts.new_mapping else ""),
                check="the configuration has it",
                arguments=_arguments(facts),
            )
        )
    entry = {"instance": facts.instance, "database": facts.database}
    return Plan(
        operation="adopt",
        shard=facts.shard,
        mapping=facts.mapping,
        config_version=config_version,
        steps=tuple(steps),
        shards=(facts.shard,),
        new_shards={} if facts.is_registered else {facts.shard: entry},
        identities=dict(identities),
        fingerprints={
            f"{facts.shard}.{each.table.name}": each.table.fingerprint for each in facts.tables
        },
        warnings=tuple(_warnings(facts)),
    )


def _arguments(facts: AdoptFacts) -> dict[str, Any]:
    return {
        "mapping": facts.mapping,
        "owned": str(facts.owned),
        "tables": [each.table.name for each in facts.tables],
        "entry": {"instance": facts.instance, "database": facts.database},
        "new_mapping": dict(facts.new_mapping) if facts.new_mapping else None,
        "is_adopted": True,
    }


def _guard_steps(facts: AdoptFacts) -> list[Step]:
    if not facts.guards:
        return []
    names = ", ".join(each.table.name for each in facts.tables)
    return [
        Step(
            kind=StepKind.GUARD,
            shard=facts.shard,
            title=f"guard {names}: writes to slots of other shards are refused",
            check="the triggers are there with this text",
            arguments=_arguments(facts),
        )
    ]


def _check_placement(facts: AdoptFacts, each: AdoptedTable) -> None:
    foreign = {shard: count for shard, count in each.owners.items() if shard != facts.shard}
    if foreign:
        told = ", ".join(f"{count} of {shard}" for shard, count in sorted(foreign.items()))
        raise PreflightError(
            f"table {each.table.name} of {facts.database} holds rows that {facts.mapping} gives to "
            f"other shards: {told}",
            next_step=f"copy them there, then shardhash shard prune {facts.shard}; or correct the "
            "owners in the configuration",
        )


def _warnings(facts: AdoptFacts) -> list[str]:
    found = []
    for each in facts.tables:
        if each.null_keys:
            found.append(
                f"{each.table.name}: {each.null_keys} rows have no key; they stay on "
                f"{facts.shard}, and new ones are refused"
            )
        if each.table.column(each.key).nullable:
            found.append(f"{each.table.name}: column {each.key} may be NULL; guards refuse that")
        if each.folded_keys:
            found.append(
                f"{each.table.name}: {each.folded_keys} keys are equal to another under the "
                f"collation of {each.key}, and may go to another shard than it"
            )
    if not facts.guards:
        found.append("without guards nothing refuses a write to the wrong shard")
    return found


def plan_guard(
    mapping: str,
    shards: MappingABC[str, SlotSet],
    tables: Sequence[str],
    *,
    wanted: bool,
    config_version: str,
    identities: MappingABC[str, str],
) -> Plan:
    """Return the plan that installs or removes the guards of a mapping on all its shards."""
    kind = StepKind.GUARD if wanted else StepKind.UNGUARD
    verb = "guard" if wanted else "take the guards off"
    return Plan(
        operation="guard" if wanted else "unguard",
        shard=next(iter(shards), ""),
        mapping=mapping,
        config_version=config_version,
        steps=tuple(
            Step(
                kind=kind,
                shard=shard,
                title=f"{verb} {', '.join(tables)} on {shard}",
                check="the triggers are there with this text" if wanted else "they are gone",
                arguments={
                    "mapping": mapping,
                    "owned": str(owned),
                    "tables": list(tables),
                    "were_there": not wanted,
                },
            )
            for shard, owned in shards.items()
        ),
        shards=tuple(sorted(shards)),
        identities=dict(sorted(identities.items())),
        warnings=()
        if wanted
        else ("without guards nothing refuses a write to the wrong shard, and nothing can move",),
    )


def plan_release(
    shard: str,
    mappings: MappingABC[str, Sequence[str]],
    *,
    config_version: str,
    identities: MappingABC[str, str],
) -> Plan:
    """Return the plan that takes guards and control tables off a shard, and changes no row.

    ``mappings`` are the tables by mapping. The configuration goes on routing to the shard.
    """
    steps = [
        Step(
            kind=StepKind.UNGUARD,
            shard=shard,
            title=f"take the guards off {', '.join(tables)}",
            check="they are gone",
            is_reversible=False,
            arguments={"mapping": mapping, "tables": list(tables)},
        )
        for mapping, tables in mappings.items()
    ]
    steps.append(
        Step(
            kind=StepKind.RELEASE,
            shard=shard,
            title="drop the control tables; no row of the application's is touched",
            check="they are gone",
            is_reversible=False,
        )
    )
    return Plan(
        operation="release",
        shard=shard,
        mapping=next(iter(mappings), ""),
        config_version=config_version,
        steps=tuple(steps),
        shards=(shard,),
        identities=dict(identities),
        point_of_no_return=0,
        warnings=(
            f"the configuration still routes to {shard}, and nothing refuses a misrouted write",
        ),
    )
