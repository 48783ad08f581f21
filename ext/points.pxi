# Memory of the ring's arrays, and what builds and merges them.

@cython.final
cdef class _NodeArray:
    """Nodes as C takes them; their names are borrowed from the tuple, which is held."""

    cdef tuple names
    cdef bytes nodes  # sh_node[node_count]
    cdef uint64_t point_count

    def __cinit__(self, tuple names, counts, order):
        """List the nodes `order`, by their number in `names` and `counts`."""
        cdef Py_ssize_t i, node, size
        cdef sh_node *at
        self.names = names
        self.nodes = bytes(len(order) * sizeof(sh_node))
        for i in range(len(order)):
            node = order[i]
            at = self.get() + i
            at.name.data = <const uint8_t *>PyUnicode_AsUTF8AndSize(names[node], &size)
            at.name.size = <size_t>size
            at.point_count = counts[node]
            at.owner = <uint16_t>node
            self.point_count += at.point_count

    cdef inline sh_node *get(self) noexcept:
        return <sh_node *>PyBytes_AS_STRING(self.nodes)


@cython.final
cdef class _PointArray:
    """Sorted points with their owners, each with room for a sentinel."""

    cdef bytes points  # uint32[count + 1]
    cdef bytes owners  # uint16[count + 1]
    cdef uint32_t count

    def __cinit__(self, uint64_t room):
        self.points = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(room + 1) * 4)
        self.owners = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(room + 1) * 2)

    @staticmethod
    cdef _PointArray of_nodes(sh_points_rule rule, _NodeArray nodes):
        """Return the points of nodes that are in the order of their names."""
        cdef _PointArray made = _PointArray(nodes.point_count)
        cdef bytes scratch = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>nodes.point_count * 16)
        cdef size_t node_count = PyBytes_GET_SIZE(nodes.nodes) // <Py_ssize_t>sizeof(sh_node)
        cdef uint64_t *scratch_ptr = <uint64_t *>PyBytes_AS_STRING(scratch)
        cdef sh_node *nodes_ptr = nodes.get()
        cdef uint32_t *points_ptr = made.points_ptr()
        cdef uint16_t *owners_ptr = made.owners_ptr()
        with nogil:
            sh_ring_build(rule, nodes_ptr, node_count, scratch_ptr, points_ptr, owners_ptr)
        made.count = <uint32_t>nodes.point_count
        return made

    cdef inline uint32_t *points_ptr(self) noexcept:
        return <uint32_t *>PyBytes_AS_STRING(self.points)

    cdef inline uint16_t *owners_ptr(self) noexcept:
        return <uint16_t *>PyBytes_AS_STRING(self.owners)

    cdef sh_points view(self) noexcept:
        cdef sh_points view
        view.points = self.points_ptr()
        view.owners = self.owners_ptr()
        view.count = self.count
        return view


cdef list in_name_order(tuple names):
    """Return the numbers of names in the order of their UTF-8 bytes, which is code point order."""
    return sorted(range(len(names)), key=names.__getitem__)


@cython.final
cdef class _Renumbering:
    """What becomes of the nodes of one ring on another.

    A node stays if it has the same number of points. Names are looked up only where nodes are not
    the same objects in the same order, as `HashRing.updated` leaves them.
    """

    cdef bytes numbers  # uint16[old node count]: the new number, or SH_NODE_GONE
    cdef bint all_stay  # and keep their numbers
    cdef uint64_t point_count  # of the nodes that stay
    cdef list gone  # old numbers of the nodes that go
    cdef bytearray is_new  # by new number
    cdef list new  # numbers of the nodes that come, in the order of their names

    def __cinit__(self, tuple names, tuple counts, tuple old_names, tuple old_counts):
        cdef Py_ssize_t count = PyTuple_GET_SIZE(names), old_count = PyTuple_GET_SIZE(old_names)
        cdef Py_ssize_t old, expected = 0
        cdef list moved = []
        self.numbers = PyBytes_FromStringAndSize(NULL, old_count * 2)
        self.gone = []
        self.is_new = bytearray(b"\1") * count
        for old in range(old_count):
            if expected < count and names[expected] is old_names[old]:
                self.match(old, expected, counts[expected], old_counts[old])
                expected += 1
            else:
                moved.append(old)
        cdef dict number_of = {names[i]: i for i in range(count) if self.is_new[i]}
        for old in moved:
            number = number_of.get(old_names[old])
            new_points = None if number is None else counts[number]
            self.match(old, number or 0, new_points, old_counts[old])
        self.all_stay = not moved and not self.gone
        self.new = [number for number in range(count) if self.is_new[number]]
        self.new.sort(key=names.__getitem__)

    cdef int match(self, Py_ssize_t old, Py_ssize_t number, points, old_points) except -1:
        if points == old_points:
            self.numbers_ptr()[old] = <uint16_t>number
            self.is_new[number] = False
            self.point_count += <uint64_t>points
        else:
            self.numbers_ptr()[old] = SH_NODE_GONE
            self.gone.append(old)
        return 0

    cdef inline uint16_t *numbers_ptr(self) noexcept:
        return <uint16_t *>PyBytes_AS_STRING(self.numbers)


cdef _PointArray merge_points(
    _PointArray kept, _Renumbering change, _PointArray added, tuple names
):
    cdef _PointArray made = _PointArray(change.point_count + added.count)
    cdef bytes spans = bytes(len(names) * sizeof(sh_span))
    cdef sh_span *spans_ptr = <sh_span *>PyBytes_AS_STRING(spans)
    cdef sh_points kept_view = kept.view(), added_view = added.view()
    cdef Py_ssize_t i, size
    for i in range(len(names)):
        spans_ptr[i].data = <const uint8_t *>PyUnicode_AsUTF8AndSize(names[i], &size)
        spans_ptr[i].size = <size_t>size
    made.count = sh_ring_merge(
        &kept_view, NULL if change.all_stay else change.numbers_ptr(), &added_view, spans_ptr,
        made.points_ptr(), made.owners_ptr(),
    )
    return made


cdef bytes empty_index(uint32_t point_count):
    return PyBytes_FromStringAndSize(NULL, <Py_ssize_t>sh_ring_index_size(point_count) * 4)


cdef bytes index_of(_PointArray points):
    cdef bytes index = empty_index(points.count)
    sh_ring_index(points.points_ptr(), points.count, <uint32_t *>PyBytes_AS_STRING(index))
    return index


cdef bytes merged_index(
    bytes index_before, _PointArray removed, _PointArray added, uint32_t point_count
):
    """Return the index of a ring without `removed` and with `added`, of the same size."""
    cdef bytes index = empty_index(point_count)
    cdef sh_points removed_view = removed.view(), added_view = added.view()
    sh_ring_index_merge(
        <const uint32_t *>PyBytes_AS_STRING(index_before), &removed_view, &added_view, point_count,
        <uint32_t *>PyBytes_AS_STRING(index),
    )
    return index
