"""The steps that say in the shards which slots may be written: guards, fence, open."""

from dataclasses import replace
from typing import TYPE_CHECKING

from shardhash.db import guard, sql
from shardhash.db.executor._runner import Result, Runner, range_rule, slots_of
from shardhash.db.executor._work import Work
from shardhash.db.guard import GuardedTable, SlotState
from shardhash.db.inspect import inspect_table
from shardhash.db.plan import Step
from shardhash.db.topology import Mapping
from shardhash.slots import SlotSet

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["FENCE", "GUARD", "GUARD_RANGES", "OPEN", "UNGUARD"]


def _fence(work: Work, step: Step) -> Result:
    """Refuse every write to the slots, after those in flight have ended."""
    wait_s = step.arguments["wait_s"] if work.fence_wait_s is None else work.fence_wait_s
    guard.fence_slots(
        work.connections,
        step.shard,
        work.place(step.shard),
        _mapping(work, step).state_name,
        slots_of(step),
        token=work.leases.token(step.shard),
        wait_s=wait_s,
        clock=work.clock,
        on_wait=work.on_wait,
    )
    return {}


def _reopen(work: Work, step: Step) -> None:
    _set(work, step.shard, step, SlotState.OWNED, among={SlotState.OWNED, SlotState.FENCED})


def _open(work: Work, step: Step) -> Result:
    """Let the new owner take writes; the old one refuses them for good."""
    source, target = step.arguments["source"], step.arguments["target"]
    _set(work, source, step, SlotState.FOREIGN, among={SlotState.FENCED, SlotState.FOREIGN})
    _set(work, target, step, SlotState.OWNED, among={SlotState.FOREIGN, SlotState.OWNED})
    return {}


def _set(work: Work, shard: str, step: Step, state: SlotState, *, among: set[SlotState]) -> None:
    place, name, slots = work.place(shard), _mapping(work, step).state_name, slots_of(step)
    work.batch(
        shard,
        lambda connection: guard.set_slots(connection, place, name, slots, state, among=among),
    )


def _mapping(work: Work, step: Step) -> Mapping:
    return work.config.mapping(step.arguments["mapping"])


def _guard(work: Work, step: Step) -> Result:
    """Install guards; the slots that the shard owns are open, all others are refused."""
    mapping = _planned_mapping(work, step)
    place, owned = work.place(step.shard), SlotSet.parse(step.arguments["owned"])
    name, count = mapping.state_name, len(mapping.owners)
    work.batch(
        step.shard, lambda connection: guard.fill_slots(connection, place, name, count, owned)
    )
    _install(work, step.shard, mapping)
    return {}


def _install(work: Work, shard: str, mapping: Mapping) -> None:
    place = work.place(shard)
    with work.define(shard) as connection:
        tables = [
            GuardedTable(inspect_table(connection, rule.name, place.backend), rule.key)
            for rule in mapping.tables
        ]
        guard.install_guards(connection, place, mapping, tables)


def _guard_ranges(work: Work, step: Step) -> Result:
    """Guard a shard by other bounds, under which the same keys stay open and refused."""
    present, place = _mapping(work, step), work.place(step.shard)
    planned = replace(present, rule=range_rule(step.arguments))

    def fill(connection: "Connection") -> None:
        _keep_states(connection, place, present)
        owned = planned.numbers_of(step.shard)
        guard.fill_slots(connection, place, planned.state_name, len(planned.owners), owned)

    work.batch(step.shard, fill)
    _install(work, step.shard, planned)
    return {}


def _guard_ranges_as_before(work: Work, step: Step) -> None:
    present, place = _mapping(work, step), work.place(step.shard)
    _install(work, step.shard, present)
    work.batch(step.shard, lambda connection: _keep_states(connection, place, present))


def _keep_states(connection: "Connection", place: sql.ControlPlace, mapping: Mapping) -> None:
    """Delete the states of all other bounds that the mapping has had, or was to have."""
    others = sql.delete_other_slots(place, mapping.name, mapping.state_name)
    connection.exec_driver_sql(others.sql, others.parameters)


def _planned_mapping(work: Work, step: Step) -> Mapping:
    """Return the mapping of the configuration, or the one that a later step will write there."""
    written = step.arguments.get("new_mapping")
    name = step.arguments["mapping"]
    if not written:
        return work.config.mapping(name)
    from shardhash.db.config import Config
    from shardhash.db.config.edit import add_mapping, add_shard

    config = work.config
    text = config.text
    if step.shard not in config.shards:
        text = add_shard(text, step.shard, step.arguments["entry"])
    if name not in config.mappings:
        text = add_mapping(text, name, written)
    return Config.parse(text, source=config.source).mapping(name)


def _unguard(work: Work, step: Step) -> Result:
    """Take the guards of a mapping off; every client may write everything again."""
    _remove(work, step)
    return {}


def _remove(work: Work, step: Step) -> None:
    place = work.place(step.shard)
    with work.define(step.shard) as connection:
        guard.remove_guards(connection, place, step.arguments["tables"])
    states = _planned_mapping(work, step).state_name
    work.batch(step.shard, lambda connection: guard.drop_slots(connection, place, states))


def _put_guards_back(work: Work, step: Step) -> None:
    _guard(work, step)


def _take_back_guards(work: Work, step: Step) -> None:
    if not step.arguments.get("were_there"):
        _remove(work, step)


FENCE = Runner(_fence, _reopen)
OPEN = Runner(_open)
GUARD = Runner(_guard, _take_back_guards)
UNGUARD = Runner(_unguard, _put_guards_back)
GUARD_RANGES = Runner(_guard_ranges, _guard_ranges_as_before)
