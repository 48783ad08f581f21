"""Rows arrive on another shard as they were: every type, any server default, after any crash."""

import zlib
from dataclasses import replace

import pytest

from copying import SLOT_COUNT, insert_rows, slots, table_of, work_on
from server_software import is_mysql, no_pad_binary, typed
from shardhash.db.connections import SessionSettings
from shardhash.db.drivers import insert_bytes, load_bytes
from shardhash.db.executor._copy import copy_table, delete_copy
from shardhash.db.sql import RowFilter
from shardhash.errors import DatabaseError, MismatchError

ALL = RowFilter.all_rows()
TEXTS = ["", " ", "a", "A ", "é", "'", '"', "\\", "a\\'b\n\r\t\0\x1a%s%%", "NULL", "\\N"]
WIDE = [*TEXTS, "\U0001f41f", "中文", "ß", "\u200b"]
TYPES = {
    "TINYINT": [-128, 127, 0],
    "BIGINT UNSIGNED": [0, 2**64 - 1],
    "BIGINT": [-(2**63), 2**63 - 1],
    "INT(7) ZEROFILL": [0, 42, 12345678],
    "BOOL": [0, 1],
    "DECIMAL(65,30)": ["9" * 35 + "." + "9" * 30, "-0.000000000000000000000000000001", "0"],
    "DECIMAL(10,2) ZEROFILL": ["1.50", "99999999.99"],
    "FLOAT": ["0.1", "3.4028234663852886e38", "1e-45", "-1.17549435e-38", "16777217"],
    "FLOAT ZEROFILL": ["0.1", "5"],
    "DOUBLE": ["0.1", "1.7976931348623157e308", "5e-324", "-2.2250738585072014e-308", "1e22"],
    "DOUBLE(10,3)": ["1.005", "-1234567.891"],
    "BIT(1)": [0, 1],
    "BIT(64)": [0, 2**64 - 1, 2**63],
    "YEAR": ["0000", 1901, 2155],
    "DATE": ["0000-00-00", "1000-01-01", "9999-12-31", "2026-02-00", "2026-02-31"],
    "TIME(6)": ["-838:59:59.999999", "838:59:59.999999", "00:00:00.000001"],
    "DATETIME(6)": ["0000-00-00 00:00:00", "9999-12-31 23:59:59.999999", "2026-03-29 02:30:00.5"],
    "TIMESTAMP(6) NULL": ["1970-01-01 00:00:01", "2038-01-19 03:14:07.999999",
                          "2026-10-25 00:30:00.1", "2026-10-25 01:30:00.1"],
    "CHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci": WIDE,
    f"VARCHAR(40) CHARACTER SET utf8mb4 COLLATE {no_pad_binary()}": WIDE,
    "VARCHAR(40) CHARACTER SET latin1": [*TEXTS, "ÿ", "€"],
    "VARCHAR(40) CHARACTER SET ucs2": [*TEXTS, "中文"],
    "VARCHAR(40) CHARACTER SET utf32": WIDE,
    "VARCHAR(40) CHARACTER SET cp932": ["表", "ソ\\'", "a"],
    "VARCHAR(40) CHARACTER SET gbk": ["縗'", "誠\\", "a"],
    "TINYTEXT": TEXTS,
    "TEXT CHARACTER SET utf8mb4": [*WIDE, "x" * 60_000],
    "LONGTEXT CHARACTER SET utf8mb4": ["\U0001f41f" * 300_000],
    "ENUM('a','b','c''d','é') CHARACTER SET utf8mb4": ["a", "c'd", "é"],
    "ENUM('','x')": ["", "x"],
    "ENUM('2','1','0')": ["2", "1", "0"],
    "SET('x','y','z')": ["", "x", "x,z", "x,y,z"],
    "SET('2','1')": ["", "2", "1", "2,1"],
    "JSON": ['{"a": [1, 2.50, null]}', '" \\\\u00e9 "', "{ }"],
    "BINARY(4)": [b"a", b"\0\0\0\0", b"\xff\\'\""],
    "VARBINARY(300)": [bytes(range(256)), b"", b"\0", b"\\'\"\n%s"],
    "BLOB": [b"", b"\0\xff" * 300],
    "LONGBLOB": [b"\0'\\" * 400_000],
    "UUID": ["123e4567-e89b-12d3-a456-426614174000", "00000000-0000-0000-0000-000000000000"],
    "INET6": ["::1", "2001:db8::ff00:42:8329", "::ffff:192.0.2.1"],
    "INET4": ["192.0.2.1", "0.0.0.0"],
    "POINT": [b"\0\0\0\0\1\1\0\0\0" + b"\0" * 16, b"\xe6\x10\0\0\1\1\0\0\0" + b"\1" * 16],
    "GEOMETRY": [b"\0\0\0\0\1\1\0\0\0" + b"\0" * 16],
}  # fmt: skip

OF_MARIADB = {"UUID", "INET6", "INET4"}
NOT_LOADED = {*OF_MARIADB, *(["JSON"] if is_mysql() else [])}  # their literals have a charset
NO_NUMBER = {"uuid", "inet4", "inet6", "point", "geometry"}


def make(fleet, definition, *shards):
    for shard in shards:
        fleet.add(shard)
        fleet.sql(shard, definition)


def insert(fleet, shard, rows, columns="id, k, c", mode=""):
    with fleet.connect(shard) as connection, connection.cursor() as cursor:
        cursor.execute(f"SET sql_mode = '{mode}'")
        cursor.execute("SET time_zone = '-03:30'")
        holes = ", ".join(["%s"] * len(rows[0]))
        for row in rows:
            cursor.execute(f"INSERT INTO t ({columns}) VALUES ({holes})", row)


def content(fleet, shard):
    """Return each row as the driver has it, and what its server says of the bytes in column c."""
    [(data_type,)] = fleet.sql(
        shard,
        "SELECT DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() "
        "AND TABLE_NAME = 't' AND COLUMN_NAME = 'c'",
    )
    number = "1" if data_type in NO_NUMBER else "c + 0e0"
    return fleet.sql(shard, f"SELECT *, HEX(c), LENGTH(c), {number} FROM t ORDER BY id")


@pytest.mark.parametrize("instance", ["b", "a"])
@pytest.mark.parametrize("definition", typed(TYPES))
def test_every_type_is_copied_exactly_to_another_server_and_beside(
    mysql_fleet, definition, instance, monkeypatch
):
    loaded, inserted = [], []
    for seen, send in ((loaded, load_bytes), (inserted, insert_bytes)):
        monkeypatch.setattr(
            f"shardhash.db.executor._exact.{send.__name__}",
            lambda *parts, seen=seen, send=send: seen.append(send(*parts)) or seen[-1],
        )
    values = [*TYPES[definition], None]
    for shard, where in (("s1", "a"), ("s2", instance)):
        mysql_fleet.add(shard, instance=where)
        mysql_fleet.sql(shard, f"CREATE TABLE t (id INT PRIMARY KEY, k INT, c {definition})")
    insert(mysql_fleet, "s1", [(number, number, value) for number, value in enumerate(values)],
           mode="ALLOW_INVALID_DATES")  # fmt: skip

    with work_on(mysql_fleet, "s1", "s2") as work:
        copied = copy_table(work, "s1", "s2", table_of(work, "s1"), ALL)

    assert copied == len(values)
    assert content(mysql_fleet, "s2") == content(mysql_fleet, "s1")
    taken = [(len(values), 0)] if instance == "b" else []
    assert [loaded, inserted] == ([[], taken] if definition in NOT_LOADED else [taken, []])


@pytest.mark.parametrize("may_load", [True, False])
def test_columns_of_all_types_are_copied_exactly_by_insert_and_by_load(mysql_fleet, may_load):
    columns = [definition for definition in TYPES if "LONG" not in definition]
    left_out = NOT_LOADED if may_load else OF_MARIADB if is_mysql() else ()
    columns = [definition for definition in columns if definition not in left_out]
    made = ", ".join(f"c{number} {definition}" for number, definition in enumerate(columns))
    values = [[*TYPES[definition], None] for definition in columns]
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard)
        mysql_fleet.sql(shard, f"CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, {made})")
    rows = [
        (number, *(each[number % len(each)] for each in values))
        for number in range(max(map(len, values)))
    ]
    names = ", ".join(["id", *(f"c{number}" for number in range(len(columns)))])
    modes = "ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO"
    insert(mysql_fleet, "s1", rows, columns=names, mode=modes)

    with work_on(
        mysql_fleet, "s1", "s2", session=replace(SessionSettings.operations(), may_load=may_load)
    ) as work:
        assert copy_table(work, "s1", "s2", table_of(work, "s1"), ALL) == len(rows)

    names = ", ".join(f"HEX(c{number}), c{number}" for number in range(len(columns)))
    query = f"SELECT id, {names} FROM t ORDER BY id"
    assert mysql_fleet.sql("s2", query) == mysql_fleet.sql("s1", query)


def test_rows_are_copied_to_a_server_that_allows_no_load_data_local(start_server, mysql_fleet):
    mysql_fleet.servers["b"] = start_server("--local-infile=0")
    two_shards(mysql_fleet)

    with work_on(mysql_fleet, "s1", "s2") as work:
        assert copy_table(work, "s1", "s2", table_of(work, "s1"), ALL) == 201

    assert rows_of(mysql_fleet, "s2") == rows_of(mysql_fleet, "s1")


def test_rows_are_copied_to_a_server_that_forbids_load_data_local_meanwhile(
    start_server, mysql_fleet
):
    mysql_fleet.servers["b"] = start_server()
    two_shards(mysql_fleet)

    with work_on(mysql_fleet, "s1", "s2") as work:
        table = table_of(work, "s1")
        with work.read("s2"):  # a session of before, which the copy takes
            mysql_fleet.sql("s2", "SET GLOBAL local_infile = 0")
        assert copy_table(work, "s1", "s2", table, ALL) == 201

    assert rows_of(mysql_fleet, "s2") == rows_of(mysql_fleet, "s1")


@pytest.fixture
def backend(any_place):
    return any_place


def keys_of(*numbers):
    """Return the keys below 200 that hash to these slots."""
    return [key for key in range(200) if zlib.crc32(b"%d" % key) % SLOT_COUNT in numbers]


def two_shards(fleet, count=200):
    """Make two shards of equal schema; the first has a row for each key and one without."""
    make(fleet, "CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER, c VARCHAR(20) UNIQUE)",
         "s1", "s2")  # fmt: skip
    rows = [(key, key, f"c{key}") for key in range(count)]
    insert_rows(fleet, "s1", [*rows, (1000, None, None)])


def rows_of(fleet, shard):
    return fleet.sql(shard, "SELECT * FROM t ORDER BY id")


def test_only_the_rows_of_the_slots_are_copied_and_none_without_a_key(backend):
    two_shards(backend)

    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        copied = copy_table(work, "s1", "s2", table, slots(table, 3, 7, 8))

    moved = keys_of(3, 7, 8)
    assert copied == len(moved) > 10
    assert rows_of(backend, "s2") == [(key, key, f"c{key}") for key in moved]


def test_rows_of_many_slot_intervals_are_copied(backend):
    two_shards(backend)
    odd = [number for number in range(1, 16) if number % 2] + [8]

    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        copy_table(work, "s1", "s2", table, slots(table, *sorted(odd)))

    assert [row[0] for row in rows_of(backend, "s2")] == keys_of(*odd)


def test_a_copy_that_is_done_is_not_done_again(backend):
    two_shards(backend, 20)
    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        copy_table(work, "s1", "s2", table, ALL)
        backend.sql("s2", "DELETE FROM t WHERE id = 3")

        assert copy_table(work, "s1", "s2", table, ALL) == 21
    assert len(rows_of(backend, "s2")) == 20


def test_rows_that_do_not_fit_into_one_text_are_copied_one_by_one(mysql_fleet, monkeypatch):
    two_shards(mysql_fleet)
    monkeypatch.setattr("shardhash.db.executor._table_copy._TEXT_BYTES", 300)

    with work_on(mysql_fleet, "s1", "s2") as work:
        assert copy_table(work, "s1", "s2", table_of(work, "s1"), ALL) == 201

    assert rows_of(mysql_fleet, "s2") == rows_of(mysql_fleet, "s1")


def test_rows_longer_than_a_packet_stop_the_copy_with_what_to_do(start_server, mysql_fleet):
    narrow = start_server("--max-allowed-packet=1M")
    mysql_fleet.servers = {"a": mysql_fleet.servers["a"], "b": narrow}
    make(mysql_fleet, "CREATE TABLE t (id INT PRIMARY KEY, k INT, c LONGBLOB)", "s1", "s2")
    for number, size in enumerate((400_000, 100, 700_000, 300_000, 1_500_000)):
        mysql_fleet.sql("s1", "INSERT INTO t VALUES (%s, 1, %s)", (number, b"x" * size))

    with work_on(mysql_fleet, "s1", "s2") as work:
        with pytest.raises(DatabaseError, match="max_allowed_packet of s2") as stopped:
            copy_table(work, "s1", "s2", table_of(work, "s1"), ALL)
        assert "SET GLOBAL max_allowed_packet" in stopped.value.next_step
        mysql_fleet.sql("s1", "DELETE FROM t WHERE id = 4")
        assert copy_table(work, "s1", "s2", table_of(work, "s1"), ALL) == 4

    query = "SELECT id, SHA2(c, 256) FROM t ORDER BY id"
    assert mysql_fleet.sql("s2", query) == mysql_fleet.sql("s1", query)


class Killed(BaseException):
    """What ends the process."""


def test_a_copy_that_was_killed_goes_on_after_its_last_batch(backend, monkeypatch):
    two_shards(backend)
    monkeypatch.setattr("shardhash.db.executor._table_copy._PAGE_ROWS", 30)

    def die():
        raise Killed

    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        for begun in range(1, 7):
            work.on_batch = die
            with pytest.raises(Killed):
                copy_table(work, "s1", "s2", table, ALL)
            assert len(rows_of(backend, "s2")) == 30 * begun
        work.on_batch = lambda: None

        assert copy_table(work, "s1", "s2", table, ALL) == 201
    assert rows_of(backend, "s2") == rows_of(backend, "s1")


def test_a_batch_and_its_checkpoint_are_one_transaction(backend, monkeypatch):
    two_shards(backend)
    monkeypatch.setattr("shardhash.db.executor._table_copy._PAGE_ROWS", 30)
    from shardhash.db.executor._table_copy import TableCopy

    def fail(*_, **__):
        raise Killed

    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        with monkeypatch.context() as patched:
            patched.setattr(TableCopy, "_save", fail)
            with pytest.raises(Killed):
                copy_table(work, "s1", "s2", table, ALL)

        assert rows_of(backend, "s2") == []
        copy_table(work, "s1", "s2", table, ALL)
    assert rows_of(backend, "s2") == rows_of(backend, "s1")


@pytest.mark.parametrize("row", [(7, 7, "another"), (5000, 5000, "c7")])
def test_a_row_in_the_way_stops_the_copy_and_stays(backend, row):
    two_shards(backend)
    backend.sql("s2", "INSERT INTO t VALUES (%s, %s, %s)", row)

    with work_on(backend, "s1", "s2") as work, pytest.raises(MismatchError) as stopped:
        copy_table(work, "s1", "s2", table_of(work, "s1"), ALL)

    assert "another row with a primary or unique key" in str(stopped.value)
    assert stopped.value.next_step
    assert rows_of(backend, "s2") == [row]


def test_sync_makes_a_copy_of_an_older_state_the_present_one(backend, monkeypatch):
    two_shards(backend)
    monkeypatch.setattr("shardhash.db.executor._pages._PAGE_ROWS", 30)
    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        copy_table(work, "s1", "s2", table, ALL)
        backend.sql("s1", "DELETE FROM t WHERE id IN (5, 199, 1000)")
        backend.sql("s1", "UPDATE t SET c = 'new' WHERE id = 77")
        backend.sql("s1", "INSERT INTO t VALUES (-4, 1, 'first'), (2000, 2, 'last')")

        assert copy_table(work, "s1", "s2", table, ALL, sync=True) == 200
    assert rows_of(backend, "s2") == rows_of(backend, "s1")


def test_sync_takes_unique_values_that_moved_between_pages(backend, monkeypatch):
    two_shards(backend)
    monkeypatch.setattr("shardhash.db.executor._pages._PAGE_ROWS", 30)
    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        copy_table(work, "s1", "s2", table, ALL)
        backend.sql("s1", "UPDATE t SET c = NULL WHERE id IN (5, 150)")
        backend.sql("s1", "UPDATE t SET c = 'c5' WHERE id = 150")
        backend.sql("s1", "UPDATE t SET c = 'c150' WHERE id = 5")

        copy_table(work, "s1", "s2", table, ALL, sync=True)
    assert rows_of(backend, "s2") == rows_of(backend, "s1")


def test_a_batch_whose_commit_was_not_heard_of_is_not_written_twice(backend, monkeypatch):
    two_shards(backend)
    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        run_once = work.batch
        monkeypatch.setattr(work, "batch", lambda shard, do, **how: [
            run_once(shard, do, **how) for _ in range(2)][-1])  # fmt: skip

        assert copy_table(work, "s1", "s2", table, ALL) == 201
        assert copy_table(work, "s1", "s2", table, ALL, sync=True) == 201
    assert rows_of(backend, "s2") == rows_of(backend, "s1")


def test_sync_leaves_the_targets_own_rows(backend):
    two_shards(backend)
    backend.sql("s2", "INSERT INTO t VALUES (-1, 1, 'own'), (3000, 1, 'too')")
    moved = [slot for slot in range(16) if slot != zlib.crc32(b"1") % 16]
    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        copy_table(work, "s1", "s2", table, slots(table, *moved), sync=True)

    assert [row[0] for row in rows_of(backend, "s2")] == [-1, *keys_of(*moved), 3000]


def test_a_copy_is_deleted_and_the_targets_own_rows_stay(backend, monkeypatch):
    two_shards(backend)
    monkeypatch.setattr("shardhash.db.executor._pages._PAGE_ROWS", 30)
    backend.sql("s2", "INSERT INTO t VALUES (-1, 1, 'own'), (3000, NULL, 'too')")
    moved = [slot for slot in range(16) if slot != zlib.crc32(b"1") % 16]
    with work_on(backend, "s1", "s2") as work:
        table = table_of(work, "s1")
        copied = copy_table(work, "s1", "s2", table, slots(table, *moved))

        assert delete_copy(work, "s2", table, slots(table, *moved)) == copied
        assert [row[0] for row in rows_of(backend, "s2")] == [-1, 3000]
        assert copy_table(work, "s1", "s2", table, slots(table, *moved)) == copied


def test_a_value_that_would_be_cut_stops_the_copy(mysql_fleet):
    make(mysql_fleet, "CREATE TABLE t (id INT PRIMARY KEY, k INT, c VARCHAR(20))", "s1", "s2")
    mysql_fleet.sql("s2", "ALTER TABLE t MODIFY c VARCHAR(3)")
    mysql_fleet.sql("s1", "INSERT INTO t VALUES (1, 1, 'abc'), (2, 2, 'abcd')")

    with work_on(mysql_fleet, "s1", "s2") as work, pytest.raises(DatabaseError):
        copy_table(work, "s1", "s2", table_of(work, "s1"), ALL)

    assert rows_of(mysql_fleet, "s2") == []


def test_a_warning_of_the_server_stops_the_copy(mysql_fleet):
    make(mysql_fleet, "CREATE TABLE t (id INT PRIMARY KEY, k INT, c VARCHAR(20))", "s1", "s2")
    mysql_fleet.sql("s2", "ALTER TABLE t MODIFY c VARCHAR(3)")
    mysql_fleet.sql("s1", "INSERT INTO t VALUES (1, 1, 'abc'), (2, 2, 'abcd')")
    lax = replace(SessionSettings.operations(), sql_mode="")

    with (
        work_on(mysql_fleet, "s1", "s2", session=lax) as work,
        pytest.raises(DatabaseError, match="took 2, with 1 warnings"),
    ):
        copy_table(work, "s1", "s2", table_of(work, "s1"), ALL)

    assert rows_of(mysql_fleet, "s2") == []
