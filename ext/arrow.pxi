# Keys behind the Arrow C data and stream interfaces.
# Source: https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html

# Format string: layout, number of buffers (views have more), whether the keys are text.
cdef dict ARROW_FORMATS = {
    b"c": (SH_KEYS_I8, 2, False), b"C": (SH_KEYS_U8, 2, False),
    b"s": (SH_KEYS_I16, 2, False), b"S": (SH_KEYS_U16, 2, False),
    b"i": (SH_KEYS_I32, 2, False), b"I": (SH_KEYS_U32, 2, False),
    b"l": (SH_KEYS_I64, 2, False), b"L": (SH_KEYS_U64, 2, False),
    b"u": (SH_KEYS_OFFSETS32, 3, True), b"z": (SH_KEYS_OFFSETS32, 3, False),
    b"U": (SH_KEYS_OFFSETS64, 3, True), b"Z": (SH_KEYS_OFFSETS64, 3, False),
    b"vu": (SH_KEYS_VIEWS, 3, True), b"vz": (SH_KEYS_VIEWS, 3, False),
}
# Bytes of one item of each layout: integer, offset or view.
cdef dict ITEM_SIZES = {
    SH_KEYS_I8: 1, SH_KEYS_U8: 1, SH_KEYS_I16: 2, SH_KEYS_U16: 2, SH_KEYS_I32: 4, SH_KEYS_U32: 4,
    SH_KEYS_I64: 8, SH_KEYS_U64: 8, SH_KEYS_OFFSETS32: 4, SH_KEYS_OFFSETS64: 8, SH_KEYS_VIEWS: 16,
}


@cython.final
cdef class _ArrowBatch(_MemoryBatch):
    """Integer, text or binary keys of an Arrow array, or of all arrays of a stream.

    An array stays in its capsule, which is held and releases it; the arrays of a stream are ours
    to release.
    """

    cdef object capsules
    cdef bytes arrays  # ArrowArray[array_count], of a stream
    cdef Py_ssize_t array_count
    cdef object type_name
    cdef sh_layout layout
    cdef int64_t buffer_count

    def __dealloc__(self):
        cdef ArrowArray *array
        cdef Py_ssize_t i
        for i in range(self.array_count):
            array = <ArrowArray *>PyBytes_AS_STRING(self.arrays) + i
            if array.release != NULL:
                array.release(array)

    @staticmethod
    cdef _ArrowBatch of_array(object keys):
        """Return the keys of an object with ``__arrow_c_array__``."""
        cdef _ArrowBatch batch = _ArrowBatch.__new__(_ArrowBatch)
        batch.type_name = type(keys).__name__
        batch.capsules = schema, array = keys.__arrow_c_array__()
        batch.read_schema(<ArrowSchema *>PyCapsule_GetPointer(schema, "arrow_schema"))
        batch.make_parts(1)
        batch.read_array(<ArrowArray *>PyCapsule_GetPointer(array, "arrow_array"), 0)
        return batch

    @staticmethod
    cdef _ArrowBatch of_stream(object keys):
        """Return the keys of an object with ``__arrow_c_stream__``; reads the stream to its end."""
        cdef _ArrowBatch batch = _ArrowBatch.__new__(_ArrowBatch)
        cdef ArrowArrayStream *stream
        cdef Py_ssize_t i
        batch.type_name = type(keys).__name__
        batch.capsules = keys.__arrow_c_stream__()
        stream = <ArrowArrayStream *>PyCapsule_GetPointer(batch.capsules, "arrow_array_stream")
        if stream.release == NULL:
            raise batch.invalid("its stream was released")
        batch.read_stream_schema(stream)
        while batch.pull(stream):
            pass
        batch.make_parts(batch.array_count)
        for i in range(batch.array_count):
            batch.read_array(<ArrowArray *>PyBytes_AS_STRING(batch.arrays) + i, i)
        return batch

    cdef object invalid(self, str what):
        return PlacementError(f"keys is {self.type_name}, whose Arrow data is not valid: {what}")

    cdef int read_stream_schema(self, ArrowArrayStream *stream) except -1:
        cdef ArrowSchema schema
        self.check_stream(stream, stream.get_schema(stream, &schema))
        try:
            self.read_schema(&schema)
        finally:
            if schema.release != NULL:
                schema.release(&schema)
        return 0

    cdef int check_stream(self, ArrowArrayStream *stream, int error) except -1:
        if error != 0:
            text = stream.get_last_error(stream)
            reason = "no reason given" if text == NULL else text.decode(errors="replace")
            raise self.invalid(f"its stream failed with {reason} ({error})")
        return 0

    cdef bint pull(self, ArrowArrayStream *stream) except -1:
        """Take the next array of a stream and return whether there was one."""
        cdef ArrowArray array
        cdef bytes grown
        cdef Py_ssize_t used = self.array_count * <Py_ssize_t>sizeof(ArrowArray)
        if self.arrays is None or used == PyBytes_GET_SIZE(self.arrays):
            grown = bytes(2 * used + 8 * sizeof(ArrowArray))
            if used > 0:
                memcpy(PyBytes_AS_STRING(grown), PyBytes_AS_STRING(self.arrays), used)
            self.arrays = grown
        self.check_stream(stream, stream.get_next(stream, &array))
        if array.release == NULL:
            return False
        (<ArrowArray *>PyBytes_AS_STRING(self.arrays))[self.array_count] = array
        self.array_count += 1
        return True

    cdef int read_schema(self, const ArrowSchema *schema) except -1:
        if schema.release == NULL or schema.format == NULL:
            raise self.invalid("its schema was released")
        cdef bytes kind = schema.format
        extension = extension_name(schema.metadata)
        if kind not in ARROW_FORMATS or schema.dictionary != NULL or extension:
            found = extension or ("dictionary" if schema.dictionary != NULL else kind.decode())
            raise KeyTypeError(
                f"keys is {self.type_name} of Arrow type {found!r}: keys are integers, strings or "
                "binary; cast the column to one of them"
            )
        self.layout, self.buffer_count, self.is_text = ARROW_FORMATS[kind]
        return 0

    cdef int read_array(self, const ArrowArray *array, Py_ssize_t index) except -1:
        """Describe one array as a part, after checking what the interface lets one check."""
        cdef sh_keys *keys = self.part(index)
        if array.release == NULL:
            raise self.invalid("its array was released")
        if array.length < 0 or array.offset < 0 or array.length > (1 << 56) - array.offset:
            raise self.invalid(f"length {array.length}, offset {array.offset}")
        if (
            array.buffers == NULL or array.n_buffers < self.buffer_count
            or (array.n_buffers > self.buffer_count and self.layout != SH_KEYS_VIEWS)
        ):
            raise self.invalid(f"{array.n_buffers} buffers")
        keys.layout = self.layout
        keys.count = <size_t>array.length
        if array.length > 0:
            self.read_buffers(array, keys)
            self.check_nulls(array)
        self.count += array.length
        return 0

    cdef int read_buffers(self, const ArrowArray *array, sh_keys *keys) except -1:
        cdef const uint8_t *items = <const uint8_t *>array.buffers[1]
        if items == NULL:
            raise self.invalid(f"{array.length} keys without a buffer")
        cdef size_t item_size = ITEM_SIZES[self.layout]
        keys.items = items + <size_t>array.offset * item_size
        if self.layout == SH_KEYS_VIEWS:
            keys.buffers = <const void *const *>&array.buffers[2]
            keys.buffer_count = <size_t>array.n_buffers - 3
            keys.buffer_sizes = <const int64_t *>array.buffers[array.n_buffers - 1]
            if keys.buffer_count > 0 and keys.buffer_sizes == NULL:
                raise self.invalid("views without the sizes of their buffers")
        elif array.n_buffers == 3:
            keys.bytes = <const uint8_t *>array.buffers[2]
        return 0

    cdef int check_nulls(self, const ArrowArray *array) except -1:
        cdef const uint8_t *bitmap = <const uint8_t *>array.buffers[0]
        cdef size_t first
        if bitmap == NULL:
            if array.null_count > 0:
                raise self.invalid(f"{array.null_count} nulls without a bitmap")
            return 0
        first = sh_first_null(bitmap, <size_t>array.offset, <size_t>array.length)
        if first < <size_t>array.length:
            raise KeyTypeError(
                f"{key_name(self.count + <Py_ssize_t>first)} is null: {_WANTED}; "
                f"{_HINTS['NoneType']}"
            )
        return 0


cdef str extension_name(const char *metadata):
    """Return the name of the extension type that an Arrow schema's metadata tells of, or ""."""
    cdef int32_t pair_count, size
    cdef const char *at = metadata
    if metadata == NULL:
        return ""
    memcpy(&pair_count, at, 4)
    at += 4
    texts = []
    for _ in range(2 * pair_count):
        memcpy(&size, at, 4)
        texts.append(at[4:4 + size])
        at += 4 + size
    pairs = dict(zip(texts[::2], texts[1::2]))
    return pairs.get(b"ARROW:extension:name", b"").decode(errors="replace")
