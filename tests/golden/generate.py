"""Write the frozen vectors beside this file, from the slow twins alone.

Run ``python tests/golden/generate.py`` from the repository, and only when something is added:
a changed line of an existing vector is a change of placement, which is breaking.
"""

import json
import struct
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference import hashes, interop
from reference.ring import HashRingTwin, KetamaTwin
from reference.slots import SlotMapTwin

HERE = Path(__file__).parent

BOUNDARY_KEYS = ["", "k18bHE8", "k137_KlD", "k712mD6O", "k421W3Cd"]
TEXT_KEYS = [
    *BOUNDARY_KEYS,
    *["0", "1", "2", "42", "-1", "test", "test1", "hello", "foo", "foobar", "123456789"],
    *["Foo", "foo ", "user:123456", "é", "e\u0301", "日本", "😀", "\x00", "a\x00b", "'\"\\"],
    *["x" * size for size in (3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 255)],
]
INT_KEYS = [
    *[0, 9, 10, 42, 99, 100, 123456789, -1, -10],
    *[
        sign * 2**bits + step
        for bits in (7, 8, 15, 16, 31, 32, 63, 64)
        for sign in (1, -1)
        for step in (-1, 0)
    ],
]
BYTES_KEYS = [b"", b"42", b"\x00", b"\xff\x00'\"\\", bytes(range(256))]
UUID_KEYS = [uuid.UUID(int=0), uuid.UUID("00112233-4455-6677-8899-AABBCCDDEEFF")]

RINGS: list[tuple[dict[str, float], int]] = [
    ({"a": 1.0}, 3),
    ({"a": 1.0, "b": 2.0}, 4),
    ({"b": 2.0, "a": 1.0}, 4),
    ({"a": 0.001, "b": 1.125, "é": 0.625, "a\x00": 1.0}, 4),
    ({"10.0.0.1:11211": 1.0, "10.0.0.2:11211": 1.0, "10.0.0.3:11211": 2.5}, 160),
]
SERVERS = [f"10.0.{i // 256}.{i % 256}:11211" for i in range(300)]
KETAMA_RINGS: list[dict[str, float]] = [
    {"127.0.0.1:11211": 600, "127.0.0.1:11212": 400},
    {"127.0.0.1:11212": 400, "127.0.0.1:11211": 600},
    {"10.0.0.1:11211": 600, "10.0.0.2:11211": 400},
    {"a": 1, "b": 1e6, "é\x00": 1e6},
    {"x" * size: 1 for size in (1, 52, 53, 61, 62, 63, 64, 65, 200)},
    dict.fromkeys(SERVERS[:25], 1),
    dict.fromkeys(SERVERS[:61], 1),
    {server: 1.0 + i % 7 / 3 for i, server in enumerate(SERVERS)},
]
MAPS: list[tuple[dict[str, float], int, str]] = [
    ({"a": 1.0}, 1, "crc32"),
    ({"a": 1.0, "b": 1.0, "c": 1.0}, 16, "crc32"),
    ({"s1": 1.0, "s2": 1.0}, 16_384, "crc32"),
    ({"s1": 1.0, "s2": 1.0, "s3": 0.1}, 1024, "xxh64"),
    ({"é": 3.0, "x y": 0.5, "0-1\n": 1.0}, 65_536, "crc32"),
    ({"s1": 1.0, "s2": 2.0}, 16_384, "redis"),
]
TAGGED_KEYS = [
    *["{user}:1", "{user}:2", "foo{}{bar}", "foo{{bar}}zap", "foo{bar}{zap}", "{}", "{", "}{a}"],
    *["a}b{c", "{a", "é{é}é", "{\x00}", "{a}\x00", "{{}}", "}{", "a{b}c}d"],
]
PARTITION_COUNTS = [1, 2, 12, 1000, 2**31 - 1]
JUMPS = [(1, 1), (42, 57), (0xDEAD10CC, 666), (256, 1024), (10**18, 100)]
JUMP_HASHES = [0, 1, 42, 2**31, 2**63 - 1, 2**63, 2**64 - 1, 0x0123456789ABCDEF]
NUMBERS = [0, 1, 2, 255, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -1, -(2**63), 0x0123456789ABCDEF]


def key_vector(kind: str, value: str, key: object) -> dict[str, object]:
    """All hashes of a key; 64-bit numbers as hex, because JSON readers round them."""
    data = hashes.key_bytes(key)
    return {
        "type": kind,
        "value": value,
        "bytes": data.hex(),
        "crc32": hashes.crc32(data),
        "crc16": hashes.crc16(data),
        "xxh64": f"{hashes.xxh64(data):016x}",
        "xxh64 seed 2**64-1": f"{hashes.xxh64(data, 2**64 - 1):016x}",
        "murmur2": hashes.murmur2(data),
        "md5_ketama": hashes.md5_ketama(data),
    }


def key_vectors() -> list[dict[str, object]]:
    """Keys of every type with their bytes and hashes."""
    return [
        *(key_vector("str", key, key) for key in TEXT_KEYS),
        *(key_vector("int", str(key), key) for key in INT_KEYS),
        *(key_vector("bytes", key.hex(), key) for key in BYTES_KEYS),
        *(key_vector("uuid", str(key), key) for key in UUID_KEYS),
    ]


def ring_vectors() -> list[dict[str, object]]:
    """Rings of scheme xxh64."""
    return [
        {
            "nodes": nodes,
            "points_per_weight": factor,
            **layout_vector(HashRingTwin(nodes, factor), "xxh64", nodes),
        }
        for nodes, factor in RINGS
    ]


def ketama_vectors() -> list[dict[str, object]]:
    """Rings of the ketama schemes."""
    return [
        {
            "scheme": scheme,
            "nodes": nodes,
            **layout_vector(KetamaTwin(nodes, scheme), scheme, nodes),
        }
        for scheme in ("ketama", "ketama-twemproxy")
        for nodes in KETAMA_RINGS
    ]


def layout_vector(twin: HashRingTwin, scheme: str, nodes: Mapping[str, float]) -> dict[str, object]:
    """A ring's whole layout, some owners, and its canonical text."""
    named = [(point, name.decode()) for point, name in twin.points]
    layout = "".join(f"{point} {name}\n" for point, name in named)
    counts = {node: sum(name == node for _, name in named) for node in nodes}
    text = f"ring {scheme} {len(named)}\n" + "".join(
        f"{counted(node)} {bits(weight)} {counts[node]}\n" for node, weight in nodes.items()
    )
    return {
        "points": named if len(named) < 50 else [*named[:5], *named[-5:]],
        "xxh64 of all points": f"{hashes.xxh64(layout.encode()):016x}",
        "lookup": {key: twin.lookup(key) for key in TEXT_KEYS},
        "lookup_n": {key: twin.lookup_n(key, min(len(nodes), 5)) for key in BOUNDARY_KEYS},
        **versioned(text),
    }


def slot_vector(weights: Mapping[str, float], count: int, scheme: str) -> dict[str, object]:
    """A map, the slots of keys, and the maps that changes make of it."""
    twin = SlotMapTwin.even(weights, count, scheme)
    grown = twin.with_shard("new", 1.5)
    vector: dict[str, object] = {
        "weights": weights,
        "slot_count": count,
        "scheme": scheme,
        "slots": slots_of_all(twin),
        "slot": {key: twin.slot(key) for key in TEXT_KEYS},
        "lookup": {key: twin.lookup(key) for key in TEXT_KEYS},
        "with_shard new 1.5": digest_of(slots_of_all(grown)),
        **versioned(slot_text(twin)),
    }
    if len(weights) > 1:
        first = next(iter(weights))
        vector["without_shard first"] = digest_of(slots_of_all(twin.without_shard(first)))
        split = twin.with_split(first, "new", 0.3)
        vector["with_split first new 0.3"] = digest_of(slots_of_all(split))
    return vector


def interop_vectors() -> dict[str, object]:
    """What other systems give keys and numbers."""
    jumps = [*JUMPS, *((hash_value, n) for hash_value in JUMP_HASHES for n in PARTITION_COUNTS)]
    return {
        "keys": [
            *(placed_vector("str", key, key) for key in (*TEXT_KEYS, *TAGGED_KEYS)),
            *(placed_vector("int", str(key), key) for key in INT_KEYS),
            *(placed_vector("bytes", key.hex(), key) for key in BYTES_KEYS),
            *(placed_vector("uuid", str(key), key) for key in UUID_KEYS),
        ],
        "jump": [
            {"hash": str(hash_value), "n": n, "owner": interop.jump(hash_value, n)}
            for hash_value, n in jumps
        ],
        "vitess_keyspace_id hash": {
            str(number): interop.vitess_keyspace_id(number, "hash").hex() for number in NUMBERS
        },
    }


def placed_vector(kind: str, value: str, key: object) -> dict[str, object]:
    """Where other systems put a key."""
    return {
        "type": kind,
        "value": value,
        "redis_slot": interop.redis_slot(key),
        "kafka_partition": {n: interop.kafka_partition(key, n) for n in PARTITION_COUNTS},
        "vitess_keyspace_id": interop.vitess_keyspace_id(key).hex(),
    }


def slots_of_all(twin: SlotMapTwin) -> dict[str, str]:
    """The canonical text of every shard's slots."""
    return {shard: slot_ranges(twin.slots_of(shard)) for shard in sorted(twin.weights)}


def slot_ranges(slots: Sequence[int]) -> str:
    """Return ``0-3,7`` for 0, 1, 2, 3, 7."""
    known = set(slots)
    starts = [slot for slot in slots if slot - 1 not in known]
    ends = [slot for slot in slots if slot + 1 not in known]
    return ",".join(
        str(start) if start == end else f"{start}-{end}"
        for start, end in zip(starts, ends, strict=True)
    )


def digest_of(slots: Mapping[str, str]) -> dict[str, str]:
    """Shorten long texts to their hash."""
    return {
        shard: text if len(text) < 80 else f"xxh64 {hashes.xxh64(text.encode()):016x}"
        for shard, text in slots.items()
    }


def slot_text(twin: SlotMapTwin) -> str:
    """The canonical text of a slot map, shards in the order of their weights."""
    lines = [
        f"{counted(shard)} {bits(weight)} {slot_ranges(twin.slots_of(shard))}\n"
        for shard, weight in twin.weights.items()
    ]
    return f"slots {twin.scheme} {len(twin.owners)}\n" + "".join(lines)


def range_vectors() -> list[dict[str, object]]:
    """Range maps and their canonical texts, written out by hand."""
    texts = {
        ("int", "-16 0 4096"): "ranges int\n1:a -\n1:b -10\n1:a 0\n2:é 1000\n",
        ("str", "M é"): "ranges str\n1:a -\n1:b 1:M\n1:a 2:é\n",
        ("bytes", "4d ff00"): "ranges bytes\n1:a -\n1:b 1:4d\n1:a 2:ff00\n",
        ("date", "2025-01-01 2026-01-01"): "ranges date\n1:a -\n1:b 2025-01-01\n1:a 2026-01-01\n",
        ("datetime", "2025-01-01T12:00:00"): (
            "ranges datetime\n1:a -\n1:b 2025-01-01T12:00:00.000000\n"
        ),
        ("datetime", "2025-01-01T12:00:00+02:00"): (
            "ranges datetime\n1:a -\n1:b 2025-01-01T10:00:00.000000+00:00\n"
        ),
    }
    shards = ["a", "b", "a", "é"]
    return [
        {
            "key_type": kind,
            "bounds": bounds.split(),
            "shards": shards[: len(bounds.split()) + 1],
            **versioned(text),
        }
        for (kind, bounds), text in texts.items()
    ]


def versioned(text: str) -> dict[str, object]:
    """A canonical text and its hash."""
    shown = {"canonical": text} if len(text) < 400 else {}
    return {**shown, "version_hash": f"{hashes.xxh64(text.encode()):016x}"}


def counted(name: str) -> str:
    """A name with the length of its UTF-8 form in front."""
    return f"{len(name.encode())}:{name}"


def bits(weight: float) -> str:
    """The IEEE 754 bits of a weight, most significant first, in hex."""
    return struct.pack(">d", weight).hex()


def vectors() -> dict[str, object]:
    """Return what each file holds."""
    return {
        "keys.json": key_vectors(),
        "rings.json": ring_vectors(),
        "ketama.json": ketama_vectors(),
        "interop.json": interop_vectors(),
        "slots.json": [slot_vector(*slots) for slots in MAPS],
        "ranges.json": range_vectors(),
    }


def as_text(value: object) -> str:
    """Return the text of a file."""
    return json.dumps(value, indent=1, ensure_ascii=True) + "\n"


def main() -> None:
    """Write the files."""
    for name, value in vectors().items():
        (HERE / name).write_text(as_text(value), encoding="ascii")


if __name__ == "__main__":
    main()
