"""Statements, quoted names and placeholders: what every other module here builds with."""

from dataclasses import dataclass, field

from shardhash.db.schema import Column, Table
from shardhash.db.topology import Backend

__all__ = [
    "Statement",
    "floating_text",
    "literal",
    "placeholder",
    "quote",
    "table_name",
    "table_path",
]

_PLAIN_DOUBLES = frozenset({"double", "double unsigned"})


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


def table_path(database: str, name: str) -> str:
    """Return the quoted name of a MySQL table with its database."""
    return f"{quote(database, Backend.MYSQL)}.{quote(name, Backend.MYSQL)}"


def table_name(table: Table) -> str:
    """Return the quoted name of a table."""
    return quote(table.name, table.backend)


def placeholder(backend: Backend) -> str:
    """Return what stands for a bound value in the driver's SQL."""
    return "?" if backend is Backend.SQLITE else "%s"


def floating_text(column: Column) -> str:
    """Return SQL for the text of a floating point column of MySQL, which reads as its very value.

    The text of a FLOAT, and of one with a number of digits, is cut; as DOUBLE it is not. The text
    of an expression has 22 characters on MySQL, which is enough for these, and not for a DOUBLE:
    its own column's has 24. A sum would lose the sign of -0, which MySQL keeps.
    """
    name = quote(column.name, Backend.MYSQL)
    is_plain = column.definition.lower() in _PLAIN_DOUBLES
    return f"CAST({name if is_plain else f'{name} * 1e0'} AS CHAR)"


def literal(value: int | str | bytes, backend: Backend) -> str:
    """Return a value as SQL text that means the same in every sql_mode and charset.

    For what a person runs and for triggers; statements that the tool sends bind their values.
    """
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if value.isascii() and value.isprintable() and not set(value) & {"'", "\\", "%"}:
        return f"'{value}'"
    if backend is Backend.SQLITE:
        return f"CAST(x'{value.encode().hex()}' AS TEXT)"
    return f"CONVERT(x'{value.encode().hex()}' USING utf8mb4)"
