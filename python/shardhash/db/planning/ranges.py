"""Plan other bounds of a range mapping: a cut changes no key's owner. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from shardhash.db import sql
from shardhash.db.plan import Step, StepKind
from shardhash.db.topology import Mapping, RangeRule

__all__ = ["Cut", "cut_steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Other bounds for a mapping, under which every key keeps its owner.

    ``shards`` are those whose guards must know the new bounds.
    """

    mapping: Mapping
    before: RangeRule
    after: RangeRule
    shards: Sequence[str]
    guards: bool = True


def cut_steps(cut: Cut) -> list[Step]:
    """Return the steps: guards first, as both bounds say the same of every key; then the map."""
    arguments = {
        "mapping": cut.mapping.name,
        "bounds": sql.key_to_text(cut.after.bounds),
        "owners": list(cut.after.shards),
        "old_bounds": sql.key_to_text(cut.before.bounds),
        "old_owners": list(cut.before.shards),
    }
    tables = ", ".join(rule.name for rule in cut.mapping.tables)
    steps = [
        Step(
            kind=StepKind.GUARD_RANGES,
            shard=shard,
            title=f"guard {tables} on {shard} by the new bounds; what is open stays open",
            check="the triggers are there with this text",
            arguments=arguments,
        )
        for shard in (cut.shards if cut.guards else ())
    ]
    steps.append(
        Step(
            kind=StepKind.CUT,
            shard=cut.shards[0],
            title=f"write {len(cut.after.bounds)} bounds of {cut.mapping.name}; no key changes its "
            "owner",
            check="the bounds in the configuration",
            arguments=arguments,
        )
    )
    return steps
