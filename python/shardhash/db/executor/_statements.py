"""Run one statement, and read what it answers."""

from contextlib import closing
from typing import TYPE_CHECKING, Any

from shardhash.db import sql
from shardhash.db.schema import Table
from shardhash.db.topology import Backend

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["PrimaryKey", "fetch", "has_other_children", "lock_file", "mind_references", "run"]

PrimaryKey = tuple[Any, ...]


def run(connection: "Connection", statement: sql.Statement) -> int:
    """Run a statement and return the number of rows that it matched."""
    return connection.exec_driver_sql(statement.sql, statement.parameters or None).rowcount


def fetch(connection: "Connection", statement: sql.Statement) -> list[PrimaryKey]:
    """Run a query and return its rows as the driver made them."""
    result = connection.exec_driver_sql(statement.sql, statement.parameters or None)
    with closing(result):
        return list(result.cursor.fetchall())  # past SQLAlchemy's own rows, which cost as much


def lock_file(connection: "Connection", table: Table) -> None:
    """Take SQLite's write lock before anything is read, as its row locks are one for the file."""
    if table.backend is Backend.SQLITE:
        run(connection, sql.lock_file(table))


def mind_references(connection: "Connection", table: Table, *, wanted: bool) -> None:
    """Make a session check foreign keys or not; a pooled MySQL session keeps what was set.

    SQLite checks them at the end of the transaction, because it cannot stop to inside of one.
    """
    if table.backend is Backend.MYSQL:
        run(connection, sql.check_references(wanted=wanted))
    else:
        run(connection, sql.defer_references())


def has_other_children(table: Table) -> bool:
    """Tell whether a DELETE is to be checked against the rows of other tables.

    Rows of a table that refers to itself go with those that they refer to, but not in one batch;
    their other children went before them, so that nothing is checked for them.
    """
    return bool(table.children) and not table.refers_to_itself
