"""Statements that count rows by where they belong, and name the first of them."""

from collections.abc import Sequence

from shardhash.db.schema import Column, Table
from shardhash.db.sql._filters import RowFilter
from shardhash.db.sql._guards import number_expression
from shardhash.db.sql._keys import distinct_key_expression
from shardhash.db.sql._pages import after_key, key_columns, key_order
from shardhash.db.sql._text import Statement, quote, table_name
from shardhash.db.topology import KeyType, Mapping

__all__ = [
    "count_by_number",
    "count_null_keys",
    "first_by_number",
    "first_without_key",
    "read_shard_keys",
]


def count_by_number(mapping: Mapping, table: Table, column: Column) -> Statement:
    """Return a SELECT of (slot or range number, number of rows); NULL are rows without a key."""
    number = number_expression(mapping, column, table.backend)
    return Statement(f"SELECT {number}, COUNT(*) FROM {table_name(table)} GROUP BY 1")


def count_null_keys(table: Table, column: Column) -> Statement:
    """Return a SELECT of the number of rows without a key."""
    name = quote(column.name, table.backend)
    return Statement(f"SELECT COUNT(*) FROM {table_name(table)} WHERE {name} IS NULL")


def first_by_number(
    mapping: Mapping, table: Table, column: Column, rows: RowFilter, row_count: int
) -> Statement:
    """Return a SELECT of (primary key..., shard key, slot or range number) of the first rows."""
    number = number_expression(mapping, column, table.backend)
    return Statement(
        f"SELECT {key_columns(table)}, {quote(column.name, table.backend)}, {number} "
        f"FROM {table_name(table)} WHERE {rows.condition} "
        f"ORDER BY {key_order(table)} LIMIT {row_count}",
        rows.parameters,
    )


def first_without_key(table: Table, column: Column, row_count: int) -> Statement:
    """Return a SELECT of the primary keys of the first rows without a key."""
    return Statement(
        f"SELECT {key_columns(table)} FROM {table_name(table)} "
        f"WHERE {quote(column.name, table.backend)} IS NULL "
        f"ORDER BY {key_order(table)} LIMIT {row_count}"
    )


def read_shard_keys(
    table: Table,
    column: Column,
    key_type: KeyType,
    after: Sequence[object] | None,
    row_count: int,
) -> Statement:
    """Return a SELECT of (primary key..., shard key, key to be hashed) of the rows after a key."""
    where, parameters = after_key(table, after)
    key = distinct_key_expression(column, key_type, table.backend)
    return Statement(
        f"SELECT {key_columns(table)}, {quote(column.name, table.backend)}, {key} "
        f"FROM {table_name(table)}{where} ORDER BY {key_order(table)} LIMIT {row_count}",
        parameters,
    )
