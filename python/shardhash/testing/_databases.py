"""What the harness itself asks and writes, on one database and on shards, in plain SQL."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from shardhash.db.inspect import inspect_table
from shardhash.db.mapping import KeyRouter
from shardhash.db.schema import Column, Table
from shardhash.db.sql import quote
from shardhash.db.topology import Backend, KeyType

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "create_like",
    "equal_texts",
    "insert_rows",
    "key_value",
    "read_table",
    "stored_columns",
    "table_exists",
]

_ROWS_A_STATEMENT = 200


def stored_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns that hold values of their own."""
    return tuple(column for column in table.columns if not column.is_generated)


def read_table(connection: "Connection", table: Table) -> list[tuple[object, ...]]:
    """Return all rows of a table in the order of its primary key."""
    names = ", ".join(quote(column.name, table.backend) for column in stored_columns(table))
    order = ", ".join(quote(name, table.backend) for name in table.primary_key)
    text = f"SELECT {names} FROM {quote(table.name, table.backend)}"
    found = connection.exec_driver_sql(text + (f" ORDER BY {order}" if order else ""))
    return [tuple(row) for row in found]


def table_exists(connection: "Connection", name: str) -> bool:
    """Tell whether the connection's database has a table."""
    from sqlalchemy import inspect

    return bool(inspect(connection).has_table(name))


def create_like(source: "Connection", target: "Connection", name: str, backend: Backend) -> None:
    """Create the table of `source`, with its indexes, anew in `target`."""
    quoted = quote(name, backend)
    target.exec_driver_sql(f"DROP TABLE IF EXISTS {quoted}")
    if backend is Backend.MYSQL:
        statements = [source.exec_driver_sql(f"SHOW CREATE TABLE {quoted}").one()[1]]
    else:
        found = source.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE lower(tbl_name) = lower(?) AND sql IS NOT NULL"
            " AND type IN ('table', 'index') ORDER BY type DESC",
            (name,),
        )
        statements = list(found.scalars())
    for statement in statements:
        doubled = statement.replace("%", "%%") if backend is Backend.MYSQL else statement
        target.exec_driver_sql(doubled)


def insert_rows(
    connection: "Connection", table: Table, rows: Iterable[Sequence[object]], backend: Backend
) -> None:
    """Insert rows that have a value for each stored column."""
    columns = stored_columns(table)
    names = ", ".join(quote(column.name, backend) for column in columns)
    hole = "?" if backend is Backend.SQLITE else "%s"
    holes = f"({', '.join([hole] * len(columns))})"
    for block in _blocks(rows):
        values = ", ".join([holes] * len(block))
        connection.exec_driver_sql(
            f"INSERT INTO {quote(table.name, backend)} ({names}) VALUES {values}",
            tuple(value for row in block for value in row),
        )


def equal_texts(connection: "Connection", table: str, column: str) -> dict[str, str]:
    """Return for each text of a column the first, by bytes, that its server calls equal to it."""
    backend = Backend.SQLITE if connection.dialect.name == "sqlite" else Backend.MYSQL
    described = inspect_table(connection, table, backend)
    here, there = (f"{side}.{quote(column, backend)}" for side in "ab")
    name = quote(described.name, backend)
    if backend is Backend.SQLITE:
        first = f"MIN({there} COLLATE BINARY)"
        group = f"{here} COLLATE BINARY"
    else:
        first = f"CAST(MIN(BINARY {there}) AS CHAR CHARACTER SET utf8mb4)"
        group = f"BINARY {here}"
    found = connection.exec_driver_sql(
        f"SELECT MIN({here}), {first} FROM {name} a JOIN {name} b ON {here} = {there}"
        f" GROUP BY {group}"
    )
    return {text: equal for text, equal in found if isinstance(text, str)}


def key_value(value: object, router: KeyRouter) -> object:
    """Return a stored shard key as the router takes it."""
    kind = router.mapping.key.type
    if isinstance(value, str) and kind in (KeyType.DATE, KeyType.DATETIME):
        return router.parse_key(value)
    if kind is KeyType.DATE and isinstance(value, datetime):
        return date(value.year, value.month, value.day)
    return value


def _blocks(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    remaining = iter(rows)
    while block := list(islice(remaining, _ROWS_A_STATEMENT)):
        yield block
