"""Tables and databases as their server describes them.

Sources: the INFORMATION_SCHEMA tables of MariaDB and MySQL; https://sqlite.org/pragma.html.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shardhash.db.schema import Column, ForeignKey, Table, Trigger, UniqueKey
from shardhash.db.sql import quote
from shardhash.db.topology import Backend
from shardhash.errors import PreflightError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["database_identity", "inspect_table"]

_TABLE = """
    SELECT TABLE_TYPE, ENGINE, TABLE_NAME, CREATE_OPTIONS FROM information_schema.TABLES
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"""
_COLUMNS = """
    SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, CHARACTER_SET_NAME, COLLATION_NAME,
           GENERATION_EXPRESSION, EXTRA
    FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"""
_INDEXES = """
    SELECT INDEX_NAME, COLUMN_NAME, SEQ_IN_INDEX, NON_UNIQUE, SUB_PART
    FROM information_schema.STATISTICS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY INDEX_NAME, SEQ_IN_INDEX"""
_CHILDREN = """
    SELECT CONSTRAINT_NAME, CONSTRAINT_SCHEMA, TABLE_NAME, DELETE_RULE, UPDATE_RULE, DATABASE()
    FROM information_schema.REFERENTIAL_CONSTRAINTS
    WHERE UNIQUE_CONSTRAINT_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME = %s
    ORDER BY TABLE_NAME, CONSTRAINT_NAME"""
_PARENTS = """
    SELECT CONSTRAINT_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME, DELETE_RULE,
           UPDATE_RULE, DATABASE()
    FROM information_schema.REFERENTIAL_CONSTRAINTS
    WHERE CONSTRAINT_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY CONSTRAINT_NAME"""
_REFERENCES = """
    SELECT CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_COLUMN_NAME
    FROM information_schema.KEY_COLUMN_USAGE
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND REFERENCED_COLUMN_NAME IS NOT NULL
    ORDER BY CONSTRAINT_NAME, ORDINAL_POSITION"""
_CHECKS = """
    SELECT CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND CONSTRAINT_TYPE = 'CHECK'
    ORDER BY CONSTRAINT_NAME"""
_TRIGGERS = """
    SELECT TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION FROM information_schema.TRIGGERS
    WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = %s ORDER BY TRIGGER_NAME"""
_IDENTITY = (
    "SELECT @@hostname, @@port, @@datadir, @@server_id, @@global.read_only, @@socket, DATABASE()"
)
_TRANSACTIONAL_ENGINES = frozenset({"InnoDB"})
_QUOTED = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_VIRTUAL = re.compile(r"\s*CREATE\s+VIRTUAL\b", re.IGNORECASE)
_HEADING = re.compile(
    r"\bTRIGGER\b.*?(?:(BEFORE|AFTER|INSTEAD\s+OF)\s+)?(DELETE|INSERT|UPDATE)\b", re.DOTALL
)


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
    table_type, engine, name, options = found[0]  # the name as references have it, in its case
    indexes = _rows(connection, _INDEXES, name)
    columns = _rows(connection, _COLUMNS, name)
    numbering = [row[0] for row in columns if "auto_increment" in row[7].lower()]
    triggers = tuple(
        Trigger(name=trigger, timing=timing, event=event)
        for trigger, timing, event in _rows(connection, _TRIGGERS, name)
    )
    return Table(
        name=name,
        backend=Backend.MYSQL,
        kind="table" if table_type == "BASE TABLE" else str(table_type).lower(),
        is_transactional=engine in _TRANSACTIONAL_ENGINES or engine is None,
        columns=tuple(_mysql_column(row) for row in columns),
        primary_key=tuple(row[1] for row in indexes if row[0] == "PRIMARY"),
        indexed=frozenset(row[1] for row in indexes if row[2] == 1),
        unique_keys=_mysql_unique_keys(indexes),
        children=tuple(
            _mysql_reference(row, table=_beside(row), parent=name)
            for row in _rows(connection, _CHILDREN, name)
        ),
        parents=_mysql_parents(connection, name),
        checks=tuple(row[0] for row in _rows(connection, _CHECKS, name)),
        triggers=triggers,
        delete_triggers=_on_delete(triggers),
        auto_increment=numbering[0] if numbering else None,
        is_partitioned="partitioned" in (options or "").lower(),
    )


def _mysql_unique_keys(indexes: Sequence[Any]) -> tuple[UniqueKey, ...]:
    unique = [row for row in indexes if row[0] != "PRIMARY" and not int(row[3])]
    keys = []
    for name in dict.fromkeys(row[0] for row in unique):
        parts = [row for row in unique if row[0] == name]
        keys.append(
            UniqueKey(
                name=name,
                columns=tuple(row[1] for row in parts if row[1] is not None),
                is_whole=all(row[1] is not None and row[4] is None for row in parts),
            )
        )
    return tuple(keys)


def _mysql_reference(row: Sequence[Any], *, table: str, parent: str) -> ForeignKey:
    return ForeignKey(name=row[0], table=table, parent=parent, on_delete=row[3], on_update=row[4])


def _mysql_parents(connection: "Connection", name: str) -> tuple[ForeignKey, ...]:
    found = _rows(connection, _PARENTS, name)
    pairs = _rows(connection, _REFERENCES, name) if found else []
    return tuple(
        replace(
            _mysql_reference(row, table=name, parent=_beside(row)),
            columns=tuple(pair[1] for pair in pairs if pair[0] == row[0]),
            parent_columns=tuple(pair[2] for pair in pairs if pair[0] == row[0]),
        )
        for row in found
    )


def _beside(row: Sequence[Any]) -> str:
    """Return the name of the table at the other end, with its database if it is another one."""
    _, schema, name, *_, here = row
    return str(name if schema == here else f"{schema}.{name}")


def _on_delete(triggers: Sequence[Trigger]) -> tuple[str, ...]:
    return tuple(
        trigger.name for trigger in triggers if trigger.event == "DELETE" and not trigger.is_own
    )


def _mysql_column(row: Sequence[Any]) -> Column:
    name, data_type, definition, nullable, charset, collation, generation, _ = row
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
    master = "SELECT type, sql FROM sqlite_master WHERE name = ? AND type IN ('table', 'view')"
    found = _rows(connection, master, name)
    if not found:
        raise _missing(name)
    columns = _rows(connection, _pragma("table_xinfo", name))
    in_key = sorted((row for row in columns if row[5]), key=lambda row: row[5])
    triggers = _sqlite_triggers(connection, name)
    return Table(
        name=name,
        backend=Backend.SQLITE,
        kind="virtual table" if _VIRTUAL.match(found[0][1] or "") else found[0][0],
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
        unique_keys=_sqlite_unique_keys(connection, name),
        children=tuple(_sqlite_children(connection, name)),
        parents=tuple(_sqlite_references(connection, name)),
        triggers=triggers,
        delete_triggers=_on_delete(triggers),
        auto_increment=_sqlite_numbering(found[0][1] or "", in_key),
    )


def _sqlite_numbering(text: str, in_key: Sequence[Any]) -> str | None:
    """Return the column whose numbers SQLite keeps a counter of.

    Source: https://sqlite.org/autoinc.html; without AUTOINCREMENT there is no counter.
    """
    has_counter = re.search(r"\bAUTOINCREMENT\b", _QUOTED.sub(" x ", text), re.IGNORECASE)
    return in_key[0][1] if has_counter and in_key else None


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


def _sqlite_unique_keys(connection: "Connection", name: str) -> tuple[UniqueKey, ...]:
    keys = []
    for _, index, is_unique, origin, is_partial in sorted(
        _rows(connection, _pragma("index_list", name)), key=lambda row: row[1]
    ):
        if is_unique and origin != "pk":
            columns = [row[2] for row in _rows(connection, _pragma("index_info", index))]
            keys.append(
                UniqueKey(
                    name=index,
                    columns=tuple(column for column in columns if column is not None),
                    is_whole=not is_partial and None not in columns,
                )
            )
    return tuple(keys)


def _sqlite_children(connection: "Connection", name: str) -> list[ForeignKey]:
    tables = _rows(connection, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [
        key
        for (child,) in tables
        for key in _sqlite_references(connection, child)
        if key.parent.lower() == name.lower()
    ]


def _sqlite_references(connection: "Connection", name: str) -> list[ForeignKey]:
    """Return the references of a table, one for each column of each."""
    rows = sorted(_rows(connection, _pragma("foreign_key_list", name)), key=lambda row: row[:2])
    found = []
    for row in rows:
        together = [each for each in rows if each[0] == row[0]]
        columns = tuple(each[3] for each in together)
        parents = tuple(each[4] for each in together)
        if None in parents:  # the parent's primary key, by being left out
            info = _rows(connection, _pragma("table_info", row[2]))
            in_key = sorted((each for each in info if each[5]), key=lambda each: each[5])
            parents = tuple(each[1] for each in in_key)
        found.append(
            ForeignKey(
                name=f"{name}.{row[3]}",
                table=name,
                parent=row[2],
                on_update=row[5],
                on_delete=row[6],
                columns=columns,
                parent_columns=parents,
            )
        )
    return found


def _sqlite_triggers(connection: "Connection", name: str) -> tuple[Trigger, ...]:
    """Return the table's triggers; a heading without a timing means BEFORE."""
    rows = _rows(
        connection,
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(?)"
        " ORDER BY name",
        name,
    )
    found = []
    for trigger, text in rows:
        timing, event = _sqlite_heading(trigger, text)
        found.append(Trigger(name=trigger, timing=timing, event=event))
    return tuple(found)


def _sqlite_heading(name: str, text: str) -> tuple[str, str]:
    """Return when a trigger fires, from its text with quoted names and comments taken out."""
    plain = _QUOTED.sub(" x ", text).upper()
    heading = _HEADING.search(plain)
    assert heading, f"SQLite keeps the text of trigger {name} as it was accepted"
    return " ".join((heading[1] or "BEFORE").split()), heading[2]


def _pragma(pragma: str, name: str) -> str:
    return f"PRAGMA {pragma}({quote(name, Backend.SQLITE)})"


def _rows(connection: "Connection", statement: str, *parameters: object) -> Sequence[Any]:
    return connection.exec_driver_sql(statement, parameters or None).fetchall()


def _missing(name: str) -> PreflightError:
    return PreflightError(
        f"there is no table {name} in the shard's database",
        next_step="create it, or take it out of the mapping's tables",
    )
