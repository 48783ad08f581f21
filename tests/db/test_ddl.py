"""A shard's objects are made again elsewhere as they are, under any default, and only once."""

from contextlib import closing
from dataclasses import replace
from threading import Thread

import pytest

from copying import table_of, work_on
from server_software import is_mysql, mariadb_only, mysql_only, no_pad_binary
from shardhash.db.connections import SessionSettings
from shardhash.db.executor._beside import readable_beside
from shardhash.db.executor._ddl import create_programs, create_tables
from shardhash.db.executor._indexes import drop_indexes, make_indexes
from shardhash.db.executor._snapshot import _snapshot, copy_snapshot
from shardhash.db.inspect import list_objects
from shardhash.errors import DatabaseError, PreflightError

LONG = "LONGTEXT" if is_mysql() else "JSON"  # MySQL has no index on JSON
UUID = "CHAR(36)" if is_mysql() else "UUID"
MYSQL_TABLES = {
    "parents": "CREATE TABLE parents (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(10) "
    "CHARACTER SET latin1 NOT NULL COMMENT 'AUTO_INCREMENT=7') AUTO_INCREMENT = 500 "
    "DEFAULT CHARSET=ucs2 COMMENT=') ENGINE=InnoDB AUTO_INCREMENT=9'",
    "a`b%s 'q\\": "CREATE TABLE `a``b%s 'q\\` (`%d` INT PRIMARY KEY, p INT NULL, "
    "n INT, g INT AS (n * 2) STORED, v INT AS (n % 7) VIRTUAL, hidden INT INVISIBLE DEFAULT 5, "
    "d DATETIME(3) NOT NULL DEFAULT '0000-00-00 00:00:00' ON UPDATE CURRENT_TIMESTAMP(3), "
    f"e ENUM('x','it''s') COLLATE {no_pad_binary()} DEFAULT 'x', j {LONG}, u {UUID}, "
    "UNIQUE KEY (p, e), KEY pre (j(20)), FULLTEXT KEY f (j), CHECK (n <> 13), "
    "CONSTRAINT fk FOREIGN KEY (p) REFERENCES parents (id) ON UPDATE CASCADE) "
    "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8",
    "parted": "CREATE TABLE parted (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3",
}
SQLITE_TABLES = {
    "parents": "CREATE TABLE parents "
    "(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT COLLATE NOCASE)",
    'a"b': 'CREATE TABLE "a""b" (x INT, y TEXT, PRIMARY KEY (y, x)) WITHOUT ROWID',
}


def show(fleet, shard, name):
    if fleet.kind == "sqlite":
        return fleet.sql(shard, "SELECT type, name, sql FROM sqlite_master WHERE tbl_name = %s "
                         "ORDER BY name", [name])  # fmt: skip
    quoted = name.replace("`", "``")
    return fleet.sql(shard, f"SHOW CREATE TABLE `{quoted}`")


@pytest.fixture
def made(backend):
    """s1 with tables, s2 empty, under other defaults."""
    for shard in ("s1", "s2"):
        backend.add(shard)
    if backend.kind == "mysql":
        backend.sql("s1", f"ALTER DATABASE {backend.database('s1')} CHARACTER SET cp1250")
        backend.sql("s2", f"ALTER DATABASE {backend.database('s2')} CHARACTER SET utf8mb4")
    tables = MYSQL_TABLES if backend.kind == "mysql" else SQLITE_TABLES
    with closing(backend.connect("s1")) as connection:
        cursor = connection.cursor()
        cursor.execute("SET sql_mode = ''" if backend.kind == "mysql" else "SELECT 1")
        for statement in tables.values():
            cursor.execute(statement)
    if backend.kind == "sqlite":
        backend.sql("s1", "CREATE UNIQUE INDEX i ON parents (name) WHERE id > 3")
    with work_on(backend, "s1", "s2") as work:
        yield backend, work, tables


def test_tables_are_made_where_a_column_has_another_collation_than_its_charset(mysql_fleet):
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard)
    mysql_fleet.sql(
        "s1",
        "CREATE TABLE parents (id INT PRIMARY KEY, c VARCHAR(9), KEY (c)) "
        "DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci",
    )
    with work_on(mysql_fleet, "s1", "s2") as work:
        create_tables(work, "s1", "s2", ["parents"])
        create_tables(work, "s1", "s2", ["parents"])
        drop_indexes(work, "s2", table_of(work, "s2", "parents"))
        make_indexes(work, "s1", "s2", table_of(work, "s2", "parents"))

    query = "SELECT CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLUMNS "
    query += "WHERE TABLE_SCHEMA = DATABASE() AND COLUMN_NAME = 'c'"
    assert mysql_fleet.sql("s2", query) == [("utf8mb4", "utf8mb4_unicode_ci")]


@mysql_only("tablespaces that a table names")
def test_tables_are_made_without_the_tablespace_of_their_server(mysql_fleet):
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard)
    mysql_fleet.sql(
        "s1",
        "CREATE TABLE parents (id INT AUTO_INCREMENT PRIMARY KEY) TABLESPACE innodb_system "
        "AUTO_INCREMENT = 500",
    )
    assert "TABLESPACE `innodb_system`" in show(mysql_fleet, "s1", "parents")[0][1]

    with work_on(mysql_fleet, "s1", "s2") as work:
        create_tables(work, "s1", "s2", ["parents"])

    made = show(mysql_fleet, "s2", "parents")[0][1]
    assert "TABLESPACE" not in made
    assert "AUTO_INCREMENT=" not in made


def test_tables_are_made_as_they_are_without_counters(made):
    fleet, work, tables = made

    create_tables(work, "s1", "s2", list(reversed(tables)))

    for name in tables:
        wanted = show(fleet, "s1", name)
        if fleet.kind == "mysql":
            wanted = [(name, text.replace(" AUTO_INCREMENT=500", "")) for name, text in wanted]
        assert show(fleet, "s2", name) == wanted


def test_tables_that_are_there_are_left_as_they_are(made):
    fleet, work, tables = made
    create_tables(work, "s1", "s2", list(tables))
    fleet.sql("s2", "INSERT INTO parents (id, name) VALUES (1, 'x')")

    create_tables(work, "s1", "s2", list(tables))

    assert fleet.sql("s2", "SELECT id, name FROM parents") == [(1, "x")]


def test_a_table_that_is_there_in_another_form_is_refused(made):
    fleet, work, tables = made
    fleet.sql("s2", "CREATE TABLE parents (id INT PRIMARY KEY)")

    with pytest.raises(PreflightError, match="parents of s2 is not as on s1"):
        create_tables(work, "s1", "s2", list(tables))


def test_a_database_takes_the_models_defaults(made):
    fleet, work, tables = made
    create_tables(work, "s1", "s2", list(tables))

    if fleet.kind == "mysql":
        assert fleet.sql("s2", "SELECT @@character_set_database") == [("cp1250",)]


MYSQL_PROGRAMS = [
    "CREATE FUNCTION plus(a INT) RETURNS INT DETERMINISTIC RETURN a + 1",
    "CREATE PROCEDURE p(IN a VARCHAR(5)) BEGIN SELECT a, '%s' FROM parents; END",
    "CREATE VIEW a_second AS SELECT id, plus(id) AS n FROM z_first WHERE name LIKE 'a%'",
    "CREATE TRIGGER b BEFORE INSERT ON parents FOR EACH ROW SET NEW.name = CONCAT(NEW.name, 'é')",
    "CREATE TRIGGER a BEFORE INSERT ON parents FOR EACH ROW SET NEW.name = UPPER(NEW.name)",
    "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM parents",
]


def programs_of(work, shard):
    with work.read(shard) as connection:
        listed = list_objects(connection, work.backend(shard))
    return [(each.kind, each.name) for each in listed if each.kind != "table"]


def test_programs_are_made_as_they_are(made):
    fleet, work, tables = made
    if fleet.kind == "mysql":
        fleet.sql("s1", "CREATE VIEW z_first AS SELECT * FROM parents")
        with fleet.connect("s1") as connection, connection.cursor() as cursor:
            cursor.execute("SET sql_mode = 'PIPES_AS_CONCAT,ANSI_QUOTES'")
            cursor.execute("SET NAMES latin1 COLLATE latin1_german2_ci")
            for statement in MYSQL_PROGRAMS:
                cursor.execute(statement.encode("latin1"))
    else:
        fleet.sql("s1", "CREATE VIEW z_first AS SELECT * FROM parents")
        fleet.sql("s1", "CREATE VIEW a_second AS SELECT * FROM z_first")
        fleet.sql("s1", "CREATE TRIGGER tr AFTER INSERT ON parents BEGIN SELECT 1; END")
    create_tables(work, "s1", "s2", list(tables))
    programs = programs_of(work, "s1")

    for _ in range(2):
        create_programs(work, "s1", "s2", programs)

    there = programs_of(work, "s2")
    assert sorted(there) == sorted(programs)
    if fleet.kind == "mysql":
        assert len(programs) == 7
        for shard in ("s1", "s2"):
            fleet.sql(shard, "INSERT INTO parents (id, name) VALUES (1, 'ab')")
        query = ("SELECT TRIGGER_NAME, ACTION_ORDER, ACTION_STATEMENT, SQL_MODE, DEFINER, "
                 "COLLATION_CONNECTION FROM information_schema.TRIGGERS "
                 "WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY 1")  # fmt: skip
        assert fleet.sql("s2", query) == fleet.sql("s1", query)
        assert fleet.sql("s2", "SELECT name FROM parents") == [("ABÉ",)]
        assert fleet.sql("s2", "SELECT * FROM a_second") == fleet.sql(
            "s1", "SELECT * FROM a_second"
        )
        events = "SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()"
        assert fleet.sql("s2", events) == [("DISABLED",)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE PROCEDURE p() DELETE FROM {database}.parents",
        "CREATE TRIGGER p AFTER INSERT ON parents FOR EACH ROW DELETE FROM `{database}` . parents",
        pytest.param(
            "CREATE VIEW p AS SELECT a.id FROM parents a, mysql.user b",
            marks=mariadb_only("MySQL's text of a view leaves the view's own database out"),
        ),
    ],
)
def test_a_program_that_names_its_own_database_is_refused(mysql_fleet, statement):
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard)
    mysql_fleet.sql("s1", MYSQL_TABLES["parents"])
    mysql_fleet.sql("s1", statement.format(database=mysql_fleet.database("s1")))
    with work_on(mysql_fleet, "s1", "s2") as work:
        programs = programs_of(work, "s1")

        with pytest.raises(PreflightError, match="names its own database"):
            create_programs(work, "s1", "s2", programs)


def test_a_program_that_cannot_be_made_says_why(made):
    fleet, work, _ = made
    fleet.sql("s1", "CREATE VIEW v AS SELECT * FROM parents")
    if fleet.kind == "sqlite":
        pytest.skip("SQLite takes a view on a table that is not there")

    with pytest.raises(DatabaseError, match="parents"):
        create_programs(work, "s1", "s2", [("view", "v")])


def test_the_toolkits_own_objects_are_not_listed(made):
    _, work, tables = made
    with work.read("s1") as connection:
        listed = [each.name for each in list_objects(connection, work.backend("s1"))]

    assert sorted(listed) == sorted(tables)


def test_a_copy_of_one_moment_misses_nothing_of_it_and_has_nothing_later(any_place, monkeypatch):
    monkeypatch.setattr("shardhash.db.executor._table_copy._PAGE_ROWS", 30)
    for shard in ("s1", "s2"):
        any_place.add(shard)
        any_place.sql(shard, "CREATE TABLE t (id INTEGER PRIMARY KEY, c VARCHAR(9) UNIQUE)")
        any_place.sql(shard, "CREATE TABLE u (id INTEGER PRIMARY KEY, c INT)")
    values = ", ".join(f"({n}, 'c{n}')" for n in range(100))
    any_place.sql("s1", f"INSERT INTO t VALUES {values}")
    any_place.sql("s1", "INSERT INTO u VALUES (1, 1)")
    then = any_place.sql("s1", "SELECT * FROM t ORDER BY id")

    with work_on(any_place, "s1", "s2") as work:
        tables = [table_of(work, "s1", name) for name in ("t", "u")]

        def write():
            work.on_batch = lambda: None
            any_place.sql("s1", "DELETE FROM t WHERE id = 99")
            any_place.sql("s1", "INSERT INTO t VALUES (1000, 'new')")
            any_place.sql("s1", "UPDATE u SET c = 2")

        if any_place.kind == "mysql":  # a SQLite reader holds its file's writers up
            work.on_batch = write
        counts, mismatches = copy_snapshot(work, "s1", "s2", tables)

    assert (counts, mismatches) == ({"t": 100, "u": 1}, [])
    assert any_place.sql("s2", "SELECT * FROM t ORDER BY id") == then
    assert any_place.sql("s2", "SELECT * FROM u") == [(1, 1)]


TABLE = "CREATE TABLE t (id INT PRIMARY KEY, c VARCHAR(9) UNIQUE)"
NUMBERED = """
    CREATE TABLE t (
        id INT, c VARCHAR(9) UNIQUE, n INT AUTO_INCREMENT, PRIMARY KEY (id, n), KEY (n)
    )"""


def one_server(fleet, monkeypatch, definition=TABLE):
    """Make two shards on one server, and a unique value in each of 100 rows."""
    fleet.servers = {"a": fleet.servers["a"]}
    monkeypatch.setattr("shardhash.db.executor._table_copy._PAGE_ROWS", 30)
    monkeypatch.setattr("shardhash.db.executor._pages._PAGE_ROWS", 30)
    for shard in ("s1", "s2"):
        fleet.add(shard)
        fleet.sql(shard, definition)
    fleet.sql("s1", f"INSERT INTO t (id, c) VALUES {', '.join(f'({n}, {n})' for n in range(100))}")
    return fleet.sql("s1", "SELECT * FROM t ORDER BY id")


@pytest.mark.parametrize("definition", [TABLE, NUMBERED], ids=["plain", "numbered"])
def test_unique_values_that_move_during_a_copy_of_one_moment_are_where_they_were(
    mysql_fleet, monkeypatch, definition
):
    then = one_server(mysql_fleet, monkeypatch, definition)

    with work_on(mysql_fleet, "s1", "s2") as work:

        def write():
            work.on_batch = lambda: None
            mysql_fleet.sql("s1", "UPDATE t SET c = 'x' WHERE id = 5")
            mysql_fleet.sql("s1", "UPDATE t SET c = '5' WHERE id = 80")

        work.on_batch = write
        assert copy_snapshot(work, "s1", "s2", [table_of(work, "s1")]) == ({"t": 100}, [])

    assert mysql_fleet.sql("s2", "SELECT * FROM t ORDER BY id") == then
    assert show(mysql_fleet, "s2", "t") == show(mysql_fleet, "s1", "t")


def test_a_copy_of_one_moment_neither_waits_for_writers_nor_has_what_is_not_committed(
    mysql_fleet, monkeypatch
):
    then = one_server(mysql_fleet, monkeypatch)
    session = replace(SessionSettings.operations(), lock_wait_s=1)

    with (
        mysql_fleet.connect("s1") as writer,
        writer.cursor() as cursor,
        work_on(mysql_fleet, "s1", "s2", session=session) as work,
    ):
        cursor.execute("BEGIN")
        cursor.execute("UPDATE t SET c = 'x' WHERE id = 50")
        cursor.execute("DELETE FROM t WHERE id = 70")
        cursor.execute("INSERT INTO t VALUES (1000, 'new')")
        assert copy_snapshot(work, "s1", "s2", [table_of(work, "s1")]) == ({"t": 100}, [])

    assert mysql_fleet.sql("s2", "SELECT * FROM t ORDER BY id") == then


def test_a_server_copies_beside_itself_only_what_its_log_can_say(
    start_server, mysql_fleet, monkeypatch
):
    beside = []
    monkeypatch.setattr(
        "shardhash.db.executor._snapshot.readable_beside",
        lambda *parts: beside.append(readable_beside(*parts)) or beside[-1],
    )
    mysql_fleet.servers = {"a": start_server("--log-bin=log", "--binlog-format=STATEMENT")}
    then = one_server(mysql_fleet, monkeypatch)

    with work_on(mysql_fleet, "s1", "s2") as work:
        assert copy_snapshot(work, "s1", "s2", [table_of(work, "s1")]) == ({"t": 100}, [])
        mysql_fleet.sql("s1", "SET GLOBAL binlog_format = 'MIXED'")

    assert mysql_fleet.sql("s2", "SELECT * FROM t ORDER BY id") == then
    mysql_fleet.sql("s2", "DELETE FROM t")
    with work_on(mysql_fleet, "s1", "s2", operation="op2") as work:
        assert copy_snapshot(work, "s1", "s2", [table_of(work, "s1")]) == ({"t": 100}, [])
    assert mysql_fleet.sql("s2", "SELECT * FROM t ORDER BY id") == then
    assert beside == [None, mysql_fleet.database("s1")]


def test_a_snapshot_is_read_by_one_thread_at_a_time(backend):
    backend.add("s1")
    order = []

    with work_on(backend, "s1") as work, _snapshot(work, "s1") as read:

        def read_too():
            with read():
                order.append("another")

        thread = Thread(target=read_too)
        with read():
            thread.start()
            thread.join(0.1)
            order.append("first")
        thread.join()

    assert order == ["first", "another"]


class Killed(BaseException):
    """What ends the process."""


def test_a_copy_of_one_moment_that_was_killed_becomes_one_of_a_later_moment(any_place, monkeypatch):
    monkeypatch.setattr("shardhash.db.executor._table_copy._PAGE_ROWS", 30)
    monkeypatch.setattr("shardhash.db.executor._pages._PAGE_ROWS", 30)
    for shard in ("s1", "s2"):
        any_place.add(shard)
        any_place.sql(shard, "CREATE TABLE t (id INTEGER PRIMARY KEY, c VARCHAR(9) UNIQUE)")
    values = ", ".join(f"({n}, 'c{n}')" for n in range(100))
    any_place.sql("s1", f"INSERT INTO t VALUES {values}")

    with work_on(any_place, "s1", "s2") as work:
        table = table_of(work, "s1")
        batches = iter([None, Killed()])

        def die():
            if (killed := next(batches)) is not None:
                raise killed

        work.on_batch = die
        with pytest.raises(Killed):
            copy_snapshot(work, "s1", "s2", [table])
        work.on_batch = lambda: None
        any_place.sql("s1", "DELETE FROM t WHERE id IN (5, 50)")
        any_place.sql(
            "s1", "UPDATE t SET c = 'c5' WHERE id = 80"
        )  # a value that moves between pages
        any_place.sql("s1", "UPDATE t SET c = 'c80' WHERE id = 7")
        counts, mismatches = copy_snapshot(work, "s1", "s2", [table])

    assert (counts, mismatches) == ({"t": 98}, [])
    query = "SELECT * FROM t ORDER BY id"
    assert any_place.sql("s2", query) == any_place.sql("s1", query)


def test_indexes_that_were_made_after_the_rows_are_the_models(mysql_fleet):
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard)
        mysql_fleet.sql(shard, "CREATE TABLE parents (id INT PRIMARY KEY, x INT, KEY (x))")
        mysql_fleet.sql(
            shard,
            "CREATE TABLE `a``b%s` (id INT PRIMARY KEY, p INT, `u``%d` VARCHAR(9), note TEXT, "
            "KEY plain (p), UNIQUE KEY `un``i%s` (`u``%d`), FULLTEXT KEY f (note), "
            "KEY pre (note(7) DESC, p), CONSTRAINT `f``k%s` FOREIGN KEY (p) REFERENCES parents (id)"
            " ON DELETE SET NULL, CHECK (id > 0)) COMMENT 'KEY `plain` (`p`)'",
        )
    mysql_fleet.sql("s1", "INSERT INTO parents VALUES (1, 1), (2, 2)")
    mysql_fleet.sql(
        "s1", "INSERT INTO `a``b%s` VALUES (1, 2, 'x', 'some words'), (2, NULL, 'y', '')"
    )
    seen = []
    with work_on(mysql_fleet, "s1", "s2") as work:
        tables = [table_of(work, "s1", name) for name in ("parents", "a`b%s")]
        work.on_batch = lambda: seen.extend(show(mysql_fleet, "s2", "a`b%s"))
        counts, mismatches = copy_snapshot(work, "s1", "s2", tables)

    assert (counts, mismatches) == ({"parents": 2, "a`b%s": 2}, [])
    assert "plain` (`p`)," not in seen[-1][1]
    for name in ("parents", "a`b%s"):
        assert show(mysql_fleet, "s2", name) == show(mysql_fleet, "s1", name)


def test_a_copy_that_was_killed_without_its_indexes_ends_with_them(mysql_fleet):
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard)
        mysql_fleet.sql(shard, "CREATE TABLE t (id INT PRIMARY KEY, c VARCHAR(9), UNIQUE (c))")
    mysql_fleet.sql("s1", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    with work_on(mysql_fleet, "s1", "s2") as work:
        table = table_of(work, "s1")

        def die():
            raise Killed

        work.on_batch = die
        with pytest.raises(Killed):
            copy_snapshot(work, "s1", "s2", [table])
        assert "UNIQUE" not in show(mysql_fleet, "s2", "t")[0][1]
        work.on_batch = lambda: None

        assert copy_snapshot(work, "s1", "s2", [table]) == ({"t": 2}, [])
    assert show(mysql_fleet, "s2", "t") == show(mysql_fleet, "s1", "t")
