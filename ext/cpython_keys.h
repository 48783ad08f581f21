/*
 * Key bytes of Python objects, as far as reading them runs no Python code.
 *
 * That is the promise that lets callers hold borrowed pointers into many objects of a list: str,
 * bytes and 64-bit int of exactly these types. All other keys (subclasses, UUIDs, objects with
 * __index__, larger ints) and all errors take the slow path, which is written in keys.pxi.
 */
#ifndef SHARDHASH_CPYTHON_KEYS_H
#define SHARDHASH_CPYTHON_KEYS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "shardhash.h"

/* Keys of a list that are worked on at a time, at most SH_BLOCK. Of 16 to 256, 32 was the fastest
 * for keys that come from memory; for keys in the cache it hardly matters. */
#define SHPY_BLOCK 32

/* Whether other threads can change a list while no Python code runs in this one. */
#ifdef Py_GIL_DISABLED
#define SHPY_LISTS_CHANGE 1
#else
#define SHPY_LISTS_CHANGE 0
#endif

/* Find the key bytes of a key and return 1; or return 0 if it takes the slow path. Sets no
 * exception. The span borrows from the key, or from `text[SH_DECIMAL_SIZE]` for an int. */
static inline int shpy_span(PyObject *key, uint8_t *text, sh_span *span) {
    PyTypeObject *type = Py_TYPE(key);
    Py_ssize_t size;
    const char *data;
    if (type == &PyUnicode_Type) {
        if (PyUnicode_IS_COMPACT_ASCII(key)) {
            data = (const char *)PyUnicode_1BYTE_DATA(key);
            size = PyUnicode_GET_LENGTH(key);
        } else {
            data = PyUnicode_AsUTF8AndSize(key, &size);
            if (data == NULL) {
                PyErr_Clear();
                return 0;
            }
        }
    } else if (type == &PyBytes_Type) {
        data = PyBytes_AS_STRING(key);
        size = PyBytes_GET_SIZE(key);
    } else if (type == &PyLong_Type) {
        int overflow;
        long long value = PyLong_AsLongLongAndOverflow(key, &overflow);
        *span = (sh_span){text, sh_decimal_i64(value, text)};
        return overflow == 0;
    } else {
        return 0;
    }
    *span = (sh_span){(const uint8_t *)data, (size_t)size};
    return (size_t)size <= SH_KEY_SIZE_MAX;
}

/* Find the key bytes of the first of `available` keys, up to SHPY_BLOCK of them, and return how
 * many; fewer than asked for means that the next one takes the slow path. */
Py_ssize_t shpy_spans(PyObject *const *keys, Py_ssize_t available, sh_texts *texts,
                      sh_span *spans);

#endif
