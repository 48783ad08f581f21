"""Writes by ``Cluster.query``: routed by key, whole on one shard, or refused before anything."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from query_cases import owner
from servers import Fleet
from shardhash.db import Cluster
from shardhash.db.connections import ConnectionManager
from shardhash.db.connections._retry import _unknown_outcome
from shardhash.errors import DatabaseError, QueryRefusedError, UsageError, WrongShardError

OWNERS = {"s1": "0-7", "s2": "8-15"}
ON_S1, ALSO_S1, ON_S2 = 0, 1, 2
"""Keys of slots 1, 7 and 13."""


@pytest.fixture
def cluster(backend: Fleet) -> Iterator[Cluster]:
    for shard in ("s1", "s2"):
        backend.add(shard)
        backend.sql(shard, "CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER NOT NULL, v TEXT)")
        backend.sql(shard, "CREATE TABLE g (id INTEGER PRIMARY KEY)")
    mapping = {
        "key": {"column": "k", "type": "int"},
        "tables": ["t"],
        "global_tables": ["g"],
        "slots": {"count": 16, "owners": OWNERS},
    }
    with Cluster.open(str(backend.write_config({"by_k": mapping}))) as made:
        yield made


def rows_of(backend: Fleet, shard: str) -> list[Any]:
    return backend.sql(shard, "SELECT id, k, v FROM t ORDER BY id")


def test_keys_of_these_tests_are_where_they_say() -> None:
    assert [owner(k, OWNERS) for k in (ON_S1, ALSO_S1, ON_S2)] == ["s1", "s1", "s2"]


def test_insert_goes_to_the_owner_and_is_committed(backend: Fleet, cluster: Cluster) -> None:
    result = cluster.query("INSERT INTO t (id, k, v) VALUES (%s, %s, %s)", (1, ON_S2, "x'%s"))

    assert (dict(result.committed), result.row_count) == ({"s2": 1}, 1)
    assert rows_of(backend, "s2") == [(1, ON_S2, "x'%s")]
    assert rows_of(backend, "s1") == []


def test_rows_of_one_shard_go_as_one_statement(backend: Fleet, cluster: Cluster) -> None:
    cluster.query(f"INSERT INTO t (v, k, id) VALUES ('a, (b)', {ON_S1}, 1), ('c', {ALSO_S1}, 2)")

    assert rows_of(backend, "s1") == [(1, ON_S1, "a, (b)"), (2, ALSO_S1, "c")]


def test_insert_without_columns_takes_those_of_the_table(backend: Fleet, cluster: Cluster) -> None:
    cluster.query(f"INSERT INTO t VALUES (5, {ON_S2}, NULL)")

    assert rows_of(backend, "s2") == [(5, ON_S2, None)]


def test_insert_for_several_shards_is_refused_before_anything(
    backend: Fleet, cluster: Cluster
) -> None:
    statement = f"INSERT INTO t (id, k, v) VALUES (1, {ON_S1}, 'a'), (2, {ON_S2}, 'b')"

    with pytest.raises(QueryRefusedError, match=r"2 shards \(s1, s2\)"):
        cluster.query(statement)
    assert rows_of(backend, "s1") + rows_of(backend, "s2") == []


def test_best_effort_splits_an_insert_by_shard(backend: Fleet, cluster: Cluster) -> None:
    result = cluster.query(
        "INSERT INTO t (id, k, v) VALUES (%s, %s, %s), (2, %s, 'b'), (3, %s, %s)",
        (1, ON_S1, "a", ON_S2, ALSO_S1, "c"),
        best_effort=True,
    )

    assert dict(result.committed) == {"s1": 2, "s2": 1}
    assert rows_of(backend, "s1") == [(1, ON_S1, "a"), (3, ALSO_S1, "c")]
    assert rows_of(backend, "s2") == [(2, ON_S2, "b")]


def test_best_effort_tells_where_it_failed(backend: Fleet, cluster: Cluster) -> None:
    cluster.query(f"INSERT INTO t VALUES (2, {ON_S2}, 'there')")

    result = cluster.query(
        f"INSERT INTO t VALUES (1, {ON_S1}, 'a'), (3, {ON_S2}, 'b'), (2, {ON_S2}, 'c')",
        best_effort=True,
    )
    assert dict(result.committed) == {"s1": 1}
    assert list(result.failed) == ["s2"]
    assert rows_of(backend, "s2") == [(2, ON_S2, "there")]


def test_best_effort_tells_where_nobody_knows(
    backend: Fleet, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_batch = ConnectionManager.run_batch

    def lose(manager: Any, shard: str, do: Any, *, idempotent: bool) -> Any:
        done = run_batch(manager, shard, do, idempotent=idempotent)
        if shard == "s2":  # committed, and the answer is lost
            raise _unknown_outcome(DatabaseError("connection lost"))
        return done

    monkeypatch.setattr(ConnectionManager, "run_batch", lose)
    result = cluster.query(
        f"INSERT INTO t VALUES (1, {ON_S1}, 'a'), (3, {ON_S2}, 'b')", best_effort=True
    )

    assert dict(result.committed) == {"s1": 1}
    assert not result.failed
    assert "may or may not have been committed" in result.unknown["s2"]


def test_write_to_one_shard_that_fails_raises_and_changes_nothing(
    backend: Fleet, cluster: Cluster
) -> None:
    cluster.query(f"INSERT INTO t VALUES (1, {ON_S1}, 'a')")

    with pytest.raises(DatabaseError, match="shard s1"):
        cluster.query(f"INSERT INTO t VALUES (4, {ON_S1}, 'b'), (1, {ALSO_S1}, 'c')")
    assert rows_of(backend, "s1") == [(1, ON_S1, "a")]


def test_update_and_delete_go_to_the_shard_of_the_key(backend: Fleet, cluster: Cluster) -> None:
    cluster.query(f"INSERT INTO t VALUES (1, {ON_S1}, 'a'), (2, {ALSO_S1}, 'b')")

    updated = cluster.query("UPDATE t SET v = %s WHERE k = %s", ("z", ON_S1))
    deleted = cluster.query("DELETE FROM t WHERE k = %(k)s AND v = 'b'", {"k": ALSO_S1})

    assert (dict(updated.committed), dict(deleted.committed)) == ({"s1": 1}, {"s1": 1})
    assert rows_of(backend, "s1") == [(1, ON_S1, "z")]


def test_update_of_all_shards_takes_best_effort(backend: Fleet, cluster: Cluster) -> None:
    cluster.query(f"INSERT INTO t VALUES (1, {ON_S1}, 'a'), (2, {ON_S2}, 'b')", best_effort=True)

    with pytest.raises(QueryRefusedError, match="no transaction spans"):
        cluster.query("UPDATE t SET v = 'z'")
    result = cluster.query("UPDATE t SET v = 'z'", best_effort=True)

    assert dict(result.committed) == {"s1": 1, "s2": 1}
    assert rows_of(backend, "s1") + rows_of(backend, "s2") == [(1, ON_S1, "z"), (2, ON_S2, "z")]


def test_write_to_several_shards_leaves_rows_alone_that_a_shard_does_not_own(
    backend: Fleet, cluster: Cluster
) -> None:
    mapping = {
        "key": {"column": "k", "type": "int"},
        "tables": ["t"],
        "slots": {"count": 16, "owners": OWNERS},
        "unowned": {"s2": "0-3"},
    }
    for shard, row in (("s1", (1, ON_S1, "a")), ("s2", (1, ON_S1, "a")), ("s2", (2, ON_S2, "b"))):
        backend.sql(shard, "INSERT INTO t VALUES (%s, %s, %s)", row)
    with Cluster.open(str(backend.write_config({"by_k": mapping}))) as moving:
        result = moving.query("UPDATE t SET v = 'z' WHERE v = 'a' OR v = 'b'", best_effort=True)
        deleted = moving.query("DELETE FROM t", best_effort=True)

    assert dict(result.committed) == {"s1": 1, "s2": 1}
    assert dict(deleted.committed) == {"s1": 1, "s2": 1}
    assert rows_of(backend, "s2") == [(1, ON_S1, "a")]


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("UPDATE t SET k = 3 WHERE k = 0", "changes the shard key k"),
        ("UPDATE t SET v = 'a', `k` = k + 1 WHERE k = 0", "changes the shard key k"),
        ("INSERT INTO t (id, v) VALUES (1, 'a')", "no value for the shard key"),
        ("INSERT INTO t (id, k, v) VALUES (1, NULL, 'a')", "no plain value, or NULL"),
        ("INSERT INTO t (id, k, v) VALUES (1, 1 + 1, 'a')", "no plain value, or NULL"),
        ("INSERT INTO t (id, k, v) VALUES (1, '1x', 'a')", "declared int, found str"),
        ("INSERT INTO t (id, k, v) SELECT id, k, v FROM t", "not written as VALUES"),
        ("INSERT INTO g (id) VALUES (1)", "global table"),
        ("DELETE FROM g", "global table"),
        ("INSERT INTO nowhere (id) VALUES (1)", "in no mapping"),
        ("UPDATE t SET v = (SELECT MAX(v) FROM t) WHERE k = 0", "subquery in SET"),
        ("DELETE FROM t WHERE v = 'a' LIMIT 1", "LIMIT of a write"),
    ],
)
def test_write_that_cannot_be_routed_is_refused(
    backend: Fleet, cluster: Cluster, statement: str, match: str
) -> None:
    if backend.kind == "sqlite" and "LIMIT" in statement:
        pytest.skip("SQLite is built without LIMIT of a DELETE")
    with pytest.raises(QueryRefusedError, match=match) as caught:
        cluster.query(statement, best_effort=True)

    assert caught.value.next_step


def test_conflict_clause_that_changes_the_key_is_refused(backend: Fleet, cluster: Cluster) -> None:
    clause = ("ON DUPLICATE KEY UPDATE k = 3" if backend.kind == "mysql"
              else "ON CONFLICT (id) DO UPDATE SET k = 3")  # fmt: skip

    with pytest.raises(QueryRefusedError, match="changes the shard key"):
        cluster.query(f"INSERT INTO t VALUES (1, 0, 'a') {clause}")


def test_named_shard_takes_any_write(backend: Fleet, cluster: Cluster) -> None:
    result = cluster.query("REPLACE INTO t VALUES (1, 0, 'a')", shards=["s2"])

    assert dict(result.committed) == {"s2": 1}
    assert rows_of(backend, "s2") == [(1, 0, "a")]


def test_deadline_of_a_write_is_refused(cluster: Cluster) -> None:
    with pytest.raises(UsageError, match="deadline_s"):
        cluster.query("DELETE FROM t WHERE k = 0", deadline_s=1.0)


def test_explanation_of_a_write_shows_each_part(cluster: Cluster) -> None:
    statement = f"INSERT INTO t VALUES (1, {ON_S1}, 'a'), (2, {ON_S2}, 'b')"

    found = cluster.explain(statement)
    assert found.kind == "write"
    assert [(s.shard, s.sql) for s in found.statements] == [
        ("s1", f"INSERT INTO t VALUES (1, {ON_S1}, 'a')"),
        ("s2", f"INSERT INTO t VALUES (2, {ON_S2}, 'b')"),
    ]
    assert any("best_effort" in each for each in found.warnings)


def test_write_that_meets_a_guard_is_tried_once_on_the_new_owner(
    backend: Fleet, cluster: Cluster
) -> None:
    message = "shardhash: by_k slot 13 is foreign here; reload the map"
    if backend.kind == "mysql":
        action = f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{message}'"
    else:
        action = f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
    backend.sql("s2", f"CREATE TRIGGER moved AFTER INSERT ON t FOR EACH ROW {action}")
    with pytest.raises(WrongShardError, match="reload the map"):
        cluster.query("INSERT INTO t VALUES (1, %s, 'a')", (ON_S2,))

    moved = {"key": {"column": "k", "type": "int"}, "tables": ["t"],
             "slots": {"count": 16, "owners": {"s1": "0-15"}}}  # fmt: skip
    backend.write_config({"by_k": moved})
    result = cluster.query("INSERT INTO t VALUES (1, %s, 'a')", (ON_S2,))

    assert dict(result.committed) == {"s1": 1}
    assert rows_of(backend, "s1") == [(1, ON_S2, "a")]


def test_key_of_dates_finds_the_shard_of_a_new_row(backend: Fleet) -> None:
    for shard in OWNERS:
        backend.add(shard)
        backend.sql(shard, "CREATE TABLE days (id INTEGER PRIMARY KEY, day DATE NOT NULL)")
    mapping = {
        "key": {"column": "day", "type": "date"},
        "tables": ["days"],
        "slots": {"count": 16, "owners": OWNERS},
    }
    with Cluster.open(str(backend.write_config({"by_day": mapping}))) as cluster:
        for number in range(1, 9):
            day = date(2026, 1, number)
            result = cluster.query("INSERT INTO days (id, day) VALUES (%s, %s)", (number, day))

            assert result.shards == (cluster.shard_for("by_day", day),)
