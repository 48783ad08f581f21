"""The tables of a cluster with values that they hold, as the grammar takes them."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from shardhash.db import Cluster
from shardhash.db.inspect import inspect_table
from shardhash.db.schema import Column as StoredColumn
from shardhash.db.schema import Table as StoredTable
from shardhash.testing._databases import equal_texts, read_table, stored_columns
from shardhash.testing._words import Column, Table

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["describe_tables"]

_MOST_VALUES = 40
_MOST_INT = 2**43
_MOST_SUMMED = 2**52


def describe_tables(cluster: Cluster, whole: str) -> tuple[Table, ...]:
    """Return the tables of all mappings, with values read from the database `whole`.

    Tables without primary key are left out: a query over one may have no unique order.
    """
    keys = {
        rule.name: (mapping.name, rule.key)
        for mapping in cluster.config.mappings.values()
        for rule in mapping.tables
    }
    shared = {name for m in cluster.config.mappings.values() for name in m.global_tables}
    backend = cluster.connections.backend(whole)
    tables = []
    with cluster.connections.read(whole) as connection:
        for name in sorted({*keys, *shared}):
            stored = inspect_table(connection, name, backend)
            if stored.primary_key:
                columns = tuple(_columns(connection, stored))
                unique = stored.primary_key
                tables.append(Table(name, columns, unique, *keys.get(name, ("", ""))))
    return tuple(tables)


def _columns(connection: "Connection", table: StoredTable) -> Iterator[Column]:
    rows = read_table(connection, table)
    for place, column in enumerate(stored_columns(table)):
        found = dict.fromkeys(row[place] for row in rows if row[place] is not None)
        values = tuple(found)[:_MOST_VALUES]
        kind = _kind(column, values)
        equal = equal_texts(connection, table.name, column.name) if kind == "text" else {}
        folds = any(text != first for text, first in equal.items())
        yield Column(column.name, kind, values, folds, column.collation or "")


def _kind(column: StoredColumn, values: tuple[object, ...]) -> str:
    if column.data_type in ("enum", "set"):
        return "enum"
    if column.data_type == "year":
        return "year"
    if column.is_binary or column.data_type == "bit":
        return "blob"
    sample = values[0] if values else ""
    if isinstance(sample, int):
        size = max(abs(value) for value in values if isinstance(value, int))
        return "int" if size <= _MOST_INT else "big" if size <= _MOST_SUMMED else "huge"
    for type_, kind in _KINDS:
        if isinstance(sample, type_):
            return kind
    return "other"


_KINDS: tuple[tuple[type, str], ...] = (
    (Decimal, "decimal"),
    (float, "double"),
    (str, "text"),
    (bytes, "blob"),
    (datetime, "datetime"),
    (date, "date"),
    (timedelta, "time"),
)
