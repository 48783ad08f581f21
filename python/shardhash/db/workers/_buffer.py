"""Rows on their way from the thread that fetches them to the one that reads them."""

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from threading import Condition
from typing import IO

from shardhash.db.tasks import Row
from shardhash.db.workers._statement import EndedError
from shardhash.errors import UsageError

__all__ = ["Buffer"]

_MOST_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where a block stands in the buffer's file."""

    start: int
    size: int


class Buffer:
    """A queue of blocks of rows. Invariant: at most four of them are in memory.

    One thread puts, one reads. A block that finds no room waits, or goes to a file that has no
    name and ends with the buffer; the order stays.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._blocks: deque[Sequence[Row] | _Stored] = deque()
        self._in_memory = 0
        self._file: IO[bytes] | None = None
        self._is_finished = False
        self._is_abandoned = False
        self._error: Exception | None = None

    def put(self, block: Sequence[Row], *, may_wait: Callable[[], bool]) -> None:
        """Add a block, waiting for room where `may_wait` allows it.

        Raises:
            EndedError: nobody will read it.
        """
        with self._changed:
            while self._in_memory >= _MOST_BLOCKS and may_wait() and not self._is_abandoned:
                self._changed.wait()
            if self._is_abandoned:
                raise EndedError
            if self._in_memory < _MOST_BLOCKS:
                self._blocks.append(block)
                self._in_memory += 1
            else:
                self._blocks.append(self._stored(block))
            self._changed.notify_all()

    def finish(self, error: Exception | None = None) -> None:
        """Say that no block follows, or raise `error` to the reader after the last one."""
        with self._changed:
            self._is_finished, self._error = True, error
            self._changed.notify_all()

    def abandon(self) -> None:
        """Say that nobody reads on; who waits for room gets an EndedError."""
        with self._changed:
            self._is_abandoned = True
            self._blocks.clear()
            if self._file:
                self._file.close()
            self._changed.notify_all()

    def blocks(self) -> Iterator[Sequence[Row]]:
        """Yield the blocks, waiting for the next one as long as it takes.

        Raises:
            UsageError: the buffer was abandoned before all was read.
            Exception: the error that the other side finished with.
        """
        while (block := self._next()) is not None:
            yield block

    def _next(self) -> Sequence[Row] | None:
        with self._changed:
            while not (self._blocks or self._is_finished or self._is_abandoned):
                self._changed.wait()
            if self._is_abandoned:
                raise UsageError(
                    "the answer was closed before all its rows were read",
                    next_step="read the rows inside the block that opened the answer",
                )
            if self._blocks:
                return self._taken(self._blocks.popleft())
            if self._error:
                raise self._error
            return None

    def _taken(self, block: Sequence[Row] | _Stored) -> Sequence[Row]:
        if isinstance(block, _Stored):
            assert self._file
            self._file.seek(block.start)
            rows: Sequence[Row] = pickle.loads(self._file.read(block.size))  # noqa: S301  our own
            return rows
        self._in_memory -= 1
        self._changed.notify_all()
        return block

    def _stored(self, block: Sequence[Row]) -> _Stored:
        if self._file is None:
            self._file = TemporaryFile()  # noqa: SIM115  closed by abandon, or with the buffer
        start = self._file.seek(0, 2)
        return _Stored(start, self._file.write(pickle.dumps(block, protocol=5)))
