# Key bytes of one key.

_HINTS = {
    "bool": "write int(key) or str(key)",
    "float": "a float has no exact text, write str(key) or int(key) yourself",
    "NoneType": "leave out keys that are missing",
    "bytearray": "write bytes(key)",
    "memoryview": "write bytes(key)",
    "date": "write key.isoformat()",
    "datetime": "write key.isoformat()",
    "Decimal": "write int(key) or str(key)",
}
_WANTED = "a key is str, bytes, int or uuid.UUID"


cdef str key_name(Py_ssize_t index):
    """Return what messages call a key: its place among many, or -1 for the only one."""
    return "key" if index < 0 else f"keys[{index}]"


cdef str shown(object value):
    """Return a value for a message, cut short; Python refuses the text of very long ints."""
    try:
        return f"{value!r:.60}"
    except ValueError:
        return f"{type(value).__name__} with too many digits"


cdef object no_key(object key, Py_ssize_t index):
    """Return the exception for a value that has no key bytes."""
    name = type(key).__name__
    hint = _HINTS.get(name)
    advice = f"{_WANTED}; {hint}" if hint else _WANTED
    return KeyTypeError(f"{key_name(index)} is {name}: {advice}")


cdef int check_size(size_t size, Py_ssize_t index) except -1:
    if size > SH_KEY_SIZE_MAX:
        raise KeyTypeError(
            f"{key_name(index)} has {size} bytes or more: a key has at most {SH_KEY_SIZE_MAX}"
        )
    return 0


cdef bytes text_bytes(object key, Py_ssize_t index):
    # Before it is copied; its UTF-8 is as long or longer.
    check_size(<size_t>PyUnicode_GET_LENGTH(key), index)
    try:
        return PyUnicode_AsUTF8String(key)
    except UnicodeEncodeError:
        raise KeyTypeError(
            f"{key_name(index)} is {type(key).__name__} with a lone surrogate: "
            "it has no UTF-8 form, decode its source without surrogateescape"
        ) from None


cdef bytes int_bytes(object key, Py_ssize_t index):
    try:
        return PyUnicode_AsUTF8String(int.__repr__(key))
    except ValueError as error:
        raise KeyTypeError(
            f"{key_name(index)} is {type(key).__name__} with too many digits: {error}"
        ) from error


cdef object as_int(object key, Py_ssize_t index):
    """Return the int that an object with ``__index__`` stands for."""
    try:
        return PyNumber_Index(key)
    except TypeError as error:
        raise no_key(key, index) from error


cdef bint is_uuid(object key):
    # Nobody can hold a UUID before the module is imported, and importing it takes a while.
    uuid = sys.modules.get("uuid")
    return uuid is not None and isinstance(key, uuid.UUID)


cdef bytes uuid_bytes(object key, Py_ssize_t index):
    number = key.int
    if type(number) is not int or not 0 <= number < 1 << 128:
        raise KeyTypeError(
            f"{key_name(index)} is {type(key).__name__} whose int is {number!r:.60}: "
            "it must be in [0, 2**128)"
        )
    digits = f"{number:032x}"
    text = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return PyUnicode_AsUTF8String(text)


cdef bytes slow_key_bytes(object key, Py_ssize_t index):
    """Return the key bytes of any key, or raise KeyTypeError; may run Python code.

    Subclasses count by value: their own ``__str__`` or ``__repr__`` is not asked.
    """
    cdef bytes found
    if isinstance(key, str):
        found = text_bytes(key, index)
    elif isinstance(key, bytes):
        check_size(<size_t>PyBytes_GET_SIZE(key), index)
        found = PyBytes_FromStringAndSize(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
    elif isinstance(key, bool):
        raise no_key(key, index)
    elif isinstance(key, int):
        found = int_bytes(key, index)
    elif is_uuid(key):
        found = uuid_bytes(key, index)
    else:
        found = int_bytes(as_int(key, index), index)
    check_size(<size_t>PyBytes_GET_SIZE(found), index)
    return found


cdef inline sh_span span_of(bytes owned) noexcept:
    cdef sh_span span
    span.data = <const uint8_t *>PyBytes_AS_STRING(owned)
    span.size = <size_t>PyBytes_GET_SIZE(owned)
    return span


cdef uint64_t slow_hash(sh_hash hash, uint64_t seed, object key) except? 0:
    cdef bytes owned = slow_key_bytes(key, -1)
    return sh_hash_span(hash, seed, span_of(owned))


cdef inline uint64_t hash_key(sh_hash hash, uint64_t seed, object key) except? 0:
    """Return the hash of one key."""
    cdef uint8_t text[SH_DECIMAL_SIZE]
    cdef sh_span span
    if shpy_span(<PyObject *>key, text, &span):
        return sh_hash_span(hash, seed, span)
    return slow_hash(hash, seed, key)


def key_bytes(key, /):
    """Return the canonical bytes of a key, which are what is hashed. Stable since 0.1.

    ``str`` as UTF-8, ``bytes`` as they are, ``int`` as decimal text, ``uuid.UUID`` as its
    36-character lower-case text; subclasses, and objects with ``__index__``, by their value.

    Returns:
        bytes, 0 to 2**31 - 1 of them.

    Raises:
        KeyTypeError: anything else, among it bool, float, None, Decimal, dates, bytearray,
            memoryview and text with lone surrogates; a key that is too long.

    Complexity: linear in the key's size; of an int beyond 64 bits, in its square.
    """
    return slow_key_bytes(key, -1)
