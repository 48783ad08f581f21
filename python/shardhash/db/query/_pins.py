"""From a condition on a shard key to the shards that can hold the rows it is true for.

A pin is a superset, never a guess: whatever is not understood stands for every shard. Keys are
coerced as the server would compare them, before they are hashed.
"""

import re
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar, cast

from sqlglot import exp

from shardhash.db.mapping import CanonicalKey, KeyRouter
from shardhash.db.query._facts import TableFacts
from shardhash.db.schema import Column
from shardhash.db.topology import Backend, KeyType
from shardhash.errors import KeyTypeError
from shardhash.ranges import RangeMap

__all__ = [
    "EVERYWHERE",
    "AllOf",
    "AnyOf",
    "Cells",
    "ColumnTest",
    "KeyIn",
    "KeyRange",
    "Pin",
    "UnknownKeyError",
    "Value",
    "Values",
    "constant",
    "key_as_stored",
    "only_key",
    "pin_of",
    "shards_of",
]

Cells = frozenset[int] | frozenset[str] | None
"""Ranges by number, or shards where keys are hashed; None: every one of them."""

Values = Sequence[object]

_MARK = re.compile(r"_sh_p(\d+)_")
_INT_TEXT = re.compile(r"[+-]?[0-9]{1,15}", re.ASCII)
_DATE_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATETIME_TEXT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?", re.ASCII
)
T = TypeVar("T")

_EXACT_FLOAT = 2**53
_UUID_LENGTH = 36


class UnknownKeyError(Exception):
    """A value that the server may compare in a way not modelled here."""


@dataclass(frozen=True, slots=True)
class Value:
    """A constant of the statement: a literal, or the number of its placeholder."""

    literal: object = None
    mark: int | None = None

    def get(self, values: Values) -> object:
        """Return the value, given those of the placeholders."""
        return self.literal if self.mark is None else values[self.mark]


@dataclass(frozen=True, slots=True)
class KeyIn:
    """The key equals one of some values."""

    facts: TableFacts
    keys: tuple[Value, ...]

    def cells(self, values: Values) -> Cells:
        """Return where such keys are."""
        router = self.facts.router
        assert router is not None
        found: set[Any] = set()
        for key in self.keys:
            given = key.get(values)
            if given is None:
                continue  # equals nothing
            try:
                found.add(_cell(router, key_as_stored(self.facts, given)))
            except (UnknownKeyError, KeyTypeError):
                return None
        return frozenset(found)

    def only_shard(self, values: Values) -> str | None:
        """Return the shard of the one key, if there is one and keys are hashed; the short way."""
        router = self.facts.router
        assert router is not None
        given = self.keys[0].get(values)
        if given is None or len(self.keys) > 1 or isinstance(router.placement, RangeMap):
            return None
        try:
            return cast("str", _cell(router, key_as_stored(self.facts, given)))
        except (UnknownKeyError, KeyTypeError):
            return None


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The key is on one side of a value: ``operator`` is ``<``, ``<=``, ``>`` or ``>=``."""

    facts: TableFacts
    operator: Literal["<", "<=", ">", ">="]
    bound: Value

    def cells(self, values: Values) -> Cells:
        """Return where such keys are: ranges by number; hashed keys are everywhere."""
        router = self.facts.router
        assert router is not None
        placement = router.placement
        given = self.bound.get(values)
        if not isinstance(placement, RangeMap) or not _is_ordered_like_keys(self.facts):
            return None
        if given is None:
            return frozenset()
        try:
            key = _bound_as_stored(self.facts, given)
        except (UnknownKeyError, KeyTypeError):
            return None
        bounds: Sequence[Any] = placement.bounds
        if self.operator == "<":  # the range that ends at the key has all keys below it
            return frozenset(range(bisect_left(bounds, key) + 1))
        at = bisect_right(bounds, key)
        return frozenset(range(at + 1) if self.operator == "<=" else range(at, len(bounds) + 1))


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every one of some conditions holds."""

    parts: "tuple[Pin, ...]"

    def cells(self, values: Values) -> Cells:
        """Return the cells that all parts allow."""
        found: Any = None
        for part in self.parts:
            cells = part.cells(values)
            if cells is not None:
                found = cells if found is None else found & cells
        return None if found is None else frozenset(found)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of some conditions holds."""

    parts: "tuple[Pin, ...]"

    def cells(self, values: Values) -> Cells:
        """Return the cells that any part allows."""
        found: frozenset[Any] = frozenset()
        for part in self.parts:
            cells = part.cells(values)
            if cells is None:
                return None
            found |= cells
        return frozenset(found)


Pin = KeyIn | KeyRange | AllOf | AnyOf
EVERYWHERE = AllOf(())


def only_key(pin: Pin) -> KeyIn | None:
    """Return the pin if all that it says is which keys there can be."""
    while isinstance(pin, AllOf) and len(pin.parts) == 1:
        (pin,) = pin.parts
    return pin if isinstance(pin, KeyIn) else None


def shards_of(cells: Cells, router: KeyRouter) -> frozenset[str] | None:
    """Return the shards of cells; None stands for every one."""
    if cells is None:
        return None
    if not isinstance(router.placement, RangeMap):
        return cast("frozenset[str]", cells)
    owners = router.placement.range_shards
    return frozenset(owners[cell] for cell in cast("frozenset[int]", cells))


def pin_of(condition: exp.Expr, column: "ColumnTest") -> Pin:
    """Return what a condition says of the key column that `column` tells from all others."""
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        parts = [pin_of(part, column) for part in condition.flatten()]
        return AllOf(tuple(part for part in parts if part != EVERYWHERE))
    if isinstance(condition, exp.Or):
        return AnyOf(tuple(pin_of(part, column) for part in condition.flatten()))
    if isinstance(condition, exp.EQ | exp.NullSafeEQ):
        return _equal(condition, column)
    if isinstance(condition, exp.In):
        return _in(condition, column)
    if isinstance(condition, exp.Between):
        return _between(condition, column)
    if type(condition) in _COMPARISONS:
        return _compared(condition, column)
    return EVERYWHERE


@dataclass(frozen=True, slots=True)
class ColumnTest:
    """Tells whether an expression is the key column of one table of the statement."""

    facts: TableFacts
    is_key: Callable[[exp.Column], bool]

    def matches(self, node: exp.Expr | None) -> bool:
        """Return whether `node` is that column and nothing else."""
        node = node.unnest() if node is not None else None
        return isinstance(node, exp.Column) and self.is_key(node)


_COMPARISONS: dict[type[exp.Expr], tuple[Literal["<", "<=", ">", ">="], ...]] = {
    exp.LT: ("<", ">"),
    exp.LTE: ("<=", ">="),
    exp.GT: (">", "<"),
    exp.GTE: (">=", "<="),
}


def _equal(condition: exp.Expr, column: ColumnTest) -> Pin:
    left, right = condition.this, condition.expression
    if column.matches(right):
        left, right = right, left
    value = constant(right)
    if value is None or not column.matches(left) or not column.facts.pins_exactly:
        return EVERYWHERE
    if isinstance(condition, exp.NullSafeEQ) and (value.mark is not None or value.literal is None):
        return EVERYWHERE  # it may be NULL, which is on any shard
    return KeyIn(column.facts, (value,))


def _in(condition: exp.In, column: ColumnTest) -> Pin:
    entries = _entries(condition, column)
    if not entries or not column.facts.pins_exactly:
        return EVERYWHERE
    if set(condition.args) - {"this", "expressions"} and any(
        condition.args.get(name) for name in set(condition.args) - {"this", "expressions"}
    ):
        return EVERYWHERE
    values = [constant(each) for each in entries]
    known = tuple(value for value in values if value is not None)
    return KeyIn(column.facts, known) if len(known) == len(values) else EVERYWHERE


def _entries(condition: exp.In, column: ColumnTest) -> Sequence[exp.Expr | None]:
    """Return what the key is compared with, also in ``(other, key) IN ((1, 2), ...)``."""
    entries: list[exp.Expr] = condition.expressions
    if column.matches(condition.this):
        return entries
    if not isinstance(condition.this, exp.Tuple):
        return ()
    if len(entries) == 1 and isinstance(entries[0], exp.Values):  # as SQLite wants it
        entries = entries[0].expressions
    names = condition.this.expressions
    place = next((n for n, name in enumerate(names) if column.matches(name)), None)
    if place is None:
        return ()
    return [
        entry.expressions[place]
        if isinstance(entry, exp.Tuple) and len(entry.expressions) == len(names)
        else None
        for entry in entries
    ]


def _between(condition: exp.Between, column: ColumnTest) -> Pin:
    low, high = constant(condition.args["low"]), constant(condition.args["high"])
    if not column.matches(condition.this) or condition.args.get("symmetric"):
        return EVERYWHERE
    parts: list[Pin] = []
    if low is not None:
        parts.append(KeyRange(column.facts, ">=", low))
    if high is not None:
        parts.append(KeyRange(column.facts, "<=", high))
    return AllOf(tuple(parts))


def _compared(condition: exp.Expr, column: ColumnTest) -> Pin:
    operator, flipped = _COMPARISONS[type(condition)]
    left, right = condition.this, condition.expression
    if column.matches(right):
        left, right, operator = right, left, flipped
    value = constant(right)
    if value is None or not column.matches(left):
        return EVERYWHERE
    return KeyRange(column.facts, operator, value)


def constant(node: exp.Expr | None) -> Value | None:
    """Return a literal or placeholder; None for everything else, and for texts with escapes."""
    node = node.unnest() if node is not None else None
    if isinstance(node, exp.Placeholder):
        mark = _MARK.fullmatch(node.name)
        return Value(mark=int(mark[1])) if mark else None
    sign = 1
    if isinstance(node, exp.Neg):
        sign, node = -1, node.this
        if not isinstance(node, exp.Literal) or node.is_string:
            return None
    if isinstance(node, exp.Null):
        return Value(None)
    if isinstance(node, exp.Boolean):
        return Value(int(node.this))
    if not isinstance(node, exp.Literal):
        return None
    text = node.name
    if node.is_string:
        return None if "\\" in text else Value(text)
    if text.isdigit():
        return Value(sign * int(text))
    return Value(sign * Decimal(text)) if re.fullmatch(r"[0-9]*\.?[0-9]+", text) else None


def key_as_stored(facts: TableFacts, given: object) -> CanonicalKey:
    """Return the one key that a row whose key column equals `given` can have.

    Raises:
        UnknownKeyError: rows with other keys could be equal to it too.
        KeyTypeError: it is no key.
    """
    column, router = facts.key, facts.router
    assert column is not None
    assert router is not None
    return router.key(_COERCIONS[router.mapping.key.type](column, given, facts))


def _as_int(column: Column, given: object, facts: TableFacts) -> int:
    if isinstance(given, bool):
        return int(given)
    if isinstance(given, int):
        if column.data_type == "year" and given < 1901:
            raise UnknownKeyError  # YEAR takes 26 for 2026
        return given
    if column.data_type == "year":
        raise UnknownKeyError
    if isinstance(given, str) and _INT_TEXT.fullmatch(given):
        return int(given)
    if isinstance(given, Decimal) and given.is_finite() and given == given.to_integral_value():
        return int(given)
    if isinstance(given, float) and given.is_integer() and abs(given) < _EXACT_FLOAT:
        return int(given)
    raise UnknownKeyError


def _as_text(column: Column, given: object, facts: TableFacts) -> str:
    if not isinstance(given, str):
        raise UnknownKeyError  # a number equals many texts: 1, '1', '01', '1abc'
    return given.rstrip(" ") if facts.has_exact_key and facts.pads_key else given


def _as_bytes(column: Column, given: object, facts: TableFacts) -> bytes:
    if isinstance(given, str) and facts.table.backend is Backend.MYSQL:
        return given.encode()
    if not isinstance(given, bytes):
        raise UnknownKeyError
    return given


def _as_uuid(column: Column, given: object, facts: TableFacts) -> str:
    if isinstance(given, uuid.UUID):
        return str(given)
    if not isinstance(given, str) or len(given) != _UUID_LENGTH:
        raise UnknownKeyError
    return given


def _as_uuid16(column: Column, given: object, facts: TableFacts) -> bytes:
    if isinstance(given, uuid.UUID):
        return given.bytes
    if not isinstance(given, bytes):
        raise UnknownKeyError
    return given


def _as_date(column: Column, given: object, facts: TableFacts) -> date:
    if isinstance(given, str) and _DATE_TEXT.fullmatch(given):
        return _parsed(date.fromisoformat, given)
    if not isinstance(given, date) or isinstance(given, datetime):
        raise UnknownKeyError
    return given


def _as_datetime(column: Column, given: object, facts: TableFacts) -> datetime:
    if facts.table.backend is Backend.SQLITE:
        raise UnknownKeyError  # there it is a text, of which there are several for one moment
    if isinstance(given, datetime):
        return given
    if isinstance(given, date):
        return datetime(given.year, given.month, given.day)
    if isinstance(given, str) and _DATETIME_TEXT.fullmatch(given):
        return _parsed(datetime.fromisoformat, given)
    raise UnknownKeyError


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError:
        raise UnknownKeyError from None


_COERCIONS = {
    KeyType.INT: _as_int,
    KeyType.STR: _as_text,
    KeyType.BYTES: _as_bytes,
    KeyType.UUID: _as_uuid,
    KeyType.UUID16: _as_uuid16,
    KeyType.DATE: _as_date,
    KeyType.DATETIME: _as_datetime,
}


def _cell(router: KeyRouter, key: CanonicalKey) -> int | str:
    placement = router.placement
    if isinstance(placement, RangeMap):
        return bisect_right(placement.bounds, key)
    return placement.lookup(key)  # type: ignore[arg-type]


def _is_ordered_like_keys(facts: TableFacts) -> bool:
    """Tell whether the server sorts key values as the range map does."""
    key, router = facts.key, facts.router
    assert key is not None
    assert router is not None
    if facts.table.backend is Backend.SQLITE:
        return facts.has_exact_key
    if router.mapping.key.type is KeyType.STR:
        return facts.has_exact_key and not facts.pads_key
    return key.data_type != "uuid"  # sorted by its parts in another order


def _bound_as_stored(facts: TableFacts, given: object) -> object:
    """Return a bound to compare stored keys with; of an int key it may lie between two."""
    router = facts.router
    assert router is not None
    kind = router.mapping.key.type
    if kind is KeyType.INT and isinstance(given, int | Decimal):
        if facts.key is not None and facts.key.data_type == "year":
            raise UnknownKeyError
        return given
    key = key_as_stored(facts, given)
    if kind is KeyType.UUID and key != given:
        raise UnknownKeyError  # upper case, which sorts elsewhere
    return key
