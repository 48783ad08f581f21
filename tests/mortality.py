"""Let a process die at an event without ending it, and rise again as another.

From its death on no statement, commit or write of the store reaches anything, so that what it would
still do to clean up has no effect either, as in a process that was killed.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

from crash_points import Points, install
from shardhash.db.executor import _engine, _leases
from shardhash.db.plan import Plan, StepKind

Moment = int | StepKind | None
"""When a process dies: at the event of a number, as a step of a kind begins, or never."""


class Death(BaseException):
    """The process is dead; nothing catches this."""


class Mortality(Points):
    """Events at which the process may die, by number or label, and after which it is dead."""

    is_dead = False
    deaths = 0
    die_at: int | str | None  # type: ignore[assignment]

    def reach(self, label: str) -> None:
        """Die at an event of the main thread, and stay dead in all."""
        if self.is_dead:
            raise Death(label)
        if self.die_at is None or current_thread() is not main_thread():
            return
        self.count += 1
        if self.die_at in (self.count, label):
            self.is_dead = True
            raise Death(label)

    @contextmanager
    def dying_at(self, when: Moment, plan: Plan) -> Iterator[None]:
        """Die at the event of a number, or as a step of a kind begins, if there is one."""
        self.die_at, self.count = when, 0
        if isinstance(when, StepKind):
            found = [i for i, step in enumerate(plan.steps) if step.kind is when]
            self.die_at = f"after journal begun {found[0]}" if found else None
        try:
            yield
        except Death:
            self.deaths += 1
        finally:
            self.die_at, self.is_dead = None, False


def bury() -> None:
    """Close what a dead process had open, as its system does: cursors are in cycles of frames."""
    gc.collect()


def install_mortality(kind: str) -> Mortality:
    """Let this process die and rise again. It changes classes for good."""
    points = Mortality()
    install(points, kind)

    def of_a_dead_process() -> str:
        """Return a holder of leases that is gone, as this process is after its death."""
        return f"{place.rpartition('.')[0]}.0"

    place = _leases.holder_of_this_process()
    for module in (_leases, _engine):
        module.holder_of_this_process = of_a_dead_process  # type: ignore[attr-defined]
    return points
