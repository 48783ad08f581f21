"""Kill every operation at every event, on both backends, and print what became of it.

``make crash`` runs it. Without ``--drawn`` every event of every operation is tried on MariaDB,
which takes hours; on SQLite the first event of every distinct state on disk, as the others leave
the same.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import servers
from crash_cases import CASES, make_base
from crash_states import FileCluster, ServerCluster
from crashing import Crashes, drawn_events

WORKERS = 2


@dataclass(frozen=True)
class Tried:
    """One operation on one kind of server."""

    kind: str
    name: str
    events: int
    killed: int
    faults: tuple[str, ...]


def try_sqlite(name: str) -> Tried:
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "cluster"
        directory.mkdir()
        cluster = FileCluster(directory)
        make_base(cluster, CASES[name].base)
        crashes = Crashes(cluster, CASES[name], cluster.save(), Path(scratch))
        return tried(crashes, [each.number for each in crashes.events if each.is_new])


def try_mariadb(name: str, drawn: int | None, seed: int) -> Tried:
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        prepared = servers.prepare_data(scratch / "prepared")
        pair = {}
        for instance in "ab":
            (scratch / instance).mkdir()
            running = servers.running_mariadb(prepared, scratch / instance)
            pair[instance] = stack.enter_context(running)
        (scratch / "cluster").mkdir()
        cluster = ServerCluster(scratch / "cluster", pair)
        make_base(cluster, CASES[name].base)
        crashes = Crashes(cluster, CASES[name], cluster.save(), scratch)
        numbers = [event.number for event in crashes.events]
        if drawn is not None:
            numbers = drawn_events(crashes.events, random.Random(f"{seed} {name}"), drawn)
        return tried(crashes, numbers)


def tried(crashes: Crashes, numbers: Iterable[int]) -> Tried:
    for number in numbers:
        crashes.try_resume(number)
        crashes.try_abort(number)
    tally = crashes.tally
    return Tried(tally.kind, tally.case, tally.events, tally.points, tuple(tally.faults))


def page(results: list[Tried], how: str) -> str:
    """Return the result as a page of the docs."""
    killed, faults = sum(r.killed for r in results), sum(len(r.faults) for r in results)
    lines = [
        "# Crash tests",
        "",
        "Written by `make crash`. A process that runs an operation is ended by SIGKILL at an",
        "event: before or after a statement, a commit, or a write of the store. Then the operation",
        "is resumed, or aborted, by another process, and the whole cluster (rows, map, states of",
        "slots, guards, grants) is compared with what a run without a crash leaves, or with what",
        "was there before. On SQLite that is the first event of every distinct state on disk,",
        "because the others leave the same.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {how}:",
        f"**{killed:,} crash points, {faults} lost, doubled or stuck**.",
        "",
        "| server | operation | events | crash points | faults |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.kind} | {r.name} | {r.events} | {r.killed} | {len(r.faults)} |" for r in results
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drawn", type=int, help="on MariaDB, so many boundaries and statements")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", choices=("sqlite", "mysql"))
    parser.add_argument("--page", type=Path, help="where to write the result")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with ProcessPoolExecutor(WORKERS) as pool:
        waiting = []
        if options.only != "mysql":
            waiting += [pool.submit(try_sqlite, name) for name in CASES]
        if options.only != "sqlite":
            waiting += [
                pool.submit(try_mariadb, name, options.drawn, options.seed) for name in CASES
            ]
        results = []
        for future in waiting:
            result = future.result()
            results.append(result)
            print(f"{result.kind:7} {result.name:16} {result.killed:6} crash points, "
                  f"{len(result.faults)} faults", flush=True)  # fmt: skip
            for fault in result.faults:
                print(fault, flush=True)
    how = "all events" if options.drawn is None else (
        f"on MariaDB up to {options.drawn} boundaries of steps and {options.drawn} other events of "
        f"each operation, drawn with seed {options.seed}"
    )  # fmt: skip
    if options.page:
        options.page.write_text(page(results, how))
    return 1 if any(result.faults for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
