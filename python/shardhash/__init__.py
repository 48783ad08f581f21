"""Consistent hashing in C, and (``shardhash.db``) MySQL/MariaDB sharding without a proxy.

    >>> from shardhash import SlotMap
    >>> SlotMap.even(["a", "b"]).lookup(42)
    'b'

Rings, slot maps and range maps are immutable values: safe to share between threads, hashable,
picklable; a change is a new object.
"""

from shardhash._types import Placement
from shardhash._version import __version__
from shardhash.errors import KeyTypeError, PlacementError, ShardhashError
from shardhash.ranges import RangeMap, RangeMove, RangeMoves
from shardhash.ring import HashRing, RingMove, RingMoves
from shardhash.slots import SlotMap, SlotMove, SlotMoves, SlotSet

__all__ = [
    "HashRing",
    "KeyTypeError",
    "Placement",
    "PlacementError",
    "RangeMap",
    "RangeMove",
    "RangeMoves",
    "RingMove",
    "RingMoves",
    "ShardhashError",
    "SlotMap",
    "SlotMove",
    "SlotMoves",
    "SlotSet",
    "__version__",
]
