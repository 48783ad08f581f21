"""Prune against servers and tables that were set up to deceive it."""

import pytest

from pruning import FOREIGN, by_key, fill, ids, make_shards, owner_by_zlib, prune
from servers import MySQLFleet
from shardhash.db import Config
from shardhash.db.operations import Operations
from shardhash.errors import DatabaseError, PreflightError, StoppedError


@pytest.mark.parametrize("definition", ["VARCHAR(30000) CHARACTER SET latin1", "VARBINARY(30000)"])
def test_values_too_long_for_the_server_to_print_are_never_taken_for_equal(
    start_server, tmp_path, definition
):
    server = start_server("--max-allowed-packet=32K")
    fleet = MySQLFleet(tmp_path, servers={"a": server})
    make_shards(fleet, f"CREATE TABLE orders (id INT PRIMARY KEY, k INT, c {definition})")
    for shard, letter in (("s1", "x"), ("s2", "y")):
        fill(fleet, [(1, FOREIGN[0], letter * 20_000)], shards=[shard])

    report = prune(fleet, "s1", by_key())

    assert ids(fleet, "s1") == [1]
    assert (report.deleted, report.kept) == (0, 1)


@pytest.mark.parametrize("key", ["PRIMARY KEY (a, id)", "PRIMARY KEY (id, a)"])
@pytest.mark.parametrize("using", ["keys", "pages"])
def test_sqlite_rows_with_null_in_their_primary_key_are_refused(sqlite_fleet, key, using):
    make_shards(sqlite_fleet, f"CREATE TABLE orders (id INTEGER, a TEXT, k INTEGER, {key})")
    fill(sqlite_fleet, [(1, None, FOREIGN[0]), (2, "x", FOREIGN[1])])

    with pytest.raises(PreflightError, match="1 rows of orders have NULL in their primary key"):
        prune(sqlite_fleet, "s1", by_key(), using=using)
    assert ids(sqlite_fleet, "s1") == [1, 2]


def test_an_owner_whose_rows_cannot_be_locked_is_no_proof(mysql_fleet):
    make_shards(mysql_fleet, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    fill(mysql_fleet, [(1, FOREIGN[0])])
    mysql_fleet.sql("s2", "ALTER TABLE orders ENGINE=MyISAM")

    with pytest.raises(PreflightError, match="s2 keeps it in an engine without transactions"):
        prune(mysql_fleet, "s1", by_key())
    assert ids(mysql_fleet, "s1") == [1]


def test_a_stopped_prune_counts_the_batches_that_ran_beside_the_failed_one(mysql_fleet):
    make_shards(
        mysql_fleet,
        "CREATE TABLE orders (id INT PRIMARY KEY, k INT)",
        "CREATE TABLE items (o INT, FOREIGN KEY (o) REFERENCES orders (id))",
    )
    values = ", ".join(f"({number}, {FOREIGN[0]})" for number in range(1_500))
    for shard in ("s1", "s2"):
        mysql_fleet.sql(shard, f"INSERT INTO orders VALUES {values}")
    mysql_fleet.sql("s1", "INSERT INTO items VALUES (0)")

    with pytest.raises(StoppedError) as stopped:
        prune(mysql_fleet, "s1", by_key(), using="pages")
    gone = 1_500 - len(ids(mysql_fleet, "s1"))
    assert f"after {gone:,} rows" in str(stopped.value)
    assert "rows that refer to it" in stopped.value.next_step


def test_a_date_that_is_none_is_refused_where_ranges_need_one(mysql_fleet):
    make_shards(mysql_fleet, "CREATE TABLE orders (id INT PRIMARY KEY, k DATE)")
    mysql_fleet.sql("s1", "INSERT IGNORE INTO orders VALUES (1, '0000-00-00')")
    ranges = by_key(ranges={"bounds": ["2026-01-01"], "shards": ["s1", "s2"]})
    text = mysql_fleet.config_text(ranges).replace('"2026-01-01"', "2026-01-01")
    config = Config.parse(text.replace('"type": "int"', '"type": "date"'))

    refused = pytest.raises(PreflightError, match="orders has a k that is no date")
    with Operations(config) as operations, refused:
        operations.plan_prune("s1")


def test_children_go_first_where_the_server_folds_the_names_of_tables(start_server, tmp_path):
    server = start_server("--lower-case-table-names=1")
    fleet = MySQLFleet(tmp_path, servers={"a": server})
    make_shards(
        fleet,
        "CREATE TABLE Orders (id INT PRIMARY KEY, k INT)",
        "CREATE TABLE Items (id INT PRIMARY KEY, k INT, FOREIGN KEY (id) REFERENCES Orders (id))",
    )
    for table in ("Orders", "Items"):
        fill(fleet, [(1, FOREIGN[0]), (2, FOREIGN[1])], table=table)

    report = prune(fleet, "s1", by_key(tables=["Orders", "Items"]))

    assert (report.deleted, report.kept) == (4, 0)


def test_a_cascade_that_the_account_cannot_see_deletes_nothing(mysql_fleet):
    make_shards(mysql_fleet, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    fill(mysql_fleet, [(1, FOREIGN[0])])
    server, database = mysql_fleet.server("s1"), mysql_fleet.database("s1")
    account, hidden = f"limited_{database[:10]}", f"{database}_hidden"
    for shard in ("s1", "s2"):
        there, name = mysql_fleet.server(shard), mysql_fleet.database(shard)
        there.sql(f"CREATE USER {account}@'%'")
        there.sql(f"GRANT SELECT, DELETE, UPDATE ON {name}.* TO {account}@'%'")
    server.sql(f"CREATE DATABASE {hidden}")
    server.sql(
        f"CREATE TABLE {hidden}.lines (o INT, FOREIGN KEY (o) REFERENCES {database}.orders (id)"
        " ON DELETE CASCADE)"
    )
    server.sql(f"INSERT INTO {hidden}.lines VALUES (1)")
    limited = mysql_fleet.config_text(by_key()).replace("root@", f"{account}@")

    try:
        with Operations(Config.parse(limited)) as operations:
            report = operations.apply(operations.plan_prune("s1"))

        assert report.deleted == 1
        assert server.sql(f"SELECT o FROM {hidden}.lines") == [(1,)]
    finally:
        server.drop_databases([hidden])
        for shard in ("s1", "s2"):
            mysql_fleet.server(shard).sql(f"DROP USER {account}@'%'")


@pytest.mark.parametrize("using", ["keys", "pages"])
def test_a_server_that_quotes_and_pads_in_its_own_way_is_pruned_exactly(
    start_server, tmp_path, using
):
    server = start_server("--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH")
    fleet = MySQLFleet(tmp_path, servers={"a": server})
    make_shards(fleet, "CREATE TABLE orders (id INT PRIMARY KEY, k CHAR(9), c VARBINARY(9))")
    keys = ["a\\", "it's", 'say "x"', "%s", "Foo", "foo", "plain", "x y"]
    fill(fleet, [(number, key, key.encode()) for number, key in enumerate(keys)])
    mappings = by_key("str")

    report = prune(fleet, "s1", mappings, using=using)

    own = [number for number, key in enumerate(keys) if owner_by_zlib(key) == "s1"]
    assert ids(fleet, "s1") == own
    assert report.kept == 0


@pytest.mark.parametrize("using", ["keys", "pages"])
@pytest.mark.parametrize("options", ["", "STRICT", "WITHOUT ROWID"])
@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_every_kind_of_sqlite_table_is_pruned(sqlite_fleet, using, options, journal):
    columns = ", ".join(f"c{number} INT" for number in range(130))
    make_shards(
        sqlite_fleet,
        f"PRAGMA journal_mode={journal}",
        f"CREATE TABLE orders (id INTEGER NOT NULL, k TEXT, {columns}, PRIMARY KEY (id)) {options}",
    )
    keys = ["a\0b", "a\0c", "a", "\U0001f41f", "", *map(str, range(20))]
    rows = [(number, key, *[number] * 130) for number, key in enumerate(keys)]
    fill(sqlite_fleet, rows)
    mappings = by_key("str")

    report = prune(sqlite_fleet, "s1", mappings, using=using)

    own = [number for number, key in enumerate(keys) if owner_by_zlib(key) == "s1"]
    assert ids(sqlite_fleet, "s1") == own
    assert report.kept == 0


def test_rows_with_generated_columns_are_proved_by_the_others(backend):
    definition = "CREATE TABLE orders (id INT PRIMARY KEY, k INT, c INT AS (k + 1) STORED)"
    make_shards(backend, definition)
    for shard in ("s1", "s2"):
        backend.sql(shard, f"INSERT INTO orders (id, k) VALUES (1, {FOREIGN[0]})")

    assert prune(backend, "s1", by_key()).deleted == 1
    assert ids(backend, "s1") == []


def test_an_owner_without_its_database_is_told_and_nothing_is_deleted(mysql_fleet):
    make_shards(mysql_fleet, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    fill(mysql_fleet, [(1, FOREIGN[0])])
    config = mysql_fleet.config_text(by_key())
    missing = config.replace(mysql_fleet.database("s2"), "no_such_database")

    refused = pytest.raises(DatabaseError, match="no_such_database")
    with Operations(Config.parse(missing)) as operations, refused:
        operations.plan_prune("s1")
    assert ids(mysql_fleet, "s1") == [1]
