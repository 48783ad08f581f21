import copy
import pickle

import numpy as np
import pytest

from shardhash import PlacementError, SlotSet


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("  ", ""),
        ("7", "7"),
        ("0-99,7", "0-99"),
        ("9,8,7", "7-9"),
        (" 3 - 5 , 1 ", "1,3-5"),
        ("007", "7"),
        ("0-65535", "0-65535"),
        ("10-20,15-30,31", "10-31"),
    ],
)
def test_str_of_a_parsed_text_is_canonical(text: str, canonical: str) -> None:
    assert str(SlotSet.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,,2", "'' are no slot"),
        ("1,", "'' are no slot"),
        ("a", "'a' are no slot"),
        ("-1", "'-1' are no slot"),
        ("+1", "no slot"),
        ("1-2-3", "no slot"),
        ("1.0", "no slot"),
        ("٣", "no slot"),
        ("9" * 5000, "no slot"),
        ("5-3", "run backwards: write '3-5'"),
        ("65536", "too high: the last is 65535"),
        ("0-65536", "too high"),
    ],
)
def test_parse_refuses_what_is_no_slot_and_says_which_item(text: str, message: str) -> None:
    with pytest.raises(PlacementError, match=message.replace("+", r"\+")):
        SlotSet.parse(text)


def test_parse_refuses_what_is_no_text() -> None:
    with pytest.raises(PlacementError, match="slots given as int: write text"):
        SlotSet.parse(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("slots", [[True, 2], [1, 2], (2, 1, 1), range(1, 3), np.array([2, 1])])
def test_every_iterable_of_integers_makes_a_set(slots: object) -> None:
    assert SlotSet(slots) == SlotSet.parse("1-2")  # type: ignore[arg-type]


@pytest.mark.parametrize("slot", [-1, 65_536, 2**80, 1.0, "1", None])
def test_what_is_no_slot_number_is_refused(slot: object) -> None:
    with pytest.raises(PlacementError, match="from 0 to 65535"):
        SlotSet([slot])  # type: ignore[list-item]


def test_text_is_not_taken_for_an_iterable_of_slots() -> None:
    with pytest.raises(PlacementError, match=r"write SlotSet.parse\('12'\)"):
        SlotSet("12")  # type: ignore[arg-type]


def test_from_ranges_unites_half_open_ranges() -> None:
    assert SlotSet.from_ranges([(5, 9), (0, 5), (7, 7), (20, 21)]).ranges == ((0, 9), (20, 21))


@pytest.mark.parametrize("pair", [(-1, 3), (4, 3), (0, 65_537)])
def test_from_ranges_refuses_an_impossible_range(pair: tuple[int, int]) -> None:
    with pytest.raises(PlacementError, match="0 <= start <= end <= 65536"):
        SlotSet.from_ranges([pair])


def test_membership_is_of_integers_only() -> None:
    slots = SlotSet.parse("0-9,20")

    assert 0 in slots
    assert 9 in slots
    assert np.int16(20) in slots
    assert 10 not in slots
    assert 21 not in slots
    assert -1 not in slots
    assert 5.0 not in slots
    assert "5" not in slots
    assert None not in slots


def test_length_and_truth_count_the_slots() -> None:
    assert len(SlotSet.parse("0-65535")) == 65_536
    assert not SlotSet()


def test_a_set_equals_only_slot_sets() -> None:
    assert SlotSet([1]) != {1}
    assert SlotSet([1]) != "1"


@pytest.mark.parametrize("operate", ["__or__", "__and__", "__sub__"])
def test_algebra_takes_only_slot_sets(operate: str) -> None:
    assert getattr(SlotSet([1]), operate)({1}) is NotImplemented


def test_a_set_survives_pickle_and_copy() -> None:
    slots = SlotSet.parse("0-9,20")

    assert pickle.loads(pickle.dumps(slots)) == slots
    assert copy.deepcopy(slots) == slots


def test_repr_makes_an_equal_set() -> None:
    slots = SlotSet.parse("0-9,20")

    assert eval(repr(slots), {"SlotSet": SlotSet}) == slots
