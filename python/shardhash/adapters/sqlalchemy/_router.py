"""Choosers of SQLAlchemy's horizontal sharding, by the map of a cluster."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Dialect, Engine, inspect
from sqlalchemy.orm import InstanceState, Mapper, ORMExecuteState

from shardhash.adapters.sqlalchemy._models import (
    ModelKey,
    find_key,
    key_of,
    key_position,
    shards_with,
)
from shardhash.adapters.sqlalchemy._statements import planning_dialect, stored, texts_of
from shardhash.adapters.sqlalchemy._swap import let_swap
from shardhash.db import Cluster, Config
from shardhash.db.query import Routing
from shardhash.errors import (
    KeyTypeError,
    QueryRefusedError,
    UsageError,
)

__all__ = ["Router", "on_the_move"]

_NAMED = "bind_arguments={'shard_id': NAME}"


class Router:
    """Says which shards SQLAlchemy's sessions are to use, always by the cluster's present map.

    Args:
        cluster: whose map it is; it must outlive the router.
        mapping: whose servers' SQL is spoken, where a configuration has MySQL and SQLite.
        best_effort: let one transaction of a session, or one statement, write to several shards,
            each committed on its own.
    """

    def __init__(
        self, cluster: Cluster, *, mapping: str | None = None, best_effort: bool = False
    ) -> None:
        self._cluster = cluster
        self._mapping = mapping
        self._planning: dict[Dialect, Dialect] = {}
        self.best_effort = best_effort

    @property
    def config(self) -> Config:
        """Return the present configuration."""
        return self._cluster.config

    @property
    def shards(self) -> Mapping[str, Engine]:
        """Return an engine for each shard of the present map, made when it is looked up."""
        return _Shards(self)

    @property
    def shard_names(self) -> tuple[str, ...]:
        """Return the shards of the present map."""
        config = self.config
        return config.mapping(self._mapping).shards if self._mapping else tuple(config.shards)

    def engine(self, shard: str) -> Engine:
        """Return the engine of a shard, as ``ConnectionManager.engine``.

        Raises:
            UsageError: no such shard.
            DatabaseError: no connection to its server.
        """
        engine = self._cluster.connections.engine(shard)
        let_swap(engine)
        return engine

    def refresh(self) -> None:
        """Ask the store for a newer map now."""
        self._cluster.refresh()

    def shard_chooser(
        self, mapper: Mapper[Any] | None, instance: object | None, clause: object = None
    ) -> str:
        """Return the shard of a new object: that of its shard key.

        An object without a key takes, and gets, that of the object it refers to by a relationship.

        Raises:
            ShardKeyError: it has no key.
            KeyTypeError: the key is not of the mapping's type.
            UsageError: there is no object to choose by, or its table is in no mapping.
        """
        state: InstanceState[Any] | None = inspect(instance) if instance is not None else None
        if state is None:
            raise UsageError(
                "no object or statement says which shard the session is to connect to",
                next_step=f"name it: session.connection({_NAMED})",
            )
        key, value = key_of(state, self.config)
        return self._owner(key, value)

    def identity_chooser(
        self,
        mapper: Mapper[Any],
        primary_key: object,
        *,
        lazy_loaded_from: InstanceState[Any] | None = None,
        execution_options: Mapping[str, Any] | None = None,
        bind_arguments: Mapping[str, Any] | None = None,
        **_: object,
    ) -> Sequence[str]:
        """Return the shards that an object may be on: one if its primary key has the shard key.

        Else all shards of its table, first that of the object it is loaded for.
        """
        named = (bind_arguments or {}).get("shard_id")
        if named is not None:
            return (str(named),)
        config = self.config
        shards = shards_with(mapper, config)
        owner = self._owner_by_identity(mapper, primary_key)
        if owner is not None:
            return (owner,)
        first = lazy_loaded_from.identity_token if lazy_loaded_from is not None else None
        return sorted(shards, key=lambda shard: shard != first)

    def execute_chooser(self, orm_context: ORMExecuteState) -> Sequence[str]:
        """Return the shards that a statement is for.

        Raises:
            QueryRefusedError: it is for several shards, and their answers strung together would
                not be that of one database; or it writes to several.
        """
        routing = self.routing(orm_context)
        if routing.on_owned:
            raise on_the_move(routing)
        return routing.shards

    def routing(self, orm_context: ORMExecuteState) -> Routing:
        """Return where a statement goes and whether it writes; raises as ``execute_chooser``."""
        if orm_context.is_orm_statement and orm_context.is_executemany:
            raise QueryRefusedError(
                "a bulk INSERT, or an UPDATE by primary key, of a list of rows: SQLAlchemy does "
                "not send them to the shards of each",
                next_step="session.add_all(objects), or insert(Model).values(...) of one shard",
            )
        texts = texts_of(orm_context.statement, orm_context.parameters, self._dialect)
        try:
            found = [self._cluster.route(*each, mapping=self._mapping) for each in texts]
        except QueryRefusedError as error:
            raise _told_sessions(error) from error
        routing = found[0] if len(found) == 1 else _together(found)
        if len(routing.shards) > 1:
            self._check(routing)
        return routing

    def owner_of(self, state: InstanceState[Any]) -> str | None:
        """Return the shard that owns a loaded object by the present map; None if it is not known.

        Raises:
            QueryRefusedError: its table is a global one.
        """
        key = find_key(state.mapper, self.config)
        value = state.dict.get(key.attribute)
        if value is None:
            return None
        return self._owner(key, value)

    def _owner(self, key: ModelKey, value: object) -> str:
        given = stored(key.column.type, value, self._dialect)
        return self._cluster.shard_of(key.table, given)

    def _owner_by_identity(self, mapper: Mapper[Any], primary_key: object) -> str | None:
        try:
            key = find_key(mapper, self.config)
            place = key_position(mapper, key)
            if place is None:
                return None
            values = primary_key if isinstance(primary_key, tuple | list) else (primary_key,)
            return self._owner(key, values[place])
        except (QueryRefusedError, KeyTypeError, UsageError):
            return None

    def _check(self, routing: Routing) -> None:
        """Refuse a statement for several shards that they cannot run as it is."""
        names = ", ".join(routing.shards)
        if routing.problem:
            raise QueryRefusedError(
                f"{routing.problem} ({names}): SQLAlchemy strings one shard's rows to the other's, "
                "which is not what one database would answer",
                next_step="ask cluster.query; or limit the shard key to one shard; or name the "
                f"shard: {_NAMED}",
            )
        if routing.is_write and not self.best_effort:
            raise QueryRefusedError(
                f"the statement writes to {len(routing.shards)} shards ({names}), and no "
                "transaction spans them",
                next_step="limit the shard key to one shard, or pass best_effort=True to the "
                "sessionmaker: then each shard commits on its own",
            )
        if routing.is_write and routing.on_owned:
            raise on_the_move(routing)

    @property
    def _dialect(self) -> Dialect:
        dialect = self.engine(self.shard_names[0]).dialect
        if dialect not in self._planning:
            self._planning = {dialect: planning_dialect(dialect)}
        return self._planning[dialect]


class _Shards(Mapping[str, Engine]):
    """The engines of the shards that the map has at the moment."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def __getitem__(self, shard: str) -> Engine:
        if shard not in self._router.shard_names:
            raise KeyError(shard)
        return self._router.engine(shard)

    def __iter__(self) -> Iterator[str]:
        return iter(self._router.shard_names)

    def __len__(self) -> int:
        return len(self._router.shard_names)


def _together(found: Sequence[Routing]) -> Routing:
    """Return where the sets of values of one statement go."""
    shards = tuple(dict.fromkeys(shard for each in found for shard in each.shards))
    problem = "a statement with sets of values for several shards" if len(shards) > 1 else ""
    return Routing(shards=shards, is_write=any(each.is_write for each in found), problem=problem)


def on_the_move(routing: Routing) -> QueryRefusedError:
    """Return the refusal of a statement that would see rows which a shard does not own."""
    held = ", ".join(sorted(routing.on_owned))
    return QueryRefusedError(
        f"rows are on the move: {held} may hold rows without owning them, which a statement for "
        f"several shards ({', '.join(routing.shards)}) would take for theirs",
        next_step="ask cluster.query, which leaves them out; or limit the shard key to one shard; "
        "or wait for the operation's end",
    )


def _told_sessions(error: QueryRefusedError) -> QueryRefusedError:
    """Return a refusal whose advice is for who has a session."""
    return QueryRefusedError(str(error), next_step=error.next_step.replace("shards=[...]", _NAMED))
