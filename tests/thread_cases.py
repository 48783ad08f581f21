"""Tables and rows for ``db/query_threads.txt``: what made sharded engines answer wrongly.

Ties, duplicates over shards, NULLs in keys that may be NULL, texts that are equal under their
collation and not as bytes, trailing spaces, negative zero, numbers beyond 64 and 53 bits, a shard
that owns nothing, and stale copies of rows on shards that do not own them any more.
"""

import re
import unicodedata
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from servers import Fleet
from shardhash.db import Cluster
from shardhash.db.tasks import ResultColumn, result_columns
from shardhash.db.topology import Backend

SHARDS = ("s1", "s2", "s3", "s4")
OWNERS = {"s1": range(6), "s2": range(6, 11), "s3": range(11, 16)}
STALE = {"s2": range(3), "s4": range(11, 13)}
"""Slots of which a shard has old rows, without owning them."""

STALE_RANGE = 1

BOUNDS = {"sensor": (0, 100, 1000), "day": ("2026-01-10", "2026-02-01"), "code": ("g", "p")}
RANGE_SHARDS = ("s3", "s1", "s2", "s1")

MAPPINGS: dict[str, Any] = {
    "by_user": {
        "key": {"column": "user_id", "type": "int"},
        "tables": ["users", "orders", "items", "events"],
        "global_tables": ["countries"],
        "slots": {"count": 16, "owners": {"s1": "0-5", "s2": "6-10", "s3": "11-15", "s4": ""}},
        "unowned": {"s2": "0-2", "s4": "11-12"},
    },
    "by_sensor": {
        "key": {"column": "sensor", "type": "int"},
        "tables": ["readings"],
        "global_tables": ["countries"],
        "ranges": {"bounds": [0, 100, 1000], "shards": list(RANGE_SHARDS)},
        "unowned": {"s2": "1"},
    },
    "by_name": {
        "key": {"column": "name", "type": "str"},
        "tables": ["accounts", "logins", "nicks"],
        "global_tables": ["countries"],
        "slots": {"count": 16, "owners": {"s1": "0-5", "s2": "6-10", "s3": "11-15", "s4": ""}},
    },
    "by_day": {
        "key": {"column": "day", "type": "date"},
        "tables": ["visits"],
        "global_tables": ["countries"],
        "ranges": {"bounds": ["2026-01-10", "2026-02-01"], "shards": ["s2", "s1", "s3"]},
    },
    "by_code": {
        "key": {"column": "code", "type": "str"},
        "tables": ["codes"],
        "global_tables": ["countries"],
        "ranges": {"bounds": ["g", "p"], "shards": ["s1", "s3", "s2"]},
    },
}

MYSQL_TABLES = {
    "users": """
        user_id INT NOT NULL PRIMARY KEY, name VARCHAR(20) COLLATE utf8mb4_general_ci,
        email VARCHAR(20) COLLATE utf8mb4_unicode_ci, tag VARCHAR(20) COLLATE utf8mb4_bin,
        age INT, score DOUBLE, balance DECIMAL(30,4), big BIGINT, ubig BIGINT UNSIGNED, born DATE,
        seen DATETIME(6), level ENUM('low', 'High', 'middle'), flags SET('a', 'b', 'c'),
        bits BIT(8), is_on BOOLEAN, half FLOAT, at TIME, country CHAR(2) COLLATE utf8mb4_general_ci,
        twice INT AS (age * 2) PERSISTENT""",
    "orders": """
        user_id INT NOT NULL, id INT NOT NULL PRIMARY KEY, amount DECIMAL(12,2), qty INT,
        status VARCHAR(10) COLLATE utf8mb4_general_ci, note VARCHAR(10) COLLATE utf8mb4_nopad_bin,
        placed DATETIME, country CHAR(2) COLLATE utf8mb4_general_ci""",
    "items": """
        user_id INT NOT NULL, id INT NOT NULL PRIMARY KEY, order_id INT, qty INT,
        price DECIMAL(8,3), name VARCHAR(20) COLLATE utf8mb4_general_ci""",
    "events": """
        id INT NOT NULL PRIMARY KEY, user_id INT NULL, kind VARCHAR(10) COLLATE utf8mb4_general_ci,
        n INT""",
    "readings": """
        sensor BIGINT NOT NULL, id INT NOT NULL PRIMARY KEY, value DECIMAL(10,3), raw DOUBLE""",
    "accounts": """
        name VARCHAR(20) COLLATE utf8mb4_nopad_bin NOT NULL PRIMARY KEY, n INT, owner INT""",
    "logins": """
        id INT NOT NULL PRIMARY KEY, name VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL, n INT""",
    "nicks": """
        id INT NOT NULL PRIMARY KEY, name CHAR(20) COLLATE utf8mb4_bin NOT NULL, n INT""",
    "visits": "day DATE NOT NULL, id INT NOT NULL PRIMARY KEY, seconds INT",
    "codes": """
        code VARCHAR(10) COLLATE utf8mb4_nopad_bin NOT NULL, id INT NOT NULL PRIMARY KEY, n INT""",
    "countries": """
        country CHAR(2) COLLATE utf8mb4_general_ci PRIMARY KEY,
        name VARCHAR(20) COLLATE utf8mb4_general_ci, size INT""",
}  # fmt: skip
SQLITE_TABLES = {
    "users": """
        user_id INTEGER NOT NULL PRIMARY KEY, name TEXT COLLATE NOCASE, email TEXT, tag TEXT
        COLLATE RTRIM, age INTEGER, score REAL, balance NUMERIC, big INTEGER, ubig INTEGER,
        born TEXT, seen TEXT, level TEXT, flags TEXT, bits BLOB, is_on INTEGER, half REAL, at TEXT,
        country TEXT COLLATE NOCASE, twice INTEGER AS (age * 2) STORED""",
    "orders": """
        user_id INTEGER NOT NULL, id INTEGER NOT NULL PRIMARY KEY, amount NUMERIC, qty INTEGER,
        status TEXT COLLATE NOCASE, note TEXT, placed TEXT, country TEXT COLLATE NOCASE""",
    "items": """
        user_id INTEGER NOT NULL, id INTEGER NOT NULL PRIMARY KEY, order_id INTEGER, qty INTEGER,
        price NUMERIC, name TEXT COLLATE NOCASE""",
    "events": """
        id INTEGER NOT NULL PRIMARY KEY, user_id INTEGER, kind TEXT COLLATE NOCASE, n INTEGER""",
    "readings": """
        sensor INTEGER NOT NULL, id INTEGER NOT NULL PRIMARY KEY, value NUMERIC, raw REAL""",
    "accounts": "name TEXT NOT NULL PRIMARY KEY, n INTEGER, owner INTEGER",
    "logins": "id INTEGER NOT NULL PRIMARY KEY, name TEXT COLLATE NOCASE NOT NULL, n INTEGER",
    "nicks": "id INTEGER NOT NULL PRIMARY KEY, name TEXT COLLATE RTRIM NOT NULL, n INTEGER",
    "visits": "day TEXT NOT NULL, id INTEGER NOT NULL PRIMARY KEY, seconds INTEGER",
    "codes": "code TEXT NOT NULL, id INTEGER NOT NULL PRIMARY KEY, n INTEGER",
    "countries": "country TEXT COLLATE NOCASE PRIMARY KEY, name TEXT COLLATE NOCASE, size INTEGER",
}

_NAMES = ("Anna", "anna", "ANNA ", "Bob", "bob", "Ärger", "arger", "ß", "ss", "", " ", "a\tb", None)
_STATES = ("new", "NEW", "paid", "Paid ", "", None)
_KEYS = (-7, 0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 17, 25, 40, 1000, 2**31 - 1)

Row = tuple[Any, ...]


def slot_of(key: object) -> int:
    """Return a key's slot by plain zlib, not by the code under test."""
    data = key.encode() if isinstance(key, str) else b"%d" % key  # type: ignore[str-format]
    return zlib.crc32(data) & 15


def owner_of(key: object) -> str:
    """Return the shard that owns a key of a mapping by slots."""
    slot = slot_of(key)
    return next(shard for shard, slots in OWNERS.items() if slot in slots)


def rows() -> dict[str, list[Row]]:
    """Return the rows of all tables in MySQL's types."""
    rng = Random(20261128)
    return {
        "users": [_user(rng, key) for key in _KEYS],
        "orders": [_order(rng, number) for number in range(90)],
        "items": [
            (rng.choice(_KEYS), number, rng.randrange(90), rng.choice([None, 0, 1, 5]),
             rng.choice([None, Decimal("0.001"), Decimal(rng.randrange(9999)) / 1000]),
             rng.choice(_NAMES))
            for number in range(70)
        ],
        "events": [
            (number, rng.choice([None, *_KEYS]), rng.choice(["in", "IN", "out", None]),
             rng.randrange(4))
            for number in range(40)
        ],
        "readings": [
            (sensor, number, rng.choice([None, Decimal("1.500"), Decimal("-0.001")]),
             rng.choice([None, 0.5, -0.25]))
            for number, sensor in enumerate(
                [-5, -1, 0, 1, 7, 99, 100, 101, 999, 1000, 5000, 7, 7, 100])
        ],
        "accounts": [(name, n % 4, _KEYS[n % len(_KEYS)]) for n, name in enumerate(
            ["7", "07", "7abc", "a", "A", "a ", "b", "é", "e", "", "x'y", "50%", "a\\b"])],
        "logins": [(n, name, n % 3) for n, name in enumerate(
            ["foo", "Foo", "FOO ", "bar", "Bar", "é", "e", "E", "zed", "7", "07"])],
        "nicks": [(n, name, n % 3) for n, name in enumerate(
            ["foo", "Foo", "bar", "e", "é", "zed"])],
        "visits": [
            (date(2026, 1, 1) + timedelta(days=3 * number % 50), number, rng.choice([None, 5, 60]))
            for number in range(30)
        ],
        "codes": [(code, n, n % 3) for n, code in enumerate(
            ["a", "f", "g", "G", "ga", "h", "o", "p", "P", "pp", "z", "é", "", "g "])],
        "countries": [
            ("de", "Germany", 83), ("fr", "FRANCE", 68), ("us", None, None), ("xx", "", 0)],
    }  # fmt: skip


def _user(rng: Random, key: int) -> Row:
    return (
        key, rng.choice(_NAMES), rng.choice(_NAMES), rng.choice(["a", "a ", "A", "b", None]),
        rng.choice([None, 20, 20, 35, 50]), rng.choice([None, -0.0, 0.5, 1e15, -2.25]),
        rng.choice([None, Decimal("12345678901234567890123456.7891"), Decimal("-0.0001"),
                    Decimal(5)]),
        rng.choice([None, 2**53 + 1, -(2**62), 2**62]), rng.choice([None, 2**62 + 1, 3, 0]),
        rng.choice([None, date(2000, 2, 29), date(1999, 12, 31)]),
        rng.choice([None, datetime(2026, 1, 1, 0, 0, 0, 1), datetime(2026, 1, 1)]),
        rng.choice([None, "low", "High", "middle"]), rng.choice([None, "a", "a,c", ""]),
        rng.choice([None, b"\x00", b"\x05"]), rng.choice([None, 0, 1]),
        rng.choice([None, 0.1, 0.5]),
        rng.choice([None, timedelta(hours=-30), timedelta(hours=1, seconds=5)]),
        rng.choice(["de", "DE", "fr", "zz", None]),
    )  # fmt: skip


def _order(rng: Random, number: int) -> Row:
    cents = rng.choice([None, 0, 10, 10, 999999999999, rng.randrange(-9999, 9999)])
    return (
        rng.choice(_KEYS),
        number,
        None if cents is None else Decimal(cents) / 100,
        rng.choice([None, 0, 1, 2, 2, 7, -3]),
        rng.choice(_STATES),
        rng.choice(["x", "X", "x ", "", None]),
        rng.choice([None, datetime(2026, 1, 1 + rng.randrange(9), 12)]),
        rng.choice(["de", "DE", "fr", "zz", None]),
    )


def _shards_of(table: str, row: Row, number: int) -> Iterator[tuple[str, Row]]:
    """Yield where a row stands, and the row: also old copies where they are not owned."""
    if table == "countries":
        yield from ((shard, row) for shard in SHARDS)
    elif table == "readings":
        place = bisect_right(BOUNDS["sensor"], row[0])
        yield RANGE_SHARDS[place], row
        if place == STALE_RANGE:
            yield "s2", row
    elif table == "visits":
        yield ("s2", "s1", "s3")[bisect_right(BOUNDS["day"], row[0].isoformat())], row
    elif table == "codes":
        yield ("s1", "s3", "s2")[bisect_right(BOUNDS["code"], row[0])], row
    elif table in ("accounts", "logins", "nicks"):
        yield owner_of(row[0 if table == "accounts" else 1]), row
    else:
        key = row[1] if table == "events" else row[0]
        if key is None:
            yield ("s1", "s2", "s3")[number % 3], row
            return
        yield owner_of(key), row
        for shard, slots in STALE.items():
            if slot_of(key) in slots and shard != owner_of(key):
                yield shard, row


@dataclass
class Threads:
    """Shards beside one whole database with the same rows."""

    fleet: Fleet
    cluster: Cluster

    def whole(self, sql: str) -> tuple[Any, list[Row]]:
        """Return the description and the rows of the one database, by the bare driver."""
        with closing(self.fleet.connect("whole")) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.description, [tuple(row) for row in cursor.fetchall()]


def make_threads(fleet: Fleet) -> Threads:
    """Fill the shards and the whole database of a fleet."""
    tables = MYSQL_TABLES if fleet.kind == "mysql" else SQLITE_TABLES
    options = " CHARACTER SET utf8mb4" if fleet.kind == "mysql" else ""
    hole = "%s" if fleet.kind == "mysql" else "?"
    for shard in (*SHARDS, "whole"):
        fleet.add(shard)
        with closing(fleet.connect(shard)) as connection, closing(connection.cursor()) as cursor:
            for name, columns in tables.items():
                cursor.execute(f"CREATE TABLE {name} ({columns}){options}")
            cursor.execute("CREATE VIEW adults AS SELECT user_id, age FROM users WHERE age > 30")
    batches: dict[tuple[str, str], list[Row]] = {}
    for table, found in rows().items():
        for number, row in enumerate(found):
            batches.setdefault(("whole", table), []).append(row)
            for shard, placed in _shards_of(table, row, number):
                batches.setdefault((shard, table), []).append(placed)
    by_shard: dict[str, list[tuple[str, list[Row]]]] = {}
    for (shard, table), placed_rows in batches.items():
        by_shard.setdefault(shard, []).append((table, placed_rows))
    for shard, parts in by_shard.items():
        with closing(fleet.connect(shard)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute("BEGIN")
            for table, placed_rows in parts:
                names = ", ".join(_columns(tables[table]))
                cursor.executemany(
                    f"INSERT INTO {table} ({names}) VALUES "
                    f"({', '.join([hole] * len(placed_rows[0]))})",
                    [tuple(_bound(fleet, value) for value in row) for row in placed_rows],
                )
            cursor.execute("COMMIT")
    path = fleet.write_config(MAPPINGS)
    path.write_text(re.sub(r'"(\d{4}-\d\d-\d\d)"', r"\1", path.read_text()))
    return Threads(fleet, Cluster.open(str(path)))


def _columns(definition: str) -> list[str]:
    """Return the names of the columns that are written, without generated ones."""
    parts = re.split(r",(?![^(]*\))", definition)
    return [part.split()[0] for part in parts if " AS (" not in part]


def _bound(fleet: Fleet, value: Any) -> Any:
    if fleet.kind == "mysql":
        return value
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.0f}"
    return str(value) if isinstance(value, date) else value


Answer = tuple[Sequence[ResultColumn], list[Row]]
_CHANCE = re.compile(r"GROUP BY|DISTINCT|UNION|MIN\(|MAX\(|INTERSECT|EXCEPT", re.IGNORECASE)
"""Where which of equal texts comes is chance."""


def same_answer(threads: Threads, statement: str, found: Answer, expected: Any) -> str:
    """Return what differs between the answers of shards and of one database; nothing if they agree.

    Compared are names, types and scales of columns, values with their Python types, and the order
    where the statement sorts.
    """
    columns, rows = found
    description, expected_rows = expected
    backend = Backend.MYSQL if threads.fleet.kind == "mysql" else Backend.SQLITE
    wanted = [_shape(column) for column in result_columns(description, backend)]
    if [_shape(column) for column in columns] != wanted:
        return f"columns {[_shape(column) for column in columns]}, expected {wanted}"
    is_loose = _CHANCE.search(statement) is not None
    mine = [tuple(_shown(value, is_loose) for value in row) for row in rows]
    others = [tuple(_shown(value, is_loose) for value in row) for row in expected_rows]
    if not is_sorted(statement):
        mine, others = sorted(mine, key=repr), sorted(others, key=repr)
    return "" if mine == others else f"rows {mine[:5]}, expected {others[:5]}"


def is_sorted(statement: str) -> bool:
    """Tell whether ORDER BY stands in a statement's outermost query."""
    outer = statement
    while outer != (outer := re.sub(r"\([^()]*\)", "", outer)):
        pass
    return "ORDER BY" in outer and "ORDER BY NULL" not in outer


def _shape(column: ResultColumn) -> tuple[str, str, int | None]:
    return column.name, column.type, column.scale if column.type in ("DECIMAL", "DOUBLE") else None


def _shown(value: Any, is_loose: bool) -> Any:
    if isinstance(value, float):
        return "float", float(f"{value:.12g}"), str(value).startswith("-")
    if isinstance(value, Decimal):
        return "Decimal", str(value)
    if isinstance(value, str) and is_loose:
        plain = unicodedata.normalize("NFKD", value.rstrip(" ")).casefold()
        return "str", "".join(sign for sign in plain if not unicodedata.combining(sign))
    return type(value).__name__, value


def row_texts(threads: Threads) -> list[tuple[str, str]]:
    """Return the rows that shards and the one database do not both have, with their tables."""
    found: list[tuple[str, str]] = []
    for table in MYSQL_TABLES:
        statement = f"SELECT * FROM {table}"
        mine = [repr(row) for row in threads.cluster.query(statement)]
        others = [repr(row) for row in threads.whole(statement)[1]]
        found += [(table, row) for row in sorted(set(mine) ^ set(others))]
        if len(mine) != len(others):
            found.append((table, f"{len(mine)} rows, expected {len(others)}"))
    return found
