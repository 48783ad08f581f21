"""Route a key to its shard and get a connection there."""

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self

from shardhash.db.cluster._watch import ConfigWatch
from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager
from shardhash.db.mapping import KeyRouter, KeyValue
from shardhash.db.operations import Operations
from shardhash.db.query import (
    Engine,
    Explanation,
    Params,
    QueryResult,
    make_engine,
    query_options,
)
from shardhash.db.stores import ConfigStore, open_store
from shardhash.errors import StaleMapError, WrongShardError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from shardhash.db.query import Routing

__all__ = ["Cluster"]

_LOG = logging.getLogger("shardhash.db.cluster")


class Cluster:
    """Shards of one configuration. Thread-safe and fork-safe; connects when first needed.

    Args:
        config: the configuration to start with.
        store: where it is kept; None: it never changes.
        refresh_s: seconds between two questions for a newer version.
        stale_reads: what a read does when the map was not confirmed for ``map_max_age_s`` of the
            configuration: ``"warn"`` logs and goes on, ``"refuse"`` raises StaleMapError.
        source: path or URL by which workers in other processes load the same configuration.
    """

    def __init__(
        self,
        config: Config,
        *,
        store: ConfigStore | None = None,
        refresh_s: float = 5.0,
        stale_reads: Literal["warn", "refuse"] = "warn",
        source: str | None = None,
    ) -> None:
        self._watch = ConfigWatch(config, store, refresh_s=refresh_s)
        self._stale_reads = stale_reads
        self._view = _View(config, ConnectionManager(config), store, source=source)

    @classmethod
    def open(
        cls,
        path_or_url: str | os.PathLike[str],
        *,
        refresh_s: float = 5.0,
        stale_reads: Literal["warn", "refuse"] = "warn",
    ) -> Self:
        """Return the cluster that a configuration file, or the store it points to, describes.

        Raises:
            ConfigError: the configuration is invalid; all problems with their lines.
            StoreError: the store does not answer.
        """
        store = open_store(path_or_url)
        config, _ = store.load()
        return cls(
            config,
            store=store,
            refresh_s=refresh_s,
            stale_reads=stale_reads,
            source=os.fspath(path_or_url),
        )

    def __enter__(self) -> Self:
        """Return the cluster itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self.close()

    def close(self) -> None:
        """Close all connections and stop asking the store."""
        self._watch.close()
        self._view.close()

    @property
    def config(self) -> Config:
        """Return the present configuration, an immutable value."""
        return self._current().config

    @property
    def connections(self) -> ConnectionManager:
        """Return the connections of the present configuration."""
        return self._current().connections

    @property
    def operations(self) -> Operations:
        """Return operations on the present configuration."""
        return self._current().operations

    def refresh(self) -> bool:
        """Ask the store for a newer map now, and return whether it answered."""
        return self._watch.refresh() != "unconfirmed"

    def shard_for(self, mapping: str, key: KeyValue) -> str:
        """Return the name of the shard that owns a key.

        Raises:
            KeyTypeError: the key is not of the mapping's declared type.
            UsageError: no such mapping.
        """
        return self._current().router(mapping).shard_for(key)

    def connection(
        self, mapping: str, key: KeyValue, *, read_only: bool = False
    ) -> "AbstractContextManager[Connection]":
        """Return a context manager with a connection to the shard that owns a key.

        Nothing is committed for you; leaving the block rolls back what is open. ``read_only`` goes
        to a read endpoint, where the shard has one, and minds the age of the map.

        A write that a guard refuses leaves the block as WrongShardError, when the map has been read
        anew: run the whole transaction again, from this call on. In state ``fenced`` the slot is
        being moved, and it is of use only after a while.

        Raises:
            StaleMapError: the map is too old for a read, and ``stale_reads`` is ``"refuse"``.
            WrongShardError: the shard takes no writes for the key; nothing was committed.
        """
        view = self._current()
        shard = view.router(mapping).shard_for(key)
        if not read_only:
            return self._minding_guards(view.connections.write(shard))
        self._mind_age()
        return view.connections.read(shard)

    def query(
        self,
        sql: str,
        params: Params = (),
        *,
        mapping: str | None = None,
        shards: Sequence[str] | None = None,
        deadline_s: float | None = None,
        executor: Executor | None = None,
        best_effort: bool = False,
        memory_mb: int = 1024,
    ) -> QueryResult:
        """Return the answer that one database with all rows would give, or refuse.

        A write goes to the shard that its keys pin, and is committed there. If a guard there says
        that the rows have moved, the map is read anew and the write tried once more. With
        ``best_effort`` a part that meets a guard is in the result's ``failed`` and is not tried
        again, because other parts are committed; the map has been read anew then.

        Args:
            sql: one statement, with ``%s`` or ``%(name)s`` for values on every backend.
            params: the values; without any, a percent sign stands for itself.
            mapping: whose servers' SQL it is, where a configuration has MySQL and SQLite.
            shards: ask these and no others, whatever the keys say. One: the statement is not
                looked into. Several: the answer is that of a database with their rows.
            deadline_s: seconds that each server may work on it.
            executor: where the shards' statements run; None: threads.
            best_effort: let a write go to several shards, each committed on its own; the
                result's ``committed`` and ``failed`` say where it succeeded.
            memory_mb: what groups and distinct values may take here, in MiB.

        Raises:
            QueryRefusedError: shards cannot give the answer of one database; ``next_step`` says
                what to ask instead. Nothing was run.
            UsageError: placeholders and values do not go together; no such shard.
            DatabaseError: a shard failed; its name is in the message.
            DeadlineError: a shard took longer than ``deadline_s``.
            MemoryCapError: the answer needs more than ``memory_mb``.
        """
        self._mind_age()
        options = query_options(
            mapping=mapping,
            shards=shards,
            deadline_s=deadline_s,
            executor=executor,
            best_effort=best_effort,
            memory_mb=memory_mb,
        )
        view = self._current()
        try:
            result = view.engine.query(sql, params, options)
        except WrongShardError as error:
            self.learn_from(error)
            if self._current() is view:
                raise
        else:
            if result.failed:
                self.refresh()  # other shards have committed, so that all cannot be tried again
            return result
        return self._current().engine.query(sql, params, options)

    def learn_from(self, error: WrongShardError) -> None:
        """Read the map anew because a guard has refused a write, and let the error say so.

        What this cluster runs itself does so by itself. Call it for an error of connections that
        came from elsewhere. A store that is down changes nothing.
        """
        answered = self.refresh()
        if answered and error.state != "fenced":
            error.next_step = "the map has been read anew: run the whole transaction again"
        fields = {"error": str(error), "map_confirmed": answered}
        _LOG.info("write_met_guard", extra={"fields": fields})

    @contextmanager
    def _minding_guards(
        self, block: "AbstractContextManager[Connection]"
    ) -> "Iterator[Connection]":
        try:
            with block as connection:
                yield connection
        except WrongShardError as error:
            self.learn_from(error)
            raise

    def explain(
        self,
        sql: str,
        params: Params = (),
        *,
        mapping: str | None = None,
        shards: Sequence[str] | None = None,
    ) -> Explanation:
        """Return which shards ``query`` would ask and why, what, and what it makes of it.

        Reads the tables' definitions, and types, from one shard; runs nothing else. Raises as
        ``query`` does.
        """
        options = query_options(mapping=mapping, shards=shards)
        return self._current().engine.explain(sql, params, options)

    def route(self, sql: str, params: Params = (), *, mapping: str | None = None) -> "Routing":
        """Return the shards that a statement is for, if somebody else runs it there as it is.

        Reads the tables' definitions from one shard; runs nothing else. Raises as ``query`` does.
        """
        self._mind_age()
        return self._current().engine.route(sql, params, query_options(mapping=mapping))

    def shard_of(self, table: str, key: object) -> str:
        """Return the shard that owns a row of a table, by the value written to its key column.

        It minds what the column makes of the value, such as a BINARY that pads it.

        Raises:
            UsageError: the table is in no mapping's tables.
            QueryRefusedError: what the column would hold is not known.
        """
        return self._current().engine.shard_of(table, key)

    def _mind_age(self) -> None:
        if not self._watch.is_stale:
            return
        age = self._watch.age_s
        if self._stale_reads == "refuse":
            raise StaleMapError(
                f"the store last confirmed the map {age:.0f} s ago, reads allow "
                f"{self._view.config.map_max_age_s:.0f} s: the rows may have moved",
                next_step="see why the store does not answer, or open with stale_reads='warn'",
            )
        _LOG.warning("stale_map", extra={"fields": {"age_s": age}})

    def _current(self) -> "_View":
        """Return the view of the present configuration; one that is in use lives on."""
        config = self._watch.config
        view = self._view
        if view.config is config:
            return view
        self._view = view.followed_by(config)
        return self._view


class _View:
    """One configuration with its connections, operations and routers."""

    def __init__(
        self,
        config: Config,
        connections: ConnectionManager,
        store: ConfigStore | None,
        *,
        source: str | None,
    ) -> None:
        self.config = config
        self._source = source
        self.connections = connections
        self._store = store
        self._routers: dict[str, KeyRouter] = {}

    @cached_property
    def operations(self) -> Operations:
        return Operations(self.config, store=self._store, source=self._source)

    @cached_property
    def engine(self) -> Engine:
        return make_engine(self.config, self.connections, self.router, source=self._source)

    def followed_by(self, config: Config) -> "_View":
        """Return the view of a newer configuration; connections go over where they still fit."""
        connections = self.connections
        if (config.instances, config.shards) != (self.config.instances, self.config.shards):
            connections = ConnectionManager(config)
            self.close()
        return _View(config, connections, self._store, source=self._source)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self.connections.close()
        if "operations" in self.__dict__:
            self.operations.close()

    def router(self, mapping: str) -> KeyRouter:
        router = self._routers.get(mapping)
        if router is None:
            router = self._routers[mapping] = self.config.router(mapping)
        return router
