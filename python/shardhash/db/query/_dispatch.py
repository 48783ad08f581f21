"""Which shards a statement touches, with a connection to each."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shardhash.db.connections import ConnectionManager
from shardhash.db.query._explanation import Explanation
from shardhash.db.query._text import Params
from shardhash.errors import QueryRefusedError, WrongShardError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["QueryDispatcher", "Target"]


class _Cluster(Protocol):
    @property
    def connections(self) -> ConnectionManager: ...

    def learn_from(self, error: WrongShardError) -> None: ...

    def explain(
        self,
        sql: str,
        params: Params = (),
        *,
        mapping: str | None = None,
        shards: Sequence[str] | None = None,
    ) -> Explanation: ...


@dataclass(frozen=True, slots=True)
class Target:
    """A shard that a statement touches."""

    shard: str
    _cluster: _Cluster
    _connections: ConnectionManager

    def connection(self, *, read_only: bool = False) -> "AbstractContextManager[Connection]":
        """Return a context manager with a connection to the shard, as ``Cluster.connection``."""
        if read_only:
            return self._connections.read(self.shard)
        return self._minding_guards()

    @contextmanager
    def _minding_guards(self) -> "Iterator[Connection]":
        try:
            with self._connections.write(self.shard) as connection:
                yield connection
        except WrongShardError as error:
            self._cluster.learn_from(error)
            raise


class QueryDispatcher:
    """Tells where statements go; it runs none of them.

    Args:
        cluster: a ``Cluster``.
    """

    def __init__(self, cluster: _Cluster) -> None:
        self._cluster = cluster

    def targets(self, query: str, params: Params = ()) -> tuple[Target, ...]:
        """Return the shards that a statement touches, in the order of its mapping.

        Raises:
            QueryRefusedError: it cannot be told, or shards could not answer it.
        """
        found = self._cluster.explain(query, params)
        if found.kind == "steps":
            raise QueryRefusedError(
                "the statement is asked in steps: its shards depend on the answers of its parts",
                next_step="run it with cluster.query, or ask for the parts one by one",
            )
        return tuple(
            Target(shard, self._cluster, self._cluster.connections) for shard in found.shards
        )
