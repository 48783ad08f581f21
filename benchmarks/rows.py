"""The rows of the table: what each measures and what it is held to.

A target is a ratio to a peer measured in the same run; that binds, on any machine. Where a row has
none, the bound on its own figure does. Bounds of the other rows are figures of one machine, shown
as an aim.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

__all__ = ["CLONED_ROWS", "ROWS", "SCALES", "Row", "database_rows"]

SCALES = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}
"""Seconds in the units of rows that are timed."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what benchmarks say in ``extra_info["row"]``.
        title: for people.
        unit: of the figures.
        most: what the figure should be at most; if `more_is_better`, at least; infinite: it is only
            reported.
        ratios: peer -> how many times better than its figure ours should be.
    """

    name: str
    title: str
    unit: str
    most: float
    ratios: Mapping[str, float] = field(default_factory=dict)
    more_is_better: bool = False


UHASHRING, FASTRING, POLARS = "uhashring", "fastring", "polars hash % n"
ZLIB, NUMPY, COMPREHENSION = (
    "zlib comprehension",
    "NumPy searchsorted",
    "comprehension + searchsorted",
)

ROWS: tuple[Row, ...] = (
    Row("scalar-ring-100", "lookup(str), 100 nodes", "ns", 32, {UHASHRING: 35, FASTRING: 3.8}),
    Row("scalar-ring-1000", "lookup(str), 1,000 nodes", "ns", 50, {UHASHRING: 37}),
    Row("scalar-slot", "slot(str)", "ns", 30),
    Row("scalar-redis", "slot(str), the rule of Redis", "ns", 35, {"redis-py": 5}),
    Row("scalar-ketama", "lookup(str), ketama", "ns", 105, {UHASHRING: 11, "ketama": 3}),
    Row("scalar-replicas", "lookup_n(str, 3), 100 nodes", "ns", 90, {UHASHRING: 200}),
    Row("bulk-int-slot", "int64 to text to CRC-32 to slot", "ns", 16, {ZLIB: 6}),
    Row("bulk-int-ring-100", "int64 to ring, 100 nodes", "ns", 18, {NUMPY: 5}),
    Row("bulk-int-ring-1000", "int64 to ring, 1,000 nodes", "ns", 20, {NUMPY: 5}),
    Row(
        "bulk-list-ring-100",
        "list of str to ring, 100 nodes",
        "ns",
        13,
        {FASTRING: 9, COMPREHENSION: 15},
    ),
    Row(
        "bulk-list-ring-1000",
        "list of str to ring, 1,000 nodes",
        "ns",
        18,
        {FASTRING: 9, COMPREHENSION: 15},
    ),
    Row("bulk-shuffled-ring-100", "the same list shuffled, 100 nodes", "ns", 40),
    Row("bulk-arrow-ring-100", "Arrow strings to ring, 100 nodes", "ns", 8.5, {POLARS: 0.5}),
    Row("bulk-arrow-ring-1000", "Arrow strings to ring, 1,000 nodes", "ns", 11.5, {POLARS: 0.5}),
    Row("bulk-arrow-slot", "Arrow strings to slot", "ns", 5, {POLARS: 1}),
    Row("bulk-ketama", "int64 to ring, ketama", "ns", 20, {UHASHRING: 50}),
    Row("build-100", "build, 100 nodes", "ms", 0.5, {UHASHRING: 36, FASTRING: 7}),
    Row("build-1000", "build, 1,000 nodes", "ms", 6, {UHASHRING: 36, FASTRING: 54}),
    Row("change-100", "add or remove a node, of 100", "us", 40, {UHASHRING: 75}),
    Row("change-1000", "add or remove a node, of 1,000", "us", 400, {UHASHRING: 75}),
    Row("pickle-1000", "pickle and load, 1,000 nodes", "ms", 6),
    Row("memory-100", "memory of a point, 100 nodes", "bytes", 20),
    Row("memory-1000", "memory of a point, 1,000 nodes", "bytes", 20),
    Row(
        "two-threads",
        "two threads on a buffer",
        "x",
        1.8,
        {"two processes": 0.9},
        more_is_better=True,
    ),
    Row("import", "import shardhash", "ms", 15),
    Row("import-ring", "from shardhash import HashRing", "ms", 15),
    Row("import-all", "from shardhash import *", "ms", 15),
    Row("wheel", "a wheel's content, packed", "MB", 1),
    Row("balance-ring", "fullest of 100 nodes over the mean", "x", 1.22),
    Row("balance-slots", "fullest of 100 shards over the mean, slots", "x", 1.03),
    Row("movement-ring", "keys moved for a 101st node over the least possible", "x", 1.22),
    Row("movement-slots", "the same, slots", "x", 1.03),
)

CLONED_ROWS = 200_000
"""Rows of the table that is copied, verified and pruned."""

_MYDUMPER_R, _MYDUMPER, _DUMP = (
    "mydumper -r",
    "mydumper",
    "mariadb-dump",
)


def database_rows(cloned_rows: int = CLONED_ROWS) -> tuple[Row, ...]:
    """Return what ``make bench-db`` measures: database work and queries, as far as it is built.

    The aims for clone and prune are those of 5,000,000 rows, for this many of them.
    """
    part = cloned_rows / 5_000_000
    return (
        Row("db-pinned-cpu", "a pinned query, plan kept, beyond PyMySQL's CPU", "us", 60),
        Row("db-pinned-wall", "the same, beyond PyMySQL's wall time", "us", 60),
        Row("db-pinned-whole", "the whole of it, CPU", "us", inf),
        Row("db-first-parse", "plan of a statement never seen, CPU", "us", 250),
        Row("db-fan-out", "fan-out of 64 shards, each 0.1 s", "ms", 200),
        Row("db-groups", "GROUP BY over 8 shards, 1,000,000 groups", "s", inf, {"Python dict": 3}),
        Row("db-stream-bigint", "a streamed BIGINT key, CPU", "us", 0.025, {"PyMySQL": 60}),
        Row(
            "db-clone-other",
            "clone to another server, verified",
            "s",
            20 * part,
            {_MYDUMPER_R: 1.25, _MYDUMPER: 1.9, _DUMP: 2.6},
        ),
        Row(
            "db-clone-same",
            "clone inside one server, verified",
            "s",
            13.6 * part,
            {_MYDUMPER_R: 1.6, _DUMP: 3.3},
        ),
        Row("db-verify", "verify half of the rows, a side", "s", inf, {"CHECKSUM TABLE": 0.5}),
        Row(
            "db-prune-pages",
            "prune of half of the rows, by verified pages",
            "s",
            cloned_rows / 2 / 239_000,
            {"pt-archiver --bulk-delete": 2},
        ),
        Row("db-fence", "fence of 8,192 slots beside 8 writers", "ms", 47),
        Row("db-guard-single", "single-row insert, guarded over not", "x", inf),
        Row("db-guard-hundred", "transaction of 100 inserts, guarded over not", "x", inf),
        Row("db-guard-bulk", "INSERT ... SELECT of 20,000 rows, guarded over not", "x", inf),
    )
