"""Build a new table's secondary indexes and references after its rows, which is cheapest.

Only for tables that this operation has made and that hold no rows. What is missing is seen by
looking, so that a copy that was killed ends with the same table.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._statements import fetch, mind_references
from shardhash.db.inspect import comparable_ddl, table_ddl
from shardhash.db.schema import Table
from shardhash.db.topology import Backend
from shardhash.errors import PreflightError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["drop_indexes", "make_indexes"]

_INDEX = re.compile(r"  (?:UNIQUE )?KEY (`(?:[^`]|``)+`)")
_ANY_INDEX = re.compile(r"  (?:(?:UNIQUE|FULLTEXT|SPATIAL) )?KEY `")
_REFERENCE = re.compile(r"  CONSTRAINT (`(?:[^`]|``)+`) FOREIGN KEY")


def drop_indexes(work: RowWork, shard: str, table: Table) -> None:
    """Take the indexes and references off an empty MySQL table; others stay as they are."""
    if table.backend is not Backend.MYSQL or table.is_numbered_by_an_index:
        return
    with work.read(shard) as connection:
        if fetch(connection, sql.end_key(table, last=False)):
            return
        lines = _lines(connection, table)
    drops = [f"DROP FOREIGN KEY {name}" for name in _names(_REFERENCE, lines)]
    drops += [f"DROP KEY {name}" for name in _names(_INDEX, lines)]
    _alter(work, shard, table, drops)


def make_indexes(work: RowWork, model: str, shard: str, table: Table) -> None:
    """Give a table the indexes and references that the model's has and it has not.

    Raises:
        PreflightError: the tables differ all the same.
    """
    if table.backend is not Backend.MYSQL:
        return
    with work.read(model) as connection:
        wanted = _lines(connection, table)
    with work.read(shard) as connection:
        there = set(_lines(connection, table))
    missing = [
        line
        for line in wanted
        if line not in there and (_INDEX.match(line) or _REFERENCE.match(line))
    ]
    _alter(work, shard, table, [f"ADD {line.strip()}" for line in missing])
    with work.read(shard) as connection:
        if _sorted(_lines(connection, table)) != _sorted(wanted):
            raise PreflightError(
                f"table {table.name} of {shard} is not as on {model} after its indexes were made",
                next_step=f"compare SHOW CREATE TABLE {table.name} on both, and alter it",
            )


def _lines(connection: "Connection", table: Table) -> list[str]:
    """Return the lines of a table's definition without their commas."""
    [text] = table_ddl(connection, table.name, Backend.MYSQL)
    return [line.removesuffix(",") for line in text.split("\n")]


def _sorted(lines: Sequence[str]) -> list[str]:
    """Return the lines with those of indexes last, whose order changes when they are made anew."""
    others = [comparable_ddl(line) for line in lines if not _ANY_INDEX.match(line)]
    return [*others, *sorted(line for line in lines if _ANY_INDEX.match(line))]


def _names(pattern: re.Pattern[str], lines: Sequence[str]) -> list[str]:
    return [found[1] for line in lines if (found := pattern.match(line))]


def _alter(work: RowWork, shard: str, table: Table, changes: Sequence[str]) -> None:
    if not changes:
        return

    def alter(connection: "Connection") -> None:
        mind_references(connection, table, wanted=False)
        connection.exec_driver_sql(
            sql.alter_table(table, changes).sql, execution_options={"no_parameters": True}
        )

    work.batch(shard, alter)
