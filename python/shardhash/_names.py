"""Names of owners: the checks, and the words of the errors, that all placements share."""

from collections.abc import Iterable
from itertools import islice

from shardhash.errors import PlacementError

__all__ = ["MAX_SHARDS", "checked_name", "listed", "quoted", "unknown_shard"]

MAX_SHARDS = 65_535


def checked_name(name: object) -> str:
    """Return a shard's name as plain str.

    Raises:
        PlacementError: the name is no str, empty, or not valid UTF-8.
    """
    if not isinstance(name, str):
        raise PlacementError(f"shard name {name!r} is {type(name).__name__}: it must be str")
    if not name:
        raise PlacementError("a shard name is empty: give it at least one character")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise PlacementError(
            f"shard name {name!r} has a lone surrogate: it must be valid UTF-8"
        ) from None
    return str.__str__(name)


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
