"""Statements that count rows by where they belong."""

from shardhash.db.schema import Column, Table
from shardhash.db.sql._guards import number_expression
from shardhash.db.sql._text import Statement, quote, table_name
from shardhash.db.topology import Mapping

__all__ = ["count_by_number", "count_null_keys"]


def count_by_number(mapping: Mapping, table: Table, column: Column) -> Statement:
    """Return a SELECT of (slot or range number, number of rows); NULL are rows without a key."""
    number = number_expression(mapping, column, table.backend)
    return Statement(f"SELECT {number}, COUNT(*) FROM {table_name(table)} GROUP BY 1")


def count_null_keys(table: Table, column: Column) -> Statement:
    """Return a SELECT of the number of rows without a key."""
    name = quote(column.name, table.backend)
    return Statement(f"SELECT COUNT(*) FROM {table_name(table)} WHERE {name} IS NULL")
