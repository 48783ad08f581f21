"""Ranges are split at a key, moved by their number, and merged; guards know every bound."""

from contextlib import closing

import pytest

from servers import Fleet
from shardhash.db import prepare_sqlite
from shardhash.db.operations import Operations
from shardhash.db.stores import FileStore
from shardhash.errors import MismatchError, StoppedError, UsageError

RANGES = {"key": {"column": "k", "type": "int"}, "tables": ["orders"]}
ROWS = range(100)


class Ranged:
    """A fleet with one range mapping, whose first shard has been adopted."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        for shard in ("s1", "s2"):
            fleet.add(shard)
            fleet.sql(shard, "CREATE TABLE orders (id INT PRIMARY KEY, k BIGINT, x INT)")
        for number in ROWS:
            fleet.sql("s1", f"INSERT INTO orders VALUES ({number}, {number - 50}, 0)")
        rule = {"ranges": {"bounds": [1000], "shards": ["s1", "s2"]}}
        path = fleet.write_config({"by_k": RANGES | rule})
        path.write_text("map_max_age_s: 0.02\n" + path.read_text())
        self.store = FileStore(path)
        for shard in ("s1", "s2"):
            operations = self.operations()
            instance = operations._config.shard(shard).instance
            plan = operations.plan_adopt(
                shard, instance=instance, database=fleet.database(shard), mapping="by_k"
            )
            operations.apply(plan)

    def operations(self) -> Operations:
        return Operations(self.store.load()[0], store=self.store)

    @property
    def rule(self):
        return self.store.load()[0].mapping("by_k").rule

    def keys(self, shard: str) -> list[int]:
        return [row[0] for row in self.fleet.sql(shard, "SELECT k FROM orders ORDER BY k")]

    def states(self, shard: str) -> int:
        """Return of how many ranges the shard knows a state, of whatever bounds."""
        schema = f"{self.fleet.database(shard)}_shardhash." if self.fleet.kind == "mysql" else ""
        return len(self.fleet.sql(shard, f"SELECT 1 FROM {schema}_shardhash_slots"))

    def is_refused(self, shard: str, key: int) -> bool:
        with closing(self.fleet.connect(shard)) as connection:
            if self.fleet.kind == "sqlite":
                prepare_sqlite(connection)
            cursor = connection.cursor()
            try:
                cursor.execute(f"INSERT INTO orders VALUES (5000, {key}, 0)")
            except Exception as error:
                return "shardhash: by_k" in str(error)
            cursor.execute("DELETE FROM orders WHERE id = 5000")
            return False


@pytest.fixture
def ranged(backend: Fleet) -> Ranged:
    return Ranged(backend)


def test_a_range_that_is_split_at_a_key_goes_to_the_target_from_there_on(ranged: Ranged) -> None:
    plan = ranged.operations().plan_split("s1", "s2", at=10, freeze=True)

    ranged.operations().apply(plan)

    assert (ranged.rule.bounds, ranged.rule.shards) == ((10, 1000), ("s1", "s2", "s2"))
    assert ranged.keys("s1") == list(range(-50, 10))
    assert ranged.keys("s2") == list(range(10, 50))
    assert ranged.operations().verify().is_clean
    assert [ranged.is_refused("s1", key) for key in (9, 10, 1000)] == [False, True, True]
    assert [ranged.is_refused("s2", key) for key in (9, 10, 1000)] == [True, False, False]


def test_a_cut_moves_no_row_and_a_merge_takes_it_back(ranged: Ranged) -> None:
    ranged.operations().apply(ranged.operations().plan_split("s1", "s1", at=0))
    assert (ranged.rule.bounds, ranged.rule.shards) == ((0, 1000), ("s1", "s1", "s2"))
    assert not ranged.is_refused("s1", -1)

    ranged.operations().apply(ranged.operations().plan_merge("by_k", at=0, into="s1"))

    assert (ranged.rule.bounds, ranged.rule.shards) == ((1000,), ("s1", "s2"))
    assert ranged.keys("s1") == list(range(-50, 50))
    assert ranged.operations().verify().is_clean


def test_a_merge_of_two_shards_moves_the_other_ones_rows(ranged: Ranged) -> None:
    ranged.operations().apply(ranged.operations().plan_split("s1", "s2", at=10, freeze=True))

    plan = ranged.operations().plan_merge("by_k", at=10, into="s1", freeze=True)
    ranged.operations().apply(plan)

    assert (ranged.rule.bounds, ranged.rule.shards) == ((1000,), ("s1", "s2"))
    assert ranged.keys("s1") == list(range(-50, 50))
    assert ranged.keys("s2") == []
    assert ranged.operations().verify().is_clean
    assert [ranged.is_refused("s1", key) for key in (-50, 999, 1000)] == [False, False, True]


def test_bounds_that_come_back_with_other_owners_are_guarded_by_these(ranged: Ranged) -> None:
    ranged.operations().apply(ranged.operations().plan_split("s1", "s1", at=0))
    ranged.operations().apply(ranged.operations().plan_move("s1", "s2", slots="0", freeze=True))

    ranged.operations().apply(ranged.operations().plan_merge("by_k", at=0, into="s2", freeze=True))

    assert (ranged.rule.bounds, ranged.rule.shards) == ((1000,), ("s2", "s2"))
    assert [ranged.is_refused("s1", key) for key in (-1, 0, 1000)] == [True, True, True]
    assert [ranged.is_refused("s2", key) for key in (-1, 0, 1000)] == [False, False, False]


def test_a_split_that_is_aborted_leaves_bounds_rows_and_guards_as_they_were(
    ranged: Ranged, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shardhash.db.executor import _row_steps

    plan = ranged.operations().plan_split("s1", "s2", at=10, freeze=True)
    with monkeypatch.context() as patched:
        patched.setattr(_row_steps, "verify_table", _fails)
        with pytest.raises(StoppedError):
            ranged.operations().apply(plan)
    (state,) = [each for each in ranged.operations().list() if not each.is_ended]

    ranged.operations().abort(state.id)

    assert (ranged.rule.bounds, ranged.rule.shards) == ((1000,), ("s1", "s2"))
    assert ranged.keys("s1") == list(range(-50, 50))
    assert ranged.keys("s2") == []
    assert ranged.states("s1") == ranged.states("s2") == 2
    assert [ranged.is_refused("s1", key) for key in (10, 1000)] == [False, True]
    assert ranged.operations().verify().is_clean


def test_a_key_of_another_shard_is_no_place_to_split(ranged: Ranged) -> None:
    with pytest.raises(UsageError, match="in a range of s2"):
        ranged.operations().plan_split("s1", "s2", at=2000, freeze=True)


def _fails(*_: object, **__: object) -> None:
    raise MismatchError("no")
