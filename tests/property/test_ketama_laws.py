import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.ring import KetamaTwin
from shardhash import HashRing
from strategies import Bulk, bulk_keys, hash_keys, weighted

pytestmark = pytest.mark.parametrize("scheme", ["ketama", "ketama-twemproxy"])
keys_lists = st.lists(hash_keys | st.binary(max_size=150), max_size=30)


@given(weighted(), keys_lists)
def test_a_ring_equals_its_twin(scheme: str, nodes: dict[str, float], keys: list[object]) -> None:
    ring = HashRing(nodes, scheme=scheme)
    twin = KetamaTwin(nodes, scheme)
    positions, owners = ring._points()

    ring._validate()
    assert [
        (at, ring.nodes[owner].encode()) for at, owner in zip(positions, owners, strict=True)
    ] == twin.points
    assert [ring.lookup(key) for key in keys] == [twin.lookup(key) for key in keys]


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 2**40), min_size=1))
def test_points_are_those_of_the_twin_for_any_whole_weights(
    scheme: str, nodes: dict[str, int]
) -> None:
    assert HashRing(nodes, scheme=scheme).point_count == len(KetamaTwin(nodes, scheme).points)


@given(weighted(), bulk_keys)
def test_bulk_equals_scalar_for_every_input_kind(
    scheme: str, nodes: dict[str, float], bulk: Bulk
) -> None:
    ring = HashRing(nodes, scheme=scheme)

    found = ring.lookup_many(bulk.keys())

    assert [ring.nodes[owner] for owner in found] == [ring.lookup(key) for key in bulk.plain]


@given(weighted(), hash_keys)
def test_lookup_n_equals_its_twin_and_begins_with_the_owner(
    scheme: str, nodes: dict[str, float], key: object
) -> None:
    ring = HashRing(nodes, scheme=scheme)
    twin = KetamaTwin(nodes, scheme)
    placed = len({name for _, name in twin.points})

    for n in range(1, placed + 1):
        assert ring.lookup_n(key, n) == twin.lookup_n(key, n)
    assert ring.lookup_n(key, 1) == (ring.lookup(key),)


@given(weighted(), st.randoms())
def test_the_order_of_nodes_does_not_matter(
    scheme: str, nodes: dict[str, float], chance: random.Random
) -> None:
    shuffled = list(nodes.items())
    chance.shuffle(shuffled)

    assert not HashRing(nodes, scheme=scheme).moves_to(HashRing(dict(shuffled), scheme=scheme))


@given(weighted(), weighted())
def test_an_update_equals_a_ring_built_anew(
    scheme: str, nodes: dict[str, float], others: dict[str, float]
) -> None:
    before = HashRing(nodes, scheme=scheme)
    fresh = HashRing(others, scheme=scheme)

    after = before.updated(add=others, remove=nodes)

    after._validate()
    assert not fresh.moves_to(after)
    assert after.weights == fresh.weights


@given(weighted(), weighted())
def test_moves_equal_the_twins(
    scheme: str, nodes: dict[str, float], others: dict[str, float]
) -> None:
    moves = HashRing(nodes, scheme=scheme).moves_to(HashRing(others, scheme=scheme))

    expected = KetamaTwin(nodes, scheme).moves_to(KetamaTwin(others, scheme))
    assert [tuple(move) for move in moves.ranges] == expected


@given(weighted())
def test_a_ring_survives_pickle(scheme: str, nodes: dict[str, float]) -> None:
    ring = HashRing(nodes, scheme=scheme)

    again = pickle.loads(pickle.dumps(ring))

    assert (again, hash(again), again.version_hash) == (ring, hash(ring), ring.version_hash)
