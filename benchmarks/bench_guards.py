"""What do guards cost an application's writes, and how long does a fence take?

Method and reading: README.md beside this file.
Run: python benchmarks/bench_guards.py [--json FILE]
"""

import argparse
import multiprocessing
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import pymysql

from figures import OURS, Figures, write_figures
from guarding import app_connection, execute, guard_all, place_of, slot_mapping
from managers import manager_of
from servers import MySQLFleet, SQLiteFleet, prepare_data, running_mariadb
from shardhash.db import guard
from shardhash.slots import SlotSet

SLOT_COUNT = 16_384
ROUNDS = 7
SINGLE_ROWS = 200
TRANSACTIONS, ROWS_A_TRANSACTION = 40, 100
BULK_ROWS = 20_000
WRITERS = 8
MOVED_SLOTS = 8_192
TABLE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, k INT NOT NULL, v VARCHAR(40))"
SOURCE = "CREATE TABLE source (id INTEGER PRIMARY KEY, k INT NOT NULL, v VARCHAR(40))"
INSERT = "INSERT INTO orders VALUES (%s, %s, 'some text of a row')"


def single_rows(app: Any) -> int:
    for number in range(SINGLE_ROWS):
        execute(app, INSERT, (number, number * 7))
    return SINGLE_ROWS


def transactions(app: Any) -> int:
    for start in range(0, TRANSACTIONS * ROWS_A_TRANSACTION, ROWS_A_TRANSACTION):
        execute(app, "BEGIN")
        for number in range(start, start + ROWS_A_TRANSACTION):
            execute(app, INSERT, (number, number * 7))
        execute(app, "COMMIT")
    return TRANSACTIONS * ROWS_A_TRANSACTION


def one_statement(app: Any) -> int:
    execute(app, "INSERT INTO orders SELECT * FROM source")
    return BULK_ROWS


WORK: dict[str, Callable[[Any], int]] = {
    "single-row inserts, each committed": single_rows,
    "transactions of 100 inserts": transactions,
    "one INSERT ... SELECT of 20,000 rows": one_statement,
}
ROWS = dict(zip(WORK, ("db-guard-single", "db-guard-hundred", "db-guard-bulk"), strict=True))
"""The row of the table for each kind of write."""


def rows_a_second(app: Any, work: Callable[[Any], int]) -> float:
    execute(app, "DELETE FROM orders WHERE id >= 0")
    started = time.perf_counter()
    count = work(app)
    return count / (time.perf_counter() - started)


def measure(fleet: Any) -> Figures:
    """Print rows a second with and without guards, medians of rounds that take turns.

    Returns how many times longer each kind of write takes with guards.
    """
    found: Figures = {}
    for shard in ("plain", "guarded"):
        fleet.add(shard)
        fleet.sql(shard, TABLE)
        fleet.sql(shard, SOURCE)
    guard_all(
        fleet, slot_mapping(slot_count=SLOT_COUNT), SLOT_COUNT, owned=every_slot(), shard="guarded"
    )
    print(f"\n{fleet.kind}: {'':34} rows/s plain  guarded   change   spread")
    with (
        closing(app_connection(fleet, "plain")) as plain,
        closing(app_connection(fleet, "guarded")) as guarded,
    ):
        for app in (plain, guarded):
            execute(app, "BEGIN")
            for number in range(BULK_ROWS):
                execute(app, INSERT.replace("orders", "source"), (number, number * 7))
            execute(app, "COMMIT")
        for name, work in WORK.items():
            pairs = [
                (rows_a_second(plain, work), rows_a_second(guarded, work)) for _ in range(ROUNDS)
            ]
            ratios = sorted(b / a - 1 for a, b in pairs)
            before, after = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(
                f"  {name:42} {before:8,.0f} {after:8,.0f} {statistics.median(ratios):8.0%}"
                f"   {ratios[0]:.0%} to {ratios[-1]:.0%}"
            )
            found[ROWS[name]] = {OURS: 1 / (1 + statistics.median(ratios))}
    return found


def every_slot() -> SlotSet:
    return SlotSet(range(SLOT_COUNT))


def write_until(fleet: Any, number: int, stop: Any, count: Any) -> None:
    """Replace rows one by one, each committed; those of fenced slots stay out."""
    key = number * 1_000_000
    with closing(app_connection(fleet, "guarded")) as app:
        while not stop.is_set():
            key += 1
            with suppress(pymysql.err.OperationalError):
                execute(app, INSERT.replace("INSERT", "REPLACE"), (key, key))
            with count.get_lock():
                count.value += 1


@contextmanager
def writers(fleet: Any) -> Iterator[None]:
    """Run writers, each a process, beside the block."""
    stop = multiprocessing.Event()
    count = multiprocessing.Value("l", 0)
    processes = [
        multiprocessing.Process(target=write_until, args=(fleet, number, stop, count))
        for number in range(1, WRITERS + 1)
    ]
    for process in processes:
        process.start()
    try:
        while count.value < 20 * WRITERS:
            time.sleep(0.01)
        yield
    finally:
        stop.set()
        for process in processes:
            process.join()


def measure_fence(fleet: Any) -> Figures:
    """Print and return how long fencing half of the slots takes beside writers."""
    place = place_of(fleet, "guarded")
    slots = SlotSet(range(MOVED_SLOTS))
    taken = []
    with manager_of(fleet) as manager:
        for _ in range(ROUNDS):
            with writers(fleet):
                started = time.perf_counter()
                guard.fence_slots(
                    manager, "guarded", place, "by_key", slots, token=0, wait_s=30, clock=time
                )
                taken.append(time.perf_counter() - started)
            with manager.write("guarded") as connection, connection.begin():
                guard.set_slots(
                    connection, place, "by_key", slots, guard.SlotState.OWNED,
                    among=[guard.SlotState.FENCED],
                )  # fmt: skip
    shown = ", ".join(f"{seconds * 1000:.0f}" for seconds in sorted(taken))
    print(f"  fence of {MOVED_SLOTS} slots beside {WRITERS} writers, ms: {shown}")
    return {"db-fence": {OURS: statistics.median(taken) * 1000}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        prepared = prepare_data(directory / "prepared")
        (directory / "server").mkdir()
        with running_mariadb(prepared, directory / "server") as server:
            version = server.sql("SELECT VERSION()")[0][0]
            print(f"{version}, default durability; Python {platform.python_version()}")
            fleet = MySQLFleet(directory, servers={"a": server})
            found = measure(fleet) | measure_fence(fleet)
        measure(SQLiteFleet(directory))
    write_figures(found, given.json)


if __name__ == "__main__":
    main()
