"""When to hold a running operation back: lagging read endpoints, a busy server, a pause file.

Nothing here stops an operation: it waits and says why, until the reason has passed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from shardhash.db.connections import ConnectionManager
from shardhash.db.ports import Clock
from shardhash.db.topology import Backend, Shard
from shardhash.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Throttle", "ThrottleSettings", "Unthrottled", "Waiting"]

_PAUSE_S = 0.5
_LOOK_EVERY_S = 1.0
_LAG = ("seconds_behind_master", "seconds_behind_source")


class Waiting(Protocol):
    """What an operation asks after each batch."""

    def wait(self, on_wait: Callable[[str], None]) -> None:
        """Return when the operation may go on; ``on_wait`` is told why it may not, each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleSettings:
    """What holds an operation back; None: nothing of that kind does.

    Attributes:
        max_lag_s: the longest lag of a read endpoint of the shards at work, in seconds.
        max_threads_running: of the servers of these shards, the tool's own among them.
        pause_file: while this file is there, nothing goes on.
    """

    max_lag_s: float | None = None
    max_threads_running: int | None = None
    pause_file: str | None = None


class Unthrottled:
    """Never waits."""

    def wait(self, on_wait: Callable[[str], None]) -> None:
        """Return at once."""


@dataclass(slots=True)
class Throttle:
    """Looks at most once a second, by itself; in between `wait` costs nothing."""

    settings: ThrottleSettings
    connections: ConnectionManager
    shards: Sequence[Shard]
    clock: Clock
    _looked_at: float = field(default=float("-inf"), init=False)

    def wait(self, on_wait: Callable[[str], None]) -> None:
        """Return when nothing speaks against going on."""
        if self.clock.monotonic() - self._looked_at < _LOOK_EVERY_S:
            return
        while (reason := self._reason()) is not None:
            on_wait(reason)
            self.clock.sleep(_PAUSE_S)
        self._looked_at = self.clock.monotonic()

    def _reason(self) -> str | None:
        settings = self.settings
        if settings.pause_file is not None and Path(settings.pause_file).exists():
            return f"the pause file {settings.pause_file} is there"
        for shard in self.shards:
            if self.connections.backend(shard.name) is Backend.SQLITE:
                continue
            reason = self._busy(shard, settings.max_threads_running) or self._lagging(
                shard, settings.max_lag_s
            )
            if reason is not None:
                return reason
        return None

    def _busy(self, shard: Shard, limit: int | None) -> str | None:
        if limit is None:
            return None
        with self.connections.write(shard.name) as connection:
            row = connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Threads_running'").one()
        running = int(row[1])
        if running <= limit:
            return None
        return f"{running} threads run on {shard.instance}, and {limit} may"

    def _lagging(self, shard: Shard, limit: float | None) -> str | None:
        if limit is None:
            return None
        for endpoint in shard.read:
            try:
                with self.connections.read(shard.name, endpoint=endpoint.address) as connection:
                    lag_s = _lag_s(connection)
            except DatabaseError as error:
                return f"{endpoint.address} does not say how far it lags: {error}"
            if lag_s is None:
                return f"{endpoint.address} does not replicate"
            if lag_s > limit:
                return f"{endpoint.address} lags {lag_s:g} s behind, and {limit:g} s it may"
        return None


def _lag_s(connection: "Connection") -> float | None:
    """Return how many seconds a replica is behind; 0 for a server that is none.

    Source: https://mariadb.com/kb/en/show-replica-status/
    """
    row = connection.exec_driver_sql("SHOW SLAVE STATUS").mappings().first()
    if row is None:
        return 0.0
    lag = next(value for name, value in row.items() if name.lower() in _LAG)
    return None if lag is None else float(lag)
