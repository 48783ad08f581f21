"""Every piece of SQL text that the toolkit sends, built from values and nothing else.

Identifiers are quoted here, values are always bound. The bytes of a shard key are spelled once,
in ``key_bytes_expression``; router, plan, prune and verify all use it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from shardhash.db.schema import Column, Table
from shardhash.db.topology import Backend, KeyType
from shardhash.errors import PreflightError

__all__ = [
    "Statement",
    "count_folded",
    "count_key_rows",
    "count_rows",
    "create_database",
    "create_trial_table",
    "create_trial_trigger",
    "delete_rows",
    "distinct_key_expression",
    "drop_database",
    "drop_table",
    "group_keys",
    "intervals",
    "key_bytes_expression",
    "key_rows",
    "lock_file",
    "next_page",
    "page_rows",
    "quote",
    "read_rows",
    "row_digest_expression",
    "slot_expression",
    "slot_proof",
    "unusable_keys",
]

_MAX_INTERVALS = 8  # beyond this many BETWEENs one look into a bitmap is cheaper
_DIGEST_COLUMNS = 40  # SQLite takes 127 arguments a call, and a column needs two
_HASHED_TYPES = frozenset(
    {"tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob"}
    | {"json", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"}
    | {"multipolygon", "geometrycollection"}
)


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text in the driver's own placeholders, and the values to bind, which no repr shows."""

    sql: str
    parameters: tuple[object, ...] = field(default=(), repr=False)


def quote(name: str, backend: Backend) -> str:
    """Return an identifier quoted for a server, with the quote character doubled."""
    if backend is Backend.SQLITE:
        return '"' + name.replace('"', '""') + '"'
    return "`" + name.replace("`", "``").replace("%", "%%") + "`"


def key_bytes_expression(column: Column, key_type: KeyType, backend: Backend) -> str:
    """Return SQL for the key bytes of a column, as the client would encode the same value.

    Raises:
        PreflightError: the column cannot hold keys of that type, or has no exact text.

    Source: CRC32() hashes the bytes of its argument's text in the argument's own charset
    (MariaDB and MySQL manuals, CRC32), so the charset is made utf8mb4 first.
    """
    name = quote(column.name, backend)
    if backend is Backend.SQLITE:
        _check_sqlite_type(column, key_type)
        return name
    return _mysql_key_bytes(column, key_type, name)


def distinct_key_expression(column: Column, key_type: KeyType, backend: Backend) -> str:
    """Return SQL for a key that the server compares as bytes and the client can hash.

    It gives an integer for ``int``, key bytes or their text for all else. Raises PreflightError as
    ``key_bytes_expression`` does.
    """
    key = key_bytes_expression(column, key_type, backend)
    if backend is Backend.SQLITE:
        return f"{key} COLLATE BINARY" if column.is_text else key
    if key_type is KeyType.INT or column.is_binary:
        return key
    return f"CAST(CONVERT({key} USING utf8mb4) AS BINARY)"


def slot_expression(column: Column, key_type: KeyType, *, slot_count: int, backend: Backend) -> str:
    """Return SQL for the slot of a row, NULL where its key is NULL.

    ``slot_count`` is a power of two. Raises PreflightError as ``key_bytes_expression`` does.
    """
    function = "shardhash_crc32" if backend is Backend.SQLITE else "CRC32"
    return f"({function}({key_bytes_expression(column, key_type, backend)}) & {slot_count - 1})"


def row_digest_expression(table: Table) -> str:
    """Return SQL for a SHA-256 of a row's content, the same on every shard of equal schema.

    Generated columns are left out: they follow from the others. A session must have its time zone
    set to UTC, because the text of a TIMESTAMP depends on it.
    """
    columns = [column for column in table.columns if not column.is_generated]
    if table.backend is Backend.SQLITE:
        return _sqlite_digest([quote(column.name, Backend.SQLITE) for column in columns])
    return f"SHA2(CONCAT_WS(',', {', '.join(map(_mysql_digest_part, columns))}), 256)"


def group_keys(table: Table, column: Column, key_type: KeyType) -> Statement:
    """Return a SELECT of (key, row count) for each distinct key, compared as bytes."""
    key = distinct_key_expression(column, key_type, table.backend)
    return Statement(f"SELECT {key}, COUNT(*) FROM {_name(table)} GROUP BY 1")


def create_database(name: str) -> Statement:
    """Return a CREATE DATABASE for a MySQL server that leaves an existing one as it is."""
    database = quote(name, Backend.MYSQL)
    return Statement(f"CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb4")


def drop_database(name: str) -> Statement:
    """Drop a MySQL database and all that is in it; nothing happens if there is none."""
    return Statement(f"DROP DATABASE IF EXISTS {quote(name, Backend.MYSQL)}")


def create_trial_table(database: str, name: str) -> Statement:
    """Create an empty MySQL table to try things on."""
    return Statement(f"CREATE TABLE {_mysql_path(database, name)} (id INT PRIMARY KEY)")


def create_trial_trigger(database: str, name: str) -> Statement:
    """Create a MySQL trigger that does nothing, of the trial table's name and on it."""
    path = _mysql_path(database, name)
    return Statement(f"CREATE TRIGGER {path} AFTER INSERT ON {path} FOR EACH ROW SET @trial = 1")


def drop_table(database: str, name: str) -> Statement:
    """Drop a MySQL table with its triggers; nothing happens if there is none."""
    return Statement(f"DROP TABLE IF EXISTS {_mysql_path(database, name)}")


def count_rows(table: Table) -> Statement:
    """Return a SELECT of the number of rows."""
    return Statement(f"SELECT COUNT(*) FROM {_name(table)}")


def count_folded(table: Table, column: Column) -> Statement:
    """Return a SELECT of the number of keys that the column's own collation tells apart."""
    name = quote(column.name, table.backend)
    return Statement(f"SELECT COUNT(DISTINCT {name}) FROM {_name(table)}")


def unusable_keys(table: Table, column: Column, key_type: KeyType) -> Statement | None:
    """Return a SELECT of the number of rows whose key is not what the mapping declares.

    None where the column's type already rules that out.
    """
    name = quote(column.name, table.backend)
    if table.backend is Backend.SQLITE:
        condition = f"typeof({name}) NOT IN ('null', '{_SQLITE_STORAGE[key_type]}')"
        if key_type is KeyType.UUID:
            condition += f" OR {name} <> lower({name})"
        elif key_type is KeyType.UUID16:
            condition += f" OR length({name}) <> 16"
    elif key_type is KeyType.UUID and column.data_type != "uuid":
        condition = f"CAST({name} AS BINARY) <> CAST(LOWER({name}) AS BINARY)"
    else:
        return None
    return Statement(f"SELECT COUNT(*) FROM {_name(table)} WHERE {condition}")


def next_page(table: Table, after: Sequence[object] | None, row_count: int) -> Statement:
    """Return a SELECT of the primary key that ends the page of ``row_count`` rows after a key."""
    where, parameters = _after(table, after)
    return Statement(
        f"SELECT {_keys(table)} FROM {_name(table)}{where} "
        f"ORDER BY {_key_order(table)} LIMIT 1 OFFSET {row_count - 1}",
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
    where, parameters = _after(table, after)
    conditions = [where.removeprefix(" WHERE ")] if where else []
    if until is not None:
        condition, more = _compare(table, "<", "<=", until)
        conditions.append(condition)
        parameters += more
    condition, more = _slot_in(slot, foreign_slots, table.backend)
    conditions.append(condition)
    return Statement(
        f"SELECT {_keys(table)} FROM {_name(table)} WHERE {' AND '.join(conditions)} "
        f"ORDER BY {_key_order(table)}",
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
        condition, more = _compare(table, ">", ">", after)
        conditions.append(condition)
        parameters += more
    return Statement(
        f"SELECT {_keys(table)} FROM {_name(table)} WHERE {' AND '.join(conditions)} "
        f"ORDER BY {_key_order(table)} LIMIT {row_count}",
        parameters,
    )


def count_key_rows(
    table: Table, column: Column, key_type: KeyType, keys: Sequence[object]
) -> Statement:
    """Return a SELECT of the number of rows that hold one of ``keys``, compared as bytes."""
    condition, parameters = _holds_one_of(table, column, key_type, keys)
    return Statement(f"SELECT COUNT(*) FROM {_name(table)} WHERE {condition}", parameters)


def slot_proof(
    table: Table, column: Column, key_type: KeyType, key: int | str | bytes, *, slot_count: int
) -> str:
    """Return a SELECT, for a person to run, of the slots and counts of the rows with a key.

    The comparison is the column's own, so a collation that folds can show more than one slot.
    """
    slot = slot_expression(column, key_type, slot_count=slot_count, backend=table.backend)
    name = quote(column.name, table.backend)
    return (
        f"SELECT {slot} AS slot, COUNT(*) FROM {_name(table)} "
        f"WHERE {name} = {_literal(key, table.backend)} GROUP BY slot"
    ).replace("%%", "%")


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
    where, parameters = _key_in(table, keys)
    clause = "" if table.backend is Backend.SQLITE else _LOCK_CLAUSES[lock]
    columns = ", ".join([_keys(table), *expressions])
    return Statement(f"SELECT {columns} FROM {_name(table)} WHERE {where}{clause}", parameters)


def lock_file(table: Table) -> Statement:
    """Return a DELETE of no row, which takes SQLite's write lock in every journal mode."""
    return Statement(f"DELETE FROM {_name(table)} WHERE 0")


def delete_rows(table: Table, keys: Sequence[Sequence[object]]) -> Statement:
    """Return a DELETE of the rows with these primary keys."""
    where, parameters = _key_in(table, keys)
    return Statement(f"DELETE FROM {_name(table)} WHERE {where}", parameters)


_LOCK_CLAUSES = {"": "", "exclusive": " FOR UPDATE", "shared": " LOCK IN SHARE MODE"}
_SQLITE_STORAGE = {
    KeyType.INT: "integer",
    KeyType.STR: "text",
    KeyType.UUID: "text",
    KeyType.DATE: "text",
    KeyType.DATETIME: "text",
    KeyType.BYTES: "blob",
    KeyType.UUID16: "blob",
}


def _refuse_key(column: Column, key_type: KeyType, reason: str) -> PreflightError:
    return PreflightError(
        f"key column {column.name} is {column.definition}, the mapping declares {key_type}: "
        f"{reason}",
        next_step="declare the type that the column has, or change the column",
    )


def _mysql_key_bytes(column: Column, key_type: KeyType, name: str) -> str:
    kind = column.data_type
    if key_type is KeyType.INT:
        if kind in ("bit", "year") or (column.is_integer and column.is_zerofill):
            return f"{name}+0"
        if column.is_integer:
            return name
    elif key_type in (KeyType.STR, KeyType.UUID) and column.is_text:
        text = f"RTRIM({name})" if kind == "char" else name
        text = f"CONVERT({text} USING utf8mb4)"
        return f"LOWER({text})" if key_type is KeyType.UUID else text
    elif (
        key_type.value == kind
        or (key_type is KeyType.BYTES and column.is_binary)
        or (key_type is KeyType.UUID16 and column.definition.lower() in _UUID16_DEFINITIONS)
    ):
        return name
    raise _refuse_key(column, key_type, _reason(column))


_UUID16_DEFINITIONS = ("binary(16)", "varbinary(16)")


def _reason(column: Column) -> str:
    if column.is_approximate:
        return "a floating point number has no exact text"
    if column.data_type == "timestamp":
        return "the text of a TIMESTAMP depends on the session's time zone"
    if column.data_type == "json":
        return "equal JSON documents have many texts"
    return "client and server would not hash the same bytes"


def _check_sqlite_type(column: Column, key_type: KeyType) -> None:
    storage = _SQLITE_STORAGE[key_type]
    if column.data_type != storage:
        raise _refuse_key(
            column, key_type, f"SQLite needs a column declared to hold {storage.upper()} values"
        )


def _holds_one_of(
    table: Table, column: Column, key_type: KeyType, keys: Sequence[object]
) -> tuple[str, tuple[object, ...]]:
    """Compare by the column's collation, which the index serves, then as bytes, which is exact."""
    holes = ", ".join([_hole(table.backend)] * len(keys))
    condition = f"{quote(column.name, table.backend)} IN ({holes})"
    parameters = tuple(keys) if column.is_binary else tuple(map(_as_text, keys))
    if not column.is_text:
        return condition, parameters
    exact = distinct_key_expression(column, key_type, table.backend)
    return f"{condition} AND {exact} IN ({holes})", (*parameters, *keys)


def _literal(key: int | str | bytes, backend: Backend) -> str:
    """Return a key as SQL text; the tool itself binds its values."""
    if isinstance(key, int):
        return str(key)
    if isinstance(key, bytes):
        return f"x'{key.hex()}'"
    if key.isascii() and key.isprintable() and not set(key) & {"'", "\\", "%"}:
        return f"'{key}'"
    if backend is Backend.SQLITE:
        return f"CAST(x'{key.encode().hex()}' AS TEXT)"
    return f"CONVERT(x'{key.encode().hex()}' USING utf8mb4)"


def _as_text(key: object) -> object:
    return key.decode() if isinstance(key, bytes) else key


def _mysql_digest_part(column: Column) -> str:
    name = quote(column.name, Backend.MYSQL)
    if column.data_type in _HASHED_TYPES:
        value = f"SHA2({name}, 256)"
    elif column.is_approximate:
        value = f"HEX(CAST({name} + 0e0 AS CHAR))"  # as DOUBLE: the text of a FLOAT is cut
    elif column.data_type == "bit":
        value = f"HEX({name} + 0)"
    else:
        value = f"HEX(CAST({name} AS BINARY))"
    return f"IFNULL({value}, 'N')"


def _sqlite_digest(names: Sequence[str]) -> str:
    """Nest digests where the columns are more than the arguments that one call takes."""
    head, rest = names[:_DIGEST_COLUMNS], names[_DIGEST_COLUMNS:]
    arguments = [
        f"typeof({name}), CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END"
        for name in head
    ]
    if rest:
        arguments.append(_sqlite_digest(rest))
    return f"shardhash_row_digest({', '.join(arguments)})"


def _slot_in(
    slot: str, intervals: Sequence[tuple[int, int]], backend: Backend
) -> tuple[str, tuple[object, ...]]:
    if len(intervals) <= _MAX_INTERVALS:
        ors = " OR ".join(f"{slot} BETWEEN {first} AND {last}" for first, last in intervals)
        return f"({ors or '1 = 0'})", ()
    bitmap = bytearray(b"0" * (intervals[-1][1] + 1))
    for first, last in intervals:
        bitmap[first : last + 1] = b"1" * (last + 1 - first)
    return f"SUBSTR({_hole(backend)}, {slot} + 1, 1) = {_hole(backend)}", (bytes(bitmap), b"1")


def _after(table: Table, after: Sequence[object] | None) -> tuple[str, tuple[object, ...]]:
    if after is None:
        return "", ()
    condition, parameters = _compare(table, ">", ">", after)
    return f" WHERE {condition}", parameters


def _compare(
    table: Table, strict: str, last: str, values: Sequence[object]
) -> tuple[str, tuple[object, ...]]:
    """Compare the primary key with values in key order, in a form that uses the index.

    Row constructors would say the same, but no server uses an index for their inequalities; the
    bound on the first column, implied by the rest, opens the range scan.
    """
    columns = [_key_value(column, table.backend) for column in table.key_columns]
    hole = _hole(table.backend)
    ors: list[str] = []
    parameters: list[object] = []
    for depth, column in enumerate(columns):
        equal = [f"{name} = {hole}" for name in columns[:depth]]
        operator = last if depth == len(columns) - 1 else strict
        ors.append(" AND ".join([*equal, f"{column} {operator} {hole}"]))
        parameters.extend(values[: depth + 1])
    if len(columns) == 1:
        return ors[0], tuple(parameters)
    bound = f"{columns[0]} {strict}= {hole}"
    return f"({bound} AND ({' OR '.join(ors)}))", (values[0], *parameters)


def _key_in(table: Table, keys: Sequence[Sequence[object]]) -> tuple[str, tuple[object, ...]]:
    columns = [_key_value(column, table.backend) for column in table.key_columns]
    hole = _hole(table.backend)
    values = tuple(value for key in keys for value in key)
    if len(columns) == 1:
        return f"{columns[0]} IN ({', '.join([hole] * len(keys))})", values
    row = "(" + " AND ".join(f"{column} = {hole}" for column in columns) + ")"
    return f"({' OR '.join([row] * len(keys))})", values


def _key_value(column: Column, backend: Backend) -> str:
    """Return SQL for a primary key column that sorts and compares alike.

    An ENUM, SET or BIT column sorts by its number, and compares with a text by its text.
    """
    name = quote(column.name, backend)
    return f"{name}+0" if column.data_type in ("enum", "set", "bit") else name


def _keys(table: Table) -> str:
    return ", ".join(_key_value(column, table.backend) for column in table.key_columns)


_key_order = _keys


def _mysql_path(database: str, name: str) -> str:
    return f"{quote(database, Backend.MYSQL)}.{quote(name, Backend.MYSQL)}"


def _name(table: Table) -> str:
    return quote(table.name, table.backend)


def _hole(backend: Backend) -> str:
    return "?" if backend is Backend.SQLITE else "%s"


def intervals(slots: Iterable[int]) -> list[tuple[int, int]]:
    """Return ascending slots as inclusive intervals."""
    found: list[tuple[int, int]] = []
    for slot in slots:
        if found and found[-1][1] == slot - 1:
            found[-1] = (found[-1][0], slot)
        else:
            found.append((slot, slot))
    return found
