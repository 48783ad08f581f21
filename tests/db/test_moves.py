"""Moves on real databases: several targets, turning around, and processes that come too late."""

import zlib
from contextlib import closing
from typing import Any

import pytest

from servers import Fleet
from shardhash.db import operations as undoing
from shardhash.db import prepare_sqlite
from shardhash.db.executor import _engine, _runner
from shardhash.db.journal import Event, Journal, Phase, read_operations
from shardhash.db.operations import Operations
from shardhash.db.plan import StepKind
from shardhash.db.stores import FileStore
from shardhash.errors import LeaseLostError, RefusedError, StoppedError, StoreError

SLOTS = 16
BAND = 2**40
NUMBERS = {"mysql": "BIGINT AUTO_INCREMENT", "sqlite": "INTEGER"}


def slot_of(key: int) -> int:
    return zlib.crc32(b"%d" % key) & (SLOTS - 1)


class Shop:
    """One adopted shard with 200 orders, whose ids the server counts."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        fleet.add("s1", instance="a")
        counted = " AUTOINCREMENT" if fleet.kind == "sqlite" else ""
        fleet.sql(
            "s1",
            f"CREATE TABLE orders (id {NUMBERS[fleet.kind]} PRIMARY KEY{counted}, k INT, x INT)",
        )
        for number in range(1, 201):
            fleet.sql("s1", f"INSERT INTO orders VALUES ({number}, {number}, 0)")
        path = fleet.write_config()
        path.write_text("map_max_age_s: 0.02\n" + path.read_text())
        self.store = FileStore(path)
        with self.operations() as operations:
            plan = operations.plan_adopt(
                "s1",
                instance="a",
                database=fleet.database("s1"),
                mapping="by_k",
                key="k",
                key_type="int",
                tables=[("orders", None)],
                slot_count=SLOTS,
            )
            operations.apply(plan)

    def operations(self) -> Operations:
        return Operations(self.store.load()[0], store=self.store)

    def split(self, source: str, target: str) -> None:
        with self.operations() as operations:
            operations.apply(operations.plan_split(source, target, freeze=True))
        self.learn(target)

    def learn(self, shard: str) -> None:
        """Let the fleet know, and drop, a database that an operation has made."""
        found = self.store.load()[0].shards[shard]
        self.fleet._places[shard] = (found.instance, found.database)

    def keys(self, *shards: str) -> list[int]:
        return sorted(row[0] for s in shards for row in self.fleet.sql(s, "SELECT k FROM orders"))

    def insert(self, shard: str, key: int) -> int:
        """Insert a row as an application does, and return the id that it got."""
        with closing(self.fleet.connect(shard)) as connection:
            if self.fleet.kind == "sqlite":
                prepare_sqlite(connection)
            cursor = connection.cursor()
            cursor.execute(f"INSERT INTO orders (k, x) VALUES ({key}, 1)")
            return int(cursor.lastrowid)

    def key_of(self, shard: str) -> int:
        """Return a key that the map gives to a shard, above all that are there."""
        with self.operations() as operations:
            owners = operations._config.mapping("by_k").owners
        return next(key for key in range(1_000, 2_000) if owners[slot_of(key)] == shard)


@pytest.fixture
def shop(backend: Fleet) -> Shop:
    return Shop(backend)


def stopped_at(shop: Shop, kind: StepKind, plan: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Apply a plan in a process that ends after a step's effect and before its record."""
    runner = _engine.RUNNERS[kind]

    def run(work: Any, step: Any) -> Any:
        runner.run(work, step)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        changed = _runner.Runner(run, runner.undo, runner.is_done)
        patched.setattr(_engine, "RUNNERS", {**_engine.RUNNERS, kind: changed})
        with shop.operations() as operations, pytest.raises(StoppedError):
            operations.apply(plan)
    with shop.operations() as operations:
        return next(state.id for state in operations.list() if not state.is_ended)


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
            runner = _engine.RUNNERS[StepKind.FLIP]

            def run(work: Any, step: Any) -> Any:
                runner.run(work, step)
                raise KeyboardInterrupt

            with monkeypatch.context() as patched, shop.operations() as others:
                runners = {**_engine.RUNNERS, StepKind.FLIP: _runner.Runner(run)}
                patched.setattr(_engine, "RUNNERS", runners)
                with pytest.raises(StoppedError):
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
            operations.apply(operations.plan_move("s2", "s1", slots="0", freeze=True))
        assert operations._config.mapping("by_k").owners == owners

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
        runner = _engine.RUNNERS[StepKind.PRUNE_PAGES]

        def prune_and_end(work: Any, step: Any) -> Any:
            runner.run(work, step)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            changed = _runner.Runner(prune_and_end)
            runners = {**_engine.RUNNERS, StepKind.PRUNE_PAGES: changed}
            patched.setattr(_engine, "RUNNERS", runners)
            with pytest.raises(StoppedError):
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
