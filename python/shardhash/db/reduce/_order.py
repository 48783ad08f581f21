"""The order of rows, as MySQL and SQLite sort them, and merges that keep it."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from shardhash.db.tasks import Row
from shardhash.errors import QueryRefusedError

__all__ = ["SortKey", "comparable", "extended", "merge_sorted", "ranks_of", "sort_rows"]

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    """One entry of ORDER BY: the index of a column that compares as the server sorts."""

    index: int
    descending: bool = False
    nulls_first: bool | None = None
    """None: where both servers put them, first unless descending."""
    pad: bytes = b""
    """What a shorter weight goes on with in comparisons, a space's; empty: it just ends."""


def sort_rows(rows: Iterable[Row], keys: Sequence[SortKey]) -> list[Row]:
    """Return rows in order; equal ones stay as they came."""
    held = list(rows)
    sizes = [
        max((len(row[key.index] or b"") for row in held), default=0) if key.pad else 0  # type: ignore[arg-type]
        for key in keys
    ]
    return sorted(held, key=_key_function(keys, sizes))


def extended(weight: bytes, pad: bytes, size: int) -> bytes:
    """Return a weight that goes on with spaces up to a size, or a little further."""
    return weight + pad * -(-(size - len(weight)) // len(pad))


def merge_sorted(answers: Sequence[Iterator[Row]], keys: Sequence[SortKey]) -> Iterator[Row]:
    """Yield the rows of sorted answers in one order, holding one row of each.

    Raises:
        QueryRefusedError: an answer is not sorted by these keys, so the merge would not be either.
    """
    key = _key_function(keys)
    checked = [_checked(rows, key) for rows in answers]
    for _, row in heapq.merge(*checked, key=lambda pair: pair[0]):
        yield row


def ranks_of(values: Sequence[Any]) -> list[int | None]:
    """Return the place of each value among the different ones in ascending order; None for None."""
    keys = [None if value is None else comparable(value) for value in values]
    ordered = sorted({key for key in keys if key is not None})
    rank = {key: place for place, key in enumerate(ordered)}
    return [None if key is None else rank[key] for key in keys]


def _checked(rows: Iterator[Row], key: Callable[[Row], Key]) -> Iterator[tuple[Key, Row]]:
    last: Key | None = None
    for row in rows:
        this = key(row)
        if last is not None and this < last:
            raise QueryRefusedError(
                "a shard sorts these texts in an order that cannot be told from their weights, "
                "so the answers cannot be merged in order",
                next_step="sort by a column with a _bin collation, or sort in the application",
            )
        last = this
        yield this, row


def _key_function(keys: Sequence[SortKey], sizes: Sequence[int] = ()) -> Callable[[Row], Key]:
    sizes = sizes or [0] * len(keys)
    parts = [(key.index, _part(key, size)) for key, size in zip(keys, sizes, strict=True)]
    if len(parts) == 1:
        index, part = parts[0]
        return lambda row: (part(row[index]),)
    return lambda row: tuple([part(row[index]) for index, part in parts])


def _part(key: SortKey, size: int) -> Callable[[object], Key]:
    nulls_first = (not key.descending) if key.nulls_first is None else key.nulls_first
    null: Key = (0,) if nulls_first else (2,)
    place = _descending if key.descending else _ascending
    pad = key.pad
    if pad and not size:
        padded = _reversed_padded if key.descending else _Padded
        return lambda value: null if value is None else (1, padded(value, pad))  # type: ignore[arg-type]
    if size:
        return lambda value: null if value is None else (1, *place(extended(value, pad, size)))  # type: ignore[arg-type]
    return lambda value: null if value is None else (1, *place(value))


def _ascending(value: object) -> Key:
    return comparable(value)


def _descending(value: object) -> Key:
    kind, known = comparable(value)
    if isinstance(known, Decimal):
        return -kind, known.copy_negate()
    return (-kind, -known) if kind == 0 else (-kind, _Reversed(known))


def comparable(value: object) -> tuple[int, Any]:
    """Return a value with the place of its type: SQLite sorts numbers, then texts, then blobs."""
    if isinstance(value, int | float | Decimal):
        return 0, value
    if isinstance(value, str):
        return 2, value
    if isinstance(value, bytes):
        return 3, value
    if isinstance(value, date):
        return 2, str(value)  # beside 0000-00-00, which is no date in Python
    if isinstance(value, timedelta):
        return 1, value
    raise QueryRefusedError(
        f"values of type {type(value).__name__} have no order that is known here",
        next_step="sort by another expression, or in the application",
    )


class _Reversed:
    """A value that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: "_Reversed") -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]


class _Padded:
    """A weight that compares as if spaces followed it, with weights of any size."""

    __slots__ = ("pad", "weight")

    def __init__(self, weight: bytes, pad: bytes) -> None:
        self.weight = weight
        self.pad = pad

    def _both(self, other: "_Padded") -> tuple[bytes, bytes]:
        size = max(len(self.weight), len(other.weight))
        return extended(self.weight, self.pad, size), extended(other.weight, self.pad, size)

    def __lt__(self, other: "_Padded") -> bool:
        mine, others = self._both(other)
        return mine < others

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Padded):
            return NotImplemented
        mine, others = self._both(other)
        return mine == others

    __hash__ = None  # type: ignore[assignment]


def _reversed_padded(weight: bytes, pad: bytes) -> _Reversed:
    return _Reversed(_Padded(weight, pad))
