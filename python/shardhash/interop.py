"""Where other systems put a key: Redis Cluster, Kafka, jump hash, Vitess; pure and thread-safe.

    >>> redis_slot("foo"), kafka_partition("foobar", 12)
    (12182, 6)
    >>> jump(10**18, 100)
    43
    >>> vitess_keyspace_id("test1").hex(), vitess_keyspace_id(1, "hash").hex()
    ('d01ab7e4d6978f0b', '166b40b44aba4bd6')

Each has a form ``*_many`` for bulk: `redis_slot_many` returns a memoryview of 2-byte items,
`kafka_partition_many` and `jump_many` of 4-byte items, `vitess_keyspace_id_many` a list of bytes.
The rules are in docs/reference/bytes.md. Stable since 0.1.

Rings of others are `HashRing` with scheme ``ketama`` or ``ketama-twemproxy``, and Redis Cluster's
slots are a `SlotMap` with scheme ``redis``.
"""

from shardhash._core import (
    jump,
    jump_many,
    kafka_partition,
    kafka_partition_many,
    redis_slot,
    redis_slot_many,
    vitess_keyspace_id,
    vitess_keyspace_id_many,
)

__all__ = [
    "jump",
    "jump_many",
    "kafka_partition",
    "kafka_partition_many",
    "redis_slot",
    "redis_slot_many",
    "vitess_keyspace_id",
    "vitess_keyspace_id_many",
]
