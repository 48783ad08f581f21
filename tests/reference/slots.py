"""The slot map as a list of owners, one for each slot."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from reference.hashes import crc32, key_bytes, xxh64
from reference.interop import redis_hash

SLOT_HASHES = {"crc32": crc32, "xxh64": xxh64, "redis": redis_hash}


def quotas(weights: Mapping[str, float], slot_count: int) -> dict[str, int]:
    """Largest remainder: whole parts first, then one each by remainder, ties to the earlier."""
    total = sum(map(Fraction, weights.values()))
    shares = {shard: Fraction(weight) / total * slot_count for shard, weight in weights.items()}
    sizes = {shard: int(share) for shard, share in shares.items()}
    left = slot_count - sum(sizes.values())
    for shard in sorted(shares, key=lambda shard: sizes[shard] - shares[shard])[:left]:
        sizes[shard] += 1
    return sizes


class SlotMapTwin:
    """CORE.md's SlotMap, with every choice made by a linear search."""

    def __init__(
        self, owners: Sequence[str], weights: Mapping[str, float], scheme: str = "crc32"
    ) -> None:
        self.owners = list(owners)
        self.weights = dict(weights)
        self.scheme = scheme

    @classmethod
    def even(
        cls, weights: Mapping[str, float], slot_count: int, scheme: str = "crc32"
    ) -> "SlotMapTwin":
        sizes = quotas(weights, slot_count)
        return cls([shard for shard in sizes for _ in range(sizes[shard])], weights, scheme)

    def slot(self, key: object) -> int:
        return SLOT_HASHES[self.scheme](key_bytes(key)) % len(self.owners)

    def lookup(self, key: object) -> str:
        return self.owners[self.slot(key)]

    def slots_of(self, shard: str) -> list[int]:
        return [slot for slot, owner in enumerate(self.owners) if owner == shard]

    def with_shard(self, name: str, weight: float = 1.0) -> "SlotMapTwin":
        weights = {**self.weights, name: weight}
        sizes = quotas(weights, len(self.owners))
        slots = {shard: self.slots_of(shard) for shard in self.weights}
        owners = list(self.owners)
        for _ in range(sizes[name]):
            donor = max(self.weights, key=lambda shard: len(slots[shard]) - sizes[shard])
            owners[slots[donor].pop()] = name
        return SlotMapTwin(owners, weights, self.scheme)

    def without_shard(self, name: str) -> "SlotMapTwin":
        weights = {shard: weight for shard, weight in self.weights.items() if shard != name}
        sizes = quotas(weights, len(self.owners))
        counts = {shard: self.owners.count(shard) for shard in weights}
        owners = list(self.owners)
        for slot in self.slots_of(name):
            taker = max(weights, key=lambda shard: sizes[shard] - counts[shard])
            counts[taker] += 1
            owners[slot] = taker
        return SlotMapTwin(owners, weights, self.scheme)

    def with_split(self, source: str, target: str, fraction: float) -> "SlotMapTwin":
        slots = self.slots_of(source)
        moving = set(slots[-min(max(round(fraction * len(slots)), 1), len(slots) - 1) :])
        owners = [target if slot in moving else owner for slot, owner in enumerate(self.owners)]
        return SlotMapTwin(owners, {target: 1.0, **self.weights}, self.scheme)

    def moves_to(self, other: "SlotMapTwin") -> dict[tuple[str, str], list[int]]:
        moves: dict[tuple[str, str], list[int]] = {}
        for slot, pair in enumerate(zip(self.owners, other.owners, strict=True)):
            if pair[0] != pair[1]:
                moves.setdefault(pair, []).append(slot)
        return dict(sorted(moves.items()))
