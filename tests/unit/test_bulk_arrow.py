import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from forged_arrow import ForgedArray, ForgedStream
from shardhash import HashRing, KeyTypeError, PlacementError, SlotMap
from shardhash.hashing import crc32, crc32_many

TEXTS = ["", "a", "user:123456", "é€😀", "longer than the twelve bytes of a view"] * 130
NUMBERS = [0, 1, 127, 5, 99] * 130
TEXT_TYPES = [pa.string(), pa.large_string(), pa.string_view()]
BINARY_TYPES = [pa.binary(), pa.large_binary(), pa.binary_view()]
INT_TYPES = [
    pa.int8(),
    pa.uint8(),
    pa.int16(),
    pa.uint16(),
    pa.int32(),
    pa.uint32(),
    pa.int64(),
    pa.uint64(),
]


def arrays() -> list[Any]:
    raw = [text.encode() for text in TEXTS]
    return [
        *(pa.array(TEXTS, kind) for kind in TEXT_TYPES),
        *(pa.array(raw, kind) for kind in BINARY_TYPES),
        *(pa.array(NUMBERS, kind) for kind in INT_TYPES),
    ]


def hashes(keys: Any) -> list[int]:
    return [crc32(key.as_py()) for key in keys]


every_type = pytest.mark.parametrize("keys", arrays(), ids=lambda keys: str(keys.type))


@every_type
def test_arrays_of_each_type_are_read(keys: Any) -> None:
    assert crc32_many(keys).tolist() == hashes(keys)


@every_type
def test_slices_are_read_from_their_offset(keys: Any) -> None:
    for part in (keys[3:], keys[:-7], keys[257:600], keys[5:5]):
        assert crc32_many(part).tolist() == hashes(part)


@every_type
def test_chunked_arrays_are_read_in_order(keys: Any) -> None:
    chunked = pa.chunked_array([keys[:3], keys[3:3], keys[3:300], keys[301:]])

    assert crc32_many(chunked).tolist() == hashes(chunked)
    assert crc32_many(pa.chunked_array([], type=keys.type)).tolist() == []


@every_type
def test_partition_gives_plain_keys(keys: Any) -> None:
    owners = SlotMap.even(["a", "b"])

    assert owners.partition(keys) == owners.partition(keys.to_pylist())
    assert owners.partition(pa.chunked_array([keys, keys[2:]])) == owners.partition(
        keys.to_pylist() + keys[2:].to_pylist()
    )


@every_type
def test_a_null_is_refused_by_its_index(keys: Any) -> None:
    with_null = pa.concat_arrays([keys[:400], pa.nulls(1, keys.type), keys[400:]])

    with pytest.raises(KeyTypeError, match=r"keys\[400\] is null"):
        crc32_many(with_null)
    with pytest.raises(KeyTypeError, match=r"keys\[390\] is null"):
        crc32_many(with_null[10:])
    with pytest.raises(KeyTypeError, match=r"keys\[405\] is null"):
        crc32_many(pa.chunked_array([keys[:5], with_null]))


@every_type
def test_a_slice_beside_a_null_is_read(keys: Any) -> None:
    with_null = pa.concat_arrays([keys[:9], pa.nulls(1, keys.type), keys[9:]])

    assert crc32_many(with_null[10:]).tolist() == hashes(keys[9:])
    assert crc32_many(with_null[:9]).tolist() == hashes(keys[:9])


@pytest.mark.parametrize(
    "keys",
    [
        pa.array([1.5]),
        pa.array([True]),
        pa.array([None]),
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.array([1], pa.date32()),
        pa.array([1], pa.decimal128(5, 0)),
        pa.array([b"0" * 16], pa.binary(16)),
        pa.array([b"0" * 16], pa.uuid()),
        pa.array([0], pa.bool8()),
        pa.array([[1]]),
        pa.record_batch({"key": [1]}),
        pa.table({"key": [1]}),
        pa.chunked_array([[1.5]]),
    ],
    ids=lambda keys: str(getattr(keys, "type", type(keys).__name__)),
)
def test_other_types_are_refused_by_name(keys: Any) -> None:
    with pytest.raises(KeyTypeError, match="of Arrow type"):
        crc32_many(keys)


def test_arrow_comes_before_the_buffer_of_an_object_that_has_both() -> None:
    class Both(np.ndarray):  # type: ignore[type-arg]
        def __arrow_c_array__(self, requested_schema: object = None) -> Any:
            return pa.array(["x", "y"]).__arrow_c_array__()

    keys = np.array([1, 2]).view(Both)

    assert crc32_many(keys).tolist() == [crc32("x"), crc32("y")]


def test_all_memory_of_arrow_is_released() -> None:
    before = pa.total_allocated_bytes()
    chunked = pa.chunked_array([pa.array(TEXTS), pa.array(TEXTS)])

    crc32_many(chunked)
    crc32_many(chunked.chunk(0))
    with pytest.raises(KeyTypeError):
        crc32_many(pa.chunked_array([pa.array(TEXTS), pa.array([None], pa.string())]))
    del chunked

    assert pa.total_allocated_bytes() == before


def ints(*values: int) -> bytes:
    return struct.pack(f"{len(values)}i", *values)


def strings(*offsets: int, **fields: Any) -> ForgedArray:
    """An array of utf8 over eight bytes of data."""
    fields.setdefault("length", len(offsets) - 1)
    return ForgedArray(b"u", [None, ints(*offsets), b"abcdefgh"], **fields)


def view(size: int, buffer: int, offset: int, *, buffers: int = 1) -> ForgedArray:
    data = [b"sixteen bytes..."] * buffers
    sizes = struct.pack(f"{buffers}q", *[16] * buffers)
    one = struct.pack("i4sii", size, b"", buffer, offset)
    return ForgedArray(b"vu", [None, one, *data, sizes], length=1)


def test_forged_arrays_that_tell_the_truth_are_read() -> None:
    assert crc32_many(strings(0, 3, 3, 8)).tolist() == [crc32("abc"), crc32(""), crc32("defgh")]
    assert crc32_many(view(13, 0, 3)).tolist() == [crc32("teen bytes...")]
    assert crc32_many(ForgedArray(b"l", [None, bytes(24)], length=2, offset=1)).tolist() == [
        crc32("0"),
        crc32("0"),
    ]
    assert crc32_many(ForgedArray(b"u", [None, None, None], length=0)).tolist() == []


LIES = {
    "negative length": strings(0, 3, length=-1),
    "negative offset": strings(0, 3, offset=-1),
    "length beyond any memory": strings(0, 3, length=2**62),
    "offset beyond any memory": strings(0, 3, offset=2**63 - 1),
    "offsets run backwards": strings(0, 5, 3),
    "offsets below zero": strings(-4, 3),
    "an end below zero": strings(0, -1),
    "too few buffers": ForgedArray(b"u", [None, ints(0, 1)], length=1),
    "too many buffers": ForgedArray(b"i", [None, ints(1), b"x"], length=1),
    "no buffers": ForgedArray(b"i", [], length=1),
    "no integers": ForgedArray(b"i", [None, None], length=1),
    "no offsets": ForgedArray(b"u", [None, None, b"abc"], length=1),
    "no data": ForgedArray(b"u", [None, ints(0, 3), None], length=1),
    "nulls without a bitmap": strings(0, 3, null_count=1),
    "more nulls than keys": strings(0, 3, null_count=2),
    "a null count below -1": strings(0, 3, null_count=-2),
    "children": strings(0, 3, children=1),
    "a dictionary that the schema has not": strings(0, 3, array_dictionary=True),
    "metadata of negative pairs": strings(0, 3, metadata=ints(-1)),
    "metadata of too many pairs": strings(0, 3, metadata=ints(2**31 - 1)),
    "metadata of negative size": strings(0, 3, metadata=ints(1, -5)),
    "released": strings(0, 3, released=True),
    "view of negative size": view(-1, 0, 0),
    "view past its buffer": view(13, 0, 4),
    "view before its buffer": view(13, 0, -1),
    "view into no buffer": view(13, 1, 0),
    "view into a negative buffer": view(13, -1, 0),
    "view without buffers": ForgedArray(
        b"vu", [None, struct.pack("i4sii", 13, b"", 0, 0), b""], length=1
    ),
    "views without sizes": ForgedArray(
        b"vu", [None, struct.pack("i4sii", 13, b"", 0, 0), b"sixteen bytes...", None], length=1
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_arrays_that_lie_are_refused(lie: str) -> None:
    with pytest.raises(PlacementError, match="not valid"):
        crc32_many(LIES[lie])
    with pytest.raises(PlacementError, match="not valid"):
        HashRing(["a"]).partition(LIES[lie])


def test_a_lie_in_the_second_array_is_told_by_its_index_in_the_keys() -> None:
    stream = ForgedStream([strings(0, 3, 4), strings(0, 1, 2, 1)])

    with pytest.raises(PlacementError, match=r"keys\[4\]"):
        crc32_many(stream)


def test_lengths_that_overflow_in_sum_are_refused() -> None:
    for count in (129, 256):
        arrays = [ForgedArray(b"l", [None, bytes(8)], length=2**56) for _ in range(count)]

        with pytest.raises(PlacementError, match="not valid"):
            crc32_many(ForgedStream(arrays))
        assert all(array.release_count for array in arrays)


def test_a_format_that_is_no_text_is_refused() -> None:
    with pytest.raises(KeyTypeError, match="of Arrow type"):
        crc32_many(ForgedArray(b"\xff", [None, ints(1)], length=1))


def test_a_bitmap_counts_whatever_the_null_count_says() -> None:
    keys = ForgedArray(b"i", [b"\x02", ints(1, 2)], length=2, null_count=0)

    with pytest.raises(KeyTypeError, match=r"keys\[0\] is null"):
        crc32_many(keys)


def test_a_dictionary_or_extension_is_not_read_as_its_storage() -> None:
    pairs = [b"ARROW:extension:name", b"arrow.bool8"]
    metadata = ints(1) + b"".join(ints(len(text)) + text for text in pairs)
    plain = ints(1) + b"".join(ints(len(text)) + text for text in [b"note", b"x"])

    with pytest.raises(KeyTypeError, match="'dictionary'"):
        crc32_many(ForgedArray(b"i", [None, ints(1)], length=1, dictionary=True))
    with pytest.raises(KeyTypeError, match=r"'arrow\.bool8'"):
        crc32_many(ForgedArray(b"c", [None, b"\1"], length=1, metadata=metadata))
    assert crc32_many(ForgedArray(b"c", [None, b"\1"], length=1, metadata=plain)).tolist() == [
        crc32("1")
    ]


def test_text_that_is_not_utf8_cannot_be_given_back() -> None:
    keys = ForgedArray(b"u", [None, ints(0, 1), b"\xff"], length=1)

    with pytest.raises(PlacementError, match=r"keys\[0\] is not valid UTF-8"):
        SlotMap(["a"]).partition(keys)


def test_every_array_of_a_stream_is_released_once() -> None:
    arrays = [strings(0, 1, 2), strings(0, 8)]

    found = crc32_many(ForgedStream(arrays))

    assert found.tolist() == [crc32("a"), crc32("b"), crc32("abcdefgh")]
    assert [array.release_count for array in arrays] == [2, 1]  # the first lent its schema too


def test_a_stream_that_fails_tells_why_and_releases_what_it_gave() -> None:
    arrays = [strings(0, 1, 2)]

    with pytest.raises(PlacementError, match=r"connection lost \(5\)"):
        crc32_many(ForgedStream(arrays, error=b"connection lost"))

    assert arrays[0].release_count == 2


@pytest.mark.parametrize("answer", [None, (), ("schema", "array"), (1, 2, 3), 5])
def test_what_is_no_capsule_is_refused(answer: object) -> None:
    class Fake:
        def __arrow_c_array__(self, requested_schema: object = None) -> object:
            return answer

    class FakeStream:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return answer

    for keys in (Fake(), FakeStream()):
        with pytest.raises(PlacementError, match="capsule"):
            crc32_many(keys)
    with pytest.raises(KeyTypeError, match="keys is type"):
        crc32_many(Fake)


def test_an_array_is_moved_out_of_its_capsule_and_released() -> None:
    array = strings(0, 1, 2)
    capsules = array.__arrow_c_array__()

    class Same:
        def __arrow_c_array__(self, requested_schema: object = None) -> object:
            return capsules

    assert crc32_many(Same()).tolist() == [crc32("a"), crc32("b")]
    assert array.release_count == 1
    with pytest.raises(PlacementError, match="its array was released"):
        crc32_many(Same())
    assert array.release_count == 1


def test_out_is_filled_from_arrow() -> None:
    out = np.zeros(len(TEXTS), "u4")

    crc32_many(pa.chunked_array([TEXTS[:9], TEXTS[9:]]), out=out)

    assert out.tolist() == [crc32(text) for text in TEXTS]


def over(memory: np.ndarray, kind: pa.DataType, count: int, *buffers: Any) -> pa.Array:
    return pa.Array.from_buffers(kind, count, [None, *map(pa.py_buffer, (memory, *buffers))])


def test_out_may_not_overlap_items_or_data() -> None:
    memory = np.zeros(400, "u4")
    offsets = np.arange(41, dtype="i4")
    whole = np.arange(0, 30, 3, dtype="i4")
    arrays = [
        over(memory.view("i2"), pa.int16(), 100),
        over(memory.view("i4"), pa.int32(), 100),
        over(memory.view("i8"), pa.int64(), 100),
        over(memory.view("i4"), pa.string(), 100, b"text"),
        over(memory.view("i8"), pa.large_string(), 100, b"text"),
        over(offsets, pa.string(), 40, memory),
        over(offsets, pa.binary(), 40, memory)[20:],
        pa.chunked_array(
            [over(whole, pa.string(), 9, b"x" * 30), over(offsets, pa.string(), 9, memory)]
        ),
    ]
    for keys in arrays:
        out = memory[1 : 1 + len(keys)]
        with pytest.raises(PlacementError, match="overlaps"):
            crc32_many(keys, out=out)
        crc32_many(keys, out=np.zeros(len(keys), "u4"))
    assert not memory.any()


def test_out_may_not_overlap_what_views_refer_to() -> None:
    memory = np.zeros(16, "u4")
    sizes = struct.pack("q", 64)
    one = struct.pack("i4sii", 13, b"", 0, 0)
    views = ForgedArray(b"vz", [None, one, bytes(64), sizes], length=1)
    views.array.buffers[2] = memory.ctypes.data

    with pytest.raises(PlacementError, match="overlaps"):
        crc32_many(views, out=memory[3:4])
    assert crc32_many(views).tolist() == [crc32(bytes(13))]


def test_out_beside_the_text_is_fine() -> None:
    memory = np.zeros(400, "u4")
    keys = over(np.arange(41, dtype="i4"), pa.string(), 40, memory[100:])

    crc32_many(keys, out=memory[:40])
    crc32_many(keys, out=memory[110:150])

    assert memory[0] == crc32("\0")
