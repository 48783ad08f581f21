"""What is read of tables: keys, references, triggers, counters, objects and sizes."""

import pytest

from copying import table_of, work_on
from shardhash.db.inspect import list_objects, table_size_bytes
from shardhash.db.schema import Trigger, UniqueKey
from shardhash.db.topology import Backend


@pytest.fixture
def work(backend):
    backend.add("s1")
    with work_on(backend, "s1") as work:
        yield work


def run(work, *statements):
    for statement in statements:
        work.fleet.sql("s1", statement)


def test_references_are_read_in_both_directions_with_their_actions(work):
    run(
        work,
        "CREATE TABLE p (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES p (id))",
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER, "
        "CONSTRAINT fk FOREIGN KEY (p) REFERENCES p (id) ON UPDATE CASCADE ON DELETE SET NULL)",
    )
    parent, child = table_of(work, "s1", "p"), table_of(work, "s1", "c")

    [key] = child.parents
    assert (key.table, key.parent, key.on_update, key.on_delete) == (
        "c",
        "p",
        "CASCADE",
        "SET NULL",
    )
    assert key.changes_rows
    assert key.updates_rows
    assert key in parent.children
    assert parent.refers_to_itself
    assert not child.refers_to_itself


def test_the_toolkits_own_triggers_are_not_the_users(work):
    table = "CREATE TABLE t (id INTEGER PRIMARY KEY, k INT)"
    before = "CREATE TRIGGER {name} {when} ON t FOR EACH ROW {body}"
    body = "SET @x = 1" if work.fleet.kind == "mysql" else "BEGIN SELECT 1; END"
    run(work, table, before.format(name="mine", when="BEFORE UPDATE", body=body))
    plain = table_of(work, "s1").fingerprint

    run(work, before.format(name="_shardhash_x", when="AFTER DELETE", body=body))
    table = table_of(work, "s1")
    assert {each.name: each.is_own for each in table.triggers} == {
        "_shardhash_x": True,
        "mine": False,
    }
    assert table.user_triggers == (Trigger(name="mine", timing="BEFORE", event="UPDATE"),)
    assert table.delete_triggers == ()
    assert table.fingerprint == plain

    run(work, before.format(name="theirs", when="AFTER DELETE", body=body))
    assert table_of(work, "s1").delete_triggers == ("theirs",)
    assert table_of(work, "s1").fingerprint != plain


def test_a_sqlite_heading_is_read_past_names_and_comments(sqlite_fleet):
    sqlite_fleet.add("s1")
    sqlite_fleet.sql("s1", "CREATE TABLE t (id INTEGER PRIMARY KEY, k INT)")
    sqlite_fleet.sql("s1", 'CREATE TRIGGER "delete update" /* INSERT */ UPDATE OF k ON t '
                     "BEGIN DELETE FROM t WHERE 0; END")  # fmt: skip
    with work_on(sqlite_fleet, "s1") as work:
        [trigger] = table_of(work, "s1").triggers

    assert (trigger.timing, trigger.event) == ("BEFORE", "UPDATE")


def test_unique_keys_tell_whether_they_compare_whole_values(work):
    part = "c(3)" if work.fleet.kind == "mysql" else "c COLLATE NOCASE"
    run(
        work,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT, c VARCHAR(9))",
        "CREATE UNIQUE INDEX ab ON t (b, a)",
        f"CREATE UNIQUE INDEX part ON t ({part})",
        "CREATE INDEX plain ON t (a)",
    )
    keys = {key.name: key for key in table_of(work, "s1").unique_keys}

    assert keys["ab"] == UniqueKey(name="ab", columns=("b", "a"))
    assert sorted(keys) == ["ab", "part"]
    if work.fleet.kind == "mysql":
        assert not keys["part"].is_whole


def test_counters_are_told_from_plain_keys(work):
    word = "AUTO_INCREMENT" if work.fleet.kind == "mysql" else "AUTOINCREMENT"
    numbered = "INT PRIMARY KEY AUTO_INCREMENT" if word[4] == "_" else f"INTEGER PRIMARY KEY {word}"
    run(
        work,
        f"CREATE TABLE t (id {numbered}, k INT)",
        f"CREATE TABLE u (id INTEGER PRIMARY KEY, k INT DEFAULT 0 /* {word} */)",
    )

    assert table_of(work, "s1", "t").auto_increment == "id"
    assert table_of(work, "s1", "u").auto_increment is None


def test_checks_partitions_and_versions_are_seen(mysql_fleet):
    mysql_fleet.add("s1")
    with work_on(mysql_fleet, "s1") as work:
        run(
            work,
            "CREATE TABLE t (id INT PRIMARY KEY CHECK (id > 0), CONSTRAINT c CHECK (id < 9)) "
            "PARTITION BY HASH (id)",
            "CREATE TABLE v (id INT PRIMARY KEY) WITH SYSTEM VERSIONING",
        )
        table, versioned = table_of(work, "s1"), table_of(work, "s1", "v")
        with work.read("s1") as connection:
            kinds = {each.name: each.kind for each in list_objects(connection, Backend.MYSQL)}

    assert table.is_partitioned
    assert "c" in table.checks
    assert versioned.kind == "system versioned"
    assert kinds == {"t": "table", "v": "table"}


def test_a_reference_to_another_database_names_it(mysql_fleet):
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard, instance="a")
    other = mysql_fleet.database("s2")
    mysql_fleet.sql("s2", "CREATE TABLE p (id INT PRIMARY KEY)")
    mysql_fleet.sql("s1", f"CREATE TABLE t (id INT PRIMARY KEY REFERENCES {other}.p (id))")
    with work_on(mysql_fleet, "s1") as work:
        [key] = table_of(work, "s1").parents

    assert (key.name, key.table, key.parent) == ("t_ibfk_1", "t", f"{other}.p")


def test_sizes_are_about_right(work):
    run(work, "CREATE TABLE t (id INTEGER PRIMARY KEY, c VARCHAR(2000))")
    rows = ", ".join(f"({number}, '{'x' * 2000}')" for number in range(200))
    run(work, f"INSERT INTO t VALUES {rows}")
    if work.fleet.kind == "mysql":
        run(work, "ANALYZE TABLE t")
    table = table_of(work, "s1")
    with work.read("s1") as connection:
        size = table_size_bytes(connection, table)

    assert 300_000 < size < 2_000_000
