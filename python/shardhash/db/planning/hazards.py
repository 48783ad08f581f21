"""Rows and tables that could not be written elsewhere, or guarded, as they are. Pure."""

from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import dataclass, field

from shardhash.db.schema import Table
from shardhash.db.sql import check_copyable
from shardhash.db.topology import Backend
from shardhash.errors import PreflightError

__all__ = [
    "UTF_8",
    "RowHazards",
    "check_guardable",
    "check_hazards",
    "check_names_there",
    "check_room",
    "check_spelling",
    "human_size",
]

UTF_8 = "UTF-8"
"""SQLite's name of the encoding that files have unless somebody asks for another."""

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowHazards:
    """What was counted of the rows of a table that are to be copied.

    Attributes:
        error_values: rows with the error value of an ENUM, by column.
        long_rows: rows that are above what the target's server takes in one statement.
        longest: bytes of the longest of them as SQL, or less.
        packet: max_allowed_packet of the target's server, or of their own if that is less.
        encoding: in which a SQLite file keeps, and sorts, text.
        undecodable: rows of a SQLite table whose text is no UTF-8.
        torn: rows that would be parted from rows that they refer to, by foreign key.
        orphans: rows that refer to no row, by foreign key, where the target would refuse them.
    """

    error_values: MappingABC[str, int] = field(default_factory=dict)
    long_rows: int = 0
    longest: int = 0
    packet: int = 0
    encoding: str = UTF_8
    undecodable: int = 0
    torn: MappingABC[str, int] = field(default_factory=dict)
    orphans: MappingABC[str, int] = field(default_factory=dict)


def check_hazards(table: Table, hazards: RowHazards, verb: str, target: str) -> None:
    """Raise PreflightError where rows of a table would not arrive as they are.

    ``verb`` is what was to be done with it, such as ``moved``.
    """
    check_copyable(table)
    _check_document_ids(table, verb)
    for column, count in sorted(hazards.error_values.items()):
        raise PreflightError(
            f"table {table.name} cannot be {verb}: {count} rows hold the error value of ENUM "
            f"{column}, a text that was none of its values, which no INSERT can write",
            next_step=f"set {column} to one of its values in the rows WHERE {column} + 0 = 0",
        )
    if hazards.long_rows:
        raise PreflightError(
            f"table {table.name} cannot be {verb}: {hazards.long_rows} rows are too "
            f"long as an INSERT, {human_size(hazards.longest)} or more, and max_allowed_packet "
            f"there or here is {human_size(hazards.packet)}",
            next_step="SET GLOBAL max_allowed_packet on both servers to at least twice the longest "
            "row, then plan again",
        )
    if hazards.encoding != UTF_8:
        raise PreflightError(
            f"table {table.name} cannot be {verb}: its file keeps text as {hazards.encoding}, "
            f"whose order is not that of the file of {target}",
            next_step="make a new file (PRAGMA encoding = 'UTF-8') and copy the tables into it",
        )
    if hazards.undecodable:
        raise PreflightError(
            f"table {table.name} cannot be {verb}: {hazards.undecodable} rows hold text that is no "
            "UTF-8, which no copy can read",
            next_step="store those bytes as a BLOB: CAST(column AS BLOB)",
        )
    for key, count in sorted(hazards.torn.items()):
        raise PreflightError(
            f"table {table.name} cannot be {verb}: {count} rows refer by foreign key {key} to rows "
            "of another shard key, and one would move without the other",
            next_step="give rows that refer to one another one shard key, or drop the foreign key",
        )
    for key, count in sorted(hazards.orphans.items()):
        raise PreflightError(
            f"table {table.name} cannot be {verb}: {count} rows refer by foreign key {key} to rows "
            f"that are not there, which {target} would refuse",
            next_step=f"delete or correct those rows, or drop {key} on all shards",
        )


def _check_document_ids(table: Table, verb: str) -> None:
    """Refuse numbers of documents of the table's own, which have to come in ascending order.

    Source: https://dev.mysql.com/doc/refman/8.0/en/innodb-fulltext-index.html (FTS_DOC_ID).
    """
    if table.backend is Backend.MYSQL and any(
        column.name == "FTS_DOC_ID" for column in table.columns
    ):
        raise PreflightError(
            f"table {table.name} cannot be {verb}: it numbers its documents itself, in FTS_DOC_ID, "
            "and InnoDB takes only numbers above those that it has had",
            next_step="drop the FULLTEXT indexes and the column FTS_DOC_ID, and make the indexes "
            "anew: InnoDB then numbers documents by itself",
        )


def check_guardable(table: Table) -> None:
    """Raise PreflightError where rows change without that a trigger of theirs would run.

    SQLite runs triggers for what a foreign key does, MySQL and MariaDB do not.
    Source: https://mariadb.com/kb/en/foreign-keys/ (cascades do not activate triggers).
    """
    if table.backend is Backend.SQLITE:
        return
    for key in table.parents:
        if key.changes_rows or key.updates_rows:
            raise PreflightError(
                f"table {table.name} cannot be guarded: its foreign key {key.name} says ON DELETE "
                f"{key.on_delete} ON UPDATE {key.on_update}, which changes rows without a trigger",
                next_step=f"make {key.name} RESTRICT and let the application change those rows",
            )


def check_spelling(name: str, table: Table, shard: str) -> None:
    """Raise PreflightError where a mapping writes a table's name in another case than its server.

    A server that folds names would find it all the same, and one that does not would not.
    """
    if name != table.name:
        raise PreflightError(
            f"the mapping has a table {name}, and the server of {shard} calls it {table.name}",
            next_step=f"write {table.name} in the mapping",
        )


def check_names_there(names: Sequence[str], instance: str) -> None:
    """Raise PreflightError for names that a server which folds names to lower case would change."""
    changed = [name for name in names if name != name.lower()]
    if changed:
        raise PreflightError(
            f"the server of {instance} makes names of tables lower case (lower_case_table_names), "
            f"so {', '.join(changed)} would have another name there",
            next_step="rename the tables, or choose a server with the same setting",
        )


def check_room(target: str, needed: int, free: int | None) -> None:
    """Raise PreflightError where less room is known to be free than rows are about to take."""
    if free is not None and needed > free:
        raise PreflightError(
            f"{target} has room for {human_size(free)}, and the rows that go there take about "
            f"{human_size(needed)}",
            next_step="make room there, or say how much there is with --target-free SIZE",
        )


def human_size(byte_count: int) -> str:
    """Return a number of bytes in the largest unit that it fills, rounded down to a tenth."""
    size, number = float(byte_count), 0
    while size >= 1024 and number < len(_UNITS) - 1:
        size /= 1024
        number += 1
    return f"{byte_count} bytes" if not number else f"{int(size * 10) / 10:g} {_UNITS[number]}"
