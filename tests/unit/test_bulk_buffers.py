import ctypes
from array import array
from typing import Any

import numpy as np
import pytest

from forged_buffer import forged_buffer
from shardhash import KeyTypeError, PlacementError, SlotMap
from shardhash.hashing import crc32, crc32_many

NATIVE, FOREIGN = ("<", ">") if array("H", [1]).tobytes()[0] else (">", "<")


def expect(keys: Any, plain: list[Any]) -> None:
    assert crc32_many(keys).tolist() == [crc32(key) for key in plain]


@pytest.mark.parametrize("code", "bBhHiIlLqQ")
def test_integer_buffers_are_read_at_both_ends_of_their_type(code: str) -> None:
    limits = np.iinfo(code)
    plain = [int(limits.min), int(limits.max), 0, 1, int(limits.max) // 3] * 60

    for keys in (array(code, plain), np.array(plain, code), memoryview(array(code, plain))):
        expect(keys, plain)


@pytest.mark.parametrize("code", ["h", "I", "q"])
def test_buffers_that_say_their_byte_order_are_read(code: str) -> None:
    plain = [1, 2, 300]

    expect(np.array(plain, NATIVE + code), plain)
    expect((ctypes.c_int32 * 3)(*plain), plain)
    expect(memoryview(array(code, plain)).cast("B").cast(f"@{code}"), plain)


def test_a_buffer_of_the_other_byte_order_is_refused() -> None:
    with pytest.raises(PlacementError, match="byte order"):
        crc32_many(np.array([1, 2], f"{FOREIGN}i8"))


def test_an_unaligned_or_read_only_buffer_is_read() -> None:
    raw = b"x" + array("q", [1, -2, 3]).tobytes()

    expect(np.frombuffer(raw, "i8", offset=1), [1, -2, 3])


@pytest.mark.parametrize(
    "keys",
    [
        np.arange(10)[::2],
        np.arange(10)[::-1],
        np.zeros((2, 3), "i8"),
        np.array(5),
        memoryview(array("q", range(6)))[::3],
        memoryview(bytes(8)).cast("B", (2, 4)),
    ],
    ids=["strided", "backwards", "two-dimensional", "no dimension", "view", "shaped view"],
)
def test_a_buffer_of_another_shape_is_refused(keys: Any) -> None:
    with pytest.raises(PlacementError, match="one-dimensional and contiguous"):
        crc32_many(keys)


def test_a_slice_of_one_item_is_contiguous() -> None:
    expect(np.arange(10)[3:5:7], [3])


@pytest.mark.parametrize(
    "keys",
    [
        np.array([1.5]),
        np.array([True]),
        np.array(["a"], "U3"),
        np.array([b"a"], "S3"),
        np.array([1 + 2j]),
        np.array([(1, 2)], "i4,i4"),
        np.array([1], object),
        np.array(["2026-01-01"], "M8[D]"),
        array("f", [1.0]),
        memoryview(b"abc").cast("c"),
    ],
    ids=lambda keys: str(getattr(keys, "dtype", type(keys).__name__)),
)
def test_a_buffer_of_another_type_is_refused(keys: Any) -> None:
    with pytest.raises(KeyTypeError, match="keys is"):
        crc32_many(keys)


def test_a_released_view_is_refused() -> None:
    view = memoryview(array("q", [1]))
    view.release()

    with pytest.raises(KeyTypeError, match="memoryview"):
        crc32_many(view)


def test_the_view_is_held_no_longer_than_the_call() -> None:
    keys = array("q", [1, 2])

    crc32_many(keys)
    keys.append(3)

    assert len(keys) == 3


def test_partition_gives_keys_of_a_buffer_as_ints() -> None:
    parts = SlotMap.even(["a", "b"]).partition(np.array([1, -2, 3], "i2"))

    assert sorted(key for part in parts.values() for key in part) == [-2, 1, 3]
    assert all(type(key) is int for part in parts.values() for key in part)


LIES = {
    "a negative shape": {"shape": [-1]},
    "more items than bytes": {"shape": [4]},
    "fewer items than bytes": {"shape": [1]},
    "bytes that are no whole items": {"length": 17},
    "a negative size": {"length": -16},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_buffer_that_contradicts_itself_is_refused(lie: str) -> None:
    truth: dict[str, Any] = {
        "memory": bytearray(64),
        "kind": b"q",
        "shape": [2],
        "itemsize": 8,
        "length": 16,
    }
    expect(forged_buffer(**truth), [0, 0])

    with pytest.raises(PlacementError, match="do not fit together"):
        crc32_many(forged_buffer(**truth | LIES[lie]))


@pytest.mark.parametrize("kind", [b"b", b"i", b"<q", b"q"])
def test_a_buffer_whose_format_has_another_size_is_refused(kind: bytes) -> None:
    keys = forged_buffer(bytearray(64), kind=kind, shape=[8], itemsize=2, length=16)

    with pytest.raises(KeyTypeError, match="integers"):
        crc32_many(keys)


def test_out_that_contradicts_itself_is_refused() -> None:
    out = forged_buffer(bytearray(64), kind=b"I", shape=[2], itemsize=4, length=4)

    with pytest.raises(PlacementError, match="do not fit together"):
        crc32_many(["a", "b"], out=out)


def test_the_rows_of_a_masked_array_are_not_read_as_if_nothing_were_hidden() -> None:
    keys = np.ma.array([1, 2, 3], mask=[False, True, False])

    with pytest.raises(KeyTypeError, match=r"keys\.compressed\(\)"):
        crc32_many(keys)
    expect(keys.compressed(), [1, 3])
