"""Gathers facts for moves of slots, and has the pure planner plan them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shardhash.db import guard
from shardhash.db.operations._hazards import free_room
from shardhash.db.operations._reader import FactReader
from shardhash.db.operations._shards import ShardPlanner
from shardhash.db.plan import Plan, Step
from shardhash.db.planning.allocate import AllocateFacts, grant
from shardhash.db.planning.clone import check_drainable, removal_steps, removal_warnings
from shardhash.db.planning.move import MoveFacts, MoveOptions, plan_moves
from shardhash.db.topology import Backend, Mapping, Shard, SlotRule
from shardhash.errors import PreflightError, UsageError
from shardhash.slots import SlotMap, SlotSet

__all__ = ["MovePlanner"]


@dataclass(frozen=True, slots=True)
class MovePlanner:
    """Plans moves between the shards of a configuration."""

    reader: FactReader
    shards: ShardPlanner

    def move(
        self,
        source: str,
        target: str,
        *,
        slots: SlotSet,
        mapping: str | None,
        options: MoveOptions,
    ) -> Plan:
        """Plan the move of slots that are all the source's."""
        self.reader.config.shard(target)
        rule = self.reader.mapping_of(source, mapping)
        self._check_pair(rule, source, target)
        strangers = slots - rule.numbers_of(source)
        if strangers or not slots:
            what = f"slots {strangers} are not {source}'s" if strangers else "no slots were named"
            raise UsageError(
                f"{what}: it owns {rule.numbers_of(source) or 'none'}",
                next_step="shardhash shard list shows what each shard owns",
            )
        return self.plan("move", source, rule, [(source, target, slots)], options)

    def split(
        self,
        shard: str,
        target: str,
        *,
        mapping: str | None,
        instance: str | None,
        fraction: float,
        by: str,
        database: str | None,
        options: MoveOptions,
    ) -> Plan:
        """Plan the move of a part of a shard's slots to a shard that owns none, or is made."""
        rule = self.reader.mapping_of(shard, mapping)
        placement = self.reader.slot_map(rule)
        if shard not in rule.shards:
            raise UsageError(f"shard {shard} is not in mapping {rule.name}")
        if target in rule.shards and placement.slots_of(target):
            raise UsageError(
                f"shard {target} owns slots of {rule.name} already",
                next_step=f"name a new shard, or shardhash shard move {shard} {target} --slots ...",
            )
        allocate = self.allocate_facts(
            target, rule, shard, instance=instance, database=database, options=options
        )
        moves = [(shard, target, self._part(rule, placement, shard, fraction, by))]
        return self.plan("split", shard, rule, moves, options, allocate=allocate)

    def allocate_facts(
        self,
        target: str,
        rule: Mapping,
        model: str,
        *,
        instance: str | None,
        database: str | None,
        options: MoveOptions,
    ) -> AllocateFacts | None:
        """Return what is to be made of a target; None where the configuration has it.

        Raises:
            UsageError: it is there, on another instance than the one that was asked for.
        """
        known = self.reader.config.shards.get(target)
        if known is None:
            return self.shards.allocate_facts(
                target,
                instance=instance or self.reader.config.shard(model).instance,
                mapping=rule,
                model=model,
                database=database,
                guards=not options.app_stopped,
            )
        if instance is not None and known.instance != instance:
            raise UsageError(
                f"shard {target} is there already, on {known.instance}",
                next_step="leave --instance out, or name a new shard",
            )
        return None

    def drain(self, shard: str, *, options: MoveOptions) -> Plan:
        """Plan the move of all slots of a shard to the others, and its removal."""
        self.reader.config.shard(shard)
        self.reader.identities({shard})  # before what it holds is judged
        facts = self.shards.remove_facts(shard)
        mappings = [self.reader.config.mapping(name) for name in facts.mappings]
        if len(mappings) != 1:
            raise UsageError(
                f"shard {shard} is in {len(mappings)} mappings: only a shard of one can be drained",
                next_step="shardhash shard move, one mapping after the other",
            )
        (rule,) = mappings
        placement = self.reader.slot_map(rule)
        if not placement.slots_of(shard):
            return self.shards.remove(shard)
        check_drainable(facts, self.reader.strangers(rule, shard, placement.slots_of(shard)))
        moves = [
            (move.source, move.target, move.slots)
            for move in placement.moves_to(placement.without_shard(shard))
        ]
        steps = removal_steps(facts)
        plan = self.plan("remove", shard, rule, moves, options, last_steps=steps)
        warnings = (*plan.warnings, *removal_warnings(facts))
        return replace(plan, new_shards=facts.place, warnings=warnings)

    def attach(self, shard: str, source: str, *, options: MoveOptions) -> Plan:
        """Plan to hand a detached copy all slots of the shard that it is a copy of."""
        config = self.reader.config
        config.shard(source)
        if not config.shard(shard).detached:
            raise UsageError(
                f"shard {shard} is no detached copy",
                next_step="shardhash shard move moves slots between shards of a mapping",
            )
        rule = self.reader.mapping_of(source, None)
        slots = self.reader.slot_map(rule).slots_of(source)
        is_server = self.reader.connections.backend(shard) is Backend.MYSQL
        first = [grant(shard)] if config.app_user is not None and is_server else []
        moves = [(source, shard, slots)]
        return self.plan("attach", shard, rule, moves, options, first_steps=first)

    def _check_pair(self, rule: Mapping, source: str, target: str) -> None:
        needed = (source, target) if isinstance(rule.rule, SlotRule) else (source,)
        for shard in needed:
            if shard not in rule.shards:
                raise UsageError(
                    f"shard {shard} is not in mapping {rule.name}, which has "
                    f"{', '.join(rule.shards)}",
                    next_step="shardhash shard allocate or adopt adds a shard to a mapping",
                )
        if source == target:
            raise UsageError(f"{source} and {target} are one shard: nothing would move")

    def _part(
        self, rule: Mapping, placement: SlotMap, shard: str, fraction: float, by: str
    ) -> SlotSet:
        """Return the slots that a split takes: the highest, by their number or their rows."""
        owned = placement.slots_of(shard)
        if len(owned) < 2:
            raise PreflightError(
                f"shard {shard} owns {len(owned)} slots: nothing can be split off",
                next_step="move the slot, or use a mapping with more slots",
            )
        if by == "slots":
            split = placement.with_split(shard, "\0new", fraction)
            return split.slots_of("\0new")
        if by != "rows":
            raise UsageError(
                f"a split is by slots or by rows, not by {by!r}", next_step="use --by rows"
            )
        if not 0 < fraction < 1:
            raise UsageError(f"a fraction is above 0 and below 1, found {fraction}")
        return _highest_by_rows(self.reader.rows_by_slot(rule, shard, owned), fraction)

    def plan(
        self,
        operation: str,
        shard: str,
        rule: Mapping,
        moves: Sequence[tuple[str, str, SlotSet]],
        options: MoveOptions,
        *,
        allocate: AllocateFacts | None = None,
        guarded_as: Mapping | None = None,
        first_steps: Sequence[Step] = (),
        last_steps: Sequence[Step] = (),
    ) -> Plan:
        """Gather the facts of moves and have them planned.

        Args:
            operation: its name.
            shard: the shard that it is named for.
            rule: the mapping as it is when the rows move.
            moves: source, target and slots, or range numbers, of each.
            options: what was asked for.
            allocate: a shard to make first.
            guarded_as: the mapping as it is now, where its bounds change first.
            first_steps: what comes between making a shard and moving rows.
            last_steps: what follows when all rows have moved.
        """
        new = {allocate.shard} if allocate else set()
        present = {name for move in moves for name in move[:2]} - new
        identities = self.reader.identities({*present, *rule.shards} - new)
        self.reader.check_privileges("move", present)
        unguarded = self._unguarded(guarded_as or rule, moves, present, options)
        if allocate is not None:
            self._check_new_server(allocate)
        facts = [
            self._move_facts(rule, source, target, slots, options, allocate, unguarded)
            for source, target, slots in moves
        ]
        return plan_moves(
            operation,
            shard,
            rule,
            facts,
            options=options,
            config_version=self.reader.config.version,
            identities={name: identities[name] for name in present},
            allocate=allocate,
            first_steps=first_steps,
            last_steps=last_steps,
        )

    def _move_facts(
        self,
        rule: Mapping,
        source: str,
        target: str,
        slots: SlotSet,
        options: MoveOptions,
        allocate: AllocateFacts | None,
        unguarded: dict[str, str],
    ) -> MoveFacts:
        reader = self.reader
        is_new = allocate is not None and allocate.shard == target
        instance = reader.config.shard(source).instance
        place = allocate.instance if allocate and is_new else reader.config.shard(target).instance
        hazards = reader.hazards(source, place, is_beside=instance == place and not options.sync)
        tables = reader.tables(source, rule)
        return MoveFacts(
            source=source,
            target=target,
            slots=slots,
            tables=[
                reader.movable_facts(
                    rule,
                    table,
                    source,
                    None if is_new else target,
                    slots,
                    tables=tables,
                    hazards=hazards,
                )
                for table in rule.tables
            ],
            unguarded=unguarded,
            strangers=reader.strangers(rule, target, slots) if options.sync else {},
            free_bytes=free_room(reader.config.instance(place), options.target_free_bytes),
        )

    def _unguarded(
        self,
        rule: Mapping,
        moves: Sequence[tuple[str, str, SlotSet]],
        present: set[str],
        options: MoveOptions,
    ) -> dict[str, str]:
        """Return what is wrong with guards, and refuse where a fence would not hold."""
        if options.app_stopped:
            return {}
        for source in {move[0] for move in moves}:
            place = self.reader.place(source)
            guard.check_fence(self.reader.connections, source, place, rule.state_name)
        for shard in sorted(present):
            if self.reader.connections.backend(shard) is Backend.MYSQL:
                with self.reader.connections.write(shard) as connection:
                    guard.check_durable(connection, f"slots were to be moved to or from {shard}")
        return self.reader.unguarded(rule, sorted(present))

    def _check_new_server(self, allocate: AllocateFacts) -> None:
        """Refuse a server that could forget that its new shard has slots, or an account there."""
        place = Shard(name=allocate.shard, instance=allocate.instance, database=allocate.database)
        self.reader.check_new(place, ["move"], triggers=allocate.guards)
        if allocate.backend is Backend.MYSQL and allocate.guards:
            with self.reader.connections.instance(allocate.instance) as connection:
                guard.check_durable(connection, f"slots were to be moved to {allocate.shard}")


def _highest_by_rows(rows: dict[int, int], fraction: float) -> SlotSet:
    """Return the highest slots that hold about a fraction of all rows: not none, and not all."""
    wanted = fraction * sum(rows.values())
    taken: list[int] = []
    held = 0
    for slot in sorted(rows, reverse=True)[: len(rows) - 1]:
        if taken and held + rows[slot] / 2 > wanted:
            break
        taken.append(slot)
        held += rows[slot]
    return SlotSet(taken)
