"""Rows put on their owners, and rows that are not there."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from typing import Any

from shardhash.db import Cluster
from shardhash.db.inspect import inspect_table
from shardhash.db.mapping import KeyRouter
from shardhash.db.schema import Table
from shardhash.db.topology import Mapping, RangeRule, TableRule
from shardhash.errors import UsageError
from shardhash.slots import SlotMap
from shardhash.testing._databases import (
    create_like,
    insert_rows,
    key_value,
    read_table,
    stored_columns,
    table_exists,
)

__all__ = ["fill_shards", "misplaced_rows"]

Row = tuple[object, ...]
_MARKER = "_shardhash_twins"
"""A table that says: the shard was filled by this harness, and may be filled again."""


def fill_shards(cluster: Cluster, whole: str) -> None:
    """Make the tables of `whole` anew on all shards of the mappings, each row on its owner.

    A row without key goes to one of the shards, each in turn.

    Raises:
        UsageError: a shard has one of the tables and was not filled by this.
    """
    for mapping in cluster.config.mappings.values():
        for shard in mapping.shards:
            cluster.connections.create_database(shard)
            _prepare(cluster, whole, shard, mapping)
        router = cluster.config.router(mapping.name)
        for rule in mapping.tables:
            table, rows = _read(cluster, whole, rule.name)
            placed = _by_owner(table, rule, rows, router)
            for shard in mapping.shards:
                _insert(cluster, shard, table, placed.get(shard, []))
        for name in mapping.global_tables:
            table, rows = _read(cluster, whole, name)
            for shard in mapping.shards:
                _insert(cluster, shard, table, rows)


def misplaced_rows(cluster: Cluster, whole: str) -> list[str]:
    """Return in words each row that is not once on its owner, or not everywhere if global."""
    return [
        words
        for mapping in cluster.config.mappings.values()
        for words in (*_misplaced(cluster, whole, mapping), *_different(cluster, whole, mapping))
    ]


def _prepare(cluster: Cluster, whole: str, shard: str, mapping: Mapping) -> None:
    """Create the mapping's tables, empty, on a shard that has none but the harness's own."""
    backend = cluster.connections.backend(shard)
    names = [rule.name for rule in mapping.tables] + list(mapping.global_tables)
    with (
        cluster.connections.read(whole) as source,
        cluster.connections.write(shard) as target,
    ):
        found = [name for name in names if table_exists(target, name)]
        if found and not table_exists(target, _MARKER):
            raise UsageError(
                f"shard {shard} has a table {found[0]} that this harness did not make",
                next_step="name empty databases in the configuration of the tests",
            )
        target.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {_MARKER} (filled INTEGER)")
        for name in names:
            create_like(source, target, name, backend)
        target.commit()


def _read(cluster: Cluster, shard: str, name: str) -> tuple[Table, list[Row]]:
    with cluster.connections.write(shard) as connection:
        table = inspect_table(connection, name, cluster.connections.backend(shard))
        return table, read_table(connection, table)


def _insert(cluster: Cluster, shard: str, table: Table, rows: list[Row]) -> None:
    with cluster.connections.write(shard) as connection:
        insert_rows(connection, table, rows, cluster.connections.backend(shard))
        connection.commit()


def _by_owner(
    table: Table, rule: TableRule, rows: list[Row], router: KeyRouter
) -> dict[str, list[Row]]:
    place = _key_place(table, rule)
    shards = router.mapping.shards
    placed: dict[str, list[Row]] = {}
    for number, row in enumerate(rows):
        owner = _owner(row[place], router) or shards[number % len(shards)]
        placed.setdefault(owner, []).append(row)
    return placed


def _key_place(table: Table, rule: TableRule) -> int:
    names = [column.name.lower() for column in stored_columns(table)]
    return names.index(rule.key.lower())


def _owner(key: object, router: KeyRouter) -> str | None:
    return None if key is None else router.shard_for(key_value(key, router))


def _misplaced(cluster: Cluster, whole: str, mapping: Mapping) -> Iterator[str]:
    router = cluster.config.router(mapping.name)
    for rule in mapping.tables:
        table, rows = _read(cluster, whole, rule.name)
        place = _key_place(table, rule)
        wanted = Counter(rows)
        for shard in mapping.shards:
            for row in _read(cluster, shard, rule.name)[1]:
                owner = _owner(row[place], router)
                if owner not in (None, shard):
                    if not _is_known_copy(row[place], shard, router):
                        yield f"{rule.name} {row}: on {shard}, belongs to {owner}"
                    continue
                wanted[row] -= 1
        for row, count in wanted.items():
            if count > 0:
                yield f"{rule.name} {row}: on none of the shards"
            elif count < 0:
                yield f"{rule.name} {row}: {-count} times more than in {whole}"


def _different(cluster: Cluster, whole: str, mapping: Mapping) -> Iterator[str]:
    for name in mapping.global_tables:
        rows = Counter(_read(cluster, whole, name)[1])
        for shard in mapping.shards:
            there = Counter(_read(cluster, shard, name)[1])
            for row in (rows - there) + (there - rows):
                yield f"global {name} {row}: on {shard} or in {whole}, not in both"


def _is_known_copy(key: object, shard: str, router: KeyRouter) -> bool:
    """Tell whether the shard may hold the key without owning it, because of a move."""
    unowned = router.mapping.unowned.get(shard)
    if not unowned:
        return False
    value: Any = router.key(key_value(key, router))
    if isinstance(router.placement, SlotMap):
        return router.placement.slot(value) in unowned
    rule = router.mapping.rule
    assert isinstance(rule, RangeRule), "a ring has no moves"
    return bisect_right(rule.bounds, value) in unowned
