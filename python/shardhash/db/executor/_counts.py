"""Count the rows of a filter, and those whose primary or unique key another shard has too."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.executor._statements import PrimaryKey, fetch
from shardhash.db.schema import Table, UniqueKey
from shardhash.db.sql import RowFilter

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["count_filter", "id_collisions", "unique_collisions"]

_BLOCK_ROWS = 5_000
_KEYS_A_QUERY = 500
_LISTED = 10


def count_filter(connection: "Connection", table: Table, rows: RowFilter) -> int:
    """Return the number of the filter's rows; reads the whole table once."""
    [(count,)] = fetch(connection, sql.count_page(table, rows))
    return int(count)


def id_collisions(
    ours: "Connection", theirs: "Connection", table: Table, rows: RowFilter
) -> tuple[int, tuple[PrimaryKey, ...]]:
    """Return how many of our filter's rows have a primary key that they have, and the first ten.

    Keys are looked up where they could be: between the least and the greatest of theirs.
    """
    ends = [
        *fetch(theirs, sql.end_key(table, last=False)),
        *fetch(theirs, sql.end_key(table, last=True)),
    ]
    count = 0
    found: list[PrimaryKey] = []
    if ends:
        for keys in _keys_between(ours, table, rows, ends[0], ends[1]):
            for start in range(0, len(keys), _KEYS_A_QUERY):
                taken = fetch(theirs, sql.read_rows(table, keys[start : start + _KEYS_A_QUERY], []))
                count += len(taken)
                found.extend(taken[: _LISTED - len(found)])
    return count, tuple(found)


def unique_collisions(
    ours: "Connection", theirs: "Connection", table: Table, rows: RowFilter
) -> dict[str, int]:
    """Return by unique key how many of our filter's rows hold a value that a row of theirs has."""
    if not fetch(theirs, sql.end_key(table, last=False)):
        return {}
    found = {
        key.name: sum(
            len(fetch(theirs, sql.find_uniques(table, key, values)))
            for values in _unique_values(ours, table, key, rows)
        )
        for key in sql.comparable_uniques(table)
    }
    return {name: count for name, count in found.items() if count}


def _unique_values(
    connection: "Connection", table: Table, key: UniqueKey, rows: RowFilter
) -> Iterator[list[PrimaryKey]]:
    """Yield the filter's values of a unique key, in blocks; NULL is unlike all others."""
    width = len(table.primary_key)
    after: PrimaryKey | None = None
    while True:
        read = fetch(connection, sql.read_uniques(table, key, rows, after, _KEYS_A_QUERY))
        values = [row[width:] for row in read if None not in row[width:]]
        if values:
            yield values
        if len(read) < _KEYS_A_QUERY:
            return
        after = read[-1][:width]


def _keys_between(
    connection: "Connection", table: Table, rows: RowFilter, first: PrimaryKey, last: PrimaryKey
) -> Iterator[list[PrimaryKey]]:
    """Yield the filter's primary keys of ``[first, last]``, in blocks."""
    least = fetch(connection, sql.read_filtered(table, rows, [first]))
    if least:
        yield least
    after: PrimaryKey | None = first
    while after is not None:
        keys = fetch(connection, sql.read_keys(table, rows, after, last, _BLOCK_ROWS))
        if keys:
            yield keys
        after = keys[-1] if len(keys) == _BLOCK_ROWS else None
