# The functions of shardhash.interop.

cdef uint32_t MOST_OWNERS = 0x7FFFFFFF


cdef uint32_t checked_count(object n, str what) except 0:
    """Return a number of owners, 1 to 2**31 - 1."""
    try:
        count = PyNumber_Index(n)
    except TypeError:
        count = 0
    if not 1 <= count <= MOST_OWNERS:
        raise PlacementError(f"{what} is {shown(n)}: it must be an int from 1 to 2**31 - 1")
    return count


def redis_slot(key, /):
    """Return the slot of a key in Redis Cluster: CRC-16 of the key or its hash tag, mod 16384.

    The hash tag is what stands between the first ``{`` and the next ``}``, if that is not empty.

    Returns:
        int in [0, 16384). Stable since 0.1.

    Raises:
        KeyTypeError: the value has no key bytes.

    Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
    """
    return hash_key(SH_HASH_REDIS, 0, key) & 16383


def redis_slot_many(keys, *, out=None):
    """Return the Redis Cluster slot of each key, uint16[len(keys)].

    Args:
        keys: any form of bulk keys.
        out: a writable contiguous buffer of len(keys) unsigned 2-byte items to use instead of a
            new one; its content is undefined after an error.

    Raises:
        KeyTypeError: a key has no key bytes; the message names the first.
        PlacementError: keys or `out` of a wrong shape.
    """
    cdef sh_slots slots
    slots.owners = NULL
    slots.slot_count = 16384
    slots.hash = SH_HASH_REDIS
    cdef sh_rule rule = sh_rule_slot(&slots)
    return apply_rule(&rule, open_batch(keys), out)


def kafka_partition(key, n):
    """Return the partition that Kafka's default partitioner gives a key: murmur2, mod `n`.

    Args:
        key: the record's key as it is serialized: text and bytes as Kafka's serializers write
            them, but an int as decimal text; write ``key.to_bytes(4, "big", signed=True)`` for
            Kafka's IntegerSerializer, and 8 for its LongSerializer.
        n: the partitions of the topic, 1 to 2**31 - 1.

    Returns:
        int in [0, n). Stable since 0.1.

    Raises:
        KeyTypeError: the value has no key bytes.
        PlacementError: `n` is out of range.

    Source: org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey
    """
    cdef uint32_t count = checked_count(n, "n, the number of partitions,")
    return (<uint32_t>hash_key(SH_HASH_MURMUR2, 0, key) & 0x7FFFFFFF) % count


def kafka_partition_many(keys, n, *, out=None):
    """Return Kafka's partition of each key, uint32[len(keys)].

    Args and errors as `redis_slot_many` and `kafka_partition`; items of `out` have 4 bytes.
    """
    cdef uint32_t count = checked_count(n, "n, the number of partitions,")
    cdef sh_rule rule = sh_rule_kafka(&count)
    return apply_rule(&rule, open_batch(keys), out)


def jump(hash, n):
    """Return the owner, below `n`, that jump consistent hash gives a hash.

    From n to n + 1 owners a hash keeps its owner or goes to the new one, n.

    Args:
        hash: int in [0, 2**64): a hash, not a key; `shardhash.hashing.xxh64` makes one.
        n: the number of owners, 1 to 2**31 - 1.

    Returns:
        int in [0, n). Stable since 0.1.

    Raises:
        KeyTypeError: the hash is no int.
        PlacementError: the hash or `n` is out of range.

    Complexity: about ln(n) steps.

    Source: Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014.
    """
    cdef uint32_t count = checked_count(n, "n, the number of owners,")
    return sh_jump(checked_integer(hash, 0, "hash", -1), count)


def jump_many(hashes, n, *, out=None):
    """Return the owner that jump consistent hash gives each hash, uint32[len(hashes)].

    Args:
        hashes: ints in [0, 2**64): a list or other iterable, an integer buffer such as the result
            of `xxh64_many`, or an Arrow array of integers.
        n: the number of owners, 1 to 2**31 - 1.
        out: a writable contiguous buffer of len(hashes) unsigned 4-byte items to use instead of a
            new one; its content is undefined after an error.

    Raises:
        KeyTypeError: a hash is no int; the message names the first.
        PlacementError: `n` or a hash is out of range; hashes or `out` of a wrong shape.
    """
    cdef uint32_t count = checked_count(n, "n, the number of owners,")
    cdef _MemoryBatch batch = integer_batch(hashes, 0, "hashes")
    cdef _Output output = _Output(batch.count, 4, out)
    cdef uint32_t *results = <uint32_t *>output.start
    cdef size_t done = 0, bad = 0
    cdef sh_status status = SH_OK
    cdef sh_keys *part
    cdef Py_ssize_t i
    if batch.overlaps(output.start, <size_t>batch.count * 4):
        raise PlacementError("out overlaps the hashes in memory: give it memory of its own")
    for i in range(batch.part_count):
        part = batch.part(i)
        with nogil:
            status = sh_keys_jump(part, count, results + done, &bad)
        if status == SH_ERR_NEGATIVE:
            value = <int64_t>sh_keys_integer(part, bad)
            raise beyond_64_bits(value, 0, "hashes", <Py_ssize_t>(done + bad))
        done += part.count
    return output.result


def vitess_keyspace_id(value, vindex="xxhash"):
    """Return the keyspace id that a vindex of Vitess gives a value: 8 bytes.

    Args:
        value: for ``xxhash`` a key, of which the text is hashed as Vitess does for every type;
            for ``hash`` an int in [-2**63, 2**64), of which negative ones count as their two's
            complement, as Vitess takes them.
        vindex: ``xxhash`` (XXH64, little-endian) or ``hash`` (DES of the number, big-endian, with
            a key of zeros).

    Returns:
        bytes[8]; Vitess compares them as bytes with its shards' ranges. Stable since 0.1.

    Raises:
        KeyTypeError: the value has no key bytes, or for ``hash`` is no int.
        PlacementError: another vindex, or an int out of range.

    Source: go/vt/vtgate/vindexes/xxhash.go and hash.go of github.com/vitessio/vitess.
    """
    if is_des(vindex):
        return sh_des_null(checked_integer(value, -1 << 63, "value", -1)).to_bytes(8, "big")
    return hash_key(SH_HASH_XXH64, 0, value).to_bytes(8, "little")


def vitess_keyspace_id_many(values, vindex="xxhash"):
    """Return the keyspace id of each value: a list of bytes[8].

    Args:
        values: for ``xxhash`` any form of bulk keys; for ``hash`` ints: a list or other iterable,
            an integer buffer or an Arrow array of integers.
        vindex: as for `vitess_keyspace_id`.

    Raises:
        KeyTypeError: as for `vitess_keyspace_id`; the message names the first.
        PlacementError: another vindex, an int out of range, or values of a wrong shape.
    """
    if is_des(vindex):
        return des_ids(integer_batch(values, -1 << 63, "values"))
    return [hash.to_bytes(8, "little") for hash in xxh64_many(values)]


cdef bint is_des(object vindex) except -1:
    if vindex == "xxhash":
        return False
    if vindex == "hash":
        return True
    raise PlacementError(f"unknown vindex {shown(vindex)}: the vindexes are 'xxhash', 'hash'")


cdef list des_ids(_MemoryBatch batch):
    cdef array.array blocks = array.clone(RESULT_U64, batch.count, False)
    cdef uint64_t *blocks_ptr = <uint64_t *>blocks.data.as_voidptr
    cdef size_t done = 0
    cdef sh_keys *part
    cdef Py_ssize_t i
    for i in range(batch.part_count):
        part = batch.part(i)
        with nogil:
            sh_keys_des_null(part, blocks_ptr + done)
        done += part.count
    return [block.to_bytes(8, "big") for block in blocks]


cdef str place_name(str what, Py_ssize_t index):
    return what if index < 0 else f"{what}[{index}]"


cdef object beyond_64_bits(object number, object lowest, str what, Py_ssize_t index):
    low = "0" if lowest == 0 else "-2**63"
    name = place_name(what, index)
    return PlacementError(f"{name} is {shown(number)}: it must be in [{low}, 2**64)")


cdef uint64_t checked_integer(
    object value, object lowest, str what, Py_ssize_t index
) except? 0:
    """Return an int from `lowest` to 2**64 - 1 as 64 bits, two's complement if negative."""
    if type(value) is not int:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            name = place_name(what, index)
            raise KeyTypeError(f"{name} is {type(value).__name__}: it must be an int")
        value = PyNumber_Index(value)
    if not lowest <= value < 1 << 64:
        raise beyond_64_bits(value, lowest, what, index)
    return <uint64_t>(value & 0xFFFFFFFFFFFFFFFF)


cdef _MemoryBatch integer_batch(object values, object lowest, str what):
    """Return a batch of integers of an iterable, a buffer or an Arrow array.

    Raises:
        KeyTypeError: a value is no int.
        PlacementError: an int of an iterable is out of range (those of buffers are not checked),
            or `values` of a wrong shape.
    """
    cdef _Batch batch = open_batch(values)
    cdef Py_ssize_t i
    if isinstance(batch, _SequenceBatch):
        items = array.array("Q")
        for i, value in enumerate(batch.key_objects()):
            items.append(checked_integer(value, lowest, what, i))
        return _BufferBatch(items)
    memory = <_MemoryBatch>batch
    for i in range(memory.part_count):
        if memory.part(i).layout >= SH_KEYS_OFFSETS32:
            raise KeyTypeError(f"{what} is {type(values).__name__} of text or bytes: write ints")
    return memory
