"""Moves that are turned around, and who read the state before another process went on."""

from typing import Any

import pytest

from moving import BAND, Shop, dying_after, stopped_at
from servers import Fleet
from shardhash.db import operations as undoing
from shardhash.db.executor import _engine
from shardhash.db.journal import Event, Journal, Phase, read_operations
from shardhash.db.plan import StepKind
from shardhash.errors import LeaseLostError, RefusedError, StoppedError


@pytest.fixture
def shop(backend: Fleet) -> Shop:
    return Shop(backend)


def test_ids_stay_apart_after_a_move_is_turned_around(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop.operations() as operations:
        plan = operations.plan_split("s1", "s2", freeze=True)
    operation = stopped_at(shop, StepKind.OPEN, plan, monkeypatch)
    shop.learn("s2")
    there = shop.insert("s2", shop.key_of("s2"))

    with shop.operations() as operations:
        operations.undo(operation)
    here = shop.insert("s1", shop.key_of("s1"))

    assert there // BAND == 1
    assert here // BAND == 2
    assert len(shop.keys("s1")) == 202
    assert shop.keys("s2") == []


def test_what_has_flipped_without_saying_so_can_be_turned_around(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop.operations() as operations:
        plan = operations.plan_split("s1", "s2", freeze=True)
    operation = stopped_at(shop, StepKind.FLIP, plan, monkeypatch)
    shop.learn("s2")

    with shop.operations() as operations:
        operations.undo(operation)

    assert shop.keys("s1") == list(range(1, 201))
    with shop.operations() as operations:
        assert operations.get(operation).phase is Phase.UNDONE
        assert operations.verify().is_clean


def test_a_table_that_is_altered_while_a_move_is_turned_around_stops_the_undo(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop.operations() as operations:
        plan = operations.plan_split("s1", "s2", freeze=True)
    operation = stopped_at(shop, StepKind.HOLD, plan, monkeypatch)
    shop.learn("s2")
    titles: list[str] = []

    def alter(progress: Any) -> None:
        if progress.title.startswith("copy orders") and progress.title not in titles:
            titles.append(progress.title)
            shop.fleet.sql("s2", "CREATE UNIQUE INDEX one_k ON orders (k)")

    with shop.operations() as operations:
        with pytest.raises(StoppedError, match="table orders of s2 changed since the plan"):
            operations.undo(operation, progress=alter)
        (undo,) = [each.id for each in operations.list() if each.instead_of == operation]
        on = " ON orders" if shop.fleet.kind == "mysql" else ""
        shop.fleet.sql("s2", f"DROP INDEX one_k{on}")
        operations.resume(undo)

    assert shop.keys("s1") == list(range(1, 201))
    with shop.operations() as operations:
        assert operations.verify().is_clean


def test_a_move_whose_table_has_other_columns_since_is_not_turned_around(
    mysql_fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(mysql_fleet)
    with shop.operations() as operations:
        plan = operations.plan_split("s1", "s2", freeze=True)
    operation = stopped_at(shop, StepKind.HOLD, plan, monkeypatch)
    shop.learn("s2")
    shop.fleet.sql("s1", "ALTER TABLE orders ADD COLUMN later INT")

    with shop.operations() as operations:
        with pytest.raises(RefusedError, match="table orders of s1 has other columns"):
            operations.undo(operation)
        assert [each.id for each in operations.list() if not each.is_ended] == [operation]


class TestWhoReadsTheStateAndComesLate:
    """Another process has gone on since the state was read: nothing may be done by what was."""

    @pytest.fixture
    def shop(self, sqlite_fleet: Fleet) -> Shop:
        shop = Shop(sqlite_fleet)
        shop.split("s1", "s2")
        return shop

    def stopped(self, shop: Shop, kind: StepKind, monkeypatch: pytest.MonkeyPatch) -> str:
        with shop.operations() as operations:
            plan = operations.plan_move("s1", "s2", slots="0-3", freeze=True)
        return stopped_at(shop, kind, plan, monkeypatch)

    def meanwhile(self, owner: Any, name: str, do: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Do something once, right after the state was read."""
        plain = getattr(owner, name)

        def read(*args: Any) -> Any:
            found = list(plain(*args)) if name == "read_operations" else plain(*args)
            monkeypatch.setattr(owner, name, plain)
            do()
            return found

        monkeypatch.setattr(owner, name, read)

    def test_abort_does_not_take_back_what_has_flipped_since(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operation = self.stopped(shop, StepKind.VERIFY, monkeypatch)

        def flip() -> None:
            with dying_after(StepKind.FLIP, monkeypatch), shop.operations() as others:
                others.resume(operation)

        self.meanwhile(_engine, "read_operations", flip, monkeypatch)
        with shop.operations() as operations, pytest.raises(LeaseLostError):
            operations.abort(operation)
        with shop.operations() as operations:
            operations.resume(operation)

        assert shop.keys("s1", "s2") == list(range(1, 201))
        with shop.operations() as operations:
            assert operations.verify().is_clean

    def test_undo_does_not_turn_around_what_prunes_since(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operation = self.stopped(shop, StepKind.HOLD, monkeypatch)

        steps = [step.kind for step in next(read_operations(shop.store, [operation])).plan.steps]

        def begin_to_prune() -> None:
            first = steps.index(StepKind.PRUNE_PAGES)
            Journal(shop.store, operation).append(Event.BEGUN, step=first)

        self.meanwhile(undoing, "undo_plan", begin_to_prune, monkeypatch)
        with shop.operations() as operations, pytest.raises(LeaseLostError):
            operations.undo(operation)
        with shop.operations() as operations:
            operations.resume(operation)
            assert operations.verify().is_clean

    def plan_undo(self, shop: Shop, operation: str) -> None:
        """Write down an undo as a process does that writes no more, as ``undo-1``."""
        config = shop.store.load()[0]
        with shop.operations() as operations:
            plan = undoing.undo_plan(shop.store, config, operation, operations._reader.fingerprints)
        Journal(shop.store, "undo-1").append(
            Event.PLANNED, plan=plan.to_json(), holder="ops@elsewhere:1.1", instead_of=operation
        )

    def assert_that_only_the_undo_goes_on(self, shop: Shop, operation: str) -> None:
        with shop.operations() as operations:
            operations.resume("undo-1")
            phases = {state.id: state.phase for state in operations.list()}
        assert phases[operation] is Phase.UNDONE
        assert not {*phases.values()} & {Phase.UNFINISHED, Phase.ABORTING}
        assert shop.keys("s1", "s2") == list(range(1, 201))
        with shop.operations() as operations:
            assert operations.verify().is_clean

    @pytest.mark.parametrize("name", ["resume", "abort"])
    def test_an_undo_that_is_planned_before_the_leases_are_taken_goes_first(
        self, shop: Shop, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operation = self.stopped(shop, StepKind.HOLD, monkeypatch)
        Journal(shop.store, operation).append(Event.TAKEN_OVER, holder="ops@elsewhere:1.1")
        acquire = _engine.Leases.acquire

        def plan_undo_and_acquire(leases: Any, above: Any) -> None:
            self.plan_undo(shop, operation)
            acquire(leases, above)

        with shop.operations() as operations, monkeypatch.context() as patched:
            patched.setattr(_engine.Leases, "acquire", plan_undo_and_acquire)
            with pytest.raises(RefusedError, match="is being turned around by undo-1"):
                getattr(operations, name)(operation)

        self.assert_that_only_the_undo_goes_on(shop, operation)

    def test_an_undo_that_is_planned_before_the_tokens_of_another_goes_first(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operation = self.stopped(shop, StepKind.HOLD, monkeypatch)
        refuse = _engine.Engine._refuse_unfinished

        def refuse_and_plan_undo(engine: Any, plan: Any, instead_of: str) -> None:
            refuse(engine, plan, instead_of)
            self.plan_undo(shop, operation)

        with shop.operations() as operations, monkeypatch.context() as patched:
            patched.setattr(_engine.Engine, "_refuse_unfinished", refuse_and_plan_undo)
            with pytest.raises(RefusedError, match="is being turned around by undo-1"):
                operations.undo(operation)

        self.assert_that_only_the_undo_goes_on(shop, operation)

    def test_an_undo_that_is_planned_after_the_tokens_are_raised_ends(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operation = self.stopped(shop, StepKind.HOLD, monkeypatch)
        append = Journal.append

        def append_and_raise_tokens(journal: Journal, event: Event, **values: Any) -> None:
            append(journal, event, **values)
            if event is Event.PLANNED:
                shop.fleet.sql("s1", "UPDATE _shardhash_fence SET token = token + 1000")

        with shop.operations() as operations, monkeypatch.context() as patched:
            patched.setattr(Journal, "append", append_and_raise_tokens)
            with pytest.raises(LeaseLostError):
                operations.undo(operation)
        with shop.operations() as operations:
            operations.resume(operation)

            assert operations.list()[-1].phase is Phase.REFUSED
            assert operations.verify().is_clean

    def resume_and_plan_undo(
        self, shop: Shop, operation: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Resume an operation; the undo is written down after the last look for one."""
        check = _engine.Engine._check_frozen

        def check_and_plan_undo(engine: Any, work: Any, state: Any) -> None:
            check(engine, work, state)
            self.plan_undo(shop, operation)

        with shop.operations() as operations, monkeypatch.context() as patched:
            patched.setattr(_engine.Engine, "_check_frozen", check_and_plan_undo)
            operations.resume(operation)

    def test_an_undo_of_what_went_on_to_its_end_can_only_be_ended(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operation = self.stopped(shop, StepKind.HOLD, monkeypatch)
        self.resume_and_plan_undo(shop, operation, monkeypatch)
        owners = shop.store.load()[0].mapping("by_k").owners

        with shop.operations() as operations:
            with pytest.raises(RefusedError, match=f"{operation}, which has ended: done") as error:
                operations.resume("undo-1")
            assert "shardhash op abort undo-1" in error.value.next_step
            operations.abort("undo-1")
            assert operations.get("undo-1").phase is Phase.ABORTED
            assert operations.get(operation).phase is Phase.DONE
            assert operations.verify().is_clean
            assert shop.store.load()[0].mapping("by_k").owners == owners
            operations.apply(operations.plan_move("s2", "s1", slots="0", freeze=True))

    def test_an_undo_of_a_drain_that_went_on_to_its_end_can_be_ended(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The drained shard is in no configuration any more."""
        with shop.operations() as operations:
            plan = operations.plan_remove("s1", drain=True, freeze=True)
        operation = stopped_at(shop, StepKind.HOLD, plan, monkeypatch)
        self.resume_and_plan_undo(shop, operation, monkeypatch)

        with shop.operations() as operations:
            with pytest.raises(RefusedError, match="has ended: done"):
                operations.resume("undo-1")
            operations.abort("undo-1")

            assert operations.get("undo-1").phase is Phase.ABORTED
        assert shop.keys("s2") == list(range(1, 201))

    def test_an_undo_of_what_has_begun_to_prune_gives_way(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operation = self.stopped(shop, StepKind.HOLD, monkeypatch)
        with dying_after(StepKind.PRUNE_PAGES, monkeypatch):
            self.resume_and_plan_undo(shop, operation, monkeypatch)

        with shop.operations() as operations:
            with pytest.raises(RefusedError, match=f"{operation}, which prunes since") as error:
                operations.resume("undo-1")
            assert (
                f"op abort undo-1, which changes nothing; then shardhash op resume {operation}"
                in (error.value.next_step)
            )
            operations.abort("undo-1")
            operations.resume(operation)
            assert operations.verify().is_clean
