"""Shards and one whole database with the same rows, and the comparison of their answers."""

import datetime
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from server_software import no_pad_binary
from servers import Fleet
from shardhash.db import Cluster
from shardhash.errors import QueryRefusedError

SHARDS = ("s1", "s2", "s3", "s4")
WHOLE = "whole"
SLOTS = {"count": 16, "owners": {"s1": "0-5", "s2": "6-10", "s3": "11-15", "s4": ""}}
"""``s4`` owns nothing: it stands empty beside the others."""

MYSQL_TABLES = f"""
CREATE TABLE orders (
    id INT PRIMARY KEY, k INT NOT NULL, city VARCHAR(20) COLLATE utf8mb4_general_ci,
    tag VARCHAR(20) COLLATE {no_pad_binary()}, amount DECIMAL(10,2), n INT, ratio DOUBLE, day DATE,
    size ENUM('small','big','huge'), note CHAR(5) COLLATE utf8mb4_unicode_ci, moment DATETIME(3)
) CHARACTER SET utf8mb4;
CREATE TABLE items (
    id INT PRIMARY KEY, k INT NOT NULL, order_id INT, price DECIMAL(8,3), qty INT
) CHARACTER SET utf8mb4;
CREATE TABLE loose (id INT PRIMARY KEY, k INT NULL, v INT) CHARACTER SET utf8mb4;
CREATE TABLE countries (
    code CHAR(2) PRIMARY KEY, name VARCHAR(20) COLLATE utf8mb4_general_ci,
    city VARCHAR(20) COLLATE utf8mb4_general_ci
) CHARACTER SET utf8mb4
"""
SQLITE_TABLES = """
CREATE TABLE orders (
    id INTEGER PRIMARY KEY, k INTEGER NOT NULL, city TEXT COLLATE NOCASE, tag TEXT, amount NUMERIC,
    n INTEGER, ratio REAL, day TEXT, size TEXT, note TEXT COLLATE RTRIM, moment TEXT
);
CREATE TABLE items (
    id INTEGER PRIMARY KEY, k INTEGER NOT NULL, order_id INTEGER, price NUMERIC, qty INTEGER
);
CREATE TABLE loose (id INTEGER PRIMARY KEY, k INTEGER, v INTEGER);
CREATE TABLE countries (
    code TEXT PRIMARY KEY, name TEXT COLLATE NOCASE, city TEXT COLLATE NOCASE
)
"""
CITIES = ("Berlin", "berlin", "BERLIN ", "Paris", "paris", "Rome", "", " ", "Ärhus", "Zürich", None)
TAGS = ("a", "A", "b", "b ", "ba", "", None)


def owner(key: int, owners: dict[str, str]) -> str:
    """Return the owner by plain zlib."""
    slot = zlib.crc32(b"%d" % key) & 15
    for shard, slots in owners.items():
        for part in filter(None, slots.split(",")):
            first, _, last = part.partition("-")
            if int(first) <= slot <= int(last or first):
                return shard
    raise AssertionError(slot)


@dataclass
class Pair:
    """A cluster of shards beside one database that holds all their rows."""

    fleet: Fleet
    cluster: Cluster
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def whole(self, sql: str, params: Any = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return names and rows of the one database, by the bare driver."""
        connection = self.fleet.connect(WHOLE)
        try:
            cursor = connection.cursor()
            if self.fleet.kind == "sqlite":
                cursor.execute(sql.replace("%s", "?").replace("%%", "%"), tuple(params))
            else:
                cursor.execute(sql, tuple(params) or None)
            return [c[0] for c in cursor.description], [tuple(r) for r in cursor.fetchall()]
        finally:
            connection.close()

    def check(self, sql: str, params: Any = (), *, ordered: bool = False) -> str:
        """Compare both answers, and return how the shards were asked, or ``refused``."""
        try:
            result = self.cluster.query(sql, params)
        except QueryRefusedError:
            return "refused"
        try:
            found = result.all()
        except QueryRefusedError:
            return "refused"
        names, rows = self.whole(sql, params)

        assert [c.name for c in result.columns] == names, sql
        assert _rows(found, ordered) == _rows(rows, ordered), sql
        return self.cluster.explain(sql, params).kind


def _rows(rows: list[tuple[Any, ...]], ordered: bool) -> list[Any]:
    plain = [tuple(map(_value, row)) for row in rows]
    return plain if ordered else sorted(plain, key=repr)


def _value(value: Any) -> Any:
    """Return a value with its type; texts that a collation may swap for one another are folded."""
    if isinstance(value, float):
        return "float", float(f"{value:.12g}")
    if isinstance(value, Decimal):
        return "Decimal", str(value)
    if isinstance(value, str):
        return "str", value.rstrip(" ").lower()
    return type(value).__name__, value


def make_pair(fleet: Fleet, *, owners: dict[str, str] | None = None, seed: int = 7,
              rows: int = 120, **more: Any) -> Pair:  # fmt: skip
    """Make shards and the whole database with rows by chance."""
    owners = owners or SLOTS["owners"]
    tables = MYSQL_TABLES if fleet.kind == "mysql" else SQLITE_TABLES
    for shard in (*SHARDS, WHOLE):
        fleet.add(shard)
        for table in tables.split(";"):
            fleet.sql(shard, table)
    _load(fleet, _rows_by_chance(random.Random(seed), rows, owners))
    mapping = {
        "key": {"column": "k", "type": "int"},
        "tables": ["orders", "items", "loose"],
        "global_tables": ["countries"],
        "slots": {"count": 16, "owners": owners},
        **more,
    }
    cluster = Cluster.open(str(fleet.write_config({"by_k": mapping})))
    return Pair(fleet, cluster)


Placed = tuple[str, str, tuple[Any, ...]]
"""A shard, a table and a row."""


def _rows_by_chance(rng: random.Random, rows: int, owners: dict[str, str]) -> Iterator[Placed]:
    for number in range(rows):
        order = _order(rng, number)
        yield owner(order[1], owners), "orders", order
        for item in range(rng.randrange(3)):
            row = _item(rng, number * 10 + item, rows)
            yield owner(row[1], owners), "items", row
        key = rng.choice([None, rng.randrange(20)])
        place = rng.choice(SHARDS) if key is None else owner(key, owners)
        yield place, "loose", (number, key, rng.randrange(5))
    for row in (("de", "Germany", "berlin"), ("fr", "France", "PARIS"), ("it", "Italy", "Rome")):
        yield from ((shard, "countries", row) for shard in SHARDS)


def _load(fleet: Fleet, placed: Iterator[Placed]) -> None:
    """Write rows to their shards, and each once to the whole database."""
    batches: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for shard, table, row in placed:
        batches.setdefault((shard, table), []).append(row)
        if table != "countries" or shard == SHARDS[0]:
            batches.setdefault((WHOLE, table), []).append(row)
    for (shard, table), rows in batches.items():
        insert_rows(fleet, shard, table, rows)


def insert_rows(fleet: Fleet, shard: str, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Insert rows into one shard, past any routing."""
    if fleet.kind == "sqlite":
        rows = [tuple(float(v) if isinstance(v, Decimal) else v for v in row) for row in rows]
    hole = "?" if fleet.kind == "sqlite" else "%s"
    holes = ", ".join([hole] * len(rows[0]))
    connection = fleet.connect(shard)
    connection.cursor().executemany(f"INSERT INTO {table} VALUES ({holes})", rows)
    connection.close()


def _item(rng: random.Random, number: int, rows: int) -> tuple[Any, ...]:
    price = rng.choice([None, Decimal(rng.randrange(10**6)) / 1000])
    return number, rng.randrange(40), rng.randrange(rows), price, rng.randrange(9)


def _order(rng: random.Random, key: int) -> tuple[Any, ...]:
    day = datetime.date(2026, 1, 1) + datetime.timedelta(days=rng.randrange(40))
    return (
        key,
        rng.randrange(40),
        rng.choice(CITIES),
        rng.choice(TAGS),
        rng.choice([None, Decimal(rng.randrange(-(10**5), 10**5)) / 100]),
        rng.choice([None, rng.randrange(-5, 5)]),
        rng.choice([None, rng.randrange(100) / 8]),
        rng.choice([None, day.isoformat()]),
        rng.choice([None, "small", "big", "huge"]),
        rng.choice([None, "x", "X", "y", "y "]),
        rng.choice([None, f"{day.isoformat()} 10:00:00.{rng.randrange(1000):03}"]),
    )
