"""Statements that count rows which could not be written elsewhere as they are."""

import re

from shardhash.db.schema import Column, ForeignKey, Table
from shardhash.db.sql._copy import insert_head, written_row
from shardhash.db.sql._filters import RowFilter
from shardhash.db.sql._text import Statement, quote, table_name
from shardhash.db.topology import Backend

__all__ = [
    "count_error_values",
    "count_long_rows",
    "count_orphans",
    "count_torn_references",
    "count_undecodable",
    "row_room",
]

_PACKET_SHARE = 0.9  # of max_allowed_packet; the rest is for the head of the statement
_MOST_BYTES = {
    **dict.fromkeys(("tinytext", "tinyblob"), 2**8),
    **dict.fromkeys(("text", "blob"), 2**16),
    **dict.fromkeys(("mediumtext", "mediumblob"), 2**24),
}
_LENGTH = re.compile(r"\((\d+)\)")
_SIZED = frozenset({"char", "varchar", "binary", "varbinary", "nchar", "nvarchar"})
_SHORT = frozenset(
    {"enum", "set", "bit", "decimal", "float", "double", "year", "date", "time", "datetime"}
    | {"timestamp", "uuid", "inet4", "inet6"}
)
_SHORT_BYTES = 100  # as SQL, such as a DECIMAL(65,30)
_UNBOUNDED = 2**32
_BYTES_A_CHARACTER = 4
_DEPTH = 200  # of an expression: SQLite takes 1000, and a column needs two


def row_room(table: Table, packet: int) -> int:
    """Return how many bytes of rows, as SQL, an INSERT of ``packet`` bytes has room for."""
    return int(packet * _PACKET_SHARE) - len(insert_head(table))


def count_error_values(table: Table, rows: RowFilter) -> tuple[tuple[str, ...], Statement] | None:
    """Return the ENUM columns, and a SELECT of the number of rows with the error value in each.

    It is what a server without strict mode stores for a text that is none of the column's values,
    and what no INSERT can name. None where there is no such column.
    Source: https://mariadb.com/kb/en/enum/
    """
    if table.backend is Backend.SQLITE:
        return None
    names = tuple(column.name for column in table.stored_columns if column.data_type == "enum")
    if not names:
        return None
    counts = ", ".join(f"COALESCE(SUM({quote(name, Backend.MYSQL)} + 0 = 0), 0)" for name in names)
    where, parameters = rows.within("1 = 1", ())
    return names, Statement(f"SELECT {counts} FROM {table_name(table)} WHERE {where}", parameters)


def count_long_rows(table: Table, rows: RowFilter, room: int) -> Statement | None:
    """Return a SELECT of (count, most bytes) of the rows that are above ``room`` bytes as SQL.

    The number of bytes is at least that of the longest row. None where no row of the table can be
    so long. A server whose own max_allowed_packet a row is above writes NULL instead of the row,
    or of a value in it, so both are measured.
    """
    columns = table.stored_columns
    if table.backend is Backend.SQLITE or sum(map(_most_bytes, columns)) <= room:
        return None
    row = written_row(table)
    raw = [
        f"COALESCE(OCTET_LENGTH({quote(column.name, Backend.MYSQL)}), 0)"
        for column in columns
        if not _is_short(column)
    ]
    size = f"GREATEST(COALESCE(OCTET_LENGTH({row}), 0), {' + '.join(raw)})"
    bound = f"2 * ({' + '.join(raw)}) + {_SHORT_BYTES * len(columns)}"
    where, parameters = rows.within("1 = 1", ())
    return Statement(
        f"SELECT COUNT(*), COALESCE(MAX({size}), 0) FROM {table_name(table)} WHERE {where} "
        f"AND {bound} > {int(room)} AND ({row} IS NULL OR {size} + 1 > {int(room)})",
        parameters,
    )


def count_undecodable(table: Table, rows: RowFilter) -> Statement:
    """Return a SELECT of the number of rows of a SQLite table whose text is no UTF-8.

    SQLite takes any bytes as text, by a CAST or by a client in C; Python reads none of them.
    """
    texts = [
        f"CASE typeof({name}) WHEN 'text' THEN {name} ELSE '' END"
        for name in (quote(column.name, Backend.SQLITE) for column in table.stored_columns)
    ]
    pieces = [texts[i : i + _DEPTH] for i in range(0, len(texts), _DEPTH)]
    joined = [" || 'x' || ".join(piece) for piece in pieces]
    wrong = " OR ".join(f"NOT shardhash_is_utf8(CAST({text} AS BLOB))" for text in joined)
    where, parameters = rows.within(f"({wrong})", ())
    return Statement(f"SELECT COUNT(*) FROM {table_name(table)} WHERE {where}", parameters)


def count_torn_references(
    table: Table, key: ForeignKey, parent: Table, moving: RowFilter, parents_moving: RowFilter
) -> Statement:
    """Return a SELECT of the number of rows that a move parts from those that they refer to.

    The filters name columns by ``c.`` for the table and by ``p.`` for its parent.
    """
    return Statement(
        f"SELECT COUNT(*) FROM {table_name(table)} AS c JOIN {table_name(parent)} AS p "
        f"ON {_pairs(key, table.backend)} "
        f"WHERE COALESCE({moving.condition}, 0) <> COALESCE({parents_moving.condition}, 0)",
        (*moving.parameters, *parents_moving.parameters),
    )


def count_orphans(table: Table, key: ForeignKey, parent: Table, moving: RowFilter) -> Statement:
    """Return a SELECT of the number of moving rows that refer to a row which is not there.

    The filter names columns by ``c.``. Such rows came in while references were not checked.
    """
    refers = " AND ".join(f"c.{quote(column, table.backend)} IS NOT NULL" for column in key.columns)
    where, parameters = moving.within(refers, ())
    return Statement(
        f"SELECT COUNT(*) FROM {table_name(table)} AS c WHERE {where} AND NOT EXISTS "
        f"(SELECT 1 FROM {table_name(parent)} AS p WHERE {_pairs(key, table.backend)})",
        parameters,
    )


def _pairs(key: ForeignKey, backend: Backend) -> str:
    return " AND ".join(
        f"c.{quote(column, backend)} = p.{quote(other, backend)}"
        for column, other in zip(key.columns, key.parent_columns, strict=True)
    )


def _is_short(column: Column) -> bool:
    return column.is_integer or column.data_type in _SHORT


def _most_bytes(column: Column) -> int:
    """Return how long a column's value may be as SQL."""
    if _is_short(column):
        return _SHORT_BYTES
    length = _LENGTH.search(column.definition)
    if column.data_type in _SIZED and length:
        return 2 * _BYTES_A_CHARACTER * int(length[1]) + 10
    return 2 * _MOST_BYTES.get(column.data_type, _UNBOUNDED) + 10
