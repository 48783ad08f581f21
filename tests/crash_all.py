"""Kill every operation in every state that a kill can leave, and print what became of it.

``make crash`` runs it. A dead client leaves what its servers hold as committed and what is in the
files, so of the events between two changes of these one is tried; ``--every`` tries them all.
"""

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import servers
from crash_cases import CASES, AnyCluster, make_base
from crash_states import FileCluster, ServerCluster
from crashing import Amount, Crashes, try_points

WORKERS = 2
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
KINDS = {"resume": "resumed", "abort": "aborted", "second kill": "killed twice",
         "moment": "at a moment"}  # fmt: skip
AMOUNT = Amount(second_kills=20, moments=20)


@dataclass(frozen=True)
class Tried:
    """One operation on one kind of server."""

    kind: str
    name: str
    events: int
    killed: Counter[str]
    faults: tuple[str, ...]


def try_sqlite(name: str, seed: int, every: bool) -> Tried:
    with tempfile.TemporaryDirectory(dir=MEMORY) as scratch:
        (Path(scratch) / "cluster").mkdir()
        cluster = FileCluster(Path(scratch) / "cluster")
        return tried(cluster, name, Path(scratch), seed, every)


def try_mariadb(name: str, seed: int, every: bool) -> Tried:
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY)))
        prepared = servers.prepare_data(scratch / "prepared")
        pair = {}
        for instance in "ab":
            (scratch / instance).mkdir()
            running = servers.running_mariadb(prepared, scratch / instance)
            pair[instance] = stack.enter_context(running)
        (scratch / "cluster").mkdir()
        return tried(ServerCluster(scratch / "cluster", pair), name, scratch, seed, every)


def tried(cluster: AnyCluster, name: str, scratch: Path, seed: int, every: bool) -> Tried:
    make_base(cluster, CASES[name].base)
    crashes = Crashes(cluster, CASES[name], cluster.save(), scratch)
    try_points(crashes, AMOUNT, random.Random(f"{seed} {name}"), every=every)
    tally = crashes.tally
    return Tried(tally.kind, tally.case, tally.events, tally.killed, tuple(tally.faults))


def page(results: list[Tried], how: str) -> str:
    """Return the result as a page of the docs."""
    killed, faults = sum(r.killed.total() for r in results), sum(len(r.faults) for r in results)
    lines = [
        "# Crash tests",
        "",
        "Written by `make crash`. A process that runs an operation is ended by SIGKILL at an",
        "event: before or after a statement, a commit, or a write of the store. Then the operation",
        "is resumed, or aborted, by another process, and the whole cluster (rows, map, states of",
        "slots, guards, grants) is compared with what a run without a crash leaves, or with what",
        "was there before. A kill leaves what servers hold as committed and what is in the files,",
        "so of all events between two changes of these one is tried. Besides, at drawn events,",
        "the process that resumes is killed too, and processes are killed at drawn moments.",
        "",
        "Servers have the settings for durability that MariaDB comes with; their files lie in",
        "memory, which a process that dies does not notice.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {how}:",
        f"**{killed:,} crash points, {faults} lost, doubled or stuck**.",
        "",
        f"| server | operation | events | {' | '.join(KINDS.values())} | faults |",
        f"|---|---|{'---|' * (len(KINDS) + 2)}",
    ]
    lines += [
        f"| {r.kind} | {r.name} | {r.events} | "
        f"{' | '.join(str(r.killed[kind]) for kind in KINDS)} | {len(r.faults)} |"
        for r in results
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", action="store_true", help="every event (many hours)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", choices=("sqlite", "mysql"))
    parser.add_argument("--page", type=Path, help="where to write the result")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with ProcessPoolExecutor(WORKERS) as pool:
        waiting = [
            pool.submit(body, name, options.seed, options.every)
            for kind, body in (("mysql", try_mariadb), ("sqlite", try_sqlite))
            if options.only in (None, kind)
            for name in CASES
        ]
        results = []
        for future in waiting:
            result = future.result()
            results.append(result)
            print(f"{result.kind:7} {result.name:16} {result.killed.total():6} crash points, "
                  f"{len(result.faults)} faults", flush=True)  # fmt: skip
            for fault in result.faults:
                print(fault, flush=True)
    how = f"{'every event' if options.every else 'every state'}, seed {options.seed}"
    if options.page:
        options.page.write_text(page(results, how))
    return 1 if any(result.faults for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
