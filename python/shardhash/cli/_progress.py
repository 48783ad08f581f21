"""How far an operation is: one line on a terminal, JSON lines with ``--json``, else lines of a log.

A terminal keeps a line for each step that is done, and redraws the one of the present step. A log
gets a line as each step begins, one when something holds it up, and one every half minute.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from shardhash.cli._table import count

if TYPE_CHECKING:
    from shardhash.db.plan import Progress

__all__ = ["progress_display", "progress_words"]

Show = Callable[["Progress"], None]
Ticks = Callable[[], float]

_LOG_EVERY_S = 30.0
_BAR_WIDTH = 20
_WIDE_ENOUGH_FOR_A_BAR = 110


def progress_display(
    stream: TextIO,
    *,
    as_json: bool,
    has_steps: bool = False,
    is_watching: bool = False,
    ticks: Ticks = time.monotonic,
) -> AbstractContextManager[Show]:
    """Return the display that suits the stream; rich draws it where it is installed.

    In a log an operation that ``has_steps`` leaves a line for each. Who ``is_watching`` another
    process sees its last checkpoint, and not how long a step took: perhaps it had begun before.
    """
    words = _Words(is_watching)
    if as_json:
        return nullcontext(lambda progress: _print_json(progress, stream))
    if not stream.isatty():
        return nullcontext(_Log(stream, words, has_steps, ticks).show)
    try:
        return _rich_line(stream, words, ticks)
    except ImportError:
        return _plain_line(stream, words, ticks)


def progress_words(progress: "Progress", *, with_checkpoint: bool = False) -> str:
    """Return how far a step is: rows, rows a second and time left, or why it waits.

    With its last checkpoint it tells who looks on from elsewhere that it is alive.
    """
    words = _row_words(progress)
    if progress.throttled:
        words = [f"waits {progress.throttled}", *(words[:1] if with_checkpoint else ())]
    if with_checkpoint and progress.checkpoint_at:
        at = datetime.fromisoformat(progress.checkpoint_at)
        words.append(f"last checkpoint {at:%H:%M:%S} UTC")
    return ", ".join(words)


def _row_words(progress: "Progress") -> list[str]:
    done, about = progress.rows_done, progress.rows_about
    if not (done or about):
        return []
    words = [f"{done:,} of about {count(about, 'row')}" if about else count(done, "row")]
    if done and progress.rows_per_s:
        words.append(f"{progress.rows_per_s:,.0f} rows/s")
    if progress.eta_s is not None and done < about:
        words.append(f"{duration(progress.eta_s)} left")
    return words


def duration(seconds: float) -> str:
    """Return a time to the precision that one waits with: ``12 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _print_json(progress: "Progress", stream: TextIO) -> None:
    print(json.dumps({"event": "progress", **asdict(progress)}), file=stream, flush=True)


@dataclass(frozen=True, slots=True)
class _Words:
    """The lines of a display, for the process at work or for who is watching it."""

    is_watching: bool

    def of(self, progress: "Progress") -> str:
        """Return how far a step is."""
        return progress_words(progress, with_checkpoint=self.is_watching)

    def line(self, progress: "Progress") -> str:
        """Return a step with how far it is."""
        words = self.of(progress)
        return f"{_title(progress)}: {words}" if words else _title(progress)

    def first_line(self, progress: "Progress") -> str:
        """Return the line by which a log begins a step."""
        is_news = self.is_watching or _is_held_up(progress)
        return self.line(progress) if is_news else _title(progress)

    def ended_line(self, progress: "Progress", seconds: float) -> str:
        """Return the line that a step leaves behind."""
        if self.is_watching:
            return f"{_title(progress)}: done"
        rows = f"{count(progress.rows_done, 'row')}, " if progress.rows_done else ""
        return f"{_title(progress)}: {rows}{seconds:.1f} s"


@dataclass(slots=True)
class _Log:
    """Writes the lines of a log: few enough to keep, often enough to see that it is alive."""

    stream: TextIO
    words: _Words
    has_steps: bool
    ticks: Ticks
    _phase: int = field(default=0, init=False)
    _is_waiting: bool = field(default=False, init=False)
    _told_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Begin the first half minute."""
        self._told_at = self.ticks()

    def show(self, progress: "Progress") -> None:
        """Write a line where this is news, or it is time for one."""
        is_waiting = _is_held_up(progress)
        if self.has_steps and progress.phase != self._phase:
            self._tell(self.words.first_line(progress))
        elif (is_waiting and not self._is_waiting) or self.ticks() - self._told_at >= _LOG_EVERY_S:
            self._tell(self.words.line(progress))
        self._phase, self._is_waiting = progress.phase, is_waiting

    def _tell(self, line: str) -> None:
        print(line, file=self.stream, flush=True)
        self._told_at = self.ticks()


@dataclass(slots=True)
class _Steps:
    """Tells which line a step leaves behind when the next one begins."""

    words: _Words
    ticks: Ticks
    _last: "Progress | None" = field(default=None, init=False)
    _began: float = field(default=0.0, init=False)

    def ended_by(self, progress: "Progress") -> str | None:
        """Return the line of the step before this one; None while it is still the same."""
        last, self._last = self._last, progress
        if last is not None and last.phase == progress.phase:
            return None
        seconds, self._began = self.ticks() - self._began, self.ticks()
        return None if last is None else self.words.ended_line(last, seconds)

    def last_line(self, *, is_ended: bool) -> str | None:
        """Return the line of the last step; None if there was none."""
        if self._last is None:
            return None
        if is_ended:
            return self.words.ended_line(self._last, self.ticks() - self._began)
        return self.words.line(self._last)


def _is_held_up(progress: "Progress") -> bool:
    """Tell whether it waits because of something; a wait "until" a time is part of the step."""
    return (progress.throttled or "").startswith("because")


def _rich_line(stream: TextIO, words: _Words, ticks: Ticks) -> AbstractContextManager[Show]:
    """Return a display of the present step, with a bar where there is room for words beside it.

    Raises:
        ImportError: rich is not installed.
    """
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    console = Console(file=stream)
    text = Column(no_wrap=True, overflow="ellipsis")
    has_bar = console.width >= _WIDE_ENOUGH_FOR_A_BAR
    bars = Bars(
        TextColumn("{task.description}", markup=False, table_column=text),
        *([BarColumn(bar_width=_BAR_WIDTH)] if has_bar else []),
        TextColumn("{task.fields[words]}", markup=False, table_column=text),
        console=console,
        transient=True,
    )
    steps = _Steps(words, ticks)

    def leave(line: str | None) -> None:
        if line is not None:
            console.print(line, markup=False, highlight=False)

    @contextmanager
    def display() -> Iterator[Show]:
        task = bars.add_task("", words="", visible=False)

        def show(progress: "Progress") -> None:
            bars.start()
            if (line := steps.ended_by(progress)) is not None:
                leave(line)
                bars.reset(task)
            bars.update(
                task,
                description=_title(progress),
                words=words.of(progress),
                completed=progress.rows_done,
                total=progress.rows_about or None,
                visible=True,
            )

        is_ended = False
        try:
            yield show
            is_ended = True
        finally:
            bars.stop()
            leave(steps.last_line(is_ended=is_ended))

    return display()


@contextmanager
def _plain_line(stream: TextIO, words: _Words, ticks: Ticks) -> Iterator[Show]:
    """Rewrite one line in place, and leave it standing."""
    steps = _Steps(words, ticks)

    def write(line: str, end: str = "") -> None:
        width = shutil.get_terminal_size().columns - 1
        stream.write(f"\r{line[:width]}\x1b[K{end}")
        stream.flush()

    def show(progress: "Progress") -> None:
        if (line := steps.ended_by(progress)) is not None:
            write(line, end="\n")
        write(words.line(progress))

    is_ended = False
    try:
        yield show
        is_ended = True
    finally:
        if (line := steps.last_line(is_ended=is_ended)) is not None:
            write(line, end="\n")


def _title(progress: "Progress") -> str:
    return f"[{progress.phase}/{progress.phases}] {progress.title}"
