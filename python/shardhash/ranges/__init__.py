"""Range maps: half-open ranges of the key itself, ``[lower, upper)``, each with its shard.

    >>> by_year = RangeMap([2024, 2025], ["old", "s1", "s2"], key_type=int)
    >>> by_year.lookup(2024), by_year.lookup(1999)
    ('s1', 'old')
    >>> list(by_year.moves_to(by_year.with_split(2030, "s3")))
    [RangeMove(lower=2030, upper=None, source='s2', target='s3')]

Nothing is hashed: keys are compared, in the order of their type. Everything here is an immutable
value and pure: no file, no network, no clock.
"""

from shardhash.ranges._map import RangeMap
from shardhash.ranges._moves import RangeMove, RangeMoves

__all__ = ["RangeMap", "RangeMove", "RangeMoves"]

# Pickles and messages name the public module, so that the private files may be rearranged.
for _public in (RangeMap, RangeMove, RangeMoves):
    _public.__module__ = __name__
