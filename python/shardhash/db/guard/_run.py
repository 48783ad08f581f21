"""Run one statement and read what it answers."""

from typing import TYPE_CHECKING, Any

from shardhash.db import sql
from shardhash.db.sql import ControlPlace, Statement
from shardhash.db.topology import Backend

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["fetch", "run", "set_back", "take_file"]


def run(connection: "Connection", statement: Statement) -> int:
    """Run a statement and return the number of rows that it matched."""
    return connection.exec_driver_sql(statement.sql, statement.parameters or None).rowcount


def fetch(connection: "Connection", statement: Statement) -> list[tuple[Any, ...]]:
    """Run a query and return its rows."""
    rows = connection.exec_driver_sql(statement.sql, statement.parameters or None)
    return [tuple(row) for row in rows]


def set_back(connection: "Connection", statement: Statement) -> object:
    """Set a session's variable back to what it was; a connection that was lost has no session."""
    return None if connection.invalidated else run(connection, statement)


def take_file(connection: "Connection", place: ControlPlace) -> None:
    """Take SQLite's write lock before anything is read; does nothing on a server.

    Who has read already cannot wait to write: SQLite refuses at once, because another writer may
    wait for the reader. Without control tables nothing is taken.

    Source: https://sqlite.org/c3ref/busy_handler.html
    """
    from sqlalchemy.exc import OperationalError

    if place.backend is Backend.MYSQL:
        return
    try:
        run(connection, sql.lock_control_file(place))
    except OperationalError as error:
        if "no such table" not in str(error.orig):
            raise
