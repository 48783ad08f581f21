"""``SlotSet``: a set of slot numbers, kept as half-open ranges. It knows no shard and no map."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from operator import index
from typing import Self, SupportsIndex

from shardhash.errors import PlacementError

__all__ = ["MAX_SLOTS", "SlotSet"]

MAX_SLOTS = 65_536

_ITEM = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?")


class SlotSet:
    """A set of slot numbers from 0 to 65,535: immutable, hashable, ordered, small.

    Operations are linear in the number of ranges, `in` is a binary search over them.

    Invariant: `ranges` holds ``[start, end)`` pairs, ascending, none empty, no two touching; so
    equal sets have equal ranges and one text.

        >>> moving = SlotSet.parse("0-99,7,200")
        >>> str(moving), len(moving), 200 in moving
        ('0-99,200', 101, True)
        >>> str(moving - SlotSet(range(50)))
        '50-99,200'
    """

    __slots__ = ("_ranges", "_size")

    _ranges: tuple[tuple[int, int], ...]
    _size: int

    def __init__(self, slots: Iterable[SupportsIndex] = ()) -> None:
        """Make the set of the given slot numbers, in any order, duplicates allowed.

        Args:
            slots: integers in [0, 65536).

        Raises:
            PlacementError: an item is no slot number. Text is read by `parse`.
        """
        if isinstance(slots, str | bytes):
            raise PlacementError(f"slots {slots!r} given as text: write SlotSet.parse({slots!r})")
        if isinstance(slots, SlotSet):
            ranges = slots.ranges
        else:
            ranges = _ranges_of_sorted(sorted({_slot_number(slot) for slot in slots}))
        self._set_ranges(ranges)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the set that a text like ``"0-99,7,200-299"`` names; both ends are included.

        Items may overlap, come in any order and have blanks around them; the empty text is the
        empty set.

        Raises:
            PlacementError: an item that is no slot and no ascending pair of slots.
        """
        if not isinstance(text, str):
            raise PlacementError(
                f"slots given as {type(text).__name__}: write text like '0-99,7', or SlotSet(...)"
            )
        items = text.split(",") if text.strip() else []
        return cls.from_ranges(map(_parse_item, items))

    @classmethod
    def from_ranges(cls, ranges: Iterable[tuple[int, int]]) -> Self:
        """Return the union of half-open ranges ``[start, end)``, in any order, empty ones allowed.

        Raises:
            PlacementError: ``start > end``, or an end outside [0, 65536].
        """
        checked = [_checked_range(start, end) for start, end in ranges]
        return cls._from_canonical(_merged(sorted(checked)))

    @classmethod
    def _from_canonical(cls, ranges: Iterable[tuple[int, int]]) -> Self:
        made = cls.__new__(cls)
        made._set_ranges(tuple(ranges))  # noqa: SLF001
        return made

    def _set_ranges(self, ranges: tuple[tuple[int, int], ...]) -> None:
        self._ranges = ranges
        self._size = sum(end - start for start, end in ranges)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The slots as ``[start, end)`` pairs: ascending, none empty, no two touching."""
        return self._ranges

    def __len__(self) -> int:
        """Return the number of slots."""
        return self._size

    def __iter__(self) -> Iterator[int]:
        """Iterate over the slots in ascending order."""
        return chain.from_iterable(range(start, end) for start, end in self._ranges)

    def __contains__(self, slot: object) -> bool:
        """Return whether an integer is a slot of the set; anything else is not."""
        try:
            number = index(slot)  # type: ignore[arg-type]
        except TypeError:
            return False
        after = bisect_right(self._ranges, number, key=lambda pair: pair[0])
        return after > 0 and number < self._ranges[after - 1][1]

    def __or__(self, other: "SlotSet") -> "SlotSet":
        """Return the slots in either set."""
        if not isinstance(other, SlotSet):
            return NotImplemented
        return SlotSet._from_canonical(_merged(sorted(self._ranges + other._ranges)))

    def __and__(self, other: "SlotSet") -> "SlotSet":
        """Return the slots in both sets."""
        if not isinstance(other, SlotSet):
            return NotImplemented
        return SlotSet._from_canonical(_common(self._ranges, other._ranges))

    def __sub__(self, other: "SlotSet") -> "SlotSet":
        """Return the slots of this set that the other has not."""
        if not isinstance(other, SlotSet):
            return NotImplemented
        return SlotSet._from_canonical(_common(self._ranges, _gaps(other._ranges)))

    def __eq__(self, other: object) -> bool:
        """Return whether both are slot sets with the same slots."""
        if not isinstance(other, SlotSet):
            return NotImplemented
        return self._ranges == other._ranges

    def __hash__(self) -> int:
        """Return a hash of the slots."""
        return hash((SlotSet, self._ranges))

    def __str__(self) -> str:
        """Return the canonical text: ``"0-99,200"``. Stable since 0.1."""
        return ",".join(
            str(start) if end == start + 1 else f"{start}-{end - 1}" for start, end in self._ranges
        )

    def __repr__(self) -> str:
        """Return the call that makes an equal set."""
        return f"SlotSet.parse({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle as the canonical text."""
        return type(self).parse, (str(self),)


def _slot_number(slot: object) -> int:
    try:
        number = index(slot)  # type: ignore[arg-type]
    except TypeError:
        raise PlacementError(
            f"slot {slot!r} is {type(slot).__name__}: a slot is an integer from 0 to 65535"
        ) from None
    if not 0 <= number < MAX_SLOTS:
        raise PlacementError(f"slot {number:#x} is out of range: a slot is from 0 to 65535")
    return number


def _ranges_of_sorted(slots: list[int]) -> tuple[tuple[int, int], ...]:
    breaks = [0, *(i for i in range(1, len(slots)) if slots[i] != slots[i - 1] + 1), len(slots)]
    return tuple((slots[i], slots[j - 1] + 1) for i, j in pairwise(breaks) if i < j)


def _parse_item(item: str) -> tuple[int, int]:
    matched = _ITEM.fullmatch(item)
    if matched is None:
        raise PlacementError(
            f"slots {item.strip()[:40]!r} are no slot and no range: write text like '0-99,7'"
        )
    first = int(matched[1])
    last = first if matched[2] is None else int(matched[2])
    if last < first:
        raise PlacementError(f"slots {item.strip()!r} run backwards: write '{last}-{first}'")
    if last >= MAX_SLOTS:
        raise PlacementError(f"slot {last} of {item.strip()!r} is too high: the last is 65535")
    return first, last + 1


def _checked_range(start: int, end: int) -> tuple[int, int]:
    start, end = index(start), index(end)
    if not 0 <= start <= end <= MAX_SLOTS:
        raise PlacementError(
            f"slot range [{start}, {end}) is impossible: it takes 0 <= start <= end <= 65536"
        )
    return start, end


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return sorted ranges with the empty ones dropped and those that touch or overlap united."""
    merged: list[tuple[int, int]] = []
    for start, end in ranges:
        if start == end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _gaps(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Return the ranges of [0, 65536) that canonical `ranges` leave free."""
    edges = [0, *chain.from_iterable(ranges), MAX_SLOTS]
    return tuple(pair for pair in zip(edges[::2], edges[1::2], strict=True) if pair[0] < pair[1])


def _common(
    left: tuple[tuple[int, int], ...], right: tuple[tuple[int, int], ...]
) -> Iterator[tuple[int, int]]:
    """Yield the intersection of two canonical tuples of ranges, itself canonical."""
    i = j = 0
    while i < len(left) and j < len(right):
        start, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < end:
            yield start, end
        if left[i][1] <= right[j][1]:
            i += 1
        else:
            j += 1
