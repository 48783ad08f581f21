"""Rows that break sharded engines, as tables for both backends, and the mappings over them.

Ties under collations, trailing spaces, NULL keys, decimals of several scales, numbers beyond 2**53,
microseconds, empty texts, characters of four bytes, bytes that are no text. Doubles are multiples
of 1/4, so that every sum of them is exact and has one right answer.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from server_software import no_pad_binary
from servers import Fleet
from shardhash.testing import Twins

SHARDS = ("s1", "s2", "s3", "s4")
MAPPINGS = {
    "by_customer": {
        "key": {"column": "customer_id", "type": "int"},
        "tables": ["customers", "orders", {"name": "notes", "key": "customer"}],
        "global_tables": ["countries"],
        "slots": {"count": 64, "owners": {"s1": "0-20", "s2": "21-50", "s3": "51-62", "s4": "63"}},
    },
    "by_token": {
        "key": {"column": "token", "type": "str"},
        "tables": ["sessions", "clicks"],
        "global_tables": ["countries"],
        "slots": {"count": 16, "owners": {"s1": "0-4", "s2": "5-10", "s3": "11-15", "s4": ""}},
    },
    "by_day": {
        "key": {"column": "day", "type": "date"},
        "tables": ["visits"],
        "global_tables": ["countries"],
        "ranges": {"bounds": ["2026-01-10", "2026-02-01"], "shards": ["s2", "s1", "s3"]},
    },
}

MYSQL_TABLES = {
    "customers": """
        customer_id BIGINT PRIMARY KEY, name VARCHAR(30) COLLATE utf8mb4_general_ci,
        country CHAR(2) COLLATE utf8mb4_general_ci, joined DATE, score DOUBLE,
        level ENUM('low', 'High', 'middle'), balance DECIMAL(14,4) NOT NULL""",
    "orders": """
        customer_id BIGINT NOT NULL, order_id INT NOT NULL, amount DECIMAL(12,3),
        price DECIMAL(20,6), placed DATETIME(6), city VARCHAR(20) COLLATE utf8mb4_unicode_ci,
        tag VARCHAR(20) COLLATE utf8mb4_bin, big BIGINT, small SMALLINT UNSIGNED, photo BLOB,
        PRIMARY KEY (customer_id, order_id)""",
    "notes": """
        note_id INT PRIMARY KEY, customer BIGINT, body TEXT COLLATE utf8mb4_general_ci,
        huge BIGINT UNSIGNED, at TIME, made YEAR, code VARBINARY(8), half FLOAT, KEY (customer)""",
    "sessions": f"""
        token VARCHAR(20) COLLATE {no_pad_binary()} PRIMARY KEY, customer_id BIGINT,
        seen DATETIME, hits INT NOT NULL""",
    "clicks": f"""
        click_id INT PRIMARY KEY, token VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL,
        path VARCHAR(20) COLLATE {no_pad_binary()}, cost DECIMAL(6,2), KEY (token)""",
    "visits": """
        day DATE NOT NULL, visit_id INT NOT NULL, customer_id BIGINT, seconds INT,
        rate DECIMAL(5,4), PRIMARY KEY (day, visit_id)""",
    "countries": """
        country CHAR(2) COLLATE utf8mb4_general_ci PRIMARY KEY,
        region VARCHAR(20) COLLATE utf8mb4_general_ci, size INT""",
}
SQLITE_TABLES = {
    "customers": """
        customer_id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, country TEXT COLLATE NOCASE,
        joined TEXT, score REAL, level TEXT, balance REAL NOT NULL""",
    "orders": """
        customer_id INTEGER NOT NULL, order_id INTEGER NOT NULL, amount REAL, price REAL,
        placed TEXT, city TEXT COLLATE NOCASE, tag TEXT COLLATE RTRIM, big INTEGER,
        small INTEGER, photo BLOB, PRIMARY KEY (customer_id, order_id)""",
    "notes": """
        note_id INTEGER PRIMARY KEY, customer INTEGER, body TEXT, huge INTEGER, at TEXT,
        made INTEGER, code BLOB, half REAL""",
    "sessions": """
        token TEXT NOT NULL PRIMARY KEY, customer_id INTEGER, seen TEXT, hits INTEGER NOT NULL""",
    "clicks": """
        click_id INTEGER PRIMARY KEY, token TEXT COLLATE NOCASE NOT NULL, path TEXT, cost REAL""",
    "visits": """
        day TEXT NOT NULL, visit_id INTEGER NOT NULL, customer_id INTEGER, seconds INTEGER,
        rate REAL, PRIMARY KEY (day, visit_id)""",
    "countries": """
        country TEXT COLLATE NOCASE PRIMARY KEY, region TEXT COLLATE NOCASE, size INTEGER""",
}

NAMES = ["a", "A", "á", "a ", "b", "B ", "", " ", "ß", "ss", "Straße", "\U0001f41f", "\U0001f600x",
         "it's", "50%", "a\\b", "zz", None]  # fmt: skip
COUNTRIES = ["de", "DE", "fr", "xx", None]
BYTES = [b"", b"\x00", b"a", b"A", b"\xff\xfe'\"%\\", b"\x00\x00", None]
KEYS = [-(2**63), -7, -1, 0, *range(1, 22), 2**31, 2**53 + 1, 2**63 - 1]


def rows(random: Random) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of all tables in MySQL's types."""
    pick = random.choice
    customers = [
        (key, pick(NAMES), pick(COUNTRIES), _day(random), _quarter(random),
         pick(["low", "High", "middle", None]), Decimal(random.randint(-99999, 99999)).scaleb(-4))
        for key in KEYS
    ]  # fmt: skip
    orders = [
        (pick(KEYS[:-4]), number, _decimal(random, 3), _decimal(random, 6), _moment(random),
         pick(NAMES), pick(NAMES), pick([None, 0, 2**50, -(2**49), 2**50 + 1]),
         pick([None, 0, 1, 65535]), pick(BYTES))
        for number in range(90)
    ]  # fmt: skip
    notes = [
        (number, pick([None, *KEYS]), pick(NAMES), pick([None, 0, 2**61, 2**60 + 1]),
         pick([None, timedelta(hours=-30), timedelta(seconds=5)]), pick([None, 1999, 2026]),
         pick(BYTES), _quarter(random))
        for number in range(40)
    ]  # fmt: skip
    tokens = [f"t{number}" for number in range(20)] + ["T1", "t1 ", "é", "E", "e", "", "\U0001f41f"]
    sessions = [(token, pick([None, *KEYS]), _moment(random, 0), random.randint(-3, 9))
                for token in tokens]  # fmt: skip
    clicks = [(number, pick(tokens), pick(NAMES), pick([None, Decimal("0.10"), Decimal("-3.05")]))
              for number in range(40)]  # fmt: skip
    visits = [
        (date(2025, 12, 30) + timedelta(days=random.randint(0, 40)), number, pick([None, *KEYS]),
         pick([None, 0, 5, 3600]), pick([None, Decimal("0.3333"), Decimal("-1.5000")]))
        for number in range(50)
    ]  # fmt: skip
    countries = [
        ("de", "Europe", 83),
        ("fr", "EUROPE", 68),
        ("us", "america", None),
        ("zz", None, 0),
    ]
    return {"customers": customers, "orders": orders, "notes": notes, "sessions": sessions,
            "clicks": clicks, "visits": visits, "countries": countries}  # fmt: skip


def as_sqlite(row: Sequence[Any]) -> list[Any]:
    """Return a row in what SQLite stores; decimals become multiples of 1/4."""
    made: list[Any] = []
    for value in row:
        if isinstance(value, Decimal):
            value = float(round(value * 4)) / 4
        elif isinstance(value, (date, datetime)):
            value = str(value)
        elif isinstance(value, timedelta):
            value = f"{value.total_seconds():.0f}"
        made.append(value)
    return made


def fill_whole(fleet: Fleet, shard: str = "whole", *, shuffled_by: int | None = None) -> None:
    """Create the tables with their rows in one database, in a drawn order if there is a seed."""
    fleet.add(shard)
    tables = MYSQL_TABLES if fleet.kind == "mysql" else SQLITE_TABLES
    options = " DEFAULT CHARSET utf8mb4" if fleet.kind == "mysql" else ""
    for name, columns in tables.items():
        fleet.sql(shard, f"CREATE TABLE {name} ({columns}){options}")
    with closing(fleet.connect(shard)) as connection, closing(connection.cursor()) as cursor:
        for name, found in rows(Random(7)).items():
            if shuffled_by is not None:
                Random(shuffled_by).shuffle(found)
            hole, shown = ("%s", tuple) if fleet.kind == "mysql" else ("?", as_sqlite)
            holes = ", ".join([hole] * len(found[0]))
            cursor.execute("BEGIN")
            cursor.executemany(f"INSERT INTO {name} VALUES ({holes})", list(map(shown, found)))
            cursor.execute("COMMIT")


def write_config(fleet: Fleet, *, max_age_s: float = 30.0) -> Path:
    """Write the configuration of a fleet, its dates without quotes, and return its path."""
    path = fleet.write_config(MAPPINGS)
    text = re.sub(r'"(\d{4}-\d\d-\d\d)"', r"\1", path.read_text())
    path.write_text(f"{text}map_max_age_s: {max_age_s}\n")
    return path


@contextmanager
def hostile_twins(fleet: Fleet, *, max_age_s: float = 30.0) -> Iterator[Twins]:
    """Yield twins over the hostile rows, the shards filled."""
    fill_whole(fleet)
    for shard in SHARDS:
        fleet.add(shard)
    path = write_config(fleet, max_age_s=max_age_s)
    with Twins.open(path, whole="whole", float_tolerance=0.0) as twins:
        twins.fill()
        yield twins


def _day(random: Random) -> date | None:
    return random.choice([None, date(1999, 12, 31), date(2026, 1, random.randint(1, 28))])


def _moment(random: Random, microseconds: int = 999_999) -> datetime | None:
    if random.random() < 0.1:
        return None
    return datetime(2026, 1, random.randint(1, 9), 12, 30, 1, random.randint(0, microseconds))


def _decimal(random: Random, scale: int) -> Decimal | None:
    if random.random() < 0.15:
        return None
    return Decimal(random.choice([0, 1, -1, random.randint(-(10**8), 10**8)])).scaleb(-scale)


def _quarter(random: Random) -> float | None:
    return random.choice([None, 0.0, random.randint(-1000, 1000) / 4])
