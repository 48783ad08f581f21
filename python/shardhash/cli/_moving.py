"""Options of every command that moves rows, and how the planners take them."""

import argparse
from typing import TypedDict

from shardhash.cli._commands import Parser
from shardhash.cli._words import byte_count, seconds

__all__ = ["MoveOptions", "add_move_options", "add_target_free", "move_options"]


class MoveOptions(TypedDict):
    """How rows move: options that all planners of moves take."""

    freeze: bool
    fence_wait_s: float
    app_stopped: bool
    quarantine: bool
    target_free_bytes: int | None


def add_move_options(parser: Parser) -> None:
    """Add what says how rows move."""
    parser.add_argument(
        "--freeze",
        action="store_true",
        help="refuse writes to the moving slots while they are copied (required for now)",
    )
    parser.add_argument(
        "--fence-wait",
        metavar="S",
        type=seconds,
        default=30.0,
        help="seconds to wait for open transactions in the way (default: 30)",
    )
    parser.add_argument(
        "--app-stopped",
        action="store_true",
        help="nobody writes: guards are not needed, and not minded",
    )
    parser.add_argument(
        "--quarantine", action="store_true", help="keep the old rows when they go, for a look"
    )
    add_target_free(parser)


def add_target_free(parser: Parser) -> None:
    """Add what says how much room there is where rows go."""
    parser.add_argument(
        "--target-free",
        metavar="SIZE",
        type=byte_count,
        help="the room where the rows go, such as 500G: a server does not tell its own",
    )


def move_options(options: argparse.Namespace) -> MoveOptions:
    """Return what `add_move_options` asks for, as the planners take it."""
    return {
        "freeze": options.freeze,
        "fence_wait_s": options.fence_wait,
        "app_stopped": options.app_stopped,
        "quarantine": options.quarantine,
        "target_free_bytes": options.target_free,
    }
