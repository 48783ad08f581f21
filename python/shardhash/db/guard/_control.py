"""Control tables, identity, fencing token and passes."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.drivers import set_pass
from shardhash.db.guard._run import fetch, run, set_back, take_file
from shardhash.db.sql import ControlPlace
from shardhash.db.topology import Backend
from shardhash.errors import LeaseLostError, PreflightError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "Identity",
    "add_pass",
    "check_identity",
    "check_token",
    "create_control",
    "drop_control",
    "has_control",
    "raise_token",
    "read_identity",
    "read_token",
    "remove_pass",
    "use_pass",
    "write_identity",
]


@dataclass(frozen=True, slots=True)
class Identity:
    """Which shard of which app a database is.

    ``id`` is a random text, so that a copy or another name of the database is found out;
    ``operation`` the operation that made the database, empty where it was adopted.
    """

    app: str
    shard: str
    id: str
    operation: str = ""


def has_control(connection: "Connection", place: ControlPlace) -> bool:
    """Return whether all control tables are there."""
    return len(_control_tables(connection, place)) == len(sql.CONTROL_TABLES)


def create_control(connection: "Connection", place: ControlPlace) -> None:
    """Create the control tables that are missing; what is there stays as it is.

    On MySQL each statement commits by itself, except for the fence's row, and a crash in between
    leaves tables that the next call completes.
    """
    if place.backend is Backend.MYSQL:
        run(connection, sql.create_database(sql.control_schema(place.database)))
    take_file(connection, place)
    for name in sql.CONTROL_TABLES:
        run(connection, sql.create_control_table(place, name))
    run(connection, sql.insert_fence(place))


def drop_control(connection: "Connection", place: ControlPlace) -> None:
    """Drop the control tables, on MySQL their database.

    Raises:
        PreflightError: guards are there, and would refuse every write without the tables.
    """
    take_file(connection, place)
    guards = fetch(connection, sql.find_guards(place))
    if guards:
        raise PreflightError(
            f"the control tables of {place.database} were to be dropped, but "
            f"{len(guards)} guards need them, on {', '.join(sorted({row[1] for row in guards}))}",
            next_step="remove the guards first",
        )
    if place.backend is Backend.MYSQL:
        run(connection, sql.drop_database(sql.control_schema(place.database)))
        return
    for name in sql.CONTROL_TABLES:
        run(connection, sql.drop_control_table(place, name))


def read_identity(connection: "Connection", place: ControlPlace) -> Identity | None:
    """Return the shard's identity, None where none was written."""
    if "_shardhash_identity" not in _control_tables(connection, place):
        return None
    rows = fetch(connection, sql.read_identity(place))
    return Identity(*rows[0]) if rows else None


def check_identity(
    connection: "Connection", place: ControlPlace, app: str, shard: str
) -> Identity | None:
    """Return what a database says that it is, None where it says nothing.

    Raises:
        PreflightError: it is another shard, so that addresses or databases must be swapped.
    """
    found = read_identity(connection, place)
    if found is not None and (found.app, found.shard) != (app, shard):
        raise PreflightError(
            f"the database of shard {shard} says that it is shard {found.shard} of "
            f"{found.app}: addresses or databases are swapped",
            next_step=f"correct instance and database of {shard} and {found.shard}; if the "
            f"database was renamed on purpose: shardhash shard release {found.shard}",
        )
    return found


def write_identity(connection: "Connection", place: ControlPlace, identity: Identity) -> None:
    """Write the shard's identity, once.

    Raises:
        PreflightError: it has another one.
    """
    take_file(connection, place)
    found = read_identity(connection, place)
    if found == identity:
        return
    if found is not None:
        raise PreflightError(
            f"database {place.database} was to become shard {identity.shard} of {identity.app}, "
            f"but says that it is shard {found.shard} of {found.app} (id {found.id})",
            next_step="correct instance and database of the shard; or release the database from "
            "the shard that it was",
        )
    values = (identity.app, identity.shard, identity.id, identity.operation)
    run(connection, sql.insert_identity(place, values))


def read_token(connection: "Connection", place: ControlPlace) -> tuple[int, str]:
    """Return the shard's fencing token and the operation that raised it; ``(0, "")`` if none."""
    if "_shardhash_fence" not in _control_tables(connection, place):
        return 0, ""
    rows = fetch(connection, sql.read_fence(place))
    return (int(rows[0][0]), str(rows[0][1])) if rows else (0, "")


def raise_token(connection: "Connection", place: ControlPlace, token: int, operation: str) -> None:
    """Make `token` the one that may change the shard; waits for open batches of older ones.

    Once this is committed, ``check_token`` refuses every lower token.

    Raises:
        LeaseLostError: a higher token was here, or the same of another operation.
    """
    found, holder = _locked_token(connection, place, "exclusive")
    if found < 0:  # a crash came between the tables and their row
        run(connection, sql.insert_fence(place))
    if found > token or (found == token and holder != operation):
        raise _lost(place, token, found, holder)
    run(connection, sql.update_fence(place, token, operation))


def check_token(connection: "Connection", place: ControlPlace, token: int) -> None:
    """Hold the fencing token for the rest of the transaction, which it must begin.

    The lock is shared: batches of one operation run beside each other, and whoever raises the
    token waits for them.

    Raises:
        LeaseLostError: the shard has another token, or none; roll back.
    """
    found, holder = _locked_token(connection, place, "shared")
    if found != token:
        raise _lost(place, token, found, holder)


def add_pass(
    connection: "Connection", place: ControlPlace, operation: str, token_text: str
) -> None:
    """Let sessions that ``use_pass`` with `token_text` write past the guards of this shard.

    Only the token's SHA-256 is stored. An operation has one pass; a new one replaces it.
    """
    run(connection, sql.insert_pass(place, operation, _digest(token_text)))


def remove_pass(connection: "Connection", place: ControlPlace, operation: str) -> None:
    """End an operation's pass; waits for open transactions that used it."""
    run(connection, sql.delete_pass(place, operation))


def use_pass(connection: "Connection", backend: Backend, token_text: str | None) -> None:
    """Let this session write past the guards, as long as the shard has the pass.

    None takes it back: a session that returns to a pool keeps its variables.
    """
    if backend is Backend.MYSQL:
        (run if token_text else set_back)(connection, sql.set_pass_token(token_text))
        return
    raw = connection.connection.driver_connection
    assert raw is not None, "a checked-out connection has a driver's connection"
    set_pass(raw, token_text)


def _digest(token_text: str) -> bytes:
    return hashlib.sha256(token_text.encode()).digest()


def _control_tables(connection: "Connection", place: ControlPlace) -> set[str]:
    return {row[0].lower() for row in fetch(connection, sql.find_control_tables(place))}


def _locked_token(connection: "Connection", place: ControlPlace, lock: str) -> tuple[int, str]:
    """Return token and operation, locked; -1 where the row is missing."""
    take_file(connection, place)
    rows = fetch(connection, sql.read_fence(place, lock=lock))
    return (int(rows[0][0]), str(rows[0][1])) if rows else (-1, "")


def _lost(place: ControlPlace, token: int, found: int, holder: str) -> LeaseLostError:
    now = "has none" if found < 0 else f"has {found} of operation {holder or 'none'}"
    return LeaseLostError(
        f"database {place.database} was to be changed with token {token}, but {now}; this "
        "process changed nothing",
        next_step="look at the operation that has taken over: shardhash op list",
    )
