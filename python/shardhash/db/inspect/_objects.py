"""What is in a database besides rows: its objects and their sizes.

Sources: the INFORMATION_SCHEMA tables of MariaDB and MySQL; https://sqlite.org/schematab.html.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shardhash.db.schema import OWN_PREFIX, Table
from shardhash.db.sql import quote
from shardhash.db.topology import Backend

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["DatabaseObject", "list_objects", "table_size_bytes"]

_TABLES = """
    SELECT TABLE_TYPE, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME"""
_PROGRAMS = """
    SELECT ROUTINE_TYPE, ROUTINE_NAME, 0 AS ORDINAL FROM information_schema.ROUTINES
    WHERE ROUTINE_SCHEMA = DATABASE()
    UNION ALL
    SELECT 'TRIGGER', TRIGGER_NAME, ACTION_ORDER FROM information_schema.TRIGGERS
    WHERE TRIGGER_SCHEMA = DATABASE()
    UNION ALL
    SELECT 'EVENT', EVENT_NAME, 0 FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()
    ORDER BY 1, 3, 2"""
_SIZE = """
    SELECT DATA_LENGTH + INDEX_LENGTH FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"""
_KINDS = {"BASE TABLE": "table", "SYSTEM VERSIONED": "table"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseObject:
    """A table, view, sequence, procedure, function, trigger or event, by name.

    ``rows_about`` is what the server guesses of a table; SQLite keeps no such number.
    """

    kind: str
    name: str
    rows_about: int = 0


def list_objects(connection: "Connection", backend: Backend) -> list[DatabaseObject]:
    """Return all objects of the connection's database but the toolkit's own.

    Triggers of one table and event are in the order in which they fire.
    """
    if backend is Backend.SQLITE:
        return _sqlite_objects(connection)
    tables = [
        DatabaseObject(
            kind=_KINDS.get(kind, str(kind).lower()), name=name, rows_about=int(rows or 0)
        )
        for kind, name, rows in _rows(connection, _TABLES)
    ]
    programs = [
        DatabaseObject(kind=str(kind).lower(), name=name)
        for kind, name, _ in _rows(connection, _PROGRAMS)
    ]
    return [each for each in (*tables, *programs) if not each.name.startswith(OWN_PREFIX)]


def table_size_bytes(connection: "Connection", table: Table) -> int | None:
    """Return about how many bytes a table takes with its indexes; None if that is not known."""
    if table.backend is Backend.SQLITE:
        return _sqlite_size(connection, table)
    found = _rows(connection, _SIZE, table.name)
    return int(found[0][0]) if found and found[0][0] is not None else None


def _sqlite_objects(connection: "Connection") -> list[DatabaseObject]:
    rows = _rows(
        connection,
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view', 'trigger') "
        "AND substr(name, 1, 7) <> 'sqlite_' ORDER BY type = 'trigger', type = 'view', rowid",
    )
    return [
        DatabaseObject(kind="virtual table" if _is_virtual(text) else kind, name=name)
        for kind, name, text in rows
        if not name.startswith(OWN_PREFIX)
    ]


def _is_virtual(text: str) -> bool:
    return text.upper().split()[:2] == ["CREATE", "VIRTUAL"]


def _sqlite_size(connection: "Connection", table: Table) -> int | None:
    """Return the share of the file's pages, by the rows of all tables, as SQLite keeps no sizes."""
    [(page_count,)] = _rows(connection, "PRAGMA page_count")
    [(page_size,)] = _rows(connection, "PRAGMA page_size")
    counts = {
        each.name: _count(connection, each.name)
        for each in _sqlite_objects(connection)
        if each.kind == "table"
    }
    total = sum(counts.values())
    return page_count * page_size * counts.get(table.name, 0) // total if total else 0


def _count(connection: "Connection", name: str) -> int:
    table = quote(name, Backend.SQLITE)
    return int(_rows(connection, f"SELECT COUNT(*) FROM {table}")[0][0])  # noqa: S608


def _rows(connection: "Connection", statement: str, *parameters: object) -> Sequence[Any]:
    return connection.exec_driver_sql(statement, parameters or None).fetchall()
