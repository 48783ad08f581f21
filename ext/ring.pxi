# The base of HashRing.

# Of each scheme: where the points are, the hash of a key, and its bits below the position.
cdef dict RING_SCHEMES = {
    "xxh64": (SH_POINTS_XXH64, SH_HASH_XXH64, 32),
    "ketama": (SH_POINTS_KETAMA, SH_HASH_MD5_KETAMA, 0),
    "ketama-twemproxy": (SH_POINTS_KETAMA, SH_HASH_FNV_TWEMPROXY, 0),
}

# To make a point that went again takes as long as to index about this many.
cdef uint64_t GONE_POINT_COST = 8


cdef class Ring:
    """The points of weighted nodes on a circle; immutable once built.

    Invariants: those of sh_ring in shardhash.h, which `_validate` checks.
    """

    cdef sh_ring ring
    cdef bint is_begun  # somebody builds it, or has
    cdef sh_points_rule points_rule
    cdef uint32_t placed_count  # nodes that have a point
    cdef _PointArray points
    cdef bytes index  # uint32[sh_ring_index_size(point_count)]
    cdef readonly tuple nodes
    cdef readonly str scheme
    cdef readonly tuple _weights
    cdef readonly tuple _counts
    cdef readonly object _points_per_weight

    def _build(
        self, tuple nodes not None, tuple weights not None, tuple counts not None, *,
        points_per_weight, str scheme not None, Ring base=None
    ):
        """Fill the ring; once only.

        Args:
            nodes: tuple of unique names, exact str of valid UTF-8.
            weights: tuple of float, kept for the configuration.
            counts: tuple of int, the points of each node, 2**31 in sum, at least 1 in sum; for
                ketama multiples of 4, for others at least 1 each.
            points_per_weight: kept for the configuration.
            scheme: a key of RING_SCHEMES.
            base: a ring of the same scheme whose points of nodes with equal name and count are
                taken over, instead of being made and sorted again.

        Raises:
            RuntimeError: the ring is built already, or another thread builds it.
        """
        with cython.critical_section(self):
            if self.is_begun:
                raise RuntimeError("a ring is immutable: make a new one")
            self.is_begun = True
        self.points_rule, hash, hash_shift = RING_SCHEMES[scheme]
        if base is None:
            self.make_points(nodes, counts)
        else:
            base.check_built()
            self.take_points(nodes, counts, base)
        self.placed_count = <uint32_t>(len(counts) - counts.count(0))
        self._weights = weights
        self._counts = counts
        self._points_per_weight = points_per_weight
        self.scheme = scheme
        self.ring.points = self.points.points_ptr()
        self.ring.owners = self.points.owners_ptr()
        self.ring.index = <const uint32_t *>PyBytes_AS_STRING(self.index)
        self.ring.index_shift = sh_ring_index_shift(self.points.count)
        self.ring.hash, self.ring.hash_shift = hash, hash_shift
        self.ring.node_count = <uint32_t>PyTuple_GET_SIZE(nodes)
        self.ring.point_count = self.points.count
        self.nodes = nodes

    cdef int make_points(self, tuple nodes, tuple counts) except -1:
        self.points = _PointArray.of_nodes(
            self.points_rule, _NodeArray(nodes, counts, in_name_order(nodes))
        )
        self.index = index_of(self.points)
        return 0

    cdef int take_points(self, tuple nodes, tuple counts, Ring base) except -1:
        """Take the base's points over, without the nodes that go and with those that come."""
        cdef _Renumbering change = _Renumbering(nodes, counts, base.nodes, base._counts)
        cdef _PointArray added = _PointArray.of_nodes(
            self.points_rule, _NodeArray(nodes, counts, change.new)
        )
        self.points = merge_points(base.points, change, added, nodes)
        cdef uint64_t gone_count = base.points.count - change.point_count
        if (
            gone_count * GONE_POINT_COST > self.points.count
            or sh_ring_index_shift(self.points.count) != base.ring.index_shift
        ):
            self.index = index_of(self.points)
            return 0
        removed = _PointArray.of_nodes(
            self.points_rule, _NodeArray(base.nodes, base._counts, change.gone)
        )
        self.index = merged_index(base.index, removed, added, self.points.count)
        return 0

    @property
    def owners(self):
        """The tuple that indices of `lookup_many` refer to: the same as `nodes`."""
        return self.nodes

    @property
    def point_count(self):
        """The number of points of all nodes."""
        return self.ring.point_count

    def lookup(self, key, /):
        """Return the node of a key. Stable since 0.1.

        Raises:
            KeyTypeError: the value has no key bytes.
            PlacementError: the ring is empty.

        Complexity: constant on average; about two reads of memory beyond the hash.
        """
        cdef uint64_t hash = hash_key(self.ring.hash, 0, key)
        if self.ring.point_count == 0:
            raise empty_ring()
        return self.nodes[<Py_ssize_t>sh_ring_lookup(&self.ring, hash)]

    def lookup_many(self, keys, *, out=None):
        """Return the index in `owners` of each key's node, uint32[len(keys)].

        Buffers and Arrow data are read without the GIL. Stable since 0.1.

        Args:
            keys: any form of bulk keys (see `shardhash.hashing.crc32_many`).
            out: a writable contiguous buffer of len(keys) unsigned 4-byte items to use instead of
                a new one; its content is undefined after an error.

        Raises:
            KeyTypeError: a key has no key bytes; the message names the first.
            PlacementError: the ring is empty and keys are not; keys or `out` of a wrong shape.

        Complexity: linear in the keys, on average constant for each beyond its hash.
        """
        cdef _Batch batch = open_batch(keys)
        cdef sh_rule rule = self.rule_for(batch)
        return apply_rule(&rule, batch, out)

    def partition(self, keys):
        """Return the keys of each node that got one: nodes in order, keys in input order.

        Keys of an iterable are returned themselves, those of buffers and Arrow data as int, str or
        bytes.

        Args:
            keys: any form of bulk keys.

        Raises:
            KeyTypeError: a key has no key bytes; the message names the first.
            PlacementError: the ring is empty and keys are not; keys of a wrong shape.
        """
        cdef _Batch batch = open_batch(keys)
        cdef sh_rule rule = self.rule_for(batch)
        return partition_keys(&rule, batch, self.nodes)

    def lookup_n(self, key, n):
        """Return the first `n` distinct nodes from a key on, in ring order. Stable since 0.1.

        Args:
            n: from 1 to the number of nodes that have a point: all, but with ketama those whose
                weight is not too small for one.

        Raises:
            KeyTypeError: the value has no key bytes.
            PlacementError: `n` is out of range.

        Complexity: linear in the points passed, about n for small n.
        """
        cdef uint64_t hash = hash_key(self.ring.hash, 0, key)
        cdef Py_ssize_t wanted = self.checked_n(n)
        cdef uint64_t seen[1024]  # SH_SEEN_WORDS(SH_NODES_MAX)
        cdef uint16_t few[64]
        cdef uint16_t *found = few
        cdef bytes many
        if wanted > 64:
            many = PyBytes_FromStringAndSize(NULL, wanted * 2)
            found = <uint16_t *>PyBytes_AS_STRING(many)
        sh_ring_lookup_n(&self.ring, hash, <size_t>wanted, seen, found)
        return self.nodes_at(found, wanted)

    cdef tuple nodes_at(self, const uint16_t *numbers, Py_ssize_t count):
        cdef tuple found = PyTuple_New(count)
        cdef Py_ssize_t i
        for i in range(count):
            node = self.nodes[<Py_ssize_t>numbers[i]]
            Py_INCREF(node)  # which PyTuple_SET_ITEM takes over
            PyTuple_SET_ITEM(found, i, node)
        return found

    cdef inline Py_ssize_t checked_n(self, n) except -1:
        cdef int overflow = 0
        cdef Py_ssize_t wanted
        if PyLong_CheckExact(n):
            wanted = PyLong_AsLongAndOverflow(n, &overflow)
            if 1 <= wanted <= self.placed_count:
                return wanted
        return self.slowly_checked_n(n)

    cdef Py_ssize_t slowly_checked_n(self, n) except -1:
        cdef Py_ssize_t wanted
        try:
            wanted = n
        except OverflowError:
            wanted = -1
        except TypeError as error:
            raise PlacementError(f"n is {type(n).__name__}: it must be an int") from error
        if not 1 <= wanted <= self.placed_count:
            raise PlacementError(
                f"{shown(n)} distinct nodes were asked for, and the ring has "
                f"{self.placed_count} with a point: ask for 1 to that many"
            )
        return wanted

    def _moves(self, Ring other not None):
        """Return the ranges whose node differs on another ring: (start, end, source, target).

        Positions are in [0, 2**32); sorted, touching ranges merged.

        Raises:
            PlacementError: one of the rings is empty.
        """
        if self.ring.point_count == 0 or other.ring.point_count == 0:
            raise empty_ring()
        cdef dict numbers = {name: number for number, name in enumerate(self.nodes)}
        same_as = array.array("I", [numbers.get(name, SH_NODES_MAX) for name in other.nodes])
        cdef const uint32_t *same_as_ptr = (<array.array>same_as).data.as_uints
        cdef size_t count = sh_ring_moves(&self.ring, &other.ring, same_as_ptr, NULL)
        cdef bytes moves = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(count * sizeof(sh_move)))
        cdef sh_move *moves_ptr = <sh_move *>PyBytes_AS_STRING(moves)
        sh_ring_moves(&self.ring, &other.ring, same_as_ptr, moves_ptr)
        return [
            (
                moves_ptr[i].start, moves_ptr[i].end, self.nodes[<Py_ssize_t>moves_ptr[i].source],
                other.nodes[<Py_ssize_t>moves_ptr[i].target],
            )
            for i in range(<Py_ssize_t>count)
        ]

    def _points(self):
        """Return positions and node numbers of the points: memoryviews uint32[n], uint16[n]."""
        self.check_built()
        cdef Py_ssize_t n = self.points.count
        return (
            memoryview(self.points.points).cast("I")[:n],
            memoryview(self.points.owners).cast("H")[:n],
        )

    def _validate(self):
        """Raise AssertionError if an invariant does not hold.

        Complexity: linear in the points; for tests.
        """
        self.check_built()
        cdef _NodeArray nodes = _NodeArray(self.nodes, self._counts, range(len(self.nodes)))
        cdef bytes counted = bytes(4 * len(self.nodes))
        cdef const char *reason = sh_ring_validate(
            &self.ring, nodes.get(), <uint32_t *>PyBytes_AS_STRING(counted)
        )
        if reason != NULL:
            raise AssertionError(reason.decode())

    cdef int check_built(self) except -1:
        if self.nodes is None:
            raise RuntimeError("the ring is not built: call its class")
        return 0

    cdef sh_rule rule_for(self, _Batch batch) except *:
        self.check_built()
        if self.ring.point_count == 0 and batch.count > 0:
            raise empty_ring()
        return sh_rule_ring(&self.ring)

    def __sizeof__(self):
        """Return the bytes of points, owners and index in memory."""
        self.check_built()
        arrays = (self.points.points, self.points.owners, self.index)
        return object.__sizeof__(self) + sum(map(sys.getsizeof, arrays))


cdef object empty_ring():
    return PlacementError("the ring is empty and places no key: add a node first")
