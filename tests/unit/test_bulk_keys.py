import gc
import threading
from array import array
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pytest

from shardhash import HashRing, KeyTypeError, PlacementError, SlotMap
from shardhash.hashing import crc32, crc32_many
from shardhash.keys import key_bytes


class Colour(StrEnum):
    RED = "red"


class Acting:
    """A key that does something when its number is asked for."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __index__(self) -> int:
        self.act()
        return 7


def expect(keys: Any, plain: list[Any]) -> None:
    assert crc32_many(keys).tolist() == [crc32(key) for key in plain]


def test_types_may_mix_in_a_list_of_several_blocks() -> None:
    kinds = ["text", "é", b"raw", 5, -(2**63), 2**70, Colour.RED, UUID(int=3), np.int16(-9)]
    keys = [kinds[i * i % len(kinds)] for i in range(2000)]

    expect(keys, keys)
    expect(tuple(keys), keys)


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 255, 256, 257, 512, 1000])
def test_a_slow_key_may_stand_anywhere(count: int) -> None:
    for place in {0, count // 2, count - 1} & set(range(count)):
        keys: list[Any] = [f"key {i}" for i in range(count)]
        keys[place] = Colour.RED

        expect(keys, keys)


def test_other_iterables_are_read_once() -> None:
    def keys() -> Iterator[object]:
        yield from ("a", 1, b"c")

    expect(keys(), ["a", 1, b"c"])
    expect({"a": 1, "b": 2}, ["a", "b"])
    expect(range(3), [0, 1, 2])


@pytest.mark.parametrize("empty", [[], (), array("q"), np.array([], "i4"), iter(())])
def test_no_keys_are_legal(empty: Any) -> None:
    assert crc32_many(empty).tolist() == []


@pytest.mark.parametrize("one", ["key", b"key", bytearray(b"key"), Colour.RED])
def test_one_key_as_the_whole_argument_is_refused(one: Any) -> None:
    with pytest.raises(KeyTypeError, match=r"one key where many were expected: write \[key\]"):
        crc32_many(one)
    with pytest.raises(KeyTypeError, match=r"one key where many were expected: write \[key\]"):
        SlotMap(["a"]).partition(one)


@pytest.mark.parametrize("one", [42, None, 1.5, UUID(int=1)])
def test_what_is_not_iterable_is_refused(one: Any) -> None:
    with pytest.raises(KeyTypeError, match=f"keys is {type(one).__name__}"):
        crc32_many(one)


@pytest.mark.parametrize("bad", [True, None, 1.5, bytearray(b"x"), "\ud800", np.True_])
def test_the_message_names_index_and_type_of_the_first_bad_key(bad: object) -> None:
    keys = ["a"] * 700 + [bad] + [None]

    with pytest.raises(KeyTypeError, match=rf"keys\[700\] is {type(bad).__name__}"):
        crc32_many(keys)


@pytest.mark.parametrize("at", [0, 300])
@pytest.mark.parametrize(
    "change",
    [list.clear, lambda keys: keys.append("z"), list.pop, lambda keys: keys.__setitem__(1, "new")],
    ids=["clear", "append", "pop", "replace"],
)
def test_a_list_that_changes_while_it_is_hashed_is_refused(
    at: int, change: Callable[[list[Any]], object]
) -> None:
    keys: list[Any] = [f"long enough to be an object of its own {i}" for i in range(600)]
    keys[at] = Acting(lambda: change(keys))

    with pytest.raises(PlacementError, match="changed while"):
        crc32_many(keys)


@pytest.mark.parametrize("change", [list.clear, lambda keys: keys.extend(["z"] * 5000)])
def test_partition_refuses_a_list_that_changes(change: Callable[[list[Any]], object]) -> None:
    keys: list[Any] = ["a", "b", "c"] * 200
    keys[100] = Acting(lambda: change(keys))

    with pytest.raises(PlacementError, match="changed while"):
        HashRing(["n"]).partition(keys)


def test_keys_freed_by_another_key_are_not_touched() -> None:
    keys: list[Any] = []

    def free() -> None:
        keys[0] = keys[2] = None
        gc.collect()
        keys.extend(bytearray(60) for _ in range(1000))

    keys += ["x" * 60 + str(len(keys)), Acting(free), "y" * 60 + str(len(keys))]

    with pytest.raises(PlacementError, match="changed while"):
        crc32_many(keys)


def test_a_change_that_ends_as_it_began_is_none() -> None:
    keys: list[Any] = ["a", "b"]

    def there_and_back() -> None:
        kept = keys[:]
        keys.clear()
        keys.extend(kept)

    keys.append(Acting(there_and_back))

    expect(keys, ["a", "b", 7])


def test_an_exception_of_a_key_comes_through() -> None:
    def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        crc32_many(["a", Acting(fail)])


def test_a_key_may_hash_other_keys() -> None:
    inner: list[memoryview] = []

    expect(["a", Acting(lambda: inner.append(crc32_many(["b"] * 300))), "c"], ["a", 7, "c"])
    assert inner[0][299] == crc32("b")


def test_threads_may_share_keys_and_placements() -> None:
    ring = HashRing([f"node {i}" for i in range(50)])
    keys = np.arange(50_000)
    expected = ring.lookup_many(keys).tobytes()
    found: list[bytes] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        found.extend(ring.lookup_many(keys).tobytes() for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [expected] * 20


def test_scalar_and_bulk_agree_with_key_bytes() -> None:
    keys = ["a", 1, b"b", UUID(int=9)]

    expect([key_bytes(key) for key in keys], keys)


class Address(NamedTuple):
    street: str
    town: str


def test_a_named_tuple_is_a_tuple_of_keys() -> None:
    expect(Address("a", "b"), ["a", "b"])
    assert SlotMap(["s"]).partition(Address("a", "b")) == {"s": ["a", "b"]}


class LongList(list[str]):
    def __len__(self) -> int:
        return 10**6


class LongTuple(tuple[str, ...]):
    def __len__(self) -> int:
        return 10**6


@pytest.mark.parametrize("keys", [LongList(["a", "b"]), LongTuple(("a", "b"))])
def test_a_subclass_that_lies_about_its_length_is_read_as_long_as_it_is(keys: Any) -> None:
    expect(keys, ["a", "b"])
    assert SlotMap(["s"]).partition(keys) == {"s": ["a", "b"]}
