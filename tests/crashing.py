"""Kill an operation at each of its events, go on in another process, and compare whole clusters."""

import hashlib
import os
import pickle
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from crash_cases import AnyCluster, Case, open_cluster
from crash_points import Points, install
from crash_states import Picture, differences
from shardhash.db.journal import OperationState
from shardhash.errors import RefusedError, ShardhashError

FINISHED, KILLED = 0, -signal.SIGKILL


def remember_parsed() -> None:
    """Parse no text of a configuration twice in this process and its children: they are values."""
    from shardhash.db import config
    from shardhash.db.config import _mask, _yaml, edit

    plain, known = _yaml.compose, {}

    def compose(text: str, *, source: str, duplicates: Any = None) -> Any:
        if text not in known:
            known[text] = plain(text, source=source, duplicates=duplicates)
        return known[text]

    for module in (config, _mask, edit):
        module.compose = compose  # type: ignore[attr-defined]


class ChildError(AssertionError):
    """A child process failed; the text is its traceback."""


@dataclass(frozen=True)
class Event:
    """One event of the run that was never killed; ``is_new``: a kill leaves another state."""

    number: int
    label: str
    is_new: bool


@dataclass
class Tally:
    """What became of the crash points of one operation on one kind of server."""

    case: str
    kind: str
    events: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        """How often a process was killed."""
        return sum(self.killed.values())

    def add(self, other: "Tally") -> None:
        """Add what another process has tried."""
        self.killed += other.killed
        self.faults += other.faults


def in_child(body: Callable[[], None], failure: Path, *, kill_after_s: float | None = None) -> int:
    """Run `body` in a forked child, and return 0, or the signal that ended it, negative."""
    failure.unlink(missing_ok=True)
    process = os.fork()
    if process == 0:
        code = 1
        try:
            body()
            code = 0
        except BaseException:
            failure.write_text(traceback.format_exc())
        finally:
            os._exit(code)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(process, signal.SIGKILL)  # until it is waited for, the number is its own
    _, status = os.waitpid(process, 0)
    result = os.waitstatus_to_exitcode(status)
    if result > 0:
        raise ChildError(failure.read_text())
    return result


class Crashes:
    """One operation on one cluster; the cluster is put back before each crash."""

    def __init__(self, cluster: AnyCluster, case: Case, base: Any, scratch: Path) -> None:
        self.cluster = cluster
        self.case = case
        self.base = base
        self._failure = scratch / f"failure-{os.getpid()}"
        self._trace = scratch / f"trace-{os.getpid()}"
        cluster.restore(base)
        self.before = cluster.picture()
        self.known = self._operations()
        self.events = self._count()
        self.after = self._settled_picture()
        self._duration_s = self._measure()
        self.tally = Tally(case.name, cluster.kind, len(self.events))

    def try_resume(self, number: int, second: int | None = None) -> None:
        """Kill at an event, go on to the end, and compare; `second` is where going on is killed."""
        self._kill(number)
        if second is None:
            self._finish("resume", self._place(number), self._go_on, self.after)
            return
        state = self._new_operation()
        if state is not None and not state.is_ended:
            self._run(self._go_on, second)
        where = f"{self._place(number)}, and at {second} of what went on"
        self._finish("second kill", where, self._go_on, self.after)

    def try_abort(self, number: int) -> None:
        """Kill at an event, take back, and compare."""
        self._kill(number)
        self._finish("abort", self._place(number), self._take_back, None)

    def try_moment(self, part: float) -> None:
        """Kill when `part` of the time has passed that the operation takes; resume, and compare."""
        self.cluster.restore(self.base)
        after_s = part * self._duration_s
        in_child(lambda: self._run_planned(Points()), self._failure, kill_after_s=after_s)
        self._settle()
        self._finish("moment", f"{after_s:.3f} s", self._go_on, self.after)

    def _place(self, number: int) -> str:
        return f"{number} {self.events[min(number, len(self.events)) - 1].label}"

    def _finish(
        self, what: str, place: str, go_on: Callable[[], Any], expected: Picture | None
    ) -> None:
        self.tally.killed[what] += 1
        where = f"{self.case.name} on {self.cluster.kind}, {what} at {place}"
        try:
            found = go_on()
            expected = expected or found
            present = self._settled_picture()
            clashes = [each for each in present["bands"] if each not in expected["bands"]]
            wrong = list(differences(expected, {**present, "bands": expected["bands"]})) + clashes
            wrong += self._left_behind()
        except ShardhashError as error:
            wrong = [f"stuck: {type(error).__name__}: {error}"]
        if wrong:
            self.tally.faults.append("\n  ".join([where, *wrong]))

    def _go_on(self) -> None:
        """Resume; where nothing was begun, plan and apply anew."""
        state = self._new_operation()
        with open_cluster(self.cluster) as opened:
            ops = opened.operations
            if state is None:
                self.case.apply(ops, self.case.plan(ops) if self.case.plan else None)
            elif not state.is_ended:
                ops.resume(state.id)

    def _take_back(self) -> Picture:
        """Abort, and return what is to be there: what was, or all where it cannot be aborted."""
        state = self._new_operation()
        if state is None:
            return self.before
        if state.is_ended:
            return self.after
        with open_cluster(self.cluster) as opened:
            try:
                opened.operations.abort(state.id)
            except RefusedError:
                opened.operations.resume(state.id)
                return self.after
        return self.before

    def _left_behind(self) -> Iterable[str]:
        """Yield what would be in the way of the next operation."""
        with open_cluster(self.cluster) as opened:
            unfinished = [each for each in opened.operations.list() if not each.is_ended]
        for state in unfinished:
            if state.id not in self.known:
                yield f"stuck: {state.id} is {state.phase.value}"
        if not unfinished:
            yield from _records(self._settled_picture())

    def _kill(self, number: int) -> None:
        self.cluster.restore(self.base)
        in_child(lambda: self._run_planned(Points(number)), self._failure)
        self._settle()

    def _run(self, body: Callable[[], None], die_at: int) -> None:
        """Run `body` in a child that is killed at an event of it."""

        def run() -> None:
            install(Points(die_at), self.cluster.kind)
            body()

        in_child(run, self._failure)
        self._settle()

    def _run_planned(self, points: Points) -> None:
        """Plan, then apply while `points` watch."""
        with open_cluster(self.cluster) as opened:
            plan = self.case.plan(opened.operations) if self.case.plan else None
            install(points, self.cluster.kind)
            self.case.apply(opened.operations, plan)

    def _count(self) -> list[Event]:
        """Run the operation to its end, and return its events."""
        events: list[Event] = []
        last = [b""]

        def note(number: int, label: str) -> None:
            digest = self._digest()
            events.append(Event(number, label, digest != last[0]))
            last[0] = digest

        def run() -> None:
            self._run_planned(Points(None, note))
            self._trace.write_bytes(pickle.dumps(events))

        in_child(run, self._failure)
        found: list[Event] = pickle.loads(self._trace.read_bytes())
        return found

    def _measure(self) -> float:
        """Return how many seconds the operation takes when nobody looks on."""
        self.cluster.restore(self.base)
        begun = time.monotonic()
        in_child(lambda: self._run_planned(Points()), self._failure)
        return time.monotonic() - begun

    def _digest(self) -> bytes:
        """Return what changes with the files, and with what the servers hold as committed."""
        saved = self.cluster.save()
        return hashlib.sha256(repr(sorted(saved.items())).encode()).digest()

    def _settle(self) -> None:
        if self.cluster.kind == "mysql":
            self.cluster.settle()

    def _settled_picture(self) -> Picture:
        self._settle()
        return self.cluster.picture()

    def _operations(self) -> set[str]:
        with open_cluster(self.cluster) as opened:
            return {state.id for state in opened.operations.list()}

    def _new_operation(self) -> OperationState | None:
        with open_cluster(self.cluster) as opened:
            found = [each for each in opened.operations.list() if each.id not in self.known]
        return found[-1] if found else None


def _records(picture: Picture) -> Iterable[str]:
    """Yield what is recorded of operations that have ended, if none is left to go on with."""
    for database, found in picture["databases"].items():
        for name in ("pass", "copies", "pages"):
            rows = found.get(f"rows of _shardhash_{name}", [])
            if rows:
                yield f"{database}: {len(rows)} rows left in _shardhash_{name}: {rows[:2]}"


@dataclass(frozen=True)
class Amount:
    """How many crash points of each kind are tried; None: all there are.

    ``resumes`` and ``aborts`` count the states that a kill can leave, ``second_kills`` drawn pairs
    of events, ``moments`` drawn times.
    """

    resumes: int | None = None
    aborts: int | None = None
    second_kills: int = 0
    moments: int = 0


def try_points(crashes: Crashes, amount: Amount, chance: Random, *, every: bool = False) -> None:
    """Try an amount of crash points; `every`: also at events that change nothing for a kill."""
    numbers = [event.number for event in crashes.events if event.is_new or every]
    for number in _drawn(numbers, amount.resumes, chance):
        crashes.try_resume(number)
    for number in _drawn(numbers, amount.aborts, chance):
        crashes.try_abort(number)
    for _ in range(amount.second_kills):
        crashes.try_resume(chance.choice(numbers), chance.randint(1, len(crashes.events)))
    for _ in range(amount.moments):
        crashes.try_moment(chance.random())


def _drawn(numbers: Sequence[int], count: int | None, chance: Random) -> list[int]:
    if count is None or count >= len(numbers):
        return list(numbers)
    return sorted(chance.sample(numbers, count))
