"""From an application's key to the shard that owns it, by a mapping's declared key type.

Pure: the same mapping and key always give the same shard. A value of another type than declared
is refused, because it would be hashed, or compared, as another key than the one stored.
"""

import operator
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import NoReturn

from shardhash.db.topology import KeyType, Mapping, RangeRule, RingRule, SlotRule
from shardhash.errors import KeyTypeError
from shardhash.ranges import RangeMap
from shardhash.ring import HashRing
from shardhash.slots import SlotMap

__all__ = ["CanonicalKey", "KeyRouter", "KeyValue"]

CanonicalKey = int | str | bytes | date | datetime
KeyValue = int | str | bytes | uuid.UUID | date | datetime

_UUID_TEXT = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_INT_TEXT = re.compile(r"[+-]?[0-9]{1,25}", re.ASCII)
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1

_EXPECTED = {
    KeyType.INT: "an int from -2**63 to 2**64 - 1",
    KeyType.STR: "a str that can be written as UTF-8",
    KeyType.BYTES: "bytes",
    KeyType.UUID: "a uuid.UUID or its 36-character text",
    KeyType.UUID16: "a uuid.UUID or its 16 bytes",
    KeyType.DATE: "a datetime.date without time",
    KeyType.DATETIME: "a datetime.datetime without time zone",
}
_EXPECTED_TEXT = {
    KeyType.INT: "a whole number such as 42",
    KeyType.STR: "text",
    KeyType.BYTES: "text, or hex such as 0x00ff",
    KeyType.UUID: "a UUID such as 123e4567-e89b-12d3-a456-426614174000",
    KeyType.UUID16: "a UUID, or its 16 bytes in hex such as 0x123e4567...",
    KeyType.DATE: "a date such as 2026-01-31",
    KeyType.DATETIME: "a date with time such as 2026-01-31T12:00:00",
}


@dataclass(frozen=True, slots=True)
class KeyRouter:
    """A mapping with its placement. Immutable, thread-safe; touches neither network nor disk."""

    mapping: Mapping
    placement: SlotMap | RangeMap | HashRing
    _canonical: Callable[[object], CanonicalKey] = field(repr=False, compare=False)

    @classmethod
    def from_mapping(cls, mapping: Mapping) -> "KeyRouter":
        """Return the router of `mapping`. Complexity: the number of slots, ranges or points."""
        hashed = not isinstance(mapping.rule, RangeRule)
        canonical = _date_text if hashed and mapping.key.type is KeyType.DATE else None
        return cls(mapping, _placement(mapping), canonical or _CANONICAL[mapping.key.type])

    def key(self, value: object) -> CanonicalKey:
        """Return the canonical key of an application's value: what is stored, hashed, compared.

        A UUID is its lower-case text (``uuid``) or its 16 bytes (``uuid16``); a date is its ISO
        text where slots or a ring hash it, itself where ranges compare it.

        Raises:
            KeyTypeError: the value is not of the declared type.
        """
        try:
            return self._canonical(value)
        except _WrongKeyError:
            self._refuse(_EXPECTED[self.mapping.key.type], type(value).__qualname__)

    def parse_key(self, text: str) -> KeyValue:
        """Return the value that `text` stands for on a command line, for `key` and `shard_for`.

        Raises:
            KeyTypeError: the text is not a key of the declared type.
        """
        try:
            value = _PARSERS[self.mapping.key.type](text)
        except ValueError:
            self._refuse(_EXPECTED_TEXT[self.mapping.key.type], repr(text))
        self.key(value)
        return value

    def shard_for(self, value: object) -> str:
        """Return the shard that owns the key `value`.

        Raises:
            KeyTypeError: the value is not of the declared type.
        """
        key = self.key(value)  # a date only where ranges compare it
        return self.placement.lookup(key)  # type: ignore[arg-type]

    def _refuse(self, expected: str, found: str) -> NoReturn:
        key = self.mapping.key
        raise KeyTypeError(
            f"mapping {self.mapping.name} has {key.type} keys ({key.column}): expected {expected}, "
            f"found {found}",
            next_step=f"pass {expected}",
        )


def _placement(mapping: Mapping) -> SlotMap | RangeMap | HashRing:
    rule = mapping.rule
    if isinstance(rule, SlotRule):
        return SlotMap(_slot_texts(rule), scheme="crc32", weights=rule.weights or None)
    if isinstance(rule, RingRule):
        return HashRing(dict(rule.nodes))
    return RangeMap(rule.bounds, rule.shards, key_type=_RANGE_TYPES[mapping.key.type])


def _slot_texts(rule: SlotRule) -> dict[str, str]:
    """Return the slots of each shard as text; a shard that owns none has the empty text."""
    pieces: dict[str, list[str]] = {shard: [] for shard in rule.shards}
    start = 0
    for slot in range(1, rule.slot_count + 1):
        if slot == rule.slot_count or rule.owners[slot] != rule.owners[start]:
            pieces[rule.owners[start]].append(f"{start}-{slot - 1}")
            start = slot
    return {shard: ",".join(texts) for shard, texts in pieces.items()}


class _WrongKeyError(Exception):
    """A value of another type than declared; the router says which."""


def _int(value: object) -> int:
    if isinstance(value, bool):
        raise _WrongKeyError
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise _WrongKeyError from None
    if type(value).__name__ in ("bool", "bool_") or not _INT_MIN <= number <= _INT_MAX:
        raise _WrongKeyError
    return number


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise _WrongKeyError
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _WrongKeyError from None
    return text


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise _WrongKeyError
    return bytes(value)


def _uuid_text(value: object) -> str:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, str) and _UUID_TEXT.fullmatch(value):
        return str.__str__(value).lower()
    raise _WrongKeyError


def _uuid_bytes(value: object) -> bytes:
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, bytes) and len(value) == 16:
        return bytes(value)
    raise _WrongKeyError


def _date(value: object) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _WrongKeyError
    return value


def _date_text(value: object) -> str:
    return _date(value).isoformat()


def _datetime(value: object) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is not None:
        raise _WrongKeyError
    return value


def _parse_int(text: str) -> int:
    if not _INT_TEXT.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _parse_bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if text[:2] in ("0x", "0X") else text.encode()


def _parse_uuid(text: str) -> uuid.UUID:
    if not _UUID_TEXT.fullmatch(text):
        raise ValueError(text)
    return uuid.UUID(text)


def _parse_uuid16(text: str) -> uuid.UUID:
    if text[:2] in ("0x", "0X"):
        return uuid.UUID(bytes=bytes.fromhex(text[2:]))
    return _parse_uuid(text)


_CANONICAL: dict[KeyType, Callable[[object], CanonicalKey]] = {
    KeyType.INT: _int,
    KeyType.STR: _str,
    KeyType.BYTES: _bytes,
    KeyType.UUID: _uuid_text,
    KeyType.UUID16: _uuid_bytes,
    KeyType.DATE: _date,
    KeyType.DATETIME: _datetime,
}
_PARSERS: dict[KeyType, Callable[[str], KeyValue]] = {
    KeyType.INT: _parse_int,
    KeyType.STR: lambda text: text,
    KeyType.BYTES: _parse_bytes,
    KeyType.UUID: _parse_uuid,
    KeyType.UUID16: _parse_uuid16,
    KeyType.DATE: date.fromisoformat,
    KeyType.DATETIME: datetime.fromisoformat,
}
_RANGE_TYPES: dict[KeyType, type[int] | type[str] | type[bytes] | type[date] | type[datetime]] = {
    KeyType.INT: int,
    KeyType.STR: str,
    KeyType.BYTES: bytes,
    KeyType.UUID: str,
    KeyType.UUID16: bytes,
    KeyType.DATE: date,
    KeyType.DATETIME: datetime,
}
