"""Hostile schemas go through whole operations, or are refused before anything is done.

Each schema is adopted, split, moved, turned around, moved again and cloned between two servers that
agree on nothing. What is there before and after is compared by SQL of this file alone.
"""

import functools
import operator
from collections.abc import Callable, Mapping

import pytest

from hostile_schemas import CASES, Case, keyed
from hostile_servers import Cluster, contents, definition, fill, name_of, session, slots_of
from server_software import is_mysql, mariadb_only
from servers import MariaDB, MySQLFleet
from shardhash.errors import PreflightError


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shardhash.db.executor._table_copy._PAGE_ROWS", 11)
    monkeypatch.setattr("shardhash.db.executor._pages._PAGE_ROWS", 13)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(case, marks=mariadb_only("unique indexes on whole TEXT columns"))
        if case == "indexes"
        else case
        for case in CASES
    ],
)
def test_a_hostile_schema_goes_through_all_operations_unchanged(
    hostile_fleet: MySQLFleet, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    cluster = Cluster.start(hostile_fleet)
    fill(hostile_fleet, "s1", case)
    before = {table: contents(hostile_fleet, "s1", table) for table in case.tables}
    made = {table: definition(hostile_fleet, "s1", table) for table in case.tables}

    def check(owners: Mapping[str, range]) -> None:
        for table, rows in before.items():
            found = [row for shard in owners for row in contents(hostile_fleet, shard, table)]
            assert sorted(found, key=repr) == rows, table
            for shard, slots in owners.items():
                there = slots_of(hostile_fleet, shard, table, str(case.key), case.key_type)
                assert there <= set(slots), (table, shard)
        with cluster.operations() as operations:
            report = operations.verify()
            assert report.is_clean, report

    cluster.adopt(case)
    cluster.do("split", "s1", "s2", instance="b", freeze=True)
    check({"s1": range(8), "s2": range(8, 16)})
    assert {table: definition(hostile_fleet, "s2", table) for table in case.tables} == made
    with cluster.operations() as operations:
        plan = operations.plan_move("s2", "s1", slots="8-11", freeze=True)
    cluster.undo_when_open(plan, monkeypatch)
    check({"s1": range(8), "s2": range(8, 16)})
    cluster.do("move", "s2", "s1", slots="8-11", freeze=True, quarantine=True)
    check({"s1": range(12), "s2": range(12, 16)})
    cluster.do("clone", "s1", "s3", instance="b")
    for table in (*case.tables, *case.more):
        assert contents(hostile_fleet, "s3", table) == contents(hostile_fleet, "s1", table)
        assert definition(hostile_fleet, "s3", table) == definition(hostile_fleet, "s1", table)
    if list(case.tables) == ["t"]:
        change_and_attach(cluster)


def change_and_attach(cluster: Cluster) -> None:
    """Change rows as an application does, and let the clone take the shard's place."""
    with session(cluster.fleet, "s1") as cursor:
        cursor.execute("DELETE FROM t WHERE id = 0")
        cursor.execute("UPDATE t SET id = -5 WHERE id = 2")
    present = contents(cluster.fleet, "s1", "t")
    assert ("2D35",) in [row[:1] for row in present]

    cluster.do("attach", "s3", slots_of="s1", freeze=True)
    assert contents(cluster.fleet, "s3", "t") == present
    assert contents(cluster.fleet, "s1", "t") == []


PROGRAMS = {
    "view": ("v`1", "CREATE VIEW {} AS SELECT id, `select` FROM `u%s` WHERE c <> '\\\\'"),
    "procedure": ("p%", "CREATE PROCEDURE {}(x INT) BEGIN SELECT \"a\", '\\'', x || 1; END"),
    "function": (
        "f é",
        "CREATE FUNCTION {}(x TEXT CHARSET sjis) RETURNS INT NO SQL RETURN 1",
    ),
    "event": ("e'v", "CREATE EVENT {} ON SCHEDULE EVERY 1 DAY DO DELETE FROM `u%s`"),
    "trigger": ('t"r', "CREATE TRIGGER {} BEFORE INSERT ON `u%s` FOR EACH ROW SET NEW.c = 'new'"),
}
if not is_mysql():
    PROGRAMS["sequence"] = ("s.q", "CREATE SEQUENCE {} START WITH 5 INCREMENT BY 3 CACHE 7")


def test_programs_of_odd_names_and_modes_are_cloned_and_change_no_row(
    hostile_fleet: MySQLFleet,
) -> None:
    tables = {
        "u%s": [
            "CREATE TABLE {} (id INT PRIMARY KEY, `select` INT, c VARCHAR(9)) ENGINE=InnoDB",
            "INSERT INTO {} VALUES (1, 1, 'old'), (2, 2, '\\\\')",
        ]
    }
    more = {name: [text] for name, text in PROGRAMS.values()}
    cluster = Cluster.start(hostile_fleet)
    fill(hostile_fleet, "s1", Case(tables, more=more))
    has_sequence = "sequence" in PROGRAMS
    if has_sequence:
        with session(hostile_fleet, "s1") as cursor:
            cursor.execute("SELECT NEXTVAL(`s.q`), NEXTVAL(`s.q`)")
            assert cursor.fetchall() == ((5, 8),)
    cluster.do("clone", "s1", "s2", instance="b")

    assert contents(hostile_fleet, "s2", "u%s") == contents(hostile_fleet, "s1", "u%s")
    for kind, (name, _) in PROGRAMS.items():
        assert program(hostile_fleet, "s2", kind, name) == program(hostile_fleet, "s1", kind, name)
    with session(hostile_fleet, "s2") as cursor:
        if has_sequence:
            cursor.execute("SELECT NEXTVAL(`s.q`)")
            assert cursor.fetchall() == ((26,),)
        cursor.execute("SELECT * FROM `v``1`")
        assert cursor.fetchall() == ((1, 1),)
        cursor.execute("INSERT INTO `u%s` VALUES (3, 3, 'x')")
        cursor.execute("SELECT c FROM `u%s` WHERE id = 3")
        assert cursor.fetchall() == (("new",),)


def program(fleet: MySQLFleet, shard: str, kind: str, name: str) -> list[str]:
    """Return what a server says of a program, without its database, events as enabled."""
    with session(fleet, shard) as cursor:
        cursor.execute(f"SHOW CREATE {kind.upper()} {name_of(name)}")
        [row] = cursor.fetchall()
    texts = [str(value).replace(" DISABLE", " ENABLE") for value in row[:4]]
    return [text.replace(f"`{fleet.database(shard)}`.", "") for text in texts]


def test_tables_on_servers_that_fold_names_go_through_a_split(
    start_server: Callable[..., MariaDB], hostile_fleet: MySQLFleet
) -> None:
    folding = start_server("--lower-case-table-names=1")
    hostile_fleet.servers = {"a": folding, "b": hostile_fleet.servers["b"], "c": folding}
    cluster = Cluster.start(hostile_fleet)
    statements = keyed("id INT PRIMARY KEY", [f"{n}" for n in range(20)])
    fill(hostile_fleet, "s1", Case({"ORDERS": statements}))
    before = contents(hostile_fleet, "s1", "orders")
    with pytest.raises(PreflightError, match="table ORDERS, and the server of s1 calls it orders"):
        cluster.adopt(Case({"ORDERS": []}))
    cluster.adopt(Case({"orders": []}))

    for target, instance in (("s2", "c"), ("s3", "b")):
        cluster.do("split", "s1", target, instance=instance, freeze=True)
    shards = ("s1", "s2", "s3")
    found = [contents(hostile_fleet, shard, "orders") for shard in shards]
    assert all(found)
    assert sorted(functools.reduce(operator.iadd, found, []), key=repr) == before
    with cluster.operations() as operations:
        assert operations.verify().is_clean
