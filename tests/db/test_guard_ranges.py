"""Triggers, SELECT and RangeMap give every key the same range."""

from contextlib import closing
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guarding import (
    app_connection,
    execute,
    guard_all,
    range_mapping,
    refusal,
    slot_mapping,
    slots_by_select,
    stored,
)
from server_software import mariadb_only
from shardhash.db.mapping import KeyRouter
from shardhash.errors import PreflightError, WrongShardError
from shardhash.slots import SlotSet

UUID_BOUND = "40000000-0000-0000-0000-000000000000"
LAST_UUID_BOUND = "ffffffff-0000-0000-0000-000000000000"
UUID_TEXTS = st.uuids(version=4).map(str)  # MariaDB takes only well-formed ones
BYTE_BOUNDS = [b"\0", b"A", b"a\0", b"\x80", b"\xff\xff"]
MOMENTS = [datetime(1999, 12, 31, 23, 59, 59, 999999), datetime(2026, 1, 1)]
DATES = [date(1000, 1, 1), date(2026, 1, 1)]
SIXTEEN = st.binary(min_size=16, max_size=16)

RANGES = [
    ("mysql", "BIGINT", "int", [-(2**40), 0, 7, 2**62], st.integers(-(2**63), 2**63 - 1)),
    ("mysql", "BIGINT UNSIGNED", "int", [-5, 0, 7, 2**63, 2**64 - 1], st.integers(0, 2**64 - 1)),
    ("mysql", "INT(9) UNSIGNED ZEROFILL", "int", [-1, 9, 10, 2**31], st.integers(0, 2**32 - 1)),
    ("mysql", "YEAR", "int", [1999, 2030], st.integers(1901, 2155)),
    ("mysql", "VARCHAR(9) CHARACTER SET utf8mb4", "str", ["A", "a", "a ", "z", "é", "\U0001f41f"],
     st.text(st.sampled_from("Aaz é\u00df\u017f\uffee\U0001f41f\0'\\%"), max_size=4)),
    ("mysql", "VARCHAR(9) CHARACTER SET utf16", "str", ["a", "\uff00", "\U0001f41f"],
     st.text(st.sampled_from("a \uffee\U0001f41f\U0001f420"), max_size=4)),
    ("mysql", "CHAR(9) CHARACTER SET latin1", "str", ["A", "a", "é"],
     st.text(st.sampled_from("AaBbéÉ\t"), max_size=4)),
    ("mysql", "VARBINARY(9)", "bytes", BYTE_BOUNDS, st.binary(max_size=3)),
    ("mysql", "BINARY(16)", "uuid16", [b"\x40" * 16, b"\x80" * 16], SIXTEEN),
    ("mysql", "UUID", "uuid", [UUID_BOUND, LAST_UUID_BOUND], UUID_TEXTS),
    ("mysql", "CHAR(36)", "uuid", [UUID_BOUND], UUID_TEXTS),
    ("mysql", "DATE", "date", DATES, st.dates(date(1000, 1, 1))),
    ("mysql", "DATETIME(6)", "datetime", MOMENTS,
     st.datetimes(datetime(1000, 1, 1))),
    ("sqlite", "INTEGER", "int", [-(2**40), 0, 7, 2**62], st.integers(-(2**63), 2**63 - 1)),
    ("sqlite", "TEXT COLLATE NOCASE", "str", ["A", "a", "a ", "it's", "é", "\uff00", "\U0001f41f"],
     st.text(st.sampled_from("Aaz é'\uffee\U0001f41f\0"), max_size=4)),
    ("sqlite", "BLOB", "bytes", [b"\0", b"A", b"\x80", b"\xff\xff"], st.binary(max_size=3)),
    ("sqlite", "TEXT", "uuid", [UUID_BOUND], UUID_TEXTS),
    ("sqlite", "TEXT", "date", DATES, st.dates(date(1, 1, 1))),
    ("sqlite", "TEXT", "datetime", MOMENTS,
     st.datetimes()),
]  # fmt: skip


def near(bounds, key_type):
    """Return keys on the bounds and beside them."""
    if key_type == "int":
        return [key for bound in bounds for key in (bound - 1, bound, bound + 1)]
    step = {"date": timedelta(days=1), "datetime": timedelta(microseconds=1)}.get(key_type)
    if step:
        return [key for bound in bounds for key in (bound, bound + step)]
    if key_type in ("uuid", "uuid16"):
        return list(bounds)
    more = b"\0" if key_type == "bytes" else "!"
    return [key for bound in bounds for key in (bound, bound + more)]


@pytest.mark.parametrize(
    ("kind", "definition", "key_type", "bounds", "keys"),
    [
        pytest.param(
            *case,
            id=" ".join(case[:3]),
            marks=[
                *[pytest.mark.server] * (case[0] == "mysql"),
                *[mariadb_only("its column type")] * (case[1] == "UUID"),
            ],
        )
        for case in RANGES
    ],
)
def test_select_and_range_map_agree_on_the_range(request, kind, definition, key_type, bounds, keys):
    fleet = request.getfixturevalue(f"{kind}_fleet")
    fleet.add("s1")
    fleet.sql("s1", f"CREATE TABLE orders (id INT PRIMARY KEY, k {definition})")
    mapping = range_mapping(bounds, key_type)
    placement = KeyRouter.from_mapping(mapping).placement
    guard_all(fleet, mapping, len(bounds) + 1)

    def number(key):
        return sum(bound <= key for bound in bounds)

    @settings(max_examples=5)
    @given(st.lists(keys, min_size=1, max_size=30))
    def check(drawn):
        held = drawn + [key for key in near(bounds, key_type) if fits(definition, key)]
        if definition.startswith("CHAR"):
            held = [key.rstrip(" ") for key in held]
        assert slots_by_select(fleet, mapping, held) == [number(key) for key in held]
        with closing(app_connection(fleet, "s1")) as app:
            key = held[-1]
            error = refusal(app, "INSERT INTO orders VALUES (1, %s)", [stored(key, kind)])
            assert isinstance(error, WrongShardError), error
            assert error.slot == (number(key) if kind == "mysql" else None)
            assert placement.lookup(key) == "s1"

    check()


def fits(definition, key):
    """Tell whether a key near a bound can be stored in the column at all."""
    if "UNSIGNED" in definition:
        return 0 <= key < (2**64 if "BIGINT" in definition else 2**32)
    if definition == "YEAR":
        return 1901 <= key <= 2155
    if isinstance(key, int):
        return -(2**63) <= key < 2**63
    return True


def test_a_text_range_is_refused_where_sqlite_sorts_utf_16(sqlite_fleet):
    sqlite_fleet.add("s1")
    path = sqlite_fleet.path("s1")
    path.unlink()
    with closing(sqlite_fleet.connect("s1")) as connection:
        connection.execute("PRAGMA encoding = 'UTF-16le'")
        connection.execute("CREATE TABLE orders (id INT PRIMARY KEY, k TEXT)")

    with pytest.raises(PreflightError, match="UTF-16"):
        guard_all(sqlite_fleet, range_mapping(["a"], "str"), 2)
    guard_all(sqlite_fleet, slot_mapping("str"), 16, owned=SlotSet(range(16)))
    with closing(app_connection(sqlite_fleet, "s1")) as app:
        execute(app, "INSERT INTO orders VALUES (1, 'é\U0001f41f')")
