"""Buffers made by hand, field by field, so that tests can make them lie."""

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_int, c_ssize_t, c_void_p


class _View(ctypes.Structure):
    """Py_buffer, as CPython's documentation gives it."""

    _fields_ = [
        ("buf", c_void_p),
        ("obj", c_void_p),
        ("len", c_ssize_t),
        ("itemsize", c_ssize_t),
        ("readonly", c_int),
        ("ndim", c_int),
        ("format", c_char_p),
        ("shape", POINTER(c_ssize_t)),
        ("strides", POINTER(c_ssize_t)),
        ("suboffsets", POINTER(c_ssize_t)),
        ("internal", c_void_p),
    ]


_kept: list[object] = []
"""What the views point into: a memoryview of no object keeps nothing alive."""


def forged_buffer(
    memory: bytearray,
    *,
    kind: bytes,
    shape: Sequence[int],
    itemsize: int,
    length: int,
    strides: Sequence[int] | None = None,
) -> memoryview:
    """Return a memoryview that says of some memory whatever the test says."""
    made = (ctypes.c_char * len(memory)).from_buffer(memory)
    shape_array = (c_ssize_t * len(shape))(*shape)
    stride_array = (c_ssize_t * len(shape))(*(strides or [itemsize] * len(shape)))
    view = _View(
        buf=ctypes.addressof(made),
        len=length,
        itemsize=itemsize,
        ndim=len(shape),
        format=kind,
        shape=shape_array,
        strides=stride_array,
    )
    _kept.append((memory, made, shape_array, stride_array, view))
    new = ctypes.pythonapi.PyMemoryView_FromBuffer
    new.restype = ctypes.py_object
    new.argtypes = [POINTER(_View)]
    result: memoryview = new(ctypes.byref(view))
    return result
