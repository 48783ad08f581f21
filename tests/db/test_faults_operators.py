"""Two who work on the same shards: one is refused, or comes too late and changes nothing."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from faults import FaultShop, small_steps
from servers import Fleet, MySQLFleet, SQLiteFleet, wait_until
from shardhash.db.executor import _engine, _leases, _runner
from shardhash.db.plan import Plan, StepKind
from shardhash.errors import ConfigError, LeaseLostError, PreflightError, RefusedError

SCRIPT = Path(__file__).parents[1] / "operator_process.py"
SHORT_S = 0.5
FLIP, STEPS = 11, 17
LOST = "lost the lease|was to be changed with token|was written by another process"


@dataclass
class Operator:
    """A process that runs the command, and what it has said."""

    process: subprocess.Popen[str]
    errors: Path
    is_stopped: bool = field(default=False)

    def waits_in(self, words: str) -> None:
        """Wait until it is held back in a step."""

        def is_there() -> bool:
            assert self.process.poll() is None, self.errors.read_text()
            return any(words in event["title"] and event["throttled"] for event in self._events())

        wait_until(is_there, what=f"an operator in {words}", limit_s=60)

    def stop(self, state: Path) -> None:
        """Let it sleep, as a machine that swaps, or is moved, does; not while it has the store."""
        while True:
            self.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)
            if _is_free(state):
                return
            self.wake()

    def wake(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> tuple[int, dict[str, Any]]:
        """Return its exit code and its one JSON object."""
        out, _ = self.process.communicate(timeout=120)
        return self.process.returncode, json.loads(out)

    def _events(self) -> list[dict[str, Any]]:
        lines = self.errors.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]


def _is_free(state: Path) -> bool:
    with closing(sqlite3.connect(state, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


Start = Callable[..., Operator]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the command in the shop's directory."""
    with ExitStack() as stack:

        def run(*words: str, ttl_s: float = 30.0, keeper: bool = True) -> Operator:
            errors = tmp_path / f"{len(list(tmp_path.glob('*.errors')))}.errors"
            kept = "keeper" if keeper else "no-keeper"
            with errors.open("w") as file:
                process = subprocess.Popen(
                    [sys.executable, SCRIPT, str(ttl_s), kept, *words, "--json"],
                    cwd=tmp_path,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=file,
                    text=True,
                )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return Operator(process, errors)

        yield run


@pytest.fixture
def shop(backend: Fleet, monkeypatch: pytest.MonkeyPatch) -> FaultShop:
    small_steps(monkeypatch)
    return FaultShop(backend)


def split(shop: FaultShop, *words: str) -> list[str]:
    """Return the words that split s1."""
    shop.known(shop.plan())
    return ["shard", "split", "s1", "s2", "--instance", "b", "--freeze", "--apply", *words]


def everything(shop: FaultShop, *shards: str) -> Any:
    """Return all that an operation can change."""
    tables = ("orders", "items")
    records = ("_shardhash_pass", "_shardhash_copies", "_shardhash_pages")
    return (
        shop.store.read_text(),
        {shard: [shop.table(shard, table) for table in tables] for shard in shards},
        {shard: shop.states(shard) for shard in shards},
        {
            shard: [shop.table(shard, shop.control(shard, name)) for name in records]
            for shard in shards
        },
        shop.databases(),
    )


@pytest.mark.parametrize(
    ("then", "keeper"),
    [("resume", True), ("resume", False), ("abort", False)],
    ids=["finished", "finished, no renewal", "taken back, no renewal"],
)
def test_a_process_that_slept_past_its_lease_changes_nothing_when_it_wakes(
    shop: FaultShop, start: Start, tmp_path: Path, then: str, keeper: bool
) -> None:
    pause = tmp_path / "pause"
    pause.touch()
    first = start(*split(shop, "--pause-file", str(pause)), ttl_s=SHORT_S, keeper=keeper)
    first.waits_in("copy orders")
    first.stop(tmp_path / ".shardhash.yaml.state.db")
    shop.wait_for_lease("s1")

    getattr(shop, then)()
    shards = ("s1", "s2") if then == "resume" else ("s1",)
    before = everything(shop, *shards)
    pause.unlink()
    first.wake()
    code, said = first.end()

    assert code == 4, said
    assert said["error"]["code"] == "lease_lost"
    assert re.search(LOST, said["error"]["message"])
    assert said["error"]["next"]
    assert everything(shop, *shards) == before
    if then == "resume":
        shop.check_split()
    else:
        shop.check_taken_back()


def taken_over(
    shop: FaultShop,
    monkeypatch: pytest.MonkeyPatch,
    plan: Plan,
    number: int,
    then: str,
    *shards: str,
) -> tuple[str, Any, Any]:
    """Apply a plan of which a step is taken over between its record and its effect.

    Returns the step's title, and everything as whoever took over left it, and at the end.
    """
    kind = plan.steps[number].kind
    runner = _engine.RUNNERS[kind]
    left: list[Any] = []

    def sleep_first(work: Any, step: Any) -> Any:
        if step == plan.steps[number] and not left:
            left.append(None)
            getattr(shop, then)()
            left[0] = everything(shop, *shards)
        return runner.run(work, step)

    changed = _runner.Runner(sleep_first, runner.undo, runner.is_done)
    with monkeypatch.context() as patched:
        patched.setattr(_engine, "RUNNERS", {**_engine.RUNNERS, kind: changed})
        patched.setattr(_leases.Leases, "_renew", lambda _: None)
        patched.setitem(_leases.Leases.__init__.__kwdefaults__, "ttl_s", 0.0)
        with pytest.raises(LeaseLostError):
            shop.apply(plan)
    return plan.steps[number].title, left[0], everything(shop, *shards)


@pytest.mark.parametrize(
    ("number", "then"),
    [*((n, "resume") for n in range(STEPS)), *((n, "abort") for n in range(FLIP))],
)
def test_whoever_is_taken_over_at_a_step_changes_nothing_more(
    sqlite_fleet: SQLiteFleet, monkeypatch: pytest.MonkeyPatch, number: int, then: str
) -> None:
    small_steps(monkeypatch)
    shop = FaultShop(sqlite_fleet)

    shards = ("s1", "s2") if then == "resume" else ("s1",)
    title, left, found = taken_over(shop, monkeypatch, shop.plan(), number, then, *shards)

    assert found == left, title


@pytest.mark.parametrize("kind", [StepKind.FENCE, StepKind.COPY])
def test_a_batch_that_comes_after_an_abort_leaves_nothing_behind(
    shop: FaultShop, monkeypatch: pytest.MonkeyPatch, kind: StepKind
) -> None:
    """Here the target stays, so that only the token keeps the late rows and states out."""
    with shop.operations() as operations:
        plan = operations.plan_allocate("s2", instance="b", mapping="by_k")
        operations.apply(shop.known(plan))
    with shop.operations() as operations:
        plan = operations.plan_move("s1", "s2", slots="8-15", freeze=True)
    number = next(i for i, step in enumerate(plan.steps) if step.kind is kind)

    title, left, found = taken_over(shop, monkeypatch, plan, number, "abort", "s1", "s2")

    assert found == left, title
    assert shop.table("s2", "orders") == []
    assert set(shop.states("s1").values()) == {"owned"}


def test_of_two_processes_that_apply_one_plan_only_one_does(
    shop: FaultShop, start: Start, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(shop.plan().to_json()))

    both = [start("apply", str(plan)) for _ in range(2)]
    ended = [each.end() for each in both]

    codes = sorted(code for code, _ in ended)
    assert codes == [0, 3], ended
    (refused,) = [said["error"] for code, said in ended if code == 3]
    assert refused["code"] in ("lease_held", "stale_plan"), refused
    shop.check_split()


def test_whoever_comes_second_to_a_shard_is_told_who_is_at_work_there(
    shop: FaultShop, start: Start, tmp_path: Path
) -> None:
    pause = tmp_path / "pause"
    pause.touch()
    first = start(*split(shop, "--pause-file", str(pause)))
    first.waits_in("copy orders")

    code, said = start("shard", "prune", "s1", "--apply").end()
    assert code == 3
    assert said["error"]["code"] == "lease_held"
    who = rf"\S+:{first.process.pid}\.\d+"
    told = rf"shard/s1 is being worked on by {who}; its lease ends in \d+ s unless it is renewed"
    assert re.search(told, said["error"]["message"])
    code, said = start("op", "resume", shop.unfinished()).end()
    assert (code, said["error"]["code"]) == (3, "lease_held")
    pause.unlink()
    code, said = first.end()
    assert code == 0, said

    shop.check_split()


def test_operations_on_other_shards_run_meanwhile(
    shop: FaultShop, start: Start, tmp_path: Path
) -> None:
    """The quarter of s1 goes to s3 while that of s2 goes to s4, and each has its rows."""
    shop.apply()
    pause = tmp_path / "pause"
    pause.touch()
    words = ["--freeze", "--apply"]
    first = start(
        "shard", "split", "s1", "s3", "--instance", "b", *words, "--pause-file", str(pause)
    )
    first.waits_in("copy orders")

    code, said = start("shard", "split", "s2", "s4", "--instance", "a", *words).end()
    assert code == 0, said
    pause.unlink()
    code, said = first.end()
    assert code == 0, said

    for name, at in shop.placement()["shards"].items():
        shop.fleet._places[name] = (at["instance"], at["database"])  # type: ignore[attr-defined]
    shop.check_owners({"s1": "0-3", "s2": "8-11", "s3": "4-7", "s4": "12-15"})


SWAPPED = "the database of shard s[12] says that it is shard s[12] of test: addresses or databases"


@pytest.mark.parametrize("change", ["move", "prune", "drain", "guard", "clone"])
def test_two_addresses_that_were_exchanged_are_found_before_anything_is_done(
    shop: FaultShop, change: str
) -> None:
    plan = shop.plan(database=shop.fleet.database("s1"))
    shop.apply(plan)
    planners = {
        "move": lambda each: each.plan_move("s1", "s2", slots="0-3", freeze=True),
        "prune": lambda each: each.plan_prune("s1"),
        "drain": lambda each: each.plan_remove("s2", drain=True, freeze=True),
        "guard": lambda each: each.plan_guard("by_k", wanted=False),
        "clone": lambda each: each.plan_clone("s1", "s9"),
    }
    text, version = shop.store.read_text()
    before = everything(shop, "s1", "s2")[1:]
    shop.store.save(exchanged(text), expect=version)

    with shop.operations() as operations, pytest.raises(PreflightError, match=SWAPPED) as refused:
        planners[change](operations)

    assert refused.value.exit_code == 3
    assert refused.value.next_step.startswith("correct instance and database of s")
    assert everything(shop, "s1", "s2")[1:] == before


def test_addresses_that_are_exchanged_between_plan_and_apply_make_it_stale(shop: FaultShop) -> None:
    shop.apply(shop.plan(database=shop.fleet.database("s1")))
    with shop.operations() as operations:
        plan = operations.plan_prune("s1")
    text, version = shop.store.read_text()
    shop.store.save(exchanged(text), expect=version)

    with shop.operations() as operations, pytest.raises(RefusedError) as refused:
        operations.apply(plan)

    assert refused.value.exit_code == 3


def exchanged(text: str) -> str:
    """Return a configuration in which the addresses of a and b are exchanged."""
    first, second = re.findall(r'^  [ab]: (\{"url.*\})$', text, flags=re.M)
    return text.replace(first, "!").replace(second, first).replace("!", second)


@pytest.mark.server
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.1", "socket"])
def test_two_names_of_one_database_are_refused(mysql_fleet: MySQLFleet, name: str) -> None:
    """By the configuration where the text tells it, else by what the server says of itself."""
    shop = FaultShop(mysql_fleet)
    server = mysql_fleet.server("s1")
    if name == "socket" and server.unix_socket is None:
        pytest.skip("the server that was given is reached by TCP alone")
    shop.apply()
    address = f"unix_socket: {server.unix_socket}" if name == "socket" else (
        f"host: '{name}', port: {server.port}, tls: disabled"
    )  # fmt: skip
    text = shop.store.read_text()[0]
    text = text.replace("instances:\n", f"instances:\n  c: {{{address}, user: root}}\n")
    text = text.replace("instance: b", "instance: c")
    shop.path.write_text(text.replace(mysql_fleet.database("s2"), mysql_fleet.database("s1")))

    same = "is the database of shard s1 too|shards s1 and s2 are one and the same database"
    with pytest.raises(RefusedError, match=same) as refused, shop.operations() as operations:
        operations.plan_prune("s1")

    assert refused.value.exit_code == 3
    told_by_text = name in ("localhost", "127.0.0.1")
    assert isinstance(refused.value, ConfigError if told_by_text else PreflightError)
