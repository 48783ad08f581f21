"""Statements for a shard's control tables: identity, fence, slots, passes, checkpoints.

On MySQL they are in a database of their own beside the shard's, which the application's account
has no right on; in SQLite they are in the shard's file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shardhash.db.sql._text import Statement, placeholder, quote, table_path
from shardhash.db.topology import Backend

__all__ = [
    "CONTROL_TABLES",
    "ControlPlace",
    "SlotState",
    "control_schema",
    "control_table",
    "count_strangers",
    "create_control_table",
    "delete_other_slots",
    "delete_pass",
    "delete_slots",
    "drop_control_table",
    "find_control_tables",
    "insert_fence",
    "insert_identity",
    "insert_pass",
    "insert_slots",
    "lock_control_file",
    "lock_words",
    "read_fence",
    "read_identity",
    "read_slot_runs",
    "read_slots",
    "update_fence",
    "update_slots",
]

_SCOPE = "shard"

_TYPES = {
    Backend.MYSQL: {
        "name": "VARCHAR(80)",
        "number": "BIGINT",
        "checksum": "BIGINT UNSIGNED",
        "text": "LONGTEXT",
        "hash": "BINARY(32)",
    },
    Backend.SQLITE: {
        "name": "TEXT",
        "number": "INTEGER",
        "checksum": "INTEGER",
        "text": "TEXT",
        "hash": "BLOB",
    },
}
_OPTIONS = {
    Backend.MYSQL: " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    Backend.SQLITE: " WITHOUT ROWID",
}
_DEFINITIONS = {
    "_shardhash_identity": (
        "only_row {number} NOT NULL PRIMARY KEY CHECK (only_row = 1), app {name} NOT NULL, "
        "shard {name} NOT NULL, id {name} NOT NULL, operation {name} NOT NULL"
    ),
    "_shardhash_fence": (
        "scope {name} NOT NULL PRIMARY KEY, token {number} NOT NULL, operation {name} NOT NULL"
    ),
    "_shardhash_slots": (
        "mapping {name} NOT NULL, slot {number} NOT NULL, state {name} NOT NULL, "
        "epoch {number} NOT NULL, PRIMARY KEY (mapping, slot)"
    ),
    "_shardhash_pass": "operation {name} NOT NULL PRIMARY KEY, hash {hash} NOT NULL UNIQUE",
    "_shardhash_copies": (
        "operation {name} NOT NULL, table_name {name} NOT NULL, last_key {text}, "
        "row_count {number} NOT NULL, is_done {number} NOT NULL, "
        "PRIMARY KEY (operation, table_name)"
    ),
    "_shardhash_pages": (
        "operation {name} NOT NULL, table_name {name} NOT NULL, number {number} NOT NULL, "
        "after_key {text}, until_key {text}, row_count {number} NOT NULL, "
        "checksum {checksum} NOT NULL, is_pruned {number} NOT NULL, "
        "PRIMARY KEY (operation, table_name, number)"
    ),
}

CONTROL_TABLES = tuple(_DEFINITIONS)
"""The control tables of every shard; quarantine tables come and go besides."""


class SlotState(StrEnum):
    """What a shard does with writes to the rows of a slot: it takes them only if it owns it."""

    OWNED = "owned"
    FENCED = "fenced"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class ControlPlace:
    """Where a shard's control tables are: ``database`` is the shard's own."""

    backend: Backend
    database: str


def control_schema(database: str) -> str:
    """Return the name of the MySQL database that holds a shard's control tables."""
    return f"{database}_shardhash"


def control_table(place: ControlPlace, name: str) -> str:
    """Return the quoted name of a control table."""
    if place.backend is Backend.SQLITE:
        return quote(name, Backend.SQLITE)
    return table_path(control_schema(place.database), name)


def find_control_tables(place: ControlPlace) -> Statement:
    """Return a SELECT of the names of the control tables that are there."""
    hole = placeholder(place.backend)
    holes = ", ".join([hole] * len(CONTROL_TABLES))
    if place.backend is Backend.SQLITE:
        return Statement(
            f"SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ({holes})",
            CONTROL_TABLES,
        )
    return Statement(
        "SELECT TABLE_NAME FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA = {hole} AND TABLE_NAME IN ({holes})",
        (control_schema(place.database), *CONTROL_TABLES),
    )


def count_strangers(place: ControlPlace) -> Statement:
    """Return a SELECT of how many tables a MySQL shard's control schema has beside its own."""
    holes = ", ".join(["%s"] * len(CONTROL_TABLES))
    return Statement(
        "SELECT COUNT(*) FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA = %s AND TABLE_NAME NOT IN ({holes})",
        (control_schema(place.database), *CONTROL_TABLES),
    )


def create_control_table(place: ControlPlace, name: str) -> Statement:
    """Create a control table; one that is there stays as it is."""
    definition = _DEFINITIONS[name].format(**_TYPES[place.backend])
    table = control_table(place, name)
    options = _OPTIONS[place.backend]
    return Statement(f"CREATE TABLE IF NOT EXISTS {table} ({definition}){options}")


def drop_control_table(place: ControlPlace, name: str) -> Statement:
    """Drop a control table; nothing happens if there is none."""
    return Statement(f"DROP TABLE IF EXISTS {control_table(place, name)}")


def read_identity(place: ControlPlace) -> Statement:
    """Return a SELECT of app, shard, id and operation, of at most one row."""
    table = control_table(place, "_shardhash_identity")
    return Statement(f"SELECT app, shard, id, operation FROM {table}")


def insert_identity(place: ControlPlace, values: Sequence[str]) -> Statement:
    """Insert app, shard, id and operation; a second row is a duplicate."""
    table = control_table(place, "_shardhash_identity")
    holes = ", ".join([placeholder(place.backend)] * 4)
    return Statement(
        f"INSERT INTO {table} (only_row, app, shard, id, operation) VALUES (1, {holes})",
        tuple(values),
    )


def insert_fence(place: ControlPlace) -> Statement:
    """Insert the fence's row with token 0, unless it is there."""
    table = control_table(place, "_shardhash_fence")
    ignore = "OR IGNORE" if place.backend is Backend.SQLITE else "IGNORE"
    return Statement(
        f"INSERT {ignore} INTO {table} (scope, token, operation) VALUES ('{_SCOPE}', 0, '')"
    )


def read_fence(place: ControlPlace, *, lock: str = "") -> Statement:
    """Return a SELECT of token and operation; ``lock`` is ``shared``, ``exclusive`` or nothing."""
    table = control_table(place, "_shardhash_fence")
    return Statement(
        f"SELECT token, operation FROM {table} WHERE scope = '{_SCOPE}'{lock_words(place, lock)}"
    )


def update_fence(place: ControlPlace, token: int, operation: str) -> Statement:
    """Set token and operation."""
    table = control_table(place, "_shardhash_fence")
    hole = placeholder(place.backend)
    return Statement(
        f"UPDATE {table} SET token = {hole}, operation = {hole} WHERE scope = '{_SCOPE}'",
        (token, operation),
    )


def lock_control_file(place: ControlPlace) -> Statement:
    """Return a DELETE of no row, which takes SQLite's write lock before anything is read."""
    return Statement(f"DELETE FROM {control_table(place, '_shardhash_fence')} WHERE 0")


def insert_pass(place: ControlPlace, operation: str, digest: bytes) -> Statement:
    """Set an operation's pass: the SHA-256 of its token."""
    table = control_table(place, "_shardhash_pass")
    hole = placeholder(place.backend)
    verb = "INSERT OR REPLACE" if place.backend is Backend.SQLITE else "REPLACE"
    return Statement(
        f"{verb} INTO {table} (operation, hash) VALUES ({hole}, {hole})", (operation, digest)
    )


def delete_pass(place: ControlPlace, operation: str) -> Statement:
    """Delete an operation's pass, if it has one."""
    table = control_table(place, "_shardhash_pass")
    hole = placeholder(place.backend)
    return Statement(f"DELETE FROM {table} WHERE operation = {hole}", (operation,))


def insert_slots(
    place: ControlPlace, mapping: str, states: Iterable[tuple[int, SlotState]]
) -> Statement:
    """Insert slots with their states."""
    rows = [(mapping, slot, state.value) for slot, state in states]
    hole = placeholder(place.backend)
    values = ", ".join([f"({hole}, {hole}, {hole}, 0)"] * len(rows))
    return Statement(
        f"INSERT INTO {control_table(place, '_shardhash_slots')} (mapping, slot, state, epoch) "
        f"VALUES {values}",
        tuple(value for row in rows for value in row),
    )


def read_slots(
    place: ControlPlace, mapping: str, slots: Sequence[int] | None = None, *, lock: str = ""
) -> Statement:
    """Return a SELECT of slot and state, of all slots or of some, in ascending order."""
    among = "" if slots is None else f" AND {_slot_in(slots)}"
    return Statement(
        f"SELECT slot, state FROM {control_table(place, '_shardhash_slots')} "
        f"WHERE mapping = {placeholder(place.backend)}{among} ORDER BY slot"
        f"{lock_words(place, lock)}",
        (mapping,),
    )


def read_slot_runs(place: ControlPlace, mapping: str) -> Statement:
    """Return a SELECT of state, first and last slot of each run of slots with one state.

    Rows are as few as the runs; a mapping has thousands of slots and few runs. Slot and number
    are added: MySQL numbers rows without a sign, and refuses a difference below zero.

    Source: https://dev.mysql.com/doc/refman/8.0/en/out-of-range-and-overflow.html
    """
    return Statement(
        "SELECT state, MIN(slot), MAX(slot) FROM (SELECT state, slot, "
        "slot + ROW_NUMBER() OVER (PARTITION BY state ORDER BY slot DESC) AS run "
        f"FROM {control_table(place, '_shardhash_slots')} "
        f"WHERE mapping = {placeholder(place.backend)}) AS runs GROUP BY state, run",
        (mapping,),
    )


def update_slots(
    place: ControlPlace,
    mapping: str,
    slots: Sequence[int],
    state: SlotState,
    among: Iterable[SlotState],
) -> Statement:
    """Set the state of those of some slots that have one of the states ``among``.

    Each slot is looked up by its whole primary key, so that no other slot's record is locked: a
    range scan would lock the record behind the range too.

    Source: https://dev.mysql.com/doc/refman/8.0/en/innodb-locks-set.html
    """
    hole = placeholder(place.backend)
    allowed = sorted(among)
    index = "" if place.backend is Backend.SQLITE else " FORCE INDEX (PRIMARY)"
    return Statement(
        f"UPDATE {control_table(place, '_shardhash_slots')}{index} "
        f"SET epoch = epoch + (state <> {hole}), state = {hole} "
        f"WHERE mapping = {hole} AND {_slot_in(slots)} "
        f"AND state IN ({', '.join([hole] * len(allowed))})",
        (state.value, state.value, mapping, *(each.value for each in allowed)),
    )


def delete_slots(place: ControlPlace, mapping: str) -> Statement:
    """Delete all slots of a mapping."""
    table = control_table(place, "_shardhash_slots")
    return Statement(
        f"DELETE FROM {table} WHERE mapping = {placeholder(place.backend)}", (mapping,)
    )


def delete_other_slots(place: ControlPlace, mapping: str, kept: str) -> Statement:
    """Delete the ranges of a mapping under other bounds than those of the state name `kept`."""
    table, hole = control_table(place, "_shardhash_slots"), placeholder(place.backend)
    pattern = mapping.replace("|", "||").replace("_", "|_").replace("%", "|%") + "#%"
    return Statement(
        f"DELETE FROM {table} WHERE mapping LIKE {hole} ESCAPE '|' AND mapping <> {hole}",
        (pattern, kept),
    )


def _slot_in(slots: Sequence[int]) -> str:
    return f"slot IN ({', '.join(str(int(slot)) for slot in slots)})"


def lock_words(place: ControlPlace, lock: str) -> str:
    if place.backend is Backend.SQLITE or not lock:
        return ""
    return {"shared": " LOCK IN SHARE MODE", "exclusive": " FOR UPDATE"}[lock]
