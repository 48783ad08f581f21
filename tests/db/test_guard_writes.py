"""What guards do to an application's writes, on servers and files."""

from contextlib import closing

import pytest

from guarding import app_connection, change_state, execute, keys_in, refusal, set_up
from shardhash.errors import ShardKeyError, WrongShardError

OWNED, FENCED, FOREIGN = (keys_in(slot)[0] for slot in (0, 1, 2))
BAD = [(FENCED, 1, "fenced"), (FOREIGN, 2, "foreign")]


@pytest.fixture
def shard(backend):
    set_up(backend, "s1")
    return backend


@pytest.fixture
def app(shard):
    with closing(app_connection(shard, "s1")) as connection:
        yield connection


def rows(fleet):
    return fleet.sql("s1", "SELECT id, k, v FROM orders ORDER BY id")


def test_owned_rows_are_written_as_ever(shard, app):
    execute(app, f"INSERT INTO orders VALUES (1, {OWNED}, 1), (2, {OWNED}, 1)")
    execute(app, "UPDATE orders SET v = 2 WHERE id = 1")
    execute(app, "DELETE FROM orders WHERE id = 2")

    assert rows(shard) == [(1, OWNED, 2)]


@pytest.mark.parametrize(("key", "slot", "state"), BAD)
def test_an_insert_into_another_slot_is_refused_whole(shard, app, key, slot, state):
    error = refusal(app, f"INSERT INTO orders VALUES (1, {OWNED}, 1), (2, {key}, 1)")

    assert isinstance(error, WrongShardError)
    assert (error.mapping, error.state) == ("by_key", state)
    assert error.slot == (slot if shard.kind == "mysql" else None)
    assert rows(shard) == []


@pytest.mark.parametrize("statement", ["UPDATE orders SET v = 2", "DELETE FROM orders"])
@pytest.mark.parametrize(("key", "slot", "state"), BAD)
def test_a_change_of_another_slots_row_is_refused_whole(shard, app, statement, key, slot, state):
    change_state(shard, "s1", slot, "owned")
    execute(app, f"INSERT INTO orders VALUES (1, {OWNED}, 1), (2, {key}, 1)")
    change_state(shard, "s1", slot, state)

    error = refusal(app, statement)

    assert isinstance(error, WrongShardError)
    assert error.state == state
    assert rows(shard) == [(1, OWNED, 1), (2, key, 1)]


def test_a_change_of_the_key_is_refused(shard, app):
    execute(app, f"INSERT INTO orders VALUES (1, {OWNED}, 1)")

    for key in (keys_in(0)[1], FENCED, "NULL"):
        error = refusal(app, f"UPDATE orders SET k = {key}")
        assert isinstance(error, ShardKeyError)
        assert "by_key takes no change of a shard key" in str(error)
    execute(app, f"UPDATE orders SET k = {OWNED}, v = 9")
    assert rows(shard) == [(1, OWNED, 9)]


def test_rows_without_a_key_come_in_no_more_and_may_get_one_or_go(shard, app):
    with closing(app_connection(shard, "s1")) as connection:
        if shard.kind == "mysql":
            shard.sql("s1", "DROP TRIGGER _shardhash_guard_insert1_orders")
        else:
            execute(connection, "DROP TRIGGER _shardhash_guard_insert1_orders")
        execute(connection, "INSERT INTO orders VALUES (1, NULL, 1), (2, NULL, 1)")

    execute(app, "UPDATE orders SET v = 2")
    execute(app, "DELETE FROM orders WHERE id = 2")
    assert isinstance(refusal(app, f"UPDATE orders SET k = {FENCED}"), WrongShardError)
    execute(app, f"UPDATE orders SET k = {OWNED}")

    assert rows(shard) == [(1, OWNED, 2)]


def test_an_insert_without_a_key_is_refused(shard, app):
    error = refusal(app, "INSERT INTO orders VALUES (1, NULL, 1)")

    assert isinstance(error, ShardKeyError)
    assert error.code == "shard_key"
    assert "by_key takes no row without a shard key" in str(error)
