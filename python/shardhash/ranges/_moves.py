"""``RangeMove`` and ``RangeMoves``: what changes its owner between two range maps."""

from typing import NamedTuple

from shardhash._moves import MoveSequence
from shardhash.ranges._keys import RangeKey

__all__ = ["RangeMove", "RangeMoves"]


class RangeMove(NamedTuple):
    """The keys in ``[lower, upper)`` go from one shard to another; None is unbounded."""

    lower: RangeKey | None
    upper: RangeKey | None
    source: str
    target: str


class RangeMoves(MoveSequence[RangeMove]):
    """The moves from one range map to another, ascending, none empty, neighbours merged."""

    __slots__ = ()
