"""``Cluster.route`` and ``Cluster.shard_of``: where statements and rows go that others write."""

import pytest

from guarding import slot_of
from shardhash.db import Cluster
from shardhash.errors import QueryRefusedError, UsageError

OWNERS = {"s1": "0-7", "s2": "8-15"}
ON_S1, ON_S2 = 1, 2


@pytest.fixture
def cluster(backend):
    for shard in OWNERS:
        backend.add(shard)
        backend.sql(shard, "CREATE TABLE t (id INT PRIMARY KEY, k INT NOT NULL)")
        backend.sql(shard, "CREATE TABLE b (id INT PRIMARY KEY, k BINARY(4) NOT NULL)"
                    if backend.kind == "mysql" else
                    "CREATE TABLE b (id INT PRIMARY KEY, k BLOB NOT NULL)")  # fmt: skip
        backend.sql(shard, "CREATE TABLE g (id INT PRIMARY KEY)")
    slots = {"count": 16, "owners": OWNERS}
    by_k = {"key": {"column": "k", "type": "int"}, "tables": ["t"], "global_tables": ["g"],
            "slots": slots}  # fmt: skip
    by_b = {"key": {"column": "k", "type": "bytes"}, "tables": ["b"], "slots": slots}
    with Cluster.open(str(backend.write_config({"by_k": by_k, "by_b": by_b}))) as made:
        yield made


def test_statement_with_the_key_is_for_one_shard(cluster):
    routing = cluster.route("SELECT COUNT(*) FROM t WHERE k = %s", (ON_S2,))

    assert (routing.shards, routing.is_write, routing.problem) == (("s2",), False, "")


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT id FROM t WHERE id > 3", ""),
        ("SELECT k, COUNT(*) FROM t GROUP BY k", ""),
        ("SELECT id FROM t UNION ALL SELECT id FROM t", ""),
        ("SELECT COUNT(*) FROM t", "an aggregate or GROUP BY over several shards"),
        ("SELECT DISTINCT id FROM t", "DISTINCT over several shards"),
        ("SELECT id FROM t ORDER BY id", "ORDER BY over several shards"),
        ("SELECT id FROM t LIMIT 3", "LIMIT over several shards"),
        ("SELECT k, COUNT(*) FROM t GROUP BY k ORDER BY k", "ORDER BY over several shards"),
        ("SELECT ROW_NUMBER() OVER (ORDER BY id) FROM t", "a window function over several shards"),
        ("SELECT ROW_NUMBER() OVER (PARTITION BY k ORDER BY id) FROM t", ""),
        (
            "SELECT MAX(n) FROM (SELECT id, COUNT(*) AS n FROM t GROUP BY id) AS x",
            "a query over the answer of several shards",
        ),
    ],
)
def test_what_cannot_be_strung_together_is_told(cluster, sql, problem):
    routing = cluster.route(sql)

    assert (routing.shards, routing.problem) == (("s1", "s2"), problem)


def test_write_is_told_apart(cluster):
    one = cluster.route("UPDATE t SET id = id WHERE k = %s", (ON_S1,))
    all_shards = cluster.route("DELETE FROM t")
    rows = cluster.route(f"INSERT INTO t VALUES (1, {ON_S1}), (2, {ON_S2})")

    assert (one.shards, one.is_write) == (("s1",), True)
    assert (all_shards.shards, all_shards.is_write, all_shards.problem) == (("s1", "s2"), True, "")
    assert rows.problem == "an INSERT of rows for several shards"


def test_rows_of_others_are_left_out_by_the_statement_for_their_holder(cluster, backend):
    path = backend.directory / "shardhash.yaml"
    path.write_text(path.read_text().replace('"slots":', '"unowned": {"s1": "8-15"}, "slots":', 1))
    cluster.refresh()
    routing = cluster.route("SELECT id FROM t WHERE id > %s", (3,))

    assert list(routing.on_owned) == ["s1"]
    assert "IS NOT TRUE" in routing.on_owned["s1"]
    assert routing.sent == f"SELECT id FROM t WHERE id > {'%s' if backend.kind == 'mysql' else '?'}"
    assert not cluster.route("SELECT id FROM t WHERE k = %s", (ON_S1,)).on_owned


def test_shard_of_a_row_is_that_of_the_key_as_it_is_stored(cluster, backend):
    stored = b"ab\0\0" if backend.kind == "mysql" else b"ab"

    assert [cluster.shard_of("t", key) for key in (ON_S1, f"{ON_S2}")] == ["s1", "s2"]
    assert cluster.shard_of("b", b"ab") == ("s1" if slot_of(stored) < 8 else "s2")


@pytest.mark.parametrize(
    ("table", "key", "error"),
    [
        ("g", 1, UsageError),
        ("nowhere", 1, UsageError),
        ("t", "many", QueryRefusedError),
        ("t", 2**70, QueryRefusedError),
    ],
)
def test_row_without_a_shard_is_refused(cluster, table, key, error):
    with pytest.raises(error):
        cluster.shard_of(table, key)
