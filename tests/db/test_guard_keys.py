"""Triggers, SELECT and the client's own hash give every key the same slot."""

import zlib
from contextlib import closing
from datetime import date
from uuid import UUID

import pytest

from guarding import (
    app_connection,
    control_of,
    execute,
    guard_all,
    keys_in,
    refusal,
    ring_mapping,
    slot_mapping,
    slots_by_select,
    stored,
)
from server_software import mariadb_only
from shardhash.db import guard, sql
from shardhash.db.schema import Column
from shardhash.db.topology import Backend
from shardhash.errors import PreflightError, WrongShardError
from shardhash.slots import SlotSet

SLOT_COUNT = 16_384
ALL_BYTES = [bytes([value]) * 2 for value in range(256)]
LATIN = [
    *("", "a", "Foo", "foo", "bar", " bar", "x y", "it's", 'say "x"', "back\\slash", "50%s"),
    *("%%", "a`b", "tab\t", "new\nline", "nul\0byte", "'", "''", "\\'", "é", "ß"),
]
TEXTS = [*LATIN, "\u017f", "\uffee"]
WIDE_TEXTS = [*TEXTS, "\U0001f41f", "\u4e2d\u6587", "e\u0301"]
UUIDS = ["123e4567-e89b-12d3-a456-426614174000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
DATES = [date(1000, 1, 1), date(1969, 12, 31), date(2026, 2, 28), date(9999, 12, 31)]


def ends(bits, *, signed=True):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return [low, low + 1, 0, 1, 42, high - 1, high]


MYSQL = [
    ("TINYINT", "int", ends(8)),
    ("TINYINT UNSIGNED", "int", ends(8, signed=False)),
    ("SMALLINT", "int", ends(16)),
    ("MEDIUMINT UNSIGNED", "int", ends(24, signed=False)),
    ("INT", "int", ends(32)),
    ("INT(11) UNSIGNED ZEROFILL", "int", ends(32, signed=False)),
    ("BIGINT", "int", ends(64)),
    ("BIGINT UNSIGNED", "int", ends(64, signed=False)),
    ("BIGINT UNSIGNED ZEROFILL", "int", ends(64, signed=False)),
    ("BOOL", "int", [0, 1]),
    ("BIT(64)", "int", ends(64, signed=False)),
    ("BIT(3)", "int", range(8)),
    ("YEAR", "int", [0, 1901, 2026, 2155]),
    ("VARCHAR(40) CHARACTER SET utf8mb4", "str", [*WIDE_TEXTS, "bar "]),
    ("VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "str", [*WIDE_TEXTS, "bar "]),
    ("VARCHAR(40) CHARACTER SET utf8mb3", "str", [*TEXTS, "bar "]),
    ("VARCHAR(40) CHARACTER SET latin1", "str", [*LATIN, "€", "bar "]),
    ("VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_german2_ci", "str", LATIN),
    ("VARCHAR(40) CHARACTER SET ucs2", "str", [*TEXTS, "bar "]),
    ("VARCHAR(40) CHARACTER SET utf16", "str", [*WIDE_TEXTS, "bar "]),
    ("VARCHAR(40) CHARACTER SET utf32", "str", [*WIDE_TEXTS, "bar "]),
    ("VARCHAR(40) CHARACTER SET cp1251", "str", ["Привет", "a"]),
    ("VARCHAR(40) CHARACTER SET sjis", "str", ["表示", "a"]),
    ("CHAR(40) CHARACTER SET utf8mb4", "str", WIDE_TEXTS),
    ("CHAR(40) CHARACTER SET latin1", "str", LATIN),
    ("CHAR(40) CHARACTER SET utf16", "str", WIDE_TEXTS),
    ("TINYTEXT CHARACTER SET latin1", "str", LATIN),
    ("LONGTEXT CHARACTER SET utf8mb4", "str", [*WIDE_TEXTS, "bar ", "x" * 70_000]),
    ("ENUM('Foo', 'é', 'it''s', '%') CHARACTER SET latin1", "str", ["Foo", "é", "it's", "%"]),
    ("BINARY(2)", "bytes", ALL_BYTES),
    ("VARBINARY(20)", "bytes", [*ALL_BYTES, b"", b"a ", b"a\0"]),
    ("BLOB", "bytes", [*ALL_BYTES, b"", b"\0" * 9]),
    ("BINARY(16)", "uuid16", [UUID(text).bytes for text in UUIDS]),
    ("VARBINARY(16)", "uuid16", [UUID(text).bytes for text in UUIDS]),
    ("UUID", "uuid", UUIDS),
    ("CHAR(36)", "uuid", UUIDS),
    ("VARCHAR(36) CHARACTER SET ucs2", "uuid", UUIDS),
    ("DATE", "date", DATES),
]  # fmt: skip
SQLITE = [
    ("INTEGER", "int", ends(64)),
    ("TEXT", "str", [*WIDE_TEXTS, "bar "]),
    ("TEXT COLLATE NOCASE", "str", [*WIDE_TEXTS, "bar "]),
    ("VARCHAR(9) COLLATE RTRIM", "str", [*WIDE_TEXTS, "bar "]),
    ("BLOB", "bytes", [*ALL_BYTES, b"", b"a\0"]),
    ("BLOB", "uuid16", [UUID(text).bytes for text in UUIDS]),
    ("TEXT", "uuid", UUIDS),
    ("TEXT", "date", DATES),
]


def key_bytes(key):
    return key if isinstance(key, bytes) else str(key).encode()


def cases():
    for kind, columns in (("mysql", MYSQL), ("sqlite", SQLITE)):
        server = [pytest.mark.server] if kind == "mysql" else []
        for definition, key_type, keys in columns:
            own = [mariadb_only("its column type")] if definition == "UUID" else []
            marks = server + own
            yield pytest.param(
                kind, definition, key_type, keys, id=f"{kind} {definition} {key_type}", marks=marks
            )


@pytest.mark.parametrize(("kind", "definition", "key_type", "keys"), list(cases()))
def test_trigger_select_and_zlib_agree_on_the_slot(request, kind, definition, key_type, keys):
    fleet = request.getfixturevalue(f"{kind}_fleet")
    fleet.add("s1")
    fleet.sql("s1", f"CREATE TABLE orders (id INT PRIMARY KEY, k {definition}, v INT)")
    mapping = slot_mapping(key_type, slot_count=SLOT_COUNT)
    expected = [zlib.crc32(key_bytes(key)) & (SLOT_COUNT - 1) for key in keys]
    guard_all(fleet, mapping, SLOT_COUNT, owned=SlotSet(expected[::2]))

    assert slots_by_select(fleet, mapping, keys) == expected
    with closing(app_connection(fleet, "s1")) as app:
        for number, (key, slot) in enumerate(zip(keys, expected, strict=True)):
            row = (number, stored(key, kind))
            if slot in expected[::2]:
                execute(app, "INSERT INTO orders (id, k) VALUES (%s, %s)", row)
                execute(app, "UPDATE orders SET v = 1 WHERE id = %s", [number])
                execute(app, "DELETE FROM orders WHERE id = %s", [number])
                continue
            error = refusal(app, "INSERT INTO orders (id, k) VALUES (%s, %s)", row)
            assert isinstance(error, WrongShardError), (key, error)
            assert error.slot == (slot if kind == "mysql" else None), key


@pytest.mark.parametrize("kind", [pytest.param("mysql", marks=pytest.mark.server), "sqlite"])
@pytest.mark.parametrize(("old", "new"), [("Foo", "foo"), ("bar", "bar "), ("é", "e"), ("a", "A")])
def test_keys_that_the_collation_takes_for_equal_are_a_change_of_the_key(request, kind, old, new):
    fleet = request.getfixturevalue(f"{kind}_fleet")
    fleet.add("s1")
    text = "TEXT COLLATE NOCASE" if kind == "sqlite" else "VARCHAR(9) CHARACTER SET utf8mb4"
    fleet.sql("s1", f"CREATE TABLE orders (id INT PRIMARY KEY, k {text})")
    guard_all(fleet, slot_mapping("str"), 16, owned=SlotSet(range(16)))

    with closing(app_connection(fleet, "s1")) as app:
        execute(app, "INSERT INTO orders VALUES (1, %s)", [old])
        error = refusal(app, "UPDATE orders SET k = %s", [new])
        assert "takes no change of a shard key" in str(error)
        execute(app, "UPDATE orders SET k = %s", [old])


@pytest.mark.parametrize("kept", ["VIRTUAL", "STORED"])
def test_a_generated_key_is_guarded(backend, kept):
    backend.add("s1")
    generated = f"k INT AS (a + b) {kept}"
    backend.sql("s1", f"CREATE TABLE orders (id INT PRIMARY KEY, a INT, b INT, {generated}, v INT)")
    mapping = slot_mapping()
    mine, theirs = keys_in(0)[0], keys_in(8)[0]
    guard_all(backend, mapping, 16, owned=SlotSet(range(8)))

    with closing(app_connection(backend, "s1")) as app:
        execute(app, f"INSERT INTO orders (id, a, b) VALUES (1, {mine}, 0)")
        error = refusal(app, f"INSERT INTO orders (id, a, b) VALUES (2, 0, {theirs})")
        assert error.state == "foreign"
        execute(app, f"UPDATE orders SET a = 0, b = {mine}, v = 3")
        assert "no change of a shard key" in str(refusal(app, "UPDATE orders SET a = a + 1"))
    with control_of(backend, "s1") as (connection, place):
        guard.set_slots(
            connection, place, "by_key", SlotSet(range(8)), guard.SlotState.FENCED,
            among=[guard.SlotState.OWNED],
        )  # fmt: skip
        connection.commit()
    with closing(app_connection(backend, "s1")) as app:
        assert refusal(app, "DELETE FROM orders").state == "fenced"
        assert refusal(app, "UPDATE orders SET v = 4").state == "fenced"


def test_an_auto_increment_key_is_known_to_the_guard(mysql_fleet):
    mysql_fleet.add("s1")
    mysql_fleet.sql("s1", "CREATE TABLE orders (k INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    mine = [key for key in range(1, 60) if zlib.crc32(b"%d" % key) & 15 < 8]
    guard_all(mysql_fleet, slot_mapping(), 16, owned=SlotSet(range(8)))

    with closing(app_connection(mysql_fleet, "s1")) as app:
        for key in range(1, 60):
            if key in mine:
                execute(app, "INSERT INTO orders (v) VALUES (1)")
            else:
                assert refusal(app, "INSERT INTO orders (v) VALUES (1)").state == "foreign"
    assert [row[0] for row in mysql_fleet.sql("s1", "SELECT k FROM orders ORDER BY k")] == mine


def test_a_rowid_key_is_known_to_the_guard(sqlite_fleet):
    sqlite_fleet.add("s1")
    sqlite_fleet.sql("s1", "CREATE TABLE orders (k INTEGER PRIMARY KEY AUTOINCREMENT, v INT)")
    first_is_mine = zlib.crc32(b"1") & 15
    guard_all(sqlite_fleet, slot_mapping(), 16, owned=SlotSet([first_is_mine]))

    with closing(app_connection(sqlite_fleet, "s1")) as app:
        execute(app, "INSERT INTO orders (v) VALUES (1)")
        assert refusal(app, "INSERT INTO orders (v) VALUES (1)").state == "foreign"


def test_no_guard_can_be_made_for_a_ring():
    column = Column(name="k", data_type="int", definition="int", nullable=False)
    with pytest.raises(PreflightError, match="is by a ring: no server can compute"):
        sql.number_expression(ring_mapping(), column, Backend.MYSQL)
