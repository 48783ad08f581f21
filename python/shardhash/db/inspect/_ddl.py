"""The statements that make the objects of a database again in another one.

A server writes its objects down itself (SHOW CREATE, ``sqlite_master``), which reflection cannot.
The text names charset and collation of every table and column, so that it means the same under any
default; counters are taken out, and where MySQL keeps a table other than in a file of its own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shardhash.db.sql import quote
from shardhash.db.topology import Backend
from shardhash.errors import PreflightError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Program", "comparable_ddl", "database_defaults", "program_ddl", "table_ddl"]

_COUNTER = re.compile(r"(\n\) ENGINE=\w+) AUTO_INCREMENT=[0-9]+")
_TABLESPACE = re.compile(r"(\n\)) /\*!50100 TABLESPACE `(?:[^`]|``)+` \*/(?= ENGINE=)")
_IMPLIED_CHARSET = re.compile(r" CHARACTER SET (\w+)(?= COLLATE \1(?:_|\b))")
_EVENT_ON = re.compile(r"(ON COMPLETION (?:NOT )?PRESERVE )ENABLE\b")
_TEXT_COLUMNS = {
    "view": "Create View",
    "procedure": "Create Procedure",
    "function": "Create Function",
    "trigger": "SQL Original Statement",
    "event": "Create Event",
    "sequence": "Create Table",
}
_DEFAULTS = """
    SELECT COLUMN_NAME FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND CHARACTER_SET_NAME IS NULL
    AND LOCATE('?', COLUMN_DEFAULT)"""
_SETTINGS = ("sql_mode", "collation_connection")


@dataclass(frozen=True, slots=True)
class Program:
    """What makes a view, routine, trigger, event or sequence.

    ``settings`` are the session variables under which it was made, by which its text is read; the
    client's charset is not among them, because the text comes and goes as utf8mb4.
    """

    kind: str
    name: str
    text: str
    settings: Mapping[str, str] = field(default_factory=dict)


def table_ddl(connection: "Connection", name: str, backend: Backend) -> tuple[str, ...]:
    """Return the statements that make a table with its indexes, without its triggers.

    Raises:
        PreflightError: there is no such table, or its definition names its database or cannot be
            read.
    """
    if backend is Backend.SQLITE:
        return _sqlite_ddl(connection, name)
    _check_defaults(connection, name)
    found = _show(connection, f"SHOW CREATE TABLE {quote(name, backend)}")
    text = found["Create Table"]
    for pattern in (_TABLESPACE, _COUNTER):
        text = _without_last(pattern, text)
    _check_unqualified(connection, "table", name, text)
    return (text,)


def comparable_ddl(text: str) -> str:
    """Return a table's statement, or a line of it, as equal tables have it in common.

    MySQL names a column's charset beside its collation, which implies it, if the statement that
    made the column did, or named the collation.
    """
    return _IMPLIED_CHARSET.sub("", text)


def _without_last(pattern: re.Pattern[str], text: str) -> str:
    """Take the last match out, but its first group: a comment may hold such a text before it."""
    matches = list(pattern.finditer(text))
    if not matches:
        return text
    last = matches[-1]
    return text[: last.start()] + last[1] + text[last.end() :]


def program_ddl(connection: "Connection", kind: str, name: str, backend: Backend) -> Program:
    """Return what makes a view, procedure, function, trigger, event or sequence again.

    Its DEFINER is kept. An event is made disabled, because its original goes on running.

    Raises:
        PreflightError: its text names its database, or its account may not see it.
    """
    if backend is Backend.SQLITE:
        master = "SELECT sql FROM sqlite_master WHERE type = ? AND name = ?"
        found = connection.exec_driver_sql(master, (kind, name)).fetchall()
        if kind not in ("view", "trigger") or not found:
            raise _unknown(kind, name)
        return Program(kind, name, found[0][0])
    if kind not in _TEXT_COLUMNS:
        raise _unknown(kind, name)
    row = _show(connection, f"SHOW CREATE {kind.upper()} {quote(name, backend)}")
    text = row[_TEXT_COLUMNS[kind]]
    if text is None:
        raise PreflightError(
            f"the text of {kind} {name} is not shown to this account",
            next_step="connect with an account that may see it, such as its definer",
        )
    _check_unqualified(connection, kind, name, text)
    if kind == "event":
        text = _EVENT_ON.sub(r"\1DISABLE", text, count=1)
    return Program(kind, name, text, {key: row[key] for key in _SETTINGS if key in row})


def database_defaults(connection: "Connection") -> tuple[str, str]:
    """Return the default charset and collation of a MySQL connection's database."""
    row = connection.exec_driver_sql("SELECT @@character_set_database, @@collation_database").one()
    return str(row[0]), str(row[1])


def _sqlite_ddl(connection: "Connection", name: str) -> tuple[str, ...]:
    rows = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE lower(tbl_name) = lower(?) AND sql IS NOT NULL "
        "AND type IN ('table', 'index') ORDER BY type = 'index', rowid",
        (name,),
    ).fetchall()
    if not rows:
        raise _unknown("table", name)
    return tuple(row[0] for row in rows)


def _show(connection: "Connection", statement: str) -> Mapping[str, Any]:
    return dict(connection.exec_driver_sql(statement).mappings().one())


def _check_defaults(connection: "Connection", name: str) -> None:
    """Refuse a DEFAULT of bytes that are no UTF-8: MariaDB writes them down as they are.

    Where they were text the server says ``?`` for them, as it does for that sign itself.
    """
    columns = [row[0] for row in connection.exec_driver_sql(_DEFAULTS, (name,))]
    if not columns:
        return
    connection.exec_driver_sql("SET SESSION character_set_results = binary")
    try:
        found = _show(connection, f"SHOW CREATE TABLE {quote(name, Backend.MYSQL)}")
    finally:
        connection.exec_driver_sql("SET SESSION character_set_results = utf8mb4")
    _, text = found.values()
    try:
        if isinstance(text, bytes):
            text.decode()
    except UnicodeDecodeError:
        raise PreflightError(
            f"table {name} cannot be made elsewhere as it is: a DEFAULT of "
            f"{' or '.join(columns)} has bytes that are no text, which SHOW CREATE TABLE cannot "
            "write down",
            next_step=f"ALTER TABLE {name} ALTER {columns[0]} SET DEFAULT (UNHEX('...')), with "
            "its bytes, then plan again",
        ) from None


def _check_unqualified(connection: "Connection", kind: str, name: str, text: str) -> None:
    """Refuse a text that names its own database: in another one it would mean this one still."""
    database = str(connection.exec_driver_sql("SELECT DATABASE()").scalar_one())
    plain = re.escape(database)
    quoted = re.escape("`" + database.replace("`", "``") + "`")
    if re.search(rf"{quoted}\s*\.|(?<![\w$.`@]){plain}\s*\.", text, re.IGNORECASE):
        raise PreflightError(
            f"{kind} {name} names its own database {database} in its text, so a copy of it would "
            "work on the original",
            next_step=f"make {kind} {name} again without the name of the database, then plan again",
        )


def _unknown(kind: str, name: str) -> PreflightError:
    return PreflightError(
        f"there is no {kind} {name} that could be made again elsewhere",
        next_step="leave it out, or remove it",
    )
