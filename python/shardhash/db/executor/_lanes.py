"""Work through a list in a few threads, each on a stretch of its own."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

__all__ = ["in_lanes"]

T = TypeVar("T")
R = TypeVar("R")


def in_lanes(do: Callable[[T], R], items: Sequence[T], lane_count: int) -> Generator[R, None, None]:
    """Yield what ``do`` returns for each item, as it comes, with ``lane_count`` at work at a time.

    Each thread takes a stretch of neighbours, because neighbouring pages lock each other's ends.
    What has begun is finished before an error, or the end of the generator, leaves here.
    """
    size = -(-len(items) // lane_count) or 1
    lanes = [iter(items[start : start + size]) for start in range(0, len(items), size)]
    running: dict[Future[R], Iterator[T]] = {}
    with ThreadPoolExecutor(lane_count, thread_name_prefix="shardhash-lane") as pool:
        for lane in lanes:
            running[pool.submit(do, next(lane))] = lane
        while running:
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                lane = running.pop(done)
                result = done.result()
                for item in lane:
                    running[pool.submit(do, item)] = lane
                    break
                yield result
