"""What ``op list`` and ``op show`` say to type is taken, however an operation stands."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from in_process import Caller
from moving import Shop, dying_after, stopped_at
from servers import SQLiteFleet
from shardhash.db import operations as undoing
from shardhash.db.executor import _engine, _work
from shardhash.db.executor._runner import Runner
from shardhash.db.journal import Event, Journal, request_pause
from shardhash.db.plan import StepKind
from shardhash.db.stores import FileStore, default_author
from shardhash.errors import DatabaseError, StoppedError

DEAD = f"{default_author()}:{2**22 + 1}.1"
ELSEWHERE = "ops@elsewhere:1.1"


class Stage:
    """A shop of two shards, what can happen to its operations, and the command."""

    def __init__(self, shop: Shop, patch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        self.patch = patch

    def stopped(self, kind: StepKind) -> str:
        """A move that ended after the effect of a step."""
        with self.shop.operations() as operations:
            plan = operations.plan_move("s1", "s2", slots="0-3", freeze=True)
        return stopped_at(self.shop, kind, plan, self.patch)

    def taken_by(self, operation: str, holder: str) -> None:
        """Another process takes it, and says no more."""
        Journal(self.shop.store, operation).append(Event.TAKEN_OVER, holder=holder)

    def killed(self, kind: StepKind) -> None:
        self.taken_by(self.stopped(kind), DEAD)

    def killed_elsewhere(self) -> None:
        self.taken_by(self.stopped(StepKind.COPY), ELSEWHERE)

    def failed(self, kind: StepKind) -> None:
        """A move whose server fails in a step."""

        def fail(work: Any, step: Any) -> Any:
            raise DatabaseError("connection lost", next_step="start the server of s1")

        with self.shop.operations() as operations, self.patch.context() as patched:
            plan = operations.plan_move("s1", "s2", slots="0-3", freeze=True)
            patched.setattr(_engine, "RUNNERS", {**_engine.RUNNERS, kind: Runner(fail)})
            with pytest.raises(StoppedError):
                operations.apply(plan)

    def paused(self) -> None:
        """A move that somebody has asked to pause."""

        def pause(progress: Any) -> None:
            (name,) = (s.id for s in operations.list() if not s.is_ended)
            request_pause(self.shop.store, name, author="ops")

        with self.shop.operations() as operations, self.patch.context() as patched:
            patched.setattr(_work, "_LOOK_FOR_REQUESTS_S", 0.0)
            plan = operations.plan_move("s1", "s2", slots="0-3", freeze=True)
            with pytest.raises(StoppedError, match="asked for a pause"):
                operations.apply(plan, progress=pause)

    def fence_lost(self) -> None:
        """A move whose shard has forgotten the fence: going on meets the same again."""
        operation = self.stopped(StepKind.COPY)
        self.shop.fleet.sql("s1", "UPDATE _shardhash_slots SET state = 'owned' WHERE slot = 0")
        with self.shop.operations() as operations, pytest.raises(StoppedError, match="not fenced"):
            operations.resume(operation)

    def aborting(self) -> None:
        """A move whose abort has stopped."""
        operation = self.stopped(StepKind.VERIFY)
        copy = _engine.RUNNERS[StepKind.COPY]

        def fail(work: Any, step: Any) -> None:
            raise DatabaseError("connection lost", next_step="start the server of s2")

        with self.shop.operations() as operations, self.patch.context() as patched:
            changed = {**_engine.RUNNERS, StepKind.COPY: Runner(copy.run, fail)}
            patched.setattr(_engine, "RUNNERS", changed)
            with pytest.raises(StoppedError):
                operations.abort(operation)

    def flip_unsaid(self) -> None:
        """A move that began to flip, and did not."""

        def fail(work: Any, step: Any) -> Any:
            raise KeyboardInterrupt

        with self.shop.operations() as operations, self.patch.context() as patched:
            plan = operations.plan_move("s1", "s2", slots="0-3", freeze=True)
            flip = _engine.RUNNERS[StepKind.FLIP]
            changed = {**_engine.RUNNERS, StepKind.FLIP: Runner(fail, flip.undo, flip.is_done)}
            patched.setattr(_engine, "RUNNERS", changed)
            with pytest.raises(StoppedError):
                operations.apply(plan)

    def undo_stopped(self, kind: StepKind) -> str:
        """A move whose undo has stopped."""
        operation = self.stopped(StepKind.HOLD)
        with dying_after(kind, self.patch), self.shop.operations() as operations:
            operations.undo(operation)
        return operation

    def undo_at_work_elsewhere(self) -> None:
        """A move whose undo another machine had begun, and was killed."""
        self.undo_stopped(StepKind.FENCE)
        with self.shop.operations() as operations:
            (undo,) = (s.id for s in operations.list() if s.instead_of)
        self.taken_by(undo, ELSEWHERE)

    def _plan_undo(self, operation: str) -> None:
        """Write down an undo as a process does that writes no more."""
        config = self.shop.store.load()[0]
        with self.shop.operations() as operations:
            plan = undoing.undo_plan(
                self.shop.store, config, operation, operations._reader.fingerprints
            )
        Journal(self.shop.store, "undo-1").append(
            Event.PLANNED, plan=plan.to_json(), holder=DEAD, instead_of=operation
        )

    def overtaken(self, *, stop: StepKind | None) -> None:
        """An undo whose move was resumed before it could begin, to its end or into its prune."""
        operation = self.stopped(StepKind.HOLD)
        check = _engine.Engine._check_frozen

        def check_and_plan_undo(engine: Any, work: Any, state: Any) -> None:
            check(engine, work, state)
            self._plan_undo(operation)

        with self.shop.operations() as operations, self.patch.context() as patched:
            patched.setattr(_engine.Engine, "_check_frozen", check_and_plan_undo)
            if stop is None:
                operations.resume(operation)
            else:
                with dying_after(stop, self.patch):
                    operations.resume(operation)

    def drain(self, kind: StepKind) -> None:
        """A drain to two other shards: it cannot be turned around."""
        self.shop.split("s1", "s3")
        with self.shop.operations() as operations:
            plan = operations.plan_remove("s2", drain=True, freeze=True)
        stopped_at(self.shop, kind, plan, self.patch)

    def prune(self, *, quarantine: bool, is_done: bool) -> str:
        """A prune of one foreign row."""
        key = self.shop.key_of("s2")
        for shard in ("s1", "s2"):
            for name in self._triggers(shard):
                self.shop.fleet.sql(shard, f"DROP TRIGGER {name}")
            self.shop.fleet.sql(shard, f"INSERT INTO orders VALUES (5000, {key}, 1)")
        with self.shop.operations() as operations:
            plan = operations.plan_prune("s1", quarantine=quarantine)
            if not is_done:
                return stopped_at(self.shop, StepKind.PRUNE, plan, self.patch)
            return operations.apply(plan).id

    def _triggers(self, shard: str) -> list[str]:
        found = self.shop.fleet.sql(shard, "SELECT name FROM sqlite_master WHERE type = 'trigger'")
        return [row[0] for row in found]

    def restore_stopped(self) -> None:
        """The undo of a prune, stopped."""
        operation = self.prune(quarantine=True, is_done=True)
        with dying_after(StepKind.RESTORE, self.patch), self.shop.operations() as operations:
            operations.undo(operation)

    def allocate(self) -> None:
        with self.shop.operations() as operations:
            plan = operations.plan_allocate("s3", instance="a", mapping="by_k")
        stopped_at(self.shop, StepKind.CREATE_TABLES, plan, self.patch)

    def clone(self) -> None:
        with self.shop.operations() as operations:
            plan = operations.plan_clone("s1", "s3")
        stopped_at(self.shop, StepKind.COPY_SNAPSHOT, plan, self.patch)


STATES: dict[str, Callable[[Stage], object]] = {
    **{
        f"stopped-{kind}": lambda stage, kind=kind: stage.stopped(kind)
        for kind in (
            StepKind.FENCE, StepKind.COPY, StepKind.FLIP, StepKind.HOLD, StepKind.PRUNE_PAGES
        )
    },
    **{
        f"killed-{kind}": lambda stage, kind=kind: stage.killed(kind)
        for kind in (StepKind.VERIFY, StepKind.OPEN, StepKind.PRUNE_PAGES)
    },
    "killed-elsewhere": Stage.killed_elsewhere,
    "failed-copy": lambda stage: stage.failed(StepKind.COPY),
    "failed-prune": lambda stage: stage.failed(StepKind.PRUNE_PAGES),
    "paused": Stage.paused,
    "fence-lost": Stage.fence_lost,
    "aborting": Stage.aborting,
    "flip-unsaid": Stage.flip_unsaid,
    **{
        f"undo-stopped-{kind}": lambda stage, kind=kind: stage.undo_stopped(kind)
        for kind in (StepKind.FENCE, StepKind.COPY, StepKind.FLIP, StepKind.HOLD)
    },
    "undo-killed-elsewhere": Stage.undo_at_work_elsewhere,
    "overtaken-by-the-end": lambda stage: stage.overtaken(stop=None),
    "overtaken-by-the-prune": lambda stage: stage.overtaken(stop=StepKind.PRUNE_PAGES),
    "drain-copied": lambda stage: stage.drain(StepKind.VERIFY),
    "drain-flipped": lambda stage: stage.drain(StepKind.FLIP),
    "prune-stopped": lambda stage: stage.prune(quarantine=False, is_done=False),
    "quarantine-stopped": lambda stage: stage.prune(quarantine=True, is_done=False),
    "quarantine-done": lambda stage: stage.prune(quarantine=True, is_done=True),
    "restore-stopped": Stage.restore_stopped,
    "allocate": Stage.allocate,
    "clone": Stage.clone,
}  # fmt: skip


@pytest.fixture
def shop(sqlite_fleet: SQLiteFleet) -> Shop:
    shop = Shop(sqlite_fleet)
    shop.split("s1", "s2")
    return shop


def listed(call: Caller) -> dict[str, list[str]]:
    """Return what ``op list --all`` says to type, by operation."""
    lines = call("op", "list", "--all").stdout.splitlines()[1:]
    found = {}
    for line in lines:
        name, words = line.split()[0], line.rpartition("UTC  ")[2]
        command, *others = words.removesuffix(")").split(" (or ")
        base = command.split()
        found[name] = [command, *(" ".join([*base[:2], verb, base[3]]) for verb in others)]
    return {name: [each for each in words if each != "nothing"] for name, words in found.items()}


def shown(call: Caller, name: str) -> list[str]:
    """Return what ``op show`` says to type."""
    lines = call("op", "show", name).stdout.splitlines()
    commands = [line[6:].split(",")[0] for line in lines if line[:6] in ("Next: ", "  or: ")]
    return [each for each in commands if each != "nothing"]


def restore(kept: Path, directory: Path) -> None:
    """Let all files be as they were kept; one that is there stays the same file."""
    for path in directory.rglob("*"):
        if path.is_file() and not (kept / path.relative_to(directory)).exists():
            path.unlink()
    for path in kept.rglob("*"):
        if path.is_file():
            (directory / path.relative_to(kept)).write_bytes(path.read_bytes())


@pytest.mark.parametrize("state", STATES)
def test_what_an_operation_says_to_type_is_taken(
    state: str, shop: Shop, call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARDHASH_CONFIG", str(shop.store.path))
    STATES[state](Stage(shop, monkeypatch))
    kept = tmp_path.with_name(f"{tmp_path.name}-kept")
    shutil.copytree(tmp_path, kept)
    by_list = listed(call)
    commands = list(dict.fromkeys(each for words in by_list.values() for each in words))

    by_show = {name: shown(call, name) for name in by_list}
    answers = {}
    for command in commands:
        answers[command] = call(*command.split()[1:])
        restore(kept, tmp_path)

    assert commands
    assert {each: ended.stderr for each, ended in answers.items() if ended.exit_code} == {}
    assert by_show == by_list


@pytest.mark.parametrize("state", ["overtaken-by-the-prune", "undo-stopped-copy", "aborting"])
def test_typing_what_is_said_comes_to_an_end(
    state: str, shop: Shop, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARDHASH_CONFIG", str(shop.store.path))
    STATES[state](Stage(shop, monkeypatch))

    for _ in range(4):
        for words in listed(call).values():
            if words and not words[0].startswith("shardhash op undo"):
                with suppress(IndexError):
                    assert call(*words[0].split()[1:]).exit_code == 0
                break

    assert call("op", "list").stdout == "No operation is unfinished.\n"
    assert shop.keys("s1", "s2") == list(range(1, 201))


def test_process_of_another_machine_works_while_it_holds_its_leases(
    shop: Shop, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARDHASH_CONFIG", str(shop.store.path))
    stage = Stage(shop, monkeypatch)
    name = stage.stopped(StepKind.COPY)
    stage.taken_by(name, ELSEWHERE)
    lease = FileStore(shop.store.path).acquire_lease("shard/s1", holder=ELSEWHERE, ttl_s=600)

    assert shown(call, name) == [f"shardhash op watch {name}", f"shardhash op pause {name}"]
    assert call("op", "pause", name).exit_code == 0
    shop.store.renew_lease(lease, ttl_s=0)
    watched = call("op", "watch", name)
    assert watched.exit_code == 4
    assert f"operation {name} was killed" in watched.stderr
    assert shown(call, name) == [f"shardhash op resume {name}", f"shardhash op abort {name}"]
