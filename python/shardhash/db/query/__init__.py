"""Queries over shards: find the shards that a statement touches, ask them, reduce the answers.

What the application calls is on the cluster::

    cluster.query(sql, params=(), *, mapping=None, shards=None, deadline_s=None, executor=None,
                  best_effort=False) -> QueryResult
    cluster.explain(sql, params=(), *, mapping=None, shards=None) -> Explanation
    QueryDispatcher(cluster).targets(query, params=()) -> tuple[Target, ...]

An answer is the one that a single database would have given; where that cannot be promised,
``QueryRefusedError`` says why and what to ask instead (``next_step``).

Layout: ``_result`` and ``_explanation`` are the values handed out; the planner makes one
``ShardTask`` (``db.tasks``) for each shard, ``db.workers.run_tasks`` runs them, ``db.reduce``
makes one answer of theirs.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Protocol

from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager
from shardhash.db.drivers import import_extra
from shardhash.db.mapping import KeyRouter
from shardhash.db.query._dispatch import QueryDispatcher, Target
from shardhash.db.query._explanation import Explanation, ShardStatement
from shardhash.db.query._options import QueryOptions
from shardhash.db.query._result import QueryResult
from shardhash.db.query._routing import Routing
from shardhash.db.query._text import Params, read_text, values_of
from shardhash.db.workers import read_plain, run_tasks

__all__ = [
    "Engine",
    "Explanation",
    "Params",
    "QueryDispatcher",
    "QueryOptions",
    "QueryResult",
    "Routing",
    "ShardStatement",
    "Target",
    "make_engine",
    "query_options",
    "read_text",
    "values_of",
]


_USUAL = QueryOptions()


class Engine(Protocol):
    """Plans and runs the statements of one configuration. Thread-safe."""

    def query(self, sql: str, params: Params, options: QueryOptions) -> QueryResult:
        """Run a statement, as ``Cluster.query`` says."""
        ...

    def explain(self, sql: str, params: Params, options: QueryOptions) -> Explanation:
        """Return how a statement would be run, as ``Cluster.explain`` says."""
        ...

    def route(self, sql: str, params: Params, options: QueryOptions) -> Routing:
        """Return where a statement goes that somebody else runs, as ``Cluster.route`` says."""
        ...

    def shard_of(self, table: str, key: object) -> str:
        """Return the shard of a row that is written with a key, as ``Cluster.shard_of`` says."""
        ...


def make_engine(
    config: Config,
    connections: ConnectionManager,
    router: Callable[[str], KeyRouter],
    *,
    source: str | None = None,
) -> Engine:
    """Return what runs statements on a configuration's shards.

    ``source`` is the path or URL by which other processes load the configuration.

    Raises:
        MissingExtraError: sqlglot is not installed.
    """
    import_extra("sqlglot", extra="query", what="a query over shards")
    from shardhash.db.query._engine import QueryEngine

    runner = partial(run_tasks, connections=connections)
    return QueryEngine(
        config,
        connections,
        router,
        runner,
        read_plain=partial(read_plain, connections),
        source=source,
    )


def query_options(
    *,
    mapping: str | None = None,
    shards: Sequence[str] | None = None,
    deadline_s: float | None = None,
    executor: Executor | None = None,
    best_effort: bool = False,
    memory_mb: int = 1024,
) -> QueryOptions:
    """Return how a statement is to be run, from the arguments of ``Cluster.query``."""
    is_plain = mapping is None and shards is None and deadline_s is None and executor is None
    if is_plain and not best_effort and memory_mb == _USUAL.memory_mb:
        return _USUAL  # making one takes as long as finding the plan
    return QueryOptions(
        mapping=mapping,
        shards=None if shards is None else tuple(shards),
        deadline_s=deadline_s,
        executor=executor,
        best_effort=best_effort,
        memory_mb=memory_mb,
    )
