"""Rings and hashes of others, set up as their manuals do, on the same nodes."""

import numpy as np

from inputs import POINTS_PER_NODE, names
from shardhash import HashRing


def uhashring(node_count: int, **options: object) -> object:
    """uhashring: MD5 and 160 points a node; it makes the points at the first lookup."""
    from uhashring import HashRing as UHashRing

    ring = UHashRing(names(node_count), vnodes=POINTS_PER_NODE, **options)
    ring.get_node("makes the points")
    return ring


def fastring(node_count: int) -> object:
    from fastring import HashRing as FastRing

    ring = FastRing(POINTS_PER_NODE)
    for name in names(node_count):
        ring.add_node(name)
    return ring


def points_and_owners(node_count: int) -> tuple[np.ndarray, np.ndarray]:
    """A ring's sorted points and their owners for `numpy.searchsorted`, which sees no wrap."""
    points, owners = HashRing(names(node_count))._points()
    wrapped = np.append(np.asarray(owners), owners[0])
    return np.asarray(points).copy(), wrapped
