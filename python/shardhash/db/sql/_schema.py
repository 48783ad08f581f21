"""Statements that make and drop databases and trial objects."""

from collections.abc import Sequence

from shardhash.db.schema import Table
from shardhash.db.sql._text import Statement, quote, table_name, table_path
from shardhash.db.topology import Backend

__all__ = [
    "advance_sequence",
    "alter_table",
    "create_database",
    "create_trial_table",
    "create_trial_trigger",
    "drop_database",
    "drop_table",
    "find_database",
    "read_sequence",
    "set_next_id",
]


def create_database(name: str) -> Statement:
    """Return a CREATE DATABASE for a MySQL server that leaves an existing one as it is."""
    database = quote(name, Backend.MYSQL)
    return Statement(f"CREATE DATABASE IF NOT EXISTS {database} CHARACTER SET utf8mb4")


def drop_database(name: str) -> Statement:
    """Drop a MySQL database and all that is in it; nothing happens if there is none."""
    return Statement(f"DROP DATABASE IF EXISTS {quote(name, Backend.MYSQL)}")


def alter_table(table: Table, changes: Sequence[str]) -> Statement:
    """Return an ALTER TABLE of clauses in the server's own words, to be run as it is."""
    return Statement(f"ALTER TABLE {table_name(table).replace('%%', '%')} {', '.join(changes)}")


def create_trial_table(database: str, name: str) -> Statement:
    """Create an empty MySQL table to try things on."""
    return Statement(f"CREATE TABLE {table_path(database, name)} (id INT PRIMARY KEY)")


def create_trial_trigger(database: str, name: str) -> Statement:
    """Create a MySQL trigger that does nothing, of the trial table's name and on it."""
    path = table_path(database, name)
    return Statement(f"CREATE TRIGGER {path} AFTER INSERT ON {path} FOR EACH ROW SET @trial = 1")


def drop_table(database: str, name: str) -> Statement:
    """Drop a MySQL table with its triggers; nothing happens if there is none."""
    return Statement(f"DROP TABLE IF EXISTS {table_path(database, name)}")


def find_database(name: str) -> Statement:
    """Return a SELECT of the database's name where a MySQL server has one of that name."""
    return Statement(
        "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s", (name,)
    )


def read_sequence(name: str) -> Statement:
    """Return a SELECT of the first number that a MariaDB sequence has not given, nor set aside.

    Source: https://mariadb.com/kb/en/create-sequence/, NEXT_NOT_CACHED_VALUE.
    """
    return Statement(f"SELECT next_not_cached_value FROM {quote(name, Backend.MYSQL)}")


def advance_sequence(name: str, number: int) -> Statement:
    """Return a SELECT that makes a sequence give ``number`` next, unless it is beyond that.

    Source: https://mariadb.com/kb/en/setval/
    """
    return Statement(f"SELECT SETVAL({quote(name, Backend.MYSQL)}, {int(number)}, 0)")


def set_next_id(table: str, first: int, backend: Backend) -> list[Statement]:
    """Return what makes the next id that the server gives out at least ``first``.

    Ids that are there already stay, and a counter that is higher stays too.
    Source: https://sqlite.org/autoinc.html; MariaDB manual, AUTO_INCREMENT.
    """
    if backend is Backend.MYSQL:
        return [Statement(f"ALTER TABLE {quote(table, backend)} AUTO_INCREMENT = {int(first)}")]
    return [
        Statement(
            "INSERT INTO sqlite_sequence (name, seq) SELECT ?, 0 WHERE NOT EXISTS "
            "(SELECT 1 FROM sqlite_sequence WHERE name = ?)",
            (table, table),
        ),
        Statement(
            "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (first - 1, table)
        ),
    ]
