"""Control tables, identity, tokens, passes and slot states, on servers and files."""

import pytest

from guarding import TOKEN, control_of, place_of
from managers import manager_of
from shardhash.db import guard, sql
from shardhash.db.guard import Identity
from shardhash.db.sql import CONTROL_TABLES, ControlPlace, SlotState
from shardhash.db.topology import Backend
from shardhash.errors import LeaseLostError, PreflightError
from shardhash.slots import SlotSet

IDENTITY = Identity("shop", "s1", "5f0c", "op1")


def table_names(fleet, shard):
    if fleet.kind == "sqlite":
        return {row[0] for row in fleet.sql(shard, "SELECT name FROM sqlite_master")}
    schema = f"{fleet.database(shard)}_shardhash"
    statement = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s"
    return {row[0] for row in fleet.sql(shard, statement, [schema])}


def control_sql(fleet, shard, statement, params=()):
    return fleet.server(shard).sql(statement, params, database=f"{fleet.database(shard)}_shardhash")


@pytest.fixture
def shard(backend):
    backend.add("s1")
    return backend


def test_before_creation_everything_reads_as_nothing(shard):
    place = place_of(shard, "s1")
    with manager_of(shard) as manager, manager.write("s1") as connection:
        assert not guard.has_control(connection, place)
        assert guard.read_identity(connection, place) is None
        assert guard.read_token(connection, place) == (0, "")


def test_control_tables_are_made_once_and_dropped(shard):
    with control_of(shard, "s1") as (connection, place):
        guard.write_identity(connection, place, IDENTITY)
        guard.create_control(connection, place)
        connection.commit()

        assert guard.has_control(connection, place)
        assert guard.read_identity(connection, place) == IDENTITY
        assert guard.read_token(connection, place) == (0, "")

        guard.drop_control(connection, place)
        connection.commit()
        assert not guard.has_control(connection, place)
    assert not set(CONTROL_TABLES) & table_names(shard, "s1")


@pytest.mark.parametrize("name", CONTROL_TABLES)
def test_a_creation_that_was_cut_short_is_completed(shard, name):
    with control_of(shard, "s1") as (connection, place):
        schema = "" if shard.kind == "sqlite" else f"{shard.database('s1')}_shardhash."
        connection.exec_driver_sql(f"DROP TABLE {schema}{name}")
        connection.commit()
        assert not guard.has_control(connection, place)

        guard.create_control(connection, place)
        connection.commit()
        assert guard.has_control(connection, place)


def test_identity_is_written_once(shard):
    with control_of(shard, "s1") as (connection, place):
        guard.write_identity(connection, place, IDENTITY)
        guard.write_identity(connection, place, IDENTITY)
        connection.commit()

        with pytest.raises(PreflightError, match="says that it is shard s1 of shop"):
            guard.write_identity(connection, place, Identity("shop", "s2", "5f0d"))
        assert guard.read_identity(connection, place) == IDENTITY


def test_a_token_only_rises(shard):
    with control_of(shard, "s1") as (connection, place):
        guard.raise_token(connection, place, 7, "op1")
        guard.raise_token(connection, place, 7, "op1")
        guard.check_token(connection, place, 7)

        with pytest.raises(LeaseLostError, match="token 6, but has 7 of operation op1"):
            guard.raise_token(connection, place, 6, "op0")
        with pytest.raises(LeaseLostError):
            guard.raise_token(connection, place, 7, "op2")
        guard.raise_token(connection, place, 8, "op2")
        assert guard.read_token(connection, place) == (8, "op2")


def test_a_token_is_raised_where_a_crash_left_tables_without_their_row(shard):
    with control_of(shard, "s1") as (connection, place):
        schema = "" if shard.kind == "sqlite" else f"{shard.database('s1')}_shardhash."
        connection.exec_driver_sql(f"DELETE FROM {schema}_shardhash_fence")

        guard.raise_token(connection, place, 3, "op1")
        guard.check_token(connection, place, 3)


@pytest.mark.parametrize("token", [6, 8])
def test_another_token_than_the_shards_changes_nothing(shard, token):
    with control_of(shard, "s1") as (connection, place):
        guard.raise_token(connection, place, 7, "op1")

        with pytest.raises(LeaseLostError, match=f"token {token}, but has 7 of operation op1"):
            guard.check_token(connection, place, token)


def test_a_shard_that_was_released_takes_no_token(shard):
    with control_of(shard, "s1") as (connection, place):
        schema = "" if shard.kind == "sqlite" else f"{shard.database('s1')}_shardhash."
        connection.exec_driver_sql(f"DELETE FROM {schema}_shardhash_fence")

        with pytest.raises(LeaseLostError, match="has none"):
            guard.check_token(connection, place, 0)


def test_a_taker_waits_for_the_open_batch_and_the_next_batch_is_refused(shard):
    options = {"session": impatient_session()}
    with control_of(shard, "s1", **options) as (connection, place):
        guard.raise_token(connection, place, 1, "op1")
        connection.commit()
        with manager_of(shard, **options) as other, other.write("s1") as taker:
            connection.begin()
            guard.check_token(connection, place, 1)

            with pytest.raises(Exception, match=r"lock|Lock"):
                guard.raise_token(taker, place, 2, "op2")
            taker.rollback()
            connection.commit()
            guard.raise_token(taker, place, 2, "op2")
            taker.commit()

        with pytest.raises(LeaseLostError):
            guard.check_token(connection, place, 1)


def impatient_session():
    from shardhash.db.connections import SessionSettings

    return SessionSettings(lock_wait_s=1, is_repeatable=True)


def test_batches_of_one_operation_run_beside_each_other(mysql_fleet):
    mysql_fleet.add("s1")
    options = {"session": impatient_session()}
    with control_of(mysql_fleet, "s1", **options) as (connection, place):
        guard.raise_token(connection, place, 1, "op1")
        connection.commit()
        with manager_of(mysql_fleet, **options) as other, other.write("s1") as second:
            guard.check_token(connection, place, 1)
            guard.check_token(second, place, 1)


def test_a_batch_with_an_older_snapshot_sees_the_raised_token(mysql_fleet):
    mysql_fleet.add("s1")
    with control_of(mysql_fleet, "s1", session=impatient_session()) as (connection, place):
        guard.raise_token(connection, place, 1, "op1")
        connection.commit()
        connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        with manager_of(mysql_fleet) as other, other.write("s1") as taker, taker.begin():
            guard.raise_token(taker, place, 2, "op2")

        with pytest.raises(LeaseLostError, match="has 2 of operation op2"):
            guard.check_token(connection, place, 1)


def test_only_the_hash_of_a_pass_is_stored(shard):
    with control_of(shard, "s1") as (connection, place):
        guard.add_pass(connection, place, "op1", "an old one")
        guard.add_pass(connection, place, "op1", TOKEN)
        schema = "" if shard.kind == "sqlite" else f"{shard.database('s1')}_shardhash."
        rows = connection.exec_driver_sql(f"SELECT * FROM {schema}_shardhash_pass").fetchall()

        assert [row[0] for row in rows] == ["op1"]
        assert len(rows[0][1]) == 32
        assert TOKEN.encode() not in rows[0][1]
        guard.remove_pass(connection, place, "op1")
        guard.remove_pass(connection, place, "op1")


@pytest.mark.parametrize("count", [1, 16, 16_384])
def test_every_slot_gets_a_row(shard, count):
    owned = SlotSet(range(0, count, 2))
    with control_of(shard, "s1") as (connection, place):
        guard.fill_slots(connection, place, "m", count, owned)
        guard.fill_slots(connection, place, "m", count, owned)
        guard.fill_slots(connection, place, "other", 4, SlotSet())

        assert guard.read_slots(connection, place, "m") == {
            SlotState.OWNED: owned,
            SlotState.FENCED: SlotSet(),
            SlotState.FOREIGN: SlotSet(range(count)) - owned,
        }


@pytest.mark.parametrize("kind", list(Backend))
def test_runs_are_found_without_a_number_below_zero(kind):
    """MySQL 8 numbers rows without a sign, so that slot 0 less number 1 is its error 1690."""
    statement = sql.read_slot_runs(ControlPlace(kind, "db"), "m").sql

    assert " - " not in statement


def test_filling_completes_what_is_missing_and_changes_no_state(shard):
    with control_of(shard, "s1") as (connection, place):
        guard.fill_slots(connection, place, "m", 8, SlotSet([1]))
        guard.fill_slots(connection, place, "m", 16, SlotSet([1, 12]))
        assert guard.read_slots(connection, place, "m")[SlotState.OWNED] == SlotSet([1, 12])

        with pytest.raises(PreflightError, match="slot 1 is owned"):
            guard.fill_slots(connection, place, "m", 16, SlotSet([12]))
        with pytest.raises(PreflightError, match="slot 8 is foreign"):
            guard.fill_slots(connection, place, "m", 8, SlotSet([1]))


def epochs(connection, place, fleet):
    schema = "" if fleet.kind == "sqlite" else f"{place.database}_shardhash."
    rows = connection.exec_driver_sql(
        f"SELECT slot, epoch FROM {schema}_shardhash_slots WHERE mapping = 'm' AND epoch > 0"
    )
    return dict(map(tuple, rows))


def test_set_slots_counts_epochs_and_may_be_repeated(shard):
    with control_of(shard, "s1") as (connection, place):
        guard.fill_slots(connection, place, "m", 16, SlotSet(range(8)))
        for _ in range(2):
            guard.set_slots(
                connection, place, "m", SlotSet([1, 3]), SlotState.FENCED, among=[SlotState.OWNED]
            )

        assert guard.read_slots(connection, place, "m")[SlotState.FENCED] == SlotSet([1, 3])
        assert epochs(connection, place, shard) == {1: 1, 3: 1}


def test_set_slots_refuses_other_states_and_missing_slots(shard):
    with control_of(shard, "s1") as (connection, place):
        guard.fill_slots(connection, place, "m", 16, SlotSet(range(8)))
        connection.commit()

        with pytest.raises(PreflightError, match="set to fenced, but slot 9 is foreign"):
            guard.set_slots(
                connection, place, "m", SlotSet([1, 9]), SlotState.FENCED, among=[SlotState.OWNED]
            )
        connection.rollback()
        with pytest.raises(PreflightError, match="slot 16 is missing"):
            guard.set_slots(
                connection, place, "m", SlotSet([16]), SlotState.FENCED, among=[SlotState.OWNED]
            )
        connection.rollback()
        assert epochs(connection, place, shard) == {}


def test_drop_slots_leaves_other_mappings(shard):
    with control_of(shard, "s1") as (connection, place):
        guard.fill_slots(connection, place, "m", 4, SlotSet())
        guard.fill_slots(connection, place, "n", 4, SlotSet())

        guard.drop_slots(connection, place, "m")

        assert not guard.read_slots(connection, place, "m")[SlotState.FOREIGN]
        assert len(guard.read_slots(connection, place, "n")[SlotState.FOREIGN]) == 4
