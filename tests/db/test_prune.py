"""Prune on real databases: hostile keys, exact proof, and what is refused."""

import subprocess
import sys
import zlib
from contextlib import closing
from uuid import UUID

import pytest

from pruning import (
    OWNERS,
    SLOT_COUNT,
    by_key,
    fill,
    ids,
    make_shards,
    owner_by_zlib,
    prune,
)
from server_software import no_pad_binary, typed
from shardhash.db import Cluster, Config
from shardhash.db.operations import Operations
from shardhash.errors import PreflightError, StalePlanError, UsageError

UUIDS = [str(UUID(int=zlib.crc32(b"%d" % number) << 90 | number)) for number in range(20)]
FOLDED = [
    "Foo",
    "foo",
    "FOO",
    "bar",
    "bar ",
    "é",
    "e",
    "É",
    "ß",
    "ss",
    "\U0001f41f",
    "it's",
    "a\\b",
    "",
]

MYSQL_KEYS = {
    "bigint": ("BIGINT", "int", [-(2**63), 2**63 - 1, 0, -1, 42, *range(100, 140)]),
    "unsigned": ("BIGINT UNSIGNED", "int", [2**64 - 1, 2**63, 0, 42, *range(100, 140)]),
    "tinyint": ("TINYINT", "int", [-128, 127, 0, 1]),
    "zerofill": ("INT(7) ZEROFILL", "int", [0, 42, 1234567, 99999999]),
    "bit": ("BIT(12)", "int", [0, 1, 42, 4095]),
    "year": ("YEAR", "int", [0, 1901, 2026, 2155]),
    "general_ci": ("VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "str", FOLDED),
    "unicode_ci": ("VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", "str", FOLDED),
    "bin": ("VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "str", FOLDED),
    "nopad": (f"VARCHAR(20) CHARACTER SET utf8mb4 COLLATE {no_pad_binary()}", "str", FOLDED),
    "latin1": ("VARCHAR(20) CHARACTER SET latin1", "str", ["é", "e", "Foo", "foo", "ÿ", "50%"]),
    "ucs2": ("VARCHAR(20) CHARACTER SET ucs2", "str", ["é", "e", "Foo", "foo", "ÿ"]),
    "char": ("CHAR(10) CHARACTER SET utf8mb4", "str", ["x", "X", "é", "", "long text"]),
    "text": ("TEXT CHARACTER SET utf8mb4", "str", FOLDED),
    "enum": ("ENUM('Eins','zwei','drei') CHARACTER SET latin1", "str", ["Eins", "zwei", "drei"]),
    "varbinary": ("VARBINARY(9)", "bytes", [bytes([byte]) for byte in range(256)] + [b"", b"\0\0"]),
    "binary": ("BINARY(4)", "bytes", [b"abcd", b"a\0\0\0", b"\\'\"%", b"\xff\0\xfe "]),
    "blob": ("BLOB", "bytes", [b"", b"x", b"X", b"\0" * 300]),
    "UUID": ("UUID", "uuid", UUIDS),
    "uuid text": ("CHAR(36) CHARACTER SET ascii", "uuid", UUIDS),
    "uuid16": ("BINARY(16)", "uuid16", [UUID(text).bytes for text in UUIDS]),
    "date": ("DATE", "date", ["1000-01-01", "2026-01-31", "9999-12-31"]),
}
SQLITE_KEYS = {
    "integer": ("INTEGER", "int", [-(2**63), 2**63 - 1, 0, -1, 42, *range(100, 140)]),
    "text": ("TEXT", "str", [*FOLDED, "42", "1.0"]),
    "nocase": ("TEXT COLLATE NOCASE", "str", FOLDED),
    "rtrim": ("TEXT COLLATE RTRIM", "str", FOLDED),
    "blob": ("BLOB", "bytes", [bytes([byte]) for byte in range(256)] + [b"", b"\0\0"]),
    "uuid": ("CHAR(36)", "uuid", UUIDS),
    "uuid16": ("BLOB", "uuid16", [UUID(text).bytes for text in UUIDS]),
    "date": ("TEXT", "date", ["1000-01-01", "2026-01-31", "9999-12-31"]),
}


def check_each_row_ends_on_its_owner(fleet, definition, key_type, keys, using):
    make_shards(fleet, f"CREATE TABLE orders (id INT PRIMARY KEY, k {definition}, x INT)")
    rows = [(number, key, number % 7) for number, key in enumerate(keys)]
    fill(fleet, [*rows, (len(rows), None, 0)])
    mappings = by_key(key_type)

    reports = {shard: prune(fleet, shard, mappings, using=using) for shard in OWNERS}

    for shard, report in reports.items():
        own = [number for number, key, _ in rows if owner_by_zlib(key) == shard]
        assert ids(fleet, shard) == [*own, len(rows)]
        counts = report.rows["orders"]
        assert (counts.before, counts.after) == (len(rows) + 1, len(own) + 1)
        assert (counts.deleted, counts.kept, counts.no_key) == (len(rows) - len(own), 0, 1)


@pytest.mark.parametrize("using", ["keys", "pages"])
@pytest.mark.parametrize("case", typed(MYSQL_KEYS))
def test_each_row_of_a_hostile_key_column_ends_on_its_owner_on_mysql(mysql_fleet, case, using):
    check_each_row_ends_on_its_owner(mysql_fleet, *MYSQL_KEYS[case], using)


@pytest.mark.parametrize("using", ["keys", "pages"])
@pytest.mark.parametrize("case", SQLITE_KEYS)
def test_each_row_of_a_hostile_key_column_ends_on_its_owner_on_sqlite(sqlite_fleet, case, using):
    check_each_row_ends_on_its_owner(sqlite_fleet, *SQLITE_KEYS[case], using)


@pytest.mark.parametrize("definition", ["VARCHAR(20)", "INT"])
def test_the_server_counts_no_foreign_row_after_a_prune(mysql_fleet, definition):
    keys = [str(number) for number in range(300)]
    make_shards(mysql_fleet, f"CREATE TABLE orders (id INT PRIMARY KEY, k {definition})")
    fill(mysql_fleet, list(enumerate(keys)))

    prune(mysql_fleet, "s1", by_key("int" if definition == "INT" else "str"))

    count = "SELECT CRC32(k) & 15 >= 8 AS foreign_slot, COUNT(*) FROM orders GROUP BY foreign_slot"
    own = sum(owner_by_zlib(key) == "s1" for key in keys)
    assert mysql_fleet.sql("s1", count) == [(0, own)]


def test_an_old_map_deletes_nothing_that_its_owner_does_not_have(backend):
    make_shards(backend, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    fill(backend, [(number, number) for number in range(100)], shards=["s1"])

    report = prune(backend, "s1", by_key())

    foreign = sum(owner_by_zlib(number) == "s2" for number in range(100))
    assert ids(backend, "s1") == list(range(100))
    assert (report.deleted, report.kept) == (0, foreign)
    assert {(row.owner, row.reason) for row in report.kept_rows} == {("s2", "is missing there")}
    assert report.kept_rows[0].primary_key[0] in range(100)


def test_without_proof_the_configuration_is_believed(backend):
    make_shards(backend, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    fill(backend, [(number, number) for number in range(20)], shards=["s1"])

    prune(backend, "s1", by_key(), proof=False)

    assert ids(backend, "s1") == [n for n in range(20) if owner_by_zlib(n) == "s1"]


CONTENT = {
    "INT": (1, 2),
    "BIGINT UNSIGNED": (2**64 - 1, 2**64 - 2),
    "DECIMAL(30,10)": ("1.0000000001", "1.0000000002"),
    "FLOAT": ("0.1", "0.10000001"),
    "DOUBLE": ("0.1", "0.10000000000000002"),
    "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci": ("a", "A"),
    "VARCHAR(20)": ("a", "a "),
    "TEXT": ("x" * 60000, "x" * 59999 + "y"),
    "BLOB": (b"\0\xff", b"\0\xfe"),
    "MEDIUMBLOB": (b"\0" * 900_000, b"\0" * 900_001),
    "VARBINARY(9)": (b"", None),
    "BIT(10)": (5, 6),
    "ENUM('a','b')": ("a", "b"),
    "SET('a','b')": ("a", "a,b"),
    "JSON": ('{"a": 1}', '{"a": 2}'),
    "DATE": ("2026-01-01", "2026-01-02"),
    "TIME(6)": ("-10:00:00.000001", "-10:00:00.000002"),
    "DATETIME(6)": ("2026-01-01 00:00:00.000001", "2026-01-01 00:00:00.000002"),
    "TIMESTAMP(6) NULL": ("2026-03-29 01:30:00.5", "2026-03-29 01:30:01.5"),
    "YEAR": (2026, 2027),
    "UUID": (UUIDS[1], UUIDS[2]),
    "POINT": (b"\0\0\0\0\1\1\0\0\0" + b"\0" * 16, b"\0\0\0\0\1\1\0\0\0" + b"\0" * 15 + b"\1"),
}


@pytest.mark.parametrize("definition", typed(CONTENT))
def test_a_row_goes_only_if_its_owner_has_the_same_content(mysql_fleet, definition):
    equal, other = CONTENT[definition]
    keys = [number for number in range(100) if owner_by_zlib(number) == "s2"][:3]
    make_shards(mysql_fleet, f"CREATE TABLE orders (id INT PRIMARY KEY, k INT, c {definition})")
    fill(mysql_fleet, [(1, keys[0], equal), (2, keys[1], None)])
    fill(mysql_fleet, [(3, keys[2], equal)], shards=["s1"])
    fill(mysql_fleet, [(3, keys[2], other)], shards=["s2"])

    report = prune(mysql_fleet, "s1", by_key())

    assert ids(mysql_fleet, "s1") == [3]
    assert [(row.primary_key, row.reason) for row in report.kept_rows] == [((3,), "differs there")]


SQLITE_CONTENT = [
    (1, 1.0),
    (1, "1"),
    ("a", b"a"),
    (None, ""),
    (0.1, 0.1 + 2**-56),
    ("a\0b", "a\0c"),
]


@pytest.mark.parametrize(("equal", "other"), SQLITE_CONTENT)
def test_a_row_goes_only_if_its_owner_has_the_same_value_and_type(sqlite_fleet, equal, other):
    make_shards(sqlite_fleet, "CREATE TABLE orders (id INTEGER PRIMARY KEY, k INT, c)")
    keys = [number for number in range(100) if owner_by_zlib(number) == "s2"][:2]
    fill(sqlite_fleet, [(1, keys[0], equal)])
    fill(sqlite_fleet, [(2, keys[1], equal)], shards=["s1"])
    fill(sqlite_fleet, [(2, keys[1], other)], shards=["s2"])

    prune(sqlite_fleet, "s1", by_key())

    assert ids(sqlite_fleet, "s1") == [2]


def test_a_plan_counts_exactly_and_changes_nothing(mysql_fleet):
    make_shards(mysql_fleet, "CREATE TABLE orders (id INT PRIMARY KEY, k VARCHAR(9))")
    rows = [(1, "Foo"), (2, "foo"), (3, "x"), (4, "x"), (5, None)]
    fill(mysql_fleet, rows)

    with Cluster.open(str(mysql_fleet.write_config(by_key("str")))) as cluster:
        step = cluster.operations.plan_prune("s1").prunes[0]

    foreign = [key for _, key in rows if key and owner_by_zlib(key) == "s2"]
    assert (step.row_count, step.key_count, step.null_keys, step.folded_keys) == (5, 3, 1, 1)
    assert (step.foreign_rows, step.foreign_keys) == (len(foreign), len(set(foreign)))
    assert ids(mysql_fleet, "s1") == [1, 2, 3, 4, 5]


def test_rows_of_a_compound_primary_key_with_an_enum_are_pruned(mysql_fleet):
    make_shards(
        mysql_fleet,
        "CREATE TABLE orders (kind ENUM('z','a','m'), name VARCHAR(9), k INT, "
        "PRIMARY KEY (kind, name))",
    )
    rows = [(kind, name, n) for kind in "zam" for n, name in enumerate(["x", "Y", "é", "5"])]
    fill(mysql_fleet, rows)

    prune(mysql_fleet, "s1", by_key(), using="pages")
    prune(mysql_fleet, "s2", by_key(), using="keys")

    for shard in OWNERS:
        left = set(mysql_fleet.sql(shard, "SELECT kind, name, k FROM orders"))
        assert left == {row for row in rows if owner_by_zlib(row[2]) == shard}


def test_more_rows_than_a_page_are_pruned(backend):
    make_shards(backend, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    numbers = range(12_000)
    values = ", ".join(f"({number}, {number})" for number in numbers)
    for shard in OWNERS:
        backend.sql(shard, f"INSERT INTO orders VALUES {values}")

    report = prune(backend, "s1", by_key(), using="pages")

    assert ids(backend, "s1") == [n for n in numbers if owner_by_zlib(n) == "s1"]
    assert report.kept == 0


def test_names_that_need_quoting_are_pruned(backend):
    mark = "`" if backend.kind == "mysql" else '"'
    table, key, other = (
        mark + name.replace(mark, mark * 2) + mark
        for name in ("order-lines", "group", f"a{mark}b'%s :c\\")
    )
    for shard in OWNERS:
        backend.add(shard)
        with closing(backend.connect(shard)) as connection:
            cursor = connection.cursor()
            cursor.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, {key} INT, {other} INT)")
            cursor.execute(f"INSERT INTO {table} VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3)")

    report = prune(backend, "s1", by_key(column="group", tables=["order-lines"]))

    assert report.deleted == sum(owner_by_zlib(number) == "s2" for number in (1, 2, 3))
    assert report.kept == 0


def test_a_range_mapping_is_pruned_by_keys(backend):
    make_shards(backend, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    fill(backend, [(number, number) for number in range(20)])
    ranges = by_key(ranges={"bounds": [10], "shards": ["s1", "s2"]})

    prune(backend, "s1", ranges)

    assert ids(backend, "s1") == list(range(10))


def test_a_ring_mapping_is_pruned_by_keys(backend):
    make_shards(backend, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    fill(backend, [(number, number) for number in range(200)])
    mappings = by_key(ring={"nodes": {"s1": 1, "s2": 1}})

    prune(backend, "s1", mappings)
    prune(backend, "s2", mappings)

    assert sorted(ids(backend, "s1") + ids(backend, "s2")) == list(range(200))


REFUSED_MYSQL = {
    "a view": (
        ["CREATE TABLE t (id INT PRIMARY KEY, k INT)", "CREATE VIEW orders AS SELECT * FROM t"],
        "int",
        "it is a view",
    ),
    "no primary key": (["CREATE TABLE orders (id INT, k INT)"], "int", "no primary key"),
    "no transactions": (
        ["CREATE TABLE orders (id INT PRIMARY KEY, k INT) ENGINE=MyISAM"],
        "int",
        "no transactions",
    ),
    "float primary key": (
        ["CREATE TABLE orders (id DOUBLE PRIMARY KEY, k INT)"],
        "int",
        "different texts",
    ),
    "cascade": (
        [
            "CREATE TABLE orders (id INT PRIMARY KEY, k INT)",
            "CREATE TABLE t (o INT, FOREIGN KEY (o) REFERENCES orders (id) ON DELETE CASCADE)",
        ],
        "int",
        "ON DELETE CASCADE",
    ),
    "delete trigger": (
        [
            "CREATE TABLE orders (id INT PRIMARY KEY, k INT)",
            "CREATE TRIGGER audit AFTER DELETE ON orders FOR EACH ROW SET @gone = OLD.id",
        ],
        "int",
        "DELETE fires audit",
    ),
    "key column absent": (["CREATE TABLE orders (id INT PRIMARY KEY)"], "int", "has no column k"),
    "another type": (["CREATE TABLE orders (id INT PRIMARY KEY, k DATE)"], "int", "is date"),
    "float key": (["CREATE TABLE orders (id INT PRIMARY KEY, k FLOAT)"], "int", "no exact text"),
    "table absent": (["CREATE TABLE other (id INT PRIMARY KEY)"], "int", "no table orders"),
    "uuid in upper case": (
        [
            "CREATE TABLE orders (id INT PRIMARY KEY, k CHAR(36))",
            f"INSERT INTO orders VALUES (1, '{UUIDS[1].upper()}'), (2, '{UUIDS[2]}')",
        ],
        "uuid",
        "1 rows of orders",
    ),
}


@pytest.mark.parametrize("case", REFUSED_MYSQL)
def test_prune_refuses_what_it_cannot_do_exactly(mysql_fleet, case):
    statements, key_type, reason = REFUSED_MYSQL[case]
    for shard in OWNERS:
        mysql_fleet.add(shard)
        for statement in statements:
            mysql_fleet.sql(shard, statement)

    with pytest.raises(PreflightError, match=reason) as refused:
        prune(mysql_fleet, "s1", by_key(key_type))
    assert refused.value.next_step


@pytest.mark.parametrize("value", ["abc", 1.5, b"x"])
def test_sqlite_values_of_another_type_than_declared_are_refused(sqlite_fleet, value):
    make_shards(sqlite_fleet, "CREATE TABLE orders (id INTEGER PRIMARY KEY, k INTEGER)")
    fill(sqlite_fleet, [(1, 5), (2, value)])

    with pytest.raises(PreflightError, match="1 rows of orders"):
        prune(sqlite_fleet, "s1", by_key())


def test_sqlite_dates_in_another_form_than_the_canonical_are_refused(sqlite_fleet):
    make_shards(sqlite_fleet, "CREATE TABLE orders (id INTEGER PRIMARY KEY, k TEXT)")
    fill(sqlite_fleet, [(1, "2026-01-02"), (2, "2026-1-2"), (3, None)])

    with pytest.raises(PreflightError, match="1 rows of orders"):
        prune(sqlite_fleet, "s1", by_key("date"))


def test_two_names_for_one_database_are_refused(backend, tmp_path):
    make_shards(backend, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)", shards=["s1"])
    fill(backend, [(number, number) for number in range(20)], shards=["s1"])
    if backend.kind == "sqlite":
        (tmp_path / "alias").symlink_to(tmp_path / "a")
        alias = f"url: 'sqlite:///{tmp_path}/alias'"
    else:
        alias = f"url: 'mysql://root@127.1:{backend.server('s1').port}', tls: disabled"
    text = backend.config_text(by_key())
    text = text.replace("instances:", f"instances:\n  alias: {{{alias}}}")
    database = backend.database("s1")
    text = text.replace("mappings:", f"  s2: {{instance: alias, database: {database}}}\nmappings:")

    same = pytest.raises(PreflightError, match="s1 and s2 are one and the same")
    with Operations(Config.parse(text)) as operations, same:
        operations.plan_prune("s1")


def test_a_plan_is_stale_after_the_schema_changed(backend):
    make_shards(backend, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    with Cluster.open(str(backend.write_config(by_key()))) as cluster:
        plan = cluster.operations.plan_prune("s1")
        backend.sql("s1", "ALTER TABLE orders ADD COLUMN extra INT")

        with pytest.raises(StalePlanError, match="orders of s1 changed"):
            cluster.operations.apply(plan)


def test_a_plan_is_stale_after_the_configuration_changed(backend):
    make_shards(backend, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    with Cluster.open(str(backend.write_config(by_key()))) as cluster:
        plan = cluster.operations.plan_prune("s1")
    moved = by_key(slots={"count": SLOT_COUNT, "owners": {"s1": "0-8", "s2": "9-15"}})

    with Cluster.open(str(backend.write_config(moved))) as cluster, pytest.raises(StalePlanError):
        cluster.operations.apply(plan)


@pytest.mark.parametrize("options", [{"mapping": "nope"}, {"tables": ["nope"]}, {"using": "magic"}])
def test_unknown_names_are_usage_errors(sqlite_fleet, options):
    make_shards(sqlite_fleet, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")

    with pytest.raises(UsageError):
        prune(sqlite_fleet, "s1", by_key(), **options)


KILLED_PRUNE = """
import os, signal, sys
from shardhash.db import Cluster, Config
from shardhash.db.operations import Operations
batches = iter(range(int(sys.argv[2])))
def progress(event):
    if next(batches, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
with Cluster.open(sys.argv[1]) as cluster:
    cluster.operations.apply(cluster.operations.plan_prune("s1"), progress=progress)
"""


def test_a_killed_prune_leaves_whole_batches_and_finishes_when_run_again(backend):
    make_shards(backend, "CREATE TABLE orders (id INT PRIMARY KEY, k INT)")
    values = ", ".join(f"({number}, {number})" for number in range(6_000))
    for shard in OWNERS:
        backend.sql(shard, f"INSERT INTO orders VALUES {values}")
    path = backend.write_config(by_key())

    for batches in (0, 2):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED_PRUNE, path, str(batches)], check=False, cwd=path.parent
        )
        assert killed.returncode == -9
    seen = ids(backend, "s1")
    everything = sorted({*seen, *ids(backend, "s2")})
    assert everything == list(range(6_000))
    assert len(seen) < 6_000

    report = prune(backend, "s1", by_key())

    assert ids(backend, "s1") == [n for n in range(6_000) if owner_by_zlib(n) == "s1"]
    assert report.kept == 0
