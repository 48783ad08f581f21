"""Tasks on threads of this process: all begin at once, and each answer is a bounded stream.

A thread runs one statement at a time, and an instance gets no more threads than it may have
connections. Where it has more tasks than that, a thread takes the next one when its statement has
ended, and its answers go on to a temporary file rather than wait for their reader.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from shardhash.db.connections import ConnectionManager
from shardhash.db.tasks import ResultColumn, Row, ShardRows, ShardTask
from shardhash.db.workers._buffer import Buffer
from shardhash.db.workers._statement import EndedError, Statement
from shardhash.errors import ShardhashError

__all__ = ["Fanout", "ShardOutcome"]

_END_PAUSE_S = 0.05
_LONGEST_END_S = 30.0


@dataclass(frozen=True, slots=True)
class ShardOutcome:
    """What came of a statement on one shard: its rows, how many it changed, or the error.

    ``row_count`` is 0 for a statement that returns rows.
    """

    shard: str
    columns: tuple[ResultColumn, ...] = ()
    rows: tuple[Row, ...] = ()
    row_count: int = 0
    error: ShardhashError | None = None


class Fanout:
    """The streams of several tasks. ``start`` begins them, ``end`` ends those still under way."""

    def __init__(
        self, tasks: Sequence[ShardTask], connections: ConnectionManager, *, commit: bool = False
    ) -> None:
        self._begun: SimpleQueue[_Stream] = SimpleQueue()
        self._streams = [
            _Stream(task.shard, Statement(task, connections, commit=commit), self._begun)
            for task in tasks
        ]
        waiting: dict[str, deque[_Stream]] = {}
        for stream in self._streams:
            waiting.setdefault(connections.instance_of(stream.shard), deque()).append(stream)
        self._threads = [
            threading.Thread(target=_run_all, args=(streams,), daemon=True, name="shardhash-query")
            for streams in waiting.values()
            for _ in range(min(len(streams), connections.max_connections))
        ]

    def start(self) -> Sequence[ShardRows]:
        """Begin all tasks, and return their answers once the columns of each are known.

        Raises:
            ShardhashError: of the first shard that failed.
        """
        for thread in self._threads:
            thread.start()
        for _ in self._streams:
            stream = self._begun.get()
            if stream.error:
                raise stream.error
        return [ShardRows(s.shard, s.columns, s.buffer.blocks()) for s in self._streams]

    def gather(self) -> list[ShardOutcome]:
        """Begin all tasks and return what came of each, in their order, all rows read."""
        for thread in self._threads:
            thread.start()
        return [stream.outcome() for stream in self._streams]

    def end(self) -> None:
        """End what is under way on the servers, and wait until it has ended."""
        for stream in self._streams:
            stream.buffer.abandon()
        for thread in self._threads:
            waited_s = 0.0
            while thread.is_alive() and waited_s < _LONGEST_END_S:
                for stream in self._streams:
                    stream.end()  # again and again: it may have been on its way to the server
                thread.join(_END_PAUSE_S)
                waited_s += _END_PAUSE_S


class _Stream:
    """A task, its statement, and the buffer that its rows go through."""

    def __init__(self, shard: str, statement: Statement, begun: "SimpleQueue[_Stream]") -> None:
        self.shard = shard
        self.columns: tuple[ResultColumn, ...] = ()
        self.error: Exception | None = None
        self.buffer = Buffer()
        self._row_count = 0
        self._statement = statement
        self._begun = begun

    def end(self) -> None:
        """End the statement unless it has sent all its rows."""
        if not self._statement.is_fetched:
            self._statement.end()

    def run(self, others: "deque[_Stream]") -> None:
        """Run the task to its end; it does not wait for its reader while `others` wait for it."""
        is_begun = False
        try:
            with self._statement.running() as opened:
                self.columns = opened.columns
                self._row_count = opened.row_count
                self._begun.put(self)
                is_begun = True
                for block in opened.blocks:
                    self.buffer.put(block, may_wait=lambda: not others)
        except EndedError as error:
            self.buffer.finish(error)
        except Exception as error:  # the reader's thread raises it
            self.error = error
            self.buffer.finish(error)
            if not is_begun:
                self._begun.put(self)
        else:
            self.buffer.finish()

    def outcome(self) -> ShardOutcome:
        """Return the columns and all rows, or the error, once it is known."""
        try:
            rows = tuple(tuple(row) for block in self.buffer.blocks() for row in block)
        except ShardhashError as error:
            return ShardOutcome(self.shard, error=error)
        return ShardOutcome(self.shard, self.columns, rows, self._row_count)


def _run_all(streams: deque[_Stream]) -> None:
    """Run streams one after the other until none is left."""
    while streams:
        try:
            stream = streams.popleft()
        except IndexError:
            return
        stream.run(streams)
