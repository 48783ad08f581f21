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

    Returns:
        int in [0, 2**32). Stable since 0.1.

    Raises:
        KeyTypeError: the value has no key bytes.
    """
    return <uint32_t>hash_key(SH_HASH_CRC32, 0, key)


def crc32_many(keys, *, out=None):
    """Return the CRC-32 of each key, uint32[len(keys)].

    Args:
        keys: any form of bulk keys.
        out: a writable contiguous buffer of len(keys) unsigned 4-byte items to use instead of a
            new one; its content is undefined after an error.

    Raises:
        KeyTypeError: a key has no key bytes; the message names the first.
        PlacementError: keys or `out` of a wrong shape.
    """
    return apply_rule(&CRC32, open_batch(keys), out)


def crc16(key, /):
    """Return the CRC-16/XMODEM of a key's bytes, which Redis Cluster uses.

    Returns:
        int in [0, 2**16). Stable since 0.1.

    Raises:
        KeyTypeError: the value has no key bytes.
    """
    return <uint16_t>hash_key(SH_HASH_CRC16, 0, key)


def crc16_many(keys, *, out=None):
    """Return the CRC-16/XMODEM of each key, uint16[len(keys)].

    Args and errors as `crc32_many`; items of `out` have 2 bytes.
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
    """
    return hash_key(SH_HASH_XXH64, checked_seed(seed), key)


def xxh64_many(keys, *, seed=0, out=None):
    """Return the XXH64 of each key, uint64[len(keys)].

    Args and errors as `crc32_many` and `xxh64`; items of `out` have 8 bytes.
    """
    cdef sh_rule rule = sh_rule_hash(SH_HASH_XXH64, checked_seed(seed))
    return apply_rule(&rule, open_batch(keys), out)


def murmur2(key, /):
    """Return Kafka's MurmurHash2 of a key's bytes, unsigned (Java's is the same 32 bits signed).

    Returns:
        int in [0, 2**32). Stable since 0.1.

    Raises:
        KeyTypeError: the value has no key bytes.
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
        int in [0, 2**32). Stable since 0.1.

    Raises:
        KeyTypeError: the value has no key bytes.
    """
    return <uint32_t>hash_key(SH_HASH_MD5_KETAMA, 0, key)


def md5_ketama_many(keys, *, out=None):
    """Return ketama's hash of each key, uint32[len(keys)].

    Args and errors as `crc32_many`.
    """
    return apply_rule(&MD5_KETAMA, open_batch(keys), out)
