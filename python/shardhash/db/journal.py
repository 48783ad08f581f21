"""The journal of an operation: what was planned, begun and done, so that it can be resumed.

Records are only ever appended, each under the next number: of two processes that go on with one
operation, the later one to write is refused. "Done" is written after the effect, so a step that was
begun may be done: whoever resumes looks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shardhash.db.plan import Plan, Progress, StepKind
from shardhash.db.stores import ConfigStore
from shardhash.errors import UsageError

__all__ = [
    "Event",
    "Journal",
    "OperationState",
    "Phase",
    "abort_order",
    "read_operations",
    "read_progress",
    "request_pause",
]

_REQUESTS = ".requests"


class Event(StrEnum):
    """What a record of the journal says happened."""

    PLANNED = "planned"
    TAKEN_OVER = "taken_over"
    BEGUN = "begun"
    CONFIG = "config"
    DONE = "done"
    ABORTING = "aborting"
    UNDONE = "undone"
    STOPPED = "stopped"
    ENDED = "ended"


class Phase(StrEnum):
    """Where an operation is."""

    UNFINISHED = "unfinished"
    ABORTING = "aborting"
    DONE = "done"
    ABORTED = "aborted"
    REFUSED = "refused"
    UNDONE = "undone"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationState:
    """An operation as its journal tells it.

    Attributes:
        begun: positions of the steps that were begun, done or not.
        done: what each done step said, by position.
        undone: positions of steps that abort has taken back.
        holder: ``user@host:pid`` of the last process at work.
        message: why it stopped, where it did.
        mend: what to do about that before it can go on; empty where nothing is.
        rows_in_step: the rows of that step that were done then.
        taken_at: the number of the record by which that process took it.
        instead_of: the operation that it turns around, where it is an undo.
    """

    id: str
    plan: Plan
    phase: Phase
    holder: str
    started_at: datetime
    changed_at: datetime
    begun: frozenset[int] = frozenset()
    done: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    undone: frozenset[int] = frozenset()
    message: str = ""
    mend: str = ""
    rows_in_step: int = 0
    taken_at: int = 0
    instead_of: str = ""
    report: Mapping[str, Any] | None = None

    @property
    def is_ended(self) -> bool:
        """Tell whether nothing is left to do."""
        return self.phase not in (Phase.UNFINISHED, Phase.ABORTING)

    @property
    def is_at_work(self) -> bool:
        """Tell whether a process works on it, or was killed: it has not said why it stopped."""
        return not (self.is_ended or self.message)

    @property
    def position(self) -> int:
        """Return the position of the first step that is not done."""
        return next((i for i in range(len(self.plan.steps)) if i not in self.done), len(self.done))

    @property
    def to_take_back(self) -> tuple[int, ...]:
        """Return the positions of the steps that abort has yet to take back, in its order."""
        left = self.begun - self.undone
        return tuple(sorted(left, key=lambda position: abort_order(self.plan, position)))

    @property
    def progress(self) -> Progress:
        """Return how far it is by its journal alone, which counts no rows."""
        steps = self.plan.steps
        if self.phase is Phase.ABORTING:
            phase, phases, left = len(self.undone) + 1, len(self.begun), self.to_take_back
            title = f"take back: {steps[left[0]].title}" if left else ""
        else:
            phase, phases = self.position + 1, len(steps)
            title = steps[self.position].title if phase <= phases else ""
        return Progress(
            operation=self.plan.operation,
            phase=min(phase, phases),
            phases=phases,
            title=title or "all steps are done, and it cleans up",
            rows_done=0,
            rows_about=0,
            rows_per_s=0.0,
            eta_s=None,
        )

    @property
    def is_past_return(self) -> bool:
        """Tell whether a step that abort cannot take back was begun."""
        point = self.plan.point_of_no_return
        return point is not None and any(position >= point for position in self.begun)


def abort_order(plan: Plan, position: int) -> tuple[bool, int]:
    """Sort what was fenced first, as writers wait for it; the rest is taken back in reverse."""
    return plan.steps[position].kind is not StepKind.FENCE, -position


class Journal:
    """The journal of one operation that this process works on.

    Without a store the records live as long as the object: then nothing can be resumed.
    """

    def __init__(self, store: ConfigStore | None, operation: str) -> None:
        self._store = store
        self.operation = operation
        self._records: list[Mapping[str, Any]] = []
        if store is not None:
            self._records += [entry.record for entry in store.read_journal(operation)]
        self._requests = len(store.read_journal(operation + _REQUESTS)) if store else 0

    def append(self, event: Event, **values: object) -> None:
        """Write the next record; it is safe when this returns.

        Raises:
            LeaseLostError: another process has written since this one read the journal.
        """
        record = {"event": event.value, **values}
        if self._store is not None:
            self._store.append_journal(self.operation, len(self._records), record)
        self._records.append(record)

    def save_progress(self, progress: Progress) -> None:
        """Leave in the store how far the operation is, for who follows it from elsewhere.

        Raises:
            StoreError: the store does not answer.
        """
        if self._store is not None:
            record = {"records": len(self._records), **asdict(progress)}
            self._store.save_progress(self.operation, record)

    def pause_requested_by(self) -> str | None:
        """Ask the store who wants the operation to pause since it was taken; None: nobody does."""
        if self._store is None:
            return None
        requests = self._store.read_journal(self.operation + _REQUESTS)[self._requests :]
        return str(requests[-1].record["author"]) if requests else None


def request_pause(store: ConfigStore, operation: str, *, author: str) -> None:
    """Ask the process that works on an operation to stop at its next batch."""
    name = operation + _REQUESTS
    store.append_journal(name, len(store.read_journal(name)), {"event": "pause", "author": author})


def read_operations(
    store: ConfigStore, names: Sequence[str] | None = None
) -> Iterator[OperationState]:
    """Yield the operations of a store, the oldest first; those named, or all.

    Raises:
        UsageError: one that is named does not exist.
    """
    known = [name for name in store.list_journals() if not name.endswith(_REQUESTS)]
    for name in known if names is None else names:
        if name not in known:
            raise UsageError(
                f"there is no operation {name!r}",
                next_step="shardhash op list --all shows those there are",
            )
        yield _state(store, name)


def read_progress(store: ConfigStore, state: OperationState) -> Progress:
    """Return how far an operation is: as its process said last, if that was at its present step.

    Args:
        store: where the operation is.
        state: of the operation, read from there before.
    """
    by_journal, saved = state.progress, store.read_progress(state.id)
    if saved is None:
        return by_journal
    record: dict[str, Any] = dict(saved.record)
    is_of_this_run = record.pop("records") > state.taken_at
    progress = Progress(**record)
    is_of_this_step = (progress.phase, progress.title) == (by_journal.phase, by_journal.title)
    return progress if is_of_this_run and is_of_this_step else by_journal


def _state(store: ConfigStore, name: str) -> OperationState:
    entries = store.read_journal(name)
    first, last = entries[0], entries[-1]
    state: dict[str, Any] = {
        "phase": Phase.UNFINISHED,
        "holder": "",
        "message": "",
        "mend": "",
        "rows_in_step": 0,
        "taken_at": 0,
        "report": None,
    }
    begun: set[int] = set()
    done: dict[int, Mapping[str, Any]] = {}
    undone: set[int] = set()
    for entry in entries:
        record: Mapping[str, Any] = entry.record
        match Event(str(record["event"])):
            case Event.PLANNED | Event.TAKEN_OVER:
                state |= {
                    "holder": record["holder"],
                    "message": "",
                    "mend": "",
                    "rows_in_step": 0,
                    "taken_at": entry.number,
                }
            case Event.BEGUN:
                begun.add(record["step"])
            case Event.DONE:
                done[record["step"]] = record["result"]
            case Event.ABORTING:
                state["phase"] = Phase.ABORTING
            case Event.UNDONE:
                undone.add(record["step"])
            case Event.STOPPED:
                state |= {
                    "message": record["message"],
                    "mend": record.get("next", ""),
                    "rows_in_step": record.get("rows", 0),
                }
            case Event.ENDED:
                state |= {"phase": Phase(record["phase"]), "report": record.get("report")}
            case Event.CONFIG:
                pass
    return OperationState(
        id=name,
        instead_of=str(first.record.get("instead_of", "")),
        plan=Plan.from_json(first.record["plan"]),
        started_at=first.written_at,
        changed_at=last.written_at,
        begun=frozenset(begun),
        done=done,
        undone=frozenset(undone),
        **state,
    )
