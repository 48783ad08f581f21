"""An operation of the journal as text: where it is, why it stopped, and what to type next."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shardhash.cli._console import printable
from shardhash.db.journal import OperationState, Phase
from shardhash.db.plan import StepKind

if TYPE_CHECKING:
    from shardhash.db.plan import Step

__all__ = ["is_killed", "operation_data", "operation_lines", "operation_row"]

_WHAT_IT_DOES = {
    "abort": ", which takes everything back",
    "undo": ", which brings the rows back",
    "pause": ", which stops it at its next batch",
}
_MARKS = {"done": "x", "begun": ">", "undone": "-", "": " "}


def operation_row(state: OperationState) -> tuple[str, ...]:
    """Return a line of the list."""
    steps = len(state.plan.steps)
    where = f"{min(state.position + 1, steps)} of {steps}"
    since = f"{state.changed_at:%Y-%m-%d %H:%M:%S} UTC"
    return (state.id, state.plan.shard, _state_words(state), where, since, _next_words(state))


def operation_lines(state: OperationState) -> Iterator[str]:
    """Yield an operation: its steps with what became of each, and what to do."""
    yield f"{state.id}: {state.plan.operation} of {state.plan.shard}, {_state_words(state)}"
    yield f"  begun {state.started_at:%Y-%m-%d %H:%M:%S} UTC by {printable(state.holder)}"
    yield ""
    point = state.plan.point_of_no_return
    for position, step in enumerate(state.plan.steps):
        if position == point and position:
            yield "      --- point of no return ---"
        yield f"  [{_MARKS[_what_became(state, position)]}] {position + 1:2}. {_step_words(step)}"
    yield ""
    yield from _consequences(state)
    if state.message and not state.is_ended:
        yield f"It stopped: {printable(state.message)}"
    yield from _next_lines(state)


def operation_data(state: OperationState) -> Mapping[str, Any]:
    """Return an operation as JSON values."""
    return {
        "id": state.id,
        "operation": state.plan.operation,
        "shard": state.plan.shard,
        "mapping": state.plan.mapping,
        "state": state.phase.value,
        "is_ended": state.is_ended,
        "steps": [
            {
                "number": position + 1,
                "kind": step.kind,
                "shard": step.shard,
                "table": step.table,
                "title": step.title,
                "state": _what_became(state, position) or "waiting",
            }
            for position, step in enumerate(state.plan.steps)
        ],
        "position": state.position,
        "holder": state.holder,
        "started_at": state.started_at.isoformat(),
        "changed_at": state.changed_at.isoformat(),
        "message": state.message,
        "next": _next_words(state),
        "report": state.report,
    }


def _what_became(state: OperationState, position: int) -> str:
    if position in state.undone:
        return "undone"
    if position in state.done:
        return "done"
    return "begun" if position in state.begun else ""


def _step_words(step: "Step") -> str:
    rows = f" ({step.rows:,} rows)" if step.rows else ""
    return f"{step.title}{rows}"


def _state_words(state: OperationState) -> str:
    from shardhash.db.executor import is_alive

    if state.is_ended:
        return state.phase.value
    if state.message:
        return "stopped"
    words = "aborting" if state.phase is Phase.ABORTING else "running"
    lives = is_alive(state.holder)
    if lives is None:
        return f"{words}, or killed"
    return words if lives else "killed"


def _next_words(state: OperationState) -> str:
    first, other = _next(state)
    return f"{_command(first, state)} (or {other})" if other else _command(first, state)


def _next_lines(state: OperationState) -> Iterator[str]:
    first, other = _next(state)
    yield f"Next: {_command(first, state)}"
    if other:
        yield f"  or: {_command(other, state)}{_WHAT_IT_DOES.get(other, '')}"


def _command(word: str, state: OperationState) -> str:
    return f"shardhash op {word} {state.id}" if word else "nothing"


def _next(state: OperationState) -> tuple[str, str]:
    """Return the command of ``op`` to type now, and another that is possible; empty: none."""
    if state.is_ended:
        return "", "undo" if _is_quarantined(state) else ""
    if _is_running(state):
        return "watch", "pause"
    if state.phase is Phase.ABORTING:
        return "resume", ""
    if not state.is_past_return:
        return "resume", "abort"
    return "resume", "undo" if _can_be_turned_around(state) else ""


def is_killed(state: OperationState) -> bool:
    """Tell whether the process at work is known to be gone, without having said why."""
    from shardhash.db.executor import is_alive

    return not (state.is_ended or state.message) and is_alive(state.holder) is False


def _is_running(state: OperationState) -> bool:
    """Tell whether the process at work is known to live, on this machine."""
    from shardhash.db.executor import is_alive

    return not (state.is_ended or state.message) and is_alive(state.holder) is True


def _is_quarantined(state: OperationState) -> bool:
    """Tell whether it has put rows into quarantine, from where they can come back."""
    is_prune = any(step.kind is StepKind.PRUNE for step in state.plan.steps)
    return state.phase is Phase.DONE and state.plan.quarantine and is_prune


def _can_be_turned_around(state: OperationState) -> bool:
    """Tell whether it has flipped, and has not begun to prune the old rows."""
    kinds = {state.plan.steps[position].kind for position in state.begun}
    return StepKind.FLIP in kinds and StepKind.PRUNE_PAGES not in kinds


def _consequences(state: OperationState) -> Iterator[str]:
    """Say what the application feels while the operation stands where it does."""
    if state.is_ended:
        return
    kinds = {state.plan.steps[position].kind: position for position in state.begun}
    if StepKind.FENCE not in kinds:
        return
    if any(state.plan.steps[position].kind is StepKind.OPEN for position in state.done):
        yield "All slots take writes; the old rows wait to be pruned."
    elif StepKind.FLIP in kinds:
        yield "The moving slots can be read and not written until this operation goes on."
    elif kinds[StepKind.FENCE] in state.undone:
        yield "All slots take writes."
    elif kinds[StepKind.FENCE] in state.done:
        yield "The moving slots can be read and not written."
    else:
        yield "The moving slots take writes, unless the fence fell just before it stopped."
