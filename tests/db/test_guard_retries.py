"""A write that meets a guard: the map is read anew, and what can be tried again goes right."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from query_cases import owner
from servers import Fleet
from shardhash.db import BroadcastQuery, Cluster, QueryDispatcher
from shardhash.errors import ShardhashError, WrongShardError

OWNERS = {"s1": "0-7", "s2": "8-15"}
ON_S1, ON_S2 = 0, 2
"""Keys of slots 1 and 13."""


def write_config(fleet: Fleet, owners: dict[str, str]) -> str:
    mapping = {
        "key": {"column": "k", "type": "int"},
        "tables": ["t"],
        "slots": {"count": 16, "owners": owners},
    }
    return str(fleet.write_config({"by_k": mapping}))


@pytest.fixture
def cluster(backend: Fleet) -> Iterator[Cluster]:
    """Yield two shards that ask for no new map by themselves."""
    for shard in ("s1", "s2"):
        backend.add(shard)
        backend.sql(shard, "CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER NOT NULL)")
    with Cluster.open(write_config(backend, OWNERS), refresh_s=3600) as made:
        yield made


def move_slot(fleet: Fleet, state: str = "foreign") -> None:
    """Give slot 13 to s1, by the words of a guard on s2 and by the map."""
    slot = "" if fleet.kind == "sqlite" else " 13"
    message = f"shardhash: by_k slot{slot} is {state} here; reload the map"
    action = (
        f"IF NEW.k = {ON_S2} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{message}'; END IF"
        if fleet.kind == "mysql"
        else f"WHEN NEW.k = {ON_S2} BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )
    fleet.sql("s2", f"CREATE TRIGGER moved AFTER INSERT ON t FOR EACH ROW {action}")
    if state == "foreign":
        write_config(fleet, {"s1": "0-7,13", "s2": "8-12,14-15"})


def rows(fleet: Fleet, shard: str) -> list[Any]:
    return [tuple(row) for row in fleet.sql(shard, "SELECT id, k FROM t ORDER BY id")]


def test_keys_are_where_these_tests_say() -> None:
    assert [owner(key, OWNERS) for key in (ON_S1, ON_S2)] == ["s1", "s2"]


def test_a_transaction_of_the_users_goes_right_when_it_is_run_again(
    backend: Fleet, cluster: Cluster
) -> None:
    def transaction() -> None:
        with cluster.connection("by_k", ON_S2) as connection, connection.begin():
            connection.exec_driver_sql("INSERT INTO t VALUES (1, 5000)")
            connection.exec_driver_sql(f"INSERT INTO t VALUES (2, {ON_S2})")

    assert cluster.shard_for("by_k", ON_S2) == "s2"
    move_slot(backend)

    with pytest.raises(WrongShardError, match=r"shard s2 .* by_k slot") as refused:
        transaction()
    found = refused.value
    slot = None if backend.kind == "sqlite" else 13
    assert (found.mapping, found.slot, found.state) == ("by_k", slot, "foreign")
    assert found.next_step == "the map has been read anew: run the whole transaction again"
    assert rows(backend, "s2") == []
    transaction()
    assert rows(backend, "s1") == [(1, 5000), (2, ON_S2)]


def test_a_refusal_that_the_user_does_not_see_through_leaves_the_block_as_ours(
    backend: Fleet, cluster: Cluster
) -> None:
    move_slot(backend, state="fenced")

    with (
        pytest.raises(WrongShardError) as refused,
        cluster.connection("by_k", ON_S2) as connection,
    ):
        connection.exec_driver_sql(f"INSERT INTO t VALUES (2, {ON_S2})")
    assert refused.value.state == "fenced"
    assert "is being moved" in refused.value.next_step


@pytest.mark.parametrize("on_error", ["raise", "collect"])
def test_a_broadcast_that_meets_a_guard_reads_the_map_anew(
    backend: Fleet, cluster: Cluster, on_error: Any
) -> None:
    move_slot(backend)
    errors: dict[str, ShardhashError] = {}

    try:
        broadcast = BroadcastQuery(cluster, on_error)
        errors = broadcast.run(f"INSERT INTO t VALUES (1, {ON_S2})").errors
    except WrongShardError as error:
        errors = {"s2": error}

    assert isinstance(errors["s2"], WrongShardError)
    assert rows(backend, "s2") == []
    assert cluster.shard_for("by_k", ON_S2) == "s1"


def test_a_dispatched_write_that_meets_a_guard_reads_the_map_anew(
    backend: Fleet, cluster: Cluster
) -> None:
    statement = f"INSERT INTO t VALUES (1, {ON_S2})"
    dispatcher = QueryDispatcher(cluster)
    [target] = dispatcher.targets(statement)
    move_slot(backend)

    with pytest.raises(WrongShardError), target.connection() as connection, connection.begin():
        connection.exec_driver_sql(statement)
    [target] = dispatcher.targets(statement)
    with target.connection() as connection, connection.begin():
        connection.exec_driver_sql(statement)
    assert rows(backend, "s1") == [(1, ON_S2)]


def test_a_write_to_several_shards_is_not_tried_again_but_the_next_goes_right(
    backend: Fleet, cluster: Cluster
) -> None:
    statement = f"INSERT INTO t VALUES (1, {ON_S1}), (2, {ON_S2})"
    move_slot(backend)

    result = cluster.query(statement, best_effort=True)
    assert (dict(result.committed), list(result.failed)) == ({"s1": 1}, ["s2"])
    assert "by_k slot" in result.failed["s2"]
    cluster.query(f"INSERT INTO t VALUES (2, {ON_S2})")
    assert rows(backend, "s1") == [(1, ON_S1), (2, ON_S2)]


def test_a_write_is_tried_on_the_new_owner_where_another_thread_has_read_the_map(
    backend: Fleet, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    move_slot(backend)
    engine = cluster._current().engine
    query = engine.query

    def query_late(*arguments: Any) -> Any:
        try:
            return query(*arguments)
        except WrongShardError:
            assert cluster.refresh()
            raise

    monkeypatch.setattr(engine, "query", query_late)
    result = cluster.query(f"INSERT INTO t VALUES (2, {ON_S2})")

    assert dict(result.committed) == {"s1": 1}


def test_a_store_that_is_down_does_not_hide_the_refusal(
    backend: Fleet, cluster: Cluster, tmp_path: Any
) -> None:
    cluster.shard_for("by_k", ON_S2)
    move_slot(backend)
    (tmp_path / "shardhash.yaml").unlink()

    with pytest.raises(WrongShardError) as refused:
        cluster.query(f"INSERT INTO t VALUES (1, {ON_S2})")
    assert "load the configuration anew" in refused.value.next_step
    with (
        pytest.raises(WrongShardError),
        cluster.connection("by_k", ON_S2) as connection,
        closing(connection),
    ):
        connection.exec_driver_sql(f"INSERT INTO t VALUES (1, {ON_S2})")
