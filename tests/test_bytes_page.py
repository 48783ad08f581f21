"""The vectors of docs/reference/bytes.md are what the core gives, table by table."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reference.hashes import fnv_twemproxy
from shardhash import HashRing, RangeMap, SlotMap, hashing, interop

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/reference/bytes.md").read_text()
SERVERS = {"127.0.0.1:11211": 600, "127.0.0.1:11212": 400}
EVEN = SlotMap.even(["a", "b", "c"], slot_count=16)
RING = HashRing({"a": 1, "b": 2}, points_per_weight=4)


def table(header: str) -> list[list[str]]:
    """Return the cells of the only table with that header, code marks taken off."""
    (found,) = re.findall(rf"^\| {re.escape(header)} \|\n\|[-|]+\|\n((?:\|.*\|\n)+)", PAGE, re.M)
    return [
        [cell.strip().removeprefix("`").removesuffix("`") for cell in line[1:-1].split(" | ")]
        for line in found.splitlines()
    ]


def test_keys_are_the_frozen_ones() -> None:
    vectors = json.loads((ROOT / "tests/golden/keys.json").read_text())
    frozen = {(vector["type"], vector["value"]): vector for vector in vectors}
    rows = table(
        "type | key | key bytes | `crc32` | slot `crc32` | `xxh64` | slot `xxh64` | position"
    )

    assert len(rows) == 13
    for kind, value, _, *cells in rows:
        named = {"one zero byte": "00", "(empty)": ""}.get(value, value)
        vector = frozen[kind, named]
        xxh64 = int(vector["xxh64"], 16)
        assert cells == [
            str(vector["crc32"]),
            str(vector["crc32"] % 16_384),
            vector["xxh64"],
            str(xxh64 % 16_384),
            str(xxh64 >> 32),
        ]


def test_hashes() -> None:
    rows = table("hash | key | value")

    assert len(rows) == 6
    for name, key, value in rows:
        if name.endswith("seed 18446744073709551615"):
            assert f"{hashing.xxh64('', seed=2**64 - 1):016x}" == value
        else:
            assert str(getattr(hashing, name)(key)) == value.partition(" ")[0]


def test_points_of_a_ring() -> None:
    points, owners = RING._points()

    assert table("point | node") == [
        [str(point), RING.nodes[owner]] for point, owner in zip(points, owners, strict=True)
    ]


def test_owners_of_ketama_rings() -> None:
    rows = table("scheme | key | position | node")
    position: dict[str, Callable[[str], int]] = {
        "ketama": hashing.md5_ketama,
        "ketama-twemproxy": lambda key: fnv_twemproxy(key.encode()),
    }

    assert {scheme for scheme, *_ in rows} == position.keys()
    for scheme, key, at, node in rows:
        assert str(position[scheme](key)) == at
        assert HashRing(SERVERS, scheme=scheme).lookup(key) == node


@pytest.mark.parametrize("scheme", ["ketama", "ketama-twemproxy"])
def test_ends_of_ketama_rings(scheme: str) -> None:
    points, _ = HashRing(SERVERS, scheme=scheme)._points()

    assert (len(points), points[0], points[-1]) == (320, 2674639, 4292320248)
    assert "the lowest is 2674639, the highest 4292320248" in PAGE


def test_numbers_of_points_of_ketama_rings() -> None:
    rows = table("nodes of equal weight | points, `ketama` | points, `ketama-twemproxy`")

    assert len(rows) == 3
    for count, *sizes in rows:
        nodes = [str(i) for i in range(int(count))]
        assert sizes == [
            str(HashRing(nodes, scheme=scheme).point_count)
            for scheme in ("ketama", "ketama-twemproxy")
        ]


def test_functions_of_interop() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (`[^`]*`|-?\d+)(?:, (\w+))? \| `?(\w+)`? \|$", PAGE, re.M)
    rows = [row for row in rows if row[0] in interop.__all__]

    assert {name for name, *_ in rows} == {
        "redis_slot",
        "kafka_partition",
        "jump",
        "vitess_keyspace_id",
    }
    for name, first, second, result in rows:
        key = first.strip("`") if first.startswith("`") else int(first)
        more = [int(second) if second.isdigit() else second] if second else []
        found = getattr(interop, name)(key, *more)
        assert (found.hex() if isinstance(found, bytes) else str(found)) == result


def test_slots_of_maps() -> None:
    maps = [EVEN, EVEN.with_shard("new", weight=1.5), EVEN.without_shard("a")]
    rows = table("map | slots")

    for placement, (_, slots) in zip(maps, rows, strict=False):
        written = dict(re.findall(r"(\w+) `([^`]*)`", f"{slots}`"))
        assert written == {shard: str(placement.slots_of(shard)) for shard in placement.shards}
    split = EVEN.with_split("a", "new", 0.3)
    assert dict(re.findall(r"(\w+) `([^`]*)`", f"{rows[3][1]}`")) == {
        shard: str(split.slots_of(shard)) for shard in ("a", "new")
    }


def test_version_hashes() -> None:
    ranges = RangeMap([-16, 0, 4096], ["a", "b", "a", "é"], key_type=int)

    assert [written for written, _ in table("version hash | of")] == [
        placement.version_hash for placement in (EVEN, RING, ranges)
    ]
