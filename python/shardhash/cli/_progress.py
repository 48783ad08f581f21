"""How far an operation is: bars on a terminal, JSON lines with ``--json``, else a line a step."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from shardhash.db.plan import Progress

__all__ = ["progress_display"]

Show = Callable[["Progress"], None]


def progress_display(
    stream: TextIO, *, as_json: bool, has_steps: bool = False
) -> AbstractContextManager[Show]:
    """Return the display that suits the stream; rich draws it where it is installed.

    In a log an operation that ``has_steps`` leaves a line for each.
    """
    if as_json:
        return nullcontext(lambda progress: _print_json(progress, stream))
    if not stream.isatty():
        return nullcontext(_step_lines(stream) if has_steps else lambda progress: None)
    try:
        return _rich_bars()
    except ImportError:
        return _plain_line(stream)


def _print_json(progress: "Progress", stream: TextIO) -> None:
    print(json.dumps({"event": "progress", **asdict(progress)}), file=stream, flush=True)


def _step_lines(stream: TextIO) -> Show:
    """Return what writes a line as each step begins."""
    shown = 0

    def show(progress: "Progress") -> None:
        nonlocal shown
        if progress.phase != shown:
            shown = progress.phase
            print(_title(progress), file=stream, flush=True)

    return show


def _rich_bars() -> AbstractContextManager[Show]:
    """Return a display with a bar for each phase; ImportError where rich is not installed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )

    @contextmanager
    def display() -> Iterator[Show]:
        tasks: dict[int, TaskID] = {}

        def show(progress: "Progress") -> None:
            bars.start()
            if progress.phase not in tasks:
                tasks[progress.phase] = bars.add_task(_title(progress))
            bars.update(
                tasks[progress.phase], completed=progress.rows_done, total=progress.rows_about
            )

        try:
            yield show
        finally:
            bars.stop()

    return display()


@contextmanager
def _plain_line(stream: TextIO) -> Iterator[Show]:
    """Rewrite one line in place, and leave it standing."""
    has_shown = False

    def show(progress: "Progress") -> None:
        nonlocal has_shown
        has_shown = True
        line = f"{_title(progress)}: {progress.rows_done:,} of about {progress.rows_about:,} rows"
        stream.write(f"\r{line}\x1b[K")
        stream.flush()

    try:
        yield show
    finally:
        if has_shown:
            stream.write("\n")


def _title(progress: "Progress") -> str:
    return f"[{progress.phase}/{progress.phases}] {progress.title}"
