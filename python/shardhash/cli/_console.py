"""Where a command's words go: data to stdout, talk and questions to stderr, or one JSON object."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn, TextIO

from shardhash.cli._interrupts import Interrupts
from shardhash.errors import RefusedError, ShardhashError, StoppedError

if TYPE_CHECKING:
    from shardhash.db.plan import Progress

__all__ = ["Console", "Outcome", "Status", "printable"]

_FORMAT = 1
_STOPPING = "\nStopping at the next checkpoint; Ctrl-C again ends it at once."
_SHOW_CURSOR = "\x1b[?25h"  # a display that is cut off has hidden it


class Status(StrEnum):
    """How a command ended, in the words of its JSON output."""

    OK = "ok"
    PLAN = "plan"
    REFUSED = "refused"
    STOPPED = "stopped"
    FAILED = "failed"
    MISMATCH = "mismatch"


_STATUS_OF_EXIT_CODE = {3: Status.REFUSED, 4: Status.STOPPED, 5: Status.MISMATCH}

_NEXT_STEP_OF_EXIT_CODE = {
    1: "mend what the message names and run it again: nothing was left half done",
    3: "nothing was done: mend what the message names and run it again",
    4: "run the same command again: it goes on from what it finds",
    5: "look at the rows named above: none of them was deleted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command found or did: ``data`` for JSON, ``lines`` for a reader.

    ``lines`` may be lazy: it is read once, and only when it is printed. ``error`` is set when the
    command did its work and the answer is bad news, such as rows that had to stay.
    """

    data: Mapping[str, object]
    lines: Iterable[str]
    status: Status = Status.OK
    warnings: tuple[str, ...] = ()
    error: ShardhashError | None = None


@dataclass(slots=True)
class Console:
    """The streams of one run of the command."""

    as_json: bool = False
    command: str = ""
    assume_yes: bool = False
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    interrupts: Interrupts = field(init=False)
    _warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let Ctrl-C be answered on these streams."""
        self.interrupts = Interrupts(on_first=self._say_that_it_stops, on_second=self._end_at_once)

    def warn(self, text: str) -> None:
        """Keep a warning, which is printed with the outcome, whatever that is."""
        self._warnings.append(text)

    def show(self, *lines: str) -> None:
        """Print data ahead of the outcome; silent when the output is JSON."""
        if not self.as_json:
            for line in lines:
                print(line, file=self.stdout, flush=True)

    def say(self, *lines: str) -> None:
        """Talk to the person at the terminal; silent when the output is JSON."""
        if not self.as_json:
            for line in lines:
                print(line, file=self.stderr, flush=True)

    def confirm(self, name: str, question: str) -> None:
        """Have ``name`` typed before a step that cannot be undone.

        Does not ask with ``--yes`` or without a terminal.

        Raises:
            RefusedError: something else was typed.
        """
        if self.assume_yes or not (sys.stdin.isatty() and self.stderr.isatty()):
            return
        print(f"{question}\nType {name} to go on: ", end="", file=self.stderr, flush=True)
        typed = sys.stdin.readline()
        if typed.strip() != name:
            got = repr(typed.strip()) if typed else "the end of the input"
            raise RefusedError(
                f"asked for {name}, got {got}: nothing was done",
                next_step=f"run it again and type {name}, or pass --yes",
            )

    def progress(
        self, *, has_steps: bool = False, is_watching: bool = False
    ) -> "AbstractContextManager[Callable[[Progress], None]]":
        """Return a context manager whose value shows how far an operation is."""
        from shardhash.cli._progress import progress_display

        return progress_display(
            self.stderr, as_json=self.as_json, has_steps=has_steps, is_watching=is_watching
        )

    def finish(self, outcome: Outcome) -> int:
        """Print an outcome and return the exit code."""
        exit_code = outcome.error.exit_code if outcome.error else 0
        try:
            if self.as_json:
                print(self._envelope(outcome, exit_code), file=self.stdout)
            else:
                self._print_outcome(outcome)
            self.stdout.flush()
        except BrokenPipeError:
            self.abandon()
        except OSError as error:
            self.abandon()
            self.say(
                f"shardhash: the command ended, but its output cannot be written: {error.strerror}",
                "  next: make room where the output goes; look at the state before a repetition",
            )
            return exit_code or 1
        return exit_code

    def fail(self, error: ShardhashError) -> int:
        """Print an error that ended the command and return the exit code."""
        status = _STATUS_OF_EXIT_CODE.get(error.exit_code, Status.FAILED)
        outcome = Outcome(data={}, lines=(), status=status, error=error)
        return self.finish(outcome)

    def abandon(self) -> int:
        """Give up on stdout, whose reader has gone, and return the exit code for that."""
        # Else the interpreter's own flush at exit would complain; see "Note on SIGPIPE" in the
        # manual of the signal module.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0

    def _say_that_it_stops(self) -> None:
        text = json.dumps({"event": "stopping"}) if self.as_json else _STOPPING
        # Past the stream's buffer, which a signal may meet in the middle of a write.
        os.write(self.stderr.fileno(), f"{text}\n".encode())

    def _end_at_once(self) -> NoReturn:
        """End the process as a kill would, in the middle of whatever it does."""
        error = StoppedError(
            "ended at once: the operation is where its last checkpoint was",
            next_step="shardhash op list says where that is, and what to type",
        )
        if self.as_json:
            outcome = Outcome(data={}, lines=(), status=Status.STOPPED, error=error)
            os.write(self.stdout.fileno(), f"{self._envelope(outcome, error.exit_code)}\n".encode())
        else:
            cursor = _SHOW_CURSOR if self.stderr.isatty() else ""
            text = "\n".join(self._error_lines(error))
            os.write(self.stderr.fileno(), f"{cursor}\n{text}\n".encode())
        os._exit(error.exit_code)

    def _envelope(self, outcome: Outcome, exit_code: int) -> str:
        envelope = {
            "format": _FORMAT,
            "command": self.command,
            "status": outcome.status,
            "exit_code": exit_code,
            "data": outcome.data,
            "warnings": [*self._warnings, *outcome.warnings],
            "error": self._error_object(outcome.error),
        }
        return json.dumps(envelope, ensure_ascii=False, default=str)

    def _print_outcome(self, outcome: Outcome) -> None:
        for line in outcome.lines:
            print(line, file=self.stdout)
        self.stdout.flush()
        for warning in (*self._warnings, *outcome.warnings):
            self.say(f"warning: {warning}")
        if outcome.error:
            self.say(*self._error_lines(outcome.error))

    def _error_lines(self, error: ShardhashError) -> tuple[str, str]:
        return f"shardhash: {error}", f"  next: {self._next_step(error)}"

    def _error_object(self, error: ShardhashError | None) -> dict[str, str] | None:
        if error is None:
            return None
        return {"code": error.code, "message": str(error), "next": self._next_step(error)}

    def _next_step(self, error: ShardhashError) -> str:
        usage = f"shardhash {self.command}".strip() + " --help shows what it takes"
        return error.next_step or _NEXT_STEP_OF_EXIT_CODE.get(error.exit_code, usage)


def printable(text: str) -> str:
    """Return text with control characters escaped, so that data cannot steer a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
