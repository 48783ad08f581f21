"""Tables and databases as their server describes them.

Sources: the INFORMATION_SCHEMA tables of MariaDB and MySQL; https://sqlite.org/pragma.html.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shardhash.db.schema import Column, ForeignKey, Table
from shardhash.db.sql import quote
from shardhash.db.topology import Backend
from shardhash.errors import PreflightError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["database_identity", "inspect_table"]

_TABLE = """
    SELECT TABLE_TYPE, ENGINE, TABLE_NAME FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"""
_COLUMNS = """
    SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, CHARACTER_SET_NAME, COLLATION_NAME,
           GENERATION_EXPRESSION
    FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"""
_INDEXES = """
    SELECT INDEX_NAME, COLUMN_NAME, SEQ_IN_INDEX FROM information_schema.STATISTICS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY INDEX_NAME, SEQ_IN_INDEX"""
_CHILDREN = """
    SELECT CONSTRAINT_NAME, CONSTRAINT_SCHEMA, TABLE_NAME, DELETE_RULE, DATABASE()
    FROM information_schema.REFERENTIAL_CONSTRAINTS
    WHERE UNIQUE_CONSTRAINT_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME = %s
    ORDER BY TABLE_NAME, CONSTRAINT_NAME"""
_DELETE_TRIGGERS = """
    SELECT TRIGGER_NAME FROM information_schema.TRIGGERS
    WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = %s
      AND EVENT_MANIPULATION = 'DELETE' ORDER BY TRIGGER_NAME"""
_IDENTITY = (
    "SELECT @@hostname, @@port, @@datadir, @@server_id, @@global.read_only, @@socket, DATABASE()"
)
_TRANSACTIONAL_ENGINES = frozenset({"InnoDB"})


def inspect_table(connection: "Connection", name: str, backend: Backend) -> Table:
    """Return a table of the connection's database.

    Raises:
        PreflightError: there is no such table.
    """
    if backend is Backend.SQLITE:
        return _sqlite_table(connection, name)
    return _mysql_table(connection, name)


def database_identity(connection: "Connection", backend: Backend) -> tuple[tuple[Any, ...], bool]:
    """Return what tells a database from all others, and whether it is read-only.

    Two names for one database have one identity. For SQLite it is device and inode of the file.
    """
    if backend is Backend.SQLITE:
        file = Path(_rows(connection, "PRAGMA database_list")[0][2]).stat()
        return (file.st_dev, file.st_ino), False
    *identity, read_only, socket, database = _rows(connection, _IDENTITY)[0]
    return (*identity, socket, database), bool(int(read_only))


def _mysql_table(connection: "Connection", name: str) -> Table:
    found = _rows(connection, _TABLE, name)
    if not found:
        raise _missing(name)
    table_type, engine, name = found[0]  # the name as references have it, whatever its case
    indexes = _rows(connection, _INDEXES, name)
    return Table(
        name=name,
        backend=Backend.MYSQL,
        kind="table" if table_type == "BASE TABLE" else str(table_type).lower(),
        is_transactional=engine in _TRANSACTIONAL_ENGINES or engine is None,
        columns=tuple(_mysql_column(row) for row in _rows(connection, _COLUMNS, name)),
        primary_key=tuple(column for index, column, _ in indexes if index == "PRIMARY"),
        indexed=frozenset(column for _, column, place in indexes if place == 1),
        children=tuple(
            ForeignKey(
                name=constraint,
                table=child if schema == here else f"{schema}.{child}",
                parent=name,
                on_delete=rule,
            )
            for constraint, schema, child, rule, here in _rows(connection, _CHILDREN, name)
        ),
        delete_triggers=tuple(row[0] for row in _rows(connection, _DELETE_TRIGGERS, name)),
    )


def _mysql_column(row: Sequence[Any]) -> Column:
    name, data_type, definition, nullable, charset, collation, generation = row
    return Column(
        name=name,
        data_type=data_type.lower(),
        definition=definition,
        nullable=nullable == "YES",
        charset=charset,
        collation=collation,
        is_generated=bool(generation),
    )


def _sqlite_table(connection: "Connection", name: str) -> Table:
    master = "SELECT type FROM sqlite_master WHERE name = ? AND type IN ('table', 'view')"
    found = _rows(connection, master, name)
    if not found:
        raise _missing(name)
    columns = _rows(connection, _pragma("table_xinfo", name))
    in_key = sorted((row for row in columns if row[5]), key=lambda row: row[5])
    return Table(
        name=name,
        backend=Backend.SQLITE,
        kind=found[0][0],
        columns=tuple(
            Column(
                name=column,
                data_type=_affinity(declared),
                definition=declared,
                nullable=not not_null and not place,
                is_generated=hidden in (2, 3),
            )
            for _, column, declared, not_null, _, place, hidden in columns
        ),
        primary_key=tuple(row[1] for row in in_key),
        indexed=_sqlite_indexed(connection, name) | {row[1] for row in in_key[:1]},
        children=tuple(_sqlite_children(connection, name)),
        delete_triggers=_sqlite_delete_triggers(connection, name),
    )


def _affinity(declared: str) -> str:
    """Return the affinity of a declared type (https://sqlite.org/datatype3.html, section 3.1)."""
    words = declared.upper()
    if "INT" in words:
        return "integer"
    if any(word in words for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if "BLOB" in words:
        return "blob"
    return "real" if any(word in words for word in ("REAL", "FLOA", "DOUB")) else "numeric"


def _sqlite_indexed(connection: "Connection", name: str) -> frozenset[str]:
    indexes = [row[1] for row in _rows(connection, _pragma("index_list", name))]
    leading = [_rows(connection, _pragma("index_info", index))[0][2] for index in indexes]
    return frozenset(column for column in leading if column is not None)


def _sqlite_children(connection: "Connection", name: str) -> list[ForeignKey]:
    tables = _rows(connection, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [
        ForeignKey(name=f"{child}.{row[3]}", table=child, parent=name, on_delete=row[6])
        for (child,) in tables
        for row in _rows(connection, _pragma("foreign_key_list", child))
        if row[2].lower() == name.lower()
    ]


def _sqlite_delete_triggers(connection: "Connection", name: str) -> tuple[str, ...]:
    """Return the triggers whose heading, before its BEGIN, names DELETE."""
    rows = _rows(
        connection,
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(?)"
        " ORDER BY name",
        name,
    )
    return tuple(trigger for trigger, text in rows if "DELETE" in text.upper().split("BEGIN")[0])


def _pragma(pragma: str, name: str) -> str:
    return f"PRAGMA {pragma}({quote(name, Backend.SQLITE)})"


def _rows(connection: "Connection", statement: str, *parameters: object) -> Sequence[Any]:
    return connection.exec_driver_sql(statement, parameters or None).fetchall()


def _missing(name: str) -> PreflightError:
    return PreflightError(
        f"there is no table {name} in the shard's database",
        next_step="create it, or take it out of the mapping's tables",
    )
