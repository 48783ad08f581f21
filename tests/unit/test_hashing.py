import hashlib
import random
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import xxhash

from shardhash import KeyTypeError, PlacementError, hashing

FUNCTIONS = ["crc32", "crc16", "xxh64", "murmur2", "md5_ketama"]
FORMATS = {"crc32": "I", "crc16": "H", "xxh64": "Q", "murmur2": "I", "md5_ketama": "I"}


def scalar(name: str) -> Callable[..., int]:
    return getattr(hashing, name)


def many(name: str) -> Callable[..., memoryview]:
    return getattr(hashing, f"{name}_many")


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("crc32", "", 0),
        ("crc32", "123456789", 0xCBF43926),
        ("crc32", "k137_KlD", 536870912),
        ("crc32", "k712mD6O", 1073741824),
        ("crc32", "k421W3Cd", 2147483648),
        ("crc32", "k18bHE8", 0),
        ("crc16", "123456789", 12739),
        ("crc16", "", 0),
        ("xxh64", "", 0xEF46DB3751D8E999),
        ("murmur2", "foobar", -790332482 % 2**32),
        ("md5_ketama", "test", 3446378249),
        ("md5_ketama", "2", 2373066440),
        ("md5_ketama", "hello", 708854109),
    ],
)
def test_known_answers(name: str, key: str, expected: int) -> None:
    assert scalar(name)(key) == expected
    assert many(name)([key]).tolist() == [expected]


@pytest.mark.parametrize(("key", "slot"), [("foo", 12182), ("123456789", 12739)])
def test_crc16_gives_the_slots_of_redis(key: str, slot: int) -> None:
    assert hashing.crc16(key) % 16384 == slot


@pytest.mark.parametrize(
    ("key", "stored"), [("test1", "d01ab7e4d6978f0b"), ("1", "d46405367612b4b7")]
)
def test_xxh64_is_what_vitess_stores(key: str, stored: str) -> None:
    assert hashing.xxh64(key).to_bytes(8, "little").hex() == stored


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_murmur2_equals_kafkas_own_test_cases(key: str, signed: int) -> None:
    assert hashing.murmur2(key) == signed % 2**32


def test_keys_of_every_size_hash_as_in_other_packages() -> None:
    chance = random.Random(5)
    keys = [chance.randbytes(size) for size in range(300)]

    assert hashing.crc32_many(keys).tolist() == [zlib.crc32(key) for key in keys]
    assert hashing.xxh64_many(keys, seed=9).tolist() == [
        xxhash.xxh64_intdigest(key, 9) for key in keys
    ]
    assert hashing.md5_ketama_many(keys).tolist() == [
        int.from_bytes(hashlib.md5(key).digest()[:4], "little") for key in keys
    ]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bulk_results_are_memoryviews_of_the_hash_width(name: str) -> None:
    found = many(name)(["a", "b"])

    assert isinstance(found, memoryview)
    assert (found.format, found.shape) == (FORMATS[name], (2,))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_out_has_the_hash_width(name: str) -> None:
    out = np.zeros(2, FORMATS[name])

    found = many(name)(["a", "b"], out=out)

    assert found.tolist() == out.tolist() == [scalar(name)("a"), scalar(name)("b")]


def test_seeds_take_all_of_64_bits() -> None:
    assert hashing.xxh64("a", seed=2**64 - 1) == xxhash.xxh64_intdigest(b"a", 2**64 - 1)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", None])
def test_a_seed_beyond_64_bits_is_refused(seed: object) -> None:
    with pytest.raises(PlacementError, match="seed"):
        hashing.xxh64("a", seed=seed)
    with pytest.raises(PlacementError, match="seed"):
        hashing.xxh64_many(["a"], seed=seed)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_value_that_is_no_key_is_refused(name: str) -> None:
    with pytest.raises(KeyTypeError):
        scalar(name)(1.5)
    with pytest.raises(KeyTypeError, match=r"keys\[1\] is float"):
        many(name)(["a", 1.5])
