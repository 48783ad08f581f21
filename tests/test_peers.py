"""The same answers as packages of others, on 100,000 random keys each.

zlib, xxhash, hashlib, redis, kafka-python, jump-consistent-hash (also on mmh3's hashes), fnvhash,
cryptography's DES, uhashring, and ketama, which is libketama itself. Where a peer departs from the
rule, a test of its own says how.
"""

import hashlib
import random
import warnings
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import jump as peer_jump
import mmh3
import pytest
import xxhash
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from fnvhash import fnv1a_64
from ketama import Ketama
from redis.crc import key_slot
from uhashring import HashRing as UHashRing

from shardhash import HashRing, SlotMap, hashing, interop

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of how it reads its own files
    from kafka.partitioner.default import DefaultPartitioner, murmur2

COUNT = 100_000


@cache
def byte_keys() -> list[bytes]:
    """Bytes of every value, of 0 to 40 of them, some with braces."""
    chance = random.Random(1)
    keys = [chance.randbytes(chance.randrange(41)) for _ in range(COUNT * 9 // 10)]
    tagged = ["".join(chance.choices("ab{}", k=8)).encode() for _ in range(COUNT - len(keys))]
    return keys + tagged


@cache
def text_keys() -> list[str]:
    """Texts in ASCII without NUL, as memcached's keys are."""
    chance = random.Random(2)
    return [
        f"{chance.choice('abc')}:{chance.getrandbits(chance.randrange(1, 80))}"
        for _ in range(COUNT)
    ]


@cache
def numbers() -> list[int]:
    """Numbers of all of 64 bits."""
    chance = random.Random(3)
    return [chance.getrandbits(chance.choice([8, 32, 63, 64])) for _ in range(COUNT)]


def servers(count: int, chance: random.Random | None = None) -> dict[str, int]:
    """Names with weights that sum below 2**24, where float32 still knows every whole number."""
    return {
        f"10.0.{i // 250}.{i % 250}:11211": chance.randrange(1, 1000) if chance else 1
        for i in range(count)
    }


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (hashing.crc32_many, zlib.crc32),
        (hashing.xxh64_many, xxhash.xxh64_intdigest),
        (
            hashing.md5_ketama_many,
            lambda key: int.from_bytes(hashlib.md5(key).digest()[:4], "little"),
        ),
        (hashing.murmur2_many, lambda key: murmur2(key) % 2**32),
    ],
    ids=["zlib", "xxhash", "hashlib", "kafka-python"],
)
def test_hashes_equal(
    ours: Callable[[list[bytes]], memoryview], theirs: Callable[[bytes], int]
) -> None:
    keys = byte_keys()

    assert ours(keys).tolist() == [theirs(key) for key in keys]


def test_redis_slots_equal_redis_py() -> None:
    keys = byte_keys()
    expected = [key_slot(key) for key in keys]

    assert interop.redis_slot_many(keys).tolist() == expected
    assert [interop.redis_slot(key) for key in keys] == expected
    assert SlotMap.even(["a"], scheme="redis").slot_many(keys).tolist() == expected


class Topic:
    """What kafka-python's partitioner asks its client about."""

    def __init__(self, partition_count: int) -> None:
        self.partitions = range(partition_count)

    def topics(self) -> set[str]:
        return {"t"}

    def partitions_for_topic(self, _topic: str) -> range:
        return self.partitions

    available_partitions_for_topic = partitions_for_topic


@pytest.mark.parametrize("n", [1, 12, 1000])
def test_kafka_partitions_equal_kafka_python(n: int) -> None:
    keys = byte_keys()[:: 1 if n == 12 else 10]
    place, topic = DefaultPartitioner().partition, Topic(n)
    expected = [place("t", key, key, None, None, topic) for key in keys]

    assert interop.kafka_partition_many(keys, n).tolist() == expected
    assert [interop.kafka_partition(key, n) for key in keys] == expected


@pytest.mark.parametrize("n", [1, 7, 1000, 2**31 - 1])
def test_jump_equals_jump_consistent_hash(n: int) -> None:
    expected = [peer_jump.hash(number, n) for number in numbers()]

    assert interop.jump_many(numbers(), n).tolist() == expected
    assert [interop.jump(number, n) for number in numbers()] == expected


def test_jump_takes_the_hashes_of_mmh3() -> None:
    hashes = [mmh3.hash64(key, signed=False)[0] for key in byte_keys()]

    assert interop.jump_many(hashes, 100).tolist() == [peer_jump.hash(h, 100) for h in hashes]


def test_keyspace_ids_of_numbers_equal_des_of_cryptography() -> None:
    cipher = Cipher(TripleDES(bytes(24)), modes.ECB()).encryptor()
    blocks = b"".join(number.to_bytes(8, "big") for number in numbers())
    encrypted = cipher.update(blocks)
    expected = [encrypted[i : i + 8] for i in range(0, len(encrypted), 8)]

    assert interop.vitess_keyspace_id_many(numbers(), "hash") == expected
    assert [interop.vitess_keyspace_id(n, "hash") for n in numbers()[:1000]] == expected[:1000]


def test_keyspace_ids_of_keys_equal_xxhash() -> None:
    expected = [xxhash.xxh64_digest(key)[::-1] for key in byte_keys()]

    assert interop.vitess_keyspace_id_many(byte_keys()) == expected


# ---- ketama --------------------------------------------------------------------------------------


def libketama(nodes: dict[str, int], directory: Path) -> Ketama:
    """libketama's ring; it reads a file, and remembers one by its place."""
    file = directory / f"servers {len(list(directory.iterdir()))}"
    file.write_text("".join(f"{name}\t{weight}\n" for name, weight in nodes.items()))
    return Ketama(str(file))


def layout(ring: HashRing) -> list[tuple[int, str]]:
    points, owners = ring._points()
    return [(point, ring.nodes[owner]) for point, owner in zip(points, owners, strict=True)]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 60, 61, 62, 100, 117])
@pytest.mark.parametrize("seed", [None, 1, 2])
def test_ketama_has_every_point_of_libketama(count: int, seed: int | None, tmp_path: Path) -> None:
    nodes = servers(count, random.Random(seed) if seed else None)

    ring = HashRing(nodes, scheme="ketama")

    assert sorted(libketama(nodes, tmp_path).get_points()) == sorted(layout(ring))


@pytest.mark.parametrize("heaviest", [3, 2**24 + 5, 2**40])
def test_ketama_has_every_point_of_libketama_for_any_weights(heaviest: int, tmp_path: Path) -> None:
    chance = random.Random(heaviest)
    for _ in range(30):
        nodes = {
            f"h{chance.getrandbits(40)}:{i}": chance.randrange(1, heaviest + 1)
            for i in range(chance.randrange(1, 118))
        }
        ring = HashRing(nodes, scheme="ketama")

        assert sorted(libketama(nodes, tmp_path).get_points()) == sorted(layout(ring))


@pytest.mark.parametrize("count", [2, 61, 117])
def test_ketama_has_the_owners_of_libketama(count: int, tmp_path: Path) -> None:
    nodes = servers(count, random.Random(count))
    ring = HashRing(nodes, scheme="ketama")
    peer = libketama(nodes, tmp_path)

    owners = ring.lookup_many(text_keys())

    assert [ring.nodes[owner] for owner in owners] == [peer.get_server(k)[1] for k in text_keys()]


def test_libketama_agrees_on_a_key_that_hits_a_point(tmp_path: Path) -> None:
    nodes = {"10.0.0.1:11211": 600, "10.0.0.2:11211": 400}
    ring = HashRing(nodes, scheme="ketama")
    key = "10.0.0.1:11211-0"

    assert hashing.md5_ketama(key) in dict(layout(ring))
    assert libketama(nodes, tmp_path).get_server(key)[1] == ring.lookup(key) == "10.0.0.1:11211"


@pytest.mark.parametrize("count", [2, 10, 100])
def test_ketama_has_the_owners_of_uhashring_for_equal_weights(count: int) -> None:
    nodes = servers(count)
    ring = HashRing(nodes, scheme="ketama")
    peer = UHashRing(nodes, hash_fn="ketama")

    owners = ring.lookup_many(text_keys())

    assert [ring.nodes[owner] for owner in owners] == [peer.get_node(k) for k in text_keys()]


def test_uhashring_departs_on_a_key_that_hits_a_point() -> None:
    """libketama takes the first point >= the hash, uhashring the first one > it."""
    nodes = {"10.0.0.1:11211": 600, "10.0.0.2:11211": 400}
    ring = HashRing(nodes, scheme="ketama")
    peer = UHashRing(nodes, hash_fn="ketama")
    table = layout(ring)
    following = dict(zip((point for point, _ in table), (*table[1:], table[0]), strict=True))
    hits = [f"{name}-{k}" for name, weight in nodes.items() for k in range(weight * 80 // 1000)]

    for key in hits:
        assert ring.lookup(key) == dict(table)[hashing.md5_ketama(key)]
        assert peer.get_node(key) == following[hashing.md5_ketama(key)][1]
    assert peer.get_node("10.0.0.1:11211-0") == "10.0.0.2:11211"


def test_uhashring_departs_where_float32_rounds_down() -> None:
    """uhashring counts in whole numbers: 160 points for each of 61 nodes, libketama 156."""
    nodes = servers(61)
    ring = HashRing(nodes, scheme="ketama")
    peer = UHashRing(nodes, hash_fn="ketama")

    assert ring.point_count == 61 * 156
    assert len(peer.get_points()) == 61 * 160
    apart = sum(
        ring.nodes[owner] != peer.get_node(key)
        for owner, key in zip(ring.lookup_many(text_keys()), text_keys(), strict=True)
    )
    assert 0.02 < apart / COUNT < 0.03


# ---- twemproxy -----------------------------------------------------------------------------------


def test_twemproxy_keys_are_at_the_low_half_of_fnvhash() -> None:
    nodes = servers(10)
    ring = HashRing(nodes, scheme="ketama-twemproxy")
    owners = ring.lookup_many(text_keys())
    by_point = dict(layout(ring))
    points = sorted(by_point)

    positions = sorted((fnv1a_64(key.encode()) % 2**32, i) for i, key in enumerate(text_keys()))
    at = 0
    for position, i in positions:
        while at < len(points) and points[at] < position:
            at += 1
        assert ring.nodes[owners[i]] == by_point[points[at % len(points)]]
