"""Connections of this process by a configuration that another process has named.

A worker gets a path or URL and a version, never a password: it loads the configuration and looks
passwords up itself, once, and keeps its connections for what is sent to it next.
"""

import os
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager, SessionSettings
from shardhash.errors import StaleMapError, UsageError

__all__ = ["Workers", "process_connections"]


@dataclass(frozen=True, slots=True)
class Workers:
    """An executor for an operation's work, and where its processes find the configuration."""

    executor: Executor
    config: str | None

    @property
    def is_here(self) -> bool:
        """Tell whether they are threads of this process, which may use what it has."""
        return isinstance(self.executor, ThreadPoolExecutor)

    def reference(self) -> str:
        """Return what other processes load the configuration by.

        Raises:
            UsageError: there is nothing that they could load.
        """
        if self.config is None:
            raise UsageError(
                "the work was to go to other processes, and the configuration has no path or URL "
                "that they could load",
                next_step="open the cluster from its file or store: Cluster.open(...)",
            )
        return self.config


class _Kept:
    """What this process has loaded and opened. A forked child has nothing."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str, SessionSettings], tuple[Config, ConnectionManager]] = {}
        self._lock = Lock()

    def get(
        self, reference: str, version: str, session: SessionSettings
    ) -> tuple[Config, ConnectionManager]:
        key = (os.getpid(), reference, session)
        with self._lock:
            known = self._known.get(key)
            if known is None or (version and known[0].version != version):
                config = Config.load(reference)
                known = self._known[key] = config, ConnectionManager(config, session=session)
        return known


_KEPT = _Kept()


def process_connections(
    reference: str, version: str, *, session: SessionSettings
) -> tuple[Config, ConnectionManager]:
    """Return a configuration, loaded again where its version is another, and connections by it.

    Args:
        reference: a path or URL that ``Config.load`` takes.
        version: the version that is wanted; empty: any.
        session: how its sessions are set up.

    Raises:
        StaleMapError: this process finds another version.
        ShardhashError: the configuration cannot be read here.
    """
    config, connections = _KEPT.get(reference, version, session)
    if version and config.version != version:
        raise StaleMapError(
            f"a worker in process {os.getpid()} found version {config.version[:12]} of the "
            f"configuration {reference}, the work was planned for {version[:12]}",
            next_step="let workers and clients read one configuration, or ask again",
        )
    return config, connections
