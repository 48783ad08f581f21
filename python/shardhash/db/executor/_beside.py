"""Whether a shard's server can read another shard's tables by itself."""

from collections.abc import Sequence

from shardhash.db import sql
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._statements import fetch
from shardhash.db.inspect import database_identity
from shardhash.db.schema import Table
from shardhash.db.topology import Backend
from shardhash.errors import DatabaseError

__all__ = ["database_beside", "readable_beside"]


def database_beside(work: RowWork, source: str, target: str) -> str | None:
    """Return the source's database if the target's server has it too; None if it has not."""
    if Backend.SQLITE in (work.backend(source), work.backend(target)):
        return None
    places = []
    for shard in (source, target):
        with work.read(shard) as connection:
            places.append(database_identity(connection, Backend.MYSQL)[0])
    (*ours, database), (*theirs, _) = places
    return str(database) if ours == theirs else None


def readable_beside(work: RowWork, source: str, target: str, tables: Sequence[Table]) -> str | None:
    """Return the source's database where the target's session may copy from it without locks.

    It may not where its account cannot read the tables, and where the server logs statements:
    InnoDB then wants rows locked that another table is filled from.
    Source: https://mariadb.com/kb/en/binary-log-formats/, error 1665
    """
    beside = database_beside(work, source, target)
    if beside is None:
        return None
    try:
        with work.read(target) as connection:
            [(logs_statements,)] = fetch(connection, sql.logs_statements())
            for table in tables:
                fetch(connection, sql.look_beside(table, beside))
    except DatabaseError:
        return None
    return None if logs_statements else beside
