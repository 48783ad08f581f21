"""From an application's key to its shard, by the declared type."""

import uuid
import zlib
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardhash.db.mapping import KeyRouter
from shardhash.db.topology import (
    Key,
    KeyType,
    Mapping,
    RangeRule,
    RingRule,
    SlotRule,
    TableRule,
)
from shardhash.errors import KeyTypeError

UUID = uuid.UUID("123E4567-e89b-12d3-a456-426614174000")


class Colour(StrEnum):
    RED = "red"


def router(key_type: str, rule: object = None) -> KeyRouter:
    slots = SlotRule(owners=("s1",) * 4 + ("s2",) * 4, shards=("s1", "s2"))
    return KeyRouter.from_mapping(
        Mapping(
            name="m",
            key=Key("k", KeyType(key_type)),
            tables=(TableRule("t", "k"),),
            rule=rule or slots,
        )
    )


@pytest.mark.parametrize(
    ("key_type", "value", "key"),
    [
        ("int", 42, 42),
        ("int", -(2**63), -(2**63)),
        ("int", 2**64 - 1, 2**64 - 1),
        ("int", np.uint64(7), 7),
        ("str", "42", "42"),
        ("str", "", ""),
        ("str", Colour.RED, "red"),
        ("bytes", b"\x00'\\", b"\x00'\\"),
        ("uuid", UUID, "123e4567-e89b-12d3-a456-426614174000"),
        ("uuid", str(UUID).upper(), "123e4567-e89b-12d3-a456-426614174000"),
        ("uuid16", UUID, UUID.bytes),
        ("uuid16", UUID.bytes, UUID.bytes),
        ("date", date(2026, 1, 31), "2026-01-31"),
    ],
)
def test_a_value_of_the_declared_type_has_one_canonical_key(
    key_type: str, value: object, key: object
):
    found = router(key_type).key(value)

    assert (found, type(found)) == (key, type(key))


@pytest.mark.parametrize(
    ("key_type", "value"),
    [
        *(("int", value) for value in ("42", b"42", True, 4.0, Decimal(4), None, np.bool_(True))),
        ("int", 2**64),
        ("int", -(2**63) - 1),
        *(("str", value) for value in (42, b"a", None, "\ud800", UUID)),
        *(("bytes", value) for value in ("a", bytearray(b"a"), memoryview(b"a"), 1)),
        *(("uuid", value) for value in (UUID.bytes, UUID.hex, f"{{{UUID}}}", f"{UUID}\n", 1)),
        *(("uuid16", value) for value in (str(UUID), b"short", 1)),
        *(("date", value) for value in ("2026-01-31", datetime(2026, 1, 31), 20260131)),
    ],
)
def test_a_value_of_another_type_is_refused(key_type: str, value: object):
    with pytest.raises(KeyTypeError, match=f"mapping m has {key_type} keys \\(k\\): expected"):
        router(key_type).shard_for(value)


def test_a_range_compares_dates_themselves():
    days = router("date", RangeRule(bounds=(date(2026, 1, 1),), shards=("old", "new")))

    assert days.key(date(2026, 1, 1)) == date(2026, 1, 1)
    assert days.shard_for(date(2025, 12, 31)) == "old"
    assert days.shard_for(date(2026, 1, 1)) == "new"


def test_a_range_of_datetimes_refuses_a_date_and_a_time_with_zone():
    times = router("datetime", RangeRule(bounds=(datetime(2026, 1, 1),), shards=("old", "new")))

    assert times.shard_for(datetime(2026, 1, 1)) == "new"
    for value in (date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)):
        with pytest.raises(KeyTypeError):
            times.shard_for(value)


def test_a_shard_without_slots_is_known_and_owns_nothing():
    slots = SlotRule(owners=("s1",) * 8, shards=("s1", "empty"), weights={"empty": 2.0})

    placement = router("int", slots).placement

    assert placement.shards == ("s1", "empty")
    assert len(placement.slots_of("empty")) == 0


def test_a_ring_routes_to_its_nodes():
    assert router("str", RingRule(nodes={"s1": 1.0})).shard_for("x") == "s1"


@given(st.integers(-(2**63), 2**64 - 1))
def test_slots_are_the_servers_own_crc32(value: int):
    slot = zlib.crc32(str(value).encode()) & 7

    assert router("int").shard_for(value) == ("s1" if slot < 4 else "s2")


@pytest.mark.parametrize(
    ("key_type", "text", "value"),
    [
        ("int", "42", 42),
        ("int", "-7", -7),
        ("str", "42", "42"),
        ("bytes", "0x00ff", b"\x00\xff"),
        ("bytes", "é", "é".encode()),
        ("uuid", str(UUID).upper(), UUID),
        ("uuid16", str(UUID), UUID),
        ("uuid16", "0x" + UUID.hex, UUID),
        ("date", "2026-01-31", date(2026, 1, 31)),
    ],
)
def test_a_key_on_the_command_line_is_the_value_it_stands_for(
    key_type: str, text: str, value: object
):
    assert router(key_type).parse_key(text) == value


@pytest.mark.parametrize(
    ("key_type", "text"),
    [
        ("int", ""),
        ("int", "4.0"),
        ("int", "٤"),
        ("int", "1_000"),
        ("int", str(2**64)),
        ("bytes", "0x0"),
        ("uuid", UUID.hex),
        ("uuid16", "0xff"),
        ("date", "31.1.2026"),
    ],
)
def test_text_that_is_no_key_of_the_type_is_refused(key_type: str, text: str):
    with pytest.raises(KeyTypeError):
        router(key_type).parse_key(text)


@given(st.binary(max_size=20))
def test_bytes_written_as_hex_are_the_same_key(value: bytes):
    bytes_router = router("bytes")

    assert bytes_router.key(bytes_router.parse_key("0x" + value.hex())) == value
