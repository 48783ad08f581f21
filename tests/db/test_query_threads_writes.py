"""Writes that made sharded engines go wrong, against one database with the same rows."""

from pathlib import Path
from typing import Any

import pytest

import servers
from shardhash.errors import QueryRefusedError, ShardhashError
from thread_cases import Threads, make_threads, row_texts

WRITES = Path(__file__).with_name("query_threads_writes.txt").read_text().splitlines()


@pytest.fixture
def threads(backend: servers.Fleet) -> Any:
    made = make_threads(backend)
    yield made
    made.cluster.close()


def test_writes_do_what_they_do_to_one_database_or_are_refused(threads: Threads) -> None:
    wrong = []
    for line in WRITES:
        if not line or line.startswith("#"):
            continue
        only, _, rest = (
            line.partition(": ") if line.startswith(("mysql", "sqlite")) else ("", "", line)
        )
        kind, _, statement = rest.partition(": ")
        if only in ("", threads.fleet.kind):
            found = outcome(threads, statement)
            if found != kind:
                wrong.append((statement, f"expected {kind}, found {found}"))

    assert wrong == []


def outcome(threads: Threads, statement: str) -> str:
    """Return ``write``, ``refused``, ``error`` where both fail, or what is wrong."""
    try:
        list(threads.cluster.query(statement))
    except QueryRefusedError as error:
        return "refused" if error.next_step else "refused without a next step"
    except ShardhashError as error:
        found = f"an error: {error}"
    else:
        found = "write"
    try:
        threads.fleet.sql("whole", statement)
    except Exception as error:
        return "error" if found != "write" else f"a write where one database fails: {error}"
    if found != "write":
        return found
    return "write" if row_texts(threads) == [] else f"other rows: {row_texts(threads)}"
