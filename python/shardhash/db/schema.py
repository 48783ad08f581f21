"""Tables and columns as a server describes them: values, without a connection.

``db.inspect`` reads them; planners compare them and ask what can be done with them.
"""

import hashlib
from dataclasses import dataclass, field

from shardhash.db.topology import Backend
from shardhash.errors import PreflightError

__all__ = [
    "OWN_PREFIX",
    "Column",
    "ForeignKey",
    "Table",
    "Trigger",
    "UniqueKey",
    "differences",
    "row_fingerprint",
]

OWN_PREFIX = "_shardhash_"
"""How the names of all objects begin that the toolkit makes in a shard's database."""

_DIGITS = 16
_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "integer", "bigint"})
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum"})
_BINARIES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_NUMBERED = frozenset({"enum", "set", "bit"})
_APPROXIMATE = frozenset({"float", "double", "real"})
_ROWS_WITH_ACTION = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: ``definition`` is its type as written, ``data_type`` the bare lower-case word.

    For SQLite ``data_type`` is the column's affinity.
    """

    name: str
    data_type: str
    definition: str
    nullable: bool
    charset: str | None = None
    collation: str | None = None
    is_generated: bool = False

    @property
    def is_integer(self) -> bool:
        """Tell whether values are whole numbers of a fixed size."""
        return self.data_type in _INTEGERS

    @property
    def is_text(self) -> bool:
        """Tell whether values are characters in a charset."""
        return self.data_type in _TEXTS

    @property
    def is_binary(self) -> bool:
        """Tell whether values are bytes without a charset."""
        return self.data_type in _BINARIES

    @property
    def is_approximate(self) -> bool:
        """Tell whether values are floating point, whose text is not their value."""
        return self.data_type in _APPROXIMATE

    @property
    def is_numbered(self) -> bool:
        """Tell whether values sort by a number, but compare with a text by their text."""
        return self.data_type in _NUMBERED

    @property
    def is_zerofill(self) -> bool:
        """Tell whether the server pads the text of the number with zeros."""
        return "zerofill" in self.definition.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignKey:
    """A reference from ``table`` to ``parent`` and what changing the parent's row does.

    A table of another database has its database before its name. ``columns`` refer to
    ``parent_columns``; both are known of a table's own references only.
    """

    name: str
    table: str
    parent: str
    on_delete: str
    on_update: str = "RESTRICT"
    columns: tuple[str, ...] = field(default=(), compare=False)
    parent_columns: tuple[str, ...] = field(default=(), compare=False)

    @property
    def changes_rows(self) -> bool:
        """Tell whether deleting a parent row changes or deletes rows of ``table``."""
        return self.on_delete.upper() in _ROWS_WITH_ACTION

    @property
    def updates_rows(self) -> bool:
        """Tell whether changing a parent row's key changes rows of ``table``."""
        return self.on_update.upper() in _ROWS_WITH_ACTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A trigger: ``timing`` is ``BEFORE``, ``AFTER`` or ``INSTEAD OF``."""

    name: str
    timing: str
    event: str

    @property
    def is_own(self) -> bool:
        """Tell whether the toolkit made it."""
        return self.name.startswith(OWN_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class UniqueKey:
    """A unique index other than the primary key.

    ``is_whole`` tells whether it compares whole values of plain columns: an index on expressions,
    on prefixes or on some rows only does not.
    """

    name: str
    columns: tuple[str, ...]
    is_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of one shard.

    ``children`` are the foreign keys of other tables that refer to this one, ``parents`` its own;
    ``triggers`` are all that stand on it, ``delete_triggers`` the names of the users' own that a
    DELETE fires; ``indexed`` are the columns that lead an index; ``auto_increment`` is the column
    that numbers rows by itself, ``checks`` the names of its CHECKs; ``kind`` is ``"table"`` or what
    stands there instead, such as ``"view"``.
    """

    name: str
    backend: Backend
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    kind: str = "table"
    is_transactional: bool = True
    children: tuple[ForeignKey, ...] = ()
    delete_triggers: tuple[str, ...] = ()
    indexed: frozenset[str] = frozenset()
    unique_keys: tuple[UniqueKey, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    parents: tuple[ForeignKey, ...] = ()
    checks: tuple[str, ...] = ()
    auto_increment: str | None = None
    is_partitioned: bool = False

    def column(self, name: str) -> Column:
        """Return a column by name, in any case, or raise PreflightError naming those there are."""
        for column in self.columns:
            if column.name.lower() == name.lower():
                return column
        raise PreflightError(
            f"table {self.name} has no column {name}; it has "
            + ", ".join(column.name for column in self.columns),
            next_step="correct the mapping's key column, or add the column to the table",
        )

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """Return the columns of the primary key in its order."""
        return tuple(self.column(name) for name in self.primary_key)

    @property
    def stored_columns(self) -> tuple[Column, ...]:
        """Return the columns whose values are given, not computed from the others."""
        return tuple(column for column in self.columns if not column.is_generated)

    @property
    def user_triggers(self) -> tuple[Trigger, ...]:
        """Return the triggers that the toolkit did not make."""
        return tuple(trigger for trigger in self.triggers if not trigger.is_own)

    @property
    def refers_to_itself(self) -> bool:
        """Tell whether its rows may refer to rows of the same table."""
        return any(key.parent == self.name for key in self.parents)

    @property
    def is_numbered_by_an_index(self) -> bool:
        """Tell whether the server needs another index than the primary key to number rows."""
        return self.auto_increment not in (None, *self.primary_key[:1])

    @property
    def fingerprint(self) -> str:
        """Return 32 hex digits that change with columns, keys, users' triggers and references.

        The first half changes with the columns and the primary key alone: ``row_fingerprint``.
        """
        rest = (
            *(self.unique_keys, self.children, self.parents),
            *(self.user_triggers, self.delete_triggers),
        )
        return _digest((self.name, self.columns, self.primary_key)) + _digest(rest)


def row_fingerprint(fingerprint: str) -> str:
    """Return the part of a table's fingerprint that changes with columns and primary key."""
    return fingerprint[:_DIGITS]


def _digest(parts: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:_DIGITS]


def differences(table: Table, other: Table) -> list[str]:
    """Return what keeps the rows of two tables from being compared, one phrase each."""
    if table.primary_key != other.primary_key:
        return [
            f"primary key ({', '.join(table.primary_key)}) and ({', '.join(other.primary_key)})"
        ]
    found = []
    theirs = {column.name: column for column in other.columns}
    for column in table.columns:
        twin = theirs.pop(column.name, None)
        if twin is None:
            found.append(f"column {column.name} is missing there")
        elif _shape(column) != _shape(twin):
            found.append(f"column {column.name}: {_words(column)} and {_words(twin)}")
    found.extend(f"column {name} is only there" for name in theirs)
    return found


def _shape(column: Column) -> tuple[object, ...]:
    return column.definition.lower(), column.charset, column.collation, column.is_generated


def _words(column: Column) -> str:
    collation = f" {column.collation}" if column.collation else ""
    return f"{column.definition}{collation}{' generated' if column.is_generated else ''}"
