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
# What no memory can hold: sums of so many items and their sizes in bytes do not overflow.
cdef int64_t ARROW_ITEMS_MAX = <int64_t>1 << 56
# More than any schema has, and few enough to stop soon where metadata is none.
cdef int32_t METADATA_PAIRS_MAX = 65536

# Bytes of one item of each layout: integer, offset or view.
cdef dict ITEM_SIZES = {
    SH_KEYS_I8: 1, SH_KEYS_U8: 1, SH_KEYS_I16: 2, SH_KEYS_U16: 2, SH_KEYS_I32: 4, SH_KEYS_U32: 4,
    SH_KEYS_I64: 8, SH_KEYS_U64: 8, SH_KEYS_OFFSETS32: 4, SH_KEYS_OFFSETS64: 8, SH_KEYS_VIEWS: 16,
}


@cython.final
cdef class _ArrowBatch(_MemoryBatch):
    """Integer, text or binary keys of an Arrow array, or of all arrays of a stream.

    The arrays are ours from the moment they are taken, and released in the end: a capsule that
    others hold too cannot release what is read here without the GIL.
    """

    cdef bytes arrays  # ArrowArray[array_count], and room for more
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
        capsules = keys.__arrow_c_array__()
        if not isinstance(capsules, tuple) or len(capsules) != 2:
            raise batch.invalid(f"__arrow_c_array__ gave no two capsules, but {capsules!r:.60}")
        schema, array = capsules
        batch.read_schema(<ArrowSchema *>batch.pointer(schema, "arrow_schema"))
        batch.take(<ArrowArray *>batch.pointer(array, "arrow_array"))
        batch.read_arrays()
        return batch

    @staticmethod
    cdef _ArrowBatch of_stream(object keys):
        """Return the keys of an object with ``__arrow_c_stream__``; reads the stream to its end."""
        cdef _ArrowBatch batch = _ArrowBatch.__new__(_ArrowBatch)
        cdef ArrowArrayStream *stream
        batch.type_name = type(keys).__name__
        capsule = keys.__arrow_c_stream__()
        stream = <ArrowArrayStream *>batch.pointer(capsule, "arrow_array_stream")
        if stream.release == NULL:
            raise batch.invalid("its stream was released")
        batch.read_stream_schema(stream)
        while batch.pull(stream):
            pass
        batch.read_arrays()
        return batch

    cdef void *pointer(self, object capsule, const char *name) except NULL:
        if not PyCapsule_IsValid(capsule, name):
            raise self.invalid(f"{capsule!r:.60} is no capsule named {name.decode()}")
        return PyCapsule_GetPointer(capsule, name)

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
        self.check_stream(stream, stream.get_next(stream, &array))
        if array.release == NULL:
            return False
        self.take(&array)
        return True

    cdef int take(self, ArrowArray *array) except -1:
        """Move an array to the end of `arrays`; whoever had it finds it released."""
        cdef Py_ssize_t used = self.array_count * <Py_ssize_t>sizeof(ArrowArray)
        cdef bytes grown
        if array.release == NULL:
            raise self.invalid("its array was released")
        if self.arrays is None or used == PyBytes_GET_SIZE(self.arrays):
            try:
                grown = bytes(2 * used + 8 * sizeof(ArrowArray))
            except MemoryError:
                array.release(array)
                raise
            if used > 0:
                memcpy(PyBytes_AS_STRING(grown), PyBytes_AS_STRING(self.arrays), used)
            self.arrays = grown
        (<ArrowArray *>PyBytes_AS_STRING(self.arrays))[self.array_count] = array[0]
        array.release = NULL
        self.array_count += 1
        return 0

    cdef int read_schema(self, const ArrowSchema *schema) except -1:
        if schema.release == NULL or schema.format == NULL:
            raise self.invalid("its schema was released")
        cdef bytes kind = schema.format
        extension = self.extension_name(schema.metadata)
        if kind not in ARROW_FORMATS or schema.dictionary != NULL or extension:
            plain = "dictionary" if schema.dictionary != NULL else kind.decode(errors="replace")
            found = extension or plain
            raise KeyTypeError(
                f"keys is {self.type_name} of Arrow type {found!r}: keys are integers, strings or "
                "binary; cast the column to one of them"
            )
        self.layout, self.buffer_count, self.is_text = ARROW_FORMATS[kind]
        return 0

    cdef int read_arrays(self) except -1:
        """Describe the arrays that were taken as parts."""
        cdef Py_ssize_t i
        self.make_parts(self.array_count)
        for i in range(self.array_count):
            self.read_array(<ArrowArray *>PyBytes_AS_STRING(self.arrays) + i, i)
        return 0

    cdef int read_array(self, const ArrowArray *array, Py_ssize_t index) except -1:
        """Describe one array as a part, after checking what the interface lets one check."""
        cdef sh_keys *keys = self.part(index)
        cdef int64_t length = array.length, offset = array.offset
        if length < 0 or offset < 0 or length > ARROW_ITEMS_MAX - offset:
            raise self.invalid(f"length {length}, offset {offset}")
        if length > ARROW_ITEMS_MAX - self.count:
            raise self.invalid(f"an array of {length} keys after {self.count} others")
        if array.null_count < -1 or array.null_count > length:
            raise self.invalid(f"{array.null_count} nulls in {length} keys")
        if array.n_children != 0 or array.dictionary != NULL:
            raise self.invalid("an array of keys has neither children nor a dictionary")
        if (
            array.buffers == NULL or array.n_buffers < self.buffer_count
            or (array.n_buffers > self.buffer_count and self.layout != SH_KEYS_VIEWS)
        ):
            raise self.invalid(f"{array.n_buffers} buffers")
        keys.layout = self.layout
        keys.count = <size_t>length
        if length > 0:
            self.read_buffers(array, keys)
            self.check_nulls(array)
        self.count += length
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

    cdef str extension_name(self, const char *metadata):
        """Return the name of the extension type that a schema's metadata tells of, or ""."""
        cdef int32_t pair_count, size
        cdef const char *at = metadata
        if metadata == NULL:
            return ""
        memcpy(&pair_count, at, 4)
        at += 4
        if not 0 <= pair_count <= METADATA_PAIRS_MAX:
            raise self.invalid(f"metadata of {pair_count} pairs")
        texts = []
        for _ in range(2 * pair_count):
            memcpy(&size, at, 4)
            if size < 0:
                raise self.invalid(f"metadata of {size} bytes")
            texts.append(at[4:4 + size])
            at += 4 + <Py_ssize_t>size
        pairs = dict(zip(texts[::2], texts[1::2]))
        return pairs.get(b"ARROW:extension:name", b"").decode(errors="replace")

    cdef bint overlaps(self, const uint8_t *start, size_t size):
        cdef Py_ssize_t i
        for i in range(self.part_count):
            if part_overlaps(self.part(i), start, size):
                return True
        return False


cdef bint part_overlaps(const sh_keys *keys, const uint8_t *start, size_t size):
    """Return whether items or data of a part overlap other memory, where their size is known."""
    cdef size_t item_size = ITEM_SIZES[keys.layout], item_count = keys.count, i
    cdef int64_t first, last
    if keys.count == 0:
        return False
    item_count += keys.layout == SH_KEYS_OFFSETS32 or keys.layout == SH_KEYS_OFFSETS64
    if share_bytes(<const uint8_t *>keys.items, item_count * item_size, start, size):
        return True
    if keys.layout == SH_KEYS_VIEWS:
        for i in range(keys.buffer_count):
            if keys.buffer_sizes[i] > 0 and share_bytes(
                <const uint8_t *>keys.buffers[i], <size_t>keys.buffer_sizes[i], start, size
            ):
                return True
    elif keys.layout >= SH_KEYS_OFFSETS32:
        first = offset_at(keys, 0)
        last = offset_at(keys, keys.count)
        return 0 <= first < last and share_bytes(
            keys.bytes + first, <size_t>(last - first), start, size
        )
    return False


cdef int64_t offset_at(const sh_keys *keys, size_t i) noexcept:
    cdef int32_t narrow
    cdef int64_t wide
    if keys.layout == SH_KEYS_OFFSETS32:
        memcpy(&narrow, <const uint8_t *>keys.items + 4 * i, 4)
        return narrow
    memcpy(&wide, <const uint8_t *>keys.items + 8 * i, 8)
    return wide
