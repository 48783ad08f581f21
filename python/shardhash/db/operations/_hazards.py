"""Counts rows that could not be written elsewhere as they are, and looks for room. Only reads."""

import shutil
from collections.abc import Iterator
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.connections import ConnectionManager
from shardhash.db.planning.hazards import UTF_8, RowHazards
from shardhash.db.schema import ForeignKey, Table
from shardhash.db.sql import RowFilter, Statement
from shardhash.db.topology import Backend, Instance, Mapping
from shardhash.slots import SlotSet

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["HazardReader", "free_room", "orphan_references", "torn_references"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HazardReader:
    """Reads of a shard what would keep its rows from being written on another instance.

    ``is_beside`` tells that the target's server copies by itself, so that no row is sent to it.
    """

    connections: ConnectionManager
    shard: str
    instance: Instance
    is_beside: bool = False

    def hazards(
        self,
        table: Table,
        rows: RowFilter,
        *,
        torn: MappingABC[str, int] | None = None,
        orphans: MappingABC[str, int] | None = None,
    ) -> RowHazards:
        """Return what was counted of some rows; reads the whole table, twice if rows are long.

        ``torn`` and ``orphans`` are what has been counted of its foreign keys.
        """
        found = self._own_hazards(table, rows)
        return replace(found, torn=torn or {}, orphans=orphans or {})

    def _own_hazards(self, table: Table, rows: RowFilter) -> RowHazards:
        if table.backend is Backend.SQLITE:
            return self._file_hazards(table, rows)
        packet = 0 if self.is_beside else self.packet()
        with self.connections.write(self.shard) as connection:
            if packet:  # this server has to write the rows down, too
                packet = min(packet, _number(connection, sql.packet_size()))
            count, longest = self._long_rows(connection, table, rows, packet)
            return RowHazards(
                error_values=_error_values(connection, table, rows),
                long_rows=count,
                longest=longest,
                packet=packet,
            )

    def _file_hazards(self, table: Table, rows: RowFilter) -> RowHazards:
        with self.connections.write(self.shard) as connection:
            encoding = str(connection.exec_driver_sql(sql.read_encoding().sql).scalar_one())
            count = 0
            if encoding == UTF_8:
                count = _number(connection, sql.count_undecodable(table, rows))
            return RowHazards(encoding=encoding, undecodable=count)

    def packet(self) -> int:
        """Return how long a statement the target's server takes."""
        with self.connections.instance(self.instance.name) as connection:
            return _number(connection, sql.packet_size())

    def folds_names(self) -> bool:
        """Tell whether the target's server makes names of tables lower case."""
        if self.instance.backend is Backend.SQLITE:
            return False
        with self.connections.instance(self.instance.name) as connection:
            return _number(connection, sql.read_name_folding()) == 1

    def _long_rows(
        self, connection: "Connection", table: Table, rows: RowFilter, packet: int
    ) -> tuple[int, int]:
        if not packet:
            return 0, 0
        statement = sql.count_long_rows(table, rows, sql.row_room(table, packet))
        if statement is None:
            return 0, 0
        row = connection.exec_driver_sql(statement.sql, statement.parameters or None).one()
        return int(row[0]), int(row[1])


def torn_references(
    connection: "Connection",
    mapping: Mapping,
    tables: MappingABC[str, Table],
    name: str,
    slots: SlotSet,
) -> dict[str, int]:
    """Return by foreign key of a table how many rows a move of slots would part from others.

    ``tables`` are those of the mapping, by lower-case name. Other tables are not looked at.
    """
    table = tables[name.lower()]
    moving = _filter_of(mapping, table, slots, "c.")
    found = {}
    for key, parent in _parents(table, tables):
        theirs = _filter_of(mapping, parent, slots, "p.")
        statement = sql.count_torn_references(table, key, parent, moving, theirs)
        found[key.name] = _number(connection, statement)
    return {name: count for name, count in found.items() if count}


def orphan_references(
    connection: "Connection",
    mapping: Mapping,
    tables: MappingABC[str, Table],
    name: str,
    slots: SlotSet,
) -> dict[str, int]:
    """Return by foreign key of a table how many rows of slots refer to rows that are not there.

    ``tables`` are those of the mapping, by lower-case name. Other tables are not looked at, nor is
    a table that refers to itself, whose references no copy has checked.
    """
    table = tables[name.lower()]
    if table.refers_to_itself:
        return {}
    moving = _filter_of(mapping, table, slots, "c.")
    found = {
        key.name: _number(connection, sql.count_orphans(table, key, parent, moving))
        for key, parent in _parents(table, tables)
    }
    return {name: count for name, count in found.items() if count}


def _parents(table: Table, tables: MappingABC[str, Table]) -> Iterator[tuple[ForeignKey, Table]]:
    for key in table.parents:
        parent = tables.get(key.parent.lower())
        if parent is not None and len(key.columns) == len(key.parent_columns):
            yield key, parent


def _filter_of(mapping: Mapping, table: Table, slots: SlotSet, row: str) -> RowFilter:
    """Return the filter for a table's rows of slots; ``row`` stands before the column's name."""
    [key] = [rule.key for rule in mapping.tables if rule.name.lower() == table.name.lower()]
    return RowFilter.of_mapping(mapping, table.column(key), slots, table.backend, row=row)


def free_room(instance: Instance, given: int | None) -> int | None:
    """Return the bytes that are free on an instance: as given, or on a directory's file system.

    None where nobody knows: a server does not tell.
    """
    if given is not None or instance.directory is None:
        return given
    directory = Path(instance.directory).absolute()
    while not directory.exists():
        directory = directory.parent
    return shutil.disk_usage(directory).free


def _error_values(connection: "Connection", table: Table, rows: RowFilter) -> dict[str, int]:
    found = sql.count_error_values(table, rows)
    if found is None:
        return {}
    names, statement = found
    counts = connection.exec_driver_sql(statement.sql, statement.parameters or None).one()
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}


def _number(connection: "Connection", statement: Statement) -> int:
    return int(connection.exec_driver_sql(statement.sql, statement.parameters or None).scalar_one())
