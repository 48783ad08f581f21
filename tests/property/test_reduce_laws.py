"""Reducing the partials of any partition gives what reducing the whole gives."""

from collections import Counter
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardhash.db.reduce import (
    Fold,
    GroupPlan,
    MemoryCap,
    SortKey,
    fold_groups,
    hold,
    merge_sorted,
    ranks_of,
    sort_rows,
)
from shardhash.errors import MemoryCapError

WIDE = MemoryCap(2**40)
EXACT = Context(prec=100)
amounts = st.none() | st.integers(-(10**35), 10**35).map(lambda n: EXACT.scaleb(Decimal(n), -2))
texts = st.none() | st.sampled_from(["a", "A", "b", "B", "ba", "", "á"])
rows_of_a_table = st.lists(
    st.tuples(st.sampled_from([None, 1, 2, 3]), texts, amounts, st.none() | st.integers(-3, 3)),
    max_size=30,
)
GROUP, TEXT, AMOUNT, NUMBER = range(4)


def weight(text: str | None) -> bytes | None:
    """Return what stands for a text under a collation without case."""
    return None if text is None else text.lower().encode()


def spread(draw: st.DrawFn, rows: list[Any]) -> list[list[Any]]:
    shards: list[list[Any]] = [[] for _ in range(draw(st.integers(1, 4)))]
    for row in rows:
        shards[draw(st.integers(0, len(shards) - 1))].append(row)
    return shards


@st.composite
def partitions(draw: st.DrawFn) -> tuple[list[Any], list[list[Any]]]:
    rows = draw(rows_of_a_table)
    return rows, spread(draw, rows)


def partial_groups(rows: list[Any], *, has_groups: bool = True) -> list[Any]:
    """Return what a shard answers: key, COUNT(*), SUM, MIN and MAX of the text and its weight."""
    groups: dict[Any, list[Any]] = {} if has_groups else {None: []}
    for row in rows:
        groups.setdefault(row[GROUP] if has_groups else None, []).append(row)
    return [partial(key, members) for key, members in groups.items()]


def total_of(values: list[Decimal]) -> Decimal | None:
    """Return an exact sum, over whole numbers of hundredths."""
    hundredths = [int(EXACT.scaleb(value, 2)) for value in values]
    return EXACT.scaleb(Decimal(sum(hundredths)), -2) if values else None


def partial(key: Any, rows: list[Any]) -> tuple[Any, ...]:
    sums = [row[AMOUNT] for row in rows if row[AMOUNT] is not None]
    words = [row[TEXT] for row in rows if row[TEXT] is not None]
    low, high = min(words, key=weight, default=None), max(words, key=weight, default=None)
    total = total_of(sums)
    return key, len(rows), len(sums), total, low, weight(low), high, weight(high)


PLAN = GroupPlan(
    (0,),
    (
        Fold("first", 0),
        Fold("count", 1),
        Fold("count", 2),
        Fold("sum", 3),
        Fold("min", 4, 5),
        Fold("max", 6, 7),
    ),
)
TOTALS = GroupPlan((), PLAN.folds[1:], has_groups=False)


def folded(plan: GroupPlan, partials: list[Any]) -> Counter[Any]:
    """Return the groups, with the weights of texts in place of which of equal ones was taken."""
    found: Counter[Any] = Counter()
    for state in fold_groups(partials, plan, WIDE):
        *values, low, high = list(state)[: len(plan.folds)]
        found[(*values, weight(low), weight(high))] += 1
    return found


@given(partitions())
def test_groups_of_any_partition_are_those_of_the_whole(case: Any) -> None:
    rows, shards = case
    partials = [row for shard in shards for row in partial_groups(shard)]

    whole = Counter(
        (key, n, known, total, low, high)
        for key, n, known, total, _, low, _, high in partial_groups(rows)
    )
    assert folded(PLAN, partials) == whole
    assert folded(PLAN, partial_groups(rows)) == whole


@given(partitions())
def test_totals_of_any_partition_are_those_of_the_whole(case: Any) -> None:
    rows, shards = case
    partials = [row for shard in shards for row in partial_groups(shard, has_groups=False)]

    _, n, known, total, _, low, _, high = partial(None, rows)
    assert folded(TOTALS, partials) == Counter([(n, known, total, low, high)])


@given(rows_of_a_table)
def test_each_row_may_be_a_partition_of_its_own(rows: list[Any]) -> None:
    partials = [partial(row[GROUP], [row]) for row in rows]

    assert folded(PLAN, partials) == folded(PLAN, partial_groups(rows))


@given(st.lists(amounts, max_size=40), st.data())
def test_sums_are_exact_and_do_not_depend_on_the_order(values: list[Any], data: Any) -> None:
    shuffled = data.draw(st.permutations(values))
    plan = GroupPlan((), (Fold("sum", 0),), has_groups=False)
    (state,) = fold_groups([(value,) for value in shuffled], plan, WIDE)

    assert state[0] == total_of([value for value in values if value is not None])


@given(partitions())
def test_distinct_values_count_once_whatever_the_partition(case: Any) -> None:
    rows, shards = case
    plan = GroupPlan(
        (0,), (Fold("distinct count", 1, identity=(1,)), Fold("distinct sum", 1, identity=(1,)))
    )
    partials = [pair for shard in shards for pair in {(r[GROUP], r[NUMBER]): 0 for r in shard}]

    expected = Counter()
    for key in {row[GROUP] for row in rows}:
        numbers = {r[NUMBER] for r in rows if r[GROUP] == key and r[NUMBER] is not None}
        expected[(len(numbers), sum(numbers) if numbers else None)] += 1
    assert Counter(map(tuple, fold_groups(partials, plan, WIDE))) == expected


def test_no_partials_are_no_groups_and_one_row_of_totals() -> None:
    assert list(fold_groups([], PLAN, WIDE)) == []
    assert [list(s) for s in fold_groups([], TOTALS, WIDE)] == [[0, 0, None, None, None]]


keys_of_rows = st.lists(
    st.tuples(st.integers(0, 2), st.booleans(), st.sampled_from([None, True, False])),
    min_size=1,
    max_size=3,
)


@given(
    st.lists(st.tuples(st.none() | st.integers(-2, 2), amounts, texts), max_size=25),
    keys_of_rows,
    st.data(),
)
def test_merging_sorted_parts_is_sorting_the_whole(rows: Any, keys: Any, data: Any) -> None:
    order = [SortKey(*key) for key in keys]
    shards = spread(data.draw, rows)
    merged = list(merge_sorted([iter(sort_rows(shard, order)) for shard in shards], order))

    def by_keys(found: list[Any]) -> list[Any]:
        return [tuple(row[key.index] for key in order) for row in found]

    assert by_keys(merged) == by_keys(sort_rows(rows, order))
    assert Counter(merged) == Counter(rows)


@given(st.lists(st.none() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()))
def test_ranks_sort_and_equal_as_their_values_do(values: list[Any]) -> None:
    ranks = ranks_of(values)
    rows = list(zip(values, ranks, strict=True))
    known = [(value,) for value, rank in rows if rank is not None]

    by_rank = sorted((rank, n) for n, (_, rank) in enumerate(rows) if rank is not None)
    assert sort_rows(known, [SortKey(0)]) == [(values[n],) for _, n in by_rank]
    assert [rank is None for rank in ranks] == [value is None for value in values]
    assert len({rank for rank in ranks if rank is not None}) == len({(v == v, v) for (v,) in known})


@pytest.mark.parametrize("count", [1, 100, 5000])
def test_rows_that_are_held_count_against_the_limit(count: int) -> None:
    rows = [(number, "x" * 50) for number in range(count)]

    assert list(hold(rows, MemoryCap(2**30))) == rows
    with pytest.raises(MemoryCapError, match="rows are held already"):
        list(hold(rows, MemoryCap(count * 100)))


def test_groups_count_against_the_limit_and_their_rows_do_not() -> None:
    plan = GroupPlan((0,), (Fold("count", 1),))
    few, many = [(0, 1)] * 5000, [(number, 1) for number in range(5000)]

    assert [list(s) for s in fold_groups(few, plan, MemoryCap(10_000))] == [[5000]]
    with pytest.raises(MemoryCapError):
        list(fold_groups(many, plan, MemoryCap(10_000)))


@given(st.lists(st.text("a \t\x1f!", max_size=5), min_size=1, max_size=8), st.booleans(), st.data())
def test_weights_that_pad_compare_as_if_spaces_followed(
    texts: list[str], descending: bool, data: Any
) -> None:
    rows = [(text.rstrip(" ").encode(),) for text in texts]
    spaced = sorted((text.ljust(9).encode() for text in texts), reverse=descending)
    shards = [row for shard in spread(data.draw, rows) for row in shard]
    plan = GroupPlan(
        (), (Fold("min", 0, 0, pad=b" "), Fold("max", 0, 0, pad=b" ")), has_groups=False
    )
    (state,) = fold_groups(shards, plan, WIDE)

    key = SortKey(0, descending, pad=b" ")
    merged = merge_sorted([iter(sort_rows(rows, [key])), iter(sort_rows(rows[:3], [key]))], [key])
    found = sort_rows(shards, [key])
    assert [row[0].ljust(9) for row in found] == spaced
    assert [row[0].ljust(9) for row in merged] == sorted(
        (row[0].ljust(9) for row in rows + rows[:3]), reverse=descending
    )
    assert [value.ljust(9) for value in list(state)[:2]] == [min(spaced), max(spaced)]
