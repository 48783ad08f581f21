import copy
import pickle
from collections.abc import Callable
from enum import StrEnum

import numpy as np
import pytest

from shardhash import PlacementError, SlotMap, SlotMove, SlotSet


class Shop(StrEnum):
    NORTH = "north"
    SOUTH = "south"


def sizes(placement: SlotMap) -> list[int]:
    return [len(placement.slots_of(shard)) for shard in placement.shards]


def test_even_gives_contiguous_blocks_in_the_given_order() -> None:
    placement = SlotMap.even(["b", "a", "c"], slot_count=16)

    assert [str(placement.slots_of(shard)) for shard in ("b", "a", "c")] == ["0-5", "6-10", "11-15"]


def test_even_shares_by_largest_remainder_with_ties_to_the_earlier() -> None:
    placement = SlotMap.even(list("abcd"), slot_count=16, weights={"a": 1.5, "b": 1.5})

    assert sizes(placement) == [5, 5, 3, 3]


def test_even_with_more_shards_than_slots_leaves_the_later_ones_empty() -> None:
    placement = SlotMap.even(["a", "b", "c"], slot_count=2)

    assert sizes(placement) == [1, 1, 0]
    assert placement.shards == ("a", "b", "c")


def test_even_is_exact_with_weights_far_apart() -> None:
    placement = SlotMap.even(["a", "b"], slot_count=16, weights={"a": 5e-324, "b": 1.7e308})

    assert sizes(placement) == [0, 16]


def test_a_sequence_numbers_shards_by_first_appearance() -> None:
    placement = SlotMap(["b", "a", "b", "b"])

    assert placement.shards == placement.owners == ("b", "a")
    assert str(placement.slots_of("b")) == "0,2-3"


def test_a_mapping_keeps_its_order_and_shards_without_slots() -> None:
    placement = SlotMap({"empty": "", "b": SlotSet.parse("1-3"), "a": "0"})

    assert placement.shards == ("empty", "b", "a")
    assert placement.slot_count == 4
    assert len(placement.slots_of("empty")) == 0
    assert len(placement) == 3


def test_names_of_str_subclasses_become_plain_text() -> None:
    placement = SlotMap([Shop.NORTH, Shop.SOUTH])

    assert [type(shard) for shard in placement.shards] == [str, str]
    assert placement == SlotMap(["north", "south"])
    assert placement.slots_of(Shop.SOUTH) == SlotSet([1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SlotMap([]), "no shard given"),
        (lambda: SlotMap({}), "no shard given"),
        (lambda: SlotMap.even([]), "no shard given"),
        (lambda: SlotMap("ab"), "one owner for each slot was asked for, found str"),
        (lambda: SlotMap(None), "found NoneType"),
        (lambda: SlotMap(["a"] * 3), "3 slots cannot be: it takes a power of two from 1 to 65536"),
        (lambda: SlotMap(["a"] * 131_072), "131072 slots cannot be"),
        (lambda: SlotMap.even(["a"], slot_count=0), "0 slots cannot be"),
        (lambda: SlotMap.even(["a"], slot_count=-4), "-4 slots cannot be"),
        (lambda: SlotMap.even(["a"], slot_count=4.0), "4.0 slots cannot be"),
        (lambda: SlotMap.even(["a"], slot_count="4"), "'4' slots cannot be"),
        (lambda: SlotMap.even(["a"], scheme="sha1"), "unknown slot scheme 'sha1': the schemes are"),
        (lambda: SlotMap(["a"], scheme=["crc32"]), "unknown slot scheme"),
        (lambda: SlotMap(["a"], scheme="redis"), "1 slots cannot be: it takes 16384 with scheme"),
        (lambda: SlotMap.even(["a"], slot_count=65_536, scheme="redis"), "it takes 16384 with"),
        (lambda: SlotMap.even(["a", "a"]), "shard 'a' is named twice"),
        (lambda: SlotMap([""]), "a shard name is empty"),
        (lambda: SlotMap([b"a"]), "shard name b'a' is bytes: it must be str"),
        (lambda: SlotMap(["\ud800"]), "lone surrogate"),
        (
            lambda: SlotMap({"a": "0-5", "b": "4-7"}),
            "slots 4-5 have more than one owner .*'a', 'b'",
        ),
        (lambda: SlotMap({"a": "0-3,8", "b": "10"}), "slots 4-7,9,11-15 of 16 have no owner"),
        (lambda: SlotMap({"a": ""}), "have no owner"),
        (lambda: SlotMap({"a": "x"}), "slots of shard 'a': slots 'x' are no slot"),
        (lambda: SlotMap({"a": 0}), "slots of shard 'a': slots given as int"),
        (lambda: SlotMap(["a"], weights={"b": 1}), "weight of unknown shard 'b': the map has 'a'"),
        (lambda: SlotMap(["a"], weights=[1.0]), "weights given as list"),
        (lambda: SlotMap.even(map(str, range(65_536)), slot_count=65_536), "65536 shards given"),
    ],
)
def test_an_impossible_map_is_refused_with_the_reason(
    make: Callable[[], SlotMap], message: str
) -> None:
    with pytest.raises(PlacementError, match=message):
        make()


@pytest.mark.parametrize(
    "weight", [0, -1, float("nan"), float("inf"), 10**400, "1", True, None, [1]]
)
def test_a_weight_that_is_no_finite_positive_number_is_refused(weight: float) -> None:
    with pytest.raises(PlacementError, match=r"weight of shard 'a'.* must be a finite number"):
        SlotMap(["a"], weights={"a": weight})
    with pytest.raises(PlacementError, match=r"weight of shard 'b'.* must be a finite number"):
        SlotMap(["a"]).with_shard("b", weight=weight)


def test_the_largest_number_of_shards_works() -> None:
    names = [f"n{i}" for i in range(65_535)]

    placement = SlotMap.even(names, slot_count=65_536)

    assert placement.lookup_many([7, 8, 9]).tolist() == [
        names.index(placement.lookup(key)) for key in (7, 8, 9)
    ]
    assert sizes(placement.without_shard("n0"))[:3] == [2, 2, 1]


def test_weights_are_of_every_shard_and_read_only() -> None:
    placement = SlotMap(["a", "b"], weights={"b": np.float32(2)})

    assert dict(placement.weights) == {"a": 1.0, "b": 2.0}
    with pytest.raises(TypeError):
        placement.weights["a"] = 3.0  # type: ignore[index]


def test_weights_never_look_up() -> None:
    light, heavy = SlotMap(["a", "b"]), SlotMap(["a", "b"], weights={"b": 9})

    assert light.lookup_many(range(50)) == heavy.lookup_many(range(50))
    assert light != heavy


def test_with_shard_takes_the_highest_slots_of_each_donor() -> None:
    grown = SlotMap.even(["a", "b"], slot_count=16).with_shard("c")

    assert {shard: str(grown.slots_of(shard)) for shard in grown.shards} == {
        "a": "0-5",
        "b": "8-12",
        "c": "6-7,13-15",
    }


def test_with_shard_takes_from_the_fullest_first() -> None:
    grown = SlotMap({"a": "0-1", "b": "2-7"}).with_shard("c")

    assert [str(grown.slots_of(shard)) for shard in "abc"] == ["0-1", "2-5", "6-7"]


def test_with_shard_follows_weights() -> None:
    grown = SlotMap.even(["a", "b"], slot_count=16, weights={"b": 3}).with_shard("c", weight=4)

    assert sizes(grown) == [2, 6, 8]
    assert dict(grown.weights) == {"a": 1.0, "b": 3.0, "c": 4.0}


def test_without_shard_gives_slots_to_the_shard_furthest_below_its_quota() -> None:
    left = SlotMap({"a": "0-5", "b": "6-7", "c": "8-15"}).without_shard("c")

    assert [str(left.slots_of(shard)) for shard in "ab"] == ["0-5,12,14", "6-11,13,15"]


def test_the_last_shard_cannot_go() -> None:
    with pytest.raises(PlacementError, match="shard 'a' is the last one"):
        SlotMap(["a"]).without_shard("a")


def test_with_slots_moved_moves_just_these() -> None:
    before = SlotMap.even(["a", "b"], slot_count=16)

    after = before.with_slots_moved("0-2,8", "b")

    assert list(before.moves_to(after)) == [SlotMove(SlotSet.parse("0-2"), "a", "b")]


@pytest.mark.parametrize("slots", ["3,5", SlotSet([3, 5]), [5, 3], np.array([3, 5])])
def test_slots_to_move_come_as_set_text_or_numbers(slots: str) -> None:
    moved = SlotMap.even(["a", "b"], slot_count=16).with_slots_moved(slots, "b")

    assert str(moved.slots_of("b")) == "3,5,8-15"


def test_slots_that_the_map_has_not_cannot_move() -> None:
    with pytest.raises(PlacementError, match="slots 16-20 cannot move: the map has slots 0-15"):
        SlotMap.even(["a"], slot_count=16).with_slots_moved("3-20", "a")


@pytest.mark.parametrize(
    ("fraction", "moved"), [(0.5, "4-7"), (0.25, "6-7"), (0.0, "7"), (1.0, "1-7"), (0.3125, "6-7")]
)
def test_with_split_gives_away_the_highest_slots(fraction: float, moved: str) -> None:
    split = SlotMap.even(["a", "b"], slot_count=16).with_split("a", "c", fraction)

    assert str(split.slots_of("c")) == moved
    assert split.shards == ("a", "b", "c")


def test_with_split_may_fill_a_shard_that_owns_nothing() -> None:
    split = SlotMap({"new": "", "a": "0-3"}, weights={"new": 2}).with_split("a", "new")

    assert str(split.slots_of("new")) == "2-3"
    assert split.shards == ("new", "a")
    assert split.weights["new"] == 2.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "b"), "split target 'b' owns slots 2-3 already"),
        (("a", "a"), "split target 'a' owns"),
        (("c", "d"), "shard 'c' cannot be split: it owns 0 slots"),
        (("x", "d"), "unknown shard 'x': the map has 'a', 'b', 'c'"),
        (("a", ""), "a shard name is empty"),
        (("a", "d", 1.5), "fraction 1.5: it must be a number from 0.0 to 1.0"),
        (("a", "d", float("nan")), "fraction nan"),
        (("a", "d", "0.5"), "fraction '0.5'"),
    ],
)
def test_an_impossible_split_is_refused(arguments: tuple[str, str], message: str) -> None:
    with pytest.raises(PlacementError, match=message):
        SlotMap({"a": "0-1", "b": "2-3", "c": ""}).with_split(*arguments)


@pytest.mark.parametrize(
    "ask",
    [
        lambda placement: placement.slots_of("x"),
        lambda placement: placement.without_shard("x"),
        lambda placement: placement.with_slots_moved("0", "x"),
        lambda placement: placement.foreign("x", []),
    ],
)
def test_unknown_shards_are_refused_everywhere(ask: Callable[[SlotMap], object]) -> None:
    with pytest.raises(PlacementError, match="'x'"):
        ask(SlotMap(["a", "b"]))


def test_with_shard_refuses_a_shard_that_is_there() -> None:
    with pytest.raises(PlacementError, match="shard 'a' is in the map already"):
        SlotMap(["a"]).with_shard("a")


def test_moves_are_sorted_by_source_then_target() -> None:
    moves = SlotMap(["b", "b", "a", "a"]).moves_to(SlotMap(["c", "a", "b", "c"]))

    assert [(str(move.slots), move.source, move.target) for move in moves] == [
        ("2", "a", "b"),
        ("3", "a", "c"),
        ("1", "b", "a"),
        ("0", "b", "c"),
    ]
    assert moves.slot_count == 4
    assert moves.fraction == 1.0
    assert moves[1:3] == (moves[1], moves[2])


def test_a_map_with_other_order_or_weights_moves_nothing() -> None:
    first = SlotMap({"a": "0-1", "b": "2-3"})
    second = SlotMap({"b": "2-3", "a": "0-1"}, weights={"a": 3})

    assert not first.moves_to(second)
    assert first != second


@pytest.mark.parametrize(
    "other", [SlotMap(["a"]), SlotMap(["a", "b"], scheme="xxh64"), "a map", None]
)
def test_moves_to_another_kind_of_map_is_refused(other: SlotMap) -> None:
    with pytest.raises(PlacementError):
        SlotMap(["a", "b"]).moves_to(other)


@pytest.mark.parametrize(
    "other",
    [
        SlotMap(["a", "b", "b", "b"]),
        SlotMap({"b": "1-3", "a": "0"}),
        SlotMap({"a": "0-1", "b": "2-3"}, weights={"a": 2}),
        SlotMap({"a": "0-1", "b": "2-3"}, scheme="xxh64"),
        SlotMap({"a": "0-1", "b": "2-3", "c": ""}),
        "other",
    ],
)
def test_maps_that_differ_in_anything_are_unequal(other: object) -> None:
    placement = SlotMap({"a": "0-1", "b": "2-3"})

    assert placement != other
    assert getattr(other, "version_hash", "") != placement.version_hash


def test_names_that_look_like_the_canonical_text_do_not_collide() -> None:
    plain = SlotMap({"a": "0", "b": "1"})
    forged = SlotMap({"a 3ff0000000000000 0\n1:b": "0-1"})

    assert plain.version_hash != forged.version_hash


def test_a_map_survives_pickle_and_copy_with_all_its_configuration() -> None:
    placement = SlotMap({"a": "0-1", "e": "", "b": "2-3"}, scheme="xxh64", weights={"b": 0.1})

    assert pickle.loads(pickle.dumps(placement)) == placement
    assert copy.deepcopy(placement) == placement
    assert hash(pickle.loads(pickle.dumps(placement))) == hash(placement)


def test_a_map_cannot_be_made_twice() -> None:
    placement = SlotMap(["a", "b"])

    with pytest.raises(RuntimeError):
        placement.__init__(["b", "a"])  # type: ignore[misc]
    assert placement.shards == ("a", "b")


def test_repr_is_short_whatever_the_size() -> None:
    placement = SlotMap.even([f"shard-{i}" for i in range(2000)])

    assert len(repr(placement)) < 100
    assert "16384 slots (crc32) on 2000 shards" in repr(placement)


def test_the_scheme_redis_has_the_slots_of_redis_cluster() -> None:
    placement = SlotMap({"a": "0-5460", "b": "5461-10922", "c": "10923-16383"}, scheme="redis")
    keys = ["foo", "foo{}{bar}", "foo{{bar}}zap", "", "{user}:1", "{user}:2"]

    assert [placement.slot(key) for key in keys[:4]] == [12182, 8363, 4015, 0]
    assert placement.slot("{user}:1") == placement.slot("{user}:2") == placement.slot("user")
    assert placement.slot_many(keys).tolist() == [placement.slot(key) for key in keys]
    assert [placement.lookup(key) for key in keys[:4]] == ["c", "b", "a", "a"]
    assert placement == SlotMap.even(["a", "b", "c"], scheme="redis").with_slots_moved("5461", "b")
    assert pickle.loads(pickle.dumps(placement)) == placement
    assert placement.version_hash != SlotMap.even(["a", "b", "c"]).version_hash
