"""The rows of a table that a shard owns, where it may hold others too."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

from shardhash.db.schema import Column, Table
from shardhash.db.sql._keys import distinct_key_expression, intervals, slot_expression
from shardhash.db.sql._text import literal, quote, table_name
from shardhash.db.topology import Backend, KeyType, Mapping, RangeRule, RingRule, SlotRule

__all__ = ["owned_condition", "owned_rows"]

_MAX_INTERVALS = 8  # beyond this many BETWEENs one look into a bitmap is cheaper


def owned_rows(table: Table, column: Column, mapping: Mapping, shard: str) -> str:
    """Return a subquery of a table's owned rows, which stands in FROM in place of its name.

    Raises PreflightError as ``key_bytes_expression`` does.
    """
    condition = owned_condition(table, column, mapping, shard)
    return f"(SELECT * FROM {table_name(table)} WHERE {condition})"


def owned_condition(table: Table, column: Column, mapping: Mapping, shard: str) -> str:
    """Return a condition for the rows that a shard owns, where it may hold others too.

    A row whose key is NULL is the shard's own. Raises as ``owned_rows``.
    """
    rule = mapping.rule
    assert not isinstance(rule, RingRule), "a ring has no unowned slots"
    owners = rule.owners if isinstance(rule, SlotRule) else rule.shards
    unowned = [number for number in mapping.unowned[shard] if owners[number] != shard]
    if isinstance(rule, RangeRule):
        condition = _in_ranges(table, column, mapping, rule, unowned)
    else:
        slot = slot_expression(
            column,
            mapping.key.type,
            slot_count=rule.slot_count,
            backend=table.backend,
        )
        if table.backend is Backend.SQLITE:  # which puts a number of WHERE in the key's place
            kind = f"typeof({quote(column.name, table.backend)})"
            slot = f"CASE {kind} WHEN 'real' THEN NULL ELSE {slot} END"
        condition = _in_slots(slot, intervals(unowned))
    return f"({condition or '1 = 0'}) IS NOT TRUE"


def _in_slots(slot: str, found: Sequence[tuple[int, int]]) -> str:
    """Return a condition without bound values, which stands inside statements of others."""
    if len(found) <= _MAX_INTERVALS:
        return " OR ".join(f"{slot} BETWEEN {first} AND {last}" for first, last in found)
    bitmap = bytearray(b"0" * (found[-1][1] + 1))
    for first, last in found:
        bitmap[first : last + 1] = b"1" * (last + 1 - first)
    return f"SUBSTR('{bitmap.decode()}', {slot} + 1, 1) = '1'"


def _in_ranges(
    table: Table, column: Column, mapping: Mapping, rule: RangeRule, numbers: Iterable[int]
) -> str:
    key = distinct_key_expression(column, mapping.key.type, table.backend)
    is_binary = table.backend is Backend.MYSQL and mapping.key.type in (KeyType.STR, KeyType.UUID)
    ors = []
    for number in numbers:
        ands = [f"{key} IS NOT NULL"]
        if number > 0:
            ands.append(f"{key} >= {_bound(rule.bounds[number - 1], table, is_binary=is_binary)}")
        if number < len(rule.bounds):
            ands.append(f"{key} < {_bound(rule.bounds[number], table, is_binary=is_binary)}")
        ors.append(f"({' AND '.join(ands)})")
    return " OR ".join(ors)


def _bound(value: object, table: Table, *, is_binary: bool) -> str:
    """Return a bound of ranges as SQL text."""
    if isinstance(value, datetime):
        return f"'{value.isoformat(' ')}'"
    if isinstance(value, date):
        return f"'{value.isoformat()}'"
    assert isinstance(value, int | str | bytes)
    if is_binary and isinstance(value, str):
        value = value.encode()
    return literal(value, table.backend)
