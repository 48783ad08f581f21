"""How long does it take to place one key, from Python?"""

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import contest
import peers
from contest import Action, for_each
from inputs import SCALAR_KEYS, names
from shardhash import HashRing, SlotMap

BYTES_KEYS = [key.encode() for key in SCALAR_KEYS]
Contestants = Mapping[str, Callable[[], Action]]


def run(benchmark: BenchmarkFixture, row: str, contestant: str, contestants: Contestants) -> None:
    contest.timed(benchmark, row, contestant, contestants[contestant], count=len(SCALAR_KEYS))


@pytest.mark.parametrize("node_count", [100, 1000])
@pytest.mark.parametrize("contestant", ["shardhash", "uhashring", "fastring"])
def test_ring(benchmark: BenchmarkFixture, contestant: str, node_count: int) -> None:
    contestants: Contestants = {
        "shardhash": lambda: for_each(HashRing(names(node_count)).lookup, SCALAR_KEYS),
        "uhashring": lambda: for_each(peers.uhashring(node_count).get_node, SCALAR_KEYS),
        "fastring": lambda: for_each(peers.fastring(node_count).get_node, SCALAR_KEYS),
    }
    run(benchmark, f"scalar-ring-{node_count}", contestant, contestants)


def zlib_slots() -> None:
    for key in SCALAR_KEYS:
        zlib.crc32(key.encode()) & 16383


def mmh3_slots() -> Action:
    from mmh3 import mmh3_32_uintdigest

    def loop() -> None:
        for key in SCALAR_KEYS:
            mmh3_32_uintdigest(key.encode()) & 16383

    return loop


SLOT: Contestants = {
    "shardhash": lambda: for_each(SlotMap.even(names(100)).slot, SCALAR_KEYS),
    "zlib": lambda: zlib_slots,
    "mmh3": mmh3_slots,
}


@pytest.mark.parametrize("contestant", SLOT)
def test_slot(benchmark: BenchmarkFixture, contestant: str) -> None:
    run(benchmark, "scalar-slot", contestant, SLOT)


def redis_py() -> Action:
    from redis.crc import key_slot

    # It takes the bytes to which the client has encoded a key by then.
    return for_each(key_slot, BYTES_KEYS)


REDIS: Contestants = {
    "shardhash": lambda: for_each(SlotMap.even(names(100), scheme="redis").slot, SCALAR_KEYS),
    "redis-py": redis_py,
}


@pytest.mark.parametrize("contestant", REDIS)
def test_redis_slot(benchmark: BenchmarkFixture, contestant: str) -> None:
    run(benchmark, "scalar-redis", contestant, REDIS)


def libketama(servers: Path) -> Action:
    from ketama import Ketama

    servers.write_text("".join(f"10.0.0.{number}:11211 1\n" for number in range(100)))
    return for_each(Ketama(str(servers)).get_server, SCALAR_KEYS)


@pytest.mark.parametrize("contestant", ["shardhash", "uhashring", "ketama"])
def test_ketama(benchmark: BenchmarkFixture, contestant: str, tmp_path: Path) -> None:
    contestants: Contestants = {
        "shardhash": lambda: for_each(HashRing(names(100), scheme="ketama").lookup, SCALAR_KEYS),
        "uhashring": lambda: for_each(peers.uhashring(100, hash_fn="ketama").get_node, SCALAR_KEYS),
        "ketama": lambda: libketama(tmp_path / "servers"),
    }
    run(benchmark, "scalar-ketama", contestant, contestants)


def uhashring_replicas() -> Action:
    find = peers.uhashring(100).range  # a generator

    def loop() -> None:
        for key in SCALAR_KEYS:
            list(find(key, 3))

    return loop


REPLICAS: Contestants = {
    "shardhash": lambda: for_each(HashRing(names(100)).lookup_n, SCALAR_KEYS, 3),
    "uhashring": uhashring_replicas,
    "fastring": lambda: for_each(peers.fastring(100).get_replicas, SCALAR_KEYS, 3),
}


@pytest.mark.parametrize("contestant", REPLICAS)
def test_three_replicas(benchmark: BenchmarkFixture, contestant: str) -> None:
    run(benchmark, "scalar-replicas", contestant, REPLICAS)
