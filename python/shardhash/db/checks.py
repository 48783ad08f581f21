"""Facts about an instance that an operator wants before trusting it with shards."""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from shardhash.db import sql
from shardhash.db.planning.privileges import OPERATIONS, Grants, missing_privileges, parse_grants
from shardhash.db.ports import Clock

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["DirectoryFacts", "ServerFacts", "TriggerTrial", "check_directory", "check_server"]

_ROUND_TRIPS = 5
_SETTINGS = """
    SELECT VERSION(), @@version_comment, CURRENT_USER(), @@GLOBAL.sql_mode,
        @@GLOBAL.character_set_server, @@GLOBAL.collation_server, @@GLOBAL.time_zone,
        @@system_time_zone, @@GLOBAL.log_bin, @@GLOBAL.binlog_format, @@GLOBAL.read_only,
        @@GLOBAL.innodb_flush_log_at_trx_commit"""
_TLS = "SHOW SESSION STATUS WHERE Variable_name IN ('Ssl_version', 'Ssl_cipher')"
_TRIAL_NEEDS = frozenset({"CREATE", "DROP", "TRIGGER"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerTrial:
    """Whether a throw-away trigger could be made: ``yes``, ``no`` or ``not tried``, and why."""

    result: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a MySQL or MariaDB server says of itself, and what the account may do there.

    ``tls`` is the version and cipher of this connection, empty if it is not encrypted. ``missing``
    has for each operation the privileges that it lacks; none: it may be run.
    """

    version: str
    latency_ms: float
    user: str
    tls: str
    sql_mode: str
    charset: str
    collation: str
    time_zone: str
    binlog_format: str
    is_read_only: bool
    flush_at_commit: int
    databases: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]]
    trigger: TriggerTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryFacts:
    """What is to be said of a directory of SQLite files; ``missing`` are shards without a file."""

    directory: str
    version: str
    exists: bool
    is_writable: bool
    missing: tuple[str, ...] = field(default=())


def check_directory(directory: str, databases: Sequence[str]) -> DirectoryFacts:
    """Return the facts of a directory; reads only, and creates nothing."""
    path = Path(directory)
    return DirectoryFacts(
        directory=directory,
        version=f"SQLite {sqlite3.sqlite_version}",
        exists=path.is_dir(),
        is_writable=path.is_dir() and os.access(path, os.W_OK | os.X_OK),
        missing=tuple(name for name in databases if not (path / f"{name}.db").is_file()),
    )


def check_server(
    connection: "Connection", databases: Sequence[str], *, clock: Clock, trial_name: str
) -> ServerFacts:
    """Return the facts of a server.

    Writes one thing, and removes it: a table with a trigger, in a database of its own where the
    account may make one, else in the first of `databases` where it may make tables and triggers.

    Args:
        connection: to the server, with the server's own session settings.
        databases: those of the shards that are there, or will be.
        clock: measures the round trips.
        trial_name: of what is made to try a trigger; nothing else may have it.

    Raises:
        DatabaseError: a statement failed, once it leaves the connection's block.
    """
    latency_ms = _latency_ms(connection, clock)
    found = connection.exec_driver_sql(_SETTINGS).one()
    version, comment, user, mode, charset, collation, zone, system_zone = found[:8]
    has_binlog, binlog_format, read_only, flush = found[8:]
    grants = parse_grants(row[0] for row in connection.exec_driver_sql("SHOW GRANTS"))
    return ServerFacts(
        version=_version(version, comment),
        latency_ms=latency_ms,
        user=user,
        tls=_tls(connection),
        sql_mode=mode,
        charset=charset,
        collation=collation,
        time_zone=f"SYSTEM ({system_zone})" if zone == "SYSTEM" else zone,
        binlog_format=binlog_format if has_binlog else "off",
        is_read_only=read_only not in (0, "0", "OFF", "NO"),
        flush_at_commit=int(flush),
        databases=tuple(databases),
        missing={
            name: missing_privileges(grants, needs, databases) for name, needs in OPERATIONS.items()
        },
        trigger=_try_trigger(connection, grants, databases, trial_name),
    )


def _latency_ms(connection: "Connection", clock: Clock) -> float:
    """Return the median time of a round trip."""
    times = []
    for _ in range(_ROUND_TRIPS):
        started = clock.monotonic()
        connection.exec_driver_sql("SELECT 1").scalar_one()
        times.append(clock.monotonic() - started)
    return median(times) * 1000


def _version(version: str, comment: str) -> str:
    name = "MariaDB" if "mariadb" in f"{version} {comment}".lower() else "MySQL"
    return f"{name} {version.partition('-')[0]}"


def _tls(connection: "Connection") -> str:
    values = {name.lower(): value for name, value in connection.exec_driver_sql(_TLS)}
    return " ".join(filter(None, (values.get("ssl_version"), values.get("ssl_cipher"))))


def _try_trigger(
    connection: "Connection", grants: Grants, databases: Sequence[str], name: str
) -> TriggerTrial:
    from sqlalchemy.exc import DBAPIError

    own = grants.on(name) >= _TRIAL_NEEDS
    usable = [each for each in databases if grants.on(each) >= _TRIAL_NEEDS]
    if not own and not usable:
        needs = ", ".join(sorted(_TRIAL_NEEDS))
        return TriggerTrial(result="not tried", reason=f"the account needs {needs}")
    database = name if own else usable[0]
    removal = sql.drop_database(name) if own else sql.drop_table(database, name)
    try:
        if own:
            _run(connection, sql.create_database(name))
        _run(connection, sql.create_trial_table(database, name))
        _run(connection, sql.create_trial_trigger(database, name))
    except DBAPIError as error:
        return TriggerTrial(result="no", reason=_said(error.orig))
    finally:
        if not connection.invalidated:
            _run(connection, removal)
    return TriggerTrial(result="yes")


def _run(connection: "Connection", statement: sql.Statement) -> None:
    connection.exec_driver_sql(statement.sql)


def _said(error: Any) -> str:
    """Return the server's own words and number; the statements tried hold no secret."""
    number, text = error.args[:2]
    return f"{text} ({number})"
