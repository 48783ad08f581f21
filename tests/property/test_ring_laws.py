import pickle
import random

from hypothesis import assume, given
from hypothesis import strategies as st

from reference.ring import KEY_SPACE, HashRingTwin
from shardhash import HashRing
from strategies import hash_keys, names, weighted, weights

factors = st.integers(1, 12)
keys_lists = st.lists(hash_keys, max_size=30)


def check_against(ring: HashRing, twin: HashRingTwin, keys: list[object]) -> None:
    ring._validate()
    assert [ring.lookup(key) for key in keys] == [twin.lookup(key) for key in keys]


@given(weighted(), factors, keys_lists)
def test_a_ring_equals_its_twin(nodes: dict[str, float], factor: int, keys: list[object]) -> None:
    ring = HashRing(nodes, points_per_weight=factor)
    twin = HashRingTwin(nodes, factor)

    assert ring.point_count == len(twin.points)
    check_against(ring, twin, keys)


@given(weighted(), factors, hash_keys)
def test_lookup_n_equals_its_twin_and_begins_with_the_owner(
    nodes: dict[str, float], factor: int, key: object
) -> None:
    ring = HashRing(nodes, points_per_weight=factor)
    twin = HashRingTwin(nodes, factor)

    for n in range(1, len(nodes) + 1):
        assert ring.lookup_n(key, n) == twin.lookup_n(key, n)
    assert ring.lookup_n(key, 1) == (ring.lookup(key),)


@given(weighted(), factors, keys_lists, st.randoms())
def test_the_order_of_nodes_does_not_matter(
    nodes: dict[str, float], factor: int, keys: list[object], chance: random.Random
) -> None:
    shuffled = list(nodes.items())
    chance.shuffle(shuffled)
    first = HashRing(nodes, points_per_weight=factor)
    second = HashRing(dict(shuffled), points_per_weight=factor)

    assert not first.moves_to(second)
    assert [first.lookup(key) for key in keys] == [second.lookup(key) for key in keys]


@given(weighted(), names, weights, factors, keys_lists)
def test_a_node_added_takes_keys_only_for_itself(
    nodes: dict[str, float], name: str, weight: float, factor: int, keys: list[object]
) -> None:
    assume(name not in nodes)
    before = HashRing(nodes, points_per_weight=factor)

    after = before.updated(add={name: weight})

    check_against(after, HashRingTwin({**nodes, name: weight}, factor), keys)
    assert after == HashRing({**nodes, name: weight}, points_per_weight=factor)
    assert {move.target for move in before.moves_to(after).ranges} <= {name}
    for key in keys:
        assert after.lookup(key) in (before.lookup(key), name)


@given(weighted(min_size=2), factors, keys_lists, st.data())
def test_the_keys_of_a_removed_node_go_elsewhere_and_no_others_move(
    nodes: dict[str, float], factor: int, keys: list[object], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(nodes)))
    left = {node: weight for node, weight in nodes.items() if node != name}
    before = HashRing(nodes, points_per_weight=factor)

    after = before.updated(remove=[name])

    check_against(after, HashRingTwin(left, factor), keys)
    assert after == HashRing(left, points_per_weight=factor)
    assert {move.source for move in before.moves_to(after).ranges} <= {name}
    for key in keys:
        assert after.lookup(key) == before.lookup(key) or before.lookup(key) == name


@given(weighted(), weighted(), factors, factors)
def test_moves_equal_the_twins(
    nodes: dict[str, float], others: dict[str, float], factor: int, other_factor: int
) -> None:
    before = HashRing(nodes, points_per_weight=factor)
    after = HashRing(others, points_per_weight=other_factor)

    moves = before.moves_to(after)

    expected = HashRingTwin(nodes, factor).moves_to(HashRingTwin(others, other_factor))
    assert [tuple(move) for move in moves.ranges] == expected
    assert moves.fraction == sum(end - start for start, end, _, _ in expected) / KEY_SPACE


@given(weighted(), weighted(), factors, keys_lists)
def test_a_key_moves_if_and_only_if_its_position_is_in_a_move(
    nodes: dict[str, float], others: dict[str, float], factor: int, keys: list[object]
) -> None:
    before = HashRing(nodes, points_per_weight=factor)
    after = HashRing(others, points_per_weight=factor)
    moves = before.moves_to(after).ranges
    twin = HashRingTwin(nodes, factor)

    for key in keys:
        position = twin.position(key)
        held = [move for move in moves if move.start <= position < move.end]
        owners = (before.lookup(key), after.lookup(key))
        assert [(move.source, move.target) for move in held] == (
            [owners] if owners[0] != owners[1] else []
        )


@given(weighted(), factors)
def test_a_ring_survives_pickle(nodes: dict[str, float], factor: int) -> None:
    ring = HashRing(nodes, points_per_weight=factor)

    again = pickle.loads(pickle.dumps(ring))

    assert again == ring
    assert hash(again) == hash(ring)
    assert again.version_hash == ring.version_hash
    assert list(again.nodes) == list(ring.nodes)
