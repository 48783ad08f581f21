"""``SlotMap``: the compiled slot table with its configuration, its values and its changes."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import index
from struct import pack
from types import MappingProxyType
from typing import SupportsIndex

from shardhash._core import SlotTable
from shardhash._names import (
    MAX_SHARDS,
    as_float,
    checked_name,
    checked_positive,
    listed,
    quoted,
    unknown_shard,
)
from shardhash.errors import PlacementError
from shardhash.hashing import xxh64
from shardhash.slots._moves import SlotMove, SlotMoves
from shardhash.slots._quotas import even_table, grow, shrink
from shardhash.slots._set import MAX_SLOTS, SlotSet

__all__ = ["SlotMap"]

_POWERS_OF_TWO = tuple(1 << bits for bits in range(MAX_SLOTS.bit_length()))
_SLOT_COUNTS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"crc32": _POWERS_OF_TWO, "xxh64": _POWERS_OF_TWO, "redis": (16_384,)}
)
"""The slot counts that each scheme allows."""


class SlotMap(SlotTable):
    """An immutable map from keys over slots to shards.

    Thread-safe, hashable, picklable (configuration only). A change is a new map. Two maps are
    equal when scheme, shards in their order, weights and table are; then indices are equal too.

    Invariants: every slot has exactly one owner; `shards` has no name twice; a shard may own no
    slot; weights are only asked when a change has to choose, never by a lookup.

        >>> SlotMap({"s1": "0-2", "s2": "3"}).slots_of("s1")
        SlotSet.parse('0-2')
    """

    __slots__ = ("_slot_sets", "_weights")

    _weights: tuple[float, ...]
    _slot_sets: Mapping[str, SlotSet] | None

    def __init__(
        self,
        owners: Sequence[str] | Mapping[str, str | SlotSet],
        *,
        scheme: str = "crc32",
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Make a map from an owner for each slot, or from the slots of each shard.

        Args:
            owners: str[slot_count], the owner of slot 0, 1, ...; the shards are numbered in the
                order in which they first appear. Or a mapping from shard to its slots, as text
                (``"0-8191,9000"``, ``""`` for none) or SlotSet; the shards keep its order, and
                every slot must be in exactly one of them.
            scheme: ``crc32`` or ``xxh64``: the hash whose low bits are the slot. ``redis``: Redis
                Cluster's slots, CRC-16 of the key or its hash tag, always 16,384 of them.
            weights: of the shards that should not count 1.0; finite and greater than 0.

        Raises:
            PlacementError: the slots are no power of two up to 65,536, one has two owners or none;
                a bad name, weight or scheme; no shard, or more than 65,535.

        Complexity: linear in the slots.
        """
        if isinstance(owners, Mapping):
            shards, table = _table_of_sets(owners)
        else:
            shards, table = _table_of_names(owners)
        self._set(shards, table, scheme, _checked_weights(weights, shards))

    @classmethod
    def even(
        cls,
        shards: Iterable[str],
        *,
        slot_count: int = 16_384,
        weights: Mapping[str, float] | None = None,
        scheme: str = "crc32",
    ) -> "SlotMap":
        """Return a map that gives each shard one contiguous block of slots, in the given order.

        The sizes follow the weights by largest remainder, ties to the earlier; with equal weights
        they differ by one at most. Stable since 0.1.

        Args:
            shards: names, unique.
            slot_count: a power of two from 1 to 65,536; 16,384 with scheme ``redis``.
            weights: of the shards that should not count 1.0; finite and greater than 0.
            scheme: ``crc32``, ``xxh64`` or ``redis``.

        Raises:
            PlacementError: a bad name, weight, scheme or slot count; no shard, or more than 65,535.

        Complexity: linear in the slots and, but for a sort, in the shards.
        """
        names = _checked_shards(shards)
        checked = _checked_weights(weights, names)
        count = _checked_slot_count(slot_count, scheme)
        return cls._made(names, even_table(checked, count), scheme, checked)

    @classmethod
    def _made(
        cls, shards: tuple[str, ...], table: "array[int]", scheme: str, weights: tuple[float, ...]
    ) -> "SlotMap":
        made = cls.__new__(cls)
        made._set(shards, table, scheme, weights)  # noqa: SLF001
        return made

    def _set(
        self, shards: tuple[str, ...], table: "array[int]", scheme: str, weights: tuple[float, ...]
    ) -> None:
        _checked_slot_count(len(table), scheme)
        self._build(shards, table, scheme)
        self._weights = weights
        self._slot_sets = None

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of every shard, read-only, in the order of `shards`."""
        return MappingProxyType(dict(zip(self.shards, self._weights, strict=True)))

    def slots_of(self, shard: str) -> SlotSet:
        """Return the slots that a shard owns.

        Raises:
            PlacementError: the map has no such shard.

        Complexity: one pass over the slots at the first call, then constant.
        """
        try:
            return self._sets()[shard]
        except (KeyError, TypeError):
            raise unknown_shard(shard, self.shards) from None

    def with_shard(self, name: str, *, weight: float = 1.0) -> "SlotMap":
        """Return a map with one more, last shard, which takes its quota; nothing else moves.

        The newcomer's quota is its largest-remainder share of the slots. Each slot comes from the
        shard that is then furthest above its own quota (ties to the earlier), and is the highest
        one that this shard has left. Stable since 0.1.

        Raises:
            PlacementError: the shard is there already, or the name or weight is bad.

        Complexity: one pass over the slots, and a heap of the shards for each that moves.
        """
        shards = self._shards_and(name)
        weights = (*self._weights, _checked_weight(weight, name))
        return self._made(shards, grow(self._table(), weights), self.scheme, weights)

    def without_shard(self, name: str) -> "SlotMap":
        """Return a map without a shard; only its slots move.

        They go in ascending order, each to the shard that is then furthest below its quota, ties
        to the earlier. Stable since 0.1.

        Raises:
            PlacementError: the map has no such shard, or no other one.

        Complexity: one pass over the slots, and a heap of the shards for each that moves.
        """
        leaver = self._index(name)
        if len(self.shards) == 1:
            raise PlacementError(
                f"shard {name!r} is the last one: add the shard that takes its slots first"
            )
        shards = self.shards[:leaver] + self.shards[leaver + 1 :]
        weights = self._weights[:leaver] + self._weights[leaver + 1 :]
        return self._made(shards, shrink(self._table(), weights, leaver), self.scheme, weights)

    def with_slots_moved(
        self, slots: SlotSet | str | Iterable[SupportsIndex], target: str
    ) -> "SlotMap":
        """Return a map in which `target` owns the given slots, whoever owns them now.

        Args:
            slots: a SlotSet, its text, or slot numbers.
            target: a shard of the map.

        Raises:
            PlacementError: the map has no such shard or slot.

        Complexity: linear in the slots of the map.
        """
        moving = _slot_set(slots)
        beyond = moving - SlotSet.from_ranges([(0, self.slot_count)])
        if beyond:
            raise PlacementError(
                f"slots {beyond} cannot move: the map has slots 0-{self.slot_count - 1}"
            )
        table = array("H", self._table())
        _fill(table, moving, self._index(target))
        return self._made(self.shards, table, self.scheme, self._weights)

    def with_split(self, source: str, target: str, fraction: float = 0.5) -> "SlotMap":
        """Return a map in which `target` owns the highest slots of `source`.

        Args:
            source: a shard with at least two slots.
            target: a new name, which becomes the last shard with weight 1.0, or a shard that
                owns nothing and keeps its place and weight.
            fraction: from 0.0 to 1.0; ``round(fraction * count)`` slots move, at least one, and
                at least one stays. ``round`` takes halves to the even number.

        Raises:
            PlacementError: as the arguments say.

        Complexity: linear in the slots of the map. Stable since 0.1.
        """
        slots = self.slots_of(source)
        if len(slots) < 2:
            raise PlacementError(
                f"shard {source!r} cannot be split: it owns {len(slots)} slots, and it takes two"
            )
        moving_count = min(max(round(_checked_fraction(fraction) * len(slots)), 1), len(slots) - 1)
        widened = self._with_empty_target(target)
        return widened.with_slots_moved(list(slots)[-moving_count:], target)

    def _with_empty_target(self, target: str) -> "SlotMap":
        if target not in self.shards:
            weights = (*self._weights, 1.0)
            table = array("H", self._table())
            return self._made(self._shards_and(target), table, self.scheme, weights)
        if owned := self.slots_of(target):
            raise PlacementError(
                f"split target {target!r} owns slots {_shortened(owned)} already: "
                "name a new shard, or move slots with with_slots_moved"
            )
        return self

    def moves_to(self, other: "SlotMap") -> SlotMoves:
        """Return which slots change their shard on the way to another map. Exact and minimal.

        Raises:
            PlacementError: the other map has another scheme or slot count.

        Complexity: one pass over the slots.
        """
        if not isinstance(other, SlotMap):
            raise PlacementError(f"moves_to takes a SlotMap, found {type(other).__name__}")
        if (self.scheme, self.slot_count) != (other.scheme, other.slot_count):
            raise PlacementError(
                f"no moves from {self.slot_count} slots of {self.scheme} to {other.slot_count} "
                f"slots of {other.scheme}: scheme and slot count must be the same"
            )
        ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
        start = 0
        tables = (self._table(), other._table())  # noqa: SLF001
        for pair, run in groupby(zip(*tables, strict=True)):
            end = start + sum(1 for _ in run)
            source, target = self.shards[pair[0]], other.shards[pair[1]]
            if source != target:
                ranges.setdefault((source, target), []).append((start, end))
            start = end
        moves = (SlotMove(SlotSet.from_ranges(ranges[pair]), *pair) for pair in sorted(ranges))
        return SlotMoves(moves, self.slot_count)

    @property
    def version_hash(self) -> str:
        """16 hex digits of XXH64 of the map's canonical text; equal for equal maps.

        The text is in docs/reference/bytes.md. Stable since 0.1.
        """
        return f"{xxh64(self._canonical_text()):016x}"

    def _canonical_text(self) -> str:
        lines = [f"slots {self.scheme} {self.slot_count}\n"]
        lines += (
            f"{len(shard.encode())}:{shard} {pack('>d', weight).hex()} {slots}\n"
            for (shard, slots), weight in zip(self._sets().items(), self._weights, strict=True)
        )
        return "".join(lines)

    def __len__(self) -> int:
        """Return the number of shards."""
        return len(self.shards)

    def __eq__(self, other: object) -> bool:
        """Return whether scheme, shards in their order, weights and table are equal."""
        if not isinstance(other, SlotMap):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        """Return a hash of scheme, shards, weights and table."""
        return hash(self._identity())

    def _identity(self) -> tuple[str, tuple[str, ...], tuple[float, ...], bytes]:
        return self.scheme, self.shards, self._weights, self._table().tobytes()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the configuration; loading builds the table anew."""
        make = partial(type(self), scheme=self.scheme, weights=dict(self.weights))
        return make, ({shard: str(slots) for shard, slots in self._sets().items()},)

    def __repr__(self) -> str:
        """Return a short text that tells maps apart."""
        return (
            f"<SlotMap of {self.slot_count} slots ({self.scheme}) on {len(self)} shards, "
            f"version {self.version_hash}>"
        )

    def _repr_html_(self) -> str:
        """Return a drawing of each shard's slots, for notebooks."""
        from shardhash._drawing import slot_drawing

        ranges = [slots.ranges for slots in self._sets().values()]
        return slot_drawing(repr(self)[1:-1], self.shards, ranges)

    def _sets(self) -> Mapping[str, SlotSet]:
        """Return the slots of every shard, in shard order; made once, when first asked for."""
        if self._slot_sets is None:
            ranges: list[list[tuple[int, int]]] = [[] for _ in self.shards]
            start = 0
            for owner, run in groupby(self._table()):
                end = start + sum(1 for _ in run)
                ranges[owner].append((start, end))
                start = end
            sets = map(SlotSet.from_ranges, ranges)
            self._slot_sets = dict(zip(self.shards, sets, strict=True))
        return self._slot_sets

    def _index(self, shard: str) -> int:
        try:
            return self.shards.index(shard)
        except ValueError:
            raise unknown_shard(shard, self.shards) from None

    def _shards_and(self, name: str) -> tuple[str, ...]:
        if name in self.shards:
            raise PlacementError(
                f"shard {name!r} is in the map already: give it slots with with_slots_moved"
            )
        return _checked_shards((*self.shards, name))


def _table_of_names(owners: Sequence[str]) -> tuple[tuple[str, ...], "array[int]"]:
    names = [checked_name(name) for name in listed(owners, "one owner for each slot")]
    shards = _checked_shards(dict.fromkeys(names))
    indices = {shard: i for i, shard in enumerate(shards)}
    return shards, array("H", map(indices.__getitem__, names))


def _table_of_sets(owners: Mapping[str, str | SlotSet]) -> tuple[tuple[str, ...], "array[int]"]:
    shards = _checked_shards(owners)
    sets = [_slots_of_entry(name, slots) for name, slots in owners.items()]
    every = SlotSet.from_ranges(pair for slots in sets for pair in slots.ranges)
    if len(every) != sum(map(len, sets)):
        raise PlacementError(_overlap_message(shards, sets))
    count = 1 << (every.ranges[-1][1] - 1).bit_length() if every else 1
    if missing := SlotSet.from_ranges([(0, count)]) - every:
        raise PlacementError(
            f"slots {_shortened(missing)} of {count} have no owner: give each to a shard "
            "(the number of slots is a power of two, as large as the highest slot asks for)"
        )
    table = array("H", [0]) * count
    for owner, slots in enumerate(sets):
        _fill(table, slots, owner)
    return shards, table


def _slots_of_entry(name: str, slots: str | SlotSet) -> SlotSet:
    if isinstance(slots, SlotSet):
        return slots
    try:
        return SlotSet.parse(slots)
    except PlacementError as error:
        raise PlacementError(f"slots of shard {name!r}: {error}") from error


def _overlap_message(shards: Sequence[str], sets: Sequence[SlotSet]) -> str:
    ranges = sorted(pair for slots in sets for pair in slots.ranges)
    doubled = []
    reached = 0
    for start, end in ranges:
        if start < reached:
            doubled.append((start, min(end, reached)))
        reached = max(reached, end)
    twice = SlotSet.from_ranges(doubled)
    first = twice.ranges[0][0]
    owners = [shard for shard, slots in zip(shards, sets, strict=True) if first in slots]
    return (
        f"slots {_shortened(twice)} have more than one owner (slot {first}: {quoted(owners)}): "
        "leave each slot with one shard"
    )


def _fill(table: "array[int]", slots: SlotSet, owner: int) -> None:
    for start, end in slots.ranges:
        table[start:end] = array("H", [owner]) * (end - start)


def _slot_set(slots: SlotSet | str | Iterable[SupportsIndex]) -> SlotSet:
    if isinstance(slots, SlotSet):
        return slots
    return SlotSet.parse(slots) if isinstance(slots, str) else SlotSet(slots)


def _checked_shards(names: Iterable[str]) -> tuple[str, ...]:
    shards = tuple(map(checked_name, listed(names, "a list of shard names")))
    if not shards:
        raise PlacementError("no shard given: a slot map takes at least one")
    if len(shards) > MAX_SHARDS:
        raise PlacementError(f"{len(shards)} shards given: a slot map takes at most {MAX_SHARDS}")
    if len(set(shards)) != len(shards):
        twice, _ = Counter(shards).most_common(1)[0]
        raise PlacementError(f"shard {twice!r} is named twice: name each shard once")
    return shards


def _checked_weights(
    weights: Mapping[str, float] | None, shards: tuple[str, ...]
) -> tuple[float, ...]:
    if weights is None:
        return (1.0,) * len(shards)
    if not isinstance(weights, Mapping):
        raise PlacementError(
            f"weights given as {type(weights).__name__}: write a mapping from shard to weight"
        )
    if unknown := weights.keys() - set(shards):
        raise PlacementError(
            f"weight of unknown shard {quoted(sorted(unknown, key=repr))}: "
            f"the map has {quoted(shards)}"
        )
    return tuple(_checked_weight(weights.get(shard, 1.0), shard) for shard in shards)


def _checked_weight(weight: object, shard: str) -> float:
    return checked_positive(weight, f"the weight of shard {shard!r}")


def _checked_fraction(fraction: object) -> float:
    value = as_float(fraction)
    if not 0.0 <= value <= 1.0:
        raise PlacementError(f"fraction {fraction!r}: it must be a number from 0.0 to 1.0")
    return value


def _checked_slot_count(slot_count: SupportsIndex, scheme: str) -> int:
    allowed = _SLOT_COUNTS.get(scheme) if isinstance(scheme, str) else None
    if allowed is None:
        raise PlacementError(
            f"unknown slot scheme {scheme!r}: the schemes are {quoted(_SLOT_COUNTS)}"
        )
    if not isinstance(slot_count, SupportsIndex) or index(slot_count) not in allowed:
        least, most = allowed[0], allowed[-1]
        wanted = f"a power of two from {least} to {most}" if least < most else str(most)
        raise PlacementError(
            f"{slot_count!r} slots cannot be: it takes {wanted} with scheme {scheme!r}"
        )
    return index(slot_count)


def _shortened(slots: SlotSet, limit: int = 200) -> str:
    text = str(slots)
    return text if len(text) <= limit else text[:limit].rpartition(",")[0] + ",..."
