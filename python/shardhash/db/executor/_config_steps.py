"""The steps that change the configuration: each is one compare-and-set save.

The text of the present configuration decides, not that of the plan: others may have changed other
parts of it since.
"""

from datetime import timedelta

from shardhash.db.config import Config
from shardhash.db.config.edit import (
    add_mapping,
    add_shard,
    attach_shard,
    number_shard,
    remove_mapping,
    remove_shard,
    set_ranges,
    set_slot_owners,
    set_unowned,
)
from shardhash.db.executor._frozen import check_filled, check_frozen
from shardhash.db.executor._runner import Result, Runner, range_rule, slots_of
from shardhash.db.executor._work import Work
from shardhash.db.plan import Step
from shardhash.db.topology import Mapping, RangeRule, SlotRule
from shardhash.errors import MismatchError
from shardhash.slots import SlotSet

__all__ = [
    "CUT",
    "DEREGISTER",
    "FLIP",
    "HOLD",
    "PUBLISH",
    "REGISTER",
    "UNPUBLISH",
    "number_in_config",
]

_AGES_WAITED = 2  # one for the map, one for a query that was begun by it at the last moment


def _owner_texts(mapping: Mapping) -> dict[str, SlotSet | str]:
    return {shard: mapping.numbers_of(shard) for shard in mapping.shards}


def _unowned(config: Config, mapping: str, **changes: SlotSet) -> dict[str, SlotSet | str]:
    return {**config.mapping(mapping).unowned, **changes}


def _with_unowned(config: Config, mapping: str, shard: str, slots: SlotSet) -> str:
    """Return the text that says that a shard holds rows of slots that it does not own."""
    present = config.mapping(mapping).unowned.get(shard, SlotSet())
    if present == slots:
        return config.text
    return set_unowned(config.text, mapping, _unowned(config, mapping, **{shard: slots}))


def _present(config: Config, mapping: str, shard: str) -> SlotSet:
    return config.mapping(mapping).unowned.get(shard, SlotSet())


def _publish(work: Work, step: Step) -> Result:
    """Tell all readers that the target may hold rows, and wait until all have heard it."""
    mapping, slots = step.arguments["mapping"], slots_of(step)
    config = work.change_config(
        lambda config: _with_unowned(
            config, mapping, step.shard, _present(config, mapping, step.shard) | slots
        )
    )
    _wait_for_readers(work, config, "until every process has the new map")
    return {}


def _unpublish(work: Work, step: Step) -> Result:
    mapping, slots = step.arguments["mapping"], slots_of(step)
    work.change_config(
        lambda config: _with_unowned(
            config, mapping, step.shard, _present(config, mapping, step.shard) - slots
        )
    )
    return {}


def _take_back_publication(work: Work, step: Step) -> None:
    _unpublish(work, step)


def _flip(work: Work, step: Step) -> Result:
    """Give the slots to the target: the only moment at which their owner changes."""
    mapping, slots = step.arguments["mapping"], slots_of(step)
    source, target = step.arguments["source"], step.arguments["target"]
    if not work.plan.app_stopped and not _is_flipped(work, step):
        check_frozen(work, step)
        check_filled(work, step)

    def flipped(config: Config) -> str:
        present = config.mapping(mapping)
        if _owner(present, slots) == target:
            return config.text
        if _owner(present, slots) != source:
            raise MismatchError(
                f"slots {slots} of {mapping} are not all {source}'s any more: somebody else "
                "changed their owners",
                next_step="give them back to it in the configuration, then resume or abort",
            )
        text = _with_owner(config, present, slots, target)
        text = attach_shard(text, target)
        return set_unowned(
            text,
            mapping,
            _unowned(
                config,
                mapping,
                **{
                    target: _present(config, mapping, target) - slots,
                    source: _present(config, mapping, source) | slots,
                },
            ),
        )

    work.change_config(flipped)
    return {"at": work.needed_store.now().isoformat()}


def _is_flipped(work: Work, step: Step) -> bool:
    target: str = step.arguments["target"]
    return _owner(work.config.mapping(step.arguments["mapping"]), slots_of(step)) == target


def _owner(present: Mapping, slots: SlotSet) -> str | None:
    """Return the one owner of all the slots, None where they have several."""
    owners = {present.owners[slot] for slot in slots}
    return owners.pop() if len(owners) == 1 else None


def _with_owner(config: Config, mapping: Mapping, slots: SlotSet, owner: str) -> str:
    """Return the text in which some slots, or ranges, have another owner."""
    if isinstance(mapping.rule, RangeRule):
        shards = tuple(owner if i in slots else name for i, name in enumerate(mapping.rule.shards))
        return set_ranges(config.text, mapping.name, mapping.rule.bounds, shards)
    owners = {shard: mapping.numbers_of(shard) - slots for shard in mapping.shards}
    owners[owner] = owners.get(owner, SlotSet()) | slots
    return set_slot_owners(config.text, mapping.name, owners)


def _cut(work: Work, step: Step) -> Result:
    """Write other bounds, under which every key has the owner that it has."""
    _set_bounds(work, step, before=_rule_before(step), after=range_rule(step.arguments))
    return {}


def _uncut(work: Work, step: Step) -> None:
    _set_bounds(work, step, before=range_rule(step.arguments), after=_rule_before(step))


def _rule_before(step: Step) -> RangeRule:
    before = {"bounds": step.arguments["old_bounds"], "owners": step.arguments["old_owners"]}
    return range_rule(before)


def _set_bounds(work: Work, step: Step, *, before: RangeRule, after: RangeRule) -> None:
    name = step.arguments["mapping"]

    def bounded(config: Config) -> str:
        present = config.mapping(name).rule
        if present == after:
            return config.text
        if present != before:
            raise MismatchError(
                f"the ranges of {name} are not what they were: somebody else changed them",
                next_step="set them back in the configuration, then resume or abort",
            )
        return set_ranges(config.text, name, after.bounds, after.shards)

    work.change_config(bounded)


def _hold(work: Work, step: Step) -> Result:
    """Wait until nobody reads by the old map any more, so that the old rows may go."""
    _wait_for_readers(work, work.config, "until nobody reads by the old map")
    return {}


def _wait_for_readers(work: Work, config: Config, why: str) -> None:
    """Wait until no process has an older map, and what was asked by one has reached all shards."""
    age_s = _AGES_WAITED * config.map_max_age_s
    work.wait_until(work.needed_store.now() + timedelta(seconds=age_s), why)


def _register(work: Work, step: Step) -> Result:
    """Write a shard into the configuration, with a mapping of its own where it brings one."""
    work.change_config(lambda config: _registered(config, step))
    return {}


def _registered(config: Config, step: Step) -> str:
    arguments, text = step.arguments, config.text
    if step.shard not in config.shards:
        text = add_shard(text, step.shard, arguments["entry"])
    if arguments.get("new_mapping") and arguments["mapping"] not in config.mappings:
        return add_mapping(text, arguments["mapping"], arguments["new_mapping"])
    if not arguments.get("mapping"):
        return text
    mapping = config.mapping(arguments["mapping"])
    if isinstance(mapping.rule, SlotRule) and step.shard not in mapping.shards:
        owners = {**_owner_texts(mapping), step.shard: ""}
        text = set_slot_owners(text, mapping.name, owners)
    return text


def _deregister(work: Work, step: Step) -> Result:
    """Take a shard that owns nothing out of the configuration, and wait until all know."""
    config = work.change_config(lambda config: _without(config, step))
    _wait_for_readers(work, config, "until no process connects to it any more")
    return {}


def _unregister(work: Work, step: Step) -> None:
    work.change_config(lambda config: _without(config, step))


def _without(config: Config, step: Step) -> str:
    text = config.text
    new_mapping = step.arguments.get("new_mapping") and step.arguments["mapping"]
    if new_mapping and new_mapping in config.mappings:
        text = remove_mapping(text, new_mapping)
    for mapping in config.mappings.values():
        is_listed = mapping.name != new_mapping and step.shard in mapping.shards
        if is_listed and isinstance(mapping.rule, SlotRule):
            owners = _owner_texts(mapping)
            if owners.pop(step.shard):
                raise MismatchError(
                    f"shard {step.shard} owns slots of {mapping.name}: it stays",
                    next_step=f"shardhash shard remove {step.shard} --drain",
                )
            text = set_slot_owners(text, mapping.name, owners)
    return remove_shard(text, step.shard) if step.shard in config.shards else text


def number_in_config(work: Work, shard: str) -> int:
    """Give a shard an ordinal that none ever had, and return it."""
    numbers: list[int] = []

    def numbered(config: Config) -> str:
        numbers.append(config.last_ordinal + 1)
        return number_shard(config.text, shard, numbers[-1])

    work.change_config(numbered)
    return numbers[-1]


PUBLISH = Runner(_publish, _take_back_publication)
UNPUBLISH = Runner(_unpublish)
CUT = Runner(_cut, _uncut)
FLIP = Runner(_flip, is_done=_is_flipped)
HOLD = Runner(_hold)
REGISTER = Runner(_register, _unregister)
DEREGISTER = Runner(_deregister)
