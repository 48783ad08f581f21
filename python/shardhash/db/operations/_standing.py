"""Where an operation stands: whether somebody works on it, and which commands it takes now.

What is offered here is what ``resume``, ``abort`` and ``undo`` take, as far as journals and
configuration tell; what only the shards know, such as a table that was altered, these say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from shardhash.db.config import Config
from shardhash.db.executor import holds_leases, is_alive, overtaker_of
from shardhash.db.journal import OperationState, Phase, read_progress
from shardhash.db.operations._undo import has_flipped, has_quarantined
from shardhash.db.plan import Progress, StepKind
from shardhash.db.stores import ConfigStore

__all__ = ["Choice", "Standing", "Verb", "is_at_work", "standing_of"]


class Verb(StrEnum):
    """What can be done with an operation, in the words of ``shardhash op``."""

    WATCH = "watch"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Choice:
    """A command that an operation takes as it stands; the operation may be its undo."""

    verb: Verb
    operation: str

    @property
    def command(self) -> str:
        """Return what to type."""
        return f"shardhash op {self.verb} {self.operation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An operation, and what of it is not in its own journal.

    Attributes:
        is_at_work: whether a process works on it now.
        choices: what can be done, the best first; empty: nothing is left to do.
        progress: how far it is.
        turned_by: the operation that turns it around, where one does and has not ended.
        overtaken_by: the operation that it was to turn around, where that has gone on instead.
    """

    state: OperationState
    is_at_work: bool
    choices: tuple[Choice, ...]
    progress: Progress
    turned_by: str = ""
    overtaken_by: str = ""

    @property
    def is_killed(self) -> bool:
        """Tell whether its process is gone without having said why."""
        return self.state.is_at_work and not self.is_at_work


def standing_of(
    store: ConfigStore, config: Config, state: OperationState, others: Sequence[OperationState]
) -> Standing:
    """Return where an operation stands; reads the store.

    Args:
        store: where it is.
        config: the present one.
        state: of the operation.
        others: the states of all operations of the store.
    """
    turned_by = next((o for o in others if o.instead_of == state.id and not o.is_ended), None)
    overtaker = None if state.is_ended else overtaker_of(state, others)
    at_work = is_at_work(store, state)
    choices: tuple[Choice, ...]
    if turned_by is not None:
        choices = standing_of(store, config, turned_by, others).choices
    elif state.is_ended and _is_blocked(state, others):
        choices = ()
    else:
        verbs = _verbs(config, state, at_work=at_work, is_overtaken=overtaker is not None)
        choices = tuple(Choice(verb, state.id) for verb in verbs)
    return Standing(
        state=state,
        is_at_work=at_work,
        choices=choices,
        progress=state.progress if state.is_ended else read_progress(store, state),
        turned_by=turned_by.id if turned_by is not None else "",
        overtaken_by=overtaker.id if overtaker is not None else "",
    )


def _is_blocked(state: OperationState, others: Sequence[OperationState]) -> bool:
    """Tell whether nothing new may begin on its shards, as something there has not ended."""
    shards = {*state.plan.shards}
    return any(not other.is_ended and shards & {*other.plan.shards} for other in others)


def is_at_work(store: ConfigStore, state: OperationState) -> bool:
    """Tell whether the process lives; one of another machine does while it holds its leases."""
    if not state.is_at_work:
        return False
    lives = is_alive(state.holder)
    return holds_leases(store, state.holder, state.plan.shards) if lives is None else lives


def _verbs(
    config: Config, state: OperationState, *, at_work: bool, is_overtaken: bool
) -> tuple[Verb, ...]:
    if state.is_ended:
        return (Verb.UNDO,) if has_quarantined(state) else ()
    if at_work:
        return Verb.WATCH, Verb.PAUSE
    if is_overtaken:
        return (Verb.ABORT,)
    if state.phase is Phase.ABORTING:
        return (Verb.RESUME,)
    if f"op abort {state.id}" in state.mend:  # going on would meet the same again
        return (Verb.ABORT,)
    if not state.is_past_return:
        return Verb.RESUME, Verb.ABORT
    return _past_return(config, state)


def _past_return(config: Config, state: OperationState) -> tuple[Verb, ...]:
    """Return what can be done with what has begun the step that abort cannot take back."""
    steps = state.plan.steps
    flips = [position for position, step in enumerate(steps) if step.kind is StepKind.FLIP]
    is_pruning = any(steps[position].kind is StepKind.PRUNE_PAGES for position in state.begun)
    if not flips or is_pruning:
        return (Verb.RESUME,)
    if flips[0] not in state.done and not has_flipped(config, steps[flips[0]]):
        return Verb.RESUME, Verb.ABORT
    return (Verb.RESUME, Verb.UNDO) if len(flips) == 1 else (Verb.RESUME,)
