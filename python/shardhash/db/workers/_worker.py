"""One task in any process, on connections that the process opens itself."""

from dataclasses import dataclass

from shardhash.db.connections import ConnectionManager, SessionSettings
from shardhash.db.processes import process_connections
from shardhash.db.tasks import ResultColumn, Row, ShardTask
from shardhash.db.workers._statement import Statement, block_bytes
from shardhash.errors import MemoryCapError, UsageError

__all__ = ["QueryWorker", "TaskAnswer"]

MOST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """The whole answer of one shard."""

    shard: str
    columns: tuple[ResultColumn, ...]
    rows: tuple[Row, ...]


class QueryWorker:
    """Runs one task on one shard. Thread-safe; without connections of its own it can be pickled.

    Args:
        connections: to use; None: the process opens its own, by the configuration that each task
            names, and keeps them for the next task.
        most_bytes: about how large an answer may be, because it is sent in one piece.
    """

    def __init__(
        self, connections: ConnectionManager | None = None, *, most_bytes: int = MOST_BYTES
    ) -> None:
        self._connections = connections
        self._most_bytes = most_bytes

    def run(self, task: ShardTask) -> TaskAnswer:
        """Return the answer of a task; running it again only reads again.

        Raises:
            UsageError: the task names no configuration, and the worker has no connections.
            StaleMapError: the configuration found here is another version than the task's.
            MemoryCapError: the answer is larger than ``most_bytes``.
            DeadlineError: the server ended the statement at its deadline.
            DatabaseError: the shard failed.
        """
        connections = self._connections or _connections_of(task)
        rows: list[Row] = []
        size = 0
        with Statement(task, connections).running() as statement:
            for block in statement.blocks:
                rows.extend(map(tuple, block))
                size += block_bytes(block)
                if size > self._most_bytes:
                    raise _too_large(task.shard, self._most_bytes)
            return TaskAnswer(task.shard, statement.columns, tuple(rows))


def _connections_of(task: ShardTask) -> ConnectionManager:
    if task.config is None:
        raise UsageError(
            f"the task for shard {task.shard} names no configuration that another process can load",
            next_step="open the cluster from a path or URL: Cluster.open(...)",
        )
    session = SessionSettings.application()
    return process_connections(task.config, task.config_version, session=session)[1]


def _too_large(shard: str, most_bytes: int) -> MemoryCapError:
    return MemoryCapError(
        f"the answer of shard {shard} is larger than {most_bytes // 2**20} MiB, the most that is "
        "sent between processes in one piece",
        next_step="ask without an executor: threads stream; or ask for fewer rows or columns",
    )
