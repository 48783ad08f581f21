"""How long does it take a key to place many integers in a buffer as libketama does?"""

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import contest
import peers
from contest import Action, for_each
from inputs import CACHED, STREAMED, integers, names, room
from shardhash import HashRing

SIZES = {"streamed": STREAMED, "cached": CACHED}


def shardhash(count: int) -> Action:
    ring, keys, out = HashRing(names(100), scheme="ketama"), integers(count), room(count)
    return lambda: ring.lookup_many(keys, out=out)


def uhashring(count: int) -> Action:
    keys = [str(key) for key in integers(count).tolist()]
    return for_each(peers.uhashring(100, hash_fn="ketama").get_node, keys)


CONTESTANTS: dict[str, Callable[[int], Action]] = {
    "shardhash": shardhash,
    "uhashring": uhashring,
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("contestant", CONTESTANTS)
def test_ketama(benchmark: BenchmarkFixture, contestant: str, size: str) -> None:
    # A million keys take uhashring a second and a half each time: its keys are in the cache.
    count = SIZES[size] if contestant == "shardhash" else CACHED
    row = "bulk-ketama"
    contest.timed(
        benchmark,
        row,
        contestant,
        lambda: CONTESTANTS[contestant](count),
        count=count,
        cached=size == "cached",
    )
