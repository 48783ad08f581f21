"""What generated queries are made from: tables with sampled values, literals, predicates.

Nothing here asks a database; ``_describe`` fills the tables from one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from random import Random
from typing import TypeVar

from shardhash.db.topology import Backend

__all__ = ["NUMBERS", "Column", "Expression", "Scope", "Table", "Words"]

T = TypeVar("T")

NUMBERS = ("int", "decimal", "double", "year")
_COMPARISONS = ("=", "=", "<>", "<", "<=", ">", ">=", "!=")
_MARK = re.compile("\x00([0-9]+)\x00")
_PARAMETER_SHARE = 0.4
_MOST_SHIFTED = 2**62


@dataclass(frozen=True, slots=True)
class Column:
    """A column with values that it holds, never None.

    ``kind`` is ``int``, ``big`` (a sum of them is no exact double), ``huge`` (a sum of them may be
    no 64-bit integer), ``decimal``, ``double``, ``text``, ``enum``, ``blob``, ``date``,
    ``datetime``, ``time``, ``year`` or ``other``. It ``folds`` if its server calls texts equal that
    differ. ``collation`` is that of a MySQL text.
    """

    name: str
    kind: str
    values: tuple[object, ...] = ()
    folds: bool = False
    collation: str = ""

    def compares_with(self, other: "Column") -> bool:
        """Tell whether a server compares the two: of two collations one has to be the binary.

        Source: https://mariadb.com/kb/en/coercibility/.
        """
        binary = [column.collation.endswith("_bin") for column in (self, other)]
        return self.collation == other.collation or binary[0] != binary[1]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: ``unique`` columns tell its rows apart, ``key`` is its shard key.

    ``mapping`` is empty for a table that every shard has in full.
    """

    name: str
    columns: tuple[Column, ...]
    unique: tuple[str, ...]
    mapping: str = ""
    key: str = ""

    def column(self, name: str) -> Column:
        """Return the column `name`."""
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True, slots=True)
class Scope:
    """A table under the name that a query gives it."""

    table: Table
    alias: str


@dataclass(frozen=True, slots=True)
class Expression:
    """A piece of SQL, the kind of its value, and samples to compare it with.

    ``source`` is ``table.column`` where the value is the text of a column that folds: any text that
    the server calls equal may then stand for a group.
    """

    sql: str
    kind: str
    values: tuple[object, ...] = ()
    source: str = ""
    is_column: bool = False


@dataclass(slots=True)
class Words:
    """Draws the small pieces of one query. Values that become parameters are marked in the text."""

    random: Random
    backend: Backend
    _values: list[object] = field(default_factory=list)

    def chance(self, share: float) -> bool:
        """Return True in `share` of all cases."""
        return self.random.random() < share

    def one(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return self.random.choice(choices)

    def some(self, choices: Sequence[T], most: int) -> list[T]:
        """Return between one and `most` of the choices, each once, in random order."""
        return self.random.sample(choices, k=self.random.randint(1, min(most, len(choices))))

    def finish(self, text: str) -> tuple[str, tuple[object, ...] | dict[str, object]]:
        """Return the SQL of a marked text with its parameters, by place or by name."""
        values: list[object] = []
        if self.chance(0.1) and _MARK.search(text):
            named = {f"p{n}": self._values[int(n)] for n in _MARK.findall(text)}
            return _MARK.sub(r"%(p\1)s", text), named

        def placed(mark: re.Match[str]) -> str:
            values.append(self._values[int(mark[1])])
            return "%s"

        return _MARK.sub(placed, text), tuple(values)

    def value(self, value: object) -> str:
        """Return `value` as a literal or as a parameter."""
        literal = self._literal(value)
        if literal is None or self.chance(_PARAMETER_SHARE):
            self._values.append(value)
            return f"\x00{len(self._values) - 1}\x00"
        return literal

    def is_ambiguous(self, made: Expression) -> bool:
        """Tell whether an aggregate's value depends on which of equal texts is taken.

        SQLite compares what MIN and MAX return by its bytes, whatever the column folds.
        """
        return bool(made.source) and not made.is_column and self.backend is Backend.SQLITE

    def column(self, scopes: Sequence[Scope], kinds: Sequence[str] = ()) -> Expression | None:
        """Return a column of one of `kinds` from the scopes, or None if there is none."""
        found = [
            (scope, column)
            for scope in scopes
            for column in scope.table.columns
            if not kinds or column.kind in kinds
        ]
        return self.reference(*self.one(found), scopes) if found else None

    def reference(self, scope: Scope, column: Column, scopes: Sequence[Scope]) -> Expression:
        """Return the column under its scope's name, or bare where that is clear."""
        holders = [each for each in scopes if column.name in _names(each.table)]
        is_clear = len(holders) == 1 and (scope.alias != scope.table.name or self.chance(0.5))
        sql = column.name if is_clear and self.chance(0.4) else f"{scope.alias}.{column.name}"
        source = f"{scope.table.name}.{column.name}" if column.folds else ""
        return Expression(sql, column.kind, column.values, source, is_column=True)

    def predicate(self, scopes: Sequence[Scope], depth: int = 2) -> str:
        """Return a condition on the rows of the scopes."""
        if depth and self.chance(0.35):
            left, right = (self.predicate(scopes, depth - 1) for _ in range(2))
            return f"({left} {self.one(('AND', 'OR'))} {right})"
        if depth and self.chance(0.08):
            return f"NOT ({self.predicate(scopes, depth - 1)})"
        if self.chance(0.3):
            return self.key_predicate(scopes)
        column = self.column(scopes)
        assert column
        return self.comparison(column)

    def key_predicate(self, scopes: Sequence[Scope]) -> str:
        """Return a condition on a shard key, of the kinds that may name shards."""
        keyed = [scope for scope in scopes if scope.table.key]
        if not keyed:
            column = self.column(scopes)
            assert column
            return self.comparison(column)
        scope = self.one(keyed)
        key = scope.table.column(scope.table.key)
        column = self.reference(scope, key, scopes)
        if self.chance(0.12) and key.kind in ("int", "huge"):
            return f"{column.sql} = {self._odd_number(self.one(key.values))}"
        if self.chance(0.2):
            pair = [f"{column.sql} = {self.sample(column)}" for _ in range(2)]
            return f"({' OR '.join(pair)})"
        return self.one((self._equality, self._equality, self._in_list, self._between))(column)

    def comparison(self, column: Expression) -> str:
        """Return a condition on one value."""
        choices: list[Callable[[Expression], str]] = [
            self._compare, self._compare, self._in_list, self._between, self._is_null,
        ]  # fmt: skip
        if column.kind == "text":
            choices.append(self._like)
        return self.one(choices)(column)

    def sample(self, column: Expression) -> str:
        """Return a value like those of the column, now and then one it does not have, or NULL."""
        if not column.values or self.chance(0.03):
            return "NULL"
        value = self.one(column.values)
        if isinstance(value, int) and abs(value) < _MOST_SHIFTED and self.chance(0.15):
            value += self.one((-1, 1, 1000))
        if isinstance(value, str) and column.kind == "text" and self.chance(0.2):
            value = self.one((value.upper(), value.lower(), value + " ", value[:1]))
        return self.value(value)

    def _compare(self, column: Expression) -> str:
        operators = (*_COMPARISONS, "<=>") if self.backend is Backend.MYSQL else _COMPARISONS
        sides = [column.sql, self.sample(column)]
        operator = self.one(operators)
        if operator in ("=", "<=>", "<>") and self.chance(0.15):
            sides.reverse()
        return f" {operator} ".join(sides)

    def _equality(self, column: Expression) -> str:
        return f"{column.sql} = {self.sample(column)}"

    def _in_list(self, column: Expression) -> str:
        values = ", ".join(self.sample(column) for _ in range(self.random.randint(1, 4)))
        return f"{column.sql} {'NOT ' if self.chance(0.1) else ''}IN ({values})"

    def _between(self, column: Expression) -> str:
        values = [self.one(column.values) for _ in range(2)] if column.values else [None, None]
        if self.chance(0.8):
            values.sort(key=lambda value: (str(type(value)), value))
        low, high = map(self.value, values)
        return f"{column.sql} {'NOT ' if self.chance(0.1) else ''}BETWEEN {low} AND {high}"

    def _is_null(self, column: Expression) -> str:
        return f"{column.sql} IS {self.one(('', 'NOT '))}NULL"

    def _like(self, column: Expression) -> str:
        text = str(self.one(column.values)) if column.values else ""
        self._values.append(self.one((text[:1] + "%", "%" + text[-1:], "_" * len(text), text)))
        return f"{column.sql} LIKE \x00{len(self._values) - 1}\x00"

    def _odd_number(self, value: object) -> str:
        """Return a number in a form that is no plain integer, though the server may take it so."""
        return self.one((f"'{value}'", f"{value}.0", f"{value}.5", f"({value})", f"{value} + 0"))

    def _literal(self, value: object) -> str | None:
        """Return the SQL of a value, or None where it is safer as a parameter."""
        if value is None:
            return "NULL"
        if isinstance(value, (int, Decimal)):
            return str(value)
        if isinstance(value, datetime):
            return f"'{value.isoformat(sep=' ')}'"
        if isinstance(value, date):
            return f"'{value.isoformat()}'"
        if isinstance(value, str) and not set(value) & set("\\%\x00:"):
            return "'" + value.replace("'", "''") + "'"
        if isinstance(value, bytes):
            return f"X'{value.hex()}'"
        return None


def _names(table: Table) -> set[str]:
    return {column.name for column in table.columns}
