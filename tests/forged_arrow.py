"""Arrow data made by hand, field by field, so that tests can make it lie."""

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, c_char_p, c_int, c_int64, c_void_p
from typing import Any

RELEASE = ctypes.CFUNCTYPE(None, c_void_p)


class Schema(ctypes.Structure):
    _fields_ = [
        ("format", c_char_p),
        ("name", c_char_p),
        ("metadata", c_void_p),
        ("flags", c_int64),
        ("n_children", c_int64),
        ("children", c_void_p),
        ("dictionary", c_void_p),
        ("release", RELEASE),
        ("private_data", c_void_p),
    ]


class Array(ctypes.Structure):
    _fields_ = [
        ("length", c_int64),
        ("null_count", c_int64),
        ("offset", c_int64),
        ("n_buffers", c_int64),
        ("n_children", c_int64),
        ("buffers", POINTER(c_void_p)),
        ("children", c_void_p),
        ("dictionary", c_void_p),
        ("release", RELEASE),
        ("private_data", c_void_p),
    ]


GET_SCHEMA = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(Schema))
GET_NEXT = ctypes.CFUNCTYPE(c_int, c_void_p, POINTER(Array))
LAST_ERROR = ctypes.CFUNCTYPE(c_void_p, c_void_p)


class Stream(ctypes.Structure):
    _fields_ = [
        ("get_schema", GET_SCHEMA),
        ("get_next", GET_NEXT),
        ("get_last_error", LAST_ERROR),
        ("release", RELEASE),
        ("private_data", c_void_p),
    ]


def _capsule(struct: ctypes.Structure, name: bytes) -> Any:
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [c_void_p, c_char_p, c_void_p]
    return new(ctypes.addressof(struct), name, None)


class ForgedArray:
    """An array whose format, buffers and numbers are whatever the test says."""

    def __init__(
        self,
        kind: bytes,
        buffers: Sequence[bytes | None],
        *,
        length: int,
        null_count: int = 0,
        offset: int = 0,
        metadata: bytes | None = None,
        dictionary: bool = False,
        array_dictionary: bool = False,
        children: int = 0,
        released: bool = False,
    ) -> None:
        self.release_count = 0
        self._lent: list[Array] = []
        self._release = RELEASE(self._released)
        self._buffers = [None if b is None else ctypes.create_string_buffer(b) for b in buffers]
        pointers = [None if b is None else ctypes.addressof(b) for b in self._buffers]
        self._metadata = None if metadata is None else ctypes.create_string_buffer(metadata)
        self.schema = Schema(format=kind, release=self._release)
        if self._metadata is not None:
            self.schema.metadata = ctypes.addressof(self._metadata)
        if dictionary:
            self.schema.dictionary = ctypes.addressof(self.schema)
        self._pointers = (c_void_p * len(pointers))(*pointers)
        self.array = Array(
            length=length,
            null_count=null_count,
            offset=offset,
            n_buffers=len(pointers),
            n_children=children,
            dictionary=ctypes.addressof(self.schema) if array_dictionary else None,
            buffers=self._pointers,
            release=RELEASE() if released else self._release,
        )

    def _released(self, _: int | None) -> None:
        self.release_count += 1

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[Any, Any]:
        """Lend a copy, because whoever reads an array moves it out of its capsule."""
        self._lent.append(Array.from_buffer_copy(self.array))
        return _capsule(self.schema, b"arrow_schema"), _capsule(self._lent[-1], b"arrow_array")


class ForgedStream:
    """A stream of forged arrays; with `error`, it fails with that after the last of them."""

    def __init__(self, arrays: Sequence[ForgedArray], *, error: bytes | None = None) -> None:
        self._left = list(arrays)
        self._schema = arrays[0].schema
        self._error = None if error is None else ctypes.create_string_buffer(error)
        self._stream = Stream(
            get_schema=GET_SCHEMA(self._get_schema),
            get_next=GET_NEXT(self._get_next),
            get_last_error=LAST_ERROR(self._last_error),
            release=arrays[0].schema.release,
        )

    def _get_schema(self, _: int | None, out: Any) -> int:
        out[0] = self._schema
        return 0

    def _get_next(self, _: int | None, out: Any) -> int:
        if self._left:
            out[0] = self._left.pop(0).array
            return 0
        out[0] = Array()
        return 0 if self._error is None else 5

    def _last_error(self, _: int | None) -> int | None:
        return None if self._error is None else ctypes.addressof(self._error)

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        return _capsule(self._stream, b"arrow_array_stream")
