"""What the data-moving parts need of a running operation; ``Work`` is one."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar

from shardhash.db.guard import ControlPlace
from shardhash.db.topology import Backend

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["RowWork"]

T = TypeVar("T")


class RowWork(Protocol):
    """Connections to shards under an operation's token."""

    @property
    def operation(self) -> str:
        """Return the operation's id."""

    def backend(self, shard: str) -> Backend:
        """Return the kind of server that a shard is on."""

    def place(self, shard: str) -> ControlPlace:
        """Return where a shard's control tables are."""

    def read(self, shard: str) -> "AbstractContextManager[Connection]":
        """Return a connection to the shard's primary; what is open is rolled back at the end."""

    def batch(
        self,
        shard: str,
        do: "Callable[[Connection], T]",
        *,
        idempotent: bool = True,
        locks_reads: bool = True,
    ) -> T:
        """Run `do` in one transaction under the token, past the guards, and commit.

        Without `locks_reads` a statement that fills one table from another does not lock the rows
        that it reads: they may change.
        """

    def on_earlier_rows(self, count: int) -> None:
        """Count rows that an earlier run has done."""

    def on_rows(self, count: int) -> None:
        """Count the rows of a committed batch and wait where something holds the work back.

        Raises:
            StoppedError: somebody asked for a pause.
            LeaseLostError: the lease is gone.
        """
