import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from uuid import UUID

import numpy as np
import pytest
import xxhash

from shardhash import KeyTypeError, ShardhashError, SlotMap
from shardhash.hashing import xxh64, xxh64_many
from shardhash.keys import key_bytes

UUID_TEXT = "0f8fad5b-d9cb-469f-a165-70867728950e"


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    LARGE = 3


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "loud"

    def encode(self, *_: object) -> bytes:
        return b"loud"


class Raw(bytes):
    __slots__ = ()

    def __bytes__(self) -> bytes:
        return b"other"


class Count(int):
    def __repr__(self) -> str:
        return "many"

    def __index__(self) -> int:
        return 99


class Indexed:
    def __index__(self) -> int:
        return -7


class OddUuid(UUID):
    def __str__(self) -> str:
        return "odd"


class Untrue:
    def __index__(self) -> int:
        return "7"  # type: ignore[return-value]


class Failing:
    def __index__(self) -> int:
        raise RuntimeError("no number today")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("", b""),
        ("a\0b", b"a\0b"),
        ("é€😀", "é€😀".encode()),
        (b"\xff\0", b"\xff\0"),
        (42, b"42"),
        (-(2**63), b"-9223372036854775808"),
        (2**63 - 1, b"9223372036854775807"),
        (2**64 - 1, b"18446744073709551615"),
        (-(2**200), str(-(2**200)).encode()),
        (UUID(UUID_TEXT), UUID_TEXT.encode()),
        (UUID(UUID_TEXT.upper()), UUID_TEXT.encode()),
        (UUID(int=0), b"00000000-0000-0000-0000-000000000000"),
    ],
)
def test_key_bytes_are_the_canonical_text(key: object, expected: bytes) -> None:
    assert key_bytes(key) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (Colour.RED, b"red"),
        (Size.LARGE, b"3"),
        (Loud("quiet"), b"quiet"),
        (Raw(b"raw"), b"raw"),
        (Count(5), b"5"),
        (Indexed(), b"-7"),
        (OddUuid(UUID_TEXT), UUID_TEXT.encode()),
        (np.str_("x"), b"x"),
        (np.bytes_(b"x"), b"x"),
        (np.array(12), b"12"),
    ],
)
def test_subclasses_count_by_value(key: object, expected: bytes) -> None:
    assert key_bytes(key) == expected


@pytest.mark.parametrize("code", "bBhHiIlLqQ")
def test_numpy_integers_are_ints_at_both_ends(code: str) -> None:
    limits = np.iinfo(code)

    for value in (limits.min, limits.max):
        assert key_bytes(np.dtype(code).type(value)) == str(value).encode()


NO_KEYS = [
    True,
    np.True_,
    1.0,
    np.float64(1.0),
    None,
    Decimal(1),
    date(2026, 1, 1),
    datetime(2026, 1, 1),
    bytearray(b"x"),
    memoryview(b"x"),
    np.array([1, 2]),
    (1,),
    object(),
    Untrue(),
    "\ud800",
    Loud("\udfff"),
]


@pytest.mark.parametrize("value", NO_KEYS, ids=lambda value: type(value).__name__)
def test_what_has_no_exact_text_is_no_key(value: object) -> None:
    with pytest.raises(KeyTypeError, match=rf"^key is {type(value).__name__}\b"):
        key_bytes(value)
    with pytest.raises(KeyTypeError, match=rf"^key is {type(value).__name__}\b"):
        SlotMap(["a"]).slot(value)


def test_key_type_error_is_a_type_error_of_the_tree() -> None:
    assert issubclass(KeyTypeError, ShardhashError)
    assert issubclass(KeyTypeError, TypeError)


def test_the_message_for_text_does_not_repeat_it() -> None:
    with pytest.raises(KeyTypeError) as caught:
        key_bytes("secret\ud800")

    assert "secret" not in str(caught.value)


def test_an_int_with_more_digits_than_python_writes_is_refused() -> None:
    digits = sys.get_int_max_str_digits()

    assert len(key_bytes(10 ** (digits - 1))) == digits
    with pytest.raises(KeyTypeError, match="too many digits"):
        key_bytes(10**digits)


def test_an_exception_of_the_key_itself_comes_through() -> None:
    with pytest.raises(RuntimeError, match="no number today"):
        key_bytes(Failing())


def test_a_uuid_is_a_key_whenever_its_module_was_imported() -> None:
    code = (
        "from shardhash.keys import key_bytes; import sys; assert 'uuid' not in sys.modules;"
        f"import uuid; assert key_bytes(uuid.UUID({UUID_TEXT!r})) == b{UUID_TEXT!r}"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("number", [-1, 2**128, 2**200, "7", None, True])
def test_a_uuid_whose_number_was_changed_is_refused(number: object) -> None:
    key = UUID(int=7)
    object.__setattr__(key, "int", number)

    with pytest.raises(KeyTypeError, match="key is UUID whose int is"):
        key_bytes(key)


def test_the_longest_key_has_one_byte_less_than_two_gib() -> None:
    longest = bytes(2**31 - 1)  # of pages that nobody writes

    expected = xxhash.xxh64_intdigest(longest)
    assert xxh64(longest) == expected
    assert xxh64_many([longest]).tolist() == [expected]


def test_a_key_of_two_gib_is_refused_before_it_is_copied() -> None:
    too_long = bytes(2**31)

    with pytest.raises(KeyTypeError, match="key has 2147483648 bytes or more: a key has at most"):
        SlotMap(["a"]).lookup(too_long)
    with pytest.raises(KeyTypeError, match=r"keys\[1\] has 2147483648 bytes"):
        xxh64_many(["a", too_long])
