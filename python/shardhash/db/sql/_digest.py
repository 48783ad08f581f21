"""The content of a row in SQL as one digest, and the content of a page as one checksum."""

from collections.abc import Sequence

from shardhash.db.schema import Column, Table
from shardhash.db.sql._filters import RowFilter
from shardhash.db.sql._pages import key_columns, key_order, page_condition
from shardhash.db.sql._text import Statement, floating_text, quote, table_name
from shardhash.db.topology import Backend

__all__ = ["lock_clause", "page_checksum", "page_digests", "row_digest_expression"]

_DIGEST_COLUMNS = 40  # SQLite takes 127 arguments a call, and a column needs two

_HASHED_TYPES = frozenset(
    {"tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob"}
    | {"json", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"}
    | {"multipolygon", "geometrycollection"}
)


def row_digest_expression(table: Table) -> str:
    """Return SQL for a SHA-256 of a row's content, the same on every shard of equal schema.

    Generated columns are left out: they follow from the others. A session must have its time zone
    set to UTC, because the text of a TIMESTAMP depends on it. It is NULL, which equals nothing,
    where the server gives up on a value: the text of a value above max_allowed_packet is NULL.
    """
    columns = [column for column in table.columns if not column.is_generated]
    if table.backend is Backend.SQLITE:
        return _sqlite_digest([quote(column.name, Backend.SQLITE) for column in columns])
    parts = ", ',', ".join(map(_mysql_digest_part, columns))
    return f"SHA2(CONCAT({parts}), 256)"


def _mysql_digest_part(column: Column) -> str:
    name = quote(column.name, Backend.MYSQL)
    if column.data_type in _HASHED_TYPES:
        value = f"SHA2({name}, 256)"
    elif column.is_approximate:
        value = f"HEX({floating_text(column)})"
    elif column.data_type == "bit":
        value = f"HEX({name} + 0)"
    else:
        value = f"HEX(CAST({name} AS BINARY))"
    return f"IF({name} IS NULL, 'N', {value})"


def _sqlite_digest(names: Sequence[str]) -> str:
    """Return a digest of digests where the columns are more than the arguments of one call.

    They stand side by side: SQLite's parser gives up on calls that are nested some twenty deep.
    """
    if len(names) > _DIGEST_COLUMNS:
        parts = [
            _sqlite_digest(names[start : start + _DIGEST_COLUMNS])
            for start in range(0, len(names), _DIGEST_COLUMNS)
        ]
        return f"shardhash_row_digest({', '.join(parts)})"
    arguments = [
        f"typeof({name}), CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END"
        for name in names
    ]
    return f"shardhash_row_digest({', '.join(arguments)})"


def page_checksum(
    table: Table,
    rows: RowFilter,
    after: Sequence[object] | None,
    until: Sequence[object] | None,
    *,
    lock: bool = False,
) -> Statement:
    """Return a SELECT of (row count, checksum) of the rows in the page ``(after, until]``.

    The checksum is the XOR of 64 bits of each row's digest, 0 for no rows; equal rows give equal
    checksums on every shard. A row without a digest makes it a number that nothing equals.
    """
    where, parameters = rows.within(*page_condition(table, after, until))
    if table.backend is Backend.SQLITE:
        # Of no rows an aggregate of Python's own is NULL: it is never made.
        checksum = f"IFNULL(shardhash_checksum({row_digest_expression(table)}), 0)"
    else:
        unlike_any = "CAST(RAND() * 9e15 AS UNSIGNED)"
        checksum = f"BIT_XOR(IFNULL({_digest_number(table)}, {unlike_any}))"
    clause = lock_clause(table.backend) if lock else ""
    return Statement(
        f"SELECT COUNT(*), {checksum} FROM {table_name(table)} WHERE {where}{clause}", parameters
    )


def page_digests(
    table: Table,
    rows: RowFilter,
    after: Sequence[object] | None,
    until: Sequence[object] | None,
) -> Statement:
    """Return a SELECT of (primary key, digest) of the rows in the page, in the key's order."""
    where, parameters = rows.within(*page_condition(table, after, until))
    return Statement(
        f"SELECT {key_columns(table)}, {row_digest_expression(table)} FROM {table_name(table)} "
        f"WHERE {where} ORDER BY {key_order(table)}",
        parameters,
    )


def lock_clause(backend: Backend) -> str:
    """Return what makes a SELECT lock its rows for writing; SQLite locks whole files instead."""
    return "" if backend is Backend.SQLITE else " FOR UPDATE"


def _digest_number(table: Table) -> str:
    """Return SQL for the high 64 bits of the digest as an unsigned number."""
    return f"CAST(CONV(LEFT({row_digest_expression(table)}, 16), 16, 10) AS UNSIGNED)"
