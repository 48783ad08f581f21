"""The range map as a linear scan over its bounds."""

from collections.abc import Sequence
from typing import Any


class RangeMapTwin:
    """Range i + 1 begins at ``bounds[i]``; the first range is open below."""

    def __init__(self, bounds: Sequence[Any], shards: Sequence[str]) -> None:
        self.bounds = list(bounds)
        self.shards = list(shards)

    def lookup(self, key: Any) -> str:
        owner = self.shards[0]
        for bound, shard in zip(self.bounds, self.shards[1:], strict=True):
            if key >= bound:
                owner = shard
        return owner
