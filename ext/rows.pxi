# Rows of a MySQL or MariaDB server's answer.

cdef extern from "Python.h":
    object PyObject_CallOneArg(object function, object argument)
    object PyUnicode_DecodeASCII(const char *data, Py_ssize_t size, const char *errors)

cdef enum:
    AS_BYTES = 0
    AS_TEXT = 1
    AS_INTEGER = 2


@cython.final
cdef class RowReader:
    """Reads rows of text fields from the packets of an answer. For one thread at a time.

    `kinds` has an entry for each field: `bytes`, `str` (UTF-8), `int`, or a function that makes the
    value of the field's ASCII text.
    """

    cdef tuple kinds
    cdef bytes codes
    cdef bytes spans
    cdef Py_ssize_t field_count

    def __cinit__(self, kinds):
        known = {bytes: AS_BYTES, str: AS_TEXT, int: AS_INTEGER}
        self.kinds = tuple(kinds)
        self.field_count = PyTuple_GET_SIZE(self.kinds)
        self.codes = bytes([known.get(kind, AS_INTEGER + 1) for kind in self.kinds])
        self.spans = bytes(self.field_count * sizeof(sh_span))

    def read(self, bytes data not None, Py_ssize_t start, uint8_t sequence, Py_ssize_t most):
        """Return up to `most` rows that `data` has from `start` on, and where the next packet is.

        Returns:
            The rows, the place and the number of the next packet, and whether that is no row
            packet though it is whole.
        """
        cdef sh_span *fields = <sh_span *>PyBytes_AS_STRING(self.spans)
        cdef const uint8_t *base = <const uint8_t *>PyBytes_AS_STRING(data)
        cdef Py_ssize_t end = PyBytes_GET_SIZE(data)
        cdef size_t size = 0
        cdef sh_packet found = SH_PACKET_ROW
        cdef sh_span rest
        cdef list rows = []
        if not 0 <= start <= end:
            raise ValueError(f"start is {start}, of {end} bytes")
        while most > 0:
            rest.data = base + start
            rest.size = <size_t>(end - start)
            found = sh_row_read(rest, sequence, <size_t>self.field_count, fields, &size)
            if found != SH_PACKET_ROW:
                break
            rows.append(self.row(fields))
            start += <Py_ssize_t>size
            sequence += 1
            most -= 1
        return rows, start, sequence, found == SH_PACKET_OTHER

    cdef tuple row(self, const sh_span *fields):
        cdef tuple row = PyTuple_New(self.field_count)
        cdef Py_ssize_t i
        cdef object value
        for i in range(self.field_count):
            value = self.value(i, fields[i])
            Py_INCREF(value)
            PyTuple_SET_ITEM(row, i, value)
        return row

    cdef inline object value(self, Py_ssize_t place, sh_span field):
        cdef const char *text = <const char *>field.data
        cdef Py_ssize_t size = <Py_ssize_t>field.size
        cdef char code = PyBytes_AS_STRING(self.codes)[place]
        cdef int64_t number = 0
        if text == NULL:
            return None
        if code == AS_INTEGER:
            if sh_decimal_read(field, &number):
                return number
            return int(PyUnicode_DecodeASCII(text, size, NULL))
        if code == AS_TEXT:
            return PyUnicode_DecodeUTF8(text, size, NULL)
        if code == AS_BYTES:
            return PyBytes_FromStringAndSize(text, size)
        return PyObject_CallOneArg(
            <object>self.kinds[place], PyUnicode_DecodeASCII(text, size, NULL)
        )
