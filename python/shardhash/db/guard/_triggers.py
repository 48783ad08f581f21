"""Install, remove and check the guards of a shard's tables."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.guard._run import fetch, run, set_back, take_file
from shardhash.db.schema import Table
from shardhash.db.sql import ControlPlace, GuardEvent, Statement
from shardhash.db.topology import Backend, KeyType, Mapping, RangeRule
from shardhash.errors import PreflightError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["GuardFault", "GuardedTable", "find_guard_faults", "install_guards", "remove_guards"]


@dataclass(frozen=True, slots=True)
class GuardedTable:
    """A table of a mapping, and the column that holds its shard key."""

    table: Table
    key: str


@dataclass(frozen=True, slots=True)
class GuardFault:
    """What is wrong with one guard, as a phrase: ``is missing``, ``differs: ...``."""

    table: str
    event: GuardEvent
    problem: str


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A guard as a mapping needs it."""

    table: Table
    event: GuardEvent
    text: str


@dataclass(frozen=True, slots=True)
class _Found:
    """A guard as the server describes it; ``definer`` is ``user@host``."""

    name: str
    table: str
    kind: str
    text: str
    mode: str
    definer: str


def install_guards(
    connection: "Connection",
    place: ControlPlace,
    mapping: Mapping,
    tables: Sequence[GuardedTable],
    *,
    definer: tuple[str, str] | None = None,
) -> None:
    """Give each table its three guards; those that are right stay.

    A guard that differs is replaced by making the new one before the old one goes, so that a
    guarded table is never without. Every statement waits for open transactions on its table. On
    MySQL each commits by itself.

    Guards run with the rights of their definer: the session's own account, or user and host given
    as `definer`, for which the session needs SUPER or SET USER. It needs SELECT and TRIGGER on the
    tables, SELECT and UPDATE on the control tables. If it is dropped, every write fails with error
    1449, and ``find_guard_faults`` names the guards concerned.

    Raises:
        PreflightError: the mapping is by a ring, or a table cannot be guarded.
        DatabaseError: the server refused; guards made before stay.
    """
    take_file(connection, place)
    _check_order(connection, place, mapping)
    wanted = _wanted(place, mapping, tables)
    with _guard_mode(connection, place):
        for each in wanted:
            _install(connection, place, each, definer)


def remove_guards(connection: "Connection", place: ControlPlace, tables: Iterable[str]) -> None:
    """Remove all guards of the named tables; a table without any, or a missing one, is fine."""
    take_file(connection, place)
    folds = _folds_names(connection, place)
    names = {name.lower() if folds else name for name in tables}
    for found in _guards(connection, place):
        if (found.table.lower() if folds else found.table) in names:
            run(connection, sql.drop_guard(place, found.name))


def find_guard_faults(
    connection: "Connection",
    place: ControlPlace,
    mapping: Mapping,
    tables: Sequence[GuardedTable],
) -> list[GuardFault]:
    """Return what is missing, differs, or has a definer that does not exist; only reads.

    On MySQL the account needs TRIGGER to see guards, and SELECT on ``mysql.user`` to see dropped
    definers; without the latter none is reported.
    """
    found = _guards(connection, place)
    accounts = _accounts(connection, place)
    faults = []
    for wanted in _wanted(place, mapping, tables):
        ours = [each for each in found if _is_for(each, wanted)]
        problem = _problem(connection, place, wanted, ours, accounts)
        if problem:
            faults.append(GuardFault(wanted.table.name, wanted.event, problem))
    return faults


def _check_order(connection: "Connection", place: ControlPlace, mapping: Mapping) -> None:
    """Refuse ranges of text in a SQLite file that sorts the bytes of UTF-16, not code points."""
    is_text = mapping.key.type in (KeyType.STR, KeyType.UUID)
    if place.backend is Backend.MYSQL or not isinstance(mapping.rule, RangeRule) or not is_text:
        return
    [(encoding,)] = fetch(connection, sql.read_encoding())
    if encoding != "UTF-8":
        raise PreflightError(
            f"mapping {mapping.name} has ranges of text, but the file of {place.database} keeps "
            f"text as {encoding}, whose order is another",
            next_step="make a new file (PRAGMA encoding = 'UTF-8') and copy the tables into it",
        )


def _wanted(place: ControlPlace, mapping: Mapping, tables: Sequence[GuardedTable]) -> list[_Wanted]:
    return [
        _Wanted(guarded.table, event, _text(place, mapping, guarded, event))
        for guarded in tables
        for event in GuardEvent
    ]


def _text(place: ControlPlace, mapping: Mapping, guarded: GuardedTable, event: GuardEvent) -> str:
    table = guarded.table
    if table.kind != "table" or not table.is_transactional:
        what = f"a {table.kind}" if table.kind != "table" else "a table without transactions"
        raise PreflightError(
            f"{table.name} was to be guarded, but is {what}",
            next_step=f"make {table.name} an InnoDB table, or take it out of the mapping",
        )
    return sql.guard_text(place, mapping, table, table.column(guarded.key), event)


def _install(
    connection: "Connection",
    place: ControlPlace,
    wanted: _Wanted,
    definer: tuple[str, str] | None,
) -> None:
    table, event = wanted.table, wanted.event
    guards = _guards(connection, place)
    there = [each for each in guards if _is_for(each, wanted)]
    right = [each for each in there if _is_right(connection, place, wanted, each, definer)]
    if not right:
        taken = {each.name.lower() for each in guards}
        names = (sql.guard_name(table.name, event, number) for number in count(1))
        name = next(name for name in names if name.lower() not in taken)
        run(connection, sql.create_guard(place, name, table, event, wanted.text, definer))
    for each in there:
        if each not in right[:1]:
            run(connection, sql.drop_guard(place, each.name))


def _guards(connection: "Connection", place: ControlPlace) -> list[_Found]:
    rows = fetch(connection, sql.find_guards(place))
    return [_Found(*row) for row in rows]


def _folds_names(connection: "Connection", place: ControlPlace) -> bool:
    """Tell whether names of tables that differ only in case are one name to a server."""
    if place.backend is Backend.SQLITE:
        return False
    [(setting,)] = fetch(connection, sql.read_name_folding())
    return bool(setting)


def _is_for(found: _Found, wanted: _Wanted) -> bool:
    """Tell whether a guard is for a table, whose name is as a server writes it."""
    is_ours = found.name.startswith(sql.guard_prefix(wanted.event))
    return is_ours and found.table == wanted.table.name


def _is_right(
    connection: "Connection",
    place: ControlPlace,
    wanted: _Wanted,
    found: _Found,
    definer: tuple[str, str] | None = None,
) -> bool:
    table, event = wanted.table, wanted.event
    if place.backend is Backend.SQLITE:
        return found.text == sql.create_guard(place, found.name, table, event, wanted.text).sql
    account = found.definer if definer is None else "@".join(definer)
    is_alike = (found.kind, found.mode, found.definer) == (
        f"AFTER {event.value}",
        sql.GUARD_MODE,
        account,
    )
    return is_alike and _has_text(connection, place, found, wanted.text.replace("%%", "%"))


def _has_text(connection: "Connection", place: ControlPlace, found: _Found, text: str) -> bool:
    """Compare a guard's text on a server, and where it is shown another way, what was sent."""
    if found.text == text:
        return True
    [row] = fetch(connection, sql.show_guard(place, found.name))
    return str(row[2]).endswith(f" FOR EACH ROW {text}")


def _problem(
    connection: "Connection",
    place: ControlPlace,
    wanted: _Wanted,
    found: Sequence[_Found],
    accounts: frozenset[str] | None,
) -> str:
    if not found:
        return "is missing"
    if len(found) > 1 or not _is_right(connection, place, wanted, found[0]):
        return "differs from what this mapping needs"
    definer = found[0].definer
    if accounts is not None and definer not in accounts:
        return f"runs as {definer}, an account that does not exist: every write fails (1449)"
    return ""


def _accounts(connection: "Connection", place: ControlPlace) -> frozenset[str] | None:
    """Return all accounts of a server as ``user@host``; None where that cannot be told."""
    from sqlalchemy.exc import DBAPIError

    if place.backend is Backend.SQLITE:
        return frozenset({""})
    try:
        return frozenset(f"{user}@{host}" for user, host in fetch(connection, sql.list_accounts()))
    except DBAPIError:
        return None


@contextmanager
def _guard_mode(connection: "Connection", place: ControlPlace) -> Iterator[None]:
    """Let MySQL store the guards' own sql_mode with them, whatever the session's is."""
    if place.backend is Backend.SQLITE:
        yield
        return
    [(mode,)] = fetch(connection, Statement("SELECT @@SESSION.sql_mode"))
    run(connection, sql.set_sql_mode(sql.GUARD_MODE))
    try:
        yield
    finally:
        set_back(connection, sql.set_sql_mode(mode))
