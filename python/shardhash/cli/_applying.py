"""What every command that changes shards does: show its plan, keep it in a file, or apply it."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shardhash.cli._commands import Commands, Parser, Run
from shardhash.cli._configuration import open_operations
from shardhash.cli._console import Console, Outcome, Status
from shardhash.cli._table import count
from shardhash.cli._words import seconds, thread_count
from shardhash.errors import MismatchError, PreflightError, ShardhashError, UsageError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from shardhash.db.operations import Operations, ProgressListener
    from shardhash.db.plan import Plan, Progress, Report
    from shardhash.db.throttle import ThrottleSettings

__all__ = [
    "add_apply_options",
    "add_fence_wait",
    "add_throttle_options",
    "apply_plan",
    "changing_command",
    "plan_or_apply",
    "read_plan",
    "run_operation",
    "throttle_of",
]

Planner = Callable[["Operations"], "Plan"]


def changing_command(shard: Commands, name: str, run: Run, summary: str, details: str) -> Parser:
    """Add a command that changes the shard NAME, and return its parser."""
    parser = shard.command(name, run, summary, details=details)
    parser.add_argument("name", metavar="NAME", help="the shard")
    add_apply_options(parser)
    return parser


def add_apply_options(parser: Parser) -> None:
    """Add what decides whether a plan is shown, kept or applied, and what holds it back."""
    parser.add_argument("--apply", action="store_true", help="do it, after printing the plan")
    parser.add_argument(
        "--plan-out", metavar="FILE", help="write the plan to a file, for `shardhash apply FILE`"
    )
    add_throttle_options(parser)


def add_throttle_options(parser: Parser) -> None:
    """Add what makes a running operation wait."""
    options = parser.add_argument_group("what makes it wait")
    options.add_argument(
        "--max-lag", metavar="S", type=seconds, help="seconds that a read endpoint may lag behind"
    )
    options.add_argument(
        "--max-threads-running",
        metavar="N",
        type=thread_count,
        help="threads that may run on a server",
    )
    options.add_argument("--pause-file", metavar="FILE", help="wait while this file is there")


def add_fence_wait(parser: Parser) -> None:
    """Add what replaces the wait of the fence that a plan says."""
    parser.add_argument(
        "--fence-wait",
        metavar="S",
        type=seconds,
        help="seconds to wait for open transactions in the way (default: as planned)",
    )


def throttle_of(options: argparse.Namespace) -> "ThrottleSettings | None":
    """Return what the options say of waiting; None where they say nothing."""
    from shardhash.db.throttle import ThrottleSettings

    settings = ThrottleSettings(
        max_lag_s=options.max_lag,
        max_threads_running=options.max_threads_running,
        pause_file=options.pause_file,
    )
    return settings if settings != ThrottleSettings() else None


def plan_or_apply(
    options: argparse.Namespace,
    console: Console,
    planner: Planner,
    *,
    executor: "Executor | None" = None,
) -> Outcome:
    """Print what `planner` plans; with ``--apply``, do it, its batches on the executor."""
    throttle = throttle_of(options)
    with open_operations(options, console, throttle=throttle) as operations:
        plan = _planned_by(planner, operations)
        if options.plan_out:
            _write_plan(plan, options.plan_out)
        if options.apply:
            return apply_plan(operations, plan, console, executor=executor)
    return planned(plan, options.plan_out)


def _planned_by(planner: Planner, operations: "Operations") -> "Plan":
    """Return the plan; where facts refuse it, name first what has not ended, which may be why."""
    try:
        return planner(operations)
    except PreflightError as error:
        unfinished = [state.id for state in operations.list() if not state.is_ended]
        if not unfinished:
            raise
        raise PreflightError(
            str(error),
            next_step=f"{', '.join(unfinished)} has not ended, which may be why: shardhash op show "
            f"{unfinished[0]}; else {error.next_step}",
        ) from error


def planned(plan: "Plan", file: str | None = None) -> Outcome:
    """Return the outcome of a plan that is only shown."""
    from shardhash.cli._report import plan_lines

    def lines() -> Iterator[str]:
        yield from plan_lines(plan)
        yield ""
        if file:
            yield f"Nothing was changed: shardhash apply {file} does it."
        else:
            yield "Nothing was changed: add --apply to do it."

    return Outcome(
        status=Status.PLAN, data={"plan": plan.to_json()}, lines=lines(), warnings=plan.warnings
    )


def apply_plan(
    operations: "Operations", plan: "Plan", console: Console, *, executor: "Executor | None" = None
) -> Outcome:
    """Print a plan, ask where something cannot be undone, and apply it."""
    from shardhash.cli._report import plan_lines

    console.say(*plan_lines(plan), "", *(f"warning: {text}" for text in plan.warnings))
    question = _question(plan)
    if question:
        console.confirm(plan.shard, question)
    outcome = run_operation(
        console, lambda listen: operations.apply(plan, progress=listen, executor=executor), plan
    )
    warnings = (*(plan.warnings if console.as_json else ()), *outcome.warnings)
    return Outcome(
        status=outcome.status,
        data={"plan": plan.to_json(), **outcome.data},
        lines=outcome.lines,
        warnings=warnings,
        error=outcome.error,
    )


def run_operation(
    console: Console, run: "Callable[[ProgressListener], Report]", plan: "Plan | None" = None
) -> Outcome:
    """Run an operation under a progress display and return its outcome."""
    from shardhash.cli._report import report_lines

    with (
        console.progress(has_steps=True) as show,
        console.interrupts.at_checkpoints() as stop_if_asked,
    ):

        def listen(progress: "Progress") -> None:
            show(progress)
            stop_if_asked()

        report = run(listen)
    return Outcome(
        status=Status.MISMATCH if report.kept else Status.OK,
        data={"report": report.to_json()},
        lines=report_lines(report),
        warnings=report.warnings,
        error=_kept_error(plan, report) if report.kept else None,
    )


def read_plan(path: str) -> "Plan":
    """Return the plan in a file.

    Raises:
        UsageError: there is no such file, or it holds no plan.
        RefusedError: it is a plan whose text was changed.
    """
    from shardhash.db.plan import Plan

    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}",
            next_step="name a file that --plan-out has written",
        ) from error
    except (ValueError, RecursionError):
        raise UsageError(
            f"{path} is no plan: it is not JSON",
            next_step="name a file that --plan-out has written",
        ) from None
    return Plan.from_json(document)


def _write_plan(plan: "Plan", path: str) -> None:
    try:
        Path(path).write_text(json.dumps(plan.to_json(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ShardhashError(
            f"cannot write {path}: {error.strerror}", next_step="name another file"
        ) from error


def _question(plan: "Plan") -> str:
    """Return what cannot be undone, or nothing where everything can."""
    from shardhash.db.plan import StepKind

    kinds = {step.kind for step in plan.steps}
    if plan.operation == "prune":
        rows = plan.foreign_rows
        is_final = rows and not plan.quarantine
        return f"{count(rows, 'row')} of {plan.shard} will be deleted for good." if is_final else ""
    if StepKind.DROP_DATABASE in kinds:
        return f"The database of {plan.shard} will be dropped for good."
    if StepKind.FLIP in kinds:
        return (
            f"Writes to the moving slots will be refused while {plan.operation} copies them; after "
            "the flip it can be undone only until the old rows are pruned."
        )
    return ""


def _kept_error(plan: "Plan | None", report: "Report") -> MismatchError:
    shard = f" on {plan.shard}" if plan else ""
    return MismatchError(
        f"{count(report.kept, 'row')}{shard} of other shards, which have no equal row: kept",
        next_step=(
            "if the configuration is an old one, prune with the present one; else copy these rows "
            "to their owners, and prune again"
        ),
    )
