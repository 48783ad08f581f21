"""``HashRing``: consistent hashing on a ring of weighted nodes, for caches, queues and the like.

    >>> ring = HashRing({"a": 1, "b": 2})
    >>> ring.lookup("user:44")
    'b'
    >>> ring.lookup_n("user:44", 2)
    ('b', 'a')
    >>> grown = ring.updated(add=["c"])
    >>> {move.target for move in ring.moves_to(grown)}
    {'c'}

Rings of others: `scheme="ketama"` places as libketama does, `"ketama-twemproxy"` as twemproxy.

Everything here is an immutable value and pure: no file, no network, no clock.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import fsum, inf
from struct import pack
from types import MappingProxyType
from typing import NamedTuple

from shardhash._core import Ring
from shardhash._moves import MoveSequence
from shardhash._names import checked_name, checked_positive, listed, quoted
from shardhash.errors import PlacementError
from shardhash.hashing import xxh64

__all__ = ["HashRing", "RingMove", "RingMoves"]

_POSITIONS = 2**32
_MAX_NODES = 65_535
_MAX_POINTS = 2**31
_MIN_FLOAT32 = 2.0**-126
_POINTS_PER_WEIGHT = 160.0
"""The default, which only being this very object tells from a number that was given."""


class RingMove(NamedTuple):
    """The positions ``[start, end)``, 0 <= start < end <= 2**32, that go to another node."""

    start: int
    end: int
    source: str
    target: str


class RingMoves(MoveSequence[RingMove]):
    """The moves from one ring to another: exact, minimal, none if the rings place alike.

    Ascending, disjoint; ranges that touch have another source or target. A range that wraps around
    the end of the ring is two.
    """

    __slots__ = ()

    @property
    def ranges(self) -> tuple[RingMove, ...]:
        """The moves as a tuple, the same as `moves`."""
        return self.moves

    @property
    def fraction(self) -> float:
        """The part of all positions that moves, from 0.0 to 1.0."""
        return sum(move.end - move.start for move in self.moves) / _POSITIONS


class HashRing(Ring):
    """An immutable ring that gives each key the node of the first point at or after its position.

    Thread-safe, hashable, picklable (configuration only). A change is a new ring. Two rings are
    equal when scheme, nodes in their order, weights and points are; then indices are equal too.
    The order of the nodes numbers them, and has no part in where a key goes.
    """

    __slots__ = ()

    def __init__(
        self,
        nodes: Iterable[str] | Mapping[str, float],
        *,
        points_per_weight: float = _POINTS_PER_WEIGHT,
        scheme: str = "xxh64",
    ) -> None:
        """Make a ring of nodes.

        Args:
            nodes: unique names, each with weight 1.0, or a mapping from name to weight; weights
                are finite and greater than 0. No node is legal; such a ring looks nothing up.
            points_per_weight: a node gets ``max(1, floor(weight * points_per_weight + 0.5))``
                points. More points spread keys more evenly and take more memory. Only for xxh64.
            scheme: stable since 0.1 each; the rules are in docs/reference/bytes.md.
                ``xxh64``: point k of a node is the high half of XXH64(name, seed k), and a key's
                position that of XXH64(key bytes, seed 0).
                ``ketama``: as libketama places, bit for bit: about 160 points a node, which
                depend on its part of all weights, so a node that is added may move keys between
                others; a weight far below the average gets no point, and no key.
                ``ketama-twemproxy``: as twemproxy's default (``distribution: ketama``, ``hash:
                fnv1a_64``); a name is what twemproxy hashes, ``host`` for port 11211,
                ``host:port`` for others, or the name that its configuration gives.

        Raises:
            PlacementError: a bad name, weight or scheme; more than 65,535 nodes or 2**31 points;
                points_per_weight with a ketama scheme.

        Complexity: linear in the number of points.

        Source: libketama/ketama.c of github.com/RJ/ketama; src/hashkit/nc_ketama.c and nc_fnv.c
        of github.com/twitter/twemproxy.
        """
        if scheme not in ("xxh64", *_KETAMA_COUNTS):
            schemes = quoted(("xxh64", *_KETAMA_COUNTS))
            raise PlacementError(f"unknown ring scheme {scheme!r}: the schemes are {schemes}")
        factor = None
        if scheme == "xxh64":
            factor = checked_positive(points_per_weight, "points_per_weight")
        elif points_per_weight is not _POINTS_PER_WEIGHT:
            raise PlacementError(
                f"points_per_weight was given with scheme {scheme!r}, which has a number of "
                "points of its own: leave it out, or take scheme 'xxh64'"
            )
        self._build_of(_weights_of(nodes), factor, scheme)

    def _build_of(
        self,
        weights: Mapping[str, float],
        factor: float | None,
        scheme: str,
        base: Ring | None = None,
    ) -> None:
        if len(weights) > _MAX_NODES:
            raise PlacementError(f"{len(weights)} nodes given: a ring takes at most {_MAX_NODES}")
        if factor is None:
            counts = _ketama_counts(weights, _KETAMA_COUNTS[scheme])
        else:
            counts = _point_counts(weights, factor)
        self._build(
            tuple(weights),
            tuple(weights.values()),
            counts,
            points_per_weight=factor,
            scheme=scheme,
            base=base,
        )

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of every node, read-only, in the order of `nodes`."""
        return MappingProxyType(dict(zip(self.nodes, self._weights, strict=True)))

    def updated(
        self,
        *,
        add: Iterable[str] | Mapping[str, float] = (),
        remove: Iterable[str] = (),
    ) -> "HashRing":
        """Return a ring with nodes added and removed; the others keep their points and order.

        Keys move only to nodes that come or grow and from nodes that go or shrink. With a ketama
        scheme others may grow or shrink by it, and exchange keys.

        Args:
            add: names or a mapping from name to weight; they become the last nodes. A name that
                is also in `remove` keeps its place and gets the new weight.
            remove: names of the ring.

        Raises:
            PlacementError: a name to remove that is not there, a name to add that is, or a bad
                name or weight.

        Complexity: linear in the number of points, without sorting those that stay.
        """
        added = _weights_of(add)
        removed = set(_names_of(remove))
        weights = dict(zip(self.nodes, self._weights, strict=True))
        if unknown := removed.difference(weights):
            raise PlacementError(
                f"unknown node {quoted(sorted(unknown))}: the ring has {quoted(self.nodes)}"
            )
        if present := [name for name in added if name in weights and name not in removed]:
            raise PlacementError(
                f"node {quoted(sorted(present))} is on the ring already: "
                "name it in remove too, to give it a new weight"
            )
        for name in removed.difference(added):
            del weights[name]
        weights.update(added)
        made: HashRing = type(self).__new__(type(self))
        made._build_of(weights, self._points_per_weight, self.scheme, self)
        return made

    def moves_to(self, other: "HashRing") -> RingMoves:
        """Return which positions change their node on the way to another ring.

        Raises:
            PlacementError: the other ring has another scheme, or one of the two has no node.

        Complexity: linear in the points of both.
        """
        if not isinstance(other, HashRing):
            raise PlacementError(f"moves_to takes a HashRing, found {type(other).__name__}")
        if self.scheme != other.scheme:
            raise PlacementError(
                f"no moves from scheme {self.scheme!r} to {other.scheme!r}: "
                "every key may move; compare rings of one scheme"
            )
        if not self.nodes and not other.nodes:
            return RingMoves(())
        if not self.nodes or not other.nodes:
            raise PlacementError("a ring without nodes owns nothing that could move")
        return RingMoves(map(RingMove._make, self._moves(other)))

    @property
    def version_hash(self) -> str:
        """16 hex digits of XXH64 of the ring's canonical text; equal for equal rings.

        The text is in docs/reference/bytes.md. Stable since 0.1.
        """
        return f"{xxh64(self._canonical_text()):016x}"

    def _canonical_text(self) -> str:
        lines = [f"ring {self.scheme} {self.point_count}\n"]
        lines += (
            f"{len(node.encode())}:{node} {pack('>d', weight).hex()} {count}\n"
            for node, weight, count in zip(self.nodes, self._weights, self._counts, strict=True)
        )
        return "".join(lines)

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.nodes)

    def __eq__(self, other: object) -> bool:
        """Return whether scheme, nodes in their order, weights and points are equal."""
        if not isinstance(other, HashRing):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        """Return a hash of scheme, nodes, weights and points."""
        return hash(self._identity())

    def _identity(self) -> tuple[str, tuple[str, ...], tuple[float, ...], tuple[int, ...]]:
        # The points follow from these: names and how many points each has.
        return self.scheme, self.nodes, self._weights, self._counts

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the configuration; loading builds the points anew."""
        make = partial(type(self), scheme=self.scheme)
        if self._points_per_weight is not None:
            make = partial(make, points_per_weight=self._points_per_weight)
        return make, (dict(self.weights),)

    def __repr__(self) -> str:
        """Return a short text that tells rings apart."""
        return (
            f"<HashRing of {len(self)} nodes, {self.point_count} points ({self.scheme}), "
            f"version {self.version_hash}>"
        )

    def _repr_html_(self) -> str:
        """Return a drawing of each node's part of the positions, for notebooks."""
        from shardhash._drawing import ring_drawing

        return ring_drawing(repr(self)[1:-1], self.nodes, *self._points())


def _weights_of(nodes: Iterable[str] | Mapping[str, float]) -> dict[str, float]:
    if not isinstance(nodes, Mapping):
        return dict.fromkeys(_names_of(nodes), 1.0)
    return {
        name: checked_positive(nodes[name], f"the weight of node {name!r}")
        for name in _names_of(nodes)
    }


def _names_of(nodes: Iterable[str]) -> list[str]:
    names = [checked_name(name, noun="node") for name in listed(nodes, "a list of node names")]
    if len(set(names)) != len(names):
        twice, _ = Counter(names).most_common(1)[0]
        raise PlacementError(f"node {twice!r} is named twice: name each node once")
    return names


def _point_counts(weights: Mapping[str, float], factor: float) -> tuple[int, ...]:
    if sum(weights.values()) * factor <= _MAX_POINTS:
        # int() is floor() here: nothing is negative. Most nodes have the same weight.
        every = {weight: int(weight * factor + 0.5) or 1 for weight in set(weights.values())}
        counts = tuple([every[weight] for weight in weights.values()])
        if sum(counts) <= _MAX_POINTS:
            return counts
    raise PlacementError(
        f"the weights ask for more than {_MAX_POINTS} points: make weights or "
        "points_per_weight smaller"
    )


def _libketama_products(parts: Iterable[float], node_count: float) -> "array[float]":
    """Return the MD5s of each part, not yet rounded down: float32, as all arithmetic that counts.

    The products are exact in doubles; C rounds one to float32 when it calls floorf.
    """
    return array("f", [part * 40.0 * node_count for part in parts])


def _twemproxy_products(parts: Iterable[float], node_count: float) -> "array[float]":
    """Return the MD5s of each part, not yet rounded down: float32 after every step.

    twemproxy adds 1e-10 at the end. float32 has no number so near below a whole one.
    """
    quarters = [part / 4 for part in array("f", [part * 160.0 for part in parts])]
    return array("f", [quarter * node_count for quarter in quarters])


_KETAMA_COUNTS: Mapping[str, Callable[[Iterable[float], float], "array[float]"]] = MappingProxyType(
    {"ketama": _libketama_products, "ketama-twemproxy": _twemproxy_products}
)
"""How each ketama scheme counts the MD5s of a node, of four points each."""


def _ketama_counts(
    weights: Mapping[str, float],
    products: Callable[[Iterable[float], float], "array[float]"],
) -> tuple[int, ...]:
    if not weights:
        return ()
    try:
        exact = fsum(weights.values())  # rounded once, whatever the order of the nodes
    except OverflowError:
        exact = inf
    total = array("f", [exact])[0]
    if not _MIN_FLOAT32 <= total < inf:
        raise PlacementError(
            f"the weights sum to {exact}: ketama computes in float32, which takes 1.2e-38 to "
            "3.4e38; scale the weights"
        )
    parts = array("f", [weight / total for weight in array("f", weights.values())])
    return tuple([4 * int(product) for product in products(parts, float(len(weights)))])
