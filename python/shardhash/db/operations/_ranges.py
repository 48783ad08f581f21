"""Gathers facts for splits and merges of ranges, and has the pure planners plan them."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shardhash.db.operations._moves import MovePlanner
from shardhash.db.operations._reader import FactReader
from shardhash.db.plan import Plan
from shardhash.db.planning.move import MoveOptions
from shardhash.db.planning.ranges import Cut, cut_steps
from shardhash.db.topology import Mapping, RangeRule
from shardhash.errors import PreflightError, UsageError
from shardhash.slots import SlotSet

__all__ = ["RangePlanner"]


@dataclass(frozen=True, slots=True)
class RangePlanner:
    """Plans changes of the bounds of range mappings."""

    reader: FactReader
    moves: MovePlanner

    def split(
        self,
        shard: str,
        target: str,
        *,
        at: object,
        mapping: str | None,
        instance: str | None,
        database: str | None,
        options: MoveOptions,
    ) -> Plan:
        """Plan to cut the shard's range at a key, and to move the part from there to `target`."""
        rule = self.reader.mapping_of(shard, mapping)
        before = self._ranges(rule)
        bound = self.reader.config.router(rule.name).key(at)
        number = bisect_right(before.bounds, bound)
        if before.shards[number] != shard:
            raise UsageError(
                f"{at} is in a range of {before.shards[number]}, not of {shard}",
                next_step="shardhash mapping list shows the ranges",
            )
        if bound in before.bounds:
            raise UsageError(
                f"{at} is a bound of {rule.name} already",
                next_step=f"shardhash shard move {shard} {target} --slots {number} moves its range",
            )
        after = RangeRule(
            bounds=(*before.bounds[:number], bound, *before.bounds[number:]),
            shards=(*before.shards[:number], shard, *before.shards[number:]),
        )
        allocate = self.moves.allocate_facts(
            target, rule, shard, instance=instance, database=database, options=options
        )
        cut = self._cut(rule, before, after, options, [target])
        if target == shard:
            return self._plan_cut("split", shard, cut)
        return self.moves.plan(
            "split",
            shard,
            replace(rule, rule=after),
            [(shard, target, SlotSet([number + 1]))],
            options,
            allocate=allocate,
            guarded_as=rule,
            first_steps=cut_steps(cut),
        )

    def merge(self, mapping: str, *, at: object, into: str, options: MoveOptions) -> Plan:
        """Plan to make the two ranges beside a bound one, which is all of the shard `into`."""
        rule = self.reader.config.mapping(mapping)
        before = self._ranges(rule)
        bound = self.reader.config.router(mapping).key(at)
        if bound not in before.bounds:
            raise UsageError(
                f"{at} is no bound of {mapping}",
                next_step="shardhash mapping list shows the bounds",
            )
        left = before.bounds.index(bound)
        pair = before.shards[left : left + 2]
        if into not in pair:
            raise UsageError(f"the ranges beside {at} are of {' and '.join(pair)}, not of {into}")
        moved = tuple(
            into if number in (left, left + 1) else owner
            for number, owner in enumerate(before.shards)
        )
        merged = RangeRule(
            bounds=(*before.bounds[:left], *before.bounds[left + 1 :]),
            shards=(*moved[:left], *moved[left + 1 :]),
        )
        between = RangeRule(bounds=before.bounds, shards=moved)
        cut = self._cut(rule, between, merged, options, [*pair])
        if pair[0] == pair[1]:
            return self._plan_cut("merge", into, cut)
        number, source = (left + 1, pair[1]) if pair[0] == into else (left, pair[0])
        return self.moves.plan(
            "merge",
            into,
            rule,
            [(source, into, SlotSet([number]))],
            options,
            last_steps=cut_steps(cut),
        )

    def _plan_cut(self, operation: str, shard: str, cut: Cut) -> Plan:
        """Plan nothing but a cut; no row moves."""
        return Plan(
            operation=operation,
            shard=shard,
            mapping=cut.mapping.name,
            config_version=self.reader.config.version,
            steps=tuple(cut_steps(cut)),
            shards=tuple(cut.shards),
            identities=self.reader.identities(cut.shards),
        )

    def _ranges(self, rule: Mapping) -> RangeRule:
        if not isinstance(rule.rule, RangeRule):
            raise UsageError(
                f"mapping {rule.name} is not by ranges: it has no bounds",
                next_step="shardhash shard move, or split without --at, moves slots",
            )
        if rule.unowned:
            raise PreflightError(
                f"rows of {rule.name} are being moved: its bounds must stay until they are there",
                next_step="shardhash op list",
            )
        return rule.rule

    def _cut(
        self,
        rule: Mapping,
        before: RangeRule,
        after: RangeRule,
        options: MoveOptions,
        more: Sequence[str],
    ) -> Cut:
        guarded = [name for name in self.reader.config.shards if self.reader.is_guarded(rule, name)]
        shards = sorted({*rule.shards, *guarded, *more})
        if not options.app_stopped:
            present = [name for name in shards if name in self.reader.config.shards]
            self.reader.check_privileges("guard", present, triggers=True)
        return Cut(
            mapping=rule,
            before=before,
            after=after,
            shards=shards,
            guards=not options.app_stopped,
        )
