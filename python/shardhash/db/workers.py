"""Runs the tasks of a query on their shards.

``run_tasks`` is the runner (``db.tasks.TaskRunner``) of ``Cluster.query``, bound to the
connections of the cluster's present configuration.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

from shardhash.db.connections import ConnectionManager
from shardhash.db.tasks import ShardRows, ShardTask, result_columns

__all__ = ["run_tasks"]


@contextmanager
def run_tasks(
    tasks: Sequence[ShardTask],
    *,
    connections: ConnectionManager,
    executor: Executor | None = None,
) -> Iterator[Sequence[ShardRows]]:
    """Yield the answers of `tasks`, in their order; ``db.tasks.TaskRunner`` says what is owed."""
    answers = []
    for task in tasks:
        with connections.read(task.shard) as connection:
            result = connection.exec_driver_sql(task.sql, task.parameters or None)
            cursor = result.cursor
            columns = result_columns(
                cursor.description if cursor else None, connections.backend(task.shard)
            )
            rows = [tuple(row) for row in result]
        answers.append(ShardRows(task.shard, columns, iter([rows])))
    yield answers
