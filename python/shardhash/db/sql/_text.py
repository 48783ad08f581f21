"""Statements, quoted names and placeholders: what every other module here builds with."""

from dataclasses import dataclass, field

from shardhash.db.schema import Table
from shardhash.db.topology import Backend

__all__ = ["Statement", "literal", "placeholder", "quote", "table_name", "table_path"]


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
