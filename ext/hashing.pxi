# The functions of shardhash.hashing.

cdef sh_rule CRC32 = sh_rule_hash(SH_HASH_CRC32, 0)
cdef sh_rule CRC16 = sh_rule_hash(SH_HASH_CRC16, 0)
cdef sh_rule MURMUR2 = sh_rule_hash(SH_HASH_MURMUR2, 0)
cdef sh_rule MD5_KETAMA = sh_rule_hash(SH_HASH_MD5_KETAMA, 0)


cdef uint64_t checked_seed(object seed) except? 0:
    try:
        return PyNumber_Index(seed)
    except (OverflowError, TypeError) as error:
        raise PlacementError(f"seed {shown(seed)}: it must be an int in [0, 2**64)") from error


def crc32(key, /):
    """Return the CRC-32 of a key's bytes, as zlib and SQL's CRC32() compute it.

    Args:
        key: str, bytes, int or uuid.UUID, of at most 2**31 - 1 bytes.

    Returns:
        int in [0, 2**32). Stable since 0.1.

    Raises:
        KeyTypeError: the value has no key bytes.

    Complexity: linear in the size of the key, as of all hashes here.

    Source: CRC-32/ISO-HDLC, RFC 1952 section 8; MariaDB's manual, CRC32.
    """
    return <uint32_t>hash_key(SH_HASH_CRC32, 0, key)


def crc32_many(keys, *, out=None):
    """Return the CRC-32 of each key, uint32[len(keys)].

    Buffers and Arrow data are read without the GIL.

    Args:
        keys: any form of bulk keys: a list or other iterable of keys, a one-dimensional contiguous
            buffer of native integers, an Arrow array or stream of integers, text or binary.
        out: a writable contiguous buffer of len(keys) unsigned 4-byte items to use instead of a
            new one; its content is undefined after an error.

    Returns:
        memoryview of format "I" on `out` or on new memory.

    Raises:
        KeyTypeError: a key has no key bytes; the message names the first.
        PlacementError: keys or `out` of a wrong shape.
    """
    return apply_rule(&CRC32, open_batch(keys), out)


def crc16(key, /):
    """Return the CRC-16/XMODEM of a key's bytes, which Redis Cluster uses.

    Returns:
        int in [0, 2**16). Stable since 0.1. `shardhash.interop.redis_slot` is the slot.

    Raises:
        KeyTypeError: the value has no key bytes.

    Source: "Redis cluster specification", appendix A.
    """
    return <uint16_t>hash_key(SH_HASH_CRC16, 0, key)


def crc16_many(keys, *, out=None):
    """Return the CRC-16/XMODEM of each key, uint16[len(keys)].

    Args and errors as `crc32_many`; items have 2 bytes, format "H".
    """
    return apply_rule(&CRC16, open_batch(keys), out)


def xxh64(key, /, *, seed=0):
    """Return the XXH64 of a key's bytes.

    Args:
        seed: int in [0, 2**64).

    Returns:
        int in [0, 2**64). Stable since 0.1.

    Raises:
        KeyTypeError: the value has no key bytes.
        PlacementError: the seed is out of range.

    Source: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
    """
    return hash_key(SH_HASH_XXH64, checked_seed(seed), key)


def xxh64_many(keys, *, seed=0, out=None):
    """Return the XXH64 of each key, uint64[len(keys)].

    Args and errors as `crc32_many` and `xxh64`; items have 8 bytes, format "Q".
    """
    cdef sh_rule rule = sh_rule_hash(SH_HASH_XXH64, checked_seed(seed))
    return apply_rule(&rule, open_batch(keys), out)


def murmur2(key, /):
    """Return Kafka's MurmurHash2 of a key's bytes, unsigned (Java's is the same 32 bits signed).

    Returns:
        int in [0, 2**32). Stable since 0.1. `shardhash.interop.kafka_partition` is the partition.

    Raises:
        KeyTypeError: the value has no key bytes.

    Source: org.apache.kafka.common.utils.Utils.murmur2, seed 0x9747b28c.
    """
    return <uint32_t>hash_key(SH_HASH_MURMUR2, 0, key)


def murmur2_many(keys, *, out=None):
    """Return Kafka's MurmurHash2 of each key, uint32[len(keys)].

    Args and errors as `crc32_many`.
    """
    return apply_rule(&MURMUR2, open_batch(keys), out)


def md5_ketama(key, /):
    """Return the first four bytes of a key's MD5 as a little-endian number, as ketama does.

    Returns:
        int in [0, 2**32): a key's position on a ring of scheme ``ketama``. Stable since 0.1.

    Raises:
        KeyTypeError: the value has no key bytes.

    Source: RFC 1321; ketama_hashi in libketama/ketama.c of github.com/RJ/ketama.
    """
    return <uint32_t>hash_key(SH_HASH_MD5_KETAMA, 0, key)


def md5_ketama_many(keys, *, out=None):
    """Return ketama's hash of each key, uint32[len(keys)].

    Args and errors as `crc32_many`.
    """
    return apply_rule(&MD5_KETAMA, open_batch(keys), out)
