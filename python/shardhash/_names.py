"""Names and weights of owners: the checks, and words of errors, that all placements share."""

from collections.abc import Iterable
from itertools import islice
from math import isfinite, nan
from typing import SupportsFloat, SupportsIndex

from shardhash.errors import PlacementError

__all__ = [
    "MAX_SHARDS",
    "as_float",
    "checked_name",
    "checked_positive",
    "listed",
    "quoted",
    "unknown_shard",
]

MAX_SHARDS = 65_535


def checked_name(name: object, *, noun: str = "shard") -> str:
    """Return the name of a shard (or other noun) as plain str.

    Raises:
        PlacementError: the name is no str, empty, or not valid UTF-8.
    """
    if not isinstance(name, str):
        raise PlacementError(f"{noun} name {name!r} is {type(name).__name__}: it must be str")
    if not name:
        raise PlacementError(f"a {noun} name is empty: give it at least one character")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise PlacementError(
            f"{noun} name {name!r} has a lone surrogate: it must be valid UTF-8"
        ) from None
    return str.__str__(name)


def as_float(value: object) -> float:
    """Return a number as float, and NaN for what is none (text and bool are none)."""
    # Asked first, because asking for the protocols takes longer than all else about a node.
    if type(value) is float or type(value) is int:
        number: SupportsFloat | SupportsIndex = value
    elif isinstance(value, bool) or not isinstance(value, SupportsFloat | SupportsIndex):
        return nan
    else:
        number = value
    try:
        return float(number)
    except (TypeError, ValueError, OverflowError):
        return nan


def checked_positive(value: object, what: str) -> float:
    """Return a weight or factor as float.

    Raises:
        PlacementError: it is not a finite number greater than 0; the message names `what`.
    """
    number = as_float(value)
    if not (isfinite(number) and number > 0.0):
        raise PlacementError(f"{what} is {value!r:.60}: it must be a finite number greater than 0")
    return number


def listed(items: Iterable[object], wanted: str) -> list[object]:
    """Return items as a list; one text is not taken for a list of its characters.

    Raises:
        PlacementError: the argument is a text or no iterable.
    """
    if not isinstance(items, str | bytes | bytearray):
        try:
            return list(items)
        except TypeError:
            pass
    raise PlacementError(f"{wanted} was asked for, found {type(items).__name__}: write [...]")


def quoted(names: Iterable[object], limit: int = 10) -> str:
    """Return names for a message: quoted, with commas, cut short after `limit`."""
    every = iter(names)
    text = ", ".join(map(repr, islice(every, limit)))
    more = sum(1 for _ in every)
    return f"{text} and {more} more" if more else text


def unknown_shard(shard: object, shards: tuple[str, ...]) -> PlacementError:
    """Return the error for a name that a map does not have."""
    return PlacementError(f"unknown shard {shard!r}: the map has {quoted(shards)}")
