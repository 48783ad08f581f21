import pickle
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from reference.ranges import RangeMapTwin
from shardhash import RangeMap
from strategies import texts

KEYS: dict[str, tuple[type, st.SearchStrategy[Any]]] = {
    "int": (int, st.integers() | st.integers(-20, 20)),
    "str": (str, texts | st.text("ab", max_size=3)),
    "bytes": (bytes, st.binary(max_size=3)),
    "date": (date, st.dates()),
    "naive": (datetime, st.datetimes()),
    "aware": (datetime, st.datetimes(timezones=st.just(UTC))),
}
shard_names = st.sampled_from(["a", "b", "c", "dé"])


@dataclass(frozen=True)
class Case:
    """A map, its twin, another map of the same keys, and keys on, beside and off the bounds."""

    fast: RangeMap
    twin: RangeMapTwin
    other: RangeMap
    keys: list[Any]

    def __repr__(self) -> str:
        return f"{self.twin.bounds} {self.twin.shards}, keys {self.keys}"


@st.composite
def cases(draw: st.DrawFn) -> Case:
    key_type, keys = KEYS[draw(st.sampled_from(sorted(KEYS)))]

    def one_map() -> RangeMap:
        bounds = sorted(draw(st.sets(keys, max_size=6)))
        size = len(bounds) + 1
        shards = draw(st.lists(shard_names, min_size=size, max_size=size))
        return RangeMap(bounds, shards, key_type=key_type)

    fast, other = one_map(), one_map()
    drawn = draw(st.lists(keys, max_size=10))
    twin = RangeMapTwin(fast.bounds, fast.range_shards)
    return Case(fast, twin, other, [*drawn, *fast.bounds, *other.bounds])


@given(cases())
def test_a_map_equals_its_twin(case: Case) -> None:
    owners = [case.twin.lookup(key) for key in case.keys]

    assert [case.fast.lookup(key) for key in case.keys] == owners
    assert [case.fast.owners[i] for i in case.fast.lookup_many(case.keys)] == owners


@given(cases())
def test_ranges_cover_without_overlap(case: Case) -> None:
    def holds(lower: Any, upper: Any, key: Any) -> bool:
        return (lower is None or lower <= key) and (upper is None or key < upper)

    ranges = [(pair, shard) for shard in case.fast.shards for pair in case.fast.ranges_of(shard)]

    assert len(ranges) == len(case.fast.bounds) + 1
    for key in case.keys:
        holders = [shard for pair, shard in ranges if holds(*pair, key)]
        assert holders == [case.fast.lookup(key)]


@given(cases())
def test_partition_is_a_partition_and_foreign_its_complement(case: Case) -> None:
    parts = case.fast.partition(case.keys)

    assert list(parts) == [shard for shard in case.fast.shards if shard in parts]
    for shard in case.fast.shards:
        foreign = set(case.fast.foreign(shard, case.keys))
        own = [key for i, key in enumerate(case.keys) if i not in foreign]
        assert own == parts.get(shard, [])
        assert all(case.fast.lookup(key) == shard for key in own)


@given(cases())
def test_a_key_moves_if_and_only_if_it_is_in_a_move(case: Case) -> None:
    moves = case.fast.moves_to(case.other)

    for key in case.keys:
        held = [
            (move.source, move.target)
            for move in moves
            if (move.lower is None or move.lower <= key)
            and (move.upper is None or key < move.upper)
        ]
        owners = (case.fast.lookup(key), case.other.lookup(key))
        assert held == ([owners] if owners[0] != owners[1] else [])


@given(cases())
def test_moves_are_minimal(case: Case) -> None:
    moves = case.fast.moves_to(case.other)

    assert all(move.source != move.target for move in moves)
    for move in moves:
        assert move.lower is None or move.upper is None or move.lower < move.upper
    for first, second in pairwise(moves):
        assert first.upper <= second.lower
        assert (first.upper, first.source, first.target) != (
            second.lower,
            second.source,
            second.target,
        )


@given(cases(), shard_names, st.data())
def test_a_split_moves_just_its_part_and_a_merge_takes_it_back(
    case: Case, target: str, data: st.DataObject
) -> None:
    free = [key for key in case.keys if key not in case.fast.bounds]
    assume(free)
    at = data.draw(st.sampled_from(free))
    upper = min((bound for bound in case.fast.bounds if bound > at), default=None)

    split = case.fast.with_split(at, target)

    for key in case.keys:
        inside = at <= key and (upper is None or key < upper)
        assert split.lookup(key) == (target if inside else case.fast.lookup(key))
    assert split.with_merged(at, into=case.fast.lookup(at)) == case.fast


@given(cases())
def test_a_map_survives_pickle(case: Case) -> None:
    again = pickle.loads(pickle.dumps(case.fast))

    assert again == case.fast
    assert hash(again) == hash(case.fast)
    assert again.version_hash == case.fast.version_hash


@given(cases())
def test_version_hashes_are_equal_just_for_equal_maps(case: Case) -> None:
    same = case.fast.version_hash == case.other.version_hash

    assert same == (case.fast == case.other)
