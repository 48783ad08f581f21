"""Statements that made sharded engines answer wrongly, against one database with the same rows."""

import re
from collections.abc import Iterator
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
