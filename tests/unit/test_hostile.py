"""What a caller can do to the compiled core on purpose: each ends in an answer or an exception.

Bad buffers and Arrow data are in test_bulk_buffers and test_bulk_arrow, bad keys in test_keys.
"""

import sys
import threading
from array import array
from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest

from shardhash import HashRing, PlacementError, SlotMap
from shardhash._core import Ring
from shardhash.hashing import crc32_many

RING = HashRing([f"n{i}" for i in range(20)], points_per_weight=20)
SLOTS = SlotMap.even(["a", "b"], slot_count=64)
MIXED = ["a", b"b", 3, 2**70, UUID(int=5), "é"] * 60
NUMBERS = np.arange(600)
TEXTS = pa.chunked_array([[f"key {i}" for i in range(300)]] * 2)

COUNTS = {"a": 20, "n3": 20, "b": 5, "n7": 20}
OTHER = HashRing(["a"])


def points_of(counts: dict[str, int], base: Ring | None = None) -> list[bytes]:
    """Build a ring as HashRing does, and return its points."""
    ring = Ring()
    names, numbers = tuple(counts), tuple(counts.values())
    ring._build(names, numbers, numbers, points_per_weight=1.0, scheme="xxh64", base=base)
    return [bytes(part) for part in ring._points()]


# Calls of compiled code alone: CPython 3.12 crashes when it has no memory to enter an __init__
# that is written in Python.
CALLS: dict[str, Callable[[], object]] = {
    "lookup": lambda: RING.lookup(UUID(int=7)),
    "lookup of a large int": lambda: RING.lookup(2**100),
    "lookup_n": lambda: RING.lookup_n("k", 20),
    "a list": lambda: bytes(RING.lookup_many(MIXED)),
    "a buffer": lambda: bytes(RING.lookup_many(NUMBERS)),
    "an Arrow stream": lambda: bytes(RING.lookup_many(TEXTS)),
    "out": lambda: bytes(crc32_many(NUMBERS, out=np.zeros(600, "u4"))),
    "partition of a list": lambda: RING.partition(MIXED),
    "partition of an Arrow stream": lambda: SLOTS.partition(TEXTS),
    "foreign": lambda: bytes(SLOTS.foreign("a", NUMBERS)),
    "ring": lambda: points_of(COUNTS),
    "ring from another": lambda: points_of(COUNTS, RING),
    "moves": lambda: RING._moves(OTHER),
}


@pytest.mark.parametrize("name", CALLS)
def test_whichever_allocation_fails_the_call_raises_and_the_next_is_right(name: str) -> None:
    memory = pytest.importorskip("_testcapi", reason="this Python has no hook that fails malloc")
    call = CALLS[name]
    expected = call()

    for allocation in range(1, 5000):
        try:
            memory.set_nomemory(allocation, 0)
            try:
                found = call()
            finally:
                memory.remove_mem_hooks()
        except MemoryError:
            continue
        break

    assert found == expected == call()
    RING._validate()


def run_together(works: list[Callable[[], object]]) -> None:
    """Run each in a thread of its own, from one moment on, and wait for all."""
    start = threading.Barrier(len(works))
    failures: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads take turns every 10 us instead of every 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("frequent_switches")
def test_readers_see_one_whole_ring_or_the_next_during_10000_updates() -> None:
    rings = [HashRing([f"n{i}" for i in range(8)], points_per_weight=8)]
    keys = np.arange(300)
    answers = {rings[0].nodes: rings[0].lookup_many(keys).tobytes()}
    wrong: list[HashRing] = []
    reads = [0, 0, 0]
    done = threading.Event()

    def write() -> None:
        for i in range(10_000):
            ring = rings[0].updated(add=[f"m{i}"], remove=[rings[0].nodes[i % 8]])
            answers[ring.nodes] = ring.lookup_many(keys).tobytes()
            rings[0] = ring
        done.set()

    def read(reader: int) -> None:
        while not (done.is_set() and reads[reader]):
            ring = rings[0]
            if ring.lookup_many(keys).tobytes() != answers[ring.nodes]:
                wrong.append(ring)
            if ring.lookup(7) != ring.lookup_n(7, 8)[0]:
                wrong.append(ring)
            reads[reader] += 1

    run_together([write, *(partial(read, reader) for reader in range(3))])

    assert wrong == []
    assert len(answers) == 10_001


def build_once(placements: list[HashRing | SlotMap], name: str, built: list[str]) -> None:
    for placement in placements:
        try:
            placement.__init__([name])
        except RuntimeError:
            continue
        built.append(name)


@pytest.mark.usefixtures("frequent_switches")
def test_one_of_many_threads_builds_a_ring_and_a_map() -> None:
    for _ in range(50):
        ring, slots = HashRing.__new__(HashRing), SlotMap.__new__(SlotMap)
        built: list[str] = []

        run_together([partial(build_once, [ring, slots], name, built) for name in "abcdef"])

        assert len(built) == 2
        assert {ring.lookup("k"), slots.lookup("k")} == set(built)
        ring._validate()


@pytest.mark.usefixtures("frequent_switches")
def test_a_list_that_other_threads_change_is_hashed_whole_or_refused() -> None:
    versions = [[f"{letter} {i}" for i in range(200 + ord(letter))] for letter in "ab"]
    expected = [crc32_many(version).tolist() for version in versions]
    keys = list(versions[0])
    done = threading.Event()
    wrong: list[object] = []

    def change() -> None:
        for i in range(2000):
            keys[:] = versions[i % 2]
        done.set()

    def read() -> None:
        while not done.is_set():
            try:
                found = crc32_many(keys).tolist()
            except PlacementError:
                continue
            if found not in expected:
                wrong.append(found)

    run_together([change, read, read])

    assert wrong == []


class Waiting:
    """A key that lets another thread work while it is read."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __index__(self) -> int:
        self.reached.set()
        assert self.go_on.wait(30)
        return 7


@pytest.mark.parametrize(
    "change", [list.clear, lambda keys: keys.append("z"), lambda keys: keys.__setitem__(1, "new")]
)
def test_a_change_by_another_thread_while_a_key_is_read_is_refused(
    change: Callable[[list[object]], object],
) -> None:
    waiting = Waiting()
    keys: list[object] = [*(f"a key that is an object of its own {i}" for i in range(300)), waiting]

    def work() -> None:
        assert waiting.reached.wait(30)
        change(keys)
        waiting.go_on.set()

    def read() -> None:
        with pytest.raises(PlacementError, match="changed while"):
            crc32_many(keys)

    run_together([work, read])


UNWRITTEN = 2**32 - 1


@pytest.mark.parametrize(
    "keys", [np.arange(2_000_000), pa.array(["a key"] * 2_000_000)], ids=["buffer", "Arrow"]
)
def test_python_code_runs_while_keys_in_memory_are_hashed(keys: object) -> None:
    out = array("I", [UNWRITTEN]) * 2_000_000

    def is_seen_half_done() -> bool:
        out[0] = out[-1] = UNWRITTEN
        hashing = threading.Thread(target=RING.lookup_many, args=(keys,), kwargs={"out": out})
        hashing.start()
        is_seen = False
        while hashing.is_alive() and not is_seen:
            is_seen = out[0] != UNWRITTEN and out[-1] == UNWRITTEN
        hashing.join()
        return is_seen

    assert any(is_seen_half_done() for _ in range(100))
