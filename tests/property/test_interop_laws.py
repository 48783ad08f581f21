from array import array

from hypothesis import given
from hypothesis import strategies as st

from reference import interop as twin
from shardhash import SlotMap
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
from strategies import Bulk, bulk_ints, bulk_keys, hash_keys

hashes = st.integers(0, 2**64 - 1)
numbers = st.integers(-(2**63), 2**64 - 1)
counts = st.integers(1, 100) | st.integers(1, 2**31 - 1)
tagged = st.text("ab{}", max_size=12) | st.binary(max_size=12) | hash_keys


@given(tagged, counts)
def test_places_of_keys_equal_the_twins(key: object, n: int) -> None:
    assert redis_slot(key) == twin.redis_slot(key)
    assert kafka_partition(key, n) == twin.kafka_partition(key, n)
    assert vitess_keyspace_id(key) == twin.vitess_keyspace_id(key)


@given(numbers)
def test_keyspace_ids_of_numbers_equal_the_twins(number: int) -> None:
    assert vitess_keyspace_id(number, "hash") == twin.vitess_keyspace_id(number, "hash")


@given(hashes, counts)
def test_jump_equals_its_twin(hash_value: int, n: int) -> None:
    assert jump(hash_value, n) == twin.jump(hash_value, n)


@given(bulk_keys, counts)
def test_bulk_equals_scalar_for_every_input_kind(bulk: Bulk, n: int) -> None:
    keys = bulk.plain

    assert redis_slot_many(bulk.keys()).tolist() == [redis_slot(key) for key in keys]
    assert kafka_partition_many(bulk.keys(), n).tolist() == [kafka_partition(k, n) for k in keys]
    assert vitess_keyspace_id_many(bulk.keys()) == [vitess_keyspace_id(key) for key in keys]


@given(bulk_ints.filter(lambda bulk: all(-(2**63) <= n < 2**64 for n in bulk.plain)), counts)
def test_bulk_of_integers_equals_scalar(bulk: Bulk, n: int) -> None:
    ids = vitess_keyspace_id_many(bulk.keys(), "hash")

    assert ids == [vitess_keyspace_id(int(number), "hash") for number in bulk.plain]
    if all(number >= 0 for number in bulk.plain):
        assert jump_many(bulk.keys(), n).tolist() == [jump(int(i), n) for i in bulk.plain]


@given(st.lists(hashes), st.integers(1, 300))
def test_one_owner_more_moves_hashes_only_to_itself(values: list[int], n: int) -> None:
    before, after = jump_many(array("Q", values), n), jump_many(array("Q", values), n + 1)

    assert all(new in (old, n) for old, new in zip(before, after, strict=True))


@given(st.text("abc{", max_size=5), st.text("abc{", min_size=1), st.text("abc{}"))
def test_keys_with_one_tag_share_a_slot(before: str, tag: str, after: str) -> None:
    prefix = before.replace("{", "")

    assert redis_slot(f"{prefix}{{{tag}}}{after}") == redis_slot(f"{{{tag}}}")


@given(tagged)
def test_the_scheme_redis_has_the_slots_of_redis(key: object) -> None:
    assert SlotMap.even(["a", "b"], scheme="redis").slot(key) == redis_slot(key)


@given(st.lists(numbers, unique=True))
def test_keyspace_ids_of_different_numbers_differ(values: list[int]) -> None:
    different = {number % 2**64 for number in values}

    assert len(set(vitess_keyspace_id_many(values, "hash"))) == len(different)
