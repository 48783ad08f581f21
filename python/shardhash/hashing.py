"""Hashes of keys, as other systems compute them; pure, thread-safe, stable since 0.1.

    >>> crc32("123456789"), crc32(123456789)
    (3421780262, 3421780262)
    >>> crc32_many([1, "a", b"b"]).tolist()
    [2212294583, 3904355907, 1908338681]

Each takes a key (see `shardhash.keys`); ``*_many`` take bulk keys and return a memoryview of
unsigned items: 2 bytes for crc16, 8 for xxh64, 4 for the others. Time is linear in the bytes of the
keys.
"""

from shardhash._core import (
    crc16,
    crc16_many,
    crc32,
    crc32_many,
    md5_ketama,
    md5_ketama_many,
    murmur2,
    murmur2_many,
    xxh64,
    xxh64_many,
)

__all__ = [
    "crc16",
    "crc16_many",
    "crc32",
    "crc32_many",
    "md5_ketama",
    "md5_ketama_many",
    "murmur2",
    "murmur2_many",
    "xxh64",
    "xxh64_many",
]
