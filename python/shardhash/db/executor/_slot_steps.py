"""The steps that say in the shards which slots may be written: guards, fence, open."""

from shardhash.db import guard
from shardhash.db.executor._runner import Result, Runner, slots_of
from shardhash.db.executor._work import Work
from shardhash.db.guard import GuardedTable, SlotState
from shardhash.db.inspect import inspect_table
from shardhash.db.plan import Step
from shardhash.db.topology import Mapping, RingRule, SlotRule
from shardhash.slots import SlotSet

__all__ = ["FENCE", "GUARD", "OPEN", "UNGUARD"]


def _fence(work: Work, step: Step) -> Result:
    """Refuse every write to the slots, after those in flight have ended."""
    guard.fence_slots(
        work.connections,
        step.shard,
        work.place(step.shard),
        step.arguments["mapping"],
        slots_of(step),
        token=work.leases.token(step.shard),
        wait_s=step.arguments["wait_s"],
        clock=work.clock,
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
    place, mapping, slots = work.place(shard), step.arguments["mapping"], slots_of(step)
    work.batch(
        shard,
        lambda connection: guard.set_slots(connection, place, mapping, slots, state, among=among),
    )


def _guard(work: Work, step: Step) -> Result:
    """Install guards; the slots that the shard owns are open, all others are refused."""
    mapping = _planned_mapping(work, step)
    place, owned = work.place(step.shard), SlotSet.parse(step.arguments["owned"])
    count = len(mapping.rule.owners if isinstance(mapping.rule, SlotRule) else _ranges(mapping))
    work.batch(
        step.shard,
        lambda connection: guard.fill_slots(connection, place, mapping.name, count, owned),
    )
    with work.read(step.shard) as connection:
        tables = [
            GuardedTable(inspect_table(connection, rule.name, place.backend), rule.key)
            for rule in mapping.tables
        ]
        guard.install_guards(connection, place, mapping, tables)
        connection.commit()
    return {}


def _ranges(mapping: Mapping) -> tuple[str, ...]:
    assert not isinstance(mapping.rule, RingRule | SlotRule), "rings have no guards"
    return mapping.rule.shards


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
    place, name = work.place(step.shard), step.arguments["mapping"]
    with work.read(step.shard) as connection:
        guard.remove_guards(connection, place, step.arguments["tables"])
        connection.commit()
    work.batch(step.shard, lambda connection: guard.drop_slots(connection, place, name))


def _take_back_guards(work: Work, step: Step) -> None:
    if not step.arguments.get("were_there"):
        _remove(work, step)


FENCE = Runner(_fence, _reopen)
OPEN = Runner(_open)
GUARD = Runner(_guard, _take_back_guards)
UNGUARD = Runner(_unguard)
