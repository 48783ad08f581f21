"""How far an operation is, told to a listener after every batch."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shardhash.db.plan import Progress

__all__ = ["Meter", "ProgressListener"]

ProgressListener = Callable[[Progress], None]


@dataclass(slots=True)
class Meter:
    """Counts the rows of the present step; ``rows_done`` are those of all steps of this run."""

    operation: str
    phases: int
    listener: ProgressListener | None = None
    rows_done: int = field(default=0, init=False)
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
        self._rows_in_step = 0
        self._started = time.monotonic()
        self.tell()

    @property
    def rows_in_step(self) -> int:
        """The rows of the present step so far."""
        return self._rows_in_step

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
        left = max(self._rows_about - self._rows_in_step, 0)
        self.listener(
            Progress(
                operation=self.operation,
                phase=self._phase,
                phases=self.phases,
                title=self._title,
                rows_done=self._rows_in_step,
                rows_about=self._rows_about,
                rows_per_s=rate,
                eta_s=left / rate if rate else None,
                throttled=throttled,
                checkpoint_at=self._checkpoint_at,
            )
        )
