"""Statements that find, count, read and delete rows."""

from collections.abc import Sequence

from shardhash.db.schema import Column, Table
from shardhash.db.sql._keys import distinct_key_expression, slot_in
from shardhash.db.sql._pages import (
    after_key,
    compare_key,
    key_columns,
    key_in,
    key_order,
)
from shardhash.db.sql._text import Statement, placeholder, quote, table_name
from shardhash.db.topology import Backend, KeyType

__all__ = [
    "check_references",
    "count_folded",
    "count_key_rows",
    "count_rows",
    "defer_references",
    "delete_rows",
    "group_keys",
    "key_rows",
    "lock_file",
    "next_page",
    "null_primary_keys",
    "page_rows",
    "read_rows",
]

_LOCK_CLAUSES = {"": "", "exclusive": " FOR UPDATE", "shared": " LOCK IN SHARE MODE"}


def group_keys(table: Table, column: Column, key_type: KeyType) -> Statement:
    """Return a SELECT of (key, row count) for each distinct key, compared as bytes."""
    key = distinct_key_expression(column, key_type, table.backend)
    return Statement(f"SELECT {key}, COUNT(*) FROM {table_name(table)} GROUP BY 1")


def count_rows(table: Table) -> Statement:
    """Return a SELECT of the number of rows."""
    return Statement(f"SELECT COUNT(*) FROM {table_name(table)}")


def count_folded(table: Table, column: Column) -> Statement:
    """Return a SELECT of the number of keys that the column's own collation tells apart."""
    name = quote(column.name, table.backend)
    return Statement(f"SELECT COUNT(DISTINCT {name}) FROM {table_name(table)}")


def null_primary_keys(table: Table) -> Statement | None:
    """Return a SELECT of the number of rows with NULL in their primary key; None if none can be.

    Source: https://sqlite.org/lang_createtable.html#the_primary_key, SQLite allows them.
    """
    if table.backend is not Backend.SQLITE:
        return None
    condition = " OR ".join(f"{quote(name, table.backend)} IS NULL" for name in table.primary_key)
    return Statement(f"SELECT COUNT(*) FROM {table_name(table)} WHERE {condition}")


def next_page(table: Table, after: Sequence[object] | None, row_count: int) -> Statement:
    """Return a SELECT of the primary key that ends the page of ``row_count`` rows after a key."""
    where, parameters = after_key(table, after)
    return Statement(
        f"SELECT {key_columns(table)} FROM {table_name(table)}{where} "
        f"ORDER BY {key_order(table)} LIMIT 1 OFFSET {row_count - 1}",
        parameters,
    )


def page_rows(
    table: Table,
    slot: str,
    foreign_slots: Sequence[tuple[int, int]],
    after: Sequence[object] | None,
    until: Sequence[object] | None,
) -> Statement:
    """Return a SELECT of the primary keys in the page ``(after, until]`` whose slot is foreign.

    ``foreign_slots`` are inclusive intervals. The last page has no ``until``.
    """
    where, parameters = after_key(table, after)
    conditions = [where.removeprefix(" WHERE ")] if where else []
    if until is not None:
        condition, more = compare_key(table, "<", "<=", until)
        conditions.append(condition)
        parameters += more
    condition, more = slot_in(slot, foreign_slots, table.backend)
    conditions.append(condition)
    return Statement(
        f"SELECT {key_columns(table)} FROM {table_name(table)} WHERE {' AND '.join(conditions)} "
        f"ORDER BY {key_order(table)}",
        parameters + more,
    )


def key_rows(
    table: Table,
    column: Column,
    key_type: KeyType,
    keys: Sequence[object],
    after: Sequence[object] | None,
    row_count: int,
) -> Statement:
    """Return a SELECT of the first ``row_count`` primary keys of rows that hold one of ``keys``.

    Keys are compared as bytes, whatever the column's collation folds.
    """
    condition, parameters = _holds_one_of(table, column, key_type, keys)
    conditions = [condition]
    if after is not None:
        condition, more = compare_key(table, ">", ">", after)
        conditions.append(condition)
        parameters += more
    return Statement(
        f"SELECT {key_columns(table)} FROM {table_name(table)} WHERE {' AND '.join(conditions)} "
        f"ORDER BY {key_order(table)} LIMIT {row_count}",
        parameters,
    )


def count_key_rows(
    table: Table, column: Column, key_type: KeyType, keys: Sequence[object]
) -> Statement:
    """Return a SELECT of the number of rows that hold one of ``keys``, compared as bytes."""
    condition, parameters = _holds_one_of(table, column, key_type, keys)
    return Statement(f"SELECT COUNT(*) FROM {table_name(table)} WHERE {condition}", parameters)


def read_rows(
    table: Table,
    keys: Sequence[Sequence[object]],
    expressions: Sequence[str],
    *,
    lock: str = "",
) -> Statement:
    """Return a SELECT of primary key and expressions of the rows with these primary keys.

    ``lock`` is ``"exclusive"``, ``"shared"`` or nothing; SQLite locks whole files instead.
    """
    where, parameters = key_in(table, keys)
    clause = "" if table.backend is Backend.SQLITE else _LOCK_CLAUSES[lock]
    columns = ", ".join([key_columns(table), *expressions])
    return Statement(f"SELECT {columns} FROM {table_name(table)} WHERE {where}{clause}", parameters)


def check_references(*, wanted: bool) -> Statement:
    """Return what makes a MySQL session mind foreign keys, or run neither checks nor cascades.

    Source: https://mariadb.com/kb/en/foreign-keys/ (foreign_key_checks).
    """
    return Statement(f"SET SESSION foreign_key_checks = {int(wanted)}")


def defer_references() -> Statement:
    """Return what makes SQLite check foreign keys at the end of the present transaction.

    Source: https://sqlite.org/pragma.html#pragma_defer_foreign_keys
    """
    return Statement("PRAGMA defer_foreign_keys = ON")


def lock_file(table: Table) -> Statement:
    """Return a DELETE of no row, which takes SQLite's write lock in every journal mode."""
    return Statement(f"DELETE FROM {table_name(table)} WHERE 0")


def delete_rows(table: Table, keys: Sequence[Sequence[object]]) -> Statement:
    """Return a DELETE of the rows with these primary keys."""
    where, parameters = key_in(table, keys)
    return Statement(f"DELETE FROM {table_name(table)} WHERE {where}", parameters)


def _holds_one_of(
    table: Table, column: Column, key_type: KeyType, keys: Sequence[object]
) -> tuple[str, tuple[object, ...]]:
    """Compare by the column's collation, which the index serves, then as bytes, which is exact."""
    holes = ", ".join([placeholder(table.backend)] * len(keys))
    condition = f"{quote(column.name, table.backend)} IN ({holes})"
    parameters = tuple(keys) if column.is_binary else tuple(map(_as_text, keys))
    if not column.is_text:
        return condition, parameters
    exact = distinct_key_expression(column, key_type, table.backend)
    return f"{condition} AND {exact} IN ({holes})", (*parameters, *keys)


def _as_text(key: object) -> object:
    return key.decode() if isinstance(key, bytes) else key
