"""Primary keys as JSON text and back, for checkpoints and pages.

Injective: a text gives back the same values with the same types, so that what is compared after a
crash is what was compared before. JSON's own values stand for themselves; all else is an object of
one member that names the type.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

__all__ = ["KeyScalar", "key_from_text", "key_to_text"]

KeyScalar = int | str | bytes | Decimal | date | datetime | timedelta | float

_MICROSECOND = timedelta(microseconds=1)
_WRITERS: Mapping[type, tuple[str, Callable[[Any], object]]] = MappingProxyType(
    {
        bytes: ("bytes", bytes.hex),
        Decimal: ("decimal", str),
        date: ("date", date.isoformat),
        datetime: ("datetime", datetime.isoformat),
        timedelta: ("time", lambda value: value // _MICROSECOND),
        float: ("float", float.hex),
    }
)
_READERS: Mapping[str, Callable[[Any], KeyScalar]] = MappingProxyType(
    {
        "bytes": bytes.fromhex,
        "decimal": Decimal,
        "date": date.fromisoformat,
        "datetime": datetime.fromisoformat,
        "time": lambda microseconds: timedelta(microseconds=microseconds),
        "float": float.fromhex,
    }
)


def key_to_text(key: Sequence[object]) -> str:
    """Return a primary key as JSON in ASCII.

    Raises:
        TypeError: a value of a type that no driver returns for a key column.
    """
    return json.dumps([_to_json(value) for value in key], separators=(",", ":"))


def key_from_text(text: str) -> tuple[KeyScalar, ...]:
    """Return the primary key that ``key_to_text`` wrote."""
    return tuple(map(_from_json, json.loads(text)))


def _from_json(value: Any) -> KeyScalar:
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]
    [(name, written)] = value.items()
    return _READERS[name](written)


def _to_json(value: object) -> object:
    if type(value) in (int, str):
        return value
    if type(value) not in _WRITERS:
        raise TypeError(f"a primary key cannot hold a {type(value).__name__}")
    name, write = _WRITERS[type(value)]
    return {name: write(value)}
