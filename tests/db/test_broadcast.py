"""One statement on every shard, with the rows or the error of each."""

import pytest

from managers import with_table
from shardhash.db import BroadcastQuery, Cluster
from shardhash.errors import DatabaseError, DeadlineError, UsageError

MAPPINGS = {
    "by_id": {
        "key": {"column": "id", "type": "int"},
        "tables": ["t"],
        "slots": {"count": 16, "owners": {"s1": "0-7", "s2": "8-15"}},
    }
}


@pytest.fixture
def cluster(backend):
    with_table(backend, "s1", "s2", "spare")
    backend.sql("s2", "UPDATE t SET v = 30 WHERE id = 2")
    with Cluster.open(backend.write_config(MAPPINGS)) as cluster:
        yield cluster


def test_rows_come_by_shard_in_the_order_of_the_configuration(cluster):
    result = BroadcastQuery(cluster).run("SELECT id, v FROM t WHERE id = %s", (2,))

    assert [(each.shard, each.rows) for each in result] == [("s1", ((2, 20),)), ("s2", ((2, 30),))]
    assert [column.name for column in result["s1"].columns] == ["id", "v"]


def test_a_change_is_committed_and_counted_on_each_shard(cluster, backend):
    result = BroadcastQuery(cluster).run("UPDATE t SET v = %(v)s WHERE v >= 20", {"v": 7})

    assert [each.row_count for each in result] == [1, 1]
    assert backend.sql("s2", "SELECT v FROM t ORDER BY id") == [(10,), (7,)]
    assert backend.sql("spare", "SELECT v FROM t ORDER BY id") == [(10,), (20,)]


def test_a_failing_shard_is_raised_and_the_others_have_run(cluster, backend):
    backend.sql("s1", "DROP TABLE t")

    with pytest.raises(DatabaseError, match="shard s1 "):
        BroadcastQuery(cluster).run("UPDATE t SET v = 1")
    assert backend.sql("s2", "SELECT DISTINCT v FROM t") == [(1,)]


def test_errors_can_be_collected_beside_the_rows(cluster, backend):
    backend.sql("s2", "DROP TABLE t")

    result = BroadcastQuery(cluster, on_error="collect").run("SELECT id FROM t")

    assert list(result.errors) == ["s2"]
    assert result["s1"].rows == ((1,), (2,))
    assert result["s2"].rows == ()


def test_shards_can_be_named(cluster):
    result = BroadcastQuery(cluster, shards=["spare"]).run("SELECT COUNT(*) FROM t")

    assert [(each.shard, each.rows) for each in result] == [("spare", ((2,),))]
    with pytest.raises(UsageError, match="nowhere"):
        BroadcastQuery(cluster, shards=["nowhere"]).run("SELECT 1")


def test_a_deadline_is_kept_on_each_shard(cluster, backend):
    endless = """
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999999999)
        SELECT COUNT(*) FROM n"""
    query = BroadcastQuery(cluster, on_error="collect")

    result = query.run("SELECT 1", deadline_s=30)
    assert not result.errors
    result = query.run("SELECT SLEEP(60)" if backend.kind == "mysql" else endless, deadline_s=0.1)
    assert [type(error) for error in result.errors.values()] == [DeadlineError, DeadlineError]


def test_ddl_runs_everywhere(cluster, backend):
    BroadcastQuery(cluster).run("CREATE INDEX t_v ON t (v)")

    with pytest.raises(DatabaseError, match=r"shard s[12]"):
        BroadcastQuery(cluster).run("CREATE INDEX t_v ON t (v)")


def test_an_unknown_way_to_handle_errors_is_refused(cluster):
    with pytest.raises(UsageError, match="'ignore'"):
        BroadcastQuery(cluster, on_error="ignore")
