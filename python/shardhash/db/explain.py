"""Where a key is and why: its bytes, hash and slot, the SELECT that proves them, its rows."""

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager
from shardhash.db.inspect import inspect_table
from shardhash.db.mapping import CanonicalKey, KeyRouter, KeyValue
from shardhash.db.schema import Table
from shardhash.db.topology import Backend, RangeRule, TableRule
from shardhash.errors import PreflightError
from shardhash.hashing import crc32
from shardhash.keys import key_bytes
from shardhash.slots import SlotMap

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["KeyPlace", "KeyRows", "count_rows_of_key", "place_key", "slot_proof"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """The owner of a key, and the numbers that lead there; None where the rule has no such step.

    ``key_bytes`` are what is hashed; a mapping of ranges compares the key itself instead.
    """

    mapping: str
    key: CanonicalKey
    key_bytes: bytes | None
    hash: int | None
    slot: int | None
    shard: str


@dataclass(frozen=True, slots=True)
class KeyRows:
    """The rows that shards have of one key: by shard, by table; None where the table is absent."""

    owner: str
    counts: MappingABC[str, MappingABC[str, int | None]]

    @property
    def holders(self) -> tuple[str, ...]:
        """Return the shards that have rows of the key, in the order of the configuration."""
        return tuple(shard for shard, tables in self.counts.items() if any(tables.values()))

    @property
    def strays(self) -> tuple[str, ...]:
        """Return the shards that have rows of the key and do not own it."""
        return tuple(shard for shard in self.holders if shard != self.owner)


def place_key(router: KeyRouter, value: KeyValue) -> KeyPlace:
    """Return where the mapping puts a key. Pure.

    Raises:
        KeyTypeError: the value is not of the mapping's key type.
    """
    key = router.key(value)
    is_hashed = not isinstance(router.mapping.rule, RangeRule)
    has_slots = isinstance(router.placement, SlotMap)
    hashed = _hashable(key)
    return KeyPlace(
        mapping=router.mapping.name,
        key=key,
        key_bytes=key_bytes(hashed) if is_hashed else None,
        hash=crc32(hashed) if has_slots else None,
        slot=router.placement.slot(hashed) if isinstance(router.placement, SlotMap) else None,
        shard=router.shard_for(value),
    )


def slot_proof(connections: ConnectionManager, router: KeyRouter, value: KeyValue) -> str | None:
    """Return a SELECT for the owner that shows the key's slot; None where there are no slots.

    Reads the definition of the mapping's first table there.

    Raises:
        PreflightError: the table is not there, or its key column is not of the declared type.
        DatabaseError: the owner does not answer.
    """
    rules = router.mapping.tables
    if not isinstance(router.placement, SlotMap) or not rules:
        return None
    shard = router.shard_for(value)
    with connections.write(shard) as connection:
        table = inspect_table(connection, rules[0].name, connections.backend(shard))
    return sql.slot_proof(
        table,
        table.column(rules[0].key),
        router.mapping.key.type,
        _hashable(router.key(value)),
        slot_count=router.placement.slot_count,
    )


def count_rows_of_key(
    config: Config, connections: ConnectionManager, router: KeyRouter, value: KeyValue
) -> KeyRows:
    """Ask every shard of the configuration how many rows of each table it has of a key.

    A shard outside the mapping need not have the mapping's tables.

    Raises:
        PreflightError: a shard of the mapping lacks a table, or its key column is of another type.
        DatabaseError: a shard does not answer.
    """
    key = router.key(value)
    counts: dict[str, dict[str, int | None]] = {}
    for shard in config.shards:
        backend = connections.backend(shard)
        with connections.write(shard) as connection:
            counts[shard] = {
                rule.name: _count(connection, backend, router, rule, key)
                if shard in router.mapping.shards
                else _count_if_there(connection, backend, router, rule, key)
                for rule in router.mapping.tables
            }
    return KeyRows(router.shard_for(value), counts)


def _count_if_there(
    connection: "Connection",
    backend: Backend,
    router: KeyRouter,
    rule: TableRule,
    key: CanonicalKey,
) -> int | None:
    try:
        return _count(connection, backend, router, rule, key)
    except PreflightError:
        return None


def _count(
    connection: "Connection",
    backend: Backend,
    router: KeyRouter,
    rule: TableRule,
    key: CanonicalKey,
) -> int:
    table = inspect_table(connection, rule.name, backend)
    column = table.column(rule.key)
    statement = sql.count_key_rows(table, column, router.mapping.key.type, [_as_read(table, key)])
    return int(connection.exec_driver_sql(statement.sql, statement.parameters).scalar_one())


def _as_read(table: Table, key: CanonicalKey) -> int | str | bytes:
    """Return a key in the form in which the server gives it: text as its bytes, but for SQLite."""
    hashed = _hashable(key)
    if isinstance(hashed, str) and table.backend is Backend.MYSQL:
        return hashed.encode()
    return hashed


def _hashable(key: CanonicalKey) -> int | str | bytes:
    """Return a key as the core hashes it and a database stores it: dates as their ISO text."""
    return key if isinstance(key, int | str | bytes) else str(key)
