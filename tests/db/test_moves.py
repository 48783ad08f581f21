"""Moves on real databases: to several targets, and where something is in the way."""

from typing import Any

import pytest

from moving import Shop, slot_of
from servers import Fleet
from shardhash.db.executor import _engine, _runner
from shardhash.db.journal import Journal
from shardhash.db.plan import StepKind
from shardhash.errors import LeaseLostError, StoppedError, StoreError


@pytest.fixture
def shop(backend: Fleet) -> Shop:
    return Shop(backend)


def test_a_shard_is_drained_to_several_others(shop: Shop) -> None:
    shop.split("s1", "s2")
    shop.split("s2", "s3")

    with shop.operations() as operations:
        operations.apply(operations.plan_remove("s1", drain=True, freeze=True))

    assert shop.keys("s2", "s3") == list(range(1, 201))
    assert shop.fleet.sql("s1", "SELECT COUNT(*) FROM orders") == [(0,)]
    with shop.operations() as operations:
        assert operations.verify().is_clean


def test_every_part_of_a_drain_is_compared(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.split("s1", "s2")
    shop.split("s2", "s3")
    with shop.operations() as operations:
        plan = operations.plan_remove("s1", drain=True, freeze=True)
    copies = [step for step in plan.steps if step.kind is StepKind.COPY]
    last = copies[-1].arguments
    copy = _engine.RUNNERS[StepKind.COPY]

    def copy_and_lose_one(work: Any, step: Any) -> Any:
        result = copy.run(work, step)
        if step.arguments == last:
            lost = next(k for k in shop.keys("s1") if str(slot_of(k)) in last["slots"].split(","))
            work.batch(
                last["target"],
                lambda connection: connection.exec_driver_sql(
                    f"DELETE FROM orders WHERE k = {lost}"
                ),
            )
        return result

    runners = {**_engine.RUNNERS, StepKind.COPY: _runner.Runner(copy_and_lose_one, copy.undo)}
    monkeypatch.setattr(_engine, "RUNNERS", runners)
    with shop.operations() as operations, pytest.raises(StoppedError, match="missing there"):
        operations.apply(plan)


@pytest.mark.parametrize("kind", [StepKind.GUARD, StepKind.NUMBER_IDS])
def test_a_process_whose_token_is_old_defines_nothing(shop: Shop, kind: StepKind) -> None:
    with shop.operations() as operations:
        plan = operations.plan_split("s1", "s2", freeze=True)
    step = next(step for step in plan.steps if step.kind is kind)

    def take_over(progress: Any) -> None:
        if progress.title == step.title:
            shop.fleet._places["s2"] = tuple(plan.new_shards["s2"].values())
            name = shop.fleet.database("s2")
            schema = f"{name}_shardhash." if shop.fleet.kind == "mysql" else ""
            shop.fleet.sql("s2", f"UPDATE {schema}_shardhash_fence SET token = token + 1000")

    with shop.operations() as operations, pytest.raises(LeaseLostError):
        operations.apply(plan, progress=take_over)

    triggers = {
        "mysql": "SELECT COUNT(*) FROM information_schema.TRIGGERS "
        "WHERE TRIGGER_SCHEMA = DATABASE()",
        "sqlite": "SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger'",
    }
    expected = 0 if kind is StepKind.GUARD else 3
    assert shop.fleet.sql("s2", triggers[shop.fleet.kind]) == [(expected,)]
    counter = {
        "mysql": "SELECT AUTO_INCREMENT FROM information_schema.TABLES "
        "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'orders'",
        "sqlite": "SELECT COALESCE(MAX(seq), 0) + 1 FROM sqlite_sequence",
    }
    assert shop.fleet.sql("s2", counter[shop.fleet.kind]) == [(1,)]


def test_what_stops_while_the_store_is_down_says_that_it_stopped(
    sqlite_fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(sqlite_fleet)
    with shop.operations() as operations:
        plan = operations.plan_split("s1", "s2", freeze=True)
    append = Journal.append

    def fails(self: Journal, event: Any, **values: Any) -> None:
        if event in ("stopped", "done") and values.get("step") == 8:
            raise StoreError("the store is down")
        append(self, event, **values)

    monkeypatch.setattr(Journal, "append", fails)
    with shop.operations() as operations, pytest.raises(StoppedError, match="store is down"):
        operations.apply(plan)
