"""The base of `RingMoves`, `SlotMoves` and `RangeMoves`: an immutable sequence of moves.

Written by hand, as NamedTuples are taken for the moves: dataclasses would double the time that
``import shardhash`` takes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, NoReturn, TypeVar, overload

__all__ = ["MoveSequence"]

_Move = TypeVar("_Move")


class MoveSequence(Sequence[_Move], Generic[_Move]):
    """Moves in order; equal if type and moves are.

    Attributes:
        moves: the same as a tuple.
    """

    __slots__ = ("moves",)
    moves: tuple[_Move, ...]

    def __init__(self, moves: Iterable[_Move]) -> None:
        object.__setattr__(self, "moves", tuple(moves))

    @overload
    def __getitem__(self, position: int) -> _Move: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[_Move, ...]: ...
    def __getitem__(self, position: int | slice) -> _Move | tuple[_Move, ...]:
        """Return the move at a position, or a tuple of the moves of a slice."""
        return self.moves[position]

    def __len__(self) -> int:
        """Return the number of moves."""
        return len(self.moves)

    def __iter__(self) -> Iterator[_Move]:
        """Iterate over the moves."""
        return iter(self.moves)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: the value is immutable."""
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be set")

    def __delattr__(self, name: str) -> NoReturn:
        """Refuse: the value is immutable."""
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be deleted")

    def _arguments(self) -> tuple[object, ...]:
        """Return what the class takes to make an equal value."""
        return (self.moves,)

    def __eq__(self, other: object) -> bool:
        """Return whether the other is of the same class and holds the same."""
        if not isinstance(other, MoveSequence) or type(other) is not type(self):
            return NotImplemented
        return self._arguments() == other._arguments()

    def __hash__(self) -> int:
        """Return a hash of what the value holds."""
        return hash(self._arguments())

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the arguments."""
        return type(self), self._arguments()

    def __repr__(self) -> str:
        """Return the call that makes an equal value."""
        return f"{type(self).__name__}({', '.join(map(repr, self._arguments()))})"
