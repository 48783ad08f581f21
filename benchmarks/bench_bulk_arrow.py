"""How long does it take a key to place an Arrow array of strings?"""

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import contest
from contest import Action
from inputs import CACHED, STREAMED, arrow_texts, names, room, texts
from shardhash import HashRing, SlotMap

SIZES = {"streamed": STREAMED, "cached": CACHED}
SLOTS = 0


def shardhash(target: int, count: int) -> Action:
    keys = arrow_texts(count)
    if target == SLOTS:
        shards, slots = SlotMap.even(names(100)), room(count, "H")
        return lambda: shards.slot_many(keys, out=slots)
    ring, out = HashRing(names(target)), room(count)
    return lambda: ring.lookup_many(keys, out=out)


def polars_hash(target: int, count: int) -> Action:
    """No ring: a node more moves nearly every key."""
    import polars

    keys = polars.Series(texts(count))
    return lambda: keys.hash() % (target or 16384)


def pandas_hash(target: int, count: int) -> Action:
    import pandas as pd

    keys = pd.array(texts(count), dtype="string[pyarrow]")
    return lambda: pd.util.hash_array(keys, categorize=False) % (target or 16384)


CONTESTANTS: dict[str, Callable[[int, int], Action]] = {
    "shardhash": shardhash,
    "polars hash % n": polars_hash,
    "pandas hash % n": pandas_hash,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", [100, 1000, SLOTS])
@pytest.mark.parametrize("contestant", CONTESTANTS)
def test_arrow(benchmark: BenchmarkFixture, contestant: str, target: int, size: str) -> None:
    count = SIZES[size]
    row = f"bulk-arrow-{f'ring-{target}' if target else 'slot'}"
    prepare = CONTESTANTS[contestant]
    contest.timed(
        benchmark,
        row,
        contestant,
        lambda: prepare(target, count),
        count=count,
        cached=size == "cached",
    )
