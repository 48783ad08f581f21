"""How much sooner do two threads place the keys of one buffer than one thread does?

Wall time, the best of five with all contestants in turn.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from pytest_benchmark.fixture import BenchmarkFixture

import contest
import peers
from inputs import STREAMED, integers, names, room, texts
from shardhash import HashRing

ROUNDS = 5
Work = Callable[[int, int], object]
"""Place the keys [start, end)."""


def seconds(work: Work, count: int, thread_count: int) -> float:
    part = count // thread_count
    threads = [Thread(target=work, args=(i * part, (i + 1) * part)) for i in range(thread_count)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def speedup(work: Work, count: int) -> float:
    """Return the best time of one thread over the best of two, taken in turn."""
    times = [(seconds(work, count, 1), seconds(work, count, 2)) for _ in range(ROUNDS)]
    alone, together = (min(column) for column in zip(*times, strict=True))
    return alone / together


def shardhash_buffer(count: int) -> Work:
    ring, keys, out = HashRing(names(100)), integers(count), memoryview(room(count))
    return lambda start, end: ring.lookup_many(keys[start:end], out=out[start:end])


def fastring_batch(count: int) -> Work:
    ring, keys = peers.fastring(100), texts(count)
    return lambda start, end: ring.get_node_batch(keys[start:end])


def test_two_threads(benchmark: BenchmarkFixture) -> None:
    def measure() -> dict[str, float]:
        figures = {"shardhash": speedup(shardhash_buffer(8 * STREAMED), 8 * STREAMED)}
        with suppress(ImportError):
            figures["fastring"] = speedup(fastring_batch(STREAMED), STREAMED)
        return figures

    contest.measured(benchmark, "two-threads", measure)
