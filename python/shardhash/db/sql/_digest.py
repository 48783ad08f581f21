"""The content of a row in SQL, as one digest."""

from collections.abc import Sequence

from shardhash.db.schema import Column, Table
from shardhash.db.sql._text import quote
from shardhash.db.topology import Backend

__all__ = ["row_digest_expression"]

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
        value = f"HEX(CAST({name} + 0e0 AS CHAR))"  # as DOUBLE: the text of a FLOAT is cut
    elif column.data_type == "bit":
        value = f"HEX({name} + 0)"
    else:
        value = f"HEX(CAST({name} AS BINARY))"
    return f"IF({name} IS NULL, 'N', {value})"


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
