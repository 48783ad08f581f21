"""Runs the tasks of a query on their shards: threads by default, or any executor.

``run_tasks`` is the runner (``db.tasks.TaskRunner``) of ``Cluster.query``, bound to the
connections of the cluster's present configuration.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

from shardhash.db.connections import ConnectionManager
from shardhash.db.tasks import ShardRows, ShardTask
from shardhash.db.workers._dask import dask_executor
from shardhash.db.workers._direct import Direct
from shardhash.db.workers._plain import PlainReader, read_plain
from shardhash.db.workers._remote import Submission
from shardhash.db.workers._threads import Fanout, ShardOutcome
from shardhash.db.workers._worker import QueryWorker, TaskAnswer

__all__ = [
    "PlainReader",
    "QueryWorker",
    "ShardOutcome",
    "TaskAnswer",
    "dask_executor",
    "read_plain",
    "run_everywhere",
    "run_tasks",
]


@contextmanager
def run_tasks(
    tasks: Sequence[ShardTask],
    *,
    connections: ConnectionManager,
    executor: Executor | None = None,
) -> Iterator[Sequence[ShardRows]]:
    """Yield the answers of `tasks`, in their order; ``db.tasks.TaskRunner`` says what is owed.

    Without an executor each task has a thread of this process, and its rows come as a stream: at
    most four blocks of about 256 KiB are held for each shard. An instance is asked by as many
    threads at a time as it may have connections. A single task runs in the caller's thread.

    With an executor each answer comes in one piece, made by a ``QueryWorker``; in other processes
    it opens its own connections by the configuration that the task names.
    """
    run: Submission | Direct | Fanout
    if executor:
        run = Submission(tasks, connections, executor)
    else:
        run = Direct(tasks[0], connections) if len(tasks) == 1 else Fanout(tasks, connections)
    try:
        yield run.start()
    finally:
        run.end()


def run_everywhere(
    tasks: Sequence[ShardTask], *, connections: ConnectionManager
) -> list[ShardOutcome]:
    """Run statements on the primaries of their shards, commit each, and return what came of each.

    A shard that fails does not stop the others; leaving by Ctrl-C ends those under way.
    """
    fanout = Fanout(tasks, connections, commit=True)
    try:
        return fanout.gather()
    finally:
        fanout.end()
