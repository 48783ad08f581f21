"""A fence waits for writers in flight, refuses later ones, and disturbs no other slot."""

from contextlib import closing

import pytest

from guarding import app_connection, execute, keys_in, place_of, refusal, set_up
from managers import SteppedClock, manager_of
from shardhash.db import guard
from shardhash.db.connections import SessionSettings
from shardhash.db.sql import SlotState
from shardhash.errors import LeaseLostError, PreflightError, StoppedError, WrongShardError
from shardhash.slots import SlotSet

SLOT = 5
KEY, OTHER_KEY = keys_in(SLOT)[0], keys_in(6)[0]
LEVELS = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


def fence(fleet, slots=(SLOT,), *, wait_s=1.0, clock=None, token=0):
    session = SessionSettings(lock_wait_s=1, is_repeatable=True)
    with manager_of(fleet, session=session) as manager:
        guard.fence_slots(
            manager, "s1", place_of(fleet, "s1"), "by_key", SlotSet(slots),
            token=token, wait_s=wait_s, clock=clock or SteppedClock(),
        )  # fmt: skip


def states(fleet):
    with manager_of(fleet) as manager, manager.write("s1") as connection:
        return guard.read_slots(connection, place_of(fleet, "s1"), "by_key")


@pytest.fixture
def shard(backend):
    set_up(backend, "s1")
    return backend


def test_a_fence_refuses_later_writers_and_may_be_repeated(shard):
    fence(shard)
    fence(shard, (1, SLOT))

    assert states(shard)[SlotState.FENCED] == SlotSet([1, SLOT])
    with closing(app_connection(shard, "s1")) as app:
        assert isinstance(refusal(app, f"INSERT INTO orders VALUES (1, {KEY}, 1)"), WrongShardError)
        execute(app, f"INSERT INTO orders VALUES (2, {OTHER_KEY}, 1)")


def test_a_fence_with_another_token_changes_nothing(shard):
    with pytest.raises(LeaseLostError):
        fence(shard, token=1)
    assert states(shard)[SlotState.FENCED] == SlotSet([1])


def test_a_slot_of_another_shard_is_not_fenced(shard):
    with pytest.raises(PreflightError, match="slot 2 is foreign"):
        fence(shard, (SLOT, 2))
    assert states(shard)[SlotState.FENCED] == SlotSet([1])


@pytest.mark.parametrize("level", LEVELS)
def test_a_fence_waits_for_the_open_writer(mysql_fleet, level):
    set_up(mysql_fleet, "s1")
    with closing(app_connection(mysql_fleet, "s1", autocommit=False)) as app:
        execute(app, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
        execute(app, f"INSERT INTO orders VALUES (1, {KEY}, 1)")

        with pytest.raises(StoppedError, match=r"in the way are .*connection [0-9]+ of root"):
            fence(mysql_fleet)
        assert states(mysql_fleet)[SlotState.FENCED] == SlotSet([1])
        fence(mysql_fleet, clock=SteppedClock(then=app.commit))

    assert states(mysql_fleet)[SlotState.FENCED] == SlotSet([1, SLOT])
    assert mysql_fleet.sql("s1", "SELECT id FROM orders") == [(1,)]


@pytest.mark.parametrize("level", LEVELS)
def test_a_fence_refuses_a_writer_with_an_older_snapshot(mysql_fleet, level):
    set_up(mysql_fleet, "s1")
    mysql_fleet.sql("s1", f"INSERT INTO orders VALUES (1, {KEY}, 1)")
    with closing(app_connection(mysql_fleet, "s1", autocommit=False)) as app:
        execute(app, f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
        execute(app, "START TRANSACTION")
        execute(app, "SELECT COUNT(*) FROM orders WHERE id > 1")
        execute(app, f"INSERT INTO orders VALUES (2, {OTHER_KEY}, 1)")
        fence(mysql_fleet)

        assert refusal(app, "UPDATE orders SET v = 2 WHERE id = 1").state == "fenced"
        app.commit()
    assert mysql_fleet.sql("s1", "SELECT id, v FROM orders") == [(1, 1), (2, 1)]


def test_a_fence_waits_for_no_writer_of_other_slots(mysql_fleet):
    set_up(mysql_fleet, "s1")
    with closing(app_connection(mysql_fleet, "s1", autocommit=False)) as app:
        for number, slot in enumerate(range(3, 16, 2)):
            execute(app, f"INSERT INTO orders VALUES ({number}, {keys_in(slot)[0]}, 1)")

        fence(mysql_fleet, range(4, 16, 2), wait_s=0)
        app.commit()
    assert states(mysql_fleet)[SlotState.FENCED] == SlotSet([1, *range(4, 16, 2)])
