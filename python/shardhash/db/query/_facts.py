"""What the planner knows of the tables: their columns, who owns their rows, how text compares."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from shardhash.db.inspect import inspect_table
from shardhash.db.mapping import KeyRouter
from shardhash.db.schema import Column, Table
from shardhash.db.sql import quote
from shardhash.db.topology import Backend, KeyType, TableRule
from shardhash.db.topology import Mapping as MappingRule
from shardhash.errors import QueryRefusedError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = [
    "FactsOf",
    "Settings",
    "TableFacts",
    "is_no_pad",
    "read_definition",
    "read_settings",
    "sqlite_collation",
]

_NO_TRAILING_SPACE = "not like '% '"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """A table that a statement may name.

    ``router`` is the router of its mapping; None for a global table, which stands whole on every
    shard of the mappings in ``global_in``. ``definition`` is the CREATE statement's text.
    """

    table: Table
    rule: TableRule | None = None
    router: KeyRouter | None = None
    global_in: tuple[MappingRule, ...] = ()
    definition: str = ""

    @property
    def mapping(self) -> MappingRule | None:
        """Return the mapping that owns the rows; None for a global table."""
        return self.router.mapping if self.router else None

    @property
    def key(self) -> Column | None:
        """Return the key column; None for a global table."""
        return self.table.column(self.rule.key) if self.rule else None

    def column(self, name: str) -> Column | None:
        """Return a column by name, in any case, or None."""
        lowered = name.lower()
        return next((c for c in self.table.columns if c.name.lower() == lowered), None)

    @property
    def has_exact_key(self) -> bool:
        """Tell whether keys that the server calls equal are equal bytes, so of one shard."""
        key = self.key
        assert key is not None
        assert self.router is not None
        if self.table.backend is Backend.SQLITE:
            return sqlite_collation(self.definition, key.name) == "BINARY"
        if not key.is_text or self.router.mapping.key.type is KeyType.UUID:
            return True  # UUIDs are kept as lower-case text
        collation = (key.collation or "").lower()
        if not collation.endswith("_bin"):
            return False
        return is_no_pad(collation) or key.data_type == "char" or self._has_space_check(key)

    @property
    def pins_exactly(self) -> bool:
        """Tell whether ``=`` and ``IN`` on the key column find rows of the key's shard only."""
        assert self.router is not None
        return self.has_exact_key or not self.router.mapping.key.folds

    @property
    def pads_key(self) -> bool:
        """Tell whether the key column compares without regard to trailing spaces."""
        key = self.key
        assert key is not None
        if self.table.backend is Backend.SQLITE or not key.is_text:
            return False
        return key.data_type == "char" or not is_no_pad(key.collation or "")

    @property
    def folding_advice(self) -> str:
        """Return the ALTER that would let predicates on this key pin."""
        key = self.key
        assert key is not None
        if self.table.backend is Backend.SQLITE:
            return f"declare {self.table.name}.{key.name} without COLLATE"
        charset = key.charset or "utf8mb4"
        null = "NULL" if key.nullable else "NOT NULL"
        return (
            f"ALTER TABLE {self.table.name} MODIFY {key.name} {key.definition} CHARACTER SET "
            f"{charset} COLLATE {charset}_nopad_bin {null}, or declare key: {{..., equality: "
            "bytes}"
        )

    def _has_space_check(self, key: Column) -> bool:
        """Tell whether a CHECK keeps trailing spaces out, as ``CHECK (k NOT LIKE '% ')`` does."""
        text = re.sub(r"\s+", " ", self.definition).lower()
        name = quote(key.name, Backend.MYSQL).lower()
        return f"check ({name} {_NO_TRAILING_SPACE})" in text


def is_no_pad(collation: str) -> bool:
    """Tell whether a MySQL collation takes trailing spaces seriously.

    Source: https://mariadb.com/kb/en/supported-character-sets-and-collations/#no-pad-collations,
    and the Pad_attribute of MySQL's INFORMATION_SCHEMA.COLLATIONS.
    """
    lowered = collation.lower()
    return lowered == "binary" or "nopad" in lowered or "_0900_" in lowered


@lru_cache(maxsize=1024)
def sqlite_collation(definition: str, column: str) -> str:
    """Return the collation that a CREATE TABLE gives a column; empty where it cannot be told."""
    if "collate" not in definition.lower():
        return "BINARY"
    try:
        tree = sqlglot.parse_one(definition, dialect="sqlite")
    except SqlglotError:
        return ""
    for found in tree.find_all(exp.ColumnDef):
        if found.name.lower() == column.lower():
            given = list(found.find_all(exp.CollateColumnConstraint))
            return given[0].this.name.upper() if given else "BINARY"
    return ""


def read_definition(connection: "Connection", name: str, backend: Backend) -> tuple[Table, str]:
    """Return a table and the text of its CREATE statement, read from a shard.

    Raises:
        PreflightError: there is no such table.
    """
    table = inspect_table(connection, name, backend)
    if backend is Backend.SQLITE:
        text = "SELECT sql FROM sqlite_master WHERE name = ?"
        found = connection.exec_driver_sql(text, (table.name,)).scalar()
        return table, str(found or "")
    row = connection.exec_driver_sql(f"SHOW CREATE TABLE {quote(table.name, backend)}").one()
    return table, str(row[1])


_MODES = {
    "ANSI_QUOTES": '"',
    "PIPES_AS_CONCAT": "||",
    "NO_BACKSLASH_ESCAPES": "\\",
    "HIGH_NOT_PRECEDENCE": "NOT",
    "ORACLE": "",
}
"""SQL modes that change how a statement is read, and what it has to hold for that."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a MySQL session is set to that changes how statements are read or computed."""

    modes: frozenset[str]
    division_scale: int

    def check(self, text: str) -> None:
        """Raise QueryRefusedError where the server reads a text in another way than here."""
        for mode, sign in _MODES.items():
            if mode in self.modes and sign in text.upper():
                raise QueryRefusedError(
                    f"the server's sql_mode has {mode}, so it reads {sign or 'SQL'} in another "
                    "way than is done here",
                    next_step=f"take {mode} out of sql_mode, or write the statement without it",
                )


def read_settings(connection: "Connection") -> Settings:
    """Return the settings of a MySQL session."""
    modes, scale = connection.exec_driver_sql("SELECT @@sql_mode, @@div_precision_increment").one()
    return Settings(frozenset(str(modes).upper().split(",")), int(scale))


FactsOf = Callable[[str], TableFacts | None]
"""Returns what is known of a table by the name in a statement; None: not in the configuration."""

Tables = Mapping[str, TableFacts]
