"""An operation of the journal as text: where it is, why it stopped, and what to type next."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from shardhash.cli._console import printable
from shardhash.cli._progress import progress_words
from shardhash.db.journal import OperationState, Phase
from shardhash.db.operations import Choice, Standing, Verb
from shardhash.db.plan import StepKind

if TYPE_CHECKING:
    from shardhash.db.plan import Step

__all__ = ["operation_data", "operation_lines", "operation_row"]

_MARKS = {"done": "x", "begun": ">", "undone": "-", "": " "}
_NOTHING = "nothing"


def operation_row(standing: Standing) -> tuple[str, ...]:
    """Return a line of the list."""
    state, progress = standing.state, standing.progress
    where = f"{progress.phase} of {progress.phases}"
    since = f"{state.changed_at:%Y-%m-%d %H:%M:%S} UTC"
    return (state.id, state.plan.shard, _state_words(standing), where, since, _next_words(standing))


def operation_lines(standing: Standing) -> Iterator[str]:
    """Yield an operation: its steps with what became of each, and what to do."""
    state = standing.state
    yield f"{state.id}: {state.plan.operation} of {state.plan.shard}, {_state_words(standing)}"
    yield f"  begun {state.started_at:%Y-%m-%d %H:%M:%S} UTC by {printable(state.holder)}"
    yield ""
    point = state.plan.point_of_no_return
    for position, step in enumerate(state.plan.steps):
        if position == point and position:
            yield "      --- point of no return ---"
        yield f"  [{_MARKS[_what_became(state, position)]}] {position + 1:2}. {_step_words(step)}"
    yield ""
    yield from _how_far(standing)
    yield from _consequences(state)
    yield from _why_not(standing)
    yield from _next_lines(standing)


def operation_data(standing: Standing) -> Mapping[str, Any]:
    """Return an operation as JSON values."""
    state = standing.state
    return {
        "id": state.id,
        "operation": state.plan.operation,
        "shard": state.plan.shard,
        "mapping": state.plan.mapping,
        "state": state.phase.value,
        "is_ended": state.is_ended,
        "is_at_work": standing.is_at_work,
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
        "progress": None if state.is_ended else asdict(standing.progress),
        "holder": state.holder,
        "started_at": state.started_at.isoformat(),
        "changed_at": state.changed_at.isoformat(),
        "message": state.message,
        "mend": state.mend,
        "next": [choice.command for choice in standing.choices],
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


def _state_words(standing: Standing) -> str:
    state = standing.state
    if state.is_ended:
        return state.phase.value
    if state.message:
        return "stopped"
    if standing.is_killed:
        return "killed"
    return "aborting" if state.phase is Phase.ABORTING else "running"


def _how_far(standing: Standing) -> Iterator[str]:
    """Say how far the present step is, where its process has said that."""
    state, progress = standing.state, standing.progress
    if state.is_ended or state.message:
        return
    if not standing.is_at_work:
        progress = replace(progress, rows_per_s=0.0, eta_s=None, throttled=None)
    if words := progress_words(progress, with_checkpoint=True):
        yield f"Step {progress.phase}: {words}"


def _why_not(standing: Standing) -> Iterator[str]:
    """Say why it does not go on by itself."""
    state = standing.state
    if state.is_ended:
        return
    if standing.turned_by:
        yield f"It is being turned around by {standing.turned_by}."
    elif standing.overtaken_by:
        yield f"It was to turn around {standing.overtaken_by}, which has gone on too far for that."
    if state.message:
        after = f" after {state.rows_in_step:,} rows" if state.rows_in_step else ""
        yield f"It stopped{after}: {printable(state.message)}"
    if state.mend and "shardhash op " not in state.mend:
        yield f"First: {printable(state.mend)}"


def _next_words(standing: Standing) -> str:
    choices = standing.choices
    others = "".join(f" (or {choice.verb})" for choice in choices[1:])
    return f"{choices[0].command}{others}" if choices else _NOTHING


def _next_lines(standing: Standing) -> Iterator[str]:
    words = [f"{each.command}{_what_it_does(each, standing)}" for each in standing.choices]
    if standing.state.is_ended or not words:
        words.insert(0, _NOTHING)
    for number, each in enumerate(words):
        yield f"{'  or' if number else 'Next'}: {each}"


def _what_it_does(choice: Choice, standing: Standing) -> str:
    match choice.verb:
        case Verb.ABORT if standing.overtaken_by or choice.operation != standing.state.id:
            return ", which only ends it"
        case Verb.ABORT:
            return ", which takes everything back"
        case Verb.UNDO:
            return ", which brings the rows back"
        case Verb.PAUSE:
            return ", which stops it at its next batch"
    return ""


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
