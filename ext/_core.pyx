# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: binding=False, embedsignature=True, embedsignature.format=clinic
# cython: autotestdict=False, freethreading_compatible=True
"""The compiled core: hashes, keys, rings and slot tables over the C library in src/.

Private: use ``shardhash.keys``, ``shardhash.hashing``, ``HashRing`` and ``SlotMap``. This layer
converts types, keeps memory alive while C looks at it, and maps statuses to exceptions; the loops
are in C.
"""
# Free threading: rings and slot tables do not change once they are built, and are built once; bulk
# calls work on objects of their own and hold what they read; lists, which others may change, are
# copied first (SHPY_LISTS_CHANGE). Module variables are never written again. What two threads do to
# one `out` or one buffer of keys at a time is theirs to order, as it is with NumPy.

# Methods are not bound as Python functions (binding=False): a call of a plain method descriptor
# with one positional argument is the cheapest that CPython has.

import sys

cimport cython
from cpython cimport array
from cpython.buffer cimport (
    PyBUF_FULL_RO, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_AsTuple
from cpython.long cimport PyLong_AsLongAndOverflow, PyLong_CheckExact
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_SIZE, PyTuple_GetSlice, PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport (
    PyUnicode_AsUTF8AndSize, PyUnicode_AsUTF8String, PyUnicode_DecodeUTF8, PyUnicode_GET_LENGTH,
)
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcmp, memcpy

from arrow_abi cimport ArrowArray, ArrowArrayStream, ArrowSchema
from cpython_keys cimport SHPY_BLOCK, SHPY_LISTS_CHANGE, shpy_span, shpy_spans
from shardhash cimport *

from shardhash.errors import KeyTypeError, PlacementError

cdef extern from "Python.h":
    PyObject **PySequence_Fast_ITEMS(object sequence)
    Py_ssize_t PySequence_Fast_GET_SIZE(object sequence)

include "keys.pxi"
include "bulk.pxi"
include "memory.pxi"
include "arrow.pxi"
include "hashing.pxi"
include "points.pxi"
include "ring.pxi"
include "slots.pxi"
include "interop.pxi"
include "rows.pxi"
