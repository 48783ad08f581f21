"""How a contestant of a row is measured and what is kept of it.

A contestant is a function that prepares and returns what is timed; it imports its package itself,
so that one that is not there is skipped and said.
"""

from collections.abc import Callable, Sequence

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

Action = Callable[[], object]
Prepare = Callable[[], Action]


def timed(
    benchmark: BenchmarkFixture,
    row: str,
    contestant: str,
    prepare: Prepare,
    *,
    count: int,
    cached: bool = False,
) -> None:
    """Time what `prepare` returns; the figure is its median time divided by `count`.

    It is run once before. The test is skipped if its package is not there.

    Args:
        cached: whether it is the row's second figure, for keys in the cache.
    """
    try:
        action = prepare()
        action()
    except ImportError as error:
        pytest.skip(f"not installed, or not for this Python: {error}")
    benchmark.group = f"{row}, in cache" if cached else row
    benchmark.extra_info |= {"row": row, "contestant": contestant, "count": count}
    benchmark.extra_info["cached"] = cached
    benchmark(action)


def measured(
    benchmark: BenchmarkFixture, row: str, measure: Callable[[], dict[str, float]]
) -> None:
    """Keep figures by contestant that are no CPU times of a call: `measure` takes them all."""
    benchmark.group = row
    figures = benchmark.pedantic(measure, rounds=1, iterations=1)
    benchmark.extra_info |= {"row": row, "figures": figures}


def for_each(action: Callable[..., object], keys: Sequence[object], *more: object) -> Action:
    """Return a Python loop over keys: a step of it is part of every scalar figure."""
    if not more:

        def loop() -> None:
            for key in keys:
                action(key)

        return loop

    (argument,) = more

    def loop_with_argument() -> None:
        for key in keys:
            action(key, argument)

    return loop_with_argument
