"""Many keys in, many numbers out: the bulk inputs and results of a range map."""

import sys
from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from shardhash._types import ArrowArray, ArrowStream
from shardhash.errors import KeyTypeError, PlacementError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["RangeKeys", "delivered", "key_list"]

RangeKeys: TypeAlias = "Iterable[object] | Buffer | ArrowArray | ArrowStream"
"""Bulk keys: a list or other iterable of keys, an integer buffer, an Arrow array or stream."""

_NATIVE_ORDER = "@=<" if sys.byteorder == "little" else "@=>!"


def key_list(keys: RangeKeys) -> list[object]:
    """Return the keys of any bulk input as a list.

    Raises:
        KeyTypeError: one key instead of many, or a buffer of no integers.
        PlacementError: a buffer that is not 1-D, C-contiguous and in native byte order.
    """
    if isinstance(keys, list | tuple):
        return list(keys)
    if isinstance(keys, str | bytes | bytearray):
        raise KeyTypeError(f"one key ({type(keys).__name__}) where many were expected: write [key]")
    if hasattr(keys, "__arrow_c_array__") or hasattr(keys, "__arrow_c_stream__"):
        return _arrow_list(keys)
    try:
        view = memoryview(keys)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        return _iterable_list(keys)
    return _buffer_list(view)


def _iterable_list(keys: object) -> list[object]:
    try:
        items = iter(keys)  # type: ignore[call-overload]
    except TypeError:
        raise KeyTypeError(
            f"keys asked for, found {type(keys).__name__}, which is not iterable: write [key]"
        ) from None
    return list(items)


def _arrow_list(keys: object) -> list[object]:
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(keys, method):
            return list(getattr(keys, method)())
    raise KeyTypeError(f"{type(keys).__name__} cannot list its Arrow items: pass a list of them")


def _buffer_list(view: memoryview) -> list[object]:
    code = view.format.lstrip("@=<>!")
    if len(code) != 1 or code not in "bBhHiIlLqQ":
        raise KeyTypeError(f"buffer of format {view.format!r}: pass integers, or a list of keys")
    if not _is_plain(view):
        raise PlacementError(
            f"buffer of {view.ndim} dimensions, format {view.format!r}: "
            "it must be 1-D, C-contiguous and in native byte order"
        )
    if not view.nbytes:
        return []
    sized = "bhiq"[view.itemsize.bit_length() - 1]
    return list(view.cast("B").cast(sized if code.islower() else sized.upper()))  # type: ignore[call-overload]


def _is_plain(view: memoryview) -> bool:
    is_native = view.itemsize == 1 or view.format[0].isalpha() or view.format[0] in _NATIVE_ORDER
    return view.ndim == 1 and view.c_contiguous and is_native


def delivered(found: "array[int]", out: "Buffer | None", key_count: int) -> memoryview:
    """Return results as a memoryview of format "I": in `out`, from its start, if there is one.

    Raises:
        PlacementError: `out` is no writable buffer of exactly `key_count` such items.
    """
    if out is None:
        return memoryview(found)
    room = _checked_out(out, key_count)
    room[: len(found)] = memoryview(found)
    return room[: len(found)]


def _checked_out(out: object, key_count: int) -> memoryview:
    try:
        view = memoryview(out)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        raise PlacementError(f"out is {type(out).__name__}: it must be a writable buffer") from None
    if view.readonly or not _is_plain(view) or view.format[-1] not in "IL" or view.itemsize != 4:
        raise PlacementError(
            f"out has format {view.format!r}, {view.ndim} dimensions, readonly={view.readonly}: "
            "it must be writable, 1-D, C-contiguous, of 4-byte unsigned items"
        )
    if len(view) != key_count:
        raise PlacementError(f"out has {len(view)} items for {key_count} keys: make it as long")
    return view.cast("B").cast("I") if key_count else view
