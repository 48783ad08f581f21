"""How much sooner do two threads place the keys of one buffer than one thread does?

And how much sooner do two processes, which share neither the interpreter's lock nor memory: that is
what the machine had to give at the time, be it that its cores are busy or share their units. Wall
time, the best of seven with all contestants in turn.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from threading import Thread

from pytest_benchmark.fixture import BenchmarkFixture

import contest
import peers
from inputs import STREAMED, integers, names, room, texts
from shardhash import HashRing

ROUNDS = 7
COUNT = 8 * STREAMED
Work = Callable[[int, int], object]
"""Place the keys [start, end)."""
Run = Callable[[], object]
"""Place all keys, and return when that is done."""


def threads(work: Work, count: int, thread_count: int) -> Run:
    part = count // thread_count

    def run() -> None:
        running = [
            Thread(target=work, args=(i * part, (i + 1) * part)) for i in range(thread_count)
        ]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    return run


def serve(pipe: Connection, prepare: Callable[[int], Work], count: int) -> None:
    """Place `count` keys of this process each time the pipe asks for it, until it is closed."""
    work = prepare(count)
    pipe.send(None)
    with suppress(EOFError):
        while True:
            pipe.recv()
            work(0, count)
            pipe.send(None)


@contextmanager
def processes(prepare: Callable[[int], Work], count: int, process_count: int) -> Iterator[Run]:
    """Run as many processes as asked for, each with its part of the keys in memory of its own."""
    spawned = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pipes = []
        for _ in range(process_count):
            ours, theirs = spawned.Pipe()
            arguments = (theirs, prepare, count // process_count)
            process = spawned.Process(target=serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join)
            stack.callback(ours.close)
            pipes.append(ours)
        for pipe in pipes:
            pipe.recv()

        def run() -> None:
            for pipe in pipes:
                pipe.send(None)
            for pipe in pipes:
                pipe.recv()

        yield run


def seconds(run: Run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def best(runs: dict[str, Run]) -> dict[str, float]:
    """Return the best time of each; they take turns, so that they meet the same neighbours."""
    rounds = [{name: seconds(run) for name, run in runs.items()} for _ in range(ROUNDS)]
    return {name: min(times[name] for times in rounds) for name in runs}


def shardhash_buffer(count: int) -> Work:
    ring, keys, out = HashRing(names(100)), integers(count), memoryview(room(count))
    return lambda start, end: ring.lookup_many(keys[start:end], out=out[start:end])


def fastring_batch(count: int) -> Work:
    ring, keys = peers.fastring(100), texts(count)
    return lambda start, end: ring.get_node_batch(keys[start:end])


def test_two_threads(benchmark: BenchmarkFixture) -> None:
    def measure() -> dict[str, float]:
        work = shardhash_buffer(COUNT)
        with processes(shardhash_buffer, COUNT, 2) as in_processes:
            times = best(
                {
                    "one": threads(work, COUNT, 1),
                    "shardhash": threads(work, COUNT, 2),
                    "two processes": in_processes,
                }
            )
        figures = {name: times["one"] / times[name] for name in ("shardhash", "two processes")}
        with suppress(ImportError):
            work = fastring_batch(STREAMED)
            times = best({"one": threads(work, STREAMED, 1), "two": threads(work, STREAMED, 2)})
            figures["fastring"] = times["one"] / times["two"]
        return figures

    contest.measured(benchmark, "two-threads", measure)
