"""``RangeMap``: sorted bounds with a shard for each range between them."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from shardhash._names import MAX_SHARDS, checked_name, listed, unknown_shard
from shardhash.errors import PlacementError
from shardhash.hashing import xxh64
from shardhash.ranges._bulk import RangeKeys, delivered, key_list
from shardhash.ranges._keys import (
    RangeKey,
    Reader,
    bound_text,
    is_aware,
    is_lowest,
    read_each,
    reader,
    shown,
)
from shardhash.ranges._moves import RangeMove, RangeMoves

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["RangeMap"]


class RangeMap:
    """An immutable map from keys, by their order, to shards.

    Thread-safe, hashable, picklable. Two maps are equal when key type, bounds and the shard of
    each range are; then indices are equal too. A change is a new map, made in one pass over the
    ranges.

    Invariants: bounds strictly ascending and of the key type; ``bounds[i]`` is the lower end of
    range ``i + 1`` and the open upper end of range ``i``; each range has one shard.
    """

    __slots__ = ("_bounds", "_key_type", "_owner_of_range", "_range_shards", "_read", "_shards")

    _bounds: tuple[RangeKey, ...]
    _key_type: type[RangeKey]
    _owner_of_range: tuple[int, ...]
    _range_shards: tuple[str, ...]
    _read: Reader
    _shards: tuple[str, ...]

    def __init__(
        self, bounds: Iterable[RangeKey], shards: Iterable[str], *, key_type: type[RangeKey]
    ) -> None:
        """Make a map of ``len(bounds) + 1`` ranges.

        Args:
            bounds: keys, strictly ascending; all datetimes aware (kept in UTC) or all naive.
            shards: the shard of each range, from the lowest; a shard may hold several.
            key_type: int, str, bytes, datetime.date or datetime.datetime. Keys and bounds must be
                of it: subclasses and, for int, whatever has ``__index__`` count by value, but no
                bool under int and no datetime under date.

        Raises:
            KeyTypeError: a bound is not of the key type.
            PlacementError: bounds out of order; a wrong number of shards, or a bad name; another
                key type.
        """
        given = listed(bounds, "a list of bounds")
        self._key_type = key_type
        self._read = reader(key_type, given)
        self._bounds = tuple(read_each(self._read, given, "bounds"))
        self._range_shards = tuple(map(checked_name, listed(shards, "a list of shard names")))
        self._shards = tuple(dict.fromkeys(self._range_shards))
        owners = {shard: i for i, shard in enumerate(self._shards)}
        self._owner_of_range = tuple(owners[shard] for shard in self._range_shards)
        self._check()

    def _check(self) -> None:
        if len(self._range_shards) != len(self._bounds) + 1:
            raise PlacementError(
                f"{len(self._bounds)} bounds make {len(self._bounds) + 1} ranges, found "
                f"{len(self._range_shards)} shards: name one shard for each range"
            )
        for position, (lower, upper) in enumerate(pairwise(self._bounds), start=1):
            if not lower < upper:  # type: ignore[operator]
                raise PlacementError(
                    f"bound {position}, {shown(upper)}, does not come after bound "
                    f"{position - 1}, {shown(lower)}: bounds are strictly ascending"
                )
        if len(self._shards) > MAX_SHARDS:
            raise PlacementError(
                f"{len(self._shards)} shards given: a range map takes at most {MAX_SHARDS}"
            )

    @property
    def key_type(self) -> type[RangeKey]:
        """The type of bounds and keys."""
        return self._key_type

    @property
    def bounds(self) -> tuple[RangeKey, ...]:
        """The lower ends of all ranges but the first."""
        return self._bounds

    @property
    def range_shards(self) -> tuple[str, ...]:
        """The shard of each range, from the lowest: ``len(bounds) + 1`` names."""
        return self._range_shards

    @property
    def shards(self) -> tuple[str, ...]:
        """The shards, each once, in the order of their first range."""
        return self._shards

    @property
    def owners(self) -> tuple[str, ...]:
        """The tuple that indices refer to: the same as `shards`."""
        return self._shards

    def lookup(self, key: object, /) -> str:
        """Return the shard of the range that holds the key.

        Raises:
            KeyTypeError: the key is not of the map's key type.

        Complexity: binary search over the bounds.
        """
        return self._range_shards[bisect_right(self._bounds, self._read(key))]

    def lookup_many(self, keys: RangeKeys, *, out: "Buffer | None" = None) -> memoryview:
        """Return the index in `owners` of each key.

        Args:
            keys: any iterable; an integer buffer (1-D, C-contiguous, native order) for int keys;
                an Arrow array or chunked array.
            out: a writable C-contiguous buffer of exactly ``len(keys)`` 4-byte unsigned items to
                write to; after an error its content is undefined.

        Returns:
            uint32[len(keys)], format ``"I"``.

        Raises:
            KeyTypeError: a key is not of the map's key type; says which one.
            PlacementError: a buffer of another shape, or an `out` that does not fit.

        Complexity: a binary search over the bounds for each key, in Python.
        """
        found = array("I", self._owners_of_each(key_list(keys)))
        return delivered(found, out, len(found))

    def partition(self, keys: RangeKeys) -> dict[str, list[object]]:
        """Return the keys of each shard: shards without a key left out, keys in input order.

        Args:
            keys: as for `lookup_many`.

        Raises:
            KeyTypeError: a key is not of the map's key type; says which one.
        """
        items = key_list(keys)
        parts: list[list[object]] = [[] for _ in self._shards]
        for owner, key in zip(self._owners_of_each(items), items, strict=True):
            parts[owner].append(key)
        return {shard: part for shard, part in zip(self._shards, parts, strict=True) if part}

    def foreign(self, shard: str, keys: RangeKeys, *, out: "Buffer | None" = None) -> memoryview:
        """Return the positions in `keys` of those that do not belong to a shard, ascending.

        Args:
            shard: a shard of the map.
            keys: as for `lookup_many`.
            out: as for `lookup_many`, with room for ``len(keys)`` items; it is written from its
                start, and the part written is returned.

        Raises:
            KeyTypeError: a key is not of the map's key type; says which one.
            PlacementError: no such shard, or as for `lookup_many`.
        """
        own = self._index(shard)
        owners = self._owners_of_each(key_list(keys))
        found = array("I", (i for i, owner in enumerate(owners) if owner != own))
        return delivered(found, out, len(owners))

    def ranges_of(self, shard: str) -> tuple[tuple[RangeKey | None, RangeKey | None], ...]:
        """Return the ranges of a shard, ascending, as ``(lower, upper)``; None is unbounded.

        Raises:
            PlacementError: no such shard.

        Complexity: one pass over the ranges.
        """
        own = self._index(shard)
        ends = pairwise((None, *self._bounds, None))
        return tuple(
            pair for pair, owner in zip(ends, self._owner_of_range, strict=True) if owner == own
        )

    def with_split(self, at: RangeKey, target: str) -> "RangeMap":
        """Return a map in which `target` owns the part from `at` to the next bound.

        Args:
            at: a key that is not a bound yet.
            target: a shard of the map or a new one.

        Raises:
            KeyTypeError: `at` is not of the key type.
            PlacementError: `at` is a bound already, or the name is bad.
        """
        bound = self._read(at)
        position = bisect_right(self._bounds, bound)
        if position and self._bounds[position - 1] == bound:
            raise PlacementError(
                f"cannot split at {shown(bound)}: it is a bound already; name a key inside a range"
            )
        bounds = (*self._bounds[:position], bound, *self._bounds[position:])
        shards = list(self._range_shards)
        shards.insert(position + 1, target)
        return RangeMap(bounds, shards, key_type=self._key_type)

    def with_merged(self, at: RangeKey, *, into: str) -> "RangeMap":
        """Return a map without the bound `at`; both ranges beside it go to `into`.

        A shard that loses its last range is no longer in the map.

        Raises:
            KeyTypeError: `at` is not of the key type.
            PlacementError: `at` is no bound, or `into` owns neither range beside it.
        """
        bound = self._read(at)
        position = bisect_left(self._bounds, bound)
        if position == len(self._bounds) or self._bounds[position] != bound:
            raise PlacementError(f"cannot merge at {shown(bound)}: it is no bound of the map")
        beside = self._range_shards[position : position + 2]
        if into not in beside:
            raise PlacementError(
                f"cannot merge at {shown(bound)} into {into!r}: name {beside[0]!r} or "
                f"{beside[1]!r}, which own the two ranges"
            )
        bounds = self._bounds[:position] + self._bounds[position + 1 :]
        shards = (*self._range_shards[:position], into, *self._range_shards[position + 2 :])
        return RangeMap(bounds, shards, key_type=self._key_type)

    def moves_to(self, other: "RangeMap") -> RangeMoves:
        """Return which ranges change their shard on the way to another map. Exact and minimal.

        Raises:
            PlacementError: the other map has another key type, or naive bounds against aware ones.

        Complexity: a binary search over the bounds of both for each of them.
        """
        self._check_comparable(other)
        merged: list[RangeMove] = []
        for move in self._iter_moves(other):
            last = merged[-1] if merged else None
            if last and (last.upper, last.source, last.target) == (
                move.lower,
                move.source,
                move.target,
            ):
                merged[-1] = RangeMove(last.lower, move.upper, move.source, move.target)
            else:
                merged.append(move)
        return RangeMoves(merged)

    def _iter_moves(self, other: "RangeMap") -> Iterator[RangeMove]:
        edges = sorted({*self._bounds, *other.bounds})
        for lower, upper in pairwise((None, *edges, None)):
            if lower is None and upper is not None and is_lowest(upper):
                continue
            source, target = self._shard_from(lower), other._shard_from(lower)  # noqa: SLF001
            if source != target:
                yield RangeMove(lower, upper, source, target)

    def _shard_from(self, lower: RangeKey | None) -> str:
        position = 0 if lower is None else bisect_right(self._bounds, lower)
        return self._range_shards[position]

    def _check_comparable(self, other: object) -> None:
        if not isinstance(other, RangeMap):
            raise PlacementError(f"moves_to takes a RangeMap, found {type(other).__name__}")
        if self._key_type is not other.key_type:
            raise PlacementError(
                f"no moves from keys of {self._key_type.__name__} to keys of "
                f"{other.key_type.__name__}: the key type must be the same"
            )
        if {is_aware(bound) for bound in (*self._bounds[:1], *other.bounds[:1])} == {False, True}:
            raise PlacementError("no moves between naive and aware bounds: make both the same")

    @property
    def version_hash(self) -> str:
        """16 hex digits of XXH64 of the map's canonical text; equal for equal maps.

        The text is in docs/reference/bytes.md. Stable since 0.1.
        """
        return f"{xxh64(self._canonical_text()):016x}"

    def _canonical_text(self) -> str:
        lowers = ["-", *map(bound_text, self._bounds)]
        lines = [f"ranges {self._key_type.__name__}\n"]
        lines += (
            f"{len(shard.encode())}:{shard} {lower}\n"
            for shard, lower in zip(self._range_shards, lowers, strict=True)
        )
        return "".join(lines)

    def __len__(self) -> int:
        """Return the number of shards."""
        return len(self._shards)

    def __eq__(self, other: object) -> bool:
        """Return whether key type, bounds and the shard of each range are equal."""
        if not isinstance(other, RangeMap):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        """Return a hash of key type, bounds and shards."""
        return hash(self._identity())

    def _identity(self) -> tuple[object, ...]:
        return self._key_type, self._bounds, self._range_shards

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the configuration."""
        return partial(type(self), key_type=self._key_type), (self._bounds, self._range_shards)

    def __repr__(self) -> str:
        """Return a short text that tells maps apart."""
        return (
            f"<RangeMap of {len(self._range_shards)} ranges of {self._key_type.__name__} "
            f"on {len(self)} shards, version {self.version_hash}>"
        )

    def _repr_html_(self) -> str:
        """Return a drawing of the ranges and their shards, for notebooks."""
        from shardhash._drawing import range_drawing

        bounds = [shown(bound) for bound in self._bounds]
        return range_drawing(repr(self)[1:-1], self._shards, self._owner_of_range, bounds)

    def _index(self, shard: str) -> int:
        try:
            return self._shards.index(shard)
        except ValueError:
            raise unknown_shard(shard, self._shards) from None

    def _owners_of_each(self, items: list[object]) -> list[int]:
        bounds, owners = self._bounds, self._owner_of_range
        keys = read_each(self._read, items, "keys")
        return [owners[bisect_right(bounds, key)] for key in keys]
