"""``shardhash op``: the operations that the configuration's store knows."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shardhash.cli._applying import add_throttle_options, run_operation, throttle_of
from shardhash.cli._commands import Commands
from shardhash.cli._configuration import open_operations
from shardhash.cli._console import Console, Outcome, Status
from shardhash.cli._table import table
from shardhash.errors import StoppedError

if TYPE_CHECKING:
    from shardhash.db.journal import OperationState

__all__ = ["register"]

_WATCH_EVERY_S = 1.0
_HEADINGS = ("operation", "shard", "state", "step", "since", "what to type")


def register(commands: Commands) -> None:
    """Add the group's commands."""
    group = commands.group("op", "look at operations, and resume, pause, abort or undo them")
    listing = group.command("list", _list, "list the operations and where each is")
    listing.add_argument("--all", action="store_true", help="those that have ended, too")
    for name, run, summary, details in (
        ("show", _show, "show an operation step by step, and what to type next", ""),
        ("watch", _watch, "follow an operation of another process until it ends", ""),
        ("pause", _pause, "ask a running operation to stop at its next batch", ""),
        ("resume", _resume, "go on with an operation that has stopped", ""),
        (
            "abort",
            _abort,
            "take an operation back: rows and map are as before it",
            "Before its flip only.",
        ),
        (
            "undo",
            _undo,
            "turn a move around between flip and prune, or restore a quarantined prune",
            "",
        ),
    ):
        command = group.command(name, run, summary, details=details)
        command.add_argument("operation", metavar="OP", help="its name, from `op list`")
        if run in (_resume, _abort, _undo):
            add_throttle_options(command)


def _list(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._operation import operation_data

    with open_operations(options, console) as operations:
        states = [each for each in operations.list() if options.all or not each.is_ended]
    data = {"operations": [operation_data(each) for each in states]}
    return Outcome(data=data, lines=_list_lines(states))


def _list_lines(states: "list[OperationState]") -> Iterator[str]:
    from shardhash.cli._operation import operation_row

    if not states:
        yield "No operation is unfinished."
        return
    yield from table(_HEADINGS, map(operation_row, states))


def _show(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._operation import operation_data, operation_lines

    with open_operations(options, console) as operations:
        state = operations.get(options.operation)
    return Outcome(data={"operation": operation_data(state)}, lines=operation_lines(state))


def _watch(options: argparse.Namespace, console: Console) -> Outcome:
    from time import sleep

    from shardhash.cli._operation import is_killed, operation_data, operation_lines

    with open_operations(options, console) as operations:
        state = operations.get(options.operation)
        seen = None
        while state.is_at_work and not is_killed(state):
            if state.position != seen:
                seen = state.position
                console.say(_watched_line(state))
            sleep(_WATCH_EVERY_S)
            state = operations.get(options.operation)
    return Outcome(
        status=Status.OK if state.is_ended else Status.STOPPED,
        data={"operation": operation_data(state)},
        lines=operation_lines(state),
        error=None if state.is_ended else _not_ended(state),
    )


def _watched_line(state: "OperationState") -> str:
    steps, position = state.plan.steps, state.position
    if position == len(steps):
        return "all steps are done, and it cleans up"
    return f"[{position + 1}/{len(steps)}] {steps[position].title}"


def _not_ended(state: "OperationState") -> StoppedError:
    what = "has stopped" if state.message else "was killed"
    return StoppedError(
        f"operation {state.id} {what}, and is not at its end",
        next_step=f"shardhash op resume {state.id}, or what else the last lines say",
    )


def _pause(options: argparse.Namespace, console: Console) -> Outcome:
    with open_operations(options, console) as operations:
        operations.pause(options.operation)
    line = (
        f"{options.operation} will stop at its next batch; shardhash op resume "
        f"{options.operation} goes on"
    )
    return Outcome(data={"operation": options.operation}, lines=[line])


def _resume(options: argparse.Namespace, console: Console) -> Outcome:
    with open_operations(options, console, throttle=throttle_of(options)) as operations:
        return run_operation(
            console, lambda listen: operations.resume(options.operation, progress=listen)
        )


def _abort(options: argparse.Namespace, console: Console) -> Outcome:
    with open_operations(options, console, throttle=throttle_of(options)) as operations:
        return run_operation(
            console, lambda listen: operations.abort(options.operation, progress=listen)
        )


def _undo(options: argparse.Namespace, console: Console) -> Outcome:
    with open_operations(options, console, throttle=throttle_of(options)) as operations:
        return run_operation(
            console, lambda listen: operations.undo(options.operation, progress=listen)
        )
