"""The cluster that a machine works on, read and written by no code of shardhash."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from crash_cases import AnyCluster
from crash_states import FileCluster
from shardhash.db import Cluster, prepare_sqlite
from shardhash.db.config import Config
from shardhash.db.stores import FileStore

MAPPING = "by_k"
SLOTS = 8
KEYS = 12
FIRST_SHARD, FIRST_DATABASE = "s1", "crash_s1"
SCHEMA = (
    (
        "CREATE TABLE orders (id {id}, code VARCHAR(20) NOT NULL, k INTEGER NOT NULL, "
        "x INTEGER NOT NULL)"
    ),
    (
        "CREATE TABLE items (code VARCHAR(20) NOT NULL PRIMARY KEY, k INTEGER NOT NULL, "
        "x INTEGER NOT NULL)"
    ),
)
IDS = {
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "mysql": "BIGINT PRIMARY KEY AUTO_INCREMENT",
}
TABLES = ("orders", "items")
FIRST_ROWS = [(table, f"first{k}", k, 0) for table in TABLES for k in range(KEYS)]

Row = tuple[str, str, int, int]
"""Table, code, key and content; code and table tell it from all others."""


def slot_of(key: int) -> int:
    """Return the slot of a key, by other means than shardhash's."""
    return zlib.crc32(str(key).encode()) & (SLOTS - 1)


def make_first(cluster: AnyCluster) -> None:
    """Make a cluster of two shards, with guards."""
    rows = [f"INSERT INTO {t} (code, k, x) VALUES ('{code}', {k}, {x})"
            for t, code, k, x in FIRST_ROWS]  # fmt: skip
    schema = [statement.format(id=IDS[cluster.kind]) for statement in SCHEMA]
    cluster.make(FIRST_DATABASE, [*schema, *rows])
    lines = ["format: 1", "app: drawn", "map_max_age_s: 0.001", "instances:"]
    lines += [f"  {name}: {{url: '{url}'}}" for name, url in cluster.instances().items()]
    cluster.config_path.write_text("\n".join([*lines, "shards: {}", "mappings: {}", ""]))
    cluster.config_path.chmod(0o600)
    with Cluster.open(cluster.config_path) as opened:
        plan = opened.operations.plan_adopt(
            FIRST_SHARD,
            instance="a",
            database=FIRST_DATABASE,
            mapping=MAPPING,
            key="k",
            key_type="int",
            tables=[(table, None) for table in TABLES],
            slot_count=SLOTS,
        )
        opened.operations.apply(plan)
    with Cluster.open(cluster.config_path) as opened:
        opened.operations.apply(
            opened.operations.plan_split(FIRST_SHARD, "s2", instance="b", freeze=True)
        )


@dataclass(frozen=True)
class Seen:
    """What is on a shard: rows, ids of orders, states of slots, and what operations left there."""

    rows: list[Row]
    ids: list[int]
    states: dict[int, str]
    records: list[str]


class Shards:
    """The shards of a cluster, as the map in its store has them now."""

    def __init__(self, cluster: AnyCluster) -> None:
        self.cluster = cluster
        self.store = FileStore(cluster.config_path)

    @property
    def config(self) -> Config:
        return self.store.load()[0]

    @property
    def owners(self) -> list[str]:
        """By slot, the shard that owns it."""
        return list(self.config.mapping(MAPPING).owners)

    @property
    def names(self) -> list[str]:
        """The shards of the mapping."""
        return sorted(self.config.mapping(MAPPING).shards)

    @property
    def copies(self) -> list[str]:
        """The shards that are in no mapping."""
        return sorted(name for name, each in self.config.shards.items() if each.detached)

    def ask(self, shard: str, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return rows of a shard, read by no code of shardhash."""
        with self._cursor(shard) as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def write(self, shard: str, sql: str, values: tuple[Any, ...]) -> int:
        """Write to a shard and return the number of rows that it counts."""
        with self._cursor(shard) as cursor:
            cursor.execute(sql.replace("%s", self._hole), values)
            return int(cursor.rowcount)

    @property
    def _hole(self) -> str:
        return "?" if isinstance(self.cluster, FileCluster) else "%s"

    @contextmanager
    def _cursor(self, shard: str) -> Iterator[Any]:
        place = self.config.shard(shard)
        if isinstance(self.cluster, FileCluster):
            path = self.cluster.directory / place.instance / f"{place.database}.db"
            raw: Any = sqlite3.connect(path, isolation_level=None)
            prepare_sqlite(raw)
        else:
            raw = self.cluster.servers[place.instance].connect(place.database)
        with closing(raw) as connection, closing(connection.cursor()) as cursor:
            yield cursor

    def seen(self, shard: str) -> Seen:
        """Return what is on a shard."""
        rows = [
            (table, *row)
            for table in TABLES
            for row in self.ask(shard, f"SELECT code, k, x FROM {table}")
        ]
        owners = self.owners
        ids = [
            number
            for number, key in self.ask(shard, "SELECT id, k FROM orders")
            if owners[slot_of(key)] == shard
        ]
        is_file = isinstance(self.cluster, FileCluster)
        schema = "" if is_file else f"{self.config.shard(shard).database}_shardhash."
        name = self.config.mapping(MAPPING).state_name
        states = self.ask(
            shard,
            f"SELECT slot, state FROM {schema}_shardhash_slots WHERE mapping = {self._hole}",
            (name,),
        )
        records = [
            f"{shard}: {kind} {row}"
            for kind in ("pass", "copies", "pages")
            for row in self.ask(shard, f"SELECT * FROM {schema}_shardhash_{kind}")
        ]
        return Seen(rows, ids, dict(states), records)
