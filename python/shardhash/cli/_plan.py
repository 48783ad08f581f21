"""``shardhash plan show`` and ``shardhash apply``: plans that were kept in files."""

import argparse

from shardhash.cli._applying import (
    add_fence_wait,
    add_throttle_options,
    apply_plan,
    planned,
    read_plan,
    throttle_of,
)
from shardhash.cli._commands import Commands
from shardhash.cli._configuration import open_operations
from shardhash.cli._console import Console, Outcome

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add the commands."""
    plan = commands.group("plan", "look at plans that were kept in files")
    show = plan.command("show", _show, "print a plan from a file", details="Reads the file only.")
    show.add_argument("file", metavar="FILE", help="what --plan-out has written")
    apply = commands.command(
        "apply",
        _apply,
        "apply a plan from a file",
        details="A plan for another configuration or schema than the present one is refused.",
    )
    apply.add_argument("file", metavar="FILE", help="what --plan-out has written")
    add_throttle_options(apply)
    add_fence_wait(apply)


def _show(options: argparse.Namespace, console: Console) -> Outcome:
    return planned(read_plan(options.file), options.file)


def _apply(options: argparse.Namespace, console: Console) -> Outcome:
    plan = read_plan(options.file)
    with open_operations(
        options, console, throttle=throttle_of(options), fence_wait_s=options.fence_wait
    ) as operations:
        return apply_plan(operations, plan, console)
