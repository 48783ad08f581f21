"""Laws that every placement keeps, whatever its rule."""

import pickle
from array import array
from typing import Any

import pytest
from hypothesis import given

from shardhash import HashRing, Placement, RangeMap, SlotMap
from strategies import Bulk, bulk_bytes, bulk_ints, bulk_keys, bulk_texts

HASHED = {
    "slots": SlotMap({"a": "0-9", "none": "", "b": "10-40,50", "c": "41-49,51-63"}),
    "slots xxh64": SlotMap.even(["a", "b", "c"], scheme="xxh64"),
    "one slot": SlotMap(["a"]),
    "ring": HashRing({"a": 1, "b": 2.5, "c": 0.01}),
    "one point": HashRing(["a"], points_per_weight=1),
}
INTS = RangeMap([-5, 0, 1000, 2**40], ["a", "b", "a", "c", "d"], key_type=int)
TEXTS = RangeMap(["", "A", "é"], ["a", "b", "c", "a"], key_type=str)
BYTES = RangeMap([b"\x00", b"A", b"\x80"], ["a", "b", "c", "a"], key_type=bytes)


def check_bulk_equals_scalar(placement: Any, bulk: Bulk) -> None:
    owners = [placement.lookup(key) for key in bulk.plain]
    positions = list(range(len(owners)))

    found = placement.lookup_many(bulk.keys())
    parts = placement.partition(bulk.keys())

    assert found.format == "I"
    assert [placement.owners[i] for i in found] == owners
    assert list(parts) == [owner for owner in placement.owners if owner in owners]
    for owner in placement.owners:
        mine = [key for key, found in zip(bulk.plain, owners, strict=True) if found == owner]
        assert list(parts.get(owner, [])) == mine
        if not isinstance(placement, HashRing):
            foreign = placement.foreign(owner, bulk.keys())
            assert foreign.tolist() == [i for i in positions if owners[i] != owner]


@pytest.mark.parametrize("name", HASHED)
@given(bulk=bulk_keys)
def test_bulk_equals_scalar_for_every_input_kind(name: str, bulk: Bulk) -> None:
    check_bulk_equals_scalar(HASHED[name], bulk)


@given(bulk_ints)
def test_bulk_equals_scalar_for_ranges_of_int(bulk: Bulk) -> None:
    check_bulk_equals_scalar(INTS, bulk)


@given(bulk_texts)
def test_bulk_equals_scalar_for_ranges_of_str(bulk: Bulk) -> None:
    check_bulk_equals_scalar(TEXTS, bulk)


@given(bulk_bytes)
def test_bulk_equals_scalar_for_ranges_of_bytes(bulk: Bulk) -> None:
    check_bulk_equals_scalar(BYTES, bulk)


@given(bulk_keys)
def test_slot_many_equals_slot_for_every_input_kind(bulk: Bulk) -> None:
    placement = HASHED["slots"]

    found = placement.slot_many(bulk.keys())

    assert found.format == "H"
    assert found.tolist() == [placement.slot(key) for key in bulk.plain]


@given(bulk_ints)
def test_every_placement_writes_to_out_what_it_returns(bulk: Bulk) -> None:
    for placement in (*HASHED.values(), INTS):
        out = array("I", bytes(4 * len(bulk.plain)))

        placement.lookup_many(bulk.keys(), out=out)

        assert out.tolist() == placement.lookup_many(bulk.keys()).tolist()


@pytest.mark.parametrize("placement", [*HASHED.values(), INTS, TEXTS, BYTES])
def test_every_placement_keeps_the_protocol_and_value_semantics(placement: Any) -> None:
    twin = pickle.loads(pickle.dumps(placement))

    assert isinstance(placement, Placement)
    assert len(placement) == len(placement.owners) == len(set(placement.owners))
    assert twin == placement
    assert hash(twin) == hash(placement)
    assert twin.version_hash == placement.version_hash
    assert not placement.moves_to(twin)
