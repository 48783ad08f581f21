"""The same nodes and keys for all contestants. Made when they are asked for, once."""

import random
from array import array
from functools import cache

import numpy as np
import pyarrow as pa

POINTS_PER_NODE = 160
STREAMED, CACHED = 1_000_000, 10_000
"""Keys of a bulk call: too many for any cache, and few enough for all of them."""

FIRST = 100_000
SCALAR_KEYS = [f"user:{number}" for number in range(FIRST, FIRST + 1_000)]


@cache
def names(count: int) -> list[str]:
    return [f"node-{number}" for number in range(count)]


@cache
def texts(count: int) -> list[str]:
    """Keys like ``user:123456``, made one after the other as a program would."""
    return [f"user:{number}" for number in range(FIRST, FIRST + count)]


@cache
def shuffled_texts(count: int) -> list[str]:
    shuffled = list(texts(count))
    random.Random(2026).shuffle(shuffled)
    return shuffled


@cache
def integers(count: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Ten-digit ids."""
    return np.arange(count, dtype=np.int64) + 10**9


@cache
def arrow_texts(count: int) -> pa.Array:
    return pa.array(texts(count))


def room(count: int, typecode: str = "I") -> "array[int]":
    """Return a buffer for results."""
    return array(typecode, bytes(count * array(typecode).itemsize))
