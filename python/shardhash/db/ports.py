"""The Protocols through which connections reach what is outside: drivers, secrets, time, chance.

Production code passes the real ones by default; tests pass their own.
"""

from typing import Protocol

from shardhash.db.topology import Instance, PasswordSource, Shard

__all__ = ["Chooser", "Clock", "Connector", "DriverConnection", "SecretResolver", "Topology"]


class Clock(Protocol):
    """Time, in seconds. The ``time`` module is one."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...


class Chooser(Protocol):
    """A source of chance. ``random.Random`` is one."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between `a` and `b`."""
        ...

    def randrange(self, stop: int, /) -> int:
        """Return an integer of ``[0, stop)``."""
        ...


class SecretResolver(Protocol):
    """Looks passwords up at the moment a connection is made."""

    def password(self, source: PasswordSource, *, owner: str) -> str:
        """Return the password that `source` refers to; ``owner`` names whose it is in errors.

        Raises:
            UsageError: it is missing, or kept where others can read it.
        """
        ...

    def user(self, source: PasswordSource, *, owner: str) -> str | None:
        """Return the user that `source` names beside the password, or None. Raises likewise."""
        ...


class DriverConnection(Protocol):
    """A connection of a driver (PEP 249)."""

    def close(self) -> None:
        """Close the connection; what is open is rolled back."""
        ...

    def commit(self) -> None:
        """Commit what is open."""
        ...

    def rollback(self) -> None:
        """Roll back what is open."""
        ...


class Connector(Protocol):
    """Makes driver connections to one server or one database file."""

    def connect(self) -> DriverConnection:
        """Return a new connection with its session set up. Touches network or disk; thread-safe.

        Raises:
            Exception: the driver's own errors, for ``drivers.translate``.
            ShardhashError: what stands in the way before the driver is asked.
        """
        ...


class Topology(Protocol):
    """What connections need of a configuration; ``Config`` is one."""

    def instance(self, name: str) -> Instance:
        """Return the instance `name`; UsageError if there is none."""
        ...

    def shard(self, name: str) -> Shard:
        """Return the shard `name`; UsageError if there is none."""
        ...
