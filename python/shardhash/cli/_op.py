"""``shardhash op``: the operations that the configuration's store knows."""

import argparse
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from shardhash.cli._applying import (
    add_fence_wait,
    add_throttle_options,
    run_operation,
    throttle_of,
)
from shardhash.cli._commands import Commands
from shardhash.cli._configuration import open_operations
from shardhash.cli._console import Console, Outcome, Status
from shardhash.cli._table import table
from shardhash.errors import StoppedError

if TYPE_CHECKING:
    from shardhash.db.operations import Operations, Standing

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
        if run in (_resume, _undo):
            add_fence_wait(command)


def _list(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._operation import operation_data

    with open_operations(options, console) as operations:
        standings = operations.standings()
    shown = [each for each in standings if options.all or not each.state.is_ended]
    data = {"operations": [operation_data(each) for each in shown]}
    return Outcome(data=data, lines=_list_lines(shown))


def _list_lines(standings: "list[Standing]") -> Iterator[str]:
    from shardhash.cli._operation import operation_row

    if not standings:
        yield "No operation is unfinished."
        return
    yield from table(_HEADINGS, map(operation_row, standings))


def _show(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._operation import operation_data, operation_lines

    with open_operations(options, console) as operations:
        standing = operations.standing(options.operation)
    return Outcome(data={"operation": operation_data(standing)}, lines=operation_lines(standing))


def _watch(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._operation import operation_data, operation_lines

    with open_operations(options, console) as operations:
        with suppress(_NotAtItsEnd):
            _follow(operations, options.operation, console)
        standing = operations.standing(options.operation)
    is_ended = standing.state.is_ended
    return Outcome(
        status=Status.OK if is_ended else Status.STOPPED,
        data={"operation": operation_data(standing)},
        lines=operation_lines(standing),
        error=None if is_ended else _not_ended(standing),
    )


class _NotAtItsEnd(Exception):  # noqa: N818
    """The operation that was followed has stopped, or was killed."""


def _follow(operations: "Operations", name: str, console: Console) -> None:
    """Show how far an operation is until it ends.

    Raises:
        _NotAtItsEnd: it has stopped, or was killed.
    """
    from time import sleep

    seen = None
    state = operations.get(name)
    with console.progress(has_steps=True, is_watching=True) as show:
        while operations.is_at_work(state):
            progress = operations.progress(state)
            if progress != seen or not console.as_json:
                show(progress)
            seen = progress
            sleep(_WATCH_EVERY_S)
            state = operations.get(name)
        if not state.is_ended:
            raise _NotAtItsEnd


def _not_ended(standing: "Standing") -> StoppedError:
    what = "has stopped" if standing.state.message else "was killed"
    commands = "; or ".join(choice.command for choice in standing.choices)
    return StoppedError(
        f"operation {standing.state.id} {what}, and is not at its end", next_step=commands
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
    with open_operations(
        options, console, throttle=throttle_of(options), fence_wait_s=options.fence_wait
    ) as operations:
        return run_operation(
            console, lambda listen: operations.resume(options.operation, progress=listen)
        )


def _abort(options: argparse.Namespace, console: Console) -> Outcome:
    with open_operations(options, console, throttle=throttle_of(options)) as operations:
        return run_operation(
            console, lambda listen: operations.abort(options.operation, progress=listen)
        )


def _undo(options: argparse.Namespace, console: Console) -> Outcome:
    with open_operations(
        options, console, throttle=throttle_of(options), fence_wait_s=options.fence_wait
    ) as operations:
        return run_operation(
            console, lambda listen: operations.undo(options.operation, progress=listen)
        )
