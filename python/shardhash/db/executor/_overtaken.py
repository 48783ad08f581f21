"""Whether an undo came too late for what it was to turn around."""

from collections.abc import Iterable

from shardhash.db.journal import OperationState, Phase
from shardhash.db.plan import StepKind

__all__ = ["overtaker_of"]


def overtaker_of(state: OperationState, others: Iterable[OperationState]) -> OperationState | None:
    """Return what an undo was to turn around, where that has gone on too far instead.

    It does where it is resumed between the undo's takeover and its plan. Then the undo cannot
    have begun, as its tokens are the older ones; a new process would have newer ones.
    """
    other = next((each for each in others if each.id == state.instead_of), None)
    if other is None:
        return None
    steps = other.plan.steps
    if all(step.kind is not StepKind.FLIP for step in steps):  # a prune, whose rows come back
        return None
    if other.phase is Phase.UNDONE:  # by this one, if it had no step left
        return None if len(state.done) == len(state.plan.steps) else other
    is_pruning = any(steps[i].kind is StepKind.PRUNE_PAGES for i in other.begun)
    return other if other.is_ended or is_pruning else None
