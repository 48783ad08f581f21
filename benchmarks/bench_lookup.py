"""How long does one `lookup` of one key take, on rings of 100 and 1000 nodes, beside uhashring?

Method and reading: README.md beside this file.
"""

from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from uhashring import HashRing as UHashRing

from shardhash import HashRing

NODE_COUNTS = [100, 1000]
KEYS = [f"user:{number}" for number in range(100_000, 101_000)]


def names(count: int) -> list[str]:
    return [f"node-{number}" for number in range(count)]


CONTESTANTS: dict[str, Callable[[int], Callable[[str], object]]] = {
    "shardhash": lambda count: HashRing(names(count)).lookup,
    "uhashring": lambda count: UHashRing(names(count), vnodes=160).get_node,
}


@pytest.mark.parametrize("node_count", NODE_COUNTS)
@pytest.mark.parametrize("contestant", CONTESTANTS)
def test_lookup(benchmark: BenchmarkFixture, contestant: str, node_count: int) -> None:
    lookup = CONTESTANTS[contestant](node_count)
    benchmark.group = f"lookup of {len(KEYS)} keys, {node_count} nodes"

    def look_up_every_key() -> None:
        for key in KEYS:
            lookup(key)

    benchmark(look_up_every_key)
