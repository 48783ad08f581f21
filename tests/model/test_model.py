"""Every interleaving of a move, writers, a reader and a takeover keeps the invariants.

And the model walks the steps, and within them the effects, of the code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import pytest

from model.explore import explore
from model.programs import Programs, planned_move, planned_undo
from model.rules import Actors, Rules
from model.state import NAMES
from model.variants import VARIANTS, Variant
from servers import Fleet
from shardhash.db import guard
from shardhash.db.executor import _work
from shardhash.db.journal import Journal
from shardhash.db.operations import Operations
from shardhash.db.plan import StepKind
from shardhash.db.stores import FileStore
from shardhash.errors import StoppedError

LONG_S = 1_000


@pytest.mark.parametrize("writers", [("change", "insert"), ("delete", "insert")])
def test_no_interleaving_breaks_an_invariant(writers: tuple[str, ...]) -> None:
    found = explore(Rules(), Actors(writers=writers))

    assert found.broken == {}, str(found)
    assert found.states > 200_000


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_what_is_broken_is_found_out(variant: Variant) -> None:
    found = explore(variant.rules, variant.actors, wanted=variant.invariant)

    assert variant.invariant in found.broken


def test_there_is_a_broken_variant_for_each_invariant_that_a_model_can_see() -> None:
    assert {variant.invariant for variant in VARIANTS} == {1, 3, 4, 5, 6, 8, 9, 11}


class Shop:
    """Two shards of real files; the second owns half of the slots, and takes the others."""

    def __init__(self, fleet: Fleet) -> None:
        fleet.add("source", instance="a")
        fleet.sql("source", "CREATE TABLE orders (id TEXT PRIMARY KEY NOT NULL, k INTEGER)")
        for number in range(40):
            fleet.sql("source", f"INSERT INTO orders VALUES ('{number}', {number})")
        self.path = fleet.write_config()
        self.path.write_text("map_max_age_s: 0.01\n" + self.path.read_text())
        self.store = FileStore(self.path)
        database = fleet.database("source")
        with self.operations() as ops:
            plan = ops.plan_adopt(
                "source",
                instance="a",
                database=database,
                mapping="by_k",
                key="k",
                key_type="int",
                tables=[("orders", None)],
                slot_count=16,
            )
            ops.apply(plan)
        with self.operations() as ops:
            ops.apply(ops.plan_split("source", "target", freeze=True))

    def operations(self) -> Operations:
        return Operations(self.store.load()[0], store=self.store)

    def move_back(self) -> None:
        with self.operations() as ops:
            ops.apply(ops.plan_move("target", "source", slots="0-3", freeze=True))

    def stop_at(self, kind: StepKind) -> str:
        """Move until a step of a kind is about to begin, and return the operation."""

        def listen(progress: Any) -> None:
            if progress.title == title:
                raise KeyboardInterrupt

        with self.operations() as ops:
            plan = ops.plan_move("source", "target", slots="0-3", freeze=True)
            title = next(step.title for step in plan.steps if step.kind is kind)
            with pytest.raises(StoppedError):
                ops.apply(plan, progress=listen)
            return next(state.id for state in ops.list() if not state.is_ended)


@pytest.fixture
def shop(sqlite_fleet: Fleet) -> Shop:
    return Shop(sqlite_fleet)


def test_the_model_walks_the_steps_of_a_real_plan(shop: Shop) -> None:
    with shop.operations() as ops:
        plan = ops.plan_move("source", "target", slots="0-3", freeze=True)

    assert [step.kind for step in planned_move().steps] == [step.kind for step in plan.steps]


def test_the_model_undoes_by_the_steps_of_a_real_undo(shop: Shop) -> None:
    operation = shop.stop_at(StepKind.HOLD)
    with shop.operations() as ops:
        ops.undo(operation)
        undone = ops.list()[-1].plan

    modelled = planned_undo(planned_move())
    assert [step.kind for step in modelled.steps] == [step.kind for step in undone.steps]


def test_a_move_has_the_effects_that_the_model_has(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop.operations() as ops, noted_effects(monkeypatch) as noted:
        ops.apply(ops.plan_move("source", "target", slots="0-3", freeze=True))

    assert noted[0] == "journal"  # of the plan, with which the model begins
    assert _runs(noted[1:]) == effects_of(("move", 0))


def test_a_resumed_move_has_the_effects_that_the_model_has(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at, step in enumerate(planned_move().steps):
        operation = shop.stop_at(step.kind)
        with shop.operations() as ops, noted_effects(monkeypatch) as noted:
            ops.resume(operation)
        shop.move_back()

        assert without_journal(noted) == effects_of(("to resume", 0), ("resume", at))


def test_an_aborted_move_has_the_effects_that_the_model_has(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = planned_move().steps
    for at in range(1 + [step.kind for step in steps].index(StepKind.FLIP)):
        operation = shop.stop_at(steps[at].kind)
        with shop.operations() as ops, noted_effects(monkeypatch) as noted:
            ops.abort(operation)

        assert without_journal(noted) == effects_of(("to abort", 0), ("abort", at - 1))


def test_an_undone_move_has_the_effects_that_the_model_has(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = shop.stop_at(StepKind.HOLD)
    with shop.operations() as ops, noted_effects(monkeypatch) as noted:
        ops.undo(operation)

    assert without_journal(noted) == effects_of(("to undo", 0), ("undo", 0))


def test_waits_are_as_long_as_the_model_has_them(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shop.path.read_text()
    shop.path.write_text(text.replace("map_max_age_s: 0.01", f"map_max_age_s: {LONG_S}"))
    ages: list[int] = []

    def pass_over(work: _work.Work, moment: datetime, why: str) -> None:
        left = moment - work.needed_store.now()
        ages.append(round(left / timedelta(seconds=LONG_S)))

    monkeypatch.setattr(_work.Work, "wait_until", pass_over)
    with shop.operations() as ops:
        ops.apply(ops.plan_move("source", "target", slots="0-3", freeze=True))

    assert ages == [Rules().waits_published, Rules().waits_held]


@contextmanager
def noted_effects(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note each record, save, wait and transaction of a process, in order."""
    noted: list[str] = []

    def note(owner: Any, name: str, what: Any) -> None:
        plain = getattr(owner, name)

        def noting(*args: Any, **kwargs: Any) -> Any:
            noted.append(what(*args))
            return plain(*args, **kwargs)

        patched.setattr(owner, name, noting)

    with monkeypatch.context() as patched:
        note(Journal, "append", lambda *_: "journal")
        note(FileStore, "save", lambda *_: "save")
        note(_work.Work, "wait_until", lambda *_: "wait")
        note(_work.Work, "enter", lambda _, shard: f"enter {shard}")
        note(_work.Work, "batch", lambda _, shard, *__: f"batch {shard}")
        note(guard, "fence_slots", lambda _, shard, *__: f"batch {shard}")
        yield noted


def effects_of(*programs: tuple[str, int]) -> list[str]:
    """Return the effects of programs of the model that meet nobody else."""
    made = Programs(Rules())
    found = []
    for name in programs:
        for action in made[name]:
            if action.does in ("batch", "enter"):
                assert action.shard is not None
                found.append(f"{action.does} {NAMES[action.shard]}")
            elif action.does in ("save", "wait"):
                found.append(action.does)
            elif action.does == "journal" and name[0] == "move":
                found.append("journal")
    return _runs(found)


def without_journal(noted: list[str]) -> list[str]:
    return _runs([each for each in noted if each != "journal"])


def _runs(noted: list[str]) -> list[str]:
    """Return them with repetitions left out: pages are of one row here, and of many there."""
    return [name for name, _ in groupby(noted)]
