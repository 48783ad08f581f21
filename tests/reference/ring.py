"""The ring as a sorted list of (point, name), searched by bisect."""

import hashlib
import math
import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import pairwise

from reference.hashes import fnv_twemproxy, key_bytes, md5_ketama, xxh64

KEY_SPACE = 1 << 32


class HashRingTwin:
    """Scheme xxh64 of CORE.md."""

    def __init__(
        self, nodes: Iterable[str] | Mapping[str, float], points_per_weight: int = 160
    ) -> None:
        weights = nodes if isinstance(nodes, Mapping) else dict.fromkeys(nodes, 1.0)
        self.nodes = tuple(weights)
        self.points = sorted(
            (xxh64(name.encode(), seed) >> 32, name.encode())
            for name, weight in weights.items()
            for seed in range(max(1, math.floor(weight * points_per_weight + 0.5)))
        )

    def position(self, key: object) -> int:
        return xxh64(key_bytes(key)) >> 32

    def owner_at(self, position: int) -> str:
        """The node of the first point at or after a position, else of the first point."""
        i = bisect_left(self.points, (position, b""))
        return self.points[i % len(self.points)][1].decode()

    def lookup(self, key: object) -> str:
        return self.owner_at(self.position(key))

    def lookup_n(self, key: object, n: int) -> tuple[str, ...]:
        start = bisect_left(self.points, (self.position(key), b""))
        walk = self.points[start:] + self.points[:start]
        return tuple(dict.fromkeys(name.decode() for _, name in walk))[:n]

    def moves_to(self, other: "HashRingTwin") -> list[tuple[int, int, str, str]]:
        """(start, end, source, target), sorted, merged where source and target go on.

        A point owns the positions up to and including itself, so owners change just after one.
        """
        edges = {p + 1 for p, _ in self.points} | {p + 1 for p, _ in other.points}
        edges = sorted(edges | {0, KEY_SPACE})
        moves: list[tuple[int, int, str, str]] = []
        for start, end in pairwise(edges):
            source, target = self.owner_at(start), other.owner_at(start)
            if source == target:
                continue
            if moves and moves[-1][1:] == (start, source, target):
                moves[-1] = (moves[-1][0], end, source, target)
            else:
                moves.append((start, end, source, target))
        return moves


def float32(number: float) -> float:
    """Round to the nearest float of 32 bits."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def libketama_md5s(weight: float, total: float, node_count: int) -> int:
    """``floorf(pct * 40.0 * (float)numservers)``: only pct and what floorf gets are float."""
    part = float32(float32(weight) / float32(total))
    return math.floor(float32(part * 40.0 * node_count))


def twemproxy_md5s(weight: float, total: float, node_count: int) -> int:
    """``floorf((float)(pct * 160 / 4 * (float)nlive_server + 0.0000000001))``, all else float."""
    part = float32(float32(weight) / float32(total))
    product = float32(float32(float32(part * 160) / 4) * node_count)
    return math.floor(float32(product + 0.0000000001))


KETAMA = {
    "ketama": (libketama_md5s, md5_ketama),
    "ketama-twemproxy": (twemproxy_md5s, fnv_twemproxy),
}


class KetamaTwin(HashRingTwin):
    """Schemes ketama and ketama-twemproxy, after the two projects' own source."""

    def __init__(self, weights: Mapping[str, float], scheme: str = "ketama") -> None:
        md5s, self.key_hash = KETAMA[scheme]
        self.nodes = tuple(weights)
        total = math.fsum(weights.values())
        self.points = sorted(
            (int.from_bytes(digest[start : start + 4], "little"), name.encode())
            for name, weight in weights.items()
            for k in range(md5s(weight, total, len(weights)))
            for digest in [hashlib.md5(b"%s-%d" % (name.encode(), k)).digest()]
            for start in (0, 4, 8, 12)
        )

    def position(self, key: object) -> int:
        return self.key_hash(key_bytes(key))
