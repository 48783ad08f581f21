import copy
import pickle
import random
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import xxhash

from shardhash import HashRing, KeyTypeError, Placement, PlacementError, RingMove, RingMoves
from shardhash._core import Ring


class Node(StrEnum):
    NORTH = "north"


def position_of(key: object) -> int:
    return xxhash.xxh64_intdigest(str(key).encode()) >> 32


def points(ring: HashRing) -> list[tuple[int, str]]:
    ring._validate()
    positions, owners = ring._points()
    return [(at, ring.nodes[i]) for at, i in zip(positions, owners, strict=True)]


def test_points_are_the_high_halves_of_seeded_xxh64() -> None:
    ring = HashRing({"a": 2, "é": 1}, points_per_weight=2)

    expected = [(xxhash.xxh64_intdigest(b"a", k) >> 32, "a") for k in range(4)]
    expected += [(xxhash.xxh64_intdigest("é".encode(), k) >> 32, "é") for k in range(2)]
    assert points(ring) == sorted(expected)


def test_a_key_belongs_to_the_first_point_at_or_after_its_position() -> None:
    ring = HashRing(["a", "b", "c"], points_per_weight=3)
    table = points(ring)

    for i in range(500):
        position = position_of(i)
        later = [node for at, node in table if at >= position]
        assert ring.lookup(i) == (later or [table[0][1]])[0]


def test_placements_are_stable() -> None:
    ring = HashRing({"cache-1": 1, "cache-2": 2, "cache-3": 0.5})

    assert ring.version_hash == "6bafbd63bf010b97"
    assert [ring.lookup(f"user:{i}")[-1] for i in range(20)] == list("21123212212221112231")


@pytest.mark.parametrize(
    ("weight", "factor", "count"),
    [(1, 160, 160), (0.5, 3, 2), (1e-9, 160, 1), (0.49, 1, 1), (2.5, 1, 3), (1.49, 1, 1)],
)
def test_points_are_weight_times_factor_rounded_half_up(
    weight: float, factor: float, count: int
) -> None:
    ring = HashRing({"a": weight}, points_per_weight=factor)

    assert ring.point_count == len(points(ring)) == count


def test_ties_are_in_the_order_of_names() -> None:
    seen: dict[int, str] = {}
    for i in range(200_000):
        name = f"node {i}"
        point = position_of(name)
        if point in seen:
            break
        seen[point] = name
    pair = sorted([name, seen[point]])

    for names in (pair, pair[::-1]):
        ring = HashRing(names, points_per_weight=1)
        added = HashRing(names[:1], points_per_weight=1).updated(add=names[1:])
        assert points(ring) == points(added) == [(point, pair[0]), (point, pair[1])]
        assert ring.lookup("any key") == pair[0]
        assert ring.lookup_n("any key", 2) == tuple(pair)


def test_owners_are_the_nodes_in_the_given_order() -> None:
    ring = HashRing({"b": 1, "a": 2})

    assert ring.owners is ring.nodes
    assert ring.nodes == ("b", "a")
    assert dict(ring.weights) == {"b": 1.0, "a": 2.0}
    assert len(ring) == 2
    assert isinstance(ring, Placement)


def test_names_are_plain_text_whatever_they_were() -> None:
    ring = HashRing([Node.NORTH, "nul\0", "😀"])

    assert [type(name) for name in ring.nodes] == [str] * 3
    assert ring.nodes == ("north", "nul\0", "😀")
    ring._validate()


@pytest.mark.parametrize("weight", [2, 0.25, Fraction(1, 3), np.float32(0.5), np.int8(3)])
def test_any_real_number_is_a_weight(weight: Any) -> None:
    assert HashRing({"a": weight}).weights["a"] == float(weight)


@pytest.mark.parametrize(
    "weight", [0, -1, float("nan"), float("inf"), -0.0, "1", None, True, 10**400, 1j]
)
def test_a_weight_that_is_no_finite_positive_number_is_refused(weight: Any) -> None:
    with pytest.raises(PlacementError, match="the weight of node 'a'"):
        HashRing({"a": weight})
    with pytest.raises(PlacementError, match="points_per_weight"):
        HashRing(["a"], points_per_weight=weight)


@pytest.mark.parametrize("nodes", [{"a": 1e308}, {"a": 1e308, "b": 1e308}, {"a": 2**27}])
def test_more_points_than_a_ring_takes_are_refused(nodes: dict[str, float]) -> None:
    with pytest.raises(PlacementError, match="more than 2147483648 points"):
        HashRing(nodes)


@pytest.mark.parametrize(
    "nodes",
    ["abc", b"abc", 5, None, [""], ["a", "a"], [1], [b"a"], ["\ud800"], [None], {"": 1}, {5: 1}],
    ids=repr,
)
def test_bad_names_are_refused(nodes: Any) -> None:
    with pytest.raises(PlacementError):
        HashRing(nodes)


def test_as_many_nodes_as_a_ring_takes_and_not_one_more() -> None:
    names = [f"n{i}" for i in range(65_536)]

    ring = HashRing(names[:-1], points_per_weight=1)

    ring._validate()
    assert ring.lookup_n("key", 65_535)[0] == ring.lookup("key")
    assert set(ring.lookup_n("key", 65_535)) == set(ring.nodes)
    with pytest.raises(PlacementError, match="at most 65535"):
        HashRing(names, points_per_weight=1)
    with pytest.raises(PlacementError, match="at most 65535"):
        ring.updated(add=["one more"])


@pytest.mark.parametrize("scheme", ["crc32", "", None, 5])
def test_an_unknown_scheme_is_refused(scheme: Any) -> None:
    with pytest.raises(PlacementError, match="unknown ring scheme"):
        HashRing(["a"], scheme=scheme)


def test_a_ring_without_nodes_looks_nothing_up() -> None:
    ring = HashRing([])

    ring._validate()
    assert (len(ring), ring.nodes, ring.point_count) == (0, (), 0)
    assert ring.lookup_many([]).tolist() == []
    assert ring.partition(np.array([], "i8")) == {}
    for look in (
        ring.lookup,
        lambda key: ring.lookup_many([key]),
        lambda key: ring.partition([key]),
    ):
        with pytest.raises(PlacementError, match="the ring is empty"):
            look("key")
    with pytest.raises(PlacementError, match="1 distinct nodes"):
        ring.lookup_n("key", 1)


def test_a_bad_key_is_refused_before_the_empty_ring() -> None:
    with pytest.raises(KeyTypeError):
        HashRing([]).lookup(None)


def test_lookup_n_gives_distinct_nodes_in_ring_order() -> None:
    ring = HashRing([f"n{i}" for i in range(100)])
    table = points(ring)

    for key in range(50):
        position = position_of(key)
        walk = [node for at, node in table if at >= position] + [node for _, node in table]
        expected = tuple(dict.fromkeys(walk))
        assert ring.lookup_n(key, 100) == expected
        assert ring.lookup_n(key, n=3) == expected[:3]
        assert ring.lookup_n(key, 65) == expected[:65]


@pytest.mark.parametrize(
    "n", [0, -1, 3, 10**30, "2", 1.0, None, pytest.param(1 << 20_000, id="long")]
)
def test_lookup_n_refuses_more_than_there_are(n: Any) -> None:
    with pytest.raises(PlacementError):
        HashRing(["a", "b"]).lookup_n("key", n)


def test_updated_equals_a_ring_built_anew() -> None:
    chance = random.Random(3)
    names = [f"node {i}" for i in range(40)]
    ring = HashRing(names[:10], points_per_weight=7)

    for _ in range(60):
        present = list(ring.nodes)
        remove = chance.sample(present, chance.randrange(0, 4))
        absent = [name for name in names if name not in present]
        chance.shuffle(absent)
        add = {name: chance.choice([1, 0.3, 2]) for name in absent[:3]}
        add |= dict.fromkeys(remove[:1], 1.5)
        ring = ring.updated(add=add, remove=remove)

        ring._validate()
        assert ring == HashRing(ring.weights, points_per_weight=7)
        assert points(ring) == points(HashRing(ring.weights, points_per_weight=7))


def test_updated_keeps_the_order_and_appends_what_comes() -> None:
    ring = HashRing({"a": 1, "b": 2, "c": 3})

    changed = ring.updated(add={"d": 4, "a": 5}, remove=["a", "b"])

    assert dict(changed.weights) == {"a": 5.0, "c": 3.0, "d": 4.0}
    assert changed.nodes == ("a", "c", "d")
    assert ring.nodes == ("a", "b", "c")


def test_updated_with_nothing_is_an_equal_ring() -> None:
    ring = HashRing({"a": 1, "b": 2}, points_per_weight=10)

    assert ring.updated() == ring
    assert ring.updated(remove=["a", "b"]) == HashRing([])
    assert HashRing([]).updated(add=ring.weights) == HashRing(ring.weights)


def test_updated_keeps_points_per_weight() -> None:
    assert HashRing(["a"], points_per_weight=3).updated(add=["b"]).point_count == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"remove": ["z"]}, "unknown node 'z'"),
        ({"add": ["a"]}, "node 'a' is on the ring already"),
        ({"add": {"c": 0}}, "the weight of node 'c'"),
        ({"add": "c"}, "a list of node names"),
        ({"remove": "a"}, "a list of node names"),
        ({"add": ["c", "c"]}, "named twice"),
        ({"remove": [5]}, "node name 5 is int"),
    ],
)
def test_an_impossible_update_is_refused(change: dict[str, Any], message: str) -> None:
    ring = HashRing(["a", "b"])

    with pytest.raises(PlacementError, match=message):
        ring.updated(**change)

    assert ring == HashRing(["a", "b"])


def test_moves_are_what_changes_and_nothing_else() -> None:
    before = HashRing(["a", "b", "c"], points_per_weight=20)
    after = before.updated(add=["d"], remove=["a"])
    moves = before.moves_to(after)

    for key in range(2000):
        position = position_of(key)
        held = [move for move in moves if move.start <= position < move.end]
        owners = (before.lookup(key), after.lookup(key))
        assert [(m.source, m.target) for m in held] == ([owners] if owners[0] != owners[1] else [])


def test_moves_are_sorted_merged_and_end_at_the_key_space() -> None:
    before, after = HashRing(["a"], points_per_weight=9), HashRing(["b"], points_per_weight=9)

    moves = before.moves_to(after)

    assert moves.ranges == (RingMove(0, 2**32, "a", "b"),)
    assert moves.fraction == 1.0
    assert list(moves) == [(0, 2**32, "a", "b")]
    assert moves[0] == moves[-1] == RingMove(0, 2**32, "a", "b")
    assert moves[:0] == ()


def test_a_move_around_the_end_is_two() -> None:
    before = HashRing(["a", "b"], points_per_weight=1)
    low, high = points(before)

    moves = before.moves_to(HashRing([high[1]], points_per_weight=1))

    assert moves.ranges == (
        RingMove(0, low[0] + 1, low[1], high[1]),
        RingMove(high[0] + 1, 2**32, low[1], high[1]),
    )
    assert moves.fraction == (low[0] + 2**32 - high[0]) / 2**32


def test_rings_that_place_alike_have_no_moves() -> None:
    ring = HashRing({"a": 1, "b": 2})

    assert not ring.moves_to(HashRing({"b": 2, "a": 1}))
    assert ring.moves_to(ring) == RingMoves(())
    assert ring.moves_to(ring).fraction == 0.0
    assert not HashRing([]).moves_to(HashRing([]))


def test_moves_from_or_to_nothing_are_refused() -> None:
    ring = HashRing(["a"])

    for one, other in [(ring, HashRing([])), (HashRing([]), ring)]:
        with pytest.raises(PlacementError, match="without nodes"):
            one.moves_to(other)
    with pytest.raises(PlacementError, match="takes a HashRing"):
        ring.moves_to("a")


def test_equality_is_of_scheme_order_weights_and_points() -> None:
    ring = HashRing({"a": 1, "b": 2})

    assert ring == HashRing({"a": 1.0, "b": 2.0})
    assert hash(ring) == hash(HashRing({"a": 1.0, "b": 2.0}))
    assert ring.version_hash == HashRing({"a": 1.0, "b": 2.0}).version_hash
    others = [
        HashRing({"b": 2, "a": 1}),
        HashRing({"a": 1, "b": 3}),
        HashRing({"a": 1}),
        HashRing({"a": 1, "b": 2}, points_per_weight=20),
    ]
    assert all(ring != other for other in others)
    assert len({ring.version_hash, *(other.version_hash for other in others)}) == 5
    assert ring != ("a", "b")


def test_pickle_and_copy_keep_the_configuration_only() -> None:
    ring = HashRing({"a": 1, "b": 0.3}, points_per_weight=1000)

    packed = pickle.dumps(ring)

    assert len(packed) < 300
    for again in (pickle.loads(packed), copy.copy(ring), copy.deepcopy(ring)):
        assert again == ring
        assert again.updated(add=["c"]) == ring.updated(add=["c"])
        again._validate()


def test_repr_is_short_and_tells_rings_apart() -> None:
    ring = HashRing([f"n{i}" for i in range(1000)], points_per_weight=1)

    assert repr(ring) == (
        f"<HashRing of 1000 nodes, 1000 points (xxh64), version {ring.version_hash}>"
    )


def test_a_ring_does_not_change() -> None:
    ring = HashRing(["a"])

    with pytest.raises(RuntimeError, match="immutable"):
        HashRing.__init__(ring, ["b"])
    for name in ("nodes", "weights", "scheme", "point_count", "owners", "note"):
        with pytest.raises(AttributeError):
            setattr(ring, name, 1)
    with pytest.raises(TypeError):
        ring.weights["a"] = 2.0
    with pytest.raises(TypeError):
        ring._points()[0][0] = 1
    assert ring == HashRing(["a"])


def test_a_ring_that_was_never_built_raises_and_does_not_crash() -> None:
    for empty in (Ring(), HashRing.__new__(HashRing)):
        with pytest.raises(PlacementError):
            empty.lookup("a")
        with pytest.raises(PlacementError):
            empty.lookup_n("a", 1)
        for call in (empty.lookup_many, empty.partition):
            with pytest.raises(RuntimeError):
                call(["a"])
        with pytest.raises(RuntimeError):
            empty._validate()
        with pytest.raises(PlacementError):
            HashRing(["a"])._moves(empty)
        with pytest.raises(RuntimeError):
            Ring()._build((), (), (), points_per_weight=1, scheme="xxh64", base=empty)
