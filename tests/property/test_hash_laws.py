from array import array
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reference import hashes as twin
from shardhash import hashing
from shardhash.keys import key_bytes
from strategies import Bulk, bulk_keys, hash_keys, texts

FUNCTIONS = ["crc32", "crc16", "xxh64", "murmur2", "md5_ketama"]


@given(hash_keys)
def test_key_bytes_equal_the_twins(key: object) -> None:
    assert key_bytes(key) == twin.key_bytes(key)


@given(st.integers(), texts, st.binary(), st.uuids())
def test_keys_with_one_text_are_one_key(number: int, text: str, raw: bytes, uuid: UUID) -> None:
    assert key_bytes(number) == key_bytes(str(number))
    assert key_bytes(text) == key_bytes(text.encode())
    assert key_bytes(raw) == raw
    assert key_bytes(uuid) == key_bytes(str(uuid))


@pytest.mark.parametrize("name", FUNCTIONS)
@given(key=hash_keys | st.binary(max_size=300))
def test_a_hash_equals_its_twin(name: str, key: object) -> None:
    assert getattr(hashing, name)(key) == getattr(twin, name)(twin.key_bytes(key))


@given(hash_keys | st.binary(max_size=100), st.integers(0, 2**64 - 1))
@example(b"", 2**64 - 1)
def test_xxh64_equals_its_twin_for_every_seed(key: object, seed: int) -> None:
    assert hashing.xxh64(key, seed=seed) == twin.xxh64(twin.key_bytes(key), seed)


@pytest.mark.parametrize("name", FUNCTIONS)
@given(bulk=bulk_keys)
def test_bulk_equals_scalar_for_every_input_kind(name: str, bulk: Bulk) -> None:
    scalar: Callable[[object], int] = getattr(hashing, name)

    found = getattr(hashing, f"{name}_many")(bulk.keys())

    assert found.tolist() == [scalar(key) for key in bulk.plain]


@given(bulk_keys, st.integers(0, 2**64 - 1))
def test_bulk_takes_the_seed(bulk: Bulk, seed: int) -> None:
    found = hashing.xxh64_many(bulk.keys(), seed=seed)

    assert found.tolist() == [hashing.xxh64(key, seed=seed) for key in bulk.plain]


@given(bulk_keys)
def test_out_gets_the_same_results(bulk: Bulk) -> None:
    out = array("I", bytes(4 * len(bulk.plain)))

    hashing.crc32_many(bulk.keys(), out=out)

    assert out.tolist() == hashing.crc32_many(bulk.keys()).tolist()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bulk_equals_scalar_beyond_one_block(name: str) -> None:
    keys = [f"key {'x' * (i % 70)} {i}" for i in range(1500)]
    scalar = getattr(hashing, name)

    assert getattr(hashing, f"{name}_many")(keys).tolist() == [scalar(key) for key in keys]
