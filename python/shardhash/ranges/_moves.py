"""``RangeMove`` and ``RangeMoves``: what changes its owner between two range maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from shardhash.ranges._keys import RangeKey

__all__ = ["RangeMove", "RangeMoves"]


@dataclass(frozen=True, slots=True)
class RangeMove:
    """The keys in ``[lower, upper)`` go from one shard to another; None is unbounded."""

    lower: RangeKey | None
    upper: RangeKey | None
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class RangeMoves(Sequence[RangeMove]):
    """The moves from one range map to another, ascending, none empty, neighbours merged."""

    moves: tuple[RangeMove, ...]

    @overload
    def __getitem__(self, position: int) -> RangeMove: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[RangeMove, ...]: ...
    def __getitem__(self, position: int | slice) -> RangeMove | tuple[RangeMove, ...]:
        """Return the move at a position, or a tuple of the moves of a slice."""
        return self.moves[position]

    def __len__(self) -> int:
        """Return the number of moves."""
        return len(self.moves)
