"""``SlotMove`` and ``SlotMoves``: what changes its owner between two slot maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from shardhash.slots._set import SlotSet

__all__ = ["SlotMove", "SlotMoves"]


@dataclass(frozen=True, slots=True)
class SlotMove:
    """The slots that go from one shard to another; never empty, source and target differ."""

    slots: SlotSet
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class SlotMoves(Sequence[SlotMove]):
    """The moves from one slot map to another, one for each pair of shards, sorted by the pair.

    Attributes:
        moves: sorted by source, then target, in code point order; no slot is in two.
        map_slot_count: number of slots of the two maps.
    """

    moves: tuple[SlotMove, ...]
    map_slot_count: int

    @property
    def slot_count(self) -> int:
        """The number of slots that move."""
        return sum(len(move.slots) for move in self.moves)

    @property
    def fraction(self) -> float:
        """The part of all slots that moves, from 0.0 to 1.0."""
        return self.slot_count / self.map_slot_count

    @overload
    def __getitem__(self, position: int) -> SlotMove: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[SlotMove, ...]: ...
    def __getitem__(self, position: int | slice) -> SlotMove | tuple[SlotMove, ...]:
        """Return the move at a position, or a tuple of the moves of a slice."""
        return self.moves[position]

    def __len__(self) -> int:
        """Return the number of moves, one for each pair of shards."""
        return len(self.moves)
