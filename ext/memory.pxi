# Keys that lie in memory as C arrays, and the buffer protocol.

cdef class _MemoryBatch(_Batch):
    """Keys in one or more C arrays; read without the GIL.

    Subclasses hold the memory. `parts` lie in a bytes object.
    """

    cdef bytes parts
    cdef Py_ssize_t part_count
    cdef bint is_text

    cdef int make_parts(self, Py_ssize_t part_count) except -1:
        self.parts = bytes(part_count * sizeof(sh_keys))
        self.part_count = part_count
        return 0

    cdef inline sh_keys *part(self, Py_ssize_t i) noexcept:
        return <sh_keys *>PyBytes_AS_STRING(self.parts) + i

    cdef int apply(self, const sh_rule *rule, uint8_t *out) except -1:
        cdef size_t done = 0, bad = 0
        cdef sh_status status = SH_OK
        cdef sh_keys *keys
        cdef Py_ssize_t i
        for i in range(self.part_count):
            keys = self.part(i)
            with nogil:
                status = sh_keys_apply(rule, keys, out + done * rule.item_size, &bad)
            check_status(status, <Py_ssize_t>(done + bad))
            done += keys.count
        return 0

    cdef list key_objects(self):
        cdef list objects = []
        cdef Py_ssize_t i
        for i in range(self.part_count):
            self.extend_with_part(self.part(i), objects)
        return objects

    cdef int extend_with_part(self, const sh_keys *keys, list objects) except -1:
        cdef sh_texts texts
        cdef sh_span spans[SH_BLOCK]
        cdef size_t start = 0, size, bad = 0, i
        while start < keys.count:
            size = min(<size_t>SH_BLOCK, keys.count - start)
            check_status(sh_keys_spans(keys, start, size, &texts, spans, &bad), <Py_ssize_t>bad)
            for i in range(size):
                objects.append(self.key_object(keys, spans[i], len(objects)))
            start += size
        return 0

    cdef object key_object(self, const sh_keys *keys, sh_span span, Py_ssize_t index):
        cdef const char *data = <const char *>span.data
        cdef Py_ssize_t size = <Py_ssize_t>span.size
        if keys.layout < SH_KEYS_OFFSETS32:
            return int(data[:size])
        if not self.is_text:
            return PyBytes_FromStringAndSize(data, size)
        try:
            return PyUnicode_DecodeUTF8(data, size, NULL)
        except UnicodeDecodeError as error:
            raise PlacementError(f"{key_name(index)} is not valid UTF-8: {error}") from error


cdef int check_status(sh_status status, Py_ssize_t index) except -1:
    """Raise what a status of the C core stands for."""
    if status == SH_OK:
        return 0
    name = key_name(index)
    if status == SH_ERR_KEY_SIZE:
        raise KeyTypeError(f"{name} is too long: a key has at most {SH_KEY_SIZE_MAX} bytes")
    what = "offsets" if status == SH_ERR_OFFSETS else "view"
    raise PlacementError(
        f"{name} has {what} outside its data: the Arrow array is not valid, check its producer"
    )


@cython.final
cdef class _BufferBatch(_MemoryBatch):
    """Integer keys in an object's buffer, whose view is held."""

    cdef Py_buffer view

    def __cinit__(self, keys):
        try:
            PyObject_GetBuffer(keys, &self.view, PyBUF_FULL_RO)
        except (BufferError, TypeError, ValueError) as error:
            raise KeyTypeError(
                f"keys is {type(keys).__name__}, which gives no buffer of integers: {error}"
            ) from error
        cdef sh_layout layout = integer_layout(&self.view)
        if not is_flat(&self.view):
            raise PlacementError(
                f"keys is {view_text(&self.view)}: a buffer of keys is one-dimensional and "
                "contiguous; write numpy.ascontiguousarray(keys).ravel()"
            )
        check_extent(&self.view)
        if hasattr(keys, "mask"):
            raise KeyTypeError(
                f"keys is {type(keys).__name__}, whose mask hides keys from a reader of its "
                "buffer: write keys.compressed()"
            )
        self.count = self.view.shape[0]
        self.make_parts(1)
        self.part(0).layout = layout
        self.part(0).count = <size_t>self.count
        self.part(0).items = self.view.buf

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    cdef bint overlaps(self, const uint8_t *start, size_t size):
        return share_bytes(<const uint8_t *>self.view.buf, <size_t>self.view.len, start, size)


cdef bint share_bytes(
    const uint8_t *one, size_t size, const uint8_t *other, size_t other_size
) noexcept:
    """Return whether two pieces of memory have a byte in common."""
    cdef uintptr_t first = <uintptr_t>one, second = <uintptr_t>other
    return first < second + other_size and second < first + size


# Bytes of each integer format: a long has 4 or 8, and ctypes calls both "<l".
cdef dict WIDTHS = {"b": (1,), "h": (2,), "i": (4,), "l": (4, 8), "q": (8,)}
cdef dict SIGNED_LAYOUTS = {1: SH_KEYS_I8, 2: SH_KEYS_I16, 4: SH_KEYS_I32, 8: SH_KEYS_I64}

cdef str FOREIGN_ORDERS = ">!" if sys.byteorder == "little" else "<"


cdef tuple split_format(Py_buffer *view):
    """Return the byte order and the item of a buffer's format: ``("", "q")``, ``("<", "i")``."""
    text = "B" if view.format == NULL else view.format.decode(errors="replace")
    return (text[0], text[1:]) if text[:1] in tuple("@=<>!") else ("", text)


cdef bint is_flat(Py_buffer *view):
    """Return whether a buffer is one-dimensional and contiguous."""
    return (
        view.ndim == 1 and view.suboffsets == NULL
        and (view.strides == NULL or view.strides[0] == view.itemsize or view.shape[0] <= 1)
    )


cdef int check_extent(Py_buffer *view) except -1:
    """Raise if a one-dimensional buffer contradicts itself about its size.

    Raises:
        PlacementError: its exporter lies.
    """
    cdef Py_ssize_t count = view.shape[0]
    if (
        count < 0 or view.itemsize <= 0 or view.len // view.itemsize != count
        or view.len % view.itemsize != 0 or (view.buf == NULL and count > 0)
    ):
        raise PlacementError(
            f"{view_text(view)} of {view.len} bytes and items of {view.itemsize}: these do not "
            "fit together, check what exports it"
        )
    return 0


cdef str view_text(Py_buffer *view):
    """Describe a buffer for a message."""
    cdef Py_ssize_t i
    shape = tuple(view.shape[i] for i in range(view.ndim))
    strides = () if view.strides == NULL else tuple(view.strides[i] for i in range(view.ndim))
    return f"a buffer of format {''.join(split_format(view))!r}, shape {shape}, strides {strides}"


cdef sh_layout integer_layout(Py_buffer *view) except *:
    """Return the layout of a buffer of native integers.

    Raises:
        KeyTypeError: the items are no integers.
        PlacementError: they are in another byte order.
    """
    order, kind = split_format(view)
    if kind not in tuple("bBhHiIlLqQ") or view.itemsize not in WIDTHS[kind.lower()]:
        raise KeyTypeError(
            f"keys is {view_text(view)}: keys in a buffer are integers (bBhHiIlLqQ); "
            "write keys.tolist() for other types"
        )
    if order and order in FOREIGN_ORDERS:
        raise PlacementError(
            f"keys is {view_text(view)}: the byte order is not this machine's; "
            "write keys.astype(keys.dtype.newbyteorder('='))"
        )
    signed = SIGNED_LAYOUTS[view.itemsize]
    return signed if kind.islower() else unsigned_layout(signed)


cdef sh_layout unsigned_layout(sh_layout signed) noexcept:
    if signed == SH_KEYS_I8:
        return SH_KEYS_U8
    if signed == SH_KEYS_I16:
        return SH_KEYS_U16
    return SH_KEYS_U32 if signed == SH_KEYS_I32 else SH_KEYS_U64
