"""Statements that count rows by where they belong."""

from shardhash.db.schema import Column, Table
from shardhash.db.sql._keys import slot_expression
from shardhash.db.sql._text import Statement, quote, table_name
from shardhash.db.topology import KeyType

__all__ = ["count_by_slot", "count_null_keys"]


def count_by_slot(table: Table, column: Column, key_type: KeyType, *, slot_count: int) -> Statement:
    """Return a SELECT of (slot, number of rows); the slot of rows without a key is NULL."""
    slot = slot_expression(column, key_type, slot_count=slot_count, backend=table.backend)
    return Statement(f"SELECT {slot}, COUNT(*) FROM {table_name(table)} GROUP BY 1")


def count_null_keys(table: Table, column: Column) -> Statement:
    """Return a SELECT of the number of rows without a key."""
    name = quote(column.name, table.backend)
    return Statement(f"SELECT COUNT(*) FROM {table_name(table)} WHERE {name} IS NULL")
