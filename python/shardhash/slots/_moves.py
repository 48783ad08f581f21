"""``SlotMove`` and ``SlotMoves``: what changes its owner between two slot maps."""

from collections.abc import Iterable
from typing import NamedTuple

from shardhash._moves import MoveSequence
from shardhash.slots._set import SlotSet

__all__ = ["SlotMove", "SlotMoves"]


class SlotMove(NamedTuple):
    """The slots that go from one shard to another; never empty, source and target differ."""

    slots: SlotSet
    source: str
    target: str


class SlotMoves(MoveSequence[SlotMove]):
    """The moves from one slot map to another, one for each pair of shards, sorted by the pair.

    Attributes:
        moves: sorted by source, then target, in code point order; no slot is in two.
        map_slot_count: number of slots of the two maps.
    """

    __slots__ = ("map_slot_count",)
    map_slot_count: int

    def __init__(self, moves: Iterable[SlotMove], map_slot_count: int) -> None:
        super().__init__(moves)
        object.__setattr__(self, "map_slot_count", map_slot_count)

    @property
    def slot_count(self) -> int:
        """The number of slots that move."""
        return sum(len(move.slots) for move in self.moves)

    @property
    def fraction(self) -> float:
        """The part of all slots that moves, from 0.0 to 1.0."""
        return self.slot_count / self.map_slot_count

    def _arguments(self) -> tuple[object, ...]:
        return self.moves, self.map_slot_count
