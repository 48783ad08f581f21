"""How long does it take to build a ring, to add or remove a node, to pickle and load a ring?"""

import pickle
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import contest
import peers
from contest import Action
from inputs import POINTS_PER_NODE, names
from shardhash import HashRing

BUILD: dict[str, Callable[[int], Action]] = {
    "shardhash": lambda node_count: lambda: HashRing(names(node_count)),
    "uhashring": lambda node_count: lambda: peers.uhashring(node_count),
    "fastring": lambda node_count: lambda: peers.fastring(node_count),
}


@pytest.mark.parametrize("node_count", [100, 1000])
@pytest.mark.parametrize("contestant", BUILD)
def test_build(benchmark: BenchmarkFixture, contestant: str, node_count: int) -> None:
    row = f"build-{node_count}"
    contest.timed(benchmark, row, contestant, lambda: BUILD[contestant](node_count), count=1)


def shardhash_change(node_count: int) -> Action:
    ring = HashRing(names(node_count))
    return lambda: (ring.updated(add=["new"]), ring.updated(remove=["node-7"]))


def mutable_change(ring: object) -> Action:
    def change() -> None:
        ring.add_node("new")
        ring.remove_node("new")

    return change


CHANGE: dict[str, Callable[[int], Action]] = {
    "shardhash": shardhash_change,
    "uhashring": lambda node_count: mutable_change(peers.uhashring(node_count)),
    "fastring": lambda node_count: mutable_change(peers.fastring(node_count)),
}


@pytest.mark.parametrize("node_count", [100, 1000])
@pytest.mark.parametrize("contestant", CHANGE)
def test_change(benchmark: BenchmarkFixture, contestant: str, node_count: int) -> None:
    """One node added and one removed: the figure is half of it."""
    row = f"change-{node_count}"
    contest.timed(benchmark, row, contestant, lambda: CHANGE[contestant](node_count), count=2)


def pickled(ring: object) -> Action:
    return lambda: pickle.loads(pickle.dumps(ring))


def uhashring_ketama() -> Action:
    # Its own ring keeps a lambda, which cannot be pickled.
    return pickled(peers.uhashring(1000, hash_fn="ketama"))


PICKLE: dict[str, Callable[[], Action]] = {
    "shardhash": lambda: pickled(HashRing(names(1000), points_per_weight=POINTS_PER_NODE)),
    "uhashring ketama": uhashring_ketama,
    "fastring": lambda: pickled(peers.fastring(1000)),
}


@pytest.mark.parametrize("contestant", PICKLE)
def test_pickle(benchmark: BenchmarkFixture, contestant: str) -> None:
    contest.timed(benchmark, "pickle-1000", contestant, PICKLE[contestant], count=1)
