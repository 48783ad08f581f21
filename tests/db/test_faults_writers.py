"""An application that writes and reads through ``Cluster`` while half of its slots move."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from threading import Event

import pytest

from faults import ROWS, FaultShop, small_steps
from servers import MySQLFleet
from shardhash.db import Cluster
from shardhash.errors import StaleMapError, WrongShardError

MAX_AGE_S = 1.0
REFRESH_S = 0.1
WRITERS = 4
FIRST_ID = 10_000


@dataclass
class Written:
    """What the writers were told: acknowledged rows, and refusals by whether the key moves."""

    rows: list[tuple[object, ...]] = field(default_factory=list)
    refused: Counter[bool] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    stopped_at: int = 0


def write(cluster: Cluster, number: int, stop: Event) -> Written:
    """Insert a row after another until the end, each until it is acknowledged."""
    written = Written()
    for turn in count():
        row_id = FIRST_ID + turn * WRITERS + number
        key = row_id
        row = (row_id, key, number, f"by {number}")
        while not _is_written(cluster, row, written):
            if stop.is_set():
                written.stopped_at = row_id
                return written
            stop.wait(0.005)
        if stop.is_set():
            return written
    raise AssertionError("unreachable")


def _is_written(cluster: Cluster, row: tuple[object, ...], written: Written) -> bool:
    try:
        cluster.query("INSERT INTO orders (id, k, x, note) VALUES (%s, %s, %s, %s)", row)
    except WrongShardError:
        written.refused[FaultShop.moves(int(str(row[1])))] += 1
        return False
    except StaleMapError:
        return False
    written.rows.append(row)
    return True


def read(cluster: Cluster, stop: Event) -> tuple[Counter[str], list[str]]:
    """Ask for rows that never change, by key and of all shards; return what was not as expected."""
    asked: Counter[str] = Counter()
    wrong: list[str] = []
    total = sum(range(1, ROWS + 1))
    for turn in count():
        if stop.is_set():
            return asked, wrong
        key = turn % ROWS + 1
        questions = {
            "pinned": (f"SELECT COUNT(*), MIN(id) FROM orders WHERE k = {key}", (1, key)),
            "fan-out": (
                f"SELECT COUNT(*), SUM(k) FROM orders WHERE id <= {ROWS}",
                (ROWS, total),
            ),
        }
        for name, (sql, expected) in questions.items():
            try:
                found = tuple(int(value) for value in cluster.query(sql).one())
            except StaleMapError:
                continue  # a map that nobody confirmed in time is not read by
            asked[name] += 1
            if found != expected:
                wrong.append(f"{name} {key}: {found}")
    raise AssertionError("unreachable")


def test_writers_lose_and_double_nothing_and_reads_go_on_while_half_moves(
    mysql_fleet: MySQLFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_steps(monkeypatch)
    shop = FaultShop(mysql_fleet, map_max_age_s=MAX_AGE_S)
    plan = shop.plan()
    stop = Event()
    with (
        Cluster.open(shop.path, refresh_s=REFRESH_S, stale_reads="refuse") as cluster,
        ThreadPoolExecutor(WRITERS + 1) as pool,
    ):
        writers = [pool.submit(write, cluster, number, stop) for number in range(WRITERS)]
        reader = pool.submit(read, cluster, stop)
        try:
            shop.apply(plan)
        finally:
            stop.set()
        found = [each.result() for each in writers]
        asked, wrong = reader.result()

    assert wrong == []
    assert min(asked["pinned"], asked["fan-out"]) > 10
    for written in found:
        shop.rows["orders"] += written.rows
        assert not written.refused[False], "a slot that stays was refused"
    assert sum(written.refused[True] for written in found) > 0
    shop.check_split()
