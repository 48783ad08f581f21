"""How long does it take a key to place a list of Python strings?"""

from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import contest
import peers
from contest import Action
from inputs import CACHED, STREAMED, names, room, shuffled_texts, texts
from shardhash import HashRing

Keys = list[str]


def shardhash(node_count: int, keys: Keys) -> Action:
    ring, out = HashRing(names(node_count)), room(len(keys))
    return lambda: ring.lookup_many(keys, out=out)


def fastring(node_count: int, keys: Keys) -> Action:
    ring = peers.fastring(node_count)
    return lambda: ring.get_node_batch(keys)


def comprehension(node_count: int, keys: Keys) -> Action:
    """The same placement as shardhash's, from two fast packages."""
    from xxhash import xxh64_intdigest

    points, owners = peers.points_and_owners(node_count)

    def place() -> object:
        hashes = np.array([xxh64_intdigest(key.encode()) for key in keys], np.uint64)
        return owners[np.searchsorted(points, (hashes >> np.uint64(32)).astype(np.uint32))]

    return place


def jump(node_count: int, keys: Keys) -> Action:
    """No ring: nodes can come and go at the end only, and have no names or weights."""
    from jump import hash as jump_hash
    from xxhash import xxh64_intdigest

    return lambda: [jump_hash(xxh64_intdigest(key.encode()), node_count) for key in keys]


RING: dict[str, Callable[[int, Keys], Action]] = {
    "shardhash": shardhash,
    "fastring": fastring,
    "comprehension + searchsorted": comprehension,
    "jump comprehension": jump,
}


def run(
    benchmark: BenchmarkFixture, row: str, contestant: str, node_count: int, keys: Keys
) -> None:
    contest.timed(
        benchmark,
        f"{row}-{node_count}",
        contestant,
        lambda: RING[contestant](node_count, keys),
        count=len(keys),
        cached=len(keys) == CACHED,
    )


@pytest.mark.parametrize("count", [STREAMED, CACHED])
@pytest.mark.parametrize("node_count", [100, 1000])
@pytest.mark.parametrize("contestant", RING)
def test_ring(benchmark: BenchmarkFixture, contestant: str, node_count: int, count: int) -> None:
    run(benchmark, "bulk-list-ring", contestant, node_count, texts(count))


@pytest.mark.parametrize("contestant", RING)
def test_shuffled(benchmark: BenchmarkFixture, contestant: str) -> None:
    """The objects of the keys lie in memory in another order than in the list."""
    run(benchmark, "bulk-shuffled-ring", contestant, 100, shuffled_texts(STREAMED))
