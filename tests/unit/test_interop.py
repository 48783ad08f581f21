from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest

from reference import interop as twin
from reference.des import des
from shardhash import KeyTypeError, PlacementError
from shardhash.hashing import crc16, murmur2, xxh64, xxh64_many
from shardhash.interop import (
    jump,
    jump_many,
    kafka_partition,
    kafka_partition_many,
    redis_slot,
    redis_slot_many,
    vitess_keyspace_id,
    vitess_keyspace_id_many,
)

KEYS = ["a", b"b", 7, -1, "é{x}", "", UUID(int=5)]


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        ("123456789", 12739),
        ("foo", 12182),
        ("foo{}{bar}", 8363),
        ("foo{{bar}}zap", 4015),
        ("", 0),
        ("{user1000}.following", redis_slot("user1000")),
        ("foo{bar}{zap}", redis_slot("bar")),
    ],
)
def test_redis_slots_are_those_of_its_specification(key: str, slot: int) -> None:
    assert redis_slot(key) == redis_slot(key.encode()) == slot
    assert redis_slot_many([key]).tolist() == [slot]


@pytest.mark.parametrize("key", ["a{b", "a}b", "}{", "{}", "a{}b", "{}{b}"])
def test_a_key_without_a_tag_is_hashed_whole(key: str) -> None:
    assert redis_slot(key) == crc16(key) % 16384


@pytest.mark.parametrize("key", ["{b}", "a{b}", "{b}{c}", "}{b}", "a{b}c}", b"\x00{b}\x00"])
def test_a_tag_is_what_stands_between_the_first_braces(key: str | bytes) -> None:
    assert redis_slot(key) == crc16("b") % 16384


def test_kafka_partitions_are_those_of_its_default_partitioner() -> None:
    assert kafka_partition("foobar", 12) == 6
    assert murmur2("foobar") >= 2**31
    assert kafka_partition("foobar", n=2**31 - 1) == (-790332482 & 0x7FFFFFFF) % (2**31 - 1)
    assert kafka_partition_many(["foobar"], 12).tolist() == [6]


@pytest.mark.parametrize(
    ("hash_value", "n", "owner"),
    [(1, 1, 0), (42, 57, 43), (0xDEAD10CC, 666, 361), (256, 1024, 520), (10**18, 100, 43)],
)
def test_jump_gives_the_owners_that_others_give(hash_value: int, n: int, owner: int) -> None:
    assert jump(hash_value, n) == owner
    assert jump_many([hash_value], n).tolist() == [owner]


@pytest.mark.parametrize("hash_value", [0, 1, 2**63, 2**64 - 1, 10**18])
@pytest.mark.parametrize("n", [1, 2, 65_536, 2**31 - 1])
def test_jump_takes_all_of_64_bits_and_all_of_31(hash_value: int, n: int) -> None:
    assert jump(hash_value, n) == twin.jump(hash_value, n) < n


@pytest.mark.parametrize(
    ("value", "vindex", "keyspace_id"),
    [
        ("test1", "xxhash", "d01ab7e4d6978f0b"),
        ("1", "xxhash", "d46405367612b4b7"),
        (1, "xxhash", "d46405367612b4b7"),
        (1, "hash", "166b40b44aba4bd6"),
        (2, "hash", "06e7ea22ce92708f"),
    ],
)
def test_keyspace_ids_are_those_of_vitess(value: Any, vindex: Any, keyspace_id: str) -> None:
    assert vitess_keyspace_id(value, vindex).hex() == keyspace_id
    assert vitess_keyspace_id(value, vindex=vindex).hex() == keyspace_id
    assert vitess_keyspace_id_many([value], vindex) == [bytes.fromhex(keyspace_id)]


def test_xxhash_is_the_vindex_if_none_is_said() -> None:
    assert vitess_keyspace_id("test1").hex() == "d01ab7e4d6978f0b"
    assert vitess_keyspace_id_many(["test1"]) == [vitess_keyspace_id("test1")]


def test_the_twin_is_des() -> None:
    assert des(0x0123456789ABCDEF, key=0x133457799BBCDFF1) == 0x85E813540F0AB405


def test_a_negative_number_counts_as_its_twos_complement_in_vitess() -> None:
    assert vitess_keyspace_id(-1, "hash") == vitess_keyspace_id(2**64 - 1, "hash")
    assert vitess_keyspace_id_many(np.array([-1, -(2**63)]), "hash") == [
        vitess_keyspace_id(2**64 - 1, "hash"),
        vitess_keyspace_id(2**63, "hash"),
    ]


def test_bulk_equals_scalar() -> None:
    assert redis_slot_many(KEYS).tolist() == [redis_slot(key) for key in KEYS]
    assert kafka_partition_many(KEYS, 7).tolist() == [kafka_partition(key, 7) for key in KEYS]
    assert vitess_keyspace_id_many(KEYS) == [vitess_keyspace_id(key) for key in KEYS]
    hashes = [xxh64(key) for key in KEYS]
    assert jump_many(hashes, 7).tolist() == [jump(value, 7) for value in hashes]
    assert jump_many(xxh64_many(KEYS), 7).tolist() == [jump(value, 7) for value in hashes]


@pytest.mark.parametrize(
    ("many", "code"),
    [
        (redis_slot_many, "H"),
        (lambda keys, **options: kafka_partition_many(keys, 5, **options), "I"),
        (lambda keys, **options: jump_many(keys, 5, **options), "I"),
    ],
)
def test_bulk_results_are_memoryviews_and_go_to_out(
    many: Callable[..., memoryview], code: str
) -> None:
    keys = np.arange(600, dtype="u8")
    out = np.zeros(600, code)

    found = many(keys)

    assert isinstance(found, memoryview)
    assert (found.format, found.shape) == (code, (600,))
    assert many(keys, out=out).tolist() == out.tolist() == found.tolist()
    assert many([]).tolist() == []
    with pytest.raises(PlacementError, match="out must be"):
        many(keys, out=np.zeros(599, code))


INTEGER_FORMS: dict[str, Callable[[list[int]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "numpy integers": lambda values: [np.int64(value) for value in values],
    **{f"numpy {code}": lambda values, code=code: np.array(values, code) for code in "bBhHiIqQ"},
    "arrow": lambda values: pa.array(values, pa.uint64()),
    "arrow, sliced": lambda values: pa.array([9, *values, 9], pa.int16())[1:-1],
    "arrow, chunked": lambda values: pa.chunked_array([values[:1], [], values[1:]], pa.int64()),
}


@pytest.mark.parametrize("form", INTEGER_FORMS)
def test_integers_come_in_every_form(form: str) -> None:
    values = [0, 1, 42, 127, 7]
    make = INTEGER_FORMS[form]

    assert jump_many(make(values), 1000).tolist() == [jump(value, 1000) for value in values]
    assert vitess_keyspace_id_many(make(values), "hash") == [
        vitess_keyspace_id(value, "hash") for value in values
    ]


def test_out_that_overlaps_the_hashes_is_refused() -> None:
    hashes = np.arange(8, dtype="u4")

    with pytest.raises(PlacementError, match="overlaps"):
        jump_many(hashes, 5, out=hashes)


@pytest.mark.parametrize("n", [0, -1, 2**31, 10**30, "5", 2.0, None])
def test_a_number_of_owners_that_cannot_be_is_refused(n: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: jump(1, n),
        lambda: jump_many([1], n),
        lambda: kafka_partition("a", n),
        lambda: kafka_partition_many(["a"], n),
    ]
    for call in calls:
        with pytest.raises(PlacementError, match=r"n, the number of .* an int from 1 to"):
            call()


@pytest.mark.parametrize("value", ["1", b"1", 1.0, None, True, [1]])
def test_a_hash_that_is_no_int_is_refused(value: Any) -> None:
    with pytest.raises(KeyTypeError, match=f"hash is {type(value).__name__}"):
        jump(value, 5)
    with pytest.raises(KeyTypeError, match=rf"hashes\[1\] is {type(value).__name__}"):
        jump_many([1, value], 5)
    with pytest.raises(KeyTypeError, match=f"value is {type(value).__name__}"):
        vitess_keyspace_id(value, "hash")
    with pytest.raises(KeyTypeError, match=rf"values\[1\] is {type(value).__name__}"):
        vitess_keyspace_id_many([1, value], "hash")


@pytest.mark.parametrize("value", [-1, 2**64, -(2**70), pytest.param(1 << 20_000, id="long")])
def test_a_hash_beyond_64_bits_is_refused(value: int) -> None:
    with pytest.raises(PlacementError, match=r"hash is .* must be in \[0, 2\*\*64\)"):
        jump(value, 5)
    with pytest.raises(PlacementError, match=r"hashes\[1\] is .* must be in \[0, 2\*\*64\)"):
        jump_many([1, value], 5)


@pytest.mark.parametrize("value", [-(2**63) - 1, 2**64])
def test_a_number_beyond_64_bits_has_no_keyspace_id(value: int) -> None:
    with pytest.raises(PlacementError, match=r"value is .* must be in \[-2\*\*63, 2\*\*64\)"):
        vitess_keyspace_id(value, "hash")
    with pytest.raises(PlacementError, match=r"values\[0\] is"):
        vitess_keyspace_id_many([value], "hash")


@pytest.mark.parametrize("make", [np.array, pa.array, lambda v: pa.chunked_array([v[:2], v[2:]])])
def test_a_negative_hash_in_memory_is_refused_with_its_place(make: Callable[..., Any]) -> None:
    with pytest.raises(PlacementError, match=r"hashes\[3\] is -5"):
        jump_many(make([1, 2, 3, -5]), 5)


def test_text_in_memory_is_no_hash() -> None:
    with pytest.raises(KeyTypeError, match="text or bytes"):
        jump_many(pa.array(["1"]), 5)
    with pytest.raises(KeyTypeError, match="text or bytes"):
        vitess_keyspace_id_many(pa.array([b"1"]), "hash")


@pytest.mark.parametrize("vindex", ["xxh64", "", None, 5, "HASH"])
def test_an_unknown_vindex_is_refused(vindex: Any) -> None:
    with pytest.raises(PlacementError, match="unknown vindex"):
        vitess_keyspace_id(1, vindex)
    with pytest.raises(PlacementError, match="unknown vindex"):
        vitess_keyspace_id_many([1], vindex)


@pytest.mark.parametrize("key", [1.5, None, True])
def test_a_value_that_is_no_key_is_refused(key: Any) -> None:
    for scalar in (redis_slot, lambda key: kafka_partition(key, 5), vitess_keyspace_id):
        with pytest.raises(KeyTypeError):
            scalar(key)
    for many in (
        redis_slot_many,
        lambda keys: kafka_partition_many(keys, 5),
        vitess_keyspace_id_many,
    ):
        with pytest.raises(KeyTypeError, match=rf"keys\[1\] is {type(key).__name__}"):
            many(["a", key])
