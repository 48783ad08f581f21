"""How long do copy, verification and prune of a table take, beside the tools that people use?

    python benchmarks/bench_copy.py [--rows 500000] [--rounds 3] [--json FILE]

Starts two private MariaDB servers, and leaves nothing. Wants ``mariadb-dump`` and ``mariadb``; runs
``mydumper``/``myloader`` and ``pt-archiver`` where they are installed.
"""

import argparse
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from copying import PlainWork, table_of, work_on
from figures import OURS, Figures, write_figures
from rows import CLONED_ROWS
from servers import MariaDB, MySQLFleet, prepare_data, running_mariadb
from shardhash.db.executor._copy import copy_table
from shardhash.db.executor._ddl import create_tables
from shardhash.db.executor._prune_pages import prune_pages
from shardhash.db.executor._snapshot import copy_snapshot
from shardhash.db.executor._verify import verify_table
from shardhash.db.sql import RowFilter
from shardhash.db.topology import Backend, KeyType

OPTIONS = (
    "--innodb-buffer-pool-size=1G",
    "--innodb-log-file-size=512M",
    "--innodb-flush-log-at-trx-commit=1",
)
TABLE = """
    CREATE TABLE orders (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, store_id INT UNSIGNED NOT NULL,
        customer VARCHAR(64) NOT NULL, status ENUM('new', 'paid', 'sent') NOT NULL,
        amount DECIMAL(12, 2) NOT NULL, created DATETIME(6) NOT NULL, note VARCHAR(255),
        payload VARBINARY(64), KEY (store_id), KEY (created)
    ) DEFAULT CHARSET utf8mb4"""
SLOTS = 1024
PEERS = {
    "mariadb-dump | mariadb": "mariadb-dump",
    "mydumper | myloader": "mydumper",
    "mydumper -r 50000 | myloader": "mydumper -r",
}
HALF = f"(CRC32(store_id) & {SLOTS - 1}) < {SLOTS // 2}"


@dataclass
class Bench:
    fleet: MySQLFleet
    work: PlainWork
    rows: int
    times: dict[str, list[tuple[float, float, int]]]

    @contextmanager
    def timed(self, name: str, row_count: int) -> Iterator[None]:
        """Add wall and CPU seconds of the block, of this process, its children and the servers."""
        wall, cpu = time.perf_counter(), self._cpu()
        yield
        wall, cpu = time.perf_counter() - wall, self._cpu() - cpu
        self.times[name].append((wall, cpu, row_count))

    def _cpu(self) -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        total = time.process_time() + children.ru_utime + children.ru_stime
        for server in {id(each): each for each in self.fleet.servers.values()}.values():
            assert isinstance(server, MariaDB)
            for process in server._processes:
                fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / 100
        return total

    def fresh(self, *shards: str) -> None:
        """Empty the target databases and what is remembered of earlier rounds."""
        for shard in shards:
            self.fleet.sql(shard, "DROP TABLE IF EXISTS orders")
        for shard in ("s1", *shards):
            for table in ("copies", "pages"):
                path = f"`{self.fleet.database(shard)}_shardhash`._shardhash_{table}"
                self.fleet.sql(shard, f"DELETE FROM {path}")

    def same(self, shard: str) -> None:
        """Fail unless the whole table is there."""
        ours, theirs = (
            self.fleet.sql(each, "CHECKSUM TABLE orders")[0][1] for each in ("s1", shard)
        )
        assert ours == theirs, f"the copy on {shard} is another table"


def fill(fleet: MySQLFleet, rows: int) -> None:
    chance = random.Random(1)
    fleet.sql("s1", TABLE)
    insert = (
        "INSERT INTO orders (store_id, customer, status, amount, created, note, payload) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s)"
    )
    with closing(fleet.connect("s1")) as connection, connection.cursor() as cursor:
        cursor.execute("SET autocommit = 0")
        for start in range(0, rows, 5_000):
            cursor.executemany(insert, [
                (chance.randrange(200_000), f"customer {chance.randrange(10**9)} of a shop",
                 chance.choice(["new", "paid", "sent"]), chance.randrange(10**8) / 100,
                 f"2026-01-{1 + number % 28:02d} 00:00:00.{number % 10**6:06d}",
                 None if number % 5 == 0 else "it's a note é " + "x" * chance.randrange(60, 140),
                 chance.randbytes(32))
                for number in range(start, min(start + 5_000, rows))
            ])  # fmt: skip
        connection.commit()


def shell(command: str) -> None:
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def login(fleet: MySQLFleet, shard: str) -> str:
    server = fleet.server(shard)
    return f"--host={server.host} --port={server.port} --user={server.user}"


def clone(bench: Bench, shard: str) -> Callable[[], None]:
    def run() -> None:
        create_tables(bench.work, "s1", shard, ["orders"])
        counts, found = copy_snapshot(
            bench.work, "s1", shard, [table_of(bench.work, "s1", "orders")]
        )
        assert (counts, found) == ({"orders": bench.rows}, [])

    return run


def copy(bench: Bench, shard: str) -> Callable[[], None]:
    def run() -> None:
        create_tables(bench.work, "s1", shard, ["orders"])
        table = table_of(bench.work, "s1", "orders")
        copied = copy_table(bench.work, "s1", shard, table, RowFilter.all_rows(), fresh=True)
        assert copied == bench.rows

    return run


def dump(bench: Bench, shard: str) -> Callable[[], None]:
    fleet = bench.fleet
    return lambda: shell(
        f"mariadb-dump --no-defaults {login(fleet, 's1')} --single-transaction --quick "
        f"{fleet.database('s1')} orders | mariadb --no-defaults {login(fleet, shard)} "
        f"{fleet.database(shard)}"
    )


def mydumper(bench: Bench, shard: str, options: str) -> Callable[[], None]:
    fleet = bench.fleet
    directory = fleet.directory / "mydumper"
    here, there = (login(fleet, each).replace("=", " ") for each in ("s1", shard))

    def run() -> None:
        shell(
            f"rm -rf {directory}; mydumper {here} -B {fleet.database('s1')} {options} -t 2 "
            f"-o {directory} 2>/dev/null; "
            f"myloader {there} -B {fleet.database(shard)} -o -t 2 -d {directory}"
        )

    return run


def bench_clone(bench: Bench, shard: str, where: str) -> None:
    contestants = {
        "clone, verified": clone(bench, shard),
        "copy of all rows, not verified": copy(bench, shard),
        "mariadb-dump | mariadb": dump(bench, shard),
    }
    if shutil.which("mydumper"):
        contestants["mydumper | myloader"] = mydumper(bench, shard, "")
        contestants["mydumper -r 50000 | myloader"] = mydumper(bench, shard, "-r 50000")
    for name, run in contestants.items():
        bench.fresh(shard)
        with bench.timed(f"{where}: {name}", bench.rows):
            run()
        bench.same(shard)


def bench_move(bench: Bench, shard: str, where: str) -> None:
    """Copy, verify and prune half the rows; then have pt-archiver delete the same ones."""
    fleet, work = bench.fleet, bench.work
    table = table_of(work, "s1", "orders")
    rows = RowFilter.of_slots(
        table.column("store_id"), KeyType.INT, range(SLOTS // 2), slot_count=SLOTS,
        backend=Backend.MYSQL,
    )  # fmt: skip
    bench.fresh(shard)
    create_tables(work, "s1", shard, ["orders"])
    [(half,)] = fleet.sql("s1", f"SELECT COUNT(*) FROM orders WHERE {HALF}")
    with bench.timed(f"{where}: copy half of the rows, indexes last", half):
        assert copy_table(work, "s1", shard, table, rows, fresh=True) == half
    with bench.timed(f"{where}: verify half of the rows", half):
        assert verify_table(work, "s1", shard, table, rows, record=True) == []
    with bench.timed(f"{where}: CHECKSUM TABLE of that half, alone", half):
        fleet.sql(shard, "CHECKSUM TABLE orders")
    fleet.sql("s1", "CREATE TABLE kept LIKE orders")
    fleet.sql("s1", "INSERT INTO kept SELECT * FROM orders")
    with bench.timed(f"{where}: prune half of the rows, by verified pages", half):
        assert prune_pages(work, "s1", table, rows).deleted == half
    if shutil.which("pt-archiver"):
        server, database = fleet.server("s1"), fleet.database("s1")
        place = f"h={server.host},P={server.port},u={server.user},D={database},t=kept"
        fleet.sql("s1", "CREATE TABLE back LIKE kept")
        fleet.sql("s1", "INSERT INTO back SELECT * FROM kept")
        with bench.timed(f"{where}: pt-archiver --bulk-delete", half):
            shell(
                f"pt-archiver --source {place} --where '{HALF}' --purge --bulk-delete --limit 1000 "
                "--commit-each --no-safe-auto-increment --no-check-charset"
            )
        fleet.sql("s1", "DROP TABLE kept")
        fleet.sql("s1", "RENAME TABLE back TO kept")
    fleet.sql("s1", "DROP TABLE orders")
    fleet.sql("s1", "RENAME TABLE kept TO orders")


def report(bench: Bench) -> None:
    [(version,)] = bench.fleet.sql("s1", "SELECT VERSION()")
    print(f"\n{platform.platform()}, Python {platform.python_version()}, MariaDB {version}")
    print(f"{bench.rows} rows, {len(next(iter(bench.times.values())))} rounds, medians")
    print(f"{'':66}{'wall s':>8}{'iqr':>7}{'k rows/s':>10}{'CPU us/row':>12}")
    for name, found in bench.times.items():
        walls = sorted(wall for wall, _, _ in found)
        wall, rows = statistics.median(walls), found[0][2]
        cpu = statistics.median(cpu for _, cpu, _ in found) / rows * 1e6
        spread = walls[-1 - len(walls) // 4] - walls[len(walls) // 4]
        print(f"{name:66}{wall:8.2f}{spread:7.2f}{rows / wall / 1000:10.1f}{cpu:12.2f}")


def figures(bench: Bench) -> Figures:
    """Return the rows of the table that the medians are for."""

    def wall(name: str) -> float:
        return statistics.median(wall for wall, _, _ in bench.times[name])

    def clones(where: str) -> dict[str, float]:
        begin = f"{where}: "
        peers = [name for name in bench.times if name.startswith(begin) and " | " in name]
        found = {PEERS[name.removeprefix(begin)]: wall(name) for name in peers}
        return {OURS: wall(f"{begin}clone, verified")} | found

    other, same = "another server", "same server"
    found = {
        "db-clone-other": clones(other),
        "db-clone-same": clones(same),
        "db-verify": {
            OURS: wall(f"{other}: verify half of the rows") / 2,
            "CHECKSUM TABLE": wall(f"{other}: CHECKSUM TABLE of that half, alone"),
        },
        "db-prune-pages": {OURS: wall(f"{other}: prune half of the rows, by verified pages")},
    }
    archiver = "pt-archiver --bulk-delete"
    if f"{other}: {archiver}" in bench.times:
        found["db-prune-pages"][archiver] = wall(f"{other}: {archiver}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=CLONED_ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        prepared = prepare_data(directory / "prepared")
        servers = {}
        for name in "ab":
            place = directory / name
            place.mkdir()
            servers[name] = stack.enter_context(running_mariadb(prepared, place, *OPTIONS))
        fleet = MySQLFleet(directory, servers=servers)
        for shard, instance in (("s1", "a"), ("s2", "b"), ("s3", "a")):
            fleet.add(shard, instance=instance)
        fill(fleet, options.rows)
        work = stack.enter_context(work_on(fleet, "s1", "s2", "s3"))
        bench = Bench(fleet, work, options.rows, defaultdict(list))
        for _ in range(options.rounds):
            for shard, where in (("s2", "another server"), ("s3", "same server")):
                bench_clone(bench, shard, where)
                bench_move(bench, shard, where)
        report(bench)
        write_figures(figures(bench), options.json)


if __name__ == "__main__":
    main()
