import ctypes
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shardhash import PlacementError, SlotMap
from shardhash.hashing import crc32, crc32_many

FOREIGN = ">" if array("H", [1]).tobytes()[0] else "<"


class Acting:
    """A key that does something when its number is asked for."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __index__(self) -> int:
        self.act()
        return 7


def test_out_is_filled_and_returned() -> None:
    out = array("I", [0, 0])

    found = crc32_many(["a", "b"], out=out)

    assert found.obj is out
    assert out.tolist() == [crc32("a"), crc32("b")]


@pytest.mark.parametrize("out", [(ctypes.c_uint32 * 2)(), np.zeros(2, "=u4"), array("I", [0, 0])])
def test_the_result_has_one_format_whatever_out_calls_its_own(out: Any) -> None:
    found = crc32_many(["a", "b"], out=out)

    assert found.format == "I"
    assert found.tolist() == list(out) == [crc32("a"), crc32("b")]


@pytest.mark.parametrize(
    "out",
    [
        bytes(8),
        np.zeros(3, "u4"),
        np.zeros(1, "u4"),
        np.zeros(2, "i4"),
        np.zeros(2, "u8"),
        np.zeros(2, "u2"),
        np.zeros(2, "f4"),
        np.zeros((1, 2), "u4"),
        np.zeros(4, "u4")[::2],
        np.zeros(2, f"{FOREIGN}u4"),
        np.frombuffer(bytearray(9), "u4", 2, 1),
        np.frombuffer(bytes(8), "u4"),
        memoryview(array("I", [0, 0])).toreadonly(),
        [0, 0],
        "out",
        5,
    ],
    ids=[
        "bytes",
        "too long",
        "too short",
        "signed",
        "too wide",
        "too narrow",
        "float",
        "two-dimensional",
        "strided",
        "other byte order",
        "unaligned",
        "read-only array",
        "read-only view",
        "list",
        "text",
        "number",
    ],
)
def test_out_of_another_shape_is_refused(out: Any) -> None:
    with pytest.raises(PlacementError, match="out must be a writable"):
        crc32_many(["a", "b"], out=out)


def test_out_may_not_overlap_the_keys() -> None:
    memory = np.arange(8, dtype="u4")

    for keys, out in [(memory, memory), (memory[:4], memory[2:6]), (memory[4:], memory[1:5])]:
        with pytest.raises(PlacementError, match="overlaps"):
            crc32_many(keys, out=out)
    assert crc32_many(memory[:4]).tolist() == [crc32(i) for i in range(4)]


def test_out_beside_the_keys_is_fine() -> None:
    memory = np.arange(8, dtype="u4")

    crc32_many(memory[:4], out=memory[4:])

    assert memory[4:].tolist() == [crc32(i) for i in range(4)]


def test_out_cannot_shrink_while_keys_run_code() -> None:
    out = array("I", bytes(4 * 600))
    keys: list[Any] = ["a"] * 600
    keys[100] = Acting(lambda: out.__delitem__(slice(None)))

    with pytest.raises(BufferError):
        crc32_many(keys, out=out)


def test_nothing_is_written_past_the_end_of_out() -> None:
    memory = np.full(600, 0xDEADBEEF, "u4")

    crc32_many([f"key {i}" for i in range(500)], out=memory[50:550])

    assert set(memory[:50].tolist()) | set(memory[550:].tolist()) == {0xDEADBEEF}


def test_foreign_writes_positions_to_the_start_of_out() -> None:
    owners = SlotMap.even(["a", "b"])
    keys = np.arange(1000)
    out = np.zeros(1000, "u4")

    found = owners.foreign("a", keys, out=out)

    assert found.tolist() == [i for i in range(1000) if owners.lookup(i) == "b"]
    assert out[: len(found)].tolist() == found.tolist()


def test_foreign_to_an_unknown_shard_is_refused() -> None:
    with pytest.raises(PlacementError, match="unknown shard 'z'"):
        SlotMap(["a"]).foreign("z", [1])
