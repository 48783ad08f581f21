"""Keep the last good map of a store, and know how old it is."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Literal

from shardhash.db.config import Config
from shardhash.db.stores import ConfigStore
from shardhash.errors import ShardhashError

__all__ = ["ConfigWatch"]

_LOG = logging.getLogger("shardhash.db.cluster")


class ConfigWatch:
    """Asks a store every ``refresh_s`` seconds, in a thread of its own, whether there is a new map.

    A store that is down, slow or empty, that answers old data, or whose text has mistakes, changes
    nothing: the last good map stays, and its age grows. Safe to share between threads; after a
    fork the child starts a thread of its own. Without a store the map never ages.
    """

    def __init__(
        self,
        config: Config,
        store: ConfigStore | None,
        *,
        refresh_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._store = store
        self._refresh_s = refresh_s
        self._clock = clock
        self._confirmed_at = clock()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread_of: int | None = None
        self._left_behind: set[str] = set()

    @property
    def config(self) -> Config:
        """Return the last good configuration, at once."""
        self._start()
        return self._config

    @property
    def age_s(self) -> float:
        """Return the seconds since the store last confirmed the configuration."""
        return 0.0 if self._store is None else self._clock() - self._confirmed_at

    @property
    def is_stale(self) -> bool:
        """Tell whether the map was not confirmed for longer than its ``map_max_age_s``."""
        return self.age_s > self._config.map_max_age_s

    def refresh(self) -> Literal["same", "new", "unconfirmed"]:
        """Ask the store now; returns what came of it and raises nothing that a store may cause."""
        if self._store is None:
            return "same"
        asked_at = self._clock()
        try:
            is_same = self._store.version() == self._config.version
            config = self._config if is_same else self._store.load()[0]
        except ShardhashError as error:
            _LOG.warning("map_unconfirmed", extra={"fields": {"age_s": self.age_s}}, exc_info=error)
            return "unconfirmed"
        return self._confirm(config, asked_at, may_repeat=self._store.may_repeat_versions)

    def _confirm(
        self, config: Config, asked_at: float, *, may_repeat: bool
    ) -> Literal["same", "new", "unconfirmed"]:
        with self._lock:
            if config.version in self._left_behind and not may_repeat:
                _LOG.warning("store_answers_old_data", extra={"fields": {"age_s": self.age_s}})
                return "unconfirmed"
            is_same = config.version == self._config.version
            if not is_same:
                self._left_behind.add(self._config.version)
            self._config = config
            self._confirmed_at = asked_at
        return "same" if is_same else "new"

    def close(self) -> None:
        """Stop the thread and close the store."""
        self._closed.set()
        if self._store is not None:
            self._store.close()

    def _start(self) -> None:
        if self._store is None or self._thread_of == os.getpid() or self._closed.is_set():
            return
        with self._lock:
            if self._thread_of == os.getpid():
                return
            self._thread_of = os.getpid()
            threading.Thread(target=self._run, name="shardhash-map", daemon=True).start()

    def _run(self) -> None:
        while not self._closed.wait(self._refresh_s):
            self.refresh()
