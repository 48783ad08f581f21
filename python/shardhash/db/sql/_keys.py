"""A shard key in SQL: its bytes, as the client would encode them, and its slot."""

from collections.abc import Iterable, Sequence

from shardhash.db.schema import Column, Table
from shardhash.db.sql._text import Statement, literal, placeholder, quote, table_name
from shardhash.db.topology import Backend, KeyType
from shardhash.errors import PreflightError

__all__ = [
    "distinct_key_expression",
    "intervals",
    "key_bytes_expression",
    "slot_expression",
    "slot_in",
    "slot_proof",
    "unusable_keys",
]

_MAX_INTERVALS = 8  # beyond this many BETWEENs one look into a bitmap is cheaper

_SQLITE_STORAGE = {
    KeyType.INT: "integer",
    KeyType.STR: "text",
    KeyType.UUID: "text",
    KeyType.DATE: "text",
    KeyType.DATETIME: "text",
    KeyType.BYTES: "blob",
    KeyType.UUID16: "blob",
}

_UUID16_DEFINITIONS = ("binary(16)", "varbinary(16)")


def key_bytes_expression(
    column: Column, key_type: KeyType, backend: Backend, *, row: str = ""
) -> str:
    """Return SQL for the key bytes of a column, as the client would encode the same value.

    ``row`` is what stands before the column's name: ``"NEW."`` or ``"OLD."`` in a trigger.

    Raises:
        PreflightError: the column cannot hold keys of that type, or has no exact text.

    Source: CRC32() hashes the bytes of its argument's text in the argument's own charset
    (MariaDB and MySQL manuals, CRC32), so the charset is made utf8mb4 first.
    """
    name = row + quote(column.name, backend)
    if backend is Backend.SQLITE:
        _check_sqlite_type(column, key_type)
        return name
    return _mysql_key_bytes(column, key_type, name)


def distinct_key_expression(
    column: Column, key_type: KeyType, backend: Backend, *, row: str = ""
) -> str:
    """Return SQL for a key that the server compares as bytes and the client can hash.

    It gives an integer for ``int``, key bytes or their text for all else. ``row`` and
    PreflightError are as in ``key_bytes_expression``.
    """
    key = key_bytes_expression(column, key_type, backend, row=row)
    if backend is Backend.SQLITE:
        return f"{key} COLLATE BINARY" if column.is_text else key
    if key_type is KeyType.INT or column.is_binary:
        return key
    return f"CAST(CONVERT({key} USING utf8mb4) AS BINARY)"


def slot_expression(
    column: Column, key_type: KeyType, *, slot_count: int, backend: Backend, row: str = ""
) -> str:
    """Return SQL for the slot of a row, NULL where its key is NULL.

    ``slot_count`` is a power of two. ``row`` and PreflightError are as in
    ``key_bytes_expression``.
    """
    function = "shardhash_crc32" if backend is Backend.SQLITE else "CRC32"
    key = key_bytes_expression(column, key_type, backend, row=row)
    return f"({function}({key}) & {slot_count - 1})"


def unusable_keys(table: Table, column: Column, key_type: KeyType) -> Statement | None:
    """Return a SELECT of the number of rows whose key is not what the mapping declares.

    None where the column's type already rules that out.
    """
    name = quote(column.name, table.backend)
    if table.backend is Backend.SQLITE:
        condition = f"typeof({name}) NOT IN ('null', '{_SQLITE_STORAGE[key_type]}')"
        if key_type is KeyType.UUID:
            condition += f" OR {name} <> lower({name})"
        elif key_type is KeyType.DATE:
            condition += f" OR date({name}) IS NOT {name}"
        elif key_type is KeyType.UUID16:
            condition += f" OR length({name}) <> 16"
    elif key_type is KeyType.UUID and column.data_type != "uuid":
        condition = f"CAST({name} AS BINARY) <> CAST(LOWER({name}) AS BINARY)"
    else:
        return None
    return Statement(f"SELECT COUNT(*) FROM {table_name(table)} WHERE {condition}")


def slot_proof(
    table: Table, column: Column, key_type: KeyType, key: int | str | bytes, *, slot_count: int
) -> str:
    """Return a SELECT, for a person to run, of the slots and counts of the rows with a key.

    The comparison is the column's own, so a collation that folds can show more than one slot.
    """
    slot = slot_expression(column, key_type, slot_count=slot_count, backend=table.backend)
    name = quote(column.name, table.backend)
    return (
        f"SELECT {slot} AS slot, COUNT(*) FROM {table_name(table)} "
        f"WHERE {name} = {literal(key, table.backend)} GROUP BY slot"
    ).replace("%%", "%")


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


def slot_in(
    slot: str, intervals: Sequence[tuple[int, int]], backend: Backend
) -> tuple[str, tuple[object, ...]]:
    """Return SQL that tells whether a slot is in inclusive intervals, and its values."""
    if len(intervals) <= _MAX_INTERVALS:
        ors = " OR ".join(f"{slot} BETWEEN {first} AND {last}" for first, last in intervals)
        return f"({ors or '1 = 0'})", ()
    bitmap = bytearray(b"0" * (intervals[-1][1] + 1))
    for first, last in intervals:
        bitmap[first : last + 1] = b"1" * (last + 1 - first)
    return f"SUBSTR({placeholder(backend)}, {slot} + 1, 1) = {placeholder(backend)}", (
        bytes(bitmap),
        b"1",
    )


def intervals(slots: Iterable[int]) -> list[tuple[int, int]]:
    """Return ascending slots as inclusive intervals."""
    found: list[tuple[int, int]] = []
    for slot in slots:
        if found and found[-1][1] == slot - 1:
            found[-1] = (found[-1][0], slot)
        else:
            found.append((slot, slot))
    return found
