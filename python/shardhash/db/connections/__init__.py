"""Connections to shards: made when first needed, pooled, capped, with errors in plain words.

Nothing here knows SQL or plans; ``drivers`` knows servers.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

from shardhash.db import sql
from shardhash.db.connections._engines import interrupter
from shardhash.db.connections._file_pool import FilePool
from shardhash.db.connections._retry import Retrier, RetryPolicy
from shardhash.db.connections._server_pool import ServerPool
from shardhash.db.connections._sessions import Session
from shardhash.db.drivers import Place, Secrets, SessionSettings
from shardhash.db.ports import Chooser, Clock, SecretResolver, Topology
from shardhash.db.topology import Backend, Endpoint, Instance
from shardhash.errors import ServerUnreachableError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["ConnectionManager", "RetryPolicy", "Session", "SessionSettings", "interrupter"]

T = TypeVar("T")


class ConnectionManager:
    """The connections of one process to the shards of a configuration. Thread-safe.

    Nothing is connected before it is asked for. A forked child starts with no connections and
    never uses its parent's. All shards of an instance share one cap.

    Args:
        config: instances and shards; a ``Config``.
        session: how new sessions are set up.
        max_connections: how many connections an instance, or read endpoint, may have at a time.
        wait_s: how long to wait for one of them to be free.
        retry: how ``run_batch`` tries again.
        secrets: looks passwords up.
        clock: time, for the pauses between tries.
        chooser: chance, for the pauses and the choice of read endpoints.
    """

    def __init__(
        self,
        config: Topology,
        *,
        session: SessionSettings | None = None,
        max_connections: int = 32,
        wait_s: float = 30.0,
        retry: RetryPolicy | None = None,
        secrets: SecretResolver | None = None,
        clock: Clock = time,
        chooser: Chooser | None = None,
    ) -> None:
        self._config = config
        self._session = session or SessionSettings.application()
        self._cap = max_connections
        self._wait_s = wait_s
        self._secrets = secrets or Secrets()
        self._chooser = chooser or random.Random()  # noqa: S311  spreads load, hides nothing
        self._retrier = Retrier(policy=retry or RetryPolicy(), clock=clock, chooser=self._chooser)
        self._processes: dict[int, _Pools] = {}
        self._only_readers: dict[str, _Reader] = {}

    def __repr__(self) -> str:
        """Return what tells managers apart, and nothing of the configuration."""
        return f"{type(self).__name__}(max_connections={self._cap})"

    def __enter__(self) -> Self:
        """Return the manager itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self.close()

    def close(self) -> None:
        """Close this process's connections; the next use opens new ones."""
        pools = self._processes.pop(os.getpid(), None)
        if pools is not None:
            pools.close()

    @property
    def max_connections(self) -> int:
        """Return how many connections an instance, or read endpoint, may have at a time."""
        return self._cap

    def backend(self, shard: str) -> Backend:
        """Return the kind of server that a shard is on."""
        return self._config.instance(self._config.shard(shard).instance).backend

    def instance_of(self, shard: str) -> str:
        """Return the name of the instance that a shard is on."""
        return self._config.shard(shard).instance

    def read_endpoints(self, shard: str) -> tuple[str, ...]:
        """Return the addresses of a shard's read endpoints, as ``read`` takes them."""
        return tuple(endpoint.address for endpoint in self._config.shard(shard).read)

    def write(self, shard: str) -> "AbstractContextManager[Connection]":
        """Return a context manager that yields a connection to the shard's primary.

        Nothing is committed for you, and leaving the block rolls back what is open. Errors of the
        driver leave the block as DatabaseError.

        Raises:
            UsageError: no such shard, or its password cannot be looked up.
            DatabaseError: no connection; all of the instance's connections stayed in use; an error
                inside the block.
        """
        instance = self._config.instance(self._config.shard(shard).instance)
        return self._pool(instance).connection(self._place(instance, shard))

    def read(
        self, shard: str, *, endpoint: str | None = None
    ) -> "AbstractContextManager[Connection]":
        """Return a context manager as ``write`` does, to one of the shard's read endpoints.

        Without `endpoint`, an address such as ``reader1:3306``, one is chosen by chance; if it
        cannot be reached, the others are tried. A shard that has none reads from its primary.
        What a read endpoint answers may be older than the primary's data.
        """
        endpoints = self._config.shard(shard).read
        if endpoint is not None:
            endpoints = tuple(found for found in endpoints if found.address == endpoint)
            if not endpoints:
                raise self._unknown_endpoint(shard, endpoint)
        if not endpoints:
            return self.write(shard)
        start = self._chooser.randrange(len(endpoints))
        return self._first_reachable(shard, (*endpoints[start:], *endpoints[:start]))

    def take_session(self, shard: str) -> Session:
        """Return a session of a MySQL shard's read endpoint for one statement that leaves nothing.

        That is a statement that reads and changes no transaction, variable, lock or temporary
        table of its session. It costs one round trip, where one in a block costs three. Endpoints
        are chosen as ``read`` does.

        Raises:
            DatabaseError: no connection; all of the instance's connections stayed in use.
        """
        reader = self._only_readers.get(shard)
        if reader is not None and self._processes.get(os.getpid()) is reader.pools:
            return reader.pool.take_session(reader.place)
        endpoints = self._config.shard(shard).read or (None,)
        if len(endpoints) == 1:
            reader = self._only_readers[shard] = self._reader(shard, endpoints[0])
            return reader.pool.take_session(reader.place)
        start = self._chooser.randrange(len(endpoints))
        *some, last = (*endpoints[start:], *endpoints[:start])
        for endpoint in some:
            with suppress(ServerUnreachableError):
                reader = self._reader(shard, endpoint)
                return reader.pool.take_session(reader.place)
        reader = self._reader(shard, last)
        return reader.pool.take_session(reader.place)

    def instance(self, name: str) -> "AbstractContextManager[Connection]":
        """Return a context manager as ``write`` does, to a server and none of its shards."""
        instance = self._config.instance(name)
        if instance.backend is Backend.SQLITE:
            raise UsageError(
                f"instance {name} is the directory {instance.directory}: there is no server to "
                "connect to",
                next_step="connect to one of its shards",
            )
        return self._pool(instance).connection(self._place(instance))

    def engine(self, shard: str) -> "Engine":
        """Return a SQLAlchemy engine on the shard's primary, for code that wants one.

        Its connections are of the instance's pool and count towards its cap; those to a SQLite
        file are opened when needed and not counted. Errors leave it as SQLAlchemy's own, but for
        what a guard refuses: WrongShardError and ShardKeyError. It is this process's: ask for it
        again after a fork. MySQL: connects once, for the server's version.

        Raises:
            UsageError: no such shard, or its password cannot be looked up.
            DatabaseError: no connection.
        """
        instance = self._config.instance(self._config.shard(shard).instance)
        return self._pool(instance).engine(self._place(instance, shard))

    def create_database(self, shard: str) -> None:
        """Create the shard's empty database; one that exists stays as it is."""
        instance = self._config.instance(self._config.shard(shard).instance)
        place = self._place(instance, shard)
        pool = self._pool(instance)
        if isinstance(pool, FilePool):
            pool.create(place)
            return
        with pool.connection(self._place(instance)) as connection:
            statement = sql.create_database(self._config.shard(shard).database)
            connection.exec_driver_sql(statement.sql)

    def has_database(self, shard: str) -> bool:
        """Tell whether the shard's database is there."""
        instance = self._config.instance(self._config.shard(shard).instance)
        place = self._place(instance, shard)
        pool = self._pool(instance)
        if isinstance(pool, FilePool):
            return pool.has(place)
        with pool.connection(self._place(instance)) as connection:
            found = sql.find_database(self._config.shard(shard).database)
            row = connection.exec_driver_sql(found.sql, found.parameters).first()
        return row is not None

    def drop_database(self, shard: str) -> None:
        """Drop the shard's database with all that is in it; one that is gone stays gone."""
        instance = self._config.instance(self._config.shard(shard).instance)
        place = self._place(instance, shard)
        pool = self._pool(instance)
        if isinstance(pool, FilePool):
            pool.remove(place)
            return
        with pool.connection(self._place(instance)) as connection:
            statement = sql.drop_database(self._config.shard(shard).database)
            connection.exec_driver_sql(statement.sql)

    def run_batch(
        self,
        shard: str,
        work: "Callable[[Connection], T]",
        *,
        idempotent: bool,
        locks_reads: bool = True,
    ) -> T:
        """Run `work` in one transaction on the shard's primary, commit, and return its result.

        A lock wait, a deadlock or an unreachable server rolls back and runs the whole batch
        again, a bounded number of times; a lost connection does so only if the batch is
        `idempotent`, because it may have been committed. So `work` must do all its writing through
        its argument.

        Without `locks_reads` a MySQL server reads what is committed, each statement anew, also
        where it fills one table from another: it then neither locks nor waits for what it reads.

        Raises:
            DatabaseError: as ``write``, and after the last try.
        """

        def batch() -> T:
            with self.write(shard) as connection, connection.begin():
                if not locks_reads and self.backend(shard) is Backend.MYSQL:
                    connection.exec_driver_sql(sql.commit_reads().sql)
                return work(connection)

        return self._retrier.run(batch, shard=shard, idempotent=idempotent)

    @contextmanager
    def _first_reachable(self, shard: str, endpoints: Sequence[Endpoint]) -> "Iterator[Connection]":
        instance = self._config.instance(self._config.shard(shard).instance)
        blocks = [
            self._pool(instance, endpoint).connection(self._place(instance, shard, endpoint))
            for endpoint in endpoints
        ]
        with ExitStack() as stack:
            yield _enter_first(stack, blocks)

    def _reader(self, shard: str, endpoint: Endpoint | None) -> "_Reader":
        instance = self._config.instance(self._config.shard(shard).instance)
        pools = self._own_pools()
        pool = self._pool(instance, endpoint)
        assert isinstance(pool, ServerPool)
        return _Reader(pools, pool, self._place(instance, shard, endpoint))

    def _own_pools(self) -> "_Pools":
        """Return the pools of this process."""
        process = os.getpid()
        pools = self._processes.get(process)
        if pools is None:
            pools = self._processes.setdefault(process, _Pools())
        return pools

    def _pool(self, instance: Instance, endpoint: Endpoint | None = None) -> ServerPool | FilePool:
        return self._own_pools().get(
            endpoint or instance.endpoint or instance.name,
            lambda: self._make_pool(instance, endpoint or instance.endpoint),
        )

    def _make_pool(self, instance: Instance, endpoint: Endpoint | None) -> ServerPool | FilePool:
        place = self._place(instance, endpoint=endpoint)
        if endpoint is None:
            return FilePool(
                Path(instance.directory or ""),
                place=place,
                session=self._session,
                cap=self._cap,
                wait_s=self._wait_s,
            )
        return ServerPool(
            endpoint,
            place=place,
            session=self._session,
            secrets=self._secrets,
            cap=self._cap,
            wait_s=self._wait_s,
        )

    def _place(
        self, instance: Instance, shard: str | None = None, endpoint: Endpoint | None = None
    ) -> Place:
        used = endpoint or instance.endpoint
        return Place(
            instance=instance.name,
            address=used.address if used else instance.directory or "",
            shard=shard,
            database=self._config.shard(shard).database if shard else None,
        )

    def _unknown_endpoint(self, shard: str, address: str) -> UsageError:
        known = ", ".join(found.address for found in self._config.shard(shard).read) or "none"
        return UsageError(
            f"shard {shard} has no read endpoint {address!r}; it has {known}",
            next_step=f"name one of: {known}",
        )


class _Pools:
    """The pools of one process, by the server or directory that they are for."""

    def __init__(self) -> None:
        self._pools: dict[Endpoint | str, ServerPool | FilePool] = {}
        self._lock = Lock()

    def get(
        self, key: Endpoint | str, make: Callable[[], ServerPool | FilePool]
    ) -> ServerPool | FilePool:
        with self._lock:
            if key not in self._pools:
                self._pools[key] = make()
            return self._pools[key]

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.close()


class _Reader(NamedTuple):
    """The only pool that a shard is read from, while ``pools`` are those of the process."""

    pools: _Pools
    pool: ServerPool
    place: Place


def _enter_first(
    stack: ExitStack, blocks: "Sequence[AbstractContextManager[Connection]]"
) -> "Connection":
    """Enter the first block whose server can be reached; the last one's error is the caller's."""
    for block in blocks[:-1]:
        with suppress(ServerUnreachableError):
            return stack.enter_context(block)
    return stack.enter_context(blocks[-1])
