import copy
import pickle
from array import array
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import IntEnum, StrEnum

import numpy as np
import pyarrow as pa
import pytest

from shardhash import KeyTypeError, PlacementError, RangeMap, RangeMove


class Year(IntEnum):
    LAST = 2025


class Letter(StrEnum):
    M = "m"


class OwnDate(date):
    pass


class OwnBytes(bytes):
    pass


class TwiceAnHour(tzinfo):
    """A wall clock that runs through the hour from 2:00 twice, as in autumn."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1 if moment and moment.fold else 2)

    def dst(self, moment: datetime | None) -> None:
        return None


@pytest.fixture
def by_year() -> RangeMap:
    return RangeMap([2024, 2025], ["old", "s1", "old"], key_type=int)


@pytest.mark.parametrize(
    ("key", "owner"), [(-(10**30), "old"), (2023, "old"), (2024, "s1"), (2025, "old")]
)
def test_a_bound_belongs_to_the_range_above_it(by_year: RangeMap, key: int, owner: str) -> None:
    assert by_year.lookup(key) == owner


def test_owners_are_the_shards_once_in_the_order_of_their_first_range(by_year: RangeMap) -> None:
    assert by_year.owners == by_year.shards == ("old", "s1")
    assert by_year.range_shards == ("old", "s1", "old")
    assert by_year.bounds == (2024, 2025)
    assert by_year.key_type is int
    assert len(by_year) == 2


def test_ranges_of_a_shard_are_half_open_with_none_for_unbounded(by_year: RangeMap) -> None:
    assert by_year.ranges_of("old") == ((None, 2024), (2025, None))
    assert by_year.ranges_of("s1") == ((2024, 2025),)


def test_a_map_without_bounds_has_one_range() -> None:
    assert RangeMap([], ["a"], key_type=str).ranges_of("a") == ((None, None),)


@pytest.mark.parametrize(
    ("key_type", "bound", "below", "above"),
    [
        (int, 10, 9, Year.LAST),
        (int, 10, np.int8(9), np.uint64(2**64 - 1)),
        (str, "m", "lz", Letter.M),
        (str, "\uffff", "\ufffe", "\U00010000"),
        (bytes, b"\x80", b"\x7f\xff", OwnBytes(b"\x80")),
        (date, date(2025, 1, 1), date(2024, 12, 31), OwnDate(2025, 1, 1)),
        (datetime, datetime(2025, 1, 1), datetime(2024, 12, 31, 23), datetime(2025, 1, 1)),
    ],
)
def test_order_is_the_types_own_and_subclasses_count_by_value(
    key_type: type, bound: int, below: object, above: object
) -> None:
    placement = RangeMap([bound], ["low", "high"], key_type=key_type)

    assert (placement.lookup(below), placement.lookup(above)) == ("low", "high")


def test_aware_datetimes_are_compared_as_moments() -> None:
    noon = datetime(2025, 1, 1, 12, tzinfo=UTC)
    placement = RangeMap([noon], ["before", "after"], key_type=datetime)
    east = timezone(timedelta(hours=2))

    assert placement.lookup(datetime(2025, 1, 1, 13, tzinfo=east)) == "before"
    assert placement.lookup(datetime(2025, 1, 1, 14, tzinfo=east)) == "after"


def test_a_wall_clock_that_runs_twice_through_an_hour_keeps_its_moments_apart() -> None:
    clock = TwiceAnHour()
    placement = RangeMap(
        [datetime(2025, 10, 26, 2, 30, tzinfo=clock)], ["a", "b"], key_type=datetime
    )

    assert placement.lookup(datetime(2025, 10, 26, 2, 10, tzinfo=clock)) == "a"
    assert placement.lookup(datetime(2025, 10, 26, 2, 10, tzinfo=clock, fold=1)) == "b"


@pytest.mark.parametrize(
    ("key_type", "bounds", "key"),
    [
        (int, [1], "42"),
        (int, [1], b"42"),
        (int, [1], True),
        (int, [1], np.True_),
        (int, [1], 1.0),
        (int, [1], None),
        (int, [], "42"),
        (str, ["a"], 42),
        (str, ["a"], b"a"),
        (str, ["a"], "\ud800"),
        (bytes, [b"a"], "a"),
        (bytes, [b"a"], bytearray(b"a")),
        (date, [date(2025, 1, 1)], datetime(2025, 1, 1)),
        (date, [date(2025, 1, 1)], "2025-01-01"),
        (datetime, [datetime(2025, 1, 1)], date(2025, 1, 1)),
        (datetime, [datetime(2025, 1, 1)], datetime(2025, 1, 1, tzinfo=UTC)),
        (datetime, [datetime(2025, 1, 1, tzinfo=UTC)], datetime(2025, 1, 1)),
        (
            datetime,
            [datetime(2025, 1, 1, tzinfo=UTC)],
            datetime.min.replace(tzinfo=timezone(timedelta(hours=2))),
        ),
    ],
)
def test_a_key_of_another_type_is_refused(key_type: type, bounds: list[int], key: object) -> None:
    placement = RangeMap(bounds, ["a"] * (len(bounds) + 1), key_type=key_type)

    with pytest.raises(KeyTypeError):
        placement.lookup(key)
    with pytest.raises(KeyTypeError, match=r"keys\[0\]: "):
        placement.lookup_many([key])


def test_a_map_without_bounds_takes_datetimes_of_both_kinds() -> None:
    placement = RangeMap([], ["a"], key_type=datetime)

    assert placement.lookup(datetime(2025, 1, 1)) == "a"
    assert placement.lookup(datetime(2025, 1, 1, tzinfo=UTC)) == "a"


@pytest.mark.parametrize(
    ("bounds", "shards", "key_type", "message"),
    [
        ([2, 1], ["a"] * 3, int, "bound 1, 1, does not come after bound 0, 2"),
        ([1, 1], ["a"] * 3, int, "bounds are strictly ascending"),
        ([1], ["a"], int, "1 bounds make 2 ranges, found 1 shards"),
        ([], [], int, "0 bounds make 1 ranges, found 0 shards"),
        ("ab", ["a"] * 3, str, "a list of bounds was asked for, found str"),
        (5, ["a"] * 3, int, "a list of bounds was asked for, found int"),
        ([1], b"ab", int, "a list of shard names was asked for, found bytes"),
        ([1], ["a", ""], int, "a shard name is empty"),
        ([1], ["a", 2], int, "shard name 2 is int"),
        ([1], ["a", "\udfff"], int, "lone surrogate"),
        ([1.5], ["a"] * 2, float, "key type <class 'float'> has no ranges"),
        ([True], ["a"] * 2, bool, "key type <class 'bool'> has no ranges"),
        ([1], ["a"] * 2, "int", "key type 'int' has no ranges"),
        ([1], ["a"] * 2, [], "has no ranges"),
    ],
)
def test_an_impossible_map_is_refused_with_the_reason(
    bounds: Iterable[int], shards: Iterable[str], key_type: type, message: str
) -> None:
    with pytest.raises(PlacementError, match=message):
        RangeMap(bounds, shards, key_type=key_type)


@pytest.mark.parametrize(
    ("bounds", "key_type", "message"),
    [
        ([1, "2"], int, r"bounds\[1\]: '2\' is str where the key type is int"),
        ([datetime(2025, 1, 1)], date, r"bounds\[0\]: .* is datetime where the key type is date"),
        (
            [datetime(2025, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)],
            datetime,
            r"bounds\[1\]: .* is aware where the bounds are naive",
        ),
    ],
)
def test_a_bound_of_another_type_is_refused(
    bounds: list[int], key_type: type, message: str
) -> None:
    with pytest.raises(KeyTypeError, match=message):
        RangeMap(bounds, ["a"] * (len(bounds) + 1), key_type=key_type)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("2024", "one key \\(str\\) where many were expected: write \\[key\\]"),
        (b"2024", "one key \\(bytes\\)"),
        (2024, "found int, which is not iterable"),
        (np.array([1.0]), "buffer of format 'd'"),
        (np.array([True]), "buffer of format '\\?'"),
        (np.array(["a"]), "buffer of format '1w'"),
        (np.array([1], dtype=object), "buffer of format 'O'"),
        (np.array([1], dtype="M8[ns]"), r"keys\[0\]: .* is datetime64"),
        (pa.array([1, None]), r"keys\[1\]: None is NoneType"),
        (pa.array([1.0]), r"keys\[0\]: 1.0 is float"),
        ([1, 2, "x"], r"keys\[2\]: 'x' is str"),
    ],
)
def test_bulk_input_that_holds_no_int_keys_is_refused(
    by_year: RangeMap, keys: list[int], message: str
) -> None:
    for ask in (by_year.lookup_many, by_year.partition, lambda keys: by_year.foreign("s1", keys)):
        with pytest.raises(KeyTypeError, match=message):
            ask(keys)


@pytest.mark.parametrize(
    "keys",
    [np.arange(8)[::2], np.arange(4).reshape(2, 2), np.arange(4, dtype=">i4"), np.array(5)],
)
def test_a_buffer_of_another_shape_or_byte_order_is_refused(
    by_year: RangeMap, keys: list[int]
) -> None:
    with pytest.raises(PlacementError, match="1-D, C-contiguous and in native byte order"):
        by_year.lookup_many(keys)


def test_results_are_indices_of_format_i(by_year: RangeMap) -> None:
    found = by_year.lookup_many([2024, 1, 3000])

    assert found.format == "I"
    assert found.tolist() == [1, 0, 0]


def test_partition_keeps_input_order_and_duplicates(by_year: RangeMap) -> None:
    assert by_year.partition([3000, 2024, 1, 2024]) == {"old": [3000, 1], "s1": [2024, 2024]}
    assert by_year.partition([2024]) == {"s1": [2024]}


@pytest.mark.parametrize("out", [array("I", [9, 9]), np.array([9, 9], dtype=np.uint32)])
def test_results_are_written_to_out(by_year: RangeMap, out: object) -> None:
    by_year.lookup_many([2024, 1], out=out)
    assert list(out) == [1, 0]

    foreign = by_year.foreign("old", [1, 2024], out=out)
    assert foreign.tolist() == [1]
    assert list(out) == [1, 0]


@pytest.mark.parametrize(
    "out",
    [
        array("I", [0]),
        array("I", [0, 0, 0]),
        array("i", [0, 0]),
        array("Q", [0, 0]),
        b"12345678",
        np.zeros(4, dtype=np.uint32)[::2],
        np.zeros((2, 1), dtype=np.uint32),
        np.zeros(2, dtype=">u4"),
        [0, 0],
        7,
    ],
)
def test_an_out_that_does_not_fit_is_refused(by_year: RangeMap, out: object) -> None:
    with pytest.raises(PlacementError, match="out "):
        by_year.lookup_many([1, 2], out=out)
    with pytest.raises(PlacementError, match="out "):
        by_year.foreign("old", [1, 2], out=out)


@pytest.mark.parametrize("keys", [[], (), np.array([], dtype=np.int64), pa.array([], pa.int64())])
def test_no_keys_are_legal(by_year: RangeMap, keys: list[int]) -> None:
    assert len(by_year.lookup_many(keys, out=array("I"))) == 0
    assert len(by_year.foreign("old", keys)) == 0
    assert by_year.partition(keys) == {}


def test_with_split_gives_the_part_up_to_the_next_bound(by_year: RangeMap) -> None:
    split = by_year.with_split(2000, "s2")

    assert split.bounds == (2000, 2024, 2025)
    assert split.range_shards == ("old", "s2", "s1", "old")


def test_with_split_refuses_a_bound_and_a_bad_name(by_year: RangeMap) -> None:
    with pytest.raises(PlacementError, match="cannot split at 2024: it is a bound already"):
        by_year.with_split(2024, "s2")
    with pytest.raises(PlacementError, match="a shard name is empty"):
        by_year.with_split(2000, "")
    with pytest.raises(KeyTypeError):
        by_year.with_split("2000", "s2")


def test_with_merged_removes_a_bound_and_forgets_a_shard_without_ranges(by_year: RangeMap) -> None:
    merged = by_year.with_merged(2024, into="old")

    assert merged.bounds == (2025,)
    assert merged.range_shards == ("old", "old")
    assert merged.shards == ("old",)
    assert by_year.with_merged(2024, into="s1").range_shards == ("s1", "old")


def test_with_merged_refuses_what_is_no_bound_and_who_is_no_neighbour(by_year: RangeMap) -> None:
    with pytest.raises(PlacementError, match="cannot merge at 2000: it is no bound"):
        by_year.with_merged(2000, into="old")
    with pytest.raises(PlacementError, match="into 'x': name 'old' or 's1'"):
        by_year.with_merged(2024, into="x")


def test_moves_are_ascending_and_merged_across_bounds() -> None:
    before = RangeMap([10, 20, 30], ["a", "a", "b", "a"], key_type=int)
    after = RangeMap([15, 30], ["b", "c", "c"], key_type=int)

    assert list(before.moves_to(after)) == [
        RangeMove(None, 15, "a", "b"),
        RangeMove(15, 20, "a", "c"),
        RangeMove(20, 30, "b", "c"),
        RangeMove(30, None, "a", "c"),
    ]


@pytest.mark.parametrize(("lowest", "key_type"), [("", str), (b"", bytes), (date.min, date)])
def test_a_range_that_can_hold_no_key_never_moves(lowest: str, key_type: type) -> None:
    before = RangeMap([lowest], ["a", "b"], key_type=key_type)
    after = RangeMap([], ["b"], key_type=key_type)

    assert not before.moves_to(after)


@pytest.mark.parametrize(
    "other",
    [
        RangeMap([], ["a"], key_type=str),
        RangeMap([datetime(2025, 1, 1, tzinfo=UTC)], ["a", "b"], key_type=datetime),
        "a map",
    ],
)
def test_moves_to_another_kind_of_map_is_refused(other: RangeMap) -> None:
    with pytest.raises(PlacementError):
        RangeMap([datetime(2025, 1, 1)], ["a", "b"], key_type=datetime).moves_to(other)


@pytest.mark.parametrize(
    "ask",
    [
        lambda placement: placement.ranges_of("x"),
        lambda placement: placement.foreign("x", []),
        lambda placement: placement.with_merged(2024, into="x"),
    ],
)
def test_unknown_shards_are_refused_everywhere(
    by_year: RangeMap, ask: Callable[[RangeMap], object]
) -> None:
    with pytest.raises(PlacementError, match="'x'"):
        ask(by_year)


@pytest.mark.parametrize(
    "other",
    [
        RangeMap([2024, 2026], ["old", "s1", "old"], key_type=int),
        RangeMap([2024, 2025], ["old", "s1", "s1"], key_type=int),
        RangeMap(["2024", "2025"], ["old", "s1", "old"], key_type=str),
        "other",
    ],
)
def test_maps_that_differ_in_anything_are_unequal(by_year: RangeMap, other: object) -> None:
    assert by_year != other
    assert getattr(other, "version_hash", "") != by_year.version_hash


def test_equal_moments_in_other_zones_make_equal_maps() -> None:
    east = timezone(timedelta(hours=2))
    here = RangeMap([datetime(2025, 1, 1, 12, tzinfo=UTC)], ["a", "b"], key_type=datetime)
    there = RangeMap([datetime(2025, 1, 1, 14, tzinfo=east)], ["a", "b"], key_type=datetime)

    assert here == there
    assert hash(here) == hash(there)
    assert here.version_hash == there.version_hash


@pytest.mark.parametrize(
    ("key_type", "bound"),
    [
        (int, -(2**80)),
        (str, "é\x00"),
        (bytes, b"\x00\xff"),
        (date, date(2025, 1, 1)),
        (datetime, datetime(2025, 1, 1, 1, 2, 3, 4)),
        (datetime, datetime(2025, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_map_survives_pickle_and_copy(key_type: type, bound: int) -> None:
    placement = RangeMap([bound], ["a", "b"], key_type=key_type)

    assert pickle.loads(pickle.dumps(placement)) == placement
    assert copy.deepcopy(placement) == placement
    assert len(repr(placement)) < 100


def test_numbers_too_long_to_print_do_not_break_messages() -> None:
    placement = RangeMap([10**5000], ["a", "b"], key_type=int)

    with pytest.raises(PlacementError, match="int value too long to print"):
        placement.with_split(10**5000, "c")
    assert pickle.loads(pickle.dumps(placement)).version_hash == placement.version_hash
