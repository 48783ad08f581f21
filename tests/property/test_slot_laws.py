import pickle
from dataclasses import dataclass

from hypothesis import assume, given
from hypothesis import strategies as st

from reference.slots import SlotMapTwin
from shardhash import SlotMap, SlotSet
from strategies import hash_keys, names, weighted, weights

slot_sets = st.builds(set, st.lists(st.integers(0, 40) | st.integers(0, 65_535), max_size=30))
slot_counts = st.sampled_from([1, 2, 4, 16, 64, 256])
schemes = st.sampled_from(["crc32", "xxh64"])


@dataclass(frozen=True)
class Pair:
    """A map and its twin, made alike."""

    fast: SlotMap
    twin: SlotMapTwin

    def __repr__(self) -> str:
        return f"{self.twin.owners} weights {self.twin.weights}"


def owner_list(placement: SlotMap) -> list[str]:
    table: list[str] = [""] * placement.slot_count
    for shard in placement.shards:
        for slot in placement.slots_of(shard):
            assert table[slot] == ""
            table[slot] = shard
    assert "" not in table
    return table


@st.composite
def even_pairs(draw: st.DrawFn, min_size: int = 1) -> Pair:
    shares = draw(weighted(min_size=min_size))
    count, scheme = draw(slot_counts), draw(schemes)
    fast = SlotMap.even(shares, slot_count=count, weights=shares, scheme=scheme)
    return Pair(fast, SlotMapTwin.even(shares, count, scheme))


@st.composite
def uneven_pairs(draw: st.DrawFn, min_size: int = 1) -> Pair:
    shares = draw(weighted(min_size=min_size))
    count, scheme = draw(slot_counts), draw(schemes)
    owners = draw(st.lists(st.sampled_from(sorted(shares)), min_size=count, max_size=count))
    sets = {name: SlotSet(i for i in range(count) if owners[i] == name) for name in shares}
    return Pair(SlotMap(sets, weights=shares, scheme=scheme), SlotMapTwin(owners, shares, scheme))


def pairs(min_size: int = 1) -> st.SearchStrategy[Pair]:
    return even_pairs(min_size) | uneven_pairs(min_size)


@given(slot_sets)
def test_a_slot_set_is_its_slots(slots: set[int]) -> None:
    made = SlotSet(slots)

    assert list(made) == sorted(slots)
    assert len(made) == len(slots)
    assert all(slot in made for slot in slots)
    assert SlotSet.parse(str(made)) == made
    assert SlotSet.from_ranges(made.ranges) == made
    assert pickle.loads(pickle.dumps(made)) == made


@given(slot_sets, slot_sets)
def test_the_algebra_of_slot_sets_is_that_of_sets(left: set[int], right: set[int]) -> None:
    first, second = SlotSet(left), SlotSet(right)

    assert first | second == SlotSet(left | right)
    assert first & second == SlotSet(left & right)
    assert first - second == SlotSet(left - right)
    assert (first == second) == (left == right)
    if left == right:
        assert hash(first) == hash(second)
        assert str(first) == str(second)


@given(slot_sets, slot_sets)
def test_ranges_stay_canonical(left: set[int], right: set[int]) -> None:
    first, second = SlotSet(left), SlotSet(right)

    for made in (first, first | second, first & second, first - second):
        edges = [edge for pair in made.ranges for edge in pair]
        assert edges == sorted(set(edges))


@given(pairs())
def test_a_map_equals_its_twin(pair: Pair) -> None:
    assert owner_list(pair.fast) == pair.twin.owners


@given(pairs(), st.lists(hash_keys, max_size=20))
def test_every_key_has_the_twins_slot_and_owner(pair: Pair, keys: list[object]) -> None:
    for key in keys:
        assert pair.fast.slot(key) == pair.twin.slot(key)
        assert pair.fast.lookup(key) == pair.twin.lookup(key)


@given(pairs(), names, weights)
def test_with_shard_equals_its_twin_and_only_the_newcomer_takes(
    pair: Pair, name: str, weight: float
) -> None:
    assume(name not in pair.fast.shards)

    grown = pair.fast.with_shard(name, weight=weight)

    assert owner_list(grown) == pair.twin.with_shard(name, weight).owners
    assert {move.target for move in pair.fast.moves_to(grown)} <= {name}
    assert grown.shards == (*pair.fast.shards, name)


@given(pairs(min_size=2), st.data())
def test_without_shard_equals_its_twin_and_leaves_the_others_slots(
    pair: Pair, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(pair.fast.shards))

    left = pair.fast.without_shard(name)

    assert owner_list(left) == pair.twin.without_shard(name).owners
    assert {move.source for move in pair.fast.moves_to(left)} <= {name}
    for shard in left.shards:
        assert not pair.fast.slots_of(shard) - left.slots_of(shard)


@given(pairs(), names, st.floats(0, 1), st.data())
def test_with_split_equals_its_twin(
    pair: Pair, target: str, fraction: float, data: st.DataObject
) -> None:
    large = [shard for shard in pair.fast.shards if len(pair.fast.slots_of(shard)) > 1]
    assume(large)
    assume(target not in pair.fast.shards)
    source = data.draw(st.sampled_from(large))

    split = pair.fast.with_split(source, target, fraction)

    assert owner_list(split) == pair.twin.with_split(source, target, fraction).owners
    assert 1 <= len(split.slots_of(target)) < len(pair.fast.slots_of(source))


@given(pairs(), st.data())
def test_moved_slots_and_no_others_go_to_the_target(pair: Pair, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(pair.fast.shards))
    slots = data.draw(st.sets(st.integers(0, pair.fast.slot_count - 1)))

    moved = pair.fast.with_slots_moved(SlotSet(slots), target)

    assert owner_list(moved) == [
        target if slot in slots else owner for slot, owner in enumerate(pair.twin.owners)
    ]


@given(pairs(), st.data())
def test_moves_are_exact_and_minimal(pair: Pair, data: st.DataObject) -> None:
    count = pair.fast.slot_count
    shards = st.sampled_from([*pair.fast.shards, "another"])
    owners = data.draw(st.lists(shards, min_size=count, max_size=count))
    other = SlotMap(owners, scheme=pair.fast.scheme)

    moves = pair.fast.moves_to(other)

    expected = pair.twin.moves_to(SlotMapTwin(owners, {}))
    assert {(move.source, move.target): list(move.slots) for move in moves} == expected
    assert [(move.source, move.target) for move in moves] == list(expected)
    assert moves.slot_count == sum(map(len, expected.values()))
    assert moves.fraction == moves.slot_count / count


@given(st.lists(names, unique=True, min_size=1, max_size=20), slot_counts)
def test_equal_weights_differ_by_one_slot_at_most(shards: list[str], count: int) -> None:
    grown = SlotMap.even(shards[:1], slot_count=count)
    for shard in shards[1:]:
        grown = grown.with_shard(shard)

        sizes = [len(grown.slots_of(shard)) for shard in grown.shards]
        assert max(sizes) - min(sizes) <= 1

    sizes = list(map(len, map(SlotMap.even(shards, slot_count=count).slots_of, shards)))
    assert max(sizes) - min(sizes) <= 1


@given(pairs())
def test_a_map_survives_pickle_and_its_own_texts(pair: Pair) -> None:
    texts = {shard: str(pair.fast.slots_of(shard)) for shard in pair.fast.shards}
    again = SlotMap(texts, weights=pair.fast.weights, scheme=pair.fast.scheme)

    for same in (again, pickle.loads(pickle.dumps(pair.fast))):
        assert same == pair.fast
        assert hash(same) == hash(pair.fast)
        assert same.version_hash == pair.fast.version_hash


@given(pairs(), pairs())
def test_version_hashes_are_equal_just_for_equal_maps(one: Pair, two: Pair) -> None:
    assert (one.fast == two.fast) == (one.fast.version_hash == two.fast.version_hash)
