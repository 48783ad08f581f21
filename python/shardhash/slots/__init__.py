"""Slot maps: a hash gives a key one of a fixed number of slots, a table gives each slot a shard.

    >>> shops = SlotMap.even(["s1", "s2"])
    >>> shops.slot(42), shops.lookup(42)
    (12424, 's2')
    >>> grown = shops.with_shard("s3")
    >>> [(move.source, move.target, len(move.slots)) for move in shops.moves_to(grown)]
    [('s1', 's3', 2730), ('s2', 's3', 2731)]

Everything here is an immutable value and pure: no file, no network, no clock.
"""

from shardhash.slots._map import SlotMap
from shardhash.slots._moves import SlotMove, SlotMoves
from shardhash.slots._set import SlotSet

__all__ = ["SlotMap", "SlotMove", "SlotMoves", "SlotSet"]

# Pickles and messages name the public module, so that the private files may be rearranged.
for _public in (SlotMap, SlotMove, SlotMoves, SlotSet):
    _public.__module__ = __name__
