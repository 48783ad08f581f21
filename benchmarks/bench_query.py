"""What does a query over shards cost beyond the servers' own work?

    make bench-db        or   python benchmarks/bench_query.py [--json FILE]

Wall times, the best of five rounds in which the contestants take turns; README.md tells more.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import servers
from figures import OURS, write_figures
from shardhash.db import BroadcastQuery, Cluster

ROUNDS = 5
FAN_OUT = 64
SLEEP = "SELECT SLEEP(0.1) AS dozed"

Contestants = dict[str, Callable[[], object]]


def best_of(contestants: Contestants, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the best wall time of each in seconds; they take turns, after one round unmeasured."""
    best = dict.fromkeys(contestants, float("inf"))
    for number in range(rounds + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if number:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


@contextmanager
def two_servers(directory: Path) -> Iterator[servers.MySQLFleet]:
    prepared = servers.prepare_data(directory / "prepared")
    for name in "ab":
        (directory / name).mkdir()
    with (
        servers.running_mariadb(prepared, directory / "a") as a,
        servers.running_mariadb(prepared, directory / "b") as b,
    ):
        yield servers.MySQLFleet(directory, servers={"a": a, "b": b})


def fan_out(fleet: servers.MySQLFleet) -> dict[str, float]:
    """Ask 64 shards on two servers, each of which takes 0.1 s to answer."""
    shards = [f"s{number}" for number in range(FAN_OUT)]
    for shard in shards:
        fleet.add(shard)
        fleet.sql(shard, "CREATE TABLE t (id INT PRIMARY KEY)")
    owners = {shard: str(number) for number, shard in enumerate(shards)}
    rule = {"key": {"column": "id", "type": "int"}, "tables": ["t"],
            "slots": {"count": FAN_OUT, "owners": owners}}  # fmt: skip
    open_connections = [fleet.connect(shard) for shard in shards]

    def new_connections() -> None:
        with ThreadPoolExecutor(FAN_OUT) as threads:
            list(threads.map(lambda shard: fleet.sql(shard, SLEEP), shards))

    def kept_connections() -> None:
        with ThreadPoolExecutor(FAN_OUT) as threads:
            list(threads.map(lambda connection: connection.query(SLEEP), open_connections))

    with Cluster.open(fleet.write_config({"by_id": rule})) as cluster:
        return best_of(
            {
                OURS: lambda: BroadcastQuery(cluster).run(SLEEP),
                "threads, a new connection each": new_connections,
                "threads, connections kept": kept_connections,
            }
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, two_servers(Path(directory)) as fleet:
        found = {name: seconds * 1000 for name, seconds in fan_out(fleet).items()}
    write_figures({"db-fan-out": found}, given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
