"""Which attribute of a mapped class is the shard key, and what it will be stored as."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table
from sqlalchemy.orm import InstanceState, Mapper, RelationshipDirection
from sqlalchemy.orm.exc import UnmappedColumnError
from sqlalchemy.sql.elements import ClauseElement

from shardhash.db import Config
from shardhash.errors import QueryRefusedError, ShardKeyError, UsageError

__all__ = ["ModelKey", "find_key", "key_of", "key_position", "shards_with"]


@dataclass(frozen=True, slots=True)
class ModelKey:
    """The shard key of a mapped class: its table, column and attribute, and the mapping."""

    mapping: str
    table: str
    column: Column[Any]
    attribute: str


def find_key(mapper: Mapper[Any], config: Config) -> ModelKey:
    """Return the shard key of a mapped class.

    Raises:
        QueryRefusedError: its table is a global one.
        UsageError: its table is in no mapping, or it has no attribute for the key.
    """
    for table, mapping, key in _sharded_tables(mapper, config):
        column = next((c for c in table.columns if c.name.lower() == key.lower()), None)
        try:
            if column is not None:
                attribute = mapper.get_property_by_column(column).key
                return ModelKey(mapping, table.name, column, attribute)
        except UnmappedColumnError:
            pass
        raise UsageError(
            f"{_name(mapper)} has no attribute for the shard key {key} of table {table.name}",
            next_step=f"map the column {key}",
        )
    names = ", ".join(table.name for table in _tables(mapper))
    if any(_holders(table.name, config) for table in _tables(mapper)):
        raise QueryRefusedError(
            f"{names} is a global table, which every shard has whole: a session cannot write it",
            next_step="write the same on each of its shards: BroadcastQuery, then compare them",
        )
    raise UsageError(
        f"{_name(mapper)} is of table {names}, which is in no mapping's tables",
        next_step="name the table in a mapping of the configuration, spelled as there",
    )


def shards_with(mapper: Mapper[Any], config: Config) -> tuple[str, ...]:
    """Return the shards that have a mapped class's table; none where the configuration has none."""
    for _, mapping, _ in _sharded_tables(mapper, config):
        return config.mapping(mapping).shards
    for table in _tables(mapper):
        return _holders(table.name, config)
    return ()


def key_position(mapper: Mapper[Any], key: ModelKey) -> int | None:
    """Return the place of the shard key in a class's primary key; None if it is not in it."""
    for place, column in enumerate(mapper.primary_key):
        if mapper.get_property_by_column(column).key == key.attribute:
            return place
    return None


def key_of(state: InstanceState[Any], config: Config) -> tuple[ModelKey, Any]:
    """Return the shard key of an object and its value, without loading anything.

    One that has none takes that of the object it refers to, which then is its own.

    Raises:
        ShardKeyError: neither has one, or several differ.
    """
    key = find_key(state.mapper, config)
    value = state.dict.get(key.attribute)
    if isinstance(value, ClauseElement):
        raise ShardKeyError(
            f"{_name(state.mapper)}.{key.attribute}, the shard key, is an SQL expression",
            next_step="compute it first, and set the value",
        )
    if value is not None:
        return key, value
    inherited = _inherited(state, key, config, frozenset())
    if len(inherited) != 1:
        found = "several differ" if inherited else "no object that it refers to has one"
        raise ShardKeyError(
            f"{_name(state.mapper)} has no shard key: {key.attribute} is not set, and {found}",
            next_step=f"set {key.attribute}, or the relationship to an object that has it, before "
            "the flush",
        )
    (value,) = inherited
    setattr(state.obj(), key.attribute, value)
    return key, value


def _inherited(
    state: InstanceState[Any], key: ModelKey, config: Config, seen: frozenset[int]
) -> set[Any]:
    """Return the keys, in the same mapping, of the loaded objects that an object refers to."""
    found = set()
    for relationship in state.mapper.relationships:
        related = state.dict.get(relationship.key)
        if relationship.direction is not RelationshipDirection.MANYTOONE or related is None:
            continue
        parents = list(_sharded_tables(relationship.mapper, config))
        if not parents or parents[0][1] != key.mapping or id(related) in seen:
            continue
        parent: InstanceState[Any] = related._sa_instance_state  # noqa: SLF001  what inspect() gives
        parent_key = find_key(parent.mapper, config)
        value = parent.dict.get(parent_key.attribute)
        if value is None:
            found |= _inherited(parent, parent_key, config, seen | {id(related)})
        else:
            found.add(value)
    return found


def _sharded_tables(mapper: Mapper[Any], config: Config) -> Iterator[tuple[Table, str, str]]:
    """Yield the tables of a class that are in mappings, each with its mapping and key column."""
    for table in _tables(mapper):
        for mapping in config.mappings.values():
            for rule in mapping.tables:
                if rule.name.lower() == table.name.lower():
                    yield table, mapping.name, rule.key


def _holders(table: str, config: Config) -> tuple[str, ...]:
    found = [
        shard
        for mapping in config.mappings.values()
        if table.lower() in map(str.lower, mapping.global_tables)
        for shard in mapping.shards
    ]
    return tuple(dict.fromkeys(found))


def _tables(mapper: Mapper[Any]) -> list[Table]:
    return [table for table in mapper.tables if isinstance(table, Table)]


def _name(mapper: Mapper[Any]) -> str:
    return mapper.class_.__name__
