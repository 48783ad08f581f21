"""The compiled core gives the frozen answers, and the frozen answers are what the twins give."""

import json
import runpy
import uuid
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from shardhash import HashRing, RangeMap, SlotMap, SlotSet, hashing, interop
from shardhash.keys import key_bytes

HERE = Path(__file__).parent
KEY_OF: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "bytes": bytes.fromhex,
    "uuid": uuid.UUID,
}
BOUND_OF: dict[str, tuple[type, Callable[[str], Any]]] = {
    "int": (int, int),
    "str": (str, str),
    "bytes": (bytes, bytes.fromhex),
    "date": (date, date.fromisoformat),
    "datetime": (datetime, datetime.fromisoformat),
}
HASHES: dict[str, Callable[[Any], Any]] = {
    "crc32": hashing.crc32,
    "crc16": hashing.crc16,
    "xxh64": lambda key: f"{hashing.xxh64(key):016x}",
    "xxh64 seed 2**64-1": lambda key: f"{hashing.xxh64(key, seed=2**64 - 1):016x}",
    "murmur2": hashing.murmur2,
    "md5_ketama": hashing.md5_ketama,
}


def load(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((HERE / name).read_text())
    return found


def load_interop() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "interop.json").read_text())
    return found


def digested(placement: SlotMap) -> dict[str, str]:
    texts = {shard: str(placement.slots_of(shard)) for shard in placement.shards}
    return {
        shard: text if len(text) < 80 else f"xxh64 {hashing.xxh64(text):016x}"
        for shard, text in texts.items()
    }


def test_the_files_are_what_the_twins_give() -> None:
    generator = runpy.run_path(str(HERE / "generate.py"))

    for name, value in generator["vectors"]().items():
        assert (HERE / name).read_text() == generator["as_text"](value)


@pytest.mark.parametrize(
    "vector", load("keys.json"), ids=lambda v: f"{v['type']} {v['value']!r:.20}"
)
def test_a_key_has_its_bytes_and_hashes(vector: dict[str, Any]) -> None:
    key = KEY_OF[vector["type"]](vector["value"])

    assert key_bytes(key).hex() == vector["bytes"]
    assert {name: compute(key) for name, compute in HASHES.items()} == {
        name: vector[name] for name in HASHES
    }


@pytest.mark.parametrize(
    "vector",
    load("rings.json") + load("ketama.json"),
    ids=lambda v: f"{v.get('scheme', 'xxh64')} {list(v['nodes'])!s:.40}",
)
def test_a_ring_has_its_points_and_owners(vector: dict[str, Any]) -> None:
    options = {name: vector[name] for name in ("points_per_weight", "scheme") if name in vector}
    ring = HashRing(vector["nodes"], **options)
    points, owners = ring._points()
    named = [[point, ring.nodes[owner]] for point, owner in zip(points, owners, strict=True)]
    layout = "".join(f"{point} {name}\n" for point, name in named)

    assert (named if len(named) < 50 else named[:5] + named[-5:]) == vector["points"]
    assert f"{hashing.xxh64(layout):016x}" == vector["xxh64 of all points"]
    assert {key: ring.lookup(key) for key in vector["lookup"]} == vector["lookup"]
    assert ring.version_hash == vector["version_hash"]
    for key, nodes in vector["lookup_n"].items():
        assert list(ring.lookup_n(key, len(nodes))) == nodes


@pytest.mark.parametrize("vector", load("slots.json"), ids=lambda v: str(list(v["weights"])))
def test_a_slot_map_has_its_slots_and_owners(vector: dict[str, Any]) -> None:
    weights = vector["weights"]
    placement = SlotMap.even(
        weights, slot_count=vector["slot_count"], weights=weights, scheme=vector["scheme"]
    )

    assert {shard: str(placement.slots_of(shard)) for shard in weights} == vector["slots"]
    assert {key: placement.slot(key) for key in vector["slot"]} == vector["slot"]
    assert {key: placement.lookup(key) for key in vector["lookup"]} == vector["lookup"]
    assert placement.version_hash == vector["version_hash"]


@pytest.mark.parametrize("vector", load("slots.json"), ids=lambda v: str(list(v["weights"])))
def test_a_change_of_a_slot_map_moves_the_frozen_slots(vector: dict[str, Any]) -> None:
    sets = {shard: SlotSet.parse(vector["slots"][shard]) for shard in vector["weights"]}
    placement = SlotMap(sets, weights=vector["weights"], scheme=vector["scheme"])
    first = placement.shards[0]

    assert digested(placement.with_shard("new", weight=1.5)) == vector["with_shard new 1.5"]
    if len(placement) > 1:
        assert digested(placement.without_shard(first)) == vector["without_shard first"]
        split = placement.with_split(first, "new", 0.3)
        assert digested(split) == vector["with_split first new 0.3"]


@pytest.mark.parametrize("vector", load("ranges.json"), ids=lambda v: f"{v['key_type']}")
def test_a_range_map_has_its_version_hash(vector: dict[str, Any]) -> None:
    key_type, read = BOUND_OF[vector["key_type"]]

    placement = RangeMap(map(read, vector["bounds"]), vector["shards"], key_type=key_type)

    assert placement.version_hash == vector["version_hash"]


@pytest.mark.parametrize(
    ("key", "crc32"),
    [("k137_KlD", 2**29), ("k712mD6O", 2**30), ("k421W3Cd", 2**31), ("", 0), ("k18bHE8", 0)],
)
def test_a_key_on_a_boundary_of_blocks_is_in_the_block_that_begins_there(
    key: str, crc32: int
) -> None:
    placement = SlotMap.even(["a", "b"], slot_count=65_536)
    other = SlotMap({"a": "1-65535", "b": "0"})

    assert hashing.crc32(key) == crc32
    assert placement.slot(key) == crc32 % 65_536 == 0
    assert placement.lookup(key) == "a"
    assert other.lookup(key) == "b"
    assert key in placement.partition([key])["a"]
    assert placement.foreign("a", [key]).tolist() == []
    assert [0 in move.slots for move in placement.moves_to(other)] == [True, False]


@pytest.mark.parametrize(
    "vector", load_interop()["keys"], ids=lambda v: f"{v['type']} {v['value']!r:.20}"
)
def test_other_systems_put_a_key_where_they_did(vector: dict[str, Any]) -> None:
    key = KEY_OF[vector["type"]](vector["value"])

    assert interop.redis_slot(key) == vector["redis_slot"]
    assert interop.vitess_keyspace_id(key).hex() == vector["vitess_keyspace_id"]
    for count, partition in vector["kafka_partition"].items():
        assert interop.kafka_partition(key, int(count)) == partition


@pytest.mark.parametrize("vector", load_interop()["jump"], ids=lambda v: f"{v['hash']} {v['n']}")
def test_jump_hash_gives_its_owner(vector: dict[str, Any]) -> None:
    assert interop.jump(int(vector["hash"]), vector["n"]) == vector["owner"]


@pytest.mark.parametrize(
    ("number", "keyspace_id"), load_interop()["vitess_keyspace_id hash"].items()
)
def test_a_number_has_its_keyspace_id(number: str, keyspace_id: str) -> None:
    assert interop.vitess_keyspace_id(int(number), "hash").hex() == keyspace_id


@pytest.mark.parametrize(("key", "crc16"), [("123456789", 12_739), ("foo", 12_182), ("", 0)])
def test_crc16_is_the_xmodem_of_redis_cluster(key: str, crc16: int) -> None:
    assert hashing.crc16(key) & 16_383 == crc16


@pytest.mark.parametrize(
    ("key", "text"), [("test1", "d01ab7e4d6978f0b"), ("1", "d46405367612b4b7")]
)
def test_xxh64_is_the_vitess_xxhash_stored_little_endian(key: str, text: str) -> None:
    assert hashing.xxh64(key).to_bytes(8, "little").hex() == text


def test_murmur2_is_that_of_kafka() -> None:
    assert hashing.murmur2("foobar") == -790_332_482 % 2**32
    assert (hashing.murmur2("foobar") & 0x7FFF_FFFF) % 12 == 6


@pytest.mark.parametrize(
    ("key", "word"), [("test", 3_446_378_249), ("2", 2_373_066_440), ("hello", 708_854_109)]
)
def test_md5_ketama_is_the_key_hash_of_libketama(key: str, word: int) -> None:
    assert hashing.md5_ketama(key) == word
