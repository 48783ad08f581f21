"""Triggers that let a shard take writes only for the slots that it owns.

They run AFTER each row's change, because a BEFORE trigger sees 0 for an AUTO_INCREMENT key and a
later one could rewrite the key behind it. They read the slot's state with a lock, so that setting
a slot to ``fenced`` waits for every transaction that wrote to it.
"""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum

from shardhash.db.schema import Column, Table
from shardhash.db.sql._control import ControlPlace, SlotState, control_table
from shardhash.db.sql._keys import distinct_key_expression, key_bytes_expression, slot_expression
from shardhash.db.sql._text import Statement, literal, placeholder, quote, table_path
from shardhash.db.topology import Backend, KeyType, Mapping, RangeRule, SlotRule
from shardhash.errors import PreflightError

__all__ = [
    "GUARD_MODE",
    "GuardEvent",
    "create_guard",
    "drop_guard",
    "find_guards",
    "guard_name",
    "guard_prefix",
    "guard_text",
    "list_accounts",
    "number_expression",
    "read_encoding",
    "read_name_folding",
    "read_only_mode",
    "set_pass_token",
    "set_sql_mode",
    "show_guard",
]

GUARD_MODE = "STRICT_ALL_TABLES"
"""The sql_mode that MySQL keeps with each guard, whatever the session's is."""

_PREFIX = "_shardhash_guard_"
_LONGEST_NAME = 64
_DIGEST_LENGTH = 12

Bound = int | str | bytes | date


class GuardEvent(StrEnum):
    """The kinds of change that a guard watches, one trigger for each."""

    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


def guard_prefix(event: GuardEvent) -> str:
    """Return how the names of all guards of an event begin."""
    return f"{_PREFIX}{event.lower()}"


def guard_name(table: str, event: GuardEvent, number: int = 1) -> str:
    """Return the name of a table's guard; ``number`` 2 stands in while 1 is made anew."""
    head = f"{guard_prefix(event)}{number}_"
    if len(head) + len(table) <= _LONGEST_NAME:
        return head + table
    digest = hashlib.sha256(table.encode()).hexdigest()[:_DIGEST_LENGTH]
    return head + table[: _LONGEST_NAME - len(head) - _DIGEST_LENGTH] + digest


def guard_text(
    place: ControlPlace, mapping: Mapping, table: Table, column: Column, event: GuardEvent
) -> str:
    """Return the trigger's text after its heading, as the driver takes it.

    Raises:
        PreflightError: the mapping is by a ring, or the column cannot hold its keys.
    """
    write = _mysql_text if place.backend is Backend.MYSQL else _sqlite_text
    return write(place, mapping, column, event)


def create_guard(
    place: ControlPlace,
    name: str,
    table: Table,
    event: GuardEvent,
    text: str,
    definer: tuple[str, str] | None = None,
) -> Statement:
    """Create a guard; ``definer`` is user and host of another account than the session's."""
    if place.backend is Backend.SQLITE:
        head = f"{quote(name, Backend.SQLITE)} AFTER {event.value} ON "
        return Statement(f"CREATE TRIGGER {head}{quote(table.name, Backend.SQLITE)} {text}")
    account = "" if definer is None else f"DEFINER = {'@'.join(map(_mysql_name, definer))} "
    return Statement(
        f"CREATE {account}TRIGGER {table_path(place.database, name)} AFTER {event.value} ON "
        f"{table_path(place.database, table.name)} FOR EACH ROW {text}"
    )


def drop_guard(place: ControlPlace, name: str) -> Statement:
    """Drop a guard by name; nothing happens if there is none."""
    if place.backend is Backend.SQLITE:
        return Statement(f"DROP TRIGGER IF EXISTS {quote(name, Backend.SQLITE)}")
    return Statement(f"DROP TRIGGER IF EXISTS {table_path(place.database, name)}")


def find_guards(place: ControlPlace) -> Statement:
    """Return a SELECT of name, table, kind, text, sql_mode and definer of a database's guards.

    The kind is ``AFTER INSERT`` and so on. SQLite tells only the whole text, heading and all.
    """
    prefix = f"{_PREFIX}%".replace("_", "|_")
    hole = placeholder(place.backend)
    if place.backend is Backend.SQLITE:
        return Statement(
            "SELECT name, tbl_name, '', sql, '', '' FROM sqlite_master "
            f"WHERE type = 'trigger' AND name LIKE {hole} ESCAPE '|' ORDER BY name",
            (prefix,),
        )
    return Statement(
        "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE, CONCAT(ACTION_TIMING, ' ', EVENT_MANIPULATION), "
        "ACTION_STATEMENT, SQL_MODE, DEFINER FROM information_schema.TRIGGERS "
        f"WHERE TRIGGER_SCHEMA = {hole} AND TRIGGER_NAME LIKE {hole} ESCAPE '|' "
        "ORDER BY TRIGGER_NAME",
        (place.database, prefix),
    )


def show_guard(place: ControlPlace, name: str) -> Statement:
    """Return a query whose third column is the statement that made a MySQL trigger, as it was sent.

    The text that ``find_guards`` reads is for people: MySQL takes quotes, escapes and charsets of
    literals off it, and doubles percent signs.

    Source: https://dev.mysql.com/doc/refman/9.7/en/show-create-trigger.html
    """
    return Statement(f"SHOW CREATE TRIGGER {table_path(place.database, name)}")


def set_sql_mode(mode: str) -> Statement:
    """Set a MySQL session's sql_mode."""
    return Statement("SET SESSION sql_mode = %s", (mode,))


def read_encoding() -> Statement:
    """Return the query for the encoding in which a SQLite file keeps and sorts text."""
    return Statement("PRAGMA encoding")


def read_name_folding() -> Statement:
    """Return a SELECT of 0 where a MySQL server tells names of tables apart by their case."""
    return Statement("SELECT @@GLOBAL.lower_case_table_names")


def read_only_mode() -> Statement:
    """Return a SELECT of 1 where a MySQL server takes writes from few accounts only."""
    return Statement("SELECT @@GLOBAL.read_only")


def list_accounts() -> Statement:
    """Return a SELECT of user and host of all accounts of a MySQL server."""
    return Statement("SELECT User, Host FROM mysql.user")


def set_pass_token(token: str | None) -> Statement:
    """Let a MySQL session write past the guards, as long as the token's hash is in the shard."""
    return Statement("SET @shardhash_pass = %s", (token,))


def number_expression(mapping: Mapping, column: Column, backend: Backend, *, row: str = "") -> str:
    """Return SQL for a row's slot, or range number, in a mapping; NULL where its key is NULL.

    Raises:
        PreflightError: the mapping is by a ring, or the column cannot hold its keys.
    """
    rule = mapping.rule
    if isinstance(rule, SlotRule):
        return slot_expression(
            column, mapping.key.type, slot_count=rule.slot_count, backend=backend, row=row
        )
    if isinstance(rule, RangeRule):
        return _range_expression(column, mapping.key.type, rule.bounds, backend, row)
    raise PreflightError(
        f"mapping {mapping.name} is by a ring: no server can compute a row's node, so nothing can "
        "guard its tables",
        next_step="use slots or ranges where rows are to be guarded, moved or split",
    )


def _mysql_text(place: ControlPlace, mapping: Mapping, column: Column, event: GuardEvent) -> str:
    """Return the body of a MySQL trigger, whose local variables no column can be mistaken for."""
    row = "OLD." if event is GuardEvent.DELETE else "NEW."
    name = quote(column.name, Backend.MYSQL)
    number = number_expression(mapping, column, Backend.MYSQL, row=row)
    checks = _mysql_key_checks(mapping, column, event)
    kind = _kind(mapping)
    passes = control_table(place, "_shardhash_pass")
    slots = control_table(place, "_shardhash_slots")
    text = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    return f"""\
BEGIN
  IF @shardhash_pass IS NULL OR NOT EXISTS (
    SELECT 1 FROM {passes} WHERE hash = UNHEX(SHA2(@shardhash_pass, 256)) LOCK IN SHARE MODE
  ) THEN
  BEGIN
    DECLARE the_number BIGINT DEFAULT {number};
    DECLARE the_state VARCHAR(64) {text} DEFAULT (
      SELECT state FROM {slots}
      WHERE mapping = {literal(mapping.state_name, Backend.MYSQL)} AND slot = the_number
      LOCK IN SHARE MODE);
    DECLARE the_reason VARCHAR(255) {text};
    {checks}IF NOT ({row}{name} <=> NULL) AND NOT (the_state <=> '{SlotState.OWNED}') THEN
      SET the_reason = CONCAT({literal(f"shardhash: {mapping.name} {kind} ", Backend.MYSQL)},
        the_number, ' is ', COALESCE(the_state, 'missing'), ' here; reload the map');
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = the_reason;
    END IF;
  END;
  END IF;
END"""


def _mysql_key_checks(mapping: Mapping, column: Column, event: GuardEvent) -> str:
    name = quote(column.name, Backend.MYSQL)
    if event is GuardEvent.INSERT:
        condition = f"NEW.{name} <=> NULL"
    elif event is GuardEvent.UPDATE:
        old, new = (
            distinct_key_expression(column, mapping.key.type, Backend.MYSQL, row=row)
            for row in ("OLD.", "NEW.")
        )
        condition = f"NOT (OLD.{name} <=> NULL) AND NOT ({old} <=> {new})"
    else:
        return ""
    reason = literal(_key_reason(mapping, event), Backend.MYSQL)
    return f"""\
IF {condition} THEN
      SET the_reason = {reason};
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = the_reason;
    ELSE"""


def _sqlite_text(place: ControlPlace, mapping: Mapping, column: Column, event: GuardEvent) -> str:
    row = "OLD." if event is GuardEvent.DELETE else "NEW."
    name = quote(column.name, Backend.SQLITE)
    number = number_expression(mapping, column, Backend.SQLITE, row=row)
    head = f"shardhash: {mapping.name} {_kind(mapping)} is"
    refusals = " ".join(
        f"WHEN '{state}' THEN {_raise(f'{head} {state} here; reload the map')}"
        for state in (SlotState.FENCED, SlotState.FOREIGN)
    )
    return f"""\
FOR EACH ROW WHEN shardhash_pass() IS NULL OR NOT EXISTS (
  SELECT 1 FROM {control_table(place, "_shardhash_pass")} WHERE hash = shardhash_pass()
)
BEGIN
  {_sqlite_key_checks(mapping, column, event)}SELECT CASE (
    SELECT state FROM {control_table(place, "_shardhash_slots")}
    WHERE mapping = {literal(mapping.state_name, Backend.SQLITE)} AND slot = {number}
  ) WHEN '{SlotState.OWNED}' THEN NULL {refusals}
  ELSE {_raise(f"{head} missing here; reload the map")} END WHERE {row}{name} IS NOT NULL;
END"""


def _sqlite_key_checks(mapping: Mapping, column: Column, event: GuardEvent) -> str:
    name = quote(column.name, Backend.SQLITE)
    if event is GuardEvent.INSERT:
        condition = f"NEW.{name} IS NULL"
    elif event is GuardEvent.UPDATE:
        condition = f"OLD.{name} IS NOT NULL AND OLD.{name} IS NOT NEW.{name} COLLATE BINARY"
    else:
        return ""
    return f"SELECT {_raise(_key_reason(mapping, event))} WHERE {condition};\n  "


def _raise(message: str) -> str:
    return "RAISE(ABORT, '" + message.replace("'", "''") + "')"


def _kind(mapping: Mapping) -> str:
    return "range" if isinstance(mapping.rule, RangeRule) else "slot"


def _key_reason(mapping: Mapping, event: GuardEvent) -> str:
    what = "row without" if event is GuardEvent.INSERT else "change of"
    return f"shardhash: {mapping.name} takes no {what} a shard key"


def _range_expression(
    column: Column, key_type: KeyType, bounds: Sequence[Bound], backend: Backend, row: str
) -> str:
    """Return SQL for the number of the range that holds a key, in the order of ``RangeMap``."""
    key_bytes = key_bytes_expression(column, key_type, backend, row=row)
    key = _ordered(column, key_type, key_bytes, backend)
    whens = "".join(
        f" WHEN {key} < {_bound(bound, backend)} THEN {number}"
        for number, bound in enumerate(bounds)
    )
    name = row + quote(column.name, backend)
    return f"CASE WHEN {name} IS NULL THEN NULL{whens} ELSE {len(bounds)} END"


def _ordered(column: Column, key_type: KeyType, key: str, backend: Backend) -> str:
    """Return SQL for a key that the server orders as Python orders its value."""
    if backend is Backend.SQLITE:
        if key_type is KeyType.DATETIME:
            return f"shardhash_datetime({key})"
        return f"{key} COLLATE BINARY" if column.is_text else key
    if column.is_text or key_type is KeyType.UUID:
        return f"CAST(CONVERT({key} USING utf8mb4) AS BINARY)"
    return key


def _bound(bound: Bound, backend: Backend) -> str:
    if isinstance(bound, datetime):
        text = bound.isoformat(sep=" ", timespec="microseconds")
        return f"TIMESTAMP'{text}'" if backend is Backend.MYSQL else f"'{text}'"
    if isinstance(bound, date):
        return f"DATE'{bound}'" if backend is Backend.MYSQL else f"'{bound}'"
    if isinstance(bound, str) and backend is Backend.MYSQL:
        bound = bound.encode()
    return literal(bound, backend)


def _mysql_name(name: str) -> str:
    return quote(name, Backend.MYSQL)
