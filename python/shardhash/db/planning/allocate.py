"""Plan new shards: allocate, adopt, clone, and their release. Pure."""

from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shardhash.db.plan import Plan, Step, StepKind
from shardhash.db.topology import Backend

__all__ = [
    "AllocateFacts",
    "allocate_steps",
    "copy_global",
    "create_database",
    "grant",
    "plan_allocate",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateFacts:
    """A shard to be made, and what it is made after.

    Attributes:
        mapping: the mapping that it will be part of, owning nothing yet.
        model: a shard of the mapping, whose tables it gets.
        tables: of the mapping; ``global_tables`` come with their rows.
        guards: whether guards are installed.
        has_app_user: whether the application's account is granted.
    """

    shard: str
    instance: str
    database: str
    backend: Backend
    mapping: str
    model: str
    tables: Sequence[str]
    global_tables: Sequence[str] = ()
    guards: bool = True
    has_app_user: bool = False

    @property
    def new_shards(self) -> dict[str, dict[str, str]]:
        """What a plan says of the shard before the configuration has it."""
        return {self.shard: {"instance": self.instance, "database": self.database}}

    @property
    def entry(self) -> dict[str, Any]:
        """What the configuration will say of the shard."""
        return {"instance": self.instance, "database": self.database}


def plan_allocate(
    facts: AllocateFacts,
    *,
    config_version: str,
    identities: MappingABC[str, str],
    fingerprints: MappingABC[str, str],
) -> Plan:
    """Return the plan that makes a shard which owns no slots yet."""
    return Plan(
        operation="allocate",
        shard=facts.shard,
        mapping=facts.mapping,
        config_version=config_version,
        steps=tuple(allocate_steps(facts)),
        shards=(facts.shard,),
        new_shards=facts.new_shards,
        identities=dict(sorted(identities.items())),
        fingerprints=dict(sorted(fingerprints.items())),
    )


def allocate_steps(facts: AllocateFacts) -> list[Step]:
    """Return the steps of a new shard; the configuration hears of it last."""
    steps = [create_database(facts.shard, facts.instance, facts.database)]
    names = [*facts.global_tables, *facts.tables]
    steps.append(
        Step(
            kind=StepKind.CREATE_TABLES,
            shard=facts.shard,
            title=f"create {', '.join(names)} as on {facts.model}",
            check="the tables are there",
            arguments={"model": facts.model, "tables": names},
        )
    )
    steps += [copy_global(facts.shard, facts.model, name) for name in facts.global_tables]
    if facts.has_app_user and facts.backend is Backend.MYSQL:
        steps.append(grant(facts.shard))
    if facts.guards:
        steps.append(
            Step(
                kind=StepKind.GUARD,
                shard=facts.shard,
                title=f"guard {', '.join(facts.tables)}: writes are refused until {facts.shard} "
                "owns slots",
                check="the triggers are there with this text",
                arguments={"mapping": facts.mapping, "owned": "", "tables": list(facts.tables)},
            )
        )
    steps.append(
        Step(
            kind=StepKind.REGISTER,
            shard=facts.shard,
            title=f"write {facts.shard} into the configuration; it owns no slots",
            check="the configuration has it",
            arguments={"mapping": facts.mapping, "entry": facts.entry},
        )
    )
    return steps


def create_database(shard: str, instance: str, database: str) -> Step:
    """Return the step that makes an empty database and the record of who made it."""
    return Step(
        kind=StepKind.CREATE_DATABASE,
        shard=shard,
        title=f"create database {database} on {instance}",
        check="its control tables say that this operation made it",
        arguments={"instance": instance, "database": database},
    )


def copy_global(shard: str, model: str, table: str) -> Step:
    """Return the step that makes a global table's rows those of another shard."""
    return Step(
        kind=StepKind.COPY_GLOBAL,
        shard=shard,
        title=f"copy the global table {table} from {model}, and compare",
        check="compares page by page",
        table=table,
        arguments={"model": model},
    )


def grant(shard: str) -> Step:
    """Return the step that lets the application's account use a shard."""
    return Step(
        kind=StepKind.GRANT,
        shard=shard,
        title="grant the application's account SELECT, INSERT, UPDATE, DELETE and nothing else",
        check="the server's grants",
        arguments={},
    )
