"""What does a query that its key pins to one shard cost beyond the bare driver?

    make bench-db        or   python benchmarks/bench_pinned.py [--json FILE]

All ask the same rows of one server over TCP, one statement each, by turns of 200 queries; figures
are medians of the turns. CPU is that of this process. README.md tells more.
"""

import argparse
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import sqlalchemy
import sqlglot
from pymysql.cursors import SSCursor

import servers
from figures import OURS, Figures, write_figures
from shardhash.db import Cluster
from shardhash.db.drivers import row_cursor

TURNS = 60
QUERIES = 200
SHARDS = ("s1", "s2", "s3", "s4")
ROWS_A_SHARD = 1_000
STREAMED = 500_000
STREAMS = 5
PINNED = "SELECT k, v, n FROM t WHERE k = %s"
FIRST = "SELECT k, v, n AS n{} FROM t WHERE k = %s"
PYMYSQL, CORE, POOLED = "PyMySQL", "SQLAlchemy Core", "SQLAlchemy Core, pooled"

Contestants = dict[str, Callable[[], object]]


@contextmanager
def shards_of_one_server(directory: Path) -> Iterator[tuple[servers.MySQLFleet, Cluster]]:
    """Yield four shards on one server, each with all keys, so that one of them can be asked."""
    prepared = servers.prepare_data(directory / "prepared")
    (directory / "a").mkdir()
    with servers.running_mariadb(prepared, directory / "a") as server:
        fleet = servers.MySQLFleet(directory, servers={"a": server})
        for shard in SHARDS:
            fleet.add(shard)
            fleet.sql(shard, "CREATE TABLE t (k INT PRIMARY KEY, v VARCHAR(40) NOT NULL, n INT)")
            insert = "INSERT INTO t SELECT seq, CONCAT('value ', seq), seq FROM seq_0_to_999"
            fleet.sql(shard, insert)
        owners = {shard: f"{16 * at}-{16 * at + 15}" for at, shard in enumerate(SHARDS)}
        rule = {"key": {"column": "k", "type": "int"}, "tables": ["t"],
                "slots": {"count": 64, "owners": owners}}  # fmt: skip
        with Cluster.open(fleet.write_config({"by_key": rule})) as cluster:
            yield fleet, cluster


def turns(contestants: Contestants) -> dict[str, tuple[list[float], list[float]]]:
    """Return CPU and wall seconds of each turn; a first turn of each is not measured."""
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in contestants}
    for turn in range(TURNS + 1):
        for name, run in contestants.items():
            cpu, wall = time.process_time(), time.perf_counter()
            run()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            if turn:
                taken[name][0].append(cpu)
                taken[name][1].append(wall)
    return taken


def pinned(fleet: servers.MySQLFleet, cluster: Cluster) -> Figures:
    """Ask one row by its key, with a plan that is kept, over and over."""
    keys = [random.Random(1).randrange(ROWS_A_SHARD) for _ in range(QUERIES)]
    bare = fleet.connect("s1")
    engine = sqlalchemy.create_engine(
        "mysql+pymysql://", creator=lambda: fleet.connect("s1"), isolation_level="AUTOCOMMIT"
    )
    kept = engine.connect()
    statement = sqlalchemy.text(PINNED.replace("%s", ":k"))

    def pymysql() -> None:
        for key in keys:
            with bare.cursor() as cursor:
                cursor.execute(PINNED, (key,))
                cursor.fetchall()

    def core() -> None:
        for key in keys:
            kept.execute(statement, {"k": key}).all()

    def pooled() -> None:
        for key in keys:
            with engine.connect() as connection:
                connection.execute(statement, {"k": key}).all()

    def ours() -> None:
        for key in keys:
            cluster.query(PINNED, (key,)).all()

    taken = turns({PYMYSQL: pymysql, CORE: core, POOLED: pooled, OURS: ours})
    cpu = {name: statistics.median(cpus) / QUERIES * 1e6 for name, (cpus, _) in taken.items()}
    return {
        "db-pinned-cpu": beyond(0, taken),
        "db-pinned-wall": beyond(1, taken),
        "db-pinned-whole": cpu,
    }


def beyond(kind: int, taken: Mapping[str, tuple[list[float], list[float]]]) -> dict[str, float]:
    """Return by how many us a query of each takes longer than PyMySQL's: medians over the turns."""
    bare = taken[PYMYSQL][kind]
    return {
        name: statistics.median(
            (ours - theirs) / QUERIES * 1e6
            for ours, theirs in zip(taken[name][kind], bare, strict=True)
        )
        for name in (OURS, CORE, POOLED)
    }


def first_parse(cluster: Cluster) -> Figures:
    """Plan statements that were never seen, of a table that is known; run nothing."""
    numbers = itertools.count()
    cluster.explain(PINNED, (5,))

    def median(action: Callable[[str], object]) -> float:
        taken = []
        for _ in range(300):
            text = FIRST.format(next(numbers))
            start = time.process_time()
            action(text)
            taken.append(time.process_time() - start)
        return statistics.median(taken) * 1e6

    ours = median(lambda text: cluster.explain(text, (5,)))
    parser = median(lambda text: sqlglot.parse(text.replace("%s", ":k"), dialect="mysql"))
    return {"db-first-parse": {OURS: ours, "sqlglot.parse alone": parser}}


def streamed_keys(fleet: servers.MySQLFleet) -> Figures:
    """Read one column of BIGINT keys to its end, a block at a time."""
    fleet.sql("s1", f"CREATE TABLE big AS SELECT CAST(seq AS INT) AS k FROM seq_1_to_{STREAMED}")
    fleet.sql("s1", "ALTER TABLE big MODIFY k BIGINT NOT NULL PRIMARY KEY")
    connection = fleet.connect("s1")

    def cpu(cursor_of: Callable[..., object]) -> float:
        taken = []
        for _ in range(STREAMS):
            start = time.process_time()
            cursor = cursor_of(connection)
            cursor.execute("SELECT k FROM big")
            while cursor.fetchmany(4096):
                pass
            cursor.close()
            taken.append((time.process_time() - start) / STREAMED * 1e6)
        return statistics.median(taken)

    return {"db-stream-bigint": {OURS: cpu(row_cursor), PYMYSQL: cpu(SSCursor)}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        shards_of_one_server(Path(directory)) as (fleet, cluster),
    ):
        found = pinned(fleet, cluster) | first_parse(cluster) | streamed_keys(fleet)
    write_figures(found, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
