"""Run one statement and read what it answers."""

from typing import TYPE_CHECKING, Any

from shardhash.db.sql import Statement

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["fetch", "run"]


def run(connection: "Connection", statement: Statement) -> int:
    """Run a statement and return the number of rows that it matched."""
    return connection.exec_driver_sql(statement.sql, statement.parameters or None).rowcount


def fetch(connection: "Connection", statement: Statement) -> list[tuple[Any, ...]]:
    """Run a query and return its rows."""
    rows = connection.exec_driver_sql(statement.sql, statement.parameters or None)
    return [tuple(row) for row in rows]
