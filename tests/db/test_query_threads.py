"""Statements that made sharded engines answer wrongly, against one database with the same rows."""

import re
import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import servers
from shardhash.errors import QueryRefusedError, ShardhashError
from thread_cases import Threads, make_threads, same_answer

QUERIES = Path(__file__).with_name("query_threads.txt").read_text().splitlines()
_LINE = re.compile(r"(?:(?P<only>mysql|sqlite): )?(?P<kind>[a-z ]+): (?P<statement>.*)")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("mysql", marks=pytest.mark.server)])
def threads(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Threads]:
    directory = tmp_path_factory.mktemp("threads")
    if request.param == "sqlite":
        yield make_threads(servers.SQLiteFleet(directory))
        return
    server = request.getfixturevalue("mariadb")
    fleet = servers.MySQLFleet(directory, servers={"a": server})
    made = make_threads(fleet)
    yield made
    made.cluster.close()
    fleet.drop()


def groups() -> dict[str, list[str]]:
    """Return the statements under each comment."""
    found: dict[str, list[str]] = {}
    comment = ""
    for line in QUERIES:
        if line.startswith("#"):
            comment = line.lstrip("# ")
        elif line:
            found.setdefault(comment, []).append(line)
    return found


@pytest.mark.parametrize("group", list(groups()))
def test_threads_are_answered_as_one_database_does_or_refused(threads: Threads, group: str) -> None:
    wrong = []
    for line in groups()[group]:
        parts = _LINE.fullmatch(line)
        assert parts is not None, line
        if parts["only"] in (None, threads.fleet.kind):
            found = outcome(threads, parts["statement"])
            if found != parts["kind"]:
                wrong.append((parts["statement"], f"expected {parts['kind']}, found {found}"))

    assert wrong == []


def outcome(threads: Threads, statement: str) -> str:
    """Return how shards answer, ``refused``, ``error``, or what is wrong."""
    expected: Any
    try:
        expected = threads.whole(statement)
    except Exception as error:
        expected = error
    try:
        result = threads.cluster.query(statement)
        rows = result.all()
    except QueryRefusedError as error:
        return "refused" if error.next_step else "refused without a next step"
    except ShardhashError as error:
        return "error" if isinstance(expected, Exception) else f"error where one answers: {error}"
    if isinstance(expected, Exception):
        return f"an answer where one database fails: {expected}"
    wrong = same_answer(threads, statement, (result.columns, rows), expected)
    return wrong or threads.cluster.explain(statement).kind


VALUES = [
    7, -7, 0, 2**31 - 1, 2**31, 2**70, True, False, "7", "07", " 7", "7 ", "7abc", "7.0", "7e0", "",
    "x", "-7", "+7", 7.0, 7.5, 1e30, float("1e-9"), Decimal(7), Decimal("7.0"), Decimal("7.5"),
    b"7", b"\x07", None, date(2026, 1, 10), datetime(2026, 1, 10, 1), timedelta(seconds=7),
    uuid.UUID(int=7),
]  # fmt: skip
COMPARISONS = [
    "SELECT COUNT(*) FROM orders WHERE user_id = %s",
    "SELECT COUNT(*) FROM orders WHERE user_id IN (8, %s)",
    "SELECT COUNT(*) FROM orders WHERE %s > user_id",
    "SELECT COUNT(*) FROM orders WHERE NOT user_id = %s",
    "SELECT COUNT(*) FROM readings WHERE sensor = %s",
    "SELECT COUNT(*) FROM readings WHERE sensor >= %s",
    "SELECT COUNT(*) FROM readings WHERE sensor < %s",
    "SELECT COUNT(*) FROM accounts WHERE name = %s",
    "SELECT COUNT(*) FROM logins WHERE name = %s",
    "SELECT COUNT(*) FROM nicks WHERE name = %s",
    "SELECT COUNT(*) FROM visits WHERE day = %s",
    "SELECT COUNT(*) FROM visits WHERE day <= %s",
    "SELECT COUNT(*) FROM codes WHERE code > %s",
    "SELECT MAX(amount), SUM(qty) FROM orders WHERE amount > %s OR qty = %s",
]


@pytest.mark.parametrize("statement", COMPARISONS)
def test_values_of_every_type_compare_as_in_one_database(threads: Threads, statement: str) -> None:
    wrong = []
    for value in VALUES:
        values = (value,) * statement.count("%s")
        try:
            found: Any = threads.cluster.query(statement, values).all()
        except ShardhashError:
            found = "error"
        expected = _expected(threads, statement, values)
        if found != expected:
            wrong.append((value, found, expected))

    assert wrong == []


def _expected(threads: Threads, statement: str, values: tuple[Any, ...]) -> Any:
    """Return the one database's answer to values as its driver takes them."""
    if threads.fleet.kind == "sqlite":
        values = tuple(_for_sqlite(value) for value in values)
    else:
        values = tuple(str(v) if isinstance(v, uuid.UUID) else v for v in values)
    try:
        return [tuple(row) for row in threads.fleet.sql("whole", statement, values)]
    except Exception:
        return "error"


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return str(value) if isinstance(value, date | uuid.UUID) else value
