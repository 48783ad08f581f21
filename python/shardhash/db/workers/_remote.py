"""Tasks on an executor that the caller gives: threads, processes, or a cluster of machines."""

import logging
import secrets
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace

from shardhash.db.connections import ConnectionManager
from shardhash.db.tasks import ShardRows, ShardTask
from shardhash.db.topology import Backend
from shardhash.db.workers._worker import QueryWorker, TaskAnswer
from shardhash.errors import DatabaseError

__all__ = ["Submission"]

_LOG = logging.getLogger("shardhash.db.workers")
_RUNNING = """
    SELECT id FROM information_schema.processlist
    WHERE command <> 'Sleep' AND info LIKE %s AND id <> CONNECTION_ID()"""


class Submission:
    """Tasks handed to an executor. Each answer comes in one piece.

    Statements carry a mark, by which the servers can be told to end them: an executor cannot stop
    work that has begun.
    """

    def __init__(
        self, tasks: Sequence[ShardTask], connections: ConnectionManager, executor: Executor
    ) -> None:
        self._connections = connections
        self._mark = f"/* shardhash {secrets.token_hex(8)} */"
        self._tasks = [replace(task, sql=f"{self._mark} {task.sql}") for task in tasks]
        self._executor = executor
        self._is_here = isinstance(executor, ThreadPoolExecutor)
        self._futures: list[Future[TaskAnswer]] = []

    def start(self) -> Sequence[ShardRows]:
        """Run all tasks and return their answers.

        Raises:
            ShardhashError: of the first task that failed.
        """
        worker = QueryWorker(self._connections if self._is_here else None)
        for task in self._tasks:
            self._futures.append(self._executor.submit(worker.run, task))
        done, _ = wait(self._futures, return_when=FIRST_EXCEPTION)
        for future in self._futures:
            if future in done and (error := future.exception()):
                raise error
        answers = [future.result() for future in self._futures]
        return [ShardRows(each.shard, each.columns, iter([each.rows])) for each in answers]

    def end(self) -> None:
        """End what has not answered, on the servers too.

        Only threads tell by ``cancel`` that a task has not begun: Dask says so of running ones too.
        """
        unanswered = [
            (task, future)
            for task, future in zip(self._tasks, self._futures, strict=False)
            if not future.done()
        ]
        for task, future in unanswered:
            if future.cancel() and self._is_here:
                continue
            if self._connections.backend(task.shard) is Backend.MYSQL:
                for endpoint in (None, *self._connections.read_endpoints(task.shard)):
                    with suppress(DatabaseError):
                        self._kill(task.shard, endpoint)

    def _kill(self, shard: str, endpoint: str | None) -> None:
        connections = self._connections
        server = (
            connections.read(shard, endpoint=endpoint) if endpoint else connections.write(shard)
        )
        with server as connection:
            found = connection.exec_driver_sql(_RUNNING, (f"%{self._mark}%",)).scalars()
            for session in found.all():
                _LOG.info("kill_query", extra={"fields": {"shard": shard, "session": session}})
                connection.exec_driver_sql("KILL QUERY %s", (session,))
