"""What drivers' errors mean: one class for each thing that a caller can do about them.

Numbers are MariaDB's and MySQL's server errors (1000 and up) and client errors (2000 and up).
"""

import errno
import re
import sqlite3
import ssl
from dataclasses import dataclass
from enum import StrEnum

from shardhash.errors import (
    AccessDeniedError,
    DatabaseError,
    DeadlineError,
    RefusedError,
    ServerUnreachableError,
    ShardKeyError,
    TransientError,
    WrongShardError,
)

__all__ = [
    "Fault",
    "Place",
    "fault_of",
    "is_duplicate",
    "server_code",
    "session_goes_on",
    "translate",
]


class Fault(StrEnum):
    """Why a batch failed that may succeed when it is run again."""

    LOCK_WAIT = "lock wait"
    DEADLOCK = "deadlock"
    UNREACHABLE = "server unreachable"
    LOST = "connection lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an error happened, in the words of the configuration. It holds no secret."""

    instance: str
    address: str
    shard: str | None = None
    database: str | None = None

    def __str__(self) -> str:
        """Return the place as messages begin."""
        if self.shard is None:
            return f"instance {self.instance} ({self.address})"
        return (
            f"shard {self.shard} (database {self.database} on instance {self.instance}, "
            f"{self.address})"
        )


_FAULTS = {
    1205: Fault.LOCK_WAIT,
    1213: Fault.DEADLOCK,
    1020: Fault.DEADLOCK,  # MariaDB's innodb_snapshot_isolation: record has changed since last read
    1040: Fault.UNREACHABLE,
    1203: Fault.UNREACHABLE,
    2002: Fault.UNREACHABLE,
    2003: Fault.UNREACHABLE,
    2005: Fault.UNREACHABLE,
    1053: Fault.LOST,
    1927: Fault.LOST,
    2006: Fault.LOST,
    2013: Fault.LOST,
    2055: Fault.LOST,
    4031: Fault.LOST,
}
_DENIED_CODES = frozenset(
    {1044, 1045, 1129, 1130, 1142, 1143, 1227, 1370, 1410, 1419, 1698, 1820, 1862, 4151}
)
_READ_ONLY_CODES = frozenset({1290, 1792, 1836})
_DEADLINE_CODES = frozenset({1969, 3024})  # MariaDB's and MySQL's
_DUPLICATE_CODES = frozenset({1062, 1586})
_FIRST_SERVER_CODE = 1000
_CLIENT_CODES = range(2000, 3000)
_TLS_ERROR = 2026
_SIGNALLED = 1644

_WRONG_SHARD = re.compile(
    r"shardhash: (?P<mapping>\S+) (?:slot|range)(?: (?P<slot>[0-9]+))? is (?P<state>\w+) here"
)
_WRONG_KEY = re.compile(
    r"shardhash: (?P<mapping>\S+) takes no (?:row without|change of) a shard key"
)
_GUARD_NEXT_STEPS = {
    "fenced": "the slot is being moved: try again when that has ended (shardhash op list)",
    "foreign": "load the configuration anew, and write to the shard that owns the key",
    "missing": "fill the shard's slots: shardhash mapping guard on",
}

_DISK_FULL = f"Errcode: {errno.ENOSPC} "
_NO_ROOM = "free or add disk space on the server"
_NEXT_STEPS = {
    1021: _NO_ROOM,
    1040: "wait, lower the connection cap of clients, or raise max_connections",
    1044: "grant the user its privileges on this database",
    1045: "check user and password of the instance",
    1049: "create the database, or correct its name in the configuration",
    1054: "compare the table with the configuration and with the other shards",
    1114: _NO_ROOM,
    1129: "run FLUSH HOSTS on the server, and look for what fails to connect",
    1130: "create the user for the host that this machine connects from",
    1142: "grant the user this privilege on the table",
    1143: "grant the user this privilege on the column",
    1146: "create the table, or correct its name in the configuration",
    1203: "lower the connection cap, or raise the user's max_user_connections",
    1227: "connect as a user that has this privilege",
    1401: "grant the user XA_RECOVER_ADMIN, without which MySQL lists no prepared transactions",
    1419: "set log_bin_trust_function_creators=1 on the server, or connect as a user with SUPER",
    1449: "create the account again, or install the guards anew as another one",
    1451: "look at the rows that refer to it: they have to go first",
    1698: "this account logs in by the operating system's user: give it a password, or use another",
}
_SQLITE_NEXT_STEPS = {
    sqlite3.SQLITE_CANTOPEN: "check the path and permissions of the file and its directory",
    sqlite3.SQLITE_CORRUPT: "restore the file from a backup",
    sqlite3.SQLITE_FULL: "free disk space",
    sqlite3.SQLITE_NOTADB: "the path names some other file: correct it",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable for this user",
    sqlite3.SQLITE_PERM: "make the file and its directory accessible for this user",
}
_SQLITE_DENIED = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH})
_SQLITE_PRIMARY_CODE = 0xFF
_SQLITE_DUPLICATES = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
        sqlite3.SQLITE_CONSTRAINT_ROWID,
    }
)


def translate(
    error: Exception, place: Place, *, is_connecting: bool = False
) -> DatabaseError | RefusedError:
    """Return what a driver's error means; the caller raises it ``from`` that.

    That is a DatabaseError, or WrongShardError or ShardKeyError where a guard has refused a write.

    Args:
        error: of PyMySQL, sqlite3, or SQLAlchemy around one of them.
        place: where it happened.
        is_connecting: whether it happened before there was a session.
    """
    driver = _driver_error(error)
    refusal = _guard_refusal(driver, place)
    if refusal is not None:
        return refusal
    if isinstance(driver, sqlite3.Error):
        return _from_sqlite(driver, place)
    return _from_server(driver, place, is_connecting=is_connecting)


def fault_of(error: BaseException) -> Fault | None:
    """Return why `error` may not happen again if its batch is run again, or None."""
    if isinstance(error, DatabaseError):
        if not isinstance(error, (TransientError, ServerUnreachableError)) or not error.__cause__:
            return None
        fault = fault_of(error.__cause__)
        is_lost = fault is Fault.LOST and isinstance(error, ServerUnreachableError)
        return Fault.UNREACHABLE if is_lost else fault
    driver = _driver_error(error)
    if isinstance(driver, sqlite3.Error):
        return Fault.LOCK_WAIT if _is_busy(driver) else None
    return None if _tls_error(driver) else _FAULTS.get(server_code(driver))


def session_goes_on(error: Exception) -> bool:
    """Return whether `error` of PyMySQL is the server's answer to a statement, and no more."""
    code = server_code(error)
    return code >= _FIRST_SERVER_CODE and code not in _CLIENT_CODES and fault_of(error) is None


def is_duplicate(error: BaseException) -> bool:
    """Return whether `error` says that a primary or unique key is taken."""
    if isinstance(error, DatabaseError):
        return error.__cause__ is not None and is_duplicate(error.__cause__)
    driver = _driver_error(error)
    if isinstance(driver, sqlite3.Error):
        return int(getattr(driver, "sqlite_errorcode", 0)) in _SQLITE_DUPLICATES
    return server_code(driver) in _DUPLICATE_CODES


def server_code(error: BaseException) -> int:
    """Return the number of a PyMySQL error, 0 if it has none."""
    number = error.args[0] if error.args else 0
    return number if isinstance(number, int) else 0


def _driver_error(error: BaseException) -> BaseException:
    """Return what a SQLAlchemy error wraps, or the error itself."""
    wrapped = getattr(error, "orig", None)
    return wrapped if isinstance(wrapped, BaseException) else error


def _guard_refusal(error: BaseException, place: Place) -> RefusedError | None:
    """Return what a guard's refusal means; None for every other error."""
    is_sqlite = isinstance(error, sqlite3.IntegrityError)
    if not is_sqlite and server_code(error) != _SIGNALLED:
        return None
    said = _said(error)
    message = f"{place}: {said}"
    if wrong := _WRONG_SHARD.match(said):
        return WrongShardError(
            message,
            mapping=wrong["mapping"],
            slot=int(wrong["slot"]) if wrong["slot"] else None,
            state=wrong["state"],
            next_step=_GUARD_NEXT_STEPS.get(wrong["state"], ""),
        )
    if _WRONG_KEY.match(said):
        return ShardKeyError(
            message, next_step="write every row with its key, and never change the key of a row"
        )
    return None


def _from_server(error: BaseException, place: Place, *, is_connecting: bool) -> DatabaseError:
    code = server_code(error)
    said = _said(error)
    tls_error = _tls_error(error)
    if tls_error or code == _TLS_ERROR:
        return ServerUnreachableError(
            f"{place}: no TLS connection: {tls_error or said}",
            next_step="check tls and tls_ca of the instance and the server's certificate",
        )
    if code in _DENIED_CODES:
        return AccessDeniedError(
            f"{place}: access denied: {said} ({code})",
            next_step=_NEXT_STEPS.get(code, "check the user and its privileges"),
        )
    if code in _READ_ONLY_CODES and "read" in said.lower():
        return AccessDeniedError(
            f"{place}: the server takes no writes: {said} ({code})",
            next_step="connect to the primary, or end its read-only mode",
        )
    if code in _DEADLINE_CODES:
        return DeadlineError(
            f"{place}: the server ended the statement at its deadline: {said} ({code})",
            next_step="ask for less at once, or give the statement more time",
        )
    fault = _FAULTS.get(code)
    if fault is Fault.UNREACHABLE or (is_connecting and fault is Fault.LOST):
        return ServerUnreachableError(
            f"{place}: no connection: {said} ({code})",
            next_step=_NEXT_STEPS.get(code, "check that the server runs, and its address"),
        )
    if is_connecting and not code:
        return ServerUnreachableError(
            f"{place}: what answers there does not speak the MySQL protocol: {said}",
            next_step="check host and port of the instance",
        )
    if fault:
        return TransientError(
            f"{place}: {fault}: {said} ({code})",
            next_step=_TRANSIENT_NEXT_STEPS[fault],
        )
    number = f" ({code})" if code else ""
    default = _NO_ROOM if _DISK_FULL in said else ""
    return DatabaseError(f"{place}: {said}{number}", next_step=_NEXT_STEPS.get(code, default))


_TRANSIENT_NEXT_STEPS = {
    Fault.LOCK_WAIT: "end the transaction that holds the lock, then try again",
    Fault.DEADLOCK: "run the whole transaction again",
    Fault.LOST: "look in the server's log; a statement above max_allowed_packet ends so too",
}


def _said(error: BaseException) -> str:
    """Return the server's or driver's own words."""
    if len(error.args) > 1:
        return str(error.args[1])
    return str(error) or type(error).__name__


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """Return the TLS error that PyMySQL reports as 2003, if that is what happened."""
    original = getattr(error, "original_exception", None)
    return original if isinstance(original, ssl.SSLError) else None


def _from_sqlite(error: sqlite3.Error, place: Place) -> DatabaseError:
    code = _sqlite_code(error)
    message = f"{place}: {error}"
    if _is_busy(error):
        return TransientError(message, next_step="end the transaction that holds the file's lock")
    next_step = _SQLITE_NEXT_STEPS.get(code, "")
    if "no such function: shardhash_" in str(error):
        next_step = "call shardhash.db.prepare_sqlite(connection) when the file is opened"
    if code in _SQLITE_DENIED:
        return AccessDeniedError(message, next_step=next_step)
    if code == sqlite3.SQLITE_CANTOPEN:
        return ServerUnreachableError(message, next_step=next_step)
    return DatabaseError(message, next_step=next_step)


def _is_busy(error: sqlite3.Error) -> bool:
    return _sqlite_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _sqlite_code(error: sqlite3.Error) -> int:
    """Return the primary result code; errors of the module itself have none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & _SQLITE_PRIMARY_CODE
