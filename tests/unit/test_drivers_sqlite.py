"""The SQL functions that SQLite connections get."""

import hashlib
import itertools
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardhash.db import prepare_sqlite
from shardhash.db.drivers import Place, SessionSettings, SQLiteConnector
from shardhash.errors import ServerUnreachableError

PLACE = Place(instance="disk", address="/shards", shard="s1", database="one")
INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
VALUES = st.one_of(st.none(), INTEGERS, st.floats(allow_nan=False), TEXTS, st.binary())


@pytest.fixture(scope="module")
def prepared() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        prepare_sqlite(connection)
        yield connection


def one(connection: sqlite3.Connection, sql: str, *values: object) -> object:
    return connection.execute(sql, values).fetchone()[0]


def digest(connection: sqlite3.Connection, *values: object) -> object:
    holes = ", ".join("?" * len(values))
    return one(connection, f"SELECT shardhash_row_digest({holes})", *values)


@given(INTEGERS)
def test_crc32_of_an_integer_is_that_of_its_decimal_text(
    prepared: sqlite3.Connection, key: int
) -> None:
    assert one(prepared, "SELECT shardhash_crc32(?)", key) == zlib.crc32(str(key).encode())


@given(TEXTS)
def test_crc32_of_a_text_is_that_of_its_utf8(prepared: sqlite3.Connection, key: str) -> None:
    assert one(prepared, "SELECT shardhash_crc32(?)", key) == zlib.crc32(key.encode())


@given(st.binary())
def test_crc32_of_a_blob_is_that_of_its_bytes(prepared: sqlite3.Connection, key: bytes) -> None:
    assert one(prepared, "SELECT shardhash_crc32(?)", key) == zlib.crc32(key)


def test_crc32_of_null_is_null(prepared: sqlite3.Connection) -> None:
    assert one(prepared, "SELECT shardhash_crc32(NULL)") is None


def test_crc32_of_a_real_is_an_error(prepared: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="user-defined function"):
        one(prepared, "SELECT shardhash_crc32(1.0)")


def test_a_digest_is_the_sha256_of_types_lengths_and_values(prepared: sqlite3.Connection) -> None:
    written = bytes.fromhex(
        "69 0000000000000008 fffffffffffffffe"  # i, -2
        "66 0000000000000008 3ff8000000000000"  # f, 1.5
        "74 0000000000000002 c3a9"  # t, e with acute accent
        "62 0000000000000001 00"  # b, one zero byte
        "6e 0000000000000000"  # n, NULL
    )

    assert digest(prepared, -2, 1.5, "\u00e9", b"\0", None) == hashlib.sha256(written).digest()


@given(st.lists(VALUES, max_size=4), st.lists(VALUES, max_size=4))
def test_rows_have_equal_digests_only_if_they_are_equal(
    prepared: sqlite3.Connection, row: list[object], other: list[object]
) -> None:
    is_equal = [(type(v), repr(v)) for v in row] == [(type(v), repr(v)) for v in other]

    assert (digest(prepared, *row) == digest(prepared, *other)) == is_equal


def test_values_that_look_alike_have_different_digests(prepared: sqlite3.Connection) -> None:
    rows = [
        (1,), ("1",), (1.0,), (b"1",), (None,), ("",), (b"",), (0,), (0.0,), (-0.0,), ("n",), (),
        (None, None), ("a", "b"), ("ab", ""), ("", "ab"), ("ab",), (b"a", b"b"), ("a", b"b"),
    ]  # fmt: skip
    digests = [digest(prepared, *row) for row in rows]

    assert all(a != b for a, b in itertools.combinations(digests, 2))


def test_a_digest_is_32_bytes_of_blob(prepared: sqlite3.Connection) -> None:
    assert one(
        prepared, "SELECT typeof(d) || length(d) FROM (SELECT shardhash_row_digest(1) d)"
    ) == ("blob32")


def test_the_functions_may_be_used_in_an_index(prepared: sqlite3.Connection) -> None:
    prepared.execute("CREATE TABLE i (k TEXT)")
    prepared.execute("CREATE INDEX by_slot ON i (shardhash_crc32(k) & 15)")
    prepared.execute("INSERT INTO i VALUES ('42')")

    assert one(
        prepared, "SELECT k FROM i WHERE shardhash_crc32(k) & 15 = ?", zlib.crc32(b"42") & 15
    )


def test_a_prepared_connection_sees_rows_that_are_replaced(prepared: sqlite3.Connection) -> None:
    assert one(prepared, "PRAGMA recursive_triggers") == 1


def test_a_missing_file_is_not_created(tmp_path: Path) -> None:
    connector = SQLiteConnector(tmp_path / "one.db", PLACE, SessionSettings())

    with pytest.raises(ServerUnreachableError, match=r"shard s1 .*one\.db"):
        connector.connect()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "50%41", "a?mode=ro", "a#b", "ä"])
def test_any_file_name_is_taken_as_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "one.db"
    with closing(SQLiteConnector(path, PLACE, SessionSettings(), create=True).connect()) as made:
        made.execute("CREATE TABLE t (id INTEGER)")

    with closing(SQLiteConnector(path, PLACE, SessionSettings()).connect()) as connection:
        assert one(connection, "SELECT name FROM sqlite_master") == "t"
    assert path.exists()
