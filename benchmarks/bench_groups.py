"""How long do the groups of several shards take beside a loop over a dict?

    python benchmarks/bench_groups.py [--json FILE] [--rows N] [--groups N]

Two million rows in eight shards, a million groups in all, nearly each of them on two shards.
All contestants ask the shards for the same partial groups, and end with the same ones. README.md
tells more.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import servers
from bench_query import two_servers
from shardhash.db import Cluster

ROUNDS = 3
SHARDS = 8
SQL = "SELECT item, COUNT(*) AS sold, SUM(amount) AS total FROM sales GROUP BY item"
SERVERS_ALONE = f"SELECT COUNT(*), SUM(sold), SUM(total) FROM ({SQL}) AS d"

Contestants = dict[str, Callable[[], int]]


def fill(fleet: servers.MySQLFleet, rows: int, groups: int) -> None:
    """Make the shards; a row's slot is the CRC-32 of its id, as the configuration has it."""
    for number in range(SHARDS):
        shard = f"s{number}"
        fleet.add(shard)
        fleet.sql(
            shard,
            "CREATE TABLE sales (id INT PRIMARY KEY, item INT NOT NULL, "
            "amount DECIMAL(10,2) NOT NULL)",
        )
        fleet.sql(
            shard,
            f"INSERT INTO sales SELECT seq, seq % {groups}, (seq % 9973) / 100 "
            f"FROM seq_0_to_{rows - 1} WHERE CRC32(seq) & {SHARDS - 1} = {number}",
        )


def partials(fleet: servers.MySQLFleet, sql: str = SQL) -> Iterator[tuple[int, int, Decimal]]:
    """Yield the partial groups of one shard after the other, as PyMySQL streams them."""
    from pymysql.cursors import SSCursor

    for number in range(SHARDS):
        with (
            closing(fleet.connect(f"s{number}")) as connection,
            closing(connection.cursor(SSCursor)) as cursor,
        ):
            cursor.execute(sql)
            yield from cursor


def dict_loop(fleet: servers.MySQLFleet) -> int:
    groups: dict[int, list[int | Decimal]] = {}
    for item, sold, total in partials(fleet):
        state = groups.get(item)
        if state is None:
            groups[item] = [sold, total]
        else:
            state[0] += sold
            state[1] += total
    return len(groups)


def duckdb_groups(fleet: servers.MySQLFleet) -> int:
    import duckdb

    items, sold, totals = zip(*partials(fleet), strict=True)
    cents = [int(total.scaleb(2)) for total in totals]
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE p AS SELECT unnest($1::INTEGER[]) AS i, unnest($2::BIGINT[]) AS n, "
            "unnest($3::HUGEINT[]) AS t",
            [list(items), list(sold), cents],
        )
        found = connection.execute("SELECT i, sum(n), sum(t) FROM p GROUP BY i").fetchall()
    return len([(item, n, Decimal(total).scaleb(-2)) for item, n, total in found])


def measured(contestants: Contestants, groups: int) -> dict[str, dict[str, float]]:
    """Return the best wall and CPU times in seconds; they take turns, after a round unmeasured."""
    best: dict[str, dict[str, float]] = {}
    for number in range(ROUNDS + 1):
        for name, run in contestants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            found = run()
            took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
            if found not in (0, groups):
                raise AssertionError(f"{name}: {found} groups instead of {groups}")
            if number:
                known = best.get(name, took)
                best[name] = {kind: min(known[kind], took[kind]) for kind in took}
    return best


def contest(fleet: servers.MySQLFleet, groups: int) -> dict[str, dict[str, float]]:
    owners = {f"s{number}": str(number) for number in range(SHARDS)}
    rule = {"key": {"column": "id", "type": "int"}, "tables": ["sales"],
            "slots": {"count": SHARDS, "owners": owners}}  # fmt: skip

    def servers_alone() -> int:
        for _ in partials(fleet, SERVERS_ALONE):
            pass
        return 0

    def reading_alone() -> int:
        for _ in partials(fleet):
            pass
        return 0

    with Cluster.open(fleet.write_config({"by_id": rule})) as cluster:
        return measured(
            {
                "shardhash, Cluster.query": lambda: len(cluster.query(SQL).all()),
                "PyMySQL and a dict": lambda: dict_loop(fleet),
                "PyMySQL and DuckDB": lambda: duckdb_groups(fleet),
                "PyMySQL, rows thrown away": reading_alone,
                "the servers, one after the other": servers_alone,
            },
            groups,
        )


def table(seconds: dict[str, dict[str, float]]) -> str:
    ours = seconds["shardhash, Cluster.query"]
    lines = [f"{'':<34}{'wall':>9}{'CPU here':>11}{'ours in it':>16}"]
    for name, found in seconds.items():
        ratios = " / ".join(f"{found[kind] / ours[kind]:.2f}x" for kind in ("wall", "cpu"))
        lines.append(f"{name:<34}{found['wall']:7.2f} s{found['cpu']:9.2f} s{ratios:>16}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--groups", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, two_servers(Path(directory)) as fleet:
        fill(fleet, given.rows, given.groups)
        found = contest(fleet, given.groups)
    machine = f"{platform.machine()}, {platform.platform()}, Python {platform.python_version()}"
    print(machine, f"{given.rows:,} rows, {given.groups:,} groups", table(found), sep="\n\n")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine, "seconds": found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
