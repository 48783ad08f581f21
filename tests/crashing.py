"""Kill an operation at each of its events, go on in another process, and compare whole clusters."""

import hashlib
import os
import pickle
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from crash_cases import AnyCluster, Case, open_cluster
from crash_points import Points, install, is_boundary
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
    """One event of the run that was never killed; ``is_new``: what a kill leaves differs by then."""

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


def in_child(body: Callable[[], None], failure: Path) -> int:
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
        self.tally = Tally(case.name, cluster.kind, len(self.events))

    def try_resume(self, number: int, second: int | None = None) -> None:
        """Kill at an event, go on to the end, and compare; `second` is where going on is killed."""
        self._kill(number)
        what = "resume"
        if second is not None:
            what = "second kill"
            state = self._new_operation()
            if state is not None and not state.is_ended:
                self._run(self._go_on, second)
        self._finish(number, what, self._go_on, self.after)

    def try_abort(self, number: int) -> None:
        """Kill at an event, take back, and compare."""
        self._kill(number)
        self._finish(number, "abort", self._take_back, None)

    def _finish(
        self, number: int, what: str, go_on: Callable[[], Any], expected: Picture | None
    ) -> None:
        self.tally.killed[what] += 1
        event = self.events[min(number, len(self.events)) - 1]
        where = f"{self.case.name} on {self.cluster.kind}, {what} at {number} {event.label}"
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


def drawn_events(events: Sequence[Event], chance: Random, count: int) -> list[int]:
    """Return some events at which steps begin or end, and as many others, in order."""
    boundaries = [event.number for event in events if is_boundary(event.label)]
    others = [event.number for event in events if not is_boundary(event.label)]
    chosen = [
        number
        for numbers in (boundaries, others)
        for number in chance.sample(numbers, min(count, len(numbers)))
    ]
    return sorted(chosen)
