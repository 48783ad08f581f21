from cpython.object cimport PyObject
from libc.stdint cimport uint8_t
from shardhash cimport sh_span, sh_texts


cdef extern from "cpython_keys.h":
    enum:
        SHPY_BLOCK
        SHPY_LISTS_CHANGE

    bint shpy_span(PyObject *key, uint8_t *text, sh_span *span) noexcept
    Py_ssize_t shpy_spans(PyObject **keys, Py_ssize_t available, sh_texts *texts,
                          sh_span *spans) noexcept
