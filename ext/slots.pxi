# The base of SlotMap.

cdef dict SLOT_HASHES = {
    "crc32": SH_HASH_CRC32, "xxh64": SH_HASH_XXH64, "redis": SH_HASH_REDIS,
}


cdef class SlotTable:
    """A table that gives each of 2**k slots its shard; immutable once built.

    Invariants: slot_count is a power of two from 1 to 65,536; each owner is an index of `shards`.
    """

    cdef sh_slots slots
    cdef bint is_begun  # somebody builds it, or has
    cdef bytes table  # uint16[slot_count]
    cdef readonly tuple shards
    cdef readonly str scheme

    def _build(self, tuple shards not None, owners, str scheme not None):
        """Fill the table; once only.

        Args:
            shards: tuple of str.
            owners: buffer uint16[slot_count] of indices into `shards`.
            scheme: a key of SLOT_HASHES.

        Raises:
            RuntimeError: the table is built already, or another thread builds it.
            PlacementError: no power of two, or an index of no shard.
        """
        with cython.critical_section(self):
            if self.is_begun:
                raise RuntimeError("a slot map is immutable: make a new one")
            self.is_begun = True
        if scheme not in SLOT_HASHES:
            raise PlacementError(f"unknown slot scheme {scheme!r}")
        table = bytes(memoryview(owners).cast("B"))
        cdef const uint16_t *items = <const uint16_t *>PyBytes_AS_STRING(table)
        cdef Py_ssize_t count = PyBytes_GET_SIZE(table) // 2, i
        if not (0 < count <= 65536 and count & (count - 1) == 0):
            raise PlacementError(f"{count} slots: it takes a power of two up to 65,536")
        for i in range(count):
            if items[i] >= PyTuple_GET_SIZE(shards):
                raise PlacementError(f"slot {i} has owner {items[i]} of {len(shards)} shards")
        self.shards = shards
        self.scheme = scheme
        self.slots.hash = SLOT_HASHES[scheme]
        self.slots.slot_count = <uint32_t>count
        self.slots.owners = items
        self.table = table

    @property
    def owners(self):
        """The tuple that indices of `lookup_many` refer to: the same as `shards`."""
        return self.shards

    @property
    def slot_count(self):
        """The number of slots."""
        return self.slots.slot_count

    def _table(self):
        """Return the owner index of each slot: read-only memoryview, uint16[slot_count]."""
        self.check_built()
        return memoryview(self.table).cast("H")

    cdef inline int check_built(self) except -1:
        if self.table is None:
            raise RuntimeError("the slot map is not built: call its class")
        return 0

    def slot(self, key, /):
        """Return the slot of a key, int in [0, slot_count). Stable since 0.1.

        Raises:
            KeyTypeError: the value has no key bytes.

        Complexity: the hash of the key, and one instruction.
        """
        self.check_built()
        return sh_slots_slot(&self.slots, hash_key(self.slots.hash, 0, key))

    def slot_many(self, keys, *, out=None):
        """Return the slot of each key, uint16[len(keys)].

        Buffers and Arrow data are read without the GIL. Stable since 0.1.

        Args:
            keys: any form of bulk keys (see `shardhash.hashing.crc32_many`).
            out: a writable contiguous buffer of len(keys) unsigned 2-byte items to use instead of
                a new one; its content is undefined after an error.

        Raises:
            KeyTypeError: a key has no key bytes; the message names the first.
            PlacementError: keys or `out` of a wrong shape.
        """
        self.check_built()
        cdef sh_rule rule = sh_rule_slot(&self.slots)
        return apply_rule(&rule, open_batch(keys), out)

    def lookup(self, key, /):
        """Return the shard of a key. Stable since 0.1.

        Raises:
            KeyTypeError: the value has no key bytes.

        Complexity: the hash of the key, and one read of a table of 2 bytes a slot.
        """
        self.check_built()
        cdef uint64_t hash = hash_key(self.slots.hash, 0, key)
        return self.shards[<Py_ssize_t>self.slots.owners[sh_slots_slot(&self.slots, hash)]]

    def lookup_many(self, keys, *, out=None):
        """Return the index in `owners` of each key's shard, uint32[len(keys)].

        Args and errors as `slot_many`; items of `out` have 4 bytes.
        """
        self.check_built()
        cdef sh_rule rule = sh_rule_slot_owner(&self.slots)
        return apply_rule(&rule, open_batch(keys), out)

    def partition(self, keys):
        """Return the keys of each shard that got one: shards in order, keys in input order.

        Keys of an iterable are returned themselves, those of buffers and Arrow data as int, str or
        bytes.

        Args:
            keys: any form of bulk keys.

        Raises:
            KeyTypeError: a key has no key bytes; the message names the first.
            PlacementError: keys of a wrong shape.
        """
        self.check_built()
        cdef sh_rule rule = sh_rule_slot_owner(&self.slots)
        return partition_keys(&rule, open_batch(keys), self.shards)

    def foreign(self, shard, keys, *, out=None):
        """Return the positions in `keys` of those that do not belong to a shard, ascending.

        Args:
            shard: a shard of the map.
            keys: any form of bulk keys, fewer than 2**32.
            out: a writable contiguous buffer of len(keys) unsigned 4-byte items; the positions
                are written from its start, and a view of that part is returned.

        Raises:
            KeyTypeError: a key has no key bytes; the message names the first.
            PlacementError: the map has no such shard; keys or `out` of a wrong shape.
        """
        self.check_built()
        if shard not in self.shards:
            raise PlacementError(f"unknown shard {shard!r}: the map has {len(self.shards)} others")
        cdef uint32_t owner = self.shards.index(shard)
        cdef sh_rule rule = sh_rule_slot_owner(&self.slots)
        cdef _Batch batch = open_batch(keys)
        cdef _Output output = open_output(&rule, batch, out)
        batch.apply(&rule, output.start)
        cdef size_t found = sh_others(<uint32_t *>output.start, <size_t>batch.count, owner)
        return output.result[:found]

    def __sizeof__(self):
        """Return the bytes of the table in memory."""
        return object.__sizeof__(self) + sys.getsizeof(self.table)
