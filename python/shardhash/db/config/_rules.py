"""Reads mappings: the key, the tables, and the rule of slots, ranges or ring."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime
from itertools import pairwise
from typing import cast

from shardhash.db.config._models import (
    KeyModel,
    MappingModel,
    RangesModel,
    RingModel,
    SlotsModel,
    TableModel,
    read_model,
)
from shardhash.db.config._problems import Data, Document, did_you_mean, found
from shardhash.db.config._yaml import Path
from shardhash.db.topology import (
    Key,
    KeyType,
    Mapping,
    RangeRule,
    RingRule,
    SlotRule,
    TableRule,
)
from shardhash.errors import ShardhashError
from shardhash.slots import SlotSet

__all__ = ["MappingReader"]

_RULES = ("slots", "ranges", "ring")
_MAX_SLOTS = 65_536
_MAX_PARTITIONS = 8_192
_MAX_SLOTS_TEXT = 400
_MAX_WEIGHT = 1_000
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1

Bound = int | str | bytes | date | datetime


class MappingReader:
    """Reads mappings; every mistake goes to the document."""

    def __init__(self, document: Document, shards: set[str]) -> None:
        self._document = document
        self._shards = shards

    def mappings(self, parts: dict[str, Data]) -> dict[str, Mapping]:
        """Return the mappings that could be read, by name."""
        read = {name: self._mapping(name, part) for name, part in parts.items()}
        self._check_tables(parts)
        return {name: mapping for name, mapping in read.items() if mapping is not None}

    def _mapping(self, name: str, part: Data) -> Mapping | None:
        path: Path = ("mappings", name)
        model = read_model(self._document, MappingModel, part, path)
        if model is None:
            if isinstance(part, dict):
                self._parts_without_the_rest(part, path)
            return None
        key = self._key(model.key, (*path, "key"))
        tables = self._tables(model.tables, key, (*path, "tables"))
        rule = self._rule({name: getattr(model, name) for name in _RULES}, key, path)
        global_tables = self._global_tables(model.global_tables, (*path, "global_tables"))
        self._check_partitions(model.partitions, rule, path)
        unowned = self._unowned(model.unowned, rule, (*path, "unowned"))
        if key is None or rule is None or tables is None:
            return None
        return Mapping(
            name=name,
            key=key,
            tables=tables,
            rule=rule,
            global_tables=global_tables,
            partitions=model.partitions,
            unowned=unowned,
        )

    def _parts_without_the_rest(self, part: dict[str, Data], path: Path) -> None:
        """Report on the parts of a mapping that lacks its key or its tables."""
        key = self._key(part["key"], (*path, "key")) if "key" in part else None
        if "tables" in part:
            self._tables(part["tables"], key, (*path, "tables"))
        rules: dict[str, object] = {name: part.get(name) for name in _RULES}
        self._rule(rules, key, path)

    def _key(self, value: object, path: Path) -> Key | None:
        model = read_model(self._document, KeyModel, value, path)
        if model is None:
            return None
        if model.equality == "bytes" and model.type is not KeyType.STR:
            self._document.problem((*path, "equality"), "is for keys of type str; remove it")
        return Key(model.column, model.type, folds=model.equality != "bytes")

    def _tables(self, value: object, key: Key | None, path: Path) -> tuple[TableRule, ...] | None:
        if not isinstance(value, list) or not value:
            self._document.problem(path, f"must be a list of tables, found {_found_list(value)}")
            return None
        rules: list[TableRule] = []
        for index, item in enumerate(value):
            part = {"name": item} if isinstance(item, str) else item
            model = read_model(self._document, TableModel, part, (*path, index))
            if model is not None:
                column = model.key or (key.column if key else "")
                rules.append(TableRule(model.name, column))
        return tuple(rules)

    def _global_tables(self, value: object, path: Path) -> tuple[str, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self._document.problem(path, f"must be a list of tables, found {found(value)}")
            return ()
        names: list[str] = []
        for index, item in enumerate(value):
            where = (*path, index)
            if not isinstance(item, str):
                self._document.problem(where, f"must be a table's name, found {found(item)}")
                continue
            model = read_model(self._document, TableModel, {"name": item}, where)
            if model is not None:
                names.append(model.name)
        return tuple(names)

    def _rule(
        self, rules: dict[str, object], key: Key | None, path: Path
    ) -> SlotRule | RangeRule | RingRule | None:
        given = [name for name in _RULES if rules[name] is not None]
        if len(given) != 1:
            what = f"has {' and '.join(given)}" if given else "has no rule"
            self._document.problem(path, f"{what}; write one of slots, ranges, ring")
            return None
        where = (*path, given[0])
        if key is not None and key.type is KeyType.DATETIME and given[0] != "ranges":
            self._document.problem((*path, "key", "type"), "datetime keys go with ranges only")
        if given[0] == "slots":
            return self._slots(rules["slots"], where)
        if given[0] == "ranges":
            return self._ranges(rules["ranges"], key, where)
        return self._ring(rules["ring"], where)

    def _slots(self, value: object, path: Path) -> SlotRule | None:
        model = read_model(self._document, SlotsModel, value, path)
        if model is None:
            return None
        count = model.count
        if count < 1 or count > _MAX_SLOTS or count & (count - 1):
            self._document.problem(
                (*path, "count"), f"must be a power of two from 1 to {_MAX_SLOTS}, found {count}"
            )
            return None
        sets = self._slot_sets(model.owners, count, (*path, "owners"))
        weights = self._weights(model.weights, (*path, "weights"))
        if sets is None:
            return None
        for shard in weights:
            if shard not in sets:
                message = "is not among the owners; add it there, with '' where it has no slot"
                self._document.problem((*path, "weights", shard), message, at_key=True)
        owners = self._owners(sets, count, (*path, "owners"))
        if owners is None:
            return None
        return SlotRule(owners=owners, shards=tuple(sets), weights=weights)

    def _slot_sets(self, value: object, count: int, path: Path) -> dict[str, SlotSet] | None:
        if not isinstance(value, dict) or not value:
            self._document.problem(path, f"must be {{shard: slots}}, found {_found_list(value)}")
            return None
        sets: dict[str, SlotSet] = {}
        for shard, text in value.items():
            self._check_shard(shard, (*path, shard), at_key=True)
            slots = self._slot_set(text, count, (*path, shard))
            if slots is not None:
                sets[shard] = slots
        return sets if len(sets) == len(value) else None

    def _slot_set(self, value: Data, count: int, path: Path) -> SlotSet | None:
        text = "" if value is None else str(value) if type(value) is int else value
        if not isinstance(text, str):
            message = f'must be slots such as "0-99,7", found {found(value)}'
            self._document.problem(path, message)
            return None
        try:
            slots = SlotSet.parse(text)
        except ShardhashError as error:
            self._document.problem(path, str(error))
            return None
        beyond = [slot for slot in slots if slot >= count]
        if beyond:
            message = f"slots {_slots_text(beyond)} are beyond {count - 1}, the last of {count}"
            self._document.problem(path, message)
            return None
        return slots

    def _owners(self, sets: dict[str, SlotSet], count: int, path: Path) -> tuple[str, ...] | None:
        owners: list[str | None] = [None] * count
        twice: dict[tuple[str, str], list[int]] = defaultdict(list)
        for shard, slots in sets.items():
            for slot in slots:
                first = owners[slot]
                if first is None:
                    owners[slot] = shard
                else:
                    twice[first, shard].append(slot)
        for (first, second), slots_twice in twice.items():
            message = f"slots {_slots_text(slots_twice)} belong to {first} too; take them from one"
            self._document.problem((*path, second), message)
        missing = [slot for slot, owner in enumerate(owners) if owner is None]
        if missing:
            message = f"no shard owns the slots {_slots_text(missing)}; give them to one"
            self._document.problem(path, message)
        if twice or missing:
            return None
        return tuple(owner for owner in owners if owner is not None)

    def _weights(self, value: object, path: Path) -> dict[str, float]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._document.problem(path, f"must be {{shard: weight}}, found {found(value)}")
            return {}
        weights: dict[str, float] = {}
        for shard, weight in value.items():
            self._check_shard(shard, (*path, shard), at_key=True)
            if isinstance(weight, bool) or not isinstance(weight, int | float):
                message = f"must be a number, found {found(weight)}"
                self._document.problem((*path, shard), message)
            elif not 0 < weight <= _MAX_WEIGHT:
                message = f"must be above 0 and at most {_MAX_WEIGHT}, found {weight}"
                self._document.problem((*path, shard), message)
            else:
                weights[shard] = float(weight)
        return weights

    def _ranges(self, value: object, key: Key | None, path: Path) -> RangeRule | None:
        model = read_model(self._document, RangesModel, value, path)
        if model is None:
            return None
        shards = self._range_shards(model.shards, (*path, "shards"))
        bounds = self._bounds(model.bounds, key, (*path, "bounds"))
        if isinstance(model.bounds, list) and isinstance(model.shards, list):
            wanted = len(model.bounds) + 1
            if len(model.shards) != wanted:
                message = (
                    f"{len(model.bounds)} bounds make {wanted} ranges, found "
                    f"{len(model.shards)} shards; write one for each range"
                )
                self._document.problem((*path, "shards"), message)
                return None
        if shards is None or bounds is None:
            return None
        return RangeRule(bounds=cast("tuple[int, ...]", bounds), shards=shards)

    def _range_shards(self, value: object, path: Path) -> tuple[str, ...] | None:
        if not isinstance(value, list):
            self._document.problem(path, f"must be a list of shards, found {found(value)}")
            return None
        for index, name in enumerate(value):
            self._check_shard(name, (*path, index))
        return tuple(str(name) for name in value)

    def _bounds(self, value: object, key: Key | None, path: Path) -> tuple[Bound, ...] | None:
        if not isinstance(value, list):
            self._document.problem(path, f"must be a list of keys, found {found(value)}")
            return None
        if key is None:
            return None
        bounds: list[Bound | None] = []
        for index, item in enumerate(value):
            try:
                bounds.append(_bound(item, key.type))
            except ValueError as error:
                bounds.append(None)
                self._document.problem((*path, index), str(error))
        for index, (lower, upper) in enumerate(pairwise(bounds), start=1):
            if lower is not None and upper is not None and not lower < upper:  # type: ignore[operator]
                message = "bounds must ascend; this one is not above the one before it"
                self._document.problem((*path, index), message)
        return tuple(bound for bound in bounds if bound is not None)

    def _ring(self, value: object, path: Path) -> RingRule | None:
        model = read_model(self._document, RingModel, value, path)
        if model is None:
            return None
        where = (*path, "nodes")
        if not isinstance(model.nodes, dict) or not model.nodes:
            message = f"must be {{shard: weight}}, found {_found_list(model.nodes)}"
            self._document.problem(where, message)
            return None
        nodes = self._weights(model.nodes, where)
        return RingRule(nodes=nodes) if len(nodes) == len(model.nodes) else None

    def _check_shard(self, name: object, path: Path, *, at_key: bool = False) -> None:
        if isinstance(name, str) and name in self._shards:
            return
        if not isinstance(name, str):
            self._document.problem(path, f"must be a shard's name, found {found(name)}")
            return
        near = did_you_mean(name, self._shards)
        known = f"there are {', '.join(sorted(self._shards))}" if self._shards else "there is none"
        self._document.problem(path, f"no such shard{near}; {known}", at_key=at_key)

    def _check_partitions(self, partitions: int | None, rule: object, path: Path) -> None:
        if partitions is None or rule is None:
            return
        where = (*path, "partitions")
        if not isinstance(rule, SlotRule):
            self._document.problem(where, "goes with slots only; remove it")
        elif (
            not 2 <= partitions <= min(_MAX_PARTITIONS, rule.slot_count)
            or rule.slot_count % partitions
        ):
            message = f"must divide {rule.slot_count}, the number of slots, found {partitions}"
            self._document.problem(where, message)

    def _unowned(self, value: object, rule: object, path: Path) -> dict[str, SlotSet]:
        if value is None or not isinstance(rule, SlotRule | RangeRule):
            if value is not None and isinstance(rule, RingRule):
                self._document.problem(path, "goes with slots or ranges only; remove it")
            return {}
        if not isinstance(value, dict):
            self._document.problem(path, f"must be {{shard: slots}}, found {found(value)}")
            return {}
        owners = rule.owners if isinstance(rule, SlotRule) else rule.shards
        sets: dict[str, SlotSet] = {}
        for shard, text in value.items():
            self._check_shard(shard, (*path, shard), at_key=True)
            slots = self._slot_set(text, len(owners), (*path, shard))
            if not slots:
                continue
            own = [slot for slot in slots if owners[slot] == shard]
            if own:
                message = f"slots {_slots_text(own)} are its own; leave them out here"
                self._document.problem((*path, shard), message)
            sets[shard] = slots
        return sets

    def _check_tables(self, parts: dict[str, Data]) -> None:
        """Report tables that two mappings, or `tables` and `global_tables`, lay claim to."""
        taken: dict[str, tuple[str, str]] = {}
        for mapping, path, name in _written_tables(parts, "tables"):
            if name.casefold() in taken:
                self._document.problem(path, _claimed(name, *taken[name.casefold()]))
            else:
                taken[name.casefold()] = (mapping, name)
        for _, path, name in _written_tables(parts, "global_tables"):
            if name.casefold() in taken:
                self._document.problem(path, _claimed(name, *taken[name.casefold()]))


def _written_tables(parts: dict[str, Data], key: str) -> Iterable[tuple[str, Path, str]]:
    for mapping, part in parts.items():
        items = part.get(key) if isinstance(part, dict) else None
        for index, item in enumerate(items if isinstance(items, list) else ()):
            name = item.get("name") if isinstance(item, dict) else item
            if isinstance(name, str):
                yield mapping, ("mappings", mapping, key, index), name


def _claimed(name: str, mapping: str, other: str) -> str:
    case = "" if name == other else f" as {other}, and servers differ on case"
    return f"table {name} is in tables of mapping {mapping} already{case}; keep one of the two"


def _slots_text(slots: Iterable[int]) -> str:
    """Return the canonical text of `slots`, shortened where it is long."""
    text = str(SlotSet(slots))
    if len(text) <= _MAX_SLOTS_TEXT:
        return text
    return f"{text[:_MAX_SLOTS_TEXT].rpartition(',')[0]},... ({len(SlotSet(slots))} in all)"


def _found_list(value: object) -> str:
    return "an empty one" if value in ([], {}) else found(value)


def _bound(value: Data, key_type: KeyType) -> Bound:
    """Return a range bound as the canonical key of its type; ValueError says what is wrong."""
    try:
        return _BOUNDS[key_type](value)
    except _WrongBoundError:
        expected = _BOUND_FORMS[key_type]
        raise ValueError(
            f"a bound of {key_type} keys must be {expected}, found {found(value)}"
        ) from None


class _WrongBoundError(Exception):
    pass


def _int_bound(value: Data) -> int:
    if type(value) is not int or not _INT_MIN <= value <= _INT_MAX:
        raise _WrongBoundError
    return value


def _str_bound(value: Data) -> str:
    if not isinstance(value, str):
        raise _WrongBoundError
    return value


def _bytes_bound(value: Data) -> bytes:
    text = _str_bound(value)
    try:
        return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()
    except ValueError:
        raise _WrongBoundError from None


def _uuid_bound(value: Data) -> uuid.UUID:
    text = _str_bound(value)
    try:
        return uuid.UUID(text)
    except ValueError:
        raise _WrongBoundError from None


def _date_bound(value: Data) -> date:
    if type(value) is not date:
        raise _WrongBoundError
    return value


def _datetime_bound(value: Data) -> datetime:
    if type(value) is date:
        return datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime) or value.tzinfo is not None:
        raise _WrongBoundError
    return value


_BOUNDS: dict[KeyType, Callable[[Data], Bound]] = {
    KeyType.INT: _int_bound,
    KeyType.STR: _str_bound,
    KeyType.BYTES: _bytes_bound,
    KeyType.UUID: lambda value: str(_uuid_bound(value)),
    KeyType.UUID16: lambda value: _uuid_bound(value).bytes,
    KeyType.DATE: _date_bound,
    KeyType.DATETIME: _datetime_bound,
}
_BOUND_FORMS = {
    KeyType.INT: "a whole number of 64 bits",
    KeyType.STR: "text (in quotes)",
    KeyType.BYTES: 'text or hex (in quotes: "0x00ff")',
    KeyType.UUID: "a UUID",
    KeyType.UUID16: "a UUID",
    KeyType.DATE: "a date (2026-01-31)",
    KeyType.DATETIME: "a date with time and without zone (2026-01-31 12:00:00)",
}
