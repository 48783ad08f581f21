"""How long does it take a key to place many integers in a buffer, hashed as their decimal text?"""

import zlib
from collections.abc import Callable

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import contest
import peers
from contest import Action
from inputs import CACHED, STREAMED, integers, names, room
from shardhash import HashRing, SlotMap

SIZES = {"streamed": STREAMED, "cached": CACHED}


def shardhash_slots(count: int) -> Action:
    shards, keys, out = SlotMap.even(names(100)), integers(count), room(count, "H")
    return lambda: shards.slot_many(keys, out=out)


def zlib_comprehension(count: int) -> Action:
    keys = integers(count).tolist()
    return lambda: [zlib.crc32(b"%d" % key) & 16383 for key in keys]


SLOT: dict[str, Callable[[int], Action]] = {
    "shardhash": shardhash_slots,
    "zlib comprehension": zlib_comprehension,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("contestant", SLOT)
def test_slot(benchmark: BenchmarkFixture, contestant: str, size: str) -> None:
    count = SIZES[size]
    row = "bulk-int-slot"
    contest.timed(
        benchmark,
        row,
        contestant,
        lambda: SLOT[contestant](count),
        count=count,
        cached=size == "cached",
    )


def shardhash_ring(node_count: int, count: int) -> Action:
    ring, keys, out = HashRing(names(node_count)), integers(count), room(count)
    return lambda: ring.lookup_many(keys, out=out)


def splitmix_searchsorted(node_count: int, count: int) -> Action:
    """A ring as one would write it with NumPy; its hash is of the number, not of its text."""
    keys, (points, owners) = integers(count).view(np.uint64), peers.points_and_owners(node_count)

    def place() -> object:
        hashes = keys + np.uint64(0x9E3779B97F4A7C15)
        hashes = (hashes ^ hashes >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        hashes = (hashes ^ hashes >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        positions = ((hashes ^ hashes >> np.uint64(31)) >> np.uint64(32)).astype(np.uint32)
        return owners[np.searchsorted(points, positions)]

    return place


RING: dict[str, Callable[[int, int], Action]] = {
    "shardhash": shardhash_ring,
    "NumPy searchsorted": splitmix_searchsorted,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("node_count", [100, 1000])
@pytest.mark.parametrize("contestant", RING)
def test_ring(benchmark: BenchmarkFixture, contestant: str, node_count: int, size: str) -> None:
    count = SIZES[size]
    row = f"bulk-int-ring-{node_count}"
    prepare = RING[contestant]
    contest.timed(
        benchmark,
        row,
        contestant,
        lambda: prepare(node_count, count),
        count=count,
        cached=size == "cached",
    )
