"""One task in the thread that asks: a thread of its own would cost more than all the rest."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress

from shardhash.db.connections import ConnectionManager
from shardhash.db.tasks import Row, ShardRows, ShardTask
from shardhash.db.workers._statement import EndedError, Statement
from shardhash.errors import UsageError

__all__ = ["Direct"]


class Direct:
    """A task whose rows are fetched when they are read."""

    def __init__(self, task: ShardTask, connections: ConnectionManager) -> None:
        self._shard = task.shard
        self._statement = Statement(task, connections)
        self._open = ExitStack()
        self._is_closed = False

    def start(self) -> Sequence[ShardRows]:
        """Begin the task, and return its answer once its columns are known.

        Raises:
            ShardhashError: the shard failed.
        """
        opened = self._open.enter_context(self._statement.running())
        return [ShardRows(self._shard, opened.columns, self._blocks(opened.blocks))]

    def end(self) -> None:
        """End the statement where it has rows left, and give the connection back."""
        self._is_closed = True
        if not self._statement.is_fetched:
            self._statement.end()
        with suppress(EndedError):
            self._open.close()

    def _blocks(self, blocks: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        while not self._statement.is_fetched:
            if self._is_closed:
                raise UsageError(
                    "the answer was closed before all its rows were read",
                    next_step="read the rows inside the block that opened the answer",
                )
            try:
                block = next(blocks, None)
            except BaseException:
                self._open.__exit__(*sys.exc_info())  # which says where, and gives all back
                raise
            if block is not None:
                yield block
