"""Die by SIGKILL at the n-th event of a process: a statement, a commit, a write of the store.

``install`` changes classes for good, so it belongs in a forked child that nobody goes on with.
"""

import functools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, current_thread, get_ident
from typing import Any

_KEEPER = "shardhash-leases"  # renews leases by the clock, so that its events have no number


@dataclass
class Points:
    """The events so far; the one with number ``die_at`` is the last."""

    die_at: int | None = None
    on_event: Callable[[int, str], None] = lambda number, label: None
    count: int = 0
    _lock: Lock = field(default_factory=Lock)
    _holder: int | None = None

    def reach(self, label: str) -> None:
        """Count an event, and die if it is the one; what ``on_event`` does is none."""
        if current_thread().name == _KEEPER or self._holder == get_ident():
            return
        with self._lock:
            self._holder = get_ident()
            self.count += 1
            self.on_event(self.count, label)
            if self.count == self.die_at:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()
            self._holder = None


def install(points: Points, kind: str) -> None:
    """Let every statement, commit, and write of a store or file of this process be two events."""
    if kind == "mysql":
        _watch_server(points)
    else:
        _watch_files(points)
    _watch_store(points)


def _watch_server(points: Points) -> None:
    from pymysql.connections import Connection

    from shardhash.db.executor import _exact

    _wrap(points, Connection, "query", lambda sql, *_, **__: _head(sql))
    _wrap(points, Connection, "commit", lambda: "commit")
    _wrap(points, _exact, "load_bytes", lambda statement, _: _head(statement))


def _watch_files(points: Points) -> None:
    from sqlalchemy import Engine, event
    from sqlalchemy.engine.default import DefaultDialect

    from shardhash.db.connections._file_pool import FilePool

    @event.listens_for(Engine, "before_cursor_execute")
    def before(conn: Any, cursor: Any, statement: str, *_: object) -> None:
        points.reach(f"before {_head(statement)}")

    @event.listens_for(Engine, "after_cursor_execute")
    def after(conn: Any, cursor: Any, statement: str, *_: object) -> None:
        points.reach(f"after {_head(statement)}")

    _wrap(points, DefaultDialect, "do_commit", lambda *_: "commit")
    for name in ("create", "remove"):
        _wrap(points, FilePool, name, lambda place, name=name: f"{name} {place.database}")
    _wrap(points, Path, "unlink", lambda *_, **__: "unlink")


def _watch_store(points: Points) -> None:
    from shardhash.db.stores import FileStore
    from shardhash.db.stores._state import StateFile

    _wrap(points, FileStore, "append_journal", lambda _, __, record: _journal_label(record))
    for name in ("save", "acquire_lease", "release_lease", "_replace"):
        _wrap(points, FileStore, name, lambda *_, name=name, **__: f"store {name}")
    for name in ("announce", "settle"):
        _wrap(points, StateFile, name, lambda *_, name=name: f"store {name}")
    _wrap(points, Path, "replace", lambda *_: "rename")


def _journal_label(record: dict[str, Any]) -> str:
    step = record.get("step")
    return f"journal {record['event']}" + ("" if step is None else f" {step}")


def _wrap(points: Points, owner: Any, name: str, label: Callable[..., str]) -> None:
    plain = getattr(owner, name)

    @functools.wraps(plain)
    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        what = label(*args, **kwargs)
        points.reach(f"before {what}")
        result = plain(self, *args, **kwargs)
        points.reach(f"after {what}")
        return result

    setattr(owner, name, watched)


def _head(sql: str | bytes) -> str:
    text = sql.decode(errors="replace") if isinstance(sql, bytes | bytearray) else sql
    return " ".join(text.split())[:70]
