"""How far an operation is: bars on a terminal, JSON lines with ``--json``, else nothing."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from shardhash.db.plan import Progress

__all__ = ["progress_display"]

Show = Callable[["Progress"], None]


def progress_display(stream: TextIO, *, as_json: bool) -> AbstractContextManager[Show]:
    """Return the display that suits the stream; rich draws it where it is installed."""
    if as_json:
        return nullcontext(lambda progress: _print_json(progress, stream))
    if not stream.isatty():
        return nullcontext(lambda progress: None)
    try:
        return _rich_bars()
    except ImportError:
        return _plain_line(stream)


def _print_json(progress: "Progress", stream: TextIO) -> None:
    print(json.dumps({"event": "progress", **asdict(progress)}), file=stream, flush=True)


def _rich_bars() -> AbstractContextManager[Show]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )

    @contextmanager
    def display() -> Iterator[Show]:
        tasks: dict[tuple[str, int], TaskID] = {}

        def show(progress: "Progress") -> None:
            phase = (progress.operation, progress.phase)
            if phase not in tasks:
                tasks[phase] = bars.add_task(_title(progress))
            bars.update(tasks[phase], completed=progress.rows_done, total=progress.rows_about)

        with bars:
            yield show

    return display()


@contextmanager
def _plain_line(stream: TextIO) -> Iterator[Show]:
    """Rewrite one line in place, and leave it standing."""

    def show(progress: "Progress") -> None:
        line = f"{_title(progress)}: {progress.rows_done:,} of about {progress.rows_about:,} rows"
        stream.write(f"\r{line}\x1b[K")
        stream.flush()

    yield show
    stream.write("\n")


def _title(progress: "Progress") -> str:
    return f"[{progress.phase}/{progress.phases}] {progress.title}"
