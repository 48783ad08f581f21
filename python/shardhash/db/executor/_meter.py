"""How far an operation is, told to a listener after every batch."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shardhash.db.plan import Progress
from shardhash.db.ports import Clock
from shardhash.errors import StoreError

__all__ = ["Meter", "ProgressListener", "ProgressSaver"]

ProgressListener = Callable[[Progress], None]

_SAVE_EVERY_S = 3.0


@dataclass(slots=True)
class ProgressSaver:
    """Saves how far an operation is, every few seconds at most.

    Nothing goes by what is saved but who looks on: an operation does not stop for want of it.
    """

    save_progress: ProgressListener
    clock: Clock
    _saved_at: float = field(default=float("-inf"), init=False)

    def save(self, progress: Progress) -> None:
        """Save it, unless that was done a moment ago."""
        now = self.clock.monotonic()
        if now - self._saved_at < _SAVE_EVERY_S:
            return
        self._saved_at = now
        with suppress(StoreError):
            self.save_progress(progress)


@dataclass(slots=True)
class Meter:
    """Counts the rows of the present step; ``rows_done`` are those of all steps of this run."""

    operation: str
    phases: int
    listener: ProgressListener | None = None
    rows_done: int = field(default=0, init=False)
    _rows_before: int = field(default=0, init=False)
    _phase: int = field(default=0, init=False)
    _title: str = field(default="", init=False)
    _rows_about: int = field(default=0, init=False)
    _rows_in_step: int = field(default=0, init=False)
    _started: float = field(default=0.0, init=False)
    _checkpoint_at: str | None = field(default=None, init=False)

    def begin(self, phase: int, title: str, rows_about: int | None = None) -> None:
        """Begin phase `phase`, counted from 1, which is about some rows, if that is known."""
        self._phase, self._title = phase, title
        self._rows_about = rows_about or 0
        self._rows_in_step = self._rows_before = 0
        self._started = time.monotonic()
        self.tell()

    @property
    def rows_in_step(self) -> int:
        """The rows of the present step so far, those of earlier runs too."""
        return self._rows_before + self._rows_in_step

    def add_earlier(self, count: int) -> None:
        """Count rows of the present step that an earlier run has done."""
        self._rows_before += count
        self.tell()

    def add(self, count: int) -> None:
        """Count the rows of a batch."""
        self._rows_in_step += count
        self.rows_done += count
        self.tell()

    def checkpoint(self) -> None:
        """Note that what was done so far is safe, whatever happens to this process."""
        self._checkpoint_at = datetime.now(UTC).isoformat(timespec="milliseconds")

    def tell(self, throttled: str | None = None) -> None:
        """Tell the listener how far it is, and why it waits where it does."""
        if self.listener is None:
            return
        rate = self._rows_in_step / max(time.monotonic() - self._started, 1e-9)
        left = max(self._rows_about - self.rows_in_step, 0)
        self.listener(
            Progress(
                operation=self.operation,
                phase=self._phase,
                phases=self.phases,
                title=self._title,
                rows_done=self.rows_in_step,
                rows_about=self._rows_about,
                rows_per_s=rate,
                eta_s=left / rate if rate else None,
                throttled=throttled,
                checkpoint_at=self._checkpoint_at,
            )
        )
