"""The SQLite file beside a YAML configuration: history, leases and journals."""

import errno
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from shardhash.db.stores._types import JournalEntry, Lease, SavedProgress, SavedVersion
from shardhash.errors import LeaseHeldError, LeaseLostError, StoreError

__all__ = ["StateFile", "journal_taken", "lease_held", "lease_lost"]

_BUSY_TIMEOUT_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS history (
    number INTEGER PRIMARY KEY AUTOINCREMENT, version TEXT NOT NULL, saved_at REAL NOT NULL,
    author TEXT NOT NULL, text TEXT NOT NULL, is_saved INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS leases (
    name TEXT PRIMARY KEY, holder TEXT, token INTEGER NOT NULL, expires_at REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS journal (
    operation TEXT NOT NULL, number INTEGER NOT NULL, written_at REAL NOT NULL,
    record TEXT NOT NULL, PRIMARY KEY (operation, number)) STRICT;
CREATE TABLE IF NOT EXISTS progress (
    operation TEXT PRIMARY KEY, written_at REAL NOT NULL, record TEXT NOT NULL) STRICT;
"""
_NOW = "SELECT (julianday('now') - 2440587.5) * 86400.0"


class StateFile:
    """History, leases and journals in one SQLite file that only its owner reads.

    Invariant: of the history at most the last entry is not saved: it was announced, and its save
    has not ended, or a crash ended it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def announce(self, version: str, text: str, author: str) -> None:
        """Write down who is about to save a version."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO history (version, saved_at, author, text, is_saved) "
                "VALUES (?, ?, ?, ?, 0)",
                (version, _now(connection), author, text),
            )

    def settle(self, version: str, text: str) -> None:
        """Let the history end with `version`, which is what the file holds.

        An announced version that is not it was never saved. One that nobody announced was
        written by other means: it is added without author.
        """
        with self._writing() as connection:
            connection.execute(
                "DELETE FROM history WHERE is_saved = 0 AND version <> ?", (version,)
            )
            connection.execute("UPDATE history SET is_saved = 1 WHERE is_saved = 0")
            last = connection.execute(
                "SELECT version FROM history ORDER BY number DESC LIMIT 1"
            ).fetchone()
            if last != (version,):
                connection.execute(
                    "INSERT INTO history (version, saved_at, author, text, is_saved) "
                    "VALUES (?, ?, '', ?, 1)",
                    (version, _now(connection), text),
                )

    def history(self, *, limit: int) -> tuple[SavedVersion, ...]:
        """Return the last saved versions, the newest first."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT version, saved_at, author, text FROM history WHERE is_saved = 1 "
                "ORDER BY number DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return tuple(SavedVersion(row[0], _time(row[1]), row[2], row[3]) for row in rows)

    def now(self) -> datetime:
        """Return SQLite's time, which is the machine's."""
        with self._reading() as connection:
            return _time(_now(connection))

    def acquire_lease(self, name: str, holder: str, ttl_s: float, above: int) -> Lease:
        """Take a free or ended lease."""
        with self._writing() as connection:
            now = _now(connection)
            row = connection.execute(
                "SELECT holder, token, expires_at FROM leases WHERE name = ?", (name,)
            ).fetchone()
            if row is not None and row[0] is not None and row[2] > now:
                raise lease_held(name, row[0], row[2] - now)
            token = max(above, 0 if row is None else row[1]) + 1
            connection.execute(
                "INSERT OR REPLACE INTO leases (name, holder, token, expires_at) "
                "VALUES (?, ?, ?, ?)",
                (name, holder, token, now + ttl_s),
            )
        return Lease(name, holder, token, _time(now + ttl_s))

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """Extend a lease that is still the holder's."""
        with self._writing() as connection:
            expires_at = _now(connection) + ttl_s
            changed = connection.execute(
                "UPDATE leases SET expires_at = ? WHERE name = ? AND token = ? AND holder = ?",
                (expires_at, lease.name, lease.token, lease.holder),
            ).rowcount
        if not changed:
            raise lease_lost(lease)
        return Lease(lease.name, lease.holder, lease.token, _time(expires_at))

    def release_lease(self, lease: Lease) -> None:
        """Free a lease, keeping its token so that the next is above it."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE leases SET holder = NULL WHERE name = ? AND token = ?",
                (lease.name, lease.token),
            )

    def get_lease(self, name: str) -> Lease | None:
        """Return a lease as last taken, or None where it is free."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT holder, token, expires_at FROM leases WHERE name = ?", (name,)
            ).fetchone()
        if row is None or row[0] is None:
            return None
        return Lease(name, row[0], row[1], _time(row[2]))

    def append_journal(self, operation: str, number: int, record: Mapping[str, object]) -> None:
        """Add a record under a number that must be free."""
        with self._writing() as connection:
            try:
                connection.execute(
                    "INSERT INTO journal (operation, number, written_at, record) "
                    "VALUES (?, ?, ?, ?)",
                    (operation, number, _now(connection), json.dumps(dict(record))),
                )
            except sqlite3.IntegrityError:
                raise journal_taken(operation, number) from None

    def read_journal(self, operation: str) -> tuple[JournalEntry, ...]:
        """Return an operation's records in order."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT number, written_at, record FROM journal WHERE operation = ? "
                "ORDER BY number",
                (operation,),
            ).fetchall()
        return tuple(
            JournalEntry(operation, row[0], _time(row[1]), json.loads(row[2])) for row in rows
        )

    def list_journals(self) -> tuple[str, ...]:
        """Return the operations that have records, the oldest first."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT operation FROM journal GROUP BY operation ORDER BY min(rowid)"
            ).fetchall()
        return tuple(row[0] for row in rows)

    def save_progress(self, operation: str, record: Mapping[str, object]) -> None:
        """Replace what is saved of an operation's progress."""
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO progress (operation, written_at, record) VALUES (?, ?, ?)",
                (operation, _now(connection), json.dumps(dict(record))),
            )

    def read_progress(self, operation: str) -> SavedProgress | None:
        """Return what was saved last of an operation's progress."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT written_at, record FROM progress WHERE operation = ?", (operation,)
            ).fetchone()
        return None if row is None else SavedProgress(_time(row[0]), json.loads(row[1]))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection; to an empty database in memory where the file is not there yet."""
        if self._path.exists():
            with self._open() as connection:
                yield connection
            return
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(_SCHEMA)
            yield connection

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with closing(
                sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            ) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(_SCHEMA)
                yield connection
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"cannot use {self._path}, which holds history, leases and journals: {error}",
                next_step=_next_step(error),
            ) from error


def _next_step(error: Exception) -> str:
    code = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return (
            "a process of this machine holds the file, and may be stopped: `fuser` on it tells "
            "which; let it go on, or end it"
        )
    if code == sqlite3.SQLITE_FULL or getattr(error, "errno", 0) == errno.ENOSPC:
        return "make room where the file is"
    return "check the permissions of the file and its directory"


def lease_held(name: str, holder: str, left_s: float) -> LeaseHeldError:
    """Return the refusal of a lease that another holds."""
    return LeaseHeldError(
        f"{name} is being worked on by {holder}; its lease ends in {left_s:.0f} s unless it is "
        "renewed",
        next_step="wait until it is done, or until the lease ends",
    )


def lease_lost(lease: Lease) -> LeaseLostError:
    """Return the error of a holder that came too late."""
    return LeaseLostError(
        f"{lease.holder} has lost the lease of {lease.name} (token {lease.token})",
        next_step="look at the operation's journal, then resume it",
    )


def journal_taken(operation: str, number: int) -> LeaseLostError:
    """Return the error of a writer that met another's record."""
    return LeaseLostError(
        f"record {number} of operation {operation} was written by another process",
        next_step="look at the operation's journal, then resume it",
    )


def _now(connection: sqlite3.Connection) -> float:
    return float(connection.execute(_NOW).fetchone()[0])


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
