"""Operations that are killed, and what they end as: the same, or nothing.

A process is killed at the first event of every state that a kill can leave: of files, and of what
servers hold as committed. On MariaDB the aborts are drawn, with a printed seed; ``make crash``
tries all.
"""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import servers
from crash_cases import CASES, make_base
from crash_states import FileCluster, ServerCluster
from crashing import Amount, Crashes, try_points
from servers import MariaDB

MEMORY = Path("/dev/shm")
SEED = int(os.environ.get("SHARDHASH_CRASH_SEED", random.SystemRandom().randrange(10**6)))
ON_FILES = Amount(second_kills=3, moments=3)
ON_SERVERS = Amount(aborts=10, second_kills=3, moments=3)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory in memory where there is one: nothing here waits for a disk."""
    path = tmp_path_factory.mktemp("crashes")
    if not os.access(MEMORY, os.W_OK):
        yield path
        return
    path = MEMORY / f"shardhash-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture(scope="module")
def pair(prepared_data: Path, memory: Path) -> Iterator[dict[str, MariaDB]]:
    """Two servers with the settings for durability that they come with."""
    (memory / "a").mkdir()
    (memory / "b").mkdir()
    with (
        servers.running_mariadb(prepared_data, memory / "a") as a,
        servers.running_mariadb(prepared_data, memory / "b") as b,
    ):
        yield {"a": a, "b": b}


@pytest.fixture
def scratch(memory: Path) -> Iterator[Path]:
    path = memory / "scratch"
    (path / "cluster").mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.mark.parametrize("name", [name for name in CASES if name != "clone-beside"])
def test_what_is_killed_on_sqlite_ends_as_if_it_had_not_been(name: str, scratch: Path) -> None:
    try_killing(FileCluster(scratch / "cluster"), name, scratch, ON_FILES)


@pytest.mark.server
@pytest.mark.parametrize("name", CASES)
def test_what_is_killed_on_mariadb_ends_as_if_it_had_not_been(
    name: str, pair: dict[str, MariaDB], scratch: Path
) -> None:
    cluster = ServerCluster(scratch / "cluster", pair)
    cluster.clear()
    try_killing(cluster, name, scratch, ON_SERVERS)


def try_killing(
    cluster: FileCluster | ServerCluster, name: str, scratch: Path, amount: Amount
) -> None:
    make_base(cluster, CASES[name].base)
    crashes = Crashes(cluster, CASES[name], cluster.save(), scratch)

    try_points(crashes, amount, random.Random(f"{SEED} {name}"))

    assert crashes.tally.points > 20
    assert crashes.tally.faults == [], f"SHARDHASH_CRASH_SEED={SEED} repeats it"
