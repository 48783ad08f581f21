"""Statements on quarantine tables, which hold rows that a prune took away.

Such a table has the stored columns of the shard's table and none of its keys, the operation that
took the row, and a number that orders the rows.
"""

import zlib
from collections.abc import Sequence

from shardhash.db.schema import Table
from shardhash.db.sql._control import ControlPlace, control_table
from shardhash.db.sql._copy import Key
from shardhash.db.sql._filters import RowFilter
from shardhash.db.sql._pages import key_in, page_condition
from shardhash.db.sql._text import Statement, placeholder, quote, table_name
from shardhash.db.topology import Backend

__all__ = [
    "clear_quarantine",
    "create_quarantine",
    "enter_quarantine",
    "enter_quarantine_rows",
    "leave_quarantine",
    "quarantine_page",
    "quarantine_table",
]

_LONGEST_NAME = 64  # of a MySQL identifier
_OPERATION = "_shardhash_operation"
_NUMBER = "_shardhash_number"


def quarantine_table(place: ControlPlace, table: Table) -> str:
    """Return the quoted name of a table's quarantine; a name that is too long is cut and hashed."""
    name = f"_shardhash_quarantine_{table.name}"
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 9]}_{zlib.crc32(table.name.encode()):08x}"
    return control_table(place, name)


def create_quarantine(place: ControlPlace, table: Table) -> Statement:
    """Create the quarantine of a table; one that is there stays as it is."""
    path, columns = quarantine_table(place, table), _columns(table)
    if place.backend is Backend.SQLITE:
        return Statement(
            f"CREATE TABLE IF NOT EXISTS {path} AS "
            f"SELECT '' AS {_OPERATION}, {columns} FROM {table_name(table)} WHERE 0"
        )
    return Statement(
        f"CREATE TABLE IF NOT EXISTS {path} ({_NUMBER} BIGINT UNSIGNED NOT NULL AUTO_INCREMENT "
        f"PRIMARY KEY, {_OPERATION} VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin "
        f"NOT NULL DEFAULT '', KEY ({_OPERATION})) ENGINE=InnoDB "
        f"SELECT {columns} FROM {table_name(table)} LIMIT 0"
    )


def enter_quarantine(
    place: ControlPlace, table: Table, operation: str, rows: RowFilter, after: Key, until: Key
) -> Statement:
    """Return an INSERT of the rows of a page into the quarantine."""
    return _enter(place, table, operation, *rows.within(*page_condition(table, after, until)))


def enter_quarantine_rows(
    place: ControlPlace, table: Table, operation: str, keys: Sequence[Sequence[object]]
) -> Statement:
    """Return an INSERT of the rows with these primary keys into the quarantine."""
    return _enter(place, table, operation, *key_in(table, keys))


def _enter(
    place: ControlPlace,
    table: Table,
    operation: str,
    where: str,
    parameters: tuple[object, ...],
) -> Statement:
    columns = _columns(table)
    return Statement(
        f"INSERT INTO {quarantine_table(place, table)} ({_OPERATION}, {columns}) "
        f"SELECT {placeholder(place.backend)}, {columns} FROM {table_name(table)} WHERE {where}",
        (operation, *parameters),
    )


def quarantine_page(place: ControlPlace, table: Table, operation: str, row_count: int) -> Statement:
    """Return a SELECT of the number that ends the first rows of an operation, NULL for none."""
    number = _number(place)
    return Statement(
        f"SELECT MAX({number}) FROM (SELECT {number} FROM {quarantine_table(place, table)} "
        f"WHERE {_OPERATION} = {placeholder(place.backend)} ORDER BY {number} "
        f"LIMIT {row_count}) AS page",
        (operation,),
    )


def leave_quarantine(place: ControlPlace, table: Table, operation: str, until: int) -> Statement:
    """Return an INSERT that puts the rows of an operation back, up to a number."""
    columns = _columns(table)
    where, parameters = _up_to(place, operation, until)
    return Statement(
        f"INSERT INTO {table_name(table)} ({columns}) "
        f"SELECT {columns} FROM {quarantine_table(place, table)} WHERE {where}",
        parameters,
    )


def clear_quarantine(place: ControlPlace, table: Table, operation: str, until: int) -> Statement:
    """Return a DELETE of the rows of an operation from the quarantine, up to a number."""
    where, parameters = _up_to(place, operation, until)
    return Statement(f"DELETE FROM {quarantine_table(place, table)} WHERE {where}", parameters)


def _up_to(place: ControlPlace, operation: str, until: int) -> tuple[str, tuple[object, ...]]:
    hole = placeholder(place.backend)
    return f"{_OPERATION} = {hole} AND {_number(place)} <= {hole}", (operation, until)


def _columns(table: Table) -> str:
    return ", ".join(quote(column.name, table.backend) for column in table.stored_columns)


def _number(place: ControlPlace) -> str:
    return "rowid" if place.backend is Backend.SQLITE else _NUMBER
