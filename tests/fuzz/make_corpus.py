"""Write the seed corpus of the fuzzers: one folder a topic, one file an input.

    python tests/fuzz/make_corpus.py FOLDER

The bytes are what each harness reads, in its order: see `LLVMFuzzerTestOneInput` there.
"""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

ENDS = sorted(
    {sign * 2**bits + step for bits in range(64) for step in (-1, 0, 1) for sign in (-1, 1)}
)
TENS = [10**power + step for power in range(20) for step in (-1, 0)]
LAYOUTS = range(11)
HASHES = range(7)


def hashes() -> Iterator[bytes]:
    """Seed, hash, key; the key's first bytes also say how it is cut."""
    for size in (0, 1, 3, 4, 7, 8, 12, 31, 32, 33, 55, 56, 63, 64, 65, 100, 119):
        key = bytes(range(33, 33 + size))
        yield struct.pack("<QB", 0, size % 7) + key
        yield struct.pack("<QB", 2**64 - 1, size % 7) + key
    for key in (b"{a}b", b"a{b}c{d}", b"a{}{b}", b"}{a{b}}", b"{a"):
        yield struct.pack("<QB", 0, 6) + key


def decimal() -> Iterator[bytes]:
    """Bits to clear, number; twice."""
    for number in (*ENDS, *TENS):
        yield struct.pack("<BQBQ", 0, number % 2**64, 13, number % 2**64)


def keys() -> Iterator[bytes]:
    """Hash, whether a seed follows, layout, count, items skipped, alignment, data, items."""
    for layout in LAYOUTS:
        for hash_ in HASHES:
            start = struct.pack("<BBBHHBB", hash_, 0, layout, 9, 0, 3, 40)
            yield start + bytes(range(65, 105)) + bytes(range(1, 120))
        many = struct.pack("<BBQBHBHBB", 2, 1, 7, layout, 513, 32, 500, 0, 20)
        yield many + bytes(range(20)) + bytes(range(200))


def names(count: int) -> bytes:
    """The number of names, and names from the list."""
    return bytes([count, *range(count)])


def points(count: int) -> bytes:
    """Kinds of positions, each followed by an owner."""
    return b"".join(bytes([kind % 8, kind % 3]) for kind in range(count))


def ring() -> Iterator[bytes]:
    """Names, size class, number of points, scheme, points, then lookups and a place to break."""
    for count in (0, 1, 2, 5, 12):
        for scheme in (0, 1):
            yield names(3) + bytes([1, count, scheme]) + points(count) + bytes(range(60))
    yield names(8) + bytes([0, 40, 1]) + points(40) + bytes(range(80))


def build() -> Iterator[bytes]:
    """Rule of the points, names, then the points of each node."""
    for rule in (0, 1):
        for count in range(9):
            yield bytes([rule]) + names(count) + bytes(range(1, count + 1))
        for size in (30, 54, 55, 62, 63):
            yield bytes([rule, 2, 8, size]) + bytes(range(size + 1)) + bytes([3, 60, 61])


def change() -> Iterator[bytes]:
    """A ring, the nodes that go, names and points that come, another ring."""
    for count in (1, 3, 7):
        first = names(4) + bytes([1, count, 1]) + points(count)
        for gone in (0, 1, 6, 255):
            comers = bytes([3, 4, 5, 0, count]) + points(count)
            yield first + bytes([gone]) + comers + names(5) + bytes([1, count, 1]) + points(count)


def slots() -> Iterator[bytes]:
    """Bits, pattern of owners, owner asked for, hash, number of keys, sizes and keys."""
    for bits in range(9):
        body = b"".join(bytes([size, *range(97, 97 + size)]) for size in range(12))
        yield struct.pack("<BBBBH", bits, 3, 1, bits % 7, 12) + body
    yield struct.pack("<BBBBHB", 8, 1, 0, 0, 300, 0) + bytes(100)


def interop() -> Iterator[bytes]:
    """Bits to clear, number of owners, a number, layout, alignment, integers."""
    for layout in range(8):
        integers = struct.pack("<4Q", 0, 1, 2**63 - 1, 2**64 - 1)
        yield struct.pack("<BIQBB", 0, 2**31 - 1, 10**18, layout, layout) + integers
        yield struct.pack("<BIQBB", 20, 2**31 - 1, 2**64 - 1, layout, 0) + integers[:24]


TOPICS = (hashes, decimal, keys, ring, build, change, slots, interop)


def main(folder: Path) -> None:
    """Write all inputs, named by their number."""
    for topic in TOPICS:
        target = folder / topic.__name__
        target.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(topic()):
            (target / f"seed-{number:03}").write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
