"""The hash functions, straight from their definitions: one bit, byte or word at a time."""

import hashlib
import operator
import uuid

_U32 = 0xFFFF_FFFF
_U64 = 0xFFFF_FFFF_FFFF_FFFF

XXH_PRIME_1 = 0x9E3779B185EBCA87
XXH_PRIME_2 = 0xC2B2AE3D27D4EB4F
XXH_PRIME_3 = 0x165667B19E3779F9
XXH_PRIME_4 = 0x85EBCA77C2B2AE63
XXH_PRIME_5 = 0x27D4EB2F165667C5


def key_bytes(key: object) -> bytes:
    """Return the key bytes of CORE.md's rules, for keys that are legal."""
    if isinstance(key, str):
        return str.encode(key)
    if isinstance(key, bytes):
        return bytes(key)
    if isinstance(key, uuid.UUID):
        return str(key).encode()
    return str(operator.index(key)).encode()


def crc32(data: bytes) -> int:
    """CRC-32 (ISO-HDLC, zlib): polynomial 0x04C11DB7 reflected, start and end inverted."""
    crc = _U32
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ _U32


def crc16(data: bytes) -> int:
    """CRC-16/XMODEM: polynomial 0x1021, not reflected, start 0."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _U64


def _round(accumulator: int, lane: int) -> int:
    return _rotated((accumulator + lane * XXH_PRIME_2) & _U64, 31) * XXH_PRIME_1 & _U64


def _merged(accumulator: int, lane: int) -> int:
    return ((accumulator ^ _round(0, lane)) * XXH_PRIME_1 + XXH_PRIME_4) & _U64


def _stripes(data: bytes, seed: int) -> int:
    lanes = [
        (seed + XXH_PRIME_1 + XXH_PRIME_2) & _U64,
        (seed + XXH_PRIME_2) & _U64,
        seed,
        (seed - XXH_PRIME_1) & _U64,
    ]
    for start in range(0, len(data) - 31, 32):
        for i in range(4):
            word = data[start + 8 * i : start + 8 * i + 8]
            lanes[i] = _round(lanes[i], int.from_bytes(word, "little"))
    mixed = sum(map(_rotated, lanes, (1, 7, 12, 18))) & _U64
    for lane in lanes:
        mixed = _merged(mixed, lane)
    return mixed


def xxh64(data: bytes, seed: int = 0) -> int:
    """XXH64, as doc/xxhash_spec.md of the xxHash project describes it, step by step."""
    h = _stripes(data, seed) if len(data) >= 32 else (seed + XXH_PRIME_5) & _U64
    h = (h + len(data)) & _U64
    rest = data[len(data) // 32 * 32 :]
    while len(rest) >= 8:
        h ^= _round(0, int.from_bytes(rest[:8], "little"))
        h = (_rotated(h, 27) * XXH_PRIME_1 + XXH_PRIME_4) & _U64
        rest = rest[8:]
    if len(rest) >= 4:
        h ^= int.from_bytes(rest[:4], "little") * XXH_PRIME_1 & _U64
        h = (_rotated(h, 23) * XXH_PRIME_2 + XXH_PRIME_3) & _U64
        rest = rest[4:]
    for byte in rest:
        h = _rotated(h ^ byte * XXH_PRIME_5 & _U64, 11) * XXH_PRIME_1 & _U64
    h = (h ^ h >> 33) * XXH_PRIME_2 & _U64
    h = (h ^ h >> 29) * XXH_PRIME_3 & _U64
    return h ^ h >> 32


def murmur2(data: bytes, seed: int = 0x9747B28C) -> int:
    """MurmurHash2, 32 bits, unsigned, with the seed of Kafka's default partitioner."""
    m = 0x5BD1E995
    h = seed ^ len(data)
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * m & _U32
        k = (k ^ k >> 24) * m & _U32
        h = (h * m & _U32) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & _U32
    h = (h ^ h >> 13) * m & _U32
    return h ^ h >> 15


def md5_ketama(data: bytes) -> int:
    """The first little-endian word of the MD5."""
    return int.from_bytes(hashlib.md5(data, usedforsecurity=False).digest()[:4], "little")


def fnv_twemproxy(data: bytes) -> int:
    """twemproxy's fnv1a_64: 32 bits of FNV-1a, bytes taken as C's signed char."""
    h = 0xCBF29CE484222325 & _U32
    for byte in data:
        signed = byte - 256 if byte >= 128 else byte
        h = (h ^ signed & _U32) * (0x100000001B3 & _U32) & _U32
    return h
