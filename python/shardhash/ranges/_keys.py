"""The keys that a range map compares: each of one type, reduced to a plain value of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from operator import index
from types import MappingProxyType
from typing import TypeAlias

from shardhash.errors import KeyTypeError, PlacementError

__all__ = [
    "RangeKey",
    "Reader",
    "bound_text",
    "is_aware",
    "is_lowest",
    "read_each",
    "reader",
    "shown",
]

RangeKey: TypeAlias = int | str | bytes | date
Reader: TypeAlias = Callable[[object], RangeKey]


def _read_int(key: object) -> int:
    if type(key) is int:
        return key
    if isinstance(key, bool):
        raise _wrong_type(key, "int")
    try:
        return index(key)  # type: ignore[arg-type]
    except TypeError:
        raise _wrong_type(key, "int") from None


def _read_str(key: object) -> str:
    if not isinstance(key, str):
        raise _wrong_type(key, "str")
    if not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError:
            raise KeyTypeError(
                f"{shown(key)} has a lone surrogate: a str key must be valid Unicode"
            ) from None
    return str.__str__(key)


def _read_bytes(key: object) -> bytes:
    if type(key) is bytes:
        return key
    if not isinstance(key, bytes):
        raise _wrong_type(key, "bytes")
    return b"".join((key, b""))


def _read_date(key: object) -> date:
    if type(key) is date:
        return key
    if not isinstance(key, date) or isinstance(key, datetime):
        raise _wrong_type(key, "date")
    return date(key.year, key.month, key.day)


def _read_datetime(key: object, wants_aware: bool | None = None) -> datetime:
    """Return a plain datetime, an aware one in UTC.

    UTC, because two aware datetimes that share a tzinfo are compared by their wall clock, which
    runs twice through one hour a year.
    """
    if not isinstance(key, datetime):
        raise _wrong_type(key, "datetime")
    has_zone = is_aware(key)
    if wants_aware is not None and has_zone is not wants_aware:
        kinds = ("naive", "aware")
        raise KeyTypeError(
            f"{shown(key)} is {kinds[has_zone]} where the bounds are {kinds[wants_aware]}: "
            "give keys and bounds a time zone, or none of them"
        )
    try:
        moment = key.astimezone(UTC) if has_zone else key
        return datetime.combine(
            date(moment.year, moment.month, moment.day),
            moment.time().replace(fold=0),
            UTC if has_zone else None,
        )
    except (OverflowError, TypeError, ValueError) as error:
        raise KeyTypeError(f"{key!r} is no moment in the years 1 to 9999 of UTC") from error


_READERS: Mapping[type, Reader] = MappingProxyType(
    {
        int: _read_int,
        str: _read_str,
        bytes: _read_bytes,
        date: _read_date,
        datetime: _read_datetime,
    }
)


_LOWEST: Mapping[type, RangeKey] = MappingProxyType(
    {str: "", bytes: b"", date: date.min, datetime: datetime.min}
)
"""The least key of each type that has one: no key is below such a bound."""


def reader(key_type: type[RangeKey], bounds: Sequence[object]) -> Reader:
    """Return the function that checks a key of a type and returns its plain value.

    Raises:
        PlacementError: the type has no ranges.
    """
    if not isinstance(key_type, type) or key_type not in _READERS:
        raise PlacementError(
            f"key type {key_type!r} has no ranges: use int, str, bytes, date or datetime"
        )
    if key_type is datetime and bounds:
        return partial(_read_datetime, wants_aware=is_aware(bounds[0]))
    return _READERS[key_type]


def read_each(read: Reader, items: Iterable[object], what: str) -> list[RangeKey]:
    """Return the plain value of every item; an error names the first bad one's position."""
    keys = []
    for position, item in enumerate(items):
        try:
            keys.append(read(item))
        except KeyTypeError as error:
            raise KeyTypeError(f"{what}[{position}]: {error}") from error
    return keys


def is_aware(bound: object) -> bool:
    """Return whether a value is a datetime with a UTC offset."""
    return isinstance(bound, datetime) and bound.utcoffset() is not None


def is_lowest(bound: RangeKey) -> bool:
    """Return whether no key of the type is below a bound."""
    lowest = _LOWEST.get(type(bound))
    return lowest is not None and lowest == (
        bound.replace(tzinfo=None) if isinstance(bound, datetime) else bound
    )


def bound_text(bound: RangeKey) -> str:
    """Return the canonical text of a bound (docs/reference/bytes.md). Stable since 0.1."""
    if isinstance(bound, int):
        return f"{bound:x}"
    if isinstance(bound, str):
        return f"{len(bound.encode())}:{bound}"
    if isinstance(bound, bytes):
        return f"{len(bound)}:{bound.hex()}"
    if isinstance(bound, datetime):
        return bound.isoformat(timespec="microseconds")
    return bound.isoformat()


def _wrong_type(key: object, wanted: str) -> KeyTypeError:
    return KeyTypeError(
        f"{shown(key)} is {type(key).__name__} where the key type is {wanted}: convert it first"
    )


def shown(value: object, limit: int = 60) -> str:
    """Return a short repr for a message."""
    try:
        text = repr(value)
    except ValueError:
        text = f"{type(value).__name__} value too long to print"
    return text if len(text) <= limit else text[:limit] + "..."
