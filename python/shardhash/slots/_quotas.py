"""How many slots each shard should have, and which slots change hands to get there.

Pure functions on indices: shards are numbered, an owner table has one index for each slot. All
arithmetic is on integers, so that every machine and language comes to the same table.
"""

from array import array
from collections.abc import Sequence
from heapq import heapify, heapreplace
from itertools import chain, repeat

__all__ = ["even_table", "grow", "quotas", "shrink"]


def quotas(weights: Sequence[float], slot_count: int) -> list[int]:
    """Share `slot_count` slots by weight: the largest remainder method, ties to the earlier.

    Args:
        weights: finite, greater than 0; at least one.
        slot_count: slots to share out.

    Returns:
        int[len(weights)], whose sum is `slot_count`. Stable since 0.1.
    """
    ratios = [weight.as_integer_ratio() for weight in weights]
    scale = max(denominator for _, denominator in ratios)
    shares = [numerator * (scale // denominator) for numerator, denominator in ratios]
    total = sum(shares)
    sizes = [slot_count * share // total for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda i: -(slot_count * shares[i] % total))
    for i in by_remainder[: slot_count - sum(sizes)]:
        sizes[i] += 1
    return sizes


def even_table(weights: Sequence[float], slot_count: int) -> "array[int]":
    """Return an owner table of contiguous blocks, in the order and sizes of the quotas."""
    sizes = quotas(weights, slot_count)
    return array("H", chain.from_iterable(map(repeat, range(len(sizes)), sizes)))


def grow(table: Sequence[int], weights: Sequence[float]) -> "array[int]":
    """Return `table` with the quota of a newcomer, the last of `weights`, taken from the others.

    One slot after the other comes from the shard that is furthest above its own quota at that
    moment (ties to the earlier), and is the highest slot that this shard still has.
    """
    sizes = quotas(weights, len(table))
    newcomer = len(weights) - 1
    slots = _slots_by_owner(table, newcomer)
    donors = [(sizes[i] - len(slots[i]), i) for i in range(newcomer)]
    heapify(donors)
    grown = array("H", table)
    for _ in range(sizes[newcomer]):
        below, donor = donors[0]
        grown[slots[donor].pop()] = newcomer
        heapreplace(donors, (below + 1, donor))
    return grown


def shrink(table: Sequence[int], weights: Sequence[float], leaver: int) -> "array[int]":
    """Return `table` with the leaver's slots given away and the later indices moved down by one.

    Args:
        table: owner index of each slot.
        weights: of the shards that stay, in their new numbering.
        leaver: index of the shard to go, in the numbering of `table`.

    The leaver's slots, ascending, go each to the shard that is furthest below its quota at that
    moment, ties to the earlier.
    """
    sizes = quotas(weights, len(table))
    left = array("H", (owner - (owner > leaver) for owner in table))
    freed = [slot for slot, owner in enumerate(table) if owner == leaver]
    counts = [0] * len(weights)
    for owner in table:
        if owner != leaver:
            counts[owner - (owner > leaver)] += 1
    takers = [(count - size, i) for i, (count, size) in enumerate(zip(counts, sizes, strict=True))]
    heapify(takers)
    for slot in freed:
        above, taker = takers[0]
        left[slot] = taker
        heapreplace(takers, (above + 1, taker))
    return left


def _slots_by_owner(table: Sequence[int], owner_count: int) -> list[list[int]]:
    slots: list[list[int]] = [[] for _ in range(owner_count)]
    for slot, owner in enumerate(table):
        slots[owner].append(slot)
    return slots
