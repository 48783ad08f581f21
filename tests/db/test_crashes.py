"""Operations that are killed, and what they end as: the same, or nothing.

On SQLite a process is killed at the first event of every distinct state on disk; events that change
no byte leave the same state behind. On MariaDB the boundaries of steps are tried, and statements
drawn with a printed seed. ``make crash`` tries all of them.
"""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from crash_cases import CASES, make_base
from crash_states import FileCluster, ServerCluster
from crashing import Crashes, drawn_events
from servers import Server

MEMORY = Path("/dev/shm")
SERVER_CASES = ("split", "move", "drain", "undo-move", "prune")
SEED = int(os.environ.get("SHARDHASH_CRASH_SEED", random.SystemRandom().randrange(10**6)))


@pytest.fixture
def fast_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: nothing here waits for a disk."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    path = MEMORY / f"shardhash-{os.getpid()}-{tmp_path.name}"
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.mark.parametrize("name", CASES)
def test_what_is_killed_on_sqlite_ends_as_if_it_had_not_been(name: str, fast_path: Path) -> None:
    (fast_path / "cluster").mkdir()
    cluster = FileCluster(fast_path / "cluster")
    make_base(cluster, CASES[name].base)
    crashes = Crashes(cluster, CASES[name], cluster.save(), fast_path)

    for event in crashes.events:
        if event.is_new:
            crashes.try_resume(event.number)
            crashes.try_abort(event.number)

    assert crashes.tally.points > 20
    assert crashes.tally.faults == []


@pytest.mark.parametrize("name", SERVER_CASES)
def test_what_is_killed_on_mariadb_ends_as_if_it_had_not_been(
    name: str, mariadb_pair: tuple[Server, Server], tmp_path: Path
) -> None:
    (tmp_path / "cluster").mkdir()
    cluster = ServerCluster(tmp_path / "cluster", dict(zip("ab", mariadb_pair, strict=True)))
    cluster.clear()
    try:
        make_base(cluster, CASES[name].base)
        crashes = Crashes(cluster, CASES[name], cluster.save(), tmp_path)
        for number in drawn_events(crashes.events, random.Random(f"{SEED} {name}"), 8):
            crashes.try_resume(number)
        for number in drawn_events(crashes.events, random.Random(f"{name} {SEED}"), 4):
            crashes.try_abort(number)
    finally:
        cluster.clear()

    assert crashes.tally.points > 10
    assert crashes.tally.faults == [], f"SHARDHASH_CRASH_SEED={SEED} repeats it"
