"""Hostile SQLite files go through whole operations, or are refused before anything is done.

What is there before and after is compared by SQLite's own ``typeof`` and ``hex``.
"""

import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest

from hostile_schemas import KEYS, OTHER_KEYS, SLOTS, Case
from hostile_servers import Cluster
from servers import SQLiteFleet
from shardhash.db import prepare_sqlite
from shardhash.errors import PreflightError

PAIRS = [key for pair in zip(KEYS, OTHER_KEYS, strict=False) for key in pair]
ODD = [
    "'abc'", "''", "'12'", "'1e3'", "' 7 '", "x''", "x'00'", "x'ff27'", "1", "-1", "1.5", "1e300",
    "9e999", "-9e999", "9223372036854775807", "-9223372036854775808", "0.1", "-0.0", "NULL",
    "'a' || char(0) || 'b'", "char(128031)", "'it''s \"q\" %s ?'", "1e15", "123456789012345678",
]  # fmt: skip


def rows(values: Sequence[str], columns: str = "", keys: Sequence[object] = PAIRS) -> list[str]:
    """Return INSERTs of (number, key, value), keys of slots that stay and that move in turns."""
    return [
        f"INSERT INTO {{}} {columns} VALUES ({number}, {keys[number]}, {value})"
        for number, value in enumerate([each for each in values for _ in range(2)])
    ]


ALL_ODD = [", ".join([value] * 6) for value in ODD]
PLAIN = "CREATE TABLE {} (id INTEGER PRIMARY KEY, k INTEGER, c TEXT)"
CASES = {
    "affinities": Case({
        "t": [("CREATE TABLE {} (id INTEGER PRIMARY KEY, k INTEGER, i INTEGER, n NUMERIC, x TEXT, "
              "r REAL, b BLOB, plain)"), *rows(ALL_ODD)],
        "strict": ["CREATE TABLE {} (id INTEGER PRIMARY KEY, k INT, a ANY, r REAL, b BLOB) STRICT",
                   *rows([f"{value}, 0.1, x'00'" for value in ODD])],
    }),
    "primary keys": Case({
        "folded": [("CREATE TABLE {} (a TEXT COLLATE NOCASE, k INTEGER NOT NULL, b BLOB, "
                   "PRIMARY KEY (a, b DESC)) WITHOUT ROWID"),
                   *(f"INSERT INTO {{}} VALUES ({a}, {PAIRS[n]}, {b})" for n, (a, b) in enumerate(
                       (a, b) for a in ("'a'", "'B'", "''", "char(223)", "'b '")
                       for b in ("x''", "x'00'", "'x'", "1", "1.5")))],
        "plain": ["CREATE TABLE {} (id PRIMARY KEY NOT NULL, k INTEGER)",
                  *(f"INSERT INTO {{}} VALUES ({value}, {PAIRS[n]})" for n, value in enumerate(
                      value for value in ODD if value != "NULL"))],
        "descending": ["CREATE TABLE {} (id INTEGER PRIMARY KEY DESC, k INTEGER)",
                       *(f"INSERT INTO {{}} VALUES ({n * 7 % 40 - 9}, {PAIRS[n]})"
                         for n in range(40))],
        "counted": ["CREATE TABLE {} (id INTEGER PRIMARY KEY AUTOINCREMENT, k INTEGER)",
                    *(f"INSERT INTO {{}} VALUES ({n}, {PAIRS[n + 9]})" for n in range(-9, 20))],
    }),
    "columns": Case({
        "made": [("CREATE TABLE {} (id INTEGER PRIMARY KEY, a INTEGER, b TEXT "
                 "DEFAULT (lower('X')), "
                 "k INTEGER AS (a) STORED, v TEXT AS (b || a) VIRTUAL UNIQUE, c CHECK (c > 0))"),
                 "PRAGMA ignore_check_constraints = 1",
                 *(f"INSERT INTO {{}} (id, a, b, c) VALUES ({n}, {PAIRS[n]}, 'b', {n - 3})"
                   for n in range(20)),
                 "CREATE INDEX made_part ON {} (c) WHERE c > 2",
                 "CREATE UNIQUE INDEX made_expression ON {} (lower(v), c)",
                 "CREATE UNIQUE INDEX made_folded ON {} (v COLLATE NOCASE DESC)"],
        "select": [('CREATE TABLE {} ("i""d" INTEGER PRIMARY KEY, k INTEGER, "per%cent ?" TEXT, '
                   '"order" INT, [a`b] INT, "é中" REFERENCES made (id))'),
                   *(f"INSERT INTO {{}} VALUES ({n}, {PAIRS[n]}, 'x', 1, 2, {n})"
                     for n in range(9)),
                   'CREATE INDEX "ind""ex" ON {} ("per%cent ?")'],
    }, more={
        'odd "name" %s': [PLAIN, *rows(["'x'"])],
        "Made2": ["CREATE VIEW {} AS SELECT * FROM made"],
        "log": [PLAIN, "CREATE TRIGGER logs AFTER UPDATE ON log BEGIN DELETE FROM log; END"],
    }),
}  # fmt: skip
WIDEST = [f"c{number}" for number in range(990)]
CASES["wide"] = Case({
    "t": [f"CREATE TABLE {{}} (id INTEGER PRIMARY KEY, k INTEGER, {', '.join(WIDEST)})",
          *(f"INSERT INTO {{}} (id, k, c0, c39, c989) VALUES ({n}, {PAIRS[n]}, {n}, 'x', x'00')"
            for n in range(6))],
})  # fmt: skip
CASES["text keys"] = Case(
    {"t": ["CREATE TABLE {} (id INTEGER PRIMARY KEY, k TEXT COLLATE NOCASE, c TEXT)",
           *(f"INSERT INTO {{}} VALUES ({n}, {key}, 'c')" for n, key in enumerate(
               ["'a'", "'A'", "'a '", "''", "char(233)", "char(128031)", "'it''s'", "'%s'", "'?'",
                *(f"'n{n}'" for n in range(20))]))]},
    key_type="str",
)  # fmt: skip


def name_of(table: str) -> str:
    return '"' + table.replace('"', '""') + '"'


def fill(fleet: SQLiteFleet, case: Case, *first: str) -> None:
    with closing(fleet.connect("s1")) as connection:
        for text in first:
            connection.execute(text)
        for table, statements in {**case.tables, **case.more}.items():
            for text in statements:
                connection.execute(text.replace("{}", name_of(table), 1))


def contents(fleet: SQLiteFleet, shard: str, table: str) -> list[Any]:
    with closing(fleet.connect(shard)) as connection:
        info = connection.execute(f"PRAGMA table_xinfo({name_of(table)})").fetchall()
        parts = []
        for _, column, *_ in info:
            name = name_of(column)
            parts.append(f"typeof({name}), CASE typeof({name}) WHEN 'real' THEN {name} ELSE "
                         f"hex({name}) END")  # fmt: skip
        found = connection.execute(f"SELECT {', '.join(parts)} FROM {name_of(table)}").fetchall()
    return sorted(found, key=repr)


def definitions(fleet: SQLiteFleet, shard: str) -> list[Any]:
    return sorted(
        fleet.sql(
            shard,
            "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE "
            "'|_shardhash%' ESCAPE '|' AND name NOT LIKE 'sqlite|_%' ESCAPE '|' "
            "AND tbl_name NOT LIKE '|_shardhash%' ESCAPE '|'",
        )
    )


def slots_of(fleet: SQLiteFleet, shard: str, table: str, key: str) -> set[int]:
    """Return the slots of a table's rows by zlib's CRC-32 of the keys' text."""
    found = fleet.sql(shard, f"SELECT {key} FROM {name_of(table)}")
    return {zlib.crc32(str(row[0]).encode()) % SLOTS for row in found}


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shardhash.db.executor._table_copy._PAGE_ROWS", 11)
    monkeypatch.setattr("shardhash.db.executor._pages._PAGE_ROWS", 13)


def go_through_all(fleet: SQLiteFleet, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adopt, split, move and turn around, move, and clone, and compare all rows after each."""
    cluster = Cluster.start(fleet)
    fill(fleet, case)
    before = {table: contents(fleet, "s1", table) for table in case.tables}

    def check(owners: Mapping[str, range]) -> None:
        for table, expected in before.items():
            found = [row for shard in owners for row in contents(fleet, shard, table)]
            assert sorted(found, key=repr) == expected, table
            for shard, slots in owners.items():
                assert slots_of(fleet, shard, table, case.key) <= set(slots), (table, shard)
        with cluster.operations() as operations:
            report = operations.verify()
            assert report.is_clean, report

    cluster.adopt(case)
    cluster.do("split", "s1", "s2", instance="b", freeze=True)
    check({"s1": range(8), "s2": range(8, 16)})
    with cluster.operations() as operations:
        plan = operations.plan_move("s2", "s1", slots="8-11", freeze=True)
    cluster.undo_when_open(plan, monkeypatch)
    check({"s1": range(8), "s2": range(8, 16)})
    cluster.do("move", "s2", "s1", slots="8-11", freeze=True, quarantine=True)
    check({"s1": range(12), "s2": range(12, 16)})
    cluster.do("clone", "s1", "s3", instance="b")
    assert definitions(fleet, "s3") == definitions(fleet, "s1")
    for table in (*case.tables, *case.more):
        assert contents(fleet, "s3", table) == contents(fleet, "s1", table)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_goes_through_all_operations_unchanged(
    sqlite_fleet: SQLiteFleet, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_through_all(sqlite_fleet, CASES[name], monkeypatch)


def test_a_file_of_another_encoding_is_not_moved(sqlite_fleet: SQLiteFleet) -> None:
    cluster = Cluster.start(sqlite_fleet)
    sqlite_fleet.path("s1").unlink()
    fill(sqlite_fleet, CASES["text keys"], "PRAGMA encoding = 'UTF-16le'")
    cluster.adopt(CASES["text keys"])

    with pytest.raises(PreflightError, match="its file keeps text as UTF-16le"):
        cluster.do("split", "s1", "s2", instance="b", freeze=True)
    with pytest.raises(PreflightError, match="its file keeps text as UTF-16le"):
        cluster.do("clone", "s1", "s2", instance="b")


REFUSED = {
    "no primary key": (["CREATE TABLE t (id, k INTEGER)"], "no primary key"),
    "view": (["CREATE TABLE u (id PRIMARY KEY, k INTEGER)", "CREATE VIEW t AS SELECT * FROM u"],
             "it is a view"),
    "virtual": (["CREATE VIRTUAL TABLE t USING fts5 (k)"], "it is a virtual table"),
    "null in key": (["CREATE TABLE t (id TEXT PRIMARY KEY, k INTEGER)",
                     "INSERT INTO t VALUES (NULL, 1)"], "have NULL in their primary key"),
    "key without affinity": (["CREATE TABLE t (id INTEGER PRIMARY KEY, k)"],
                             "a column declared to hold INTEGER"),
    "text among keys": (["CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER)",
                         "INSERT INTO t VALUES (1, 'x'), (2, 2)"], "1 rows of t hold a k"),
    "cascade": (["CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER)",
                 "CREATE TABLE u (id REFERENCES t (id) ON DELETE CASCADE)"], "ON DELETE CASCADE"),
    "after delete": (["CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER)",
                      "CREATE TRIGGER x AFTER DELETE ON t BEGIN SELECT 1; END"], "DELETE fires x"),
}  # fmt: skip
LATER = {
    "before insert": (["CREATE TRIGGER x BEFORE INSERT ON t BEGIN SELECT 1; END"],
                      "on s1 trigger x would take"),
    "after update": (["CREATE TRIGGER x AFTER UPDATE ON t BEGIN SELECT 1; END"],
                     "trigger x of s1 is not on s2"),
    "tree": (["DROP TABLE t",
              "CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER REFERENCES t (id))"],
             "refer to rows of the same table"),
    "no text": ([(f"INSERT INTO t VALUES (1, {OTHER_KEYS[0]}, CAST(x'ff61' AS TEXT)), "
                 f"(2, {OTHER_KEYS[1]}, 'a' || char(0))")],
                "1 rows hold text that is no UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_kept_is_not_adopted(sqlite_fleet: SQLiteFleet, name: str) -> None:
    statements, words = REFUSED[name]
    cluster = Cluster.start(sqlite_fleet)
    for text in statements:
        sqlite_fleet.sql("s1", text)

    with pytest.raises(PreflightError, match=words) as refused:
        cluster.adopt(Case({"t": []}))
    assert refused.value.next_step


@pytest.mark.parametrize("kind", ["split", "clone"])
@pytest.mark.parametrize("name", LATER)
def test_what_would_not_arrive_is_refused(sqlite_fleet: SQLiteFleet, name: str, kind: str) -> None:
    statements, words = LATER[name]
    cluster = Cluster.start(sqlite_fleet)
    sqlite_fleet.sql("s1", PLAIN.replace("{}", "t"))
    for text in statements:
        sqlite_fleet.sql("s1", text)
    cluster.adopt(Case({"t": []}))
    options = {"freeze": True} if kind == "split" else {}
    if kind == "clone" and "trigger" in words:
        cluster.do(kind, "s1", "s2", instance="b")
        return

    with pytest.raises(PreflightError, match=words) as refused:
        cluster.do(kind, "s1", "s2", instance="b", **options)
    assert refused.value.next_step


def test_rows_that_refer_to_no_row_are_not_moved(sqlite_fleet: SQLiteFleet) -> None:
    cluster = Cluster.start(sqlite_fleet)
    child = "CREATE TABLE {} (id INTEGER PRIMARY KEY, k INTEGER, up REFERENCES p (id))"
    rows = f"INSERT INTO {{}} VALUES (1, {KEYS[0]}, 7), (2, {OTHER_KEYS[0]}, 7), (3, NULL, NULL)"
    case = Case({"p": [PLAIN], "t": [child, rows]})
    fill(sqlite_fleet, case)
    cluster.adopt(case)

    with pytest.raises(PreflightError, match=r"1 rows refer by foreign key t\.up to rows that"):
        cluster.do("split", "s1", "s2", instance="b", freeze=True)


def test_a_file_system_without_room_is_refused(
    sqlite_fleet: SQLiteFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster.start(sqlite_fleet)
    case = Case({"t": [PLAIN, *rows(["'x'"] * 20)]})
    fill(sqlite_fleet, case)
    cluster.adopt(case)
    asked = []

    def usage(directory: Any) -> Any:
        asked.append(str(directory))
        return type("Usage", (), {"free": 1_000})

    monkeypatch.setattr("shardhash.db.operations._hazards.shutil.disk_usage", usage)
    with cluster.operations() as operations:
        with pytest.raises(PreflightError, match="s2 has room for 1000 bytes"):
            operations.plan_split("s1", "s2", instance="b", freeze=True)
        with pytest.raises(PreflightError, match="s2 has room for 1000 bytes"):
            operations.plan_clone("s1", "s2", instance="b")
        operations.plan_split("s1", "s2", instance="b", freeze=True, target_free_bytes=10**9)
    assert set(asked) == {str(sqlite_fleet.directory)}


def test_unique_values_that_the_target_has_are_refused(sqlite_fleet: SQLiteFleet) -> None:
    cluster = Cluster.start(sqlite_fleet)
    text = "CREATE TABLE {} (id INTEGER PRIMARY KEY, k INTEGER, c TEXT COLLATE NOCASE UNIQUE)"
    row = f"INSERT INTO {{}} VALUES (1, {OTHER_KEYS[0]}, 'Foo'), (2, {OTHER_KEYS[1]}, NULL)"
    case = Case({"t": [text, row]})
    fill(sqlite_fleet, case)
    cluster.adopt(case)
    cluster.do("split", "s1", "s2", instance="b", freeze=True)
    with closing(sqlite_fleet.connect("s1")) as connection:
        prepare_sqlite(connection)
        connection.execute(f"INSERT INTO t VALUES (3, {KEYS[0]}, 'foo'), (4, {KEYS[1]}, NULL)")

    with (
        cluster.operations() as operations,
        pytest.raises(PreflightError, match="1 rows of t hold"),
    ):
        operations.plan_move("s2", "s1", slots="8-15", freeze=True)
