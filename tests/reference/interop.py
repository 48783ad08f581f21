"""Where other systems put a key, after their own source."""

import re

from reference.des import des
from reference.hashes import crc16, key_bytes, murmur2, xxh64


def redis_hash(data: bytes) -> int:
    """CRC-16 of the first non-empty braces' content, if the first brace's pair is not empty."""
    found = re.match(rb"[^{]*\{([^}]+)\}", data)
    return crc16(found[1] if found else data)


def redis_slot(key: object) -> int:
    return redis_hash(key_bytes(key)) % 16384


def kafka_partition(key: object, n: int) -> int:
    """``toPositive(murmur2(bytes)) % numPartitions``, on Java's signed integers."""
    signed = (murmur2(key_bytes(key)) ^ 0x80000000) - 0x80000000
    return (signed & 0x7FFFFFFF) % n


def jump(hash_value: int, n: int) -> int:
    """Lamping and Veach's figure 1, with Python's floats, which are C's doubles."""
    b, j = -1, 0
    while j < n:
        b = j
        hash_value = (hash_value * 2862933555777941757 + 1) % 2**64
        j = int((b + 1) * (float(1 << 31) / float((hash_value >> 33) + 1)))
    return b


def vitess_keyspace_id(value: object, vindex: str = "xxhash") -> bytes:
    if vindex == "hash":
        assert isinstance(value, int)
        return des(value % 2**64).to_bytes(8, "big")
    return xxh64(key_bytes(value)).to_bytes(8, "little")
