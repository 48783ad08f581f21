# Many keys in whatever form they come, and the memory that results go to.

cdef class _Batch:
    """Keys in one of the forms that bulk calls take, held for the time of the call."""

    cdef Py_ssize_t count

    cdef int apply(self, const sh_rule *rule, uint8_t *out) except -1:
        """Write the rule's result for each key to `out`, which has room for all of them."""
        raise NotImplementedError

    cdef int settle(self) except -1:
        """Take care that `apply` and `key_objects` see the same keys."""
        return 0

    cdef list key_objects(self):
        """Return the keys as Python objects."""
        raise NotImplementedError

    cdef bint overlaps(self, const uint8_t *start, size_t size):
        """Return whether the keys' own memory overlaps `size` bytes at `start`."""
        return False


@cython.final
cdef class _SequenceBatch(_Batch):
    """Keys in a list or tuple, whose types may mix.

    C holds borrowed pointers into up to SHPY_BLOCK keys at a time, and only while no Python code
    can run. Before the first key whose reading may run some, the list's items are copied to a
    tuple, which is what is read from then on; whether they still are the list's is seen at the
    end. Without the GIL this is before the first key of all.
    """

    cdef object keys
    cdef tuple copied

    def __cinit__(self, keys):
        # What a subclass says about its length is not asked, and its items count as a tuple's.
        self.count = PySequence_Fast_GET_SIZE(keys)
        if isinstance(keys, tuple):
            keys = self.copied = PyTuple_GetSlice(keys, 0, self.count)
        self.keys = keys
        if SHPY_LISTS_CHANGE:
            self.settle()

    cdef list key_objects(self):
        self.settle()
        return list(self.copied)

    cdef int apply(self, const sh_rule *rule, uint8_t *out) except -1:
        cdef sh_texts texts
        cdef sh_span spans[SHPY_BLOCK]
        cdef PyObject **items
        cdef Py_ssize_t start = 0, size
        self.check_unchanged()
        while start < self.count:
            items = PySequence_Fast_ITEMS(self.keys if self.copied is None else self.copied)
            size = shpy_spans(items + start, self.count - start, &texts, spans)
            sh_spans_apply(rule, spans, <size_t>size, out + <size_t>start * rule.item_size)
            start += size
            if size < SHPY_BLOCK and start < self.count:
                self.settle()
                key = self.copied[start]
                self.apply_one(rule, key, start, out + <size_t>start * rule.item_size)
                start += 1
        self.check_unchanged()
        return 0

    cdef int apply_one(
        self, const sh_rule *rule, object key, Py_ssize_t index, uint8_t *out
    ) except -1:
        cdef bytes owned = slow_key_bytes(key, index)
        cdef sh_span span = span_of(owned)
        sh_spans_apply(rule, &span, 1, out)
        return 0

    cdef int settle(self) except -1:
        if self.copied is None:
            self.copied = PyList_AsTuple(self.keys)
            self.check_unchanged()
        return 0

    cdef int check_unchanged(self) except -1:
        """Raise if the keys are not the ones that were given."""
        cdef Py_ssize_t length
        cdef bint is_same
        with cython.critical_section(self.keys):
            length = PySequence_Fast_GET_SIZE(self.keys)
            is_same = length == self.count
            if is_same and length > 0 and self.copied is not None and self.copied is not self.keys:
                is_same = PyTuple_GET_SIZE(self.copied) == length and memcmp(
                    PySequence_Fast_ITEMS(self.keys), PySequence_Fast_ITEMS(self.copied),
                    <size_t>length * sizeof(PyObject *),
                ) == 0
        if not is_same:
            raise PlacementError(
                f"the list of keys changed while its {self.count} keys were hashed: "
                "hash a copy, or change it afterwards"
            )
        return 0


cdef _Batch open_batch(object keys):
    """Return the keys of a bulk argument.

    A list or tuple comes first; then the Arrow interface, which knows nulls and text, before
    the buffer of an object that offers both; then any iterable.

    Raises:
        KeyTypeError: the argument is one key, not iterable, or holds a type that is no key.
        PlacementError: a buffer of a shape that cannot be read, or Arrow data that is not valid.
    """
    if isinstance(keys, (list, tuple)):
        return _SequenceBatch(keys)
    if isinstance(keys, (str, bytes, bytearray)):
        raise KeyTypeError(
            f"{type(keys).__name__} is one key where many were expected: write [key]"
        )
    cdef bint is_class = isinstance(keys, type)  # which has what its instances have
    if not is_class and hasattr(keys, "__arrow_c_array__"):
        return _ArrowBatch.of_array(keys)
    if not is_class and hasattr(keys, "__arrow_c_stream__"):
        return _ArrowBatch.of_stream(keys)
    if PyObject_CheckBuffer(keys):
        return _BufferBatch(keys)
    try:
        iterator = iter(keys)
    except TypeError:
        raise KeyTypeError(
            f"keys is {type(keys).__name__}: many keys are a list, an iterable, "
            "an integer buffer or an Arrow array"
        ) from None
    return _SequenceBatch(list(iterator))


cdef array.array RESULT_U16 = array.array("H")
cdef array.array RESULT_U32 = array.array("I")
cdef array.array RESULT_U64 = array.array("Q")


@cython.final
cdef class _Output:
    """Room for `count` unsigned results of 2, 4 or 8 bytes: new, or a buffer of the caller's.

    A caller's buffer is held until this object goes, so that it can neither move nor shrink.
    """

    cdef Py_buffer view
    cdef uint8_t *start
    cdef object result

    def __cinit__(self, Py_ssize_t count, size_t item_size, out):
        if out is None:
            self.allocate(count, item_size)
        else:
            self.borrow(count, item_size, out)

    def __dealloc__(self):
        PyBuffer_Release(&self.view)

    cdef int allocate(self, Py_ssize_t count, size_t item_size) except -1:
        cdef array.array template = (
            RESULT_U16 if item_size == 2 else RESULT_U32 if item_size == 4 else RESULT_U64
        )
        cdef array.array made = array.clone(template, count, False)
        self.start = <uint8_t *>made.data.as_voidptr
        self.result = memoryview(made)
        return 0

    cdef int borrow(self, Py_ssize_t count, size_t item_size, object out) except -1:
        wanted = (
            f"out must be a writable, contiguous, aligned buffer of {count} unsigned "
            f"{item_size}-byte items"
        )
        try:
            PyObject_GetBuffer(out, &self.view, PyBUF_FULL_RO | PyBUF_WRITABLE)
        except (BufferError, TypeError, ValueError) as error:
            raise PlacementError(f"{wanted}, found {type(out).__name__}: {error}") from error
        order, kind = split_format(&self.view)
        if (
            (order and order in FOREIGN_ORDERS) or kind not in tuple("HILQN")
            or not is_flat(&self.view)
            or <size_t>self.view.itemsize != item_size or self.view.shape[0] != count
            or count and <uintptr_t>self.view.buf % item_size != 0
        ):
            raise PlacementError(f"{wanted}, found {view_text(&self.view)}")
        check_extent(&self.view)
        self.start = <uint8_t *>self.view.buf
        result, code = memoryview(out), {2: "H", 4: "I", 8: "Q"}[item_size]
        # ctypes says '<I' and Windows 'L', which a memoryview may not even read. It casts no
        # empty view.
        self.result = result if not count or result.format == code else result.cast("B").cast(code)
        return 0


cdef _Output open_output(const sh_rule *rule, _Batch batch, object out):
    cdef _Output output = _Output(batch.count, rule.item_size, out)
    if batch.overlaps(output.start, <size_t>batch.count * rule.item_size):
        raise PlacementError("out overlaps the keys in memory: give it memory of its own")
    return output


cdef object apply_rule(const sh_rule *rule, _Batch batch, object out):
    """Return a memoryview of the rule's result for each key; `out` as the public face says."""
    cdef _Output output = open_output(rule, batch, out)
    batch.apply(rule, output.start)
    return output.result


cdef dict partition_keys(const sh_rule *rule, _Batch batch, tuple owners):
    """Return the keys of each owner that got one: owners in order, keys in input order."""
    batch.settle()
    cdef _Output output = open_output(rule, batch, None)
    batch.apply(rule, output.start)
    cdef const uint32_t *owner_of = <const uint32_t *>output.start
    cdef list parts = [None] * len(owners)
    cdef Py_ssize_t i = 0
    for key in batch.key_objects():
        part = parts[owner_of[i]]
        if part is None:
            part = parts[owner_of[i]] = []
        (<list>part).append(key)
        i += 1
    return {owner: part for owner, part in zip(owners, parts) if part is not None}
