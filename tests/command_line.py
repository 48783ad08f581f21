"""The installed command, and a small shop on two SQLite shards to run it on, for tests."""

import json
import sqlite3
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

COMMAND = Path(sys.executable).with_name("shardhash")

SHOP = """\
format: 1
app: shop
instances:
  disk: {url: "sqlite:///./shards"}
shards:
  s1: {instance: disk, database: shop_1}
  s2: {instance: disk, database: shop_2}
mappings:
  by_store:
    key: {column: store_id, type: int}
    tables: [orders, {name: order_items, key: store_id}]
    slots: {count: 16, owners: {s1: "0-7", s2: "8-15"}}
"""

CREATE = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, store_id INTEGER, amount INTEGER NOT NULL);
CREATE INDEX orders_store ON orders (store_id);
CREATE TABLE order_items (id INTEGER PRIMARY KEY, store_id INTEGER, name TEXT NOT NULL);
"""

STORES = range(1, 41)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def envelope(self) -> dict[str, Any]:
        """The one JSON object that it printed."""
        document: dict[str, Any] = json.loads(self.stdout)
        return document


class Run(Protocol):
    """Runs the command to its end."""

    def __call__(
        self, *words: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> Ended: ...


def owner_of(store: int) -> str:
    """Return the shard of a store by zlib's CRC-32, not by the code under test."""
    return "s1" if zlib.crc32(str(store).encode()) & 15 < 8 else "s2"


@dataclass(frozen=True)
class Shop:
    """Two shards in SQLite files, and the numbers that were put in."""

    directory: Path

    def open(self, shard: str) -> sqlite3.Connection:
        """Return a connection to a shard, without anything of shardhash."""
        return sqlite3.connect(self.directory / "shards" / f"shop_{shard[1:]}.db")

    def execute(self, shard: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement on a shard and commit it."""
        connection = self.open(shard)
        try:
            with connection:
                return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def stores(self, shard: str) -> set[int | None]:
        """Return the stores that a shard has orders of."""
        return {row[0] for row in self.execute(shard, "SELECT store_id FROM orders")}
