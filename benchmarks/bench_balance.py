"""How evenly are keys spread, and how many move when a node comes?

A million keys like ``user:123456``. Balance is the fullest node's keys over the mean; movement is
the keys that another node gets, over the least possible: what the new node needs for its share.
"""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import contest
import peers
from inputs import STREAMED, arrow_texts, names, texts
from shardhash import HashRing, SlotMap

NODES = 100
KEYS_OF_SLOW_PEERS = STREAMED // 5


def placed(owners: Callable[[list[str]], list[str]]) -> "np.ndarray":
    return np.asarray(owners(texts(KEYS_OF_SLOW_PEERS)))


def balance(owners: "np.ndarray") -> float:
    _, counts = np.unique(owners, return_counts=True)
    return float(counts.max() / (len(owners) / NODES))


def shardhash_owners(placement: HashRing | SlotMap) -> "np.ndarray":
    indices = placement.lookup_many(arrow_texts(STREAMED))
    return np.asarray(placement.owners)[np.asarray(indices)]


def uhashring_owners(node_count: int) -> "np.ndarray":
    ring = peers.uhashring(node_count)
    return placed(lambda keys: [ring.get_node(key) for key in keys])


def fastring_owners(node_count: int) -> "np.ndarray":
    return placed(peers.fastring(node_count).get_node_batch)


def jump_owners(node_count: int) -> "np.ndarray":
    from jump import hash as jump_hash
    from xxhash import xxh64_intdigest

    return placed(
        lambda keys: [jump_hash(xxh64_intdigest(key.encode()), node_count) for key in keys]
    )


def slots_of(node_count: int) -> SlotMap:
    slots = SlotMap.even(names(NODES))
    for name in names(node_count)[NODES:]:
        slots = slots.with_shard(name)
    return slots


Owners = Callable[[int], "np.ndarray"]
RINGS: dict[str, Owners] = {
    "shardhash": lambda count: shardhash_owners(HashRing(names(count))),
    "uhashring": uhashring_owners,
    "fastring": fastring_owners,
    "jump": jump_owners,
}
SLOTS: dict[str, Owners] = {"shardhash": lambda count: shardhash_owners(slots_of(count))}


def each(figure: Callable[[Owners], float], contestants: dict[str, Owners]) -> dict[str, float]:
    figures = {}
    for contestant, owners in contestants.items():
        with suppress(ImportError):
            figures[contestant] = figure(owners)
    return figures


def balance_of(owners: Owners) -> float:
    return balance(owners(NODES))


def movement_of(owners: Owners) -> float:
    before, after = owners(NODES), owners(NODES + 1)
    return float(np.mean(before != after) * (NODES + 1))


@pytest.mark.parametrize(("kind", "contestants"), [("ring", RINGS), ("slots", SLOTS)])
def test_balance(benchmark: BenchmarkFixture, kind: str, contestants: dict[str, Owners]) -> None:
    contest.measured(benchmark, f"balance-{kind}", lambda: each(balance_of, contestants))


@pytest.mark.parametrize(("kind", "contestants"), [("ring", RINGS), ("slots", SLOTS)])
def test_movement(benchmark: BenchmarkFixture, kind: str, contestants: dict[str, Owners]) -> None:
    contest.measured(benchmark, f"movement-{kind}", lambda: each(movement_of, contestants))
