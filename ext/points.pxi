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


cdef _PointArray merge_points(
    _PointArray kept, bytes renumbered, _PointArray added, tuple names, uint64_t room
):
    cdef _PointArray made = _PointArray(room)
    cdef bytes spans = bytes(len(names) * sizeof(sh_span))
    cdef sh_span *spans_ptr = <sh_span *>PyBytes_AS_STRING(spans)
    cdef sh_points kept_view = kept.view(), added_view = added.view()
    cdef Py_ssize_t i, size
    for i in range(len(names)):
        spans_ptr[i].data = <const uint8_t *>PyUnicode_AsUTF8AndSize(names[i], &size)
        spans_ptr[i].size = <size_t>size
    made.count = sh_ring_merge(
        &kept_view, <const uint16_t *>PyBytes_AS_STRING(renumbered), &added_view, spans_ptr,
        made.points_ptr(), made.owners_ptr(),
    )
    return made
