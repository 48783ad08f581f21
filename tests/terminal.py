"""The command on a pseudo-terminal, as somebody sits at it."""

import os
import pty
import subprocess
from collections.abc import Mapping
from pathlib import Path

from command_line import COMMAND

__all__ = ["drain", "on_terminal", "read_until"]


def on_terminal(
    directory: Path, environment: Mapping[str, str], *words: str
) -> tuple[subprocess.Popen[bytes], int]:
    """Start the command on a terminal of its own, and return it with our end of the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=directory,
        env={**environment, "TERM": "xterm"},
    )
    os.close(theirs)
    return process, ours


def read_until(descriptor: int, wanted: bytes) -> bytes:
    """Return what is shown up to some words."""
    shown = b""
    while wanted not in shown:
        shown += os.read(descriptor, 65_536)
    return shown


def drain(descriptor: int) -> bytes:
    """Read until the other side has closed the terminal, which Linux reports as an error."""
    shown = b""
    while True:
        try:
            data = os.read(descriptor, 65_536)
        except OSError:
            return shown
        if not data:
            return shown
        shown += data
