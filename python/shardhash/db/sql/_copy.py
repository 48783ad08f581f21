"""Statements that copy rows as they are, byte for byte.

A MySQL server writes each row down itself, as the tuple of an INSERT: text and bytes as literals
of what is stored, numbers as numbers, times as text under UTC. So no charset, no driver and no
client type stands between what is stored here and what is stored there. The other server reads
literals without a charset as bytes, in an INSERT or, in half the time, as the lines of a LOAD DATA.
SQLite's values are what its driver returns.
"""

from collections.abc import Sequence

from shardhash.db.schema import Column, Table, UniqueKey
from shardhash.db.sql._filters import RowFilter
from shardhash.db.sql._pages import (
    column_values,
    key_columns,
    key_in,
    key_order,
    page_condition,
    values_in,
)
from shardhash.db.sql._text import (
    Statement,
    floating_text,
    placeholder,
    quote,
    table_name,
    table_path,
)
from shardhash.db.topology import Backend
from shardhash.errors import PreflightError

__all__ = [
    "allow_long_texts",
    "begin_page",
    "check_copyable",
    "comparable_uniques",
    "count_page",
    "delete_page",
    "end_key",
    "filtered_page_end",
    "find_uniques",
    "insert_head",
    "insert_page",
    "insert_row",
    "load_rows",
    "look_beside",
    "packet_size",
    "read_filtered",
    "read_keys",
    "read_page",
    "read_page_text",
    "read_row_sizes",
    "read_uniques",
    "undo_page",
    "warning_count",
    "written_row",
]

_NUMBERS = frozenset({"decimal", "numeric", "dec", "fixed", "year", "bool", "boolean"})
_TIMES = frozenset({"date", "datetime", "timestamp", "time"})
_CHARSETS = {"uuid": "_latin1", "inet4": "_latin1", "inet6": "_latin1", "json": "_utf8mb4"}
"""Types whose literals are text, by its charset: as bytes they would mean something else."""
_BYTES = frozenset(
    {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "nchar", "nvarchar"}
    | {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"}
    | {"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"}
    | {"multipolygon", "geometrycollection", "geomcollection"}
)
_LONG = frozenset(
    {"text", "mediumtext", "longtext", "blob", "mediumblob", "longblob", "json", "geometry"}
    | {"linestring", "polygon", "multipoint", "multilinestring", "multipolygon"}
    | {"geometrycollection", "geomcollection", "vector"}
)

_SAVEPOINT = "shardhash_page"

Key = Sequence[object] | None


def check_copyable(table: Table) -> None:
    """Raise PreflightError if a column's type is not known, so that no copy of it is exact."""
    if table.backend is Backend.MYSQL:
        for column in table.stored_columns:
            _literal(column)


def read_page(table: Table, rows: RowFilter, after: Key, until: Key, row_count: int) -> Statement:
    """Return a SELECT of (primary key, row) of the first rows in the page ``(after, until]``.

    For MySQL the row is one value, the bytes of a tuple of SQL literals, NULL where it is above
    the server's max_allowed_packet; for SQLite it is the values of the stored columns.
    """
    if table.backend is Backend.SQLITE:
        row = ", ".join(quote(column.name, table.backend) for column in table.stored_columns)
    else:
        row = written_row(table)
    return _select(table, f"{key_columns(table)}, {row}", rows, after, until, row_count)


def read_page_text(table: Table, rows: RowFilter, after: Key, until: Key) -> Statement:
    """Return a MySQL SELECT of (row count, rows) of a page: the tuples of ``read_page``, joined.

    The server cuts the text, with a warning, at ``group_concat_max_len``, and leaves out a row that
    it cannot write down, so that the INSERT would take fewer rows than were counted.
    """
    where, parameters = rows.within(*page_condition(table, after, until))
    return Statement(
        f"SELECT COUNT(*), GROUP_CONCAT({written_row(table)} SEPARATOR ',') "
        f"FROM {table_name(table)} WHERE {where}",
        parameters,
    )


def allow_long_texts(byte_count: int) -> Statement:
    """Return what lets a MySQL session join rows up to a number of bytes."""
    return Statement(f"SET SESSION group_concat_max_len = {int(byte_count)}")


def read_keys(table: Table, rows: RowFilter, after: Key, until: Key, row_count: int) -> Statement:
    """Return a SELECT of the first primary keys in the page ``(after, until]``."""
    return _select(table, key_columns(table), rows, after, until, row_count)


def read_filtered(table: Table, rows: RowFilter, keys: Sequence[Sequence[object]]) -> Statement:
    """Return a SELECT of those of some primary keys whose rows the filter has."""
    where, parameters = rows.within(*key_in(table, keys))
    return Statement(
        f"SELECT {key_columns(table)} FROM {table_name(table)} WHERE {where}", parameters
    )


def comparable_uniques(table: Table) -> list[UniqueKey]:
    """Return the unique keys whose values can be read here and looked up elsewhere exactly."""
    return [
        key
        for key in table.unique_keys
        if key.is_whole and all(_is_comparable(table, name) for name in key.columns)
    ]


def _is_comparable(table: Table, name: str) -> bool:
    column = table.column(name)
    is_long = table.backend is Backend.MYSQL and _is_long(column, table.backend)
    return not (is_long or column.is_approximate)


def read_uniques(
    table: Table, key: UniqueKey, rows: RowFilter, after: Key, row_count: int
) -> Statement:
    """Return a SELECT of (primary key, values of a unique key) of the first rows after a key."""
    values = column_values(table, key.columns)
    return _select(table, f"{key_columns(table)}, {values}", rows, after, None, row_count)


def find_uniques(table: Table, key: UniqueKey, values: Sequence[Sequence[object]]) -> Statement:
    """Return a SELECT of the primary keys of rows that hold one of some values of a unique key."""
    where, parameters = values_in(table, key.columns, values)
    return Statement(
        f"SELECT {key_columns(table)} FROM {table_name(table)} WHERE {where}", parameters
    )


def end_key(table: Table, *, last: bool) -> Statement:
    """Return a SELECT of the least or the greatest primary key; none of no rows."""
    order = key_order(table, " DESC" if last else "")
    return Statement(
        f"SELECT {key_columns(table)} FROM {table_name(table)} ORDER BY {order} LIMIT 1"
    )


def read_row_sizes(table: Table, rows: RowFilter, after: Key, row_count: int) -> Statement | None:
    """Return a SELECT of (primary key, bytes) of the first rows after a key; None if all are short.

    The bytes are those of columns that may be long; a page is ended before they become too many.
    """
    long = [column for column in table.stored_columns if _is_long(column, table.backend)]
    if not long:
        return None
    function = "LENGTH" if table.backend is Backend.SQLITE else "OCTET_LENGTH"
    sizes = " + ".join(
        f"COALESCE({function}({quote(column.name, table.backend)}), 0)" for column in long
    )
    return _select(table, f"{key_columns(table)}, {sizes}", rows, after, None, row_count)


def filtered_page_end(table: Table, rows: RowFilter, after: Key, row_count: int) -> Statement:
    """Return a SELECT of the primary key of the filter's n-th row after a key; none of fewer."""
    statement = _select(table, key_columns(table), rows, after, None, 1)
    return Statement(f"{statement.sql} OFFSET {row_count - 1}", statement.parameters)


def insert_head(table: Table) -> bytes:
    """Return the beginning of a MySQL INSERT, up to the tuples; it is not formatted any more."""
    names = ",".join(quote(column.name, table.backend) for column in table.stored_columns)
    return f"INSERT INTO {table_name(table)} ({names}) VALUES ".replace("%%", "%").encode()


def load_rows(table: Table) -> bytes | None:
    """Return a MySQL LOAD DATA LOCAL of tuples with commas between them, not formatted any more.

    A LOAD DATA reads what stands in quotes as an INSERT does, and the word NULL too; but all fields
    are texts to it, so that numbers that name a value, and years, are made numbers again. None
    where the tuples have literals with a charset, which it does not read.
    Source: https://mariadb.com/kb/en/load-data-infile/
    """
    columns = table.stored_columns
    if any(column.data_type in _CHARSETS for column in columns):
        return None
    fields, changes = [], []
    for number, column in enumerate(columns):
        name = quote(column.name, table.backend)
        if column.is_numbered or column.data_type == "year":
            fields.append(f"@shardhash_{number}")
            changes.append(f"{name} = CAST(@shardhash_{number} AS UNSIGNED)")
        else:
            fields.append(name)
    tail = f" SET {', '.join(changes)}" if changes else ""
    return (
        (
            f"LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table_name(table)} CHARACTER SET binary "
            "FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\\'' ESCAPED BY '\\\\' "
            f"LINES STARTING BY '(' TERMINATED BY ')' ({', '.join(fields)}){tail}"
        )
        .replace("%%", "%")
        .encode()
    )


def begin_page() -> Statement:
    """Return what marks the place in a transaction that ``undo_page`` goes back to."""
    return Statement(f"SAVEPOINT {_SAVEPOINT}")


def undo_page() -> Statement:
    """Return what undoes all since ``begin_page``."""
    return Statement(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")


def insert_page(table: Table, database: str, rows: RowFilter, after: Key, until: Key) -> Statement:
    """Return a MySQL INSERT of the rows of a page from the table of that name beside it."""
    names = ", ".join(quote(column.name, table.backend) for column in table.stored_columns)
    where, parameters = rows.within(*page_condition(table, after, until))
    return Statement(
        f"INSERT INTO {table_name(table)} ({names}) SELECT {names} "
        f"FROM {table_path(database, table.name)} WHERE {where}",
        parameters,
    )


def look_beside(table: Table, database: str) -> Statement:
    """Return a SELECT of the stored columns, of no row, of the table of that name in a database."""
    names = ", ".join(quote(column.name, table.backend) for column in table.stored_columns)
    return Statement(f"SELECT {names} FROM {table_path(database, table.name)} LIMIT 0")


def insert_row(table: Table) -> str:
    """Return an INSERT of one row with a placeholder for each stored column."""
    names = ", ".join(quote(column.name, table.backend) for column in table.stored_columns)
    holes = ", ".join([placeholder(table.backend)] * len(table.stored_columns))
    return f"INSERT INTO {table_name(table)} ({names}) VALUES ({holes})"


def count_page(table: Table, rows: RowFilter, after: Key = None, until: Key = None) -> Statement:
    """Return a SELECT of the number of rows in the page, of all rows without ends."""
    where, parameters = rows.within(*page_condition(table, after, until))
    return Statement(f"SELECT COUNT(*) FROM {table_name(table)} WHERE {where}", parameters)


def delete_page(table: Table, rows: RowFilter, after: Key, until: Key) -> Statement:
    """Return a DELETE of the rows in the page ``(after, until]``."""
    where, parameters = rows.within(*page_condition(table, after, until))
    return Statement(f"DELETE FROM {table_name(table)} WHERE {where}", parameters)


def packet_size() -> Statement:
    """Return a SELECT of the longest statement, in bytes, that a MySQL session may send."""
    return Statement("SELECT @@max_allowed_packet")


def warning_count() -> Statement:
    """Return a SELECT of the number of warnings of the last MySQL statement."""
    return Statement("SELECT @@warning_count")


def _select(
    table: Table, columns: str, rows: RowFilter, after: Key, until: Key, row_count: int
) -> Statement:
    where, parameters = rows.within(*page_condition(table, after, until))
    return Statement(
        f"SELECT {columns} FROM {table_name(table)} WHERE {where} "
        f"ORDER BY {key_order(table)} LIMIT {row_count}",
        parameters,
    )


def written_row(table: Table) -> str:
    """Return SQL for the bytes of a row as a tuple of literals; NULL where they are too many."""
    literals = ", ',', ".join(map(_literal, table.stored_columns))
    return f"CAST(CONCAT('(', {literals}, ')') AS BINARY)"


def _literal(column: Column) -> str:
    """Return SQL that writes a column's value as SQL, exactly.

    A value that the server gives up on, being above max_allowed_packet, makes the row NULL or no
    SQL at all, never another value.
    """
    name = quote(column.name, Backend.MYSQL)
    kind = column.data_type
    if column.is_integer or kind in _NUMBERS:
        return f"IFNULL({name}, 'NULL')"
    if column.is_numbered:
        return f"IFNULL({name} + 0, 'NULL')"
    if column.is_approximate:
        return f"QUOTE({floating_text(column)})"
    if kind in _TIMES:
        return f"QUOTE(CAST({name} AS CHAR))"
    if kind in _CHARSETS:
        text = f"CONCAT('{_CHARSETS[kind]}', QUOTE(CAST({name} AS CHAR)))"
        return f"IF({name} IS NULL, 'NULL', {text})"
    if kind in _BYTES:
        # MySQL's QUOTE makes of bytes a text of the session's charset; latin1 takes each byte.
        # Of NULL it makes the word.
        return f"CAST(QUOTE(CONVERT(CAST({name} AS BINARY) USING latin1)) AS BINARY)"
    raise PreflightError(
        f"column {column.name} is {column.definition}, a type that is not known to be copied "
        "exactly",
        next_step="give the column another type",
    )


def _is_long(column: Column, backend: Backend) -> bool:
    if backend is Backend.SQLITE:
        return column.data_type in ("text", "blob")
    return column.data_type in _LONG
