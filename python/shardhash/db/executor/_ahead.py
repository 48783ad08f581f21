"""Read the next item of an iterator while the present one is worked on."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["read_ahead"]

T = TypeVar("T")


def read_ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """Yield the items of a generator that runs one item ahead, in a thread of its own.

    The generator is closed, in that thread or after it, when this one is.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="shardhash-reader") as pool:
        try:
            item: T | object = next(items, end)
            while item is not end:
                following = pool.submit(next, items, end)
                yield item  # type: ignore[misc]
                item = following.result()
        finally:
            pool.shutdown()
            items.close()
