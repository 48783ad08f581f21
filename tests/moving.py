"""A shop whose orders are moved, and processes that end in the middle of it."""

import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from servers import Fleet
from shardhash.db import prepare_sqlite
from shardhash.db.executor import _engine
from shardhash.db.executor._runner import Runner
from shardhash.db.operations import Operations
from shardhash.db.plan import StepKind
from shardhash.db.stores import FileStore
from shardhash.errors import StoppedError

SLOTS = 16
BAND = 2**40
NUMBERS = {"mysql": "BIGINT AUTO_INCREMENT", "sqlite": "INTEGER"}


def slot_of(key: int) -> int:
    return zlib.crc32(b"%d" % key) & (SLOTS - 1)


class Shop:
    """One adopted shard with 200 orders, whose ids the server counts."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        fleet.add("s1", instance="a")
        counted = " AUTOINCREMENT" if fleet.kind == "sqlite" else ""
        fleet.sql(
            "s1",
            f"CREATE TABLE orders (id {NUMBERS[fleet.kind]} PRIMARY KEY{counted}, k INT, x INT)",
        )
        rows = ", ".join(f"({number}, {number}, 0)" for number in range(1, 201))
        fleet.sql("s1", f"INSERT INTO orders VALUES {rows}")
        path = fleet.write_config()
        path.write_text("map_max_age_s: 0.02\n" + path.read_text())
        self.store = FileStore(path)
        with self.operations() as operations:
            plan = operations.plan_adopt(
                "s1",
                instance="a",
                database=fleet.database("s1"),
                mapping="by_k",
                key="k",
                key_type="int",
                tables=[("orders", None)],
                slot_count=SLOTS,
            )
            operations.apply(plan)

    def operations(self) -> Operations:
        return Operations(self.store.load()[0], store=self.store)

    def split(self, source: str, target: str) -> None:
        with self.operations() as operations:
            operations.apply(operations.plan_split(source, target, freeze=True))
        self.learn(target)

    def learn(self, shard: str) -> None:
        """Let the fleet know, and drop, a database that an operation has made."""
        found = self.store.load()[0].shards[shard]
        self.fleet._places[shard] = (found.instance, found.database)

    def keys(self, *shards: str) -> list[int]:
        return sorted(row[0] for s in shards for row in self.fleet.sql(s, "SELECT k FROM orders"))

    def insert(self, shard: str, key: int) -> int:
        """Insert a row as an application does, and return the id that it got."""
        with closing(self.fleet.connect(shard)) as connection:
            if self.fleet.kind == "sqlite":
                prepare_sqlite(connection)
            cursor = connection.cursor()
            cursor.execute(f"INSERT INTO orders (k, x) VALUES ({key}, 1)")
            return int(cursor.lastrowid)

    def key_of(self, shard: str) -> int:
        """Return a key that the map gives to a shard, above all that are there."""
        with self.operations() as operations:
            owners = operations._config.mapping("by_k").owners
        return next(key for key in range(1_000, 2_000) if owners[slot_of(key)] == shard)


@contextmanager
def dying_after(kind: StepKind, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a process end after the effect of a step of a kind, and before its record."""
    runner = _engine.RUNNERS[kind]

    def run(work: Any, step: Any) -> Any:
        runner.run(work, step)
        raise KeyboardInterrupt

    changed = Runner(run, runner.undo, runner.is_done)
    with monkeypatch.context() as patched:
        patched.setattr(_engine, "RUNNERS", {**_engine.RUNNERS, kind: changed})
        with pytest.raises(StoppedError):
            yield


def stopped_at(shop: Shop, kind: StepKind, plan: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Apply a plan in a process that ends after a step's effect; return the operation's id."""
    with dying_after(kind, monkeypatch), shop.operations() as operations:
        operations.apply(plan)
    with shop.operations() as operations:
        return next(state.id for state in operations.list() if not state.is_ended)
