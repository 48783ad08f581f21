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

from shardhash.db.query._explanation import Explanation
from shardhash.db.query._result import QueryResult

__all__ = ["Explanation", "QueryResult"]
