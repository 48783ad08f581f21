"""The ``shardhash`` command: it parses, calls the library and prints.

This is the one place where errors become messages and exit codes, and the only one that catches
``Exception``. Data goes to stdout, talk to stderr. Nothing outside the standard library is
imported before a command needs it.
"""

import os
import sys
import traceback
from collections.abc import Sequence

from shardhash.cli._console import Console
from shardhash.cli._parser import build_parser
from shardhash.errors import MissingExtraError, ShardhashError, StoppedError

__all__ = ["main"]

_TRACEBACK = "SHARDHASH_TRACEBACK"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; ``arguments`` defaults to the process's own."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    console = Console(as_json="--json" in words)
    with console.interrupts:
        return _run_to_its_end(words, console)


def _run_to_its_end(words: Sequence[str], console: Console) -> int:
    try:
        return _run(words, console)
    except ShardhashError as error:
        _show_traceback()
        is_cause = console.interrupts.came and not isinstance(error, StoppedError)
        return console.fail(_interrupted() if is_cause else error)
    except KeyboardInterrupt:
        return console.fail(_interrupted())
    except BrokenPipeError:
        return console.abandon()
    except ModuleNotFoundError as error:
        _show_traceback()
        return console.fail(_missing_package(error))
    except Exception as error:
        _show_traceback()
        return console.fail(_unexpected(error))


def _run(words: Sequence[str], console: Console) -> int:
    options = build_parser().parse_args(words)
    console.command = options.command
    console.assume_yes = options.yes
    return console.finish(options.run(options, console))


def _show_traceback() -> None:
    if os.environ.get(_TRACEBACK):
        traceback.print_exc()


def _interrupted() -> StoppedError:
    return StoppedError(
        "interrupted: what is done is whole, what is not was not begun",
        next_step="run the same command again: it goes on from what it finds",
    )


def _missing_package(error: ModuleNotFoundError) -> ShardhashError:
    """Name the command that installs a missing package; shardhash's own are never missing."""
    package = (error.name or "").partition(".")[0]
    if package in ("", "shardhash"):
        return _unexpected(error)
    command = "pip install 'shardhash[all]'"
    return MissingExtraError(
        f"this command needs the package {package}, which is not installed: {command}",
        next_step=command,
    )


def _unexpected(error: Exception) -> ShardhashError:
    """Name the error by class and place only: its text may hold a secret."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return ShardhashError(
        f"unexpected {type(error).__name__} at {os.path.basename(place.filename)}:{place.lineno}; "  # noqa: PTH119
        "this is a defect of shardhash",
        next_step=f"run it again with {_TRACEBACK}=1 in the environment and report what it prints",
    )
