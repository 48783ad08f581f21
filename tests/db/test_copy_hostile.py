"""Copies, verifications and prunes of hostile tables, servers and moments."""

import os
import signal
import zlib
from contextlib import closing
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from copying import insert_rows, slots, table_of, work_on
from server_software import is_mysql, no_pad_binary, typed
from servers import wait_until
from shardhash.db.executor._copy import copy_table
from shardhash.db.executor._prune_pages import prune_pages
from shardhash.db.executor._verify import verify_table
from shardhash.db.sql import RowFilter

ALL = RowFilter.all_rows()
FOLDED = ["Foo", "bar", "é", "ß", "\U0001f41f", "it's", "a\\b", "", "%s", "z" * 19]
PRIMARY_KEYS = {
    "id BIGINT UNSIGNED": [0, 1, 2**63, 2**64 - 1],
    "id INT ZEROFILL": [0, 7, 4294967295],
    "id DECIMAL(30,10)": ["-1.5", "0", "99999999999999999999.0000000001"],
    "id VARCHAR(20) COLLATE utf8mb4_general_ci": FOLDED,
    "id VARCHAR(20) COLLATE utf8mb4_unicode_ci": FOLDED,
    "id VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german2_ci": ["a", "ä", "Z", "b ", "'"],
    "id VARCHAR(20) CHARACTER SET ucs2": ["a", "中", "Z", "'"],
    f"id CHAR(20) COLLATE {no_pad_binary()}": [*FOLDED, "foo"],
    "id VARBINARY(9)": [b"", b"\0", b"\0\0", b"\\'", b"\xff", b"%s"],
    "id BINARY(16)": [bytes([n] * 16) for n in (0, 1, 92, 39, 255)],
    "id UUID": [f"{n:08x}-e89b-12d3-a456-{n:012x}" for n in (0, 5, 2**32 - 1, 77)],
    "id INET6": ["::", "::1", "2001:db8::1", "ffff::"],
    "id DATE": ["0000-00-00", "1000-01-01", "2026-02-31", "9999-12-31"],
    "id DATETIME(6)": ["1000-01-01 00:00:00", "2026-03-29 02:30:00.000001", "9999-12-31 23:59:59"],
    "id TIMESTAMP": ["1970-01-01 00:00:01", "2026-10-25 00:30:00", "2026-10-25 01:30:00"],
    "id TIME(3)": ["-838:59:59", "-00:00:00.001", "00:00:00", "838:59:59"],
    "id YEAR": ["0000", 1901, 1970, 2155],
    "id BIT(40)": [0, 1, 2**40 - 1, 39],
    "id ENUM('z','1','a','2')": ["z", "1", "a", "2"],
    "id SET('z','a','1')": ["", "z", "a,1", "z,a,1"],
}


def fill(fleet, shard, rows):
    holes = ", ".join(["%s"] * len(rows[0]))
    with closing(fleet.connect(shard)) as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
        for row in rows:
            cursor.execute(f"INSERT INTO t VALUES ({holes})", row)


def content(fleet, shard):
    return sorted(map(str, fleet.sql(shard, "SELECT *, HEX(id), SHA2(c, 256) FROM t")))


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    monkeypatch.setattr("shardhash.db.executor._table_copy._PAGE_ROWS", 2)
    monkeypatch.setattr("shardhash.db.executor._pages._PAGE_ROWS", 2)


@pytest.mark.parametrize("definition", typed(PRIMARY_KEYS))
def test_rows_of_any_primary_key_are_copied_verified_and_pruned(mysql_fleet, definition):
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard)
        mysql_fleet.sql(
            shard,
            f"CREATE TABLE t ({definition}, part INT, k INT, c VARCHAR(9), PRIMARY KEY (id, part)) "
            "CHARACTER SET utf8mb4",
        )
    values = PRIMARY_KEYS[definition]
    fill(
        mysql_fleet, "s1", [(value, part, 1, f"c{part}") for value in values for part in (1, 2, -1)]
    )
    fill(mysql_fleet, "s1", [(value, 100, None, None) for value in values])
    before = content(mysql_fleet, "s1")

    with work_on(mysql_fleet, "s1", "s2") as work:
        table = table_of(work, "s1")
        rows = slots(table, zlib.crc32(b"1") % 16)
        copied = copy_table(work, "s1", "s2", table, rows)
        mismatches = verify_table(work, "s1", "s2", table, rows, record=True)
        pruned = prune_pages(work, "s1", table, rows, quarantine=True)

    assert (copied, mismatches) == (len(values) * 3, [])
    assert (pruned.deleted, pruned.kept) == (copied, 0)
    assert sorted(content(mysql_fleet, "s1") + content(mysql_fleet, "s2")) == before
    assert len(content(mysql_fleet, "s1")) == len(values)


SERVERS = {
    "ANSI, no backslashes, Berlin": (
        "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,PIPES_AS_CONCAT",
        "--default-time-zone=+02:00",
        "--character-set-server=ucs2",
        "--collation-server=ucs2_unicode_ci",
    ),
    "sjis, strict all, Los Angeles": (
        "--sql-mode=TRADITIONAL,IGNORE_SPACE",
        "--default-time-zone=-08:00",
        "--character-set-server=sjis",
        *([] if is_mysql() else ["--skip-character-set-client-handshake"]),
        "--explicit-defaults-for-timestamp=0",
    ),
}


@pytest.mark.parametrize("there", SERVERS)
@pytest.mark.parametrize("here", SERVERS)
def test_servers_of_other_defaults_hold_the_same_rows(start_server, mysql_fleet, here, there):
    mysql_fleet.servers = {"a": start_server(*SERVERS[here]), "b": start_server(*SERVERS[there])}
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard)
        mysql_fleet.sql(
            shard,
            "CREATE TABLE t (id INT PRIMARY KEY, c VARCHAR(20) CHARACTER SET utf8mb4, "
            "l CHAR(9) CHARACTER SET latin1, ts TIMESTAMP(6) NULL, b VARBINARY(300)) "
            "CHARACTER SET utf8mb4",
        )
    rows = [
        (1, "a\\'b\"\U0001f41f", "é \\", "2026-10-25 00:30:00.5", bytes(range(256))),
        (2, "", "", "2026-03-29 01:30:00", b"\\"),
        (3, None, None, None, None),
    ]
    with closing(mysql_fleet.connect("s1")) as connection, connection.cursor() as cursor:
        cursor.execute("SET NAMES utf8mb4")
        cursor.execute("SET sql_mode = ''")
        for row in rows:
            cursor.execute("INSERT INTO t VALUES (%s, %s, %s, %s, %s)", row)

    with work_on(mysql_fleet, "s1", "s2") as work:
        table = table_of(work, "s1")
        copy_table(work, "s1", "s2", table, ALL)
        assert verify_table(work, "s1", "s2", table, ALL, record=False) == []

    query = "SELECT id, HEX(c), HEX(RTRIM(l)), UNIX_TIMESTAMP(ts), HEX(b) FROM t ORDER BY id"
    assert mysql_fleet.sql("s2", query) == mysql_fleet.sql("s1", query)


def test_generated_invisible_and_oddly_named_columns_are_copied(mysql_fleet):
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard)
        mysql_fleet.sql(
            shard,
            "CREATE TABLE `t``%s` (`i``d%d` INT PRIMARY KEY, `select` INT, hid INT INVISIBLE, "
            "v INT AS (`select` * 2) VIRTUAL, s INT AS (`select` + 1) STORED UNIQUE, "
            "`:x` VARCHAR(9) DEFAULT 'd')",
        )
    mysql_fleet.sql("s1", "INSERT INTO `t``%s` (`i``d%d`, `select`, hid, `:x`) VALUES "
                    "(0, 5, 7, NULL), (1, 6, NULL, 'e'), (-1, NULL, 8, '')")  # fmt: skip

    with work_on(mysql_fleet, "s1", "s2") as work:
        table = table_of(work, "s1", "t`%s")
        assert copy_table(work, "s1", "s2", table, ALL) == 3
        assert verify_table(work, "s1", "s2", table, ALL, record=True) == []
        assert prune_pages(work, "s1", table, ALL, quarantine=True).deleted == 3

    query = "SELECT `i``d%d`, `select`, hid, v, s, `:x` FROM `t``%s` ORDER BY 1"
    assert mysql_fleet.sql("s2", query) == [
        (-1, None, 8, None, None, ""),
        (0, 5, 7, 10, 6, None),
        (1, 6, None, 12, 7, "e"),
    ]


def test_rows_that_refer_to_rows_of_the_same_table_are_copied(mysql_fleet):
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard)
        mysql_fleet.sql(shard, "CREATE TABLE t (id INT PRIMARY KEY, k INT, up INT, c INT, "
                        "FOREIGN KEY (up) REFERENCES t (id) ON DELETE CASCADE)")  # fmt: skip
    insert_rows(mysql_fleet, "s1", [(n, n, None, 1) for n in range(9)])
    mysql_fleet.sql("s1", "UPDATE t SET up = 8 - id")

    with work_on(mysql_fleet, "s1", "s2") as work:
        table = table_of(work, "s1")
        assert copy_table(work, "s1", "s2", table, ALL) == 9
        assert verify_table(work, "s1", "s2", table, ALL, record=False) == []


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.tuples(
    st.none() | TEXT,
    st.none() | st.binary(max_size=20),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.decimals(-(10**20), 10**20, places=9),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.datetimes().map(lambda moment: moment.replace(year=max(moment.year, 1000))),
    st.none() | st.timedeltas().map(lambda value: value % timedelta(days=30)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.lists(VALUES, min_size=1, max_size=20))
def test_any_rows_are_copied_exactly(mysql_fleet, values):
    if not mysql_fleet._places:
        for shard in ("s1", "s2"):
            mysql_fleet.add(shard)
            mysql_fleet.sql(
                shard,
                "CREATE TABLE t (id INT PRIMARY KEY, c VARCHAR(20) CHARACTER SET utf8mb4, "
                "b VARBINARY(20), d DOUBLE, n DECIMAL(30,9), i BIGINT UNSIGNED, m DATETIME(6), "
                "x TIME(6))",
            )
    for shard in ("s1", "s2"):
        mysql_fleet.sql(shard, "DELETE FROM t")
    rows = [(number, *value) for number, value in enumerate(values)]
    insert_rows(mysql_fleet, "s1", rows)

    with work_on(mysql_fleet, "s1", "s2", operation=f"op{os.urandom(4).hex()}") as work:
        table = table_of(work, "s1")
        copy_table(work, "s1", "s2", table, ALL)
        assert verify_table(work, "s1", "s2", table, ALL, record=False) == []

    query = "SELECT *, HEX(c), HEX(b) FROM t ORDER BY id"
    assert mysql_fleet.sql("s2", query) == mysql_fleet.sql("s1", query)


def test_a_process_killed_in_the_middle_of_a_copy_is_gone_on_from(backend):
    for shard in ("s1", "s2"):
        backend.add(shard)
        backend.sql(shard, "CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER, c VARCHAR(20))")
    insert_rows(backend, "s1", [(number, number, f"c{number}") for number in range(400)])
    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")

    def copied():
        return backend.sql("s2", "SELECT COUNT(*) FROM t")[0][0]

    for _ in range(3):
        begun = copied()
        child = os.fork()
        if not child:
            try:
                with work_on(backend, "s1", "s2") as work:
                    copy_table(work, "s1", "s2", table, ALL)
            finally:
                os._exit(0)
        wait_until(lambda begun=begun: copied() > begun, what="a batch of the copy")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    with work_on(backend, "s1", "s2") as work:
        assert copy_table(work, "s1", "s2", table, ALL) == 400
        assert verify_table(work, "s1", "s2", table, ALL, record=False) == []
    query = "SELECT * FROM t ORDER BY id"
    assert backend.sql("s2", query) == backend.sql("s1", query)
