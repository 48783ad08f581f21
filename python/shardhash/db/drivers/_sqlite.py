"""SQLite: open a database file, and the functions that MySQL has and SQLite lacks."""

import hashlib
import sqlite3
import struct
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shardhash.db.drivers._errors import Place
from shardhash.db.drivers._session import SessionSettings
from shardhash.errors import ServerUnreachableError

__all__ = ["SQLiteConnector", "prepare_sqlite", "set_pass"]

_DEFAULT_LOCK_WAIT_S = 5

Value = int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class SQLiteConnector:
    """Opens one database file. A missing file is an error unless ``create`` says otherwise."""

    path: Path
    place: Place
    session: SessionSettings
    create: bool = False

    def connect(self) -> sqlite3.Connection:
        """Return a new connection, prepared, in no transaction. Touches the disk; thread-safe.

        Transactions begin when ``BEGIN`` is sent, and then hold DDL and reads too.

        Raises:
            ServerUnreachableError: the file is missing.
            sqlite3.Error: it cannot be opened.
        """
        if self.create:
            self._make_directory()
        elif not self.path.exists():
            raise ServerUnreachableError(
                f"{self.place}: there is no database file {self.path}",
                next_step="correct the instance's directory or the shard's database, or create it",
            )
        mode = "rwc" if self.create else "rw"
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=self.session.lock_wait_s or _DEFAULT_LOCK_WAIT_S,
            isolation_level=None,
            check_same_thread=False,
        )
        prepare_sqlite(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        if self.session.is_unlimited:  # rows are copied as they are, whatever a CHECK says now
            connection.execute("PRAGMA ignore_check_constraints = ON")
        return connection

    def _make_directory(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ServerUnreachableError(
                f"{self.place}: cannot make the directory {self.path.parent} ({error.strerror})",
                next_step="correct the instance's directory or its permissions",
            ) from error


def prepare_sqlite(connection: sqlite3.Connection) -> None:
    """Register shardhash's SQL functions on a connection that the application owns.

    Guarded tables refuse writes from connections that lack them. ``shardhash_crc32(value)`` is the
    CRC-32 of a key's bytes, ``shardhash_row_digest(...)`` a SHA-256 over its arguments,
    ``shardhash_checksum(digest)`` the XOR of the high 64 bits of digests,
    ``shardhash_datetime(text)`` the one spelling of a moment that sorts,
    ``shardhash_is_utf8(bytes)`` whether bytes are UTF-8; they are stable since 0.1.
    ``shardhash_pass()`` is NULL: an application does not write past guards. Also sets
    ``recursive_triggers``, without which an ``OR REPLACE`` deletes rows that triggers do not see.
    """
    connection.create_function("shardhash_crc32", 1, _crc32, deterministic=True)
    connection.create_function("shardhash_row_digest", -1, _row_digest, deterministic=True)
    connection.create_function("shardhash_is_utf8", 1, _is_utf8, deterministic=True)
    connection.create_function("shardhash_datetime", 1, _datetime, deterministic=True)
    connection.create_aggregate("shardhash_checksum", 1, _Checksum)
    set_pass(connection, None)
    connection.execute("PRAGMA recursive_triggers = ON")


def set_pass(connection: sqlite3.Connection, token: str | None) -> None:
    """Let ``shardhash_pass()`` give the SHA-256 of a token on a connection, or NULL.

    A guard lets a connection write whose value is in the shard's ``_shardhash_pass``.
    """
    digest = None if token is None else hashlib.sha256(token.encode()).digest()
    connection.create_function("shardhash_pass", 0, lambda: digest)


class _Checksum:
    """The XOR of the high 64 bits of digests, as SQLite's signed integer."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, digest: Any, /) -> None:
        """Add a digest."""
        self._sum ^= int.from_bytes(digest[:8], "big", signed=True)

    def finalize(self) -> int:
        """Return the sum; of no digest at all SQLite gives NULL without asking."""
        return self._sum


def _crc32(value: Value) -> int | None:
    """Return the CRC-32 of a key's bytes; a REAL has no exact text, and raises."""
    if value is None:
        return None
    if isinstance(value, float):
        raise TypeError("a floating point number has no key bytes")
    return zlib.crc32(value if isinstance(value, bytes) else str(value).encode())


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _datetime(text: str | None) -> str | None:
    """Return a date and time without zone as ``YYYY-MM-DD HH:MM:SS.ffffff``."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError("a datetime key has no time zone")
    return moment.isoformat(sep=" ", timespec="microseconds")


def _row_digest(*values: Value) -> bytes:
    """Return the SHA-256 of values, each written with its type and length, so that none collide."""
    digest = hashlib.sha256()
    for value in values:
        tag, payload = _tagged(value)
        digest.update(tag + len(payload).to_bytes(8, "big") + payload)
    return digest.digest()


def _tagged(value: Value) -> tuple[bytes, bytes]:
    if value is None:
        return b"n", b""
    if isinstance(value, int):
        return b"i", value.to_bytes(8, "big", signed=True)
    if isinstance(value, float):
        return b"f", struct.pack(">d", value)
    if isinstance(value, str):
        return b"t", value.encode()
    return b"b", value
