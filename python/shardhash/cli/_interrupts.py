"""What Ctrl-C does: it ends what only looks, and stops an operation at a checkpoint."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

__all__ = ["Interrupts"]


class Interrupts:
    """The handlers of SIGINT and SIGTERM while a command runs, in the main thread only.

    Ctrl-C raises KeyboardInterrupt, as ever, but is remembered: what it meets may turn it into an
    error of its own, such as SQLite a function that was interrupted. While an operation is at work,
    the first signal only asks it to stop, and the second ends the process, which an operation
    survives as it survives a kill.

    Args:
        on_first: told that an operation was asked to stop.
        on_second: ends the process.
    """

    def __init__(self, *, on_first: Callable[[], None], on_second: Callable[[], None]) -> None:
        self._on_first = on_first
        self._on_second = on_second
        self._replaced: dict[signal.Signals, Any] = {}
        self.came = False

    def __enter__(self) -> Self:
        """Take SIGINT, unless it is ignored, as it is under nohup, or another's already."""
        self._take(signal.SIGINT, signal.default_int_handler, self._raise)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back."""
        for number in [*self._replaced]:
            self._give_back(number)

    @contextmanager
    def at_checkpoints(self) -> Iterator[Callable[[], None]]:
        """Yield what an operation calls at its checkpoints: it raises KeyboardInterrupt if asked.

        Raises:
            KeyboardInterrupt: by what is yielded, after a signal came.
        """
        took = self._take(signal.SIGINT, self._raise, self._ask)
        self._take(signal.SIGTERM, signal.SIG_DFL, self._ask)
        try:
            yield self._stop_if_asked
        finally:
            self._give_back(signal.SIGTERM)
            if took:
                signal.signal(signal.SIGINT, self._raise)

    def _take(self, number: signal.Signals, expected: Any, handler: Any) -> bool:
        """Handle a signal that has the expected handler, and tell whether it had."""
        if threading.current_thread() is not threading.main_thread():
            return False
        if signal.getsignal(number) != expected:
            return False
        self._replaced.setdefault(number, expected)
        signal.signal(number, handler)
        return True

    def _give_back(self, number: signal.Signals) -> None:
        if number in self._replaced:
            signal.signal(number, self._replaced.pop(number))

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            self._on_second()
        self.came = True
        self._on_first()

    def _stop_if_asked(self) -> None:
        if self.came:
            raise KeyboardInterrupt
