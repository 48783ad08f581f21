"""Drawn operations, writers and deaths: nothing is lost, doubled or stuck.

``SHARDHASH_MACHINE_SECONDS=600`` goes on drawing for so long.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

import servers
from crash_cases import AnyCluster
from crash_states import FileCluster, ServerCluster
from crashing import in_child, remember_parsed
from machine import TALLY, ClusterMachine
from machine_shards import make_first
from mortality import install_mortality
from servers import Server

SECONDS = float(os.environ.get("SHARDHASH_MACHINE_SECONDS", "0"))
ON_FILES, ON_SERVERS = 20, 2
STEPS = 12
MEMORY = "/dev/shm"


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory in memory where there is one: nothing here waits for a disk."""
    with TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        (Path(name) / "cluster").mkdir()
        yield Path(name)


def test_a_cluster_of_files_has_what_was_acknowledged_whatever_happens(directory: Path) -> None:
    tally = draw(FileCluster(directory / "cluster"), directory, ON_FILES)

    assert tally["died"], tally


def test_a_cluster_on_servers_has_what_was_acknowledged_whatever_happens(
    prepared_data: Path, directory: Path
) -> None:
    with ExitStack() as stack:
        pair: dict[str, Server] = {}
        for name in "ab":
            (directory / name).mkdir()
            running = servers.running_mariadb(prepared_data, directory / name)
            pair[name] = stack.enter_context(running)
        tally = draw(ServerCluster(directory / "cluster", pair), directory, ON_SERVERS)

    assert tally


def draw(cluster: AnyCluster, directory: Path, examples: int) -> dict[str, int]:
    """Draw examples in a process of their own, and return how often what happened."""

    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )

    def run() -> None:
        remember_parsed()
        make_first(cluster)
        ClusterMachine.cluster = cluster
        ClusterMachine.base = cluster.save()
        ClusterMachine.points = install_mortality(cluster.kind)
        until = monotonic() + SECONDS
        while True:
            run_state_machine_as_test(ClusterMachine, settings=chosen)
            tally = {**TALLY, "died": ClusterMachine.points.deaths}
            (directory / "tally").write_text(json.dumps(tally, indent=1, sort_keys=True))
            if monotonic() >= until:
                return

    assert in_child(run, directory / "failure") == 0
    found: dict[str, int] = json.loads((directory / "tally").read_text())
    return found
