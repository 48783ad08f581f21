"""Runs a batch again when it failed for a reason that passes."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from shardhash.db.drivers import Fault, fault_of
from shardhash.db.ports import Chooser, Clock
from shardhash.errors import DatabaseError

__all__ = ["Retrier", "RetryPolicy"]

_logger = logging.getLogger("shardhash.db.connections")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a batch is tried, and the pauses between, which double up to the longest."""

    attempts: int = 6
    first_pause_s: float = 0.1
    longest_pause_s: float = 5.0

    def pause_s(self, attempt: int, chooser: Chooser) -> float:
        """Return the pause after `attempt` (from 1): half of it fixed, half by chance."""
        whole = min(self.longest_pause_s, self.first_pause_s * 2.0 ** (attempt - 1))
        return chooser.uniform(whole / 2, whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrier:
    """Tries batches as its policy says."""

    policy: RetryPolicy
    clock: Clock
    chooser: Chooser

    def run(self, batch: Callable[[], T], *, shard: str, idempotent: bool) -> T:
        """Return what `batch` returns, from its first attempt that succeeds.

        A batch whose connection was lost may have been committed, so it is tried again only if it
        is idempotent. Each retry is logged with its reason.

        Raises:
            DatabaseError: the last attempt's, saying how often and how long was tried.
        """
        began = self.clock.monotonic()
        attempt = 1
        while True:
            try:
                return batch()
            except DatabaseError as error:
                fault = fault_of(error)
                if fault is None:
                    raise
                if fault is Fault.LOST and not idempotent:
                    raise _unknown_outcome(error) from error
                if attempt >= self.policy.attempts:
                    raise _given_up(error, attempt, self.clock.monotonic() - began) from error
                pause_s = self.policy.pause_s(attempt, self.chooser)
                _log_retry(shard, attempt, self.policy.attempts, fault, pause_s, error)
            self.clock.sleep(pause_s)
            attempt += 1


def _unknown_outcome(error: DatabaseError) -> DatabaseError:
    unknown = type(error)(
        f"{error}; the batch may or may not have been committed, so it was not run again",
        next_step="look whether its changes are there before running it again",
    )
    unknown.may_be_committed = True
    return unknown


def _given_up(error: DatabaseError, attempts: int, seconds: float) -> DatabaseError:
    return type(error)(
        f"{error}; tried {attempts} times in {seconds:.1f} s", next_step=error.next_step
    )


def _log_retry(
    shard: str, attempt: int, attempts: int, fault: Fault, pause_s: float, error: DatabaseError
) -> None:
    fields = {
        "shard": shard,
        "attempt": attempt,
        "attempts": attempts,
        "reason": fault.value,
        "pause_s": round(pause_s, 3),
        "error": str(error),
    }
    _logger.warning("%s %s", "batch_retried", fields)
