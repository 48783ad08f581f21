"""Rings of the schemes ketama and ketama-twemproxy."""

import hashlib
import math
import pickle
from typing import Any

import pytest

from shardhash import HashRing, PlacementError, RingMove
from shardhash.hashing import md5_ketama

SCHEMES = ["ketama", "ketama-twemproxy"]


def points(ring: HashRing) -> list[tuple[int, str]]:
    ring._validate()
    positions, owners = ring._points()
    return [(at, ring.nodes[i]) for at, i in zip(positions, owners, strict=True)]


def test_a_ring_has_the_points_of_libketama() -> None:
    ring = HashRing({"127.0.0.1:11211": 600, "127.0.0.1:11212": 400}, scheme="ketama")

    found = [at for at, _ in points(ring)]

    assert (len(found), found[0], found[-1]) == (320, 2674639, 4292320248)
    assert ring.point_count == 320
    assert ring.scheme == "ketama"


@pytest.mark.parametrize(("key", "port"), [("test", 11211), ("2", 11212), ("hello", 11211)])
def test_a_key_has_the_node_of_libketama(key: str, port: int) -> None:
    ring = HashRing({"127.0.0.1:11211": 600, "127.0.0.1:11212": 400}, scheme="ketama")

    assert ring.lookup(key) == f"127.0.0.1:{port}"
    assert ring.nodes[ring.lookup_many([key])[0]] == f"127.0.0.1:{port}"


def test_a_key_on_a_point_has_the_node_of_the_point() -> None:
    ring = HashRing({"10.0.0.1:11211": 600, "10.0.0.2:11211": 400}, scheme="ketama")

    assert (md5_ketama("10.0.0.1:11211-0"), "10.0.0.1:11211") in points(ring)
    assert ring.lookup("10.0.0.1:11211-0") == "10.0.0.1:11211"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_points_are_the_words_of_numbered_md5s(scheme: str) -> None:
    ring = HashRing(["é"], scheme=scheme)

    digests = b"".join(hashlib.md5(f"é-{k}".encode()).digest() for k in range(40))
    words = [int.from_bytes(digests[i : i + 4], "little") for i in range(0, len(digests), 4)]
    assert points(ring) == [(word, "é") for word in sorted(words)]


@pytest.mark.parametrize(
    ("scheme", "fewer"),
    [
        ("ketama", [61, 122, 237, 244]),
        ("ketama-twemproxy", [25, 47, 50, 55, 61, 71, 94, 100, 107, 109, 110, 115, 122, 142]),
    ],
)
def test_float32_takes_four_points_from_each_of_some_numbers_of_equal_nodes(
    scheme: str, fewer: list[int]
) -> None:
    for count in range(1, fewer[-1] + 1):
        ring = HashRing([f"n{i}" for i in range(count)], scheme=scheme)
        assert ring.point_count == (156 if count in fewer else 160) * count


def test_libketama_and_twemproxy_round_apart() -> None:
    weights = {f"n{i}": 1 for i in range(25)}

    assert HashRing(weights, scheme="ketama").point_count == 25 * 160
    assert HashRing(weights, scheme="ketama-twemproxy").point_count == 25 * 156


@pytest.mark.parametrize(
    ("key", "position"),
    [("", 0x84222325), ("a", 0x8601EC8C), ("foobar", 0xF73967E8)],
)
def test_twemproxy_hashes_keys_by_the_low_half_of_fnv1a(key: str, position: int) -> None:
    ring = HashRing({"a": 3, "b": 2, "c": 1}, scheme="ketama-twemproxy")
    table = points(ring)

    later = [node for at, node in table if at >= position]
    assert ring.lookup(key) == (later or [table[0][1]])[0]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("factor", [160, 160.0, 40, None])
def test_points_per_weight_is_refused(scheme: str, factor: Any) -> None:
    with pytest.raises(PlacementError, match=f"points_per_weight was given with scheme '{scheme}'"):
        HashRing(["a"], scheme=scheme, points_per_weight=factor)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "weights", [{"a": 1e308, "b": 1e308}, {"a": 3e38, "b": 3e38}, {"a": 1e300}, {"a": 1e-39}]
)
def test_weights_beyond_float32_are_refused(scheme: str, weights: dict[str, float]) -> None:
    with pytest.raises(PlacementError, match="ketama computes in float32"):
        HashRing(weights, scheme=scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_node_too_light_for_a_point_gets_no_key(scheme: str) -> None:
    ring = HashRing({"light": 1e-30, "a": 1, "b": 1}, scheme=scheme)

    assert {node for _, node in points(ring)} == {"a", "b"}
    assert ring.nodes == ("light", "a", "b")
    assert ring.lookup_n("key", 2) in [("a", "b"), ("b", "a")]
    with pytest.raises(PlacementError, match=r"3 distinct nodes .* has 2 with a point"):
        ring.lookup_n("key", 3)
    assert ring.updated(remove=["a", "b"]).lookup_n("key", 1) == ("light",)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_any_number_of_nodes_is_a_ring(scheme: str) -> None:
    ring = HashRing([f"10.{i >> 8}.{i & 255}.1:11211" for i in range(10_000)], scheme=scheme)

    ring._validate()
    assert 156 * 10_000 <= ring.point_count <= 160 * 10_000
    assert len(set(ring.lookup_n("key", 1000))) == 1000


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_ring_without_nodes_looks_nothing_up(scheme: str) -> None:
    ring = HashRing([], scheme=scheme)

    assert ring.point_count == 0
    assert ring.updated(add={"a": 2}) == HashRing({"a": 2}, scheme=scheme)
    with pytest.raises(PlacementError, match="the ring is empty"):
        ring.lookup("key")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_update_keeps_the_scheme_and_counts_all_points_anew(scheme: str) -> None:
    ring = HashRing({"a": 1, "b": 3}, scheme=scheme)

    changed = ring.updated(add={"c": 1}, remove=["a"])

    assert changed == HashRing({"b": 3, "c": 1}, scheme=scheme)
    assert points(changed) == points(HashRing({"c": 1, "b": 3}, scheme=scheme))
    assert changed.version_hash == HashRing({"b": 3, "c": 1}, scheme=scheme).version_hash


def test_a_node_added_may_move_keys_between_others() -> None:
    before = HashRing({"a": 1, "b": 3}, scheme="ketama")
    after = before.updated(add={"c": 1})

    assert {move.target for move in before.moves_to(after)} == {"a", "b", "c"}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_moves_of_everything_are_one(scheme: str) -> None:
    moves = HashRing(["a"], scheme=scheme).moves_to(HashRing(["b"], scheme=scheme))

    assert moves.ranges == (RingMove(0, 2**32, "a", "b"),)


def test_rings_of_different_schemes_are_different() -> None:
    rings = [HashRing(["a", "b"], scheme=scheme) for scheme in ("xxh64", *SCHEMES)]

    assert len({*rings}) == len({ring.version_hash for ring in rings}) == 3
    with pytest.raises(PlacementError, match="no moves from scheme 'ketama'"):
        rings[1].moves_to(rings[2])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pickle_keeps_the_configuration_only(scheme: str) -> None:
    ring = HashRing({"a": 1, "b": 0.3}, scheme=scheme)

    packed = pickle.dumps(ring)
    again = pickle.loads(packed)

    assert len(packed) < 300
    assert again == ring
    assert hash(again) == hash(ring)
    assert points(again) == points(ring)
    assert again.updated(add=["c"]) == ring.updated(add=["c"])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ties_are_in_the_order_of_names(scheme: str) -> None:
    shared: dict[int, str] = {}
    for i in range(3_000):
        name = f"node {i}"
        digests = b"".join(hashlib.md5(f"{name}-{k}".encode()).digest() for k in range(40))
        words = {int.from_bytes(digests[j : j + 4], "little") for j in range(0, 640, 4)}
        if tie := shared.keys() & words:
            break
        shared |= dict.fromkeys(words, name)
    point = tie.pop()
    pair = sorted([name, shared[point]])

    for names in (pair, pair[::-1]):
        ring = HashRing(names, scheme=scheme)
        assert [node for at, node in points(ring) if at == point] == pair
        assert points(HashRing(names[:1], scheme=scheme).updated(add=names[1:])) == points(ring)


def test_the_sum_of_weights_does_not_depend_on_their_order() -> None:
    # Added one by one to the others, the light ones would be lost, and 2**24 + 1 is a tie.
    weights = {"a": 2.0**24, "b": 1.0, **{f"light {i}": 2.0**-29 for i in range(8)}}
    ring = HashRing(weights, scheme="ketama")

    assert ring.point_count == 4 * math.floor(2**24 / (2**24 + 2) * 40 * 10)
    assert not ring.moves_to(HashRing(dict(reversed(weights.items())), scheme="ketama"))
