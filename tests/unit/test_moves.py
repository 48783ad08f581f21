"""What RingMoves, SlotMoves and RangeMoves share: immutable sequences of moves."""

import pickle
from collections.abc import Sequence

import pytest

from shardhash import (
    HashRing,
    RangeMap,
    RangeMove,
    RangeMoves,
    RingMove,
    RingMoves,
    SlotMap,
    SlotMove,
    SlotMoves,
    SlotSet,
)

Moves = RingMoves | SlotMoves | RangeMoves

MADE: list[Moves] = [
    HashRing(["a", "b"]).moves_to(HashRing(["a", "b", "c"])),
    SlotMap.even(["a", "b"]).moves_to(SlotMap.even(["a", "b", "c"])),
    RangeMap([1, 2], ["a", "b", "a"], key_type=int).moves_to(
        RangeMap([1, 2], ["b", "a", "b"], key_type=int)
    ),
]


@pytest.mark.parametrize("moves", MADE, ids=lambda moves: type(moves).__name__)
def test_moves_are_a_sequence_of_at_least_two(moves: Moves) -> None:
    assert isinstance(moves, Sequence)
    assert len(moves) == len(list(moves)) >= 2
    assert moves[0] == next(iter(moves)) == moves.moves[0]
    assert moves[-2:] == moves.moves[-2:]


@pytest.mark.parametrize("moves", MADE, ids=lambda moves: type(moves).__name__)
def test_moves_survive_pickle_equal_in_value_and_hash(moves: Moves) -> None:
    loaded = pickle.loads(pickle.dumps(moves))

    assert type(loaded) is type(moves)
    assert loaded == moves
    assert hash(loaded) == hash(moves)


@pytest.mark.parametrize("moves", MADE, ids=lambda moves: type(moves).__name__)
def test_moves_cannot_be_changed(moves: Moves) -> None:
    with pytest.raises(AttributeError, match="is immutable: moves cannot be set"):
        moves.moves = ()
    with pytest.raises(AttributeError, match="is immutable: moves cannot be deleted"):
        del moves.moves
    with pytest.raises(AttributeError, match="is immutable"):
        moves.other = 1  # type: ignore[union-attr]


def test_moves_of_other_classes_or_maps_are_not_equal() -> None:
    move = SlotMove(SlotSet.parse("0-2"), "a", "b")

    assert RingMoves(()) != RangeMoves(())
    assert SlotMoves((move,), 4) != SlotMoves((move,), 8)
    assert SlotMoves((move,), 4) != (move,)


def test_moves_repr_makes_them_again() -> None:
    names = {"RangeMoves": RangeMoves, "RangeMove": RangeMove}
    moves = RangeMoves([RangeMove(None, 3, "a", "b")])

    assert repr(moves) == "RangeMoves((RangeMove(lower=None, upper=3, source='a', target='b'),))"
    assert eval(repr(moves), names) == moves


def test_ring_moves_are_their_ranges() -> None:
    move = RingMove(0, 2**31, "a", "b")

    assert RingMoves([move]).ranges == (move,)
    assert RingMoves([move]).fraction == 0.5
