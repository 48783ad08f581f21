"""Window functions in DuckDB, which is given whole and floating point numbers only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any, Protocol, TypeVar

from shardhash.db.drivers import import_extra
from shardhash.db.reduce import ranks_of
from shardhash.db.sql import window_rows, window_table
from shardhash.db.tasks import INTEGER_TYPES, ResultColumn, Row
from shardhash.errors import MemoryCapError, QueryRefusedError

__all__ = ["Inputs", "window_values"]

_MIB = 2**20
_SQLITE_LIMIT = 2**63
_HUGEINT_LIMIT = 2**127
_EXACT = Context(prec=100)  # DECIMAL has up to 65 digits, HUGEINT 39
_LEAST_MIB = 64
_SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
    "threads": "2",
}


class _Input(Protocol):
    """A column of DuckDB's table, made of a gathered column."""

    name: str
    place: int

    def made_of(self, values: list[Any], column: ResultColumn) -> tuple[str, list[Any]]:
        """Return DuckDB's type and values."""
        ...


InputT = TypeVar("InputT", bound=_Input)


@dataclass(slots=True)
class Ranks:
    """Each value as its place among those of the column; equal ones have the same."""

    name: str
    place: int

    def made_of(self, values: list[Any], column: ResultColumn) -> tuple[str, list[Any]]:
        """Return the ranks."""
        return "INTEGER", ranks_of(values)


@dataclass(slots=True)
class RowNumbers:
    """Each value as the number of its row."""

    name: str
    place: int
    _values: list[Any] = field(default_factory=list)

    def made_of(self, values: list[Any], column: ResultColumn) -> tuple[str, list[Any]]:
        """Return the numbers of the rows."""
        self._values = values
        return "INTEGER", list(range(len(values)))

    def value(self, row: int | None) -> Any:
        """Return the value of a row."""
        return None if row is None else self._values[row]


@dataclass(slots=True)
class Numbers:
    """Numbers to add up: decimals as whole numbers of their last digits."""

    name: str
    place: int
    _scale: int | None = None

    def made_of(self, values: list[Any], column: ResultColumn) -> tuple[str, list[Any]]:
        """Return the numbers.

        Raises:
            QueryRefusedError: they are none, add up in a way that is not known here, or one is
                larger than DuckDB's largest number.
        """
        kinds = {type(value) for value in values if value is not None}
        if column.type == "DECIMAL" and column.scale is not None and kinds <= {Decimal}:
            self._scale = column.scale
            return "HUGEINT", [v if v is None else _last_digits(v, column.scale) for v in values]
        if column.type in INTEGER_TYPES and kinds <= {int}:
            return "HUGEINT", values
        if not column.type and kinds <= {int}:
            if sum(abs(value) for value in values if value is not None) >= _SQLITE_LIMIT:
                raise QueryRefusedError(
                    "a window's sum of whole numbers over the rows of all shards may be beyond 64 "
                    "bits, which is an error in SQLite",
                    next_step="CAST the column to REAL in an inner query",
                )
            return "HUGEINT", values
        if column.type in ("DOUBLE", "") and kinds <= {float}:
            return "DOUBLE", values
        raise QueryRefusedError(
            f"a window's sum of {column.type or 'values of several types'} over the rows of all "
            "shards is not computed here",
            next_step="CAST the column to DECIMAL or DOUBLE in an inner query, or compute it in "
            "the application",
        )

    def restored(self, total: Any) -> Any:
        """Return a sum as the numbers were."""
        if total is None or self._scale is None:
            return total
        return Decimal(total).scaleb(-self._scale, context=_EXACT)


def _last_digits(value: Decimal, scale: int) -> int:
    """Return a decimal as a whole number of its last digits.

    Raises:
        QueryRefusedError: it is larger than DuckDB's largest number.
    """
    number = int(value.scaleb(scale, context=_EXACT))
    if abs(number) >= _HUGEINT_LIMIT:
        raise QueryRefusedError(
            "a number in a window's sum over the rows of all shards has more than 38 digits, "
            f"{scale} of them after its point",
            next_step="CAST the column to a DECIMAL of fewer digits in an inner query, or compute "
            "the sum in the application",
        )
    return number


class Inputs:
    """The columns that are gathered besides those that are shown, and what DuckDB gets of them."""

    def __init__(self) -> None:
        self.hidden: list[str] = []
        self.columns: list[_Input] = []

    def hide(self, text: str) -> int:
        """Return the place, among those that are not shown, of an expression's column."""
        if text not in self.hidden:
            self.hidden.append(text)
        return self.hidden.index(text)

    def ranks(self, text: str) -> Ranks:
        """Return a column of ranks."""
        return self._added(Ranks(self._name(), self.hide(text)))

    def numbers(self, text: str) -> Numbers:
        """Return a column of numbers."""
        return self._added(Numbers(self._name(), self.hide(text)))

    def row_numbers(self, text: str) -> RowNumbers:
        """Return a column of the numbers of rows."""
        return self._added(RowNumbers(self._name(), self.hide(text)))

    def _name(self) -> str:
        return f"c{len(self.columns)}"

    def _added(self, column: InputT) -> InputT:
        self.columns.append(column)
        return column


def window_values(
    inputs: Inputs,
    rows: Sequence[Row],
    types: Sequence[ResultColumn],
    expressions: Sequence[str],
    *,
    memory: int,
) -> list[Row]:
    """Return the values of window functions for each of `rows`, which are of hidden columns.

    Raises:
        MissingExtraError: DuckDB is not installed.
        QueryRefusedError: a sum is larger than DuckDB's largest number.
        MemoryCapError: DuckDB needs more than `memory` bytes.
    """
    duckdb = import_extra("duckdb", extra="query", what="a window over the rows of several shards")
    gathered = list(zip(*rows, strict=True)) if rows else [()] * len(types)
    made = [
        column.made_of(list(gathered[column.place]), types[column.place])
        for column in inputs.columns
    ]
    if not rows:
        return []
    kinds = {column.name: kind for column, (kind, _) in zip(inputs.columns, made, strict=True)}
    values = {column.name: given for column, (_, given) in zip(inputs.columns, made, strict=True)}
    values["r"] = list(range(len(rows)))
    limit = max(_LEAST_MIB, memory // _MIB)
    with duckdb.connect(config={**_SETTINGS, "memory_limit": f"{limit}MiB"}) as connection:
        try:
            connection.execute(window_table({"r": "INTEGER", **kinds}), values)
            found = connection.execute(window_rows(expressions))
            return list(found.fetchall())
        except duckdb.OutOfRangeException as error:
            raise QueryRefusedError(
                "a window's sum over the rows of all shards has more than 38 digits",
                next_step="compute it in the application",
            ) from error
        except duckdb.OutOfMemoryException as error:
            raise MemoryCapError(
                f"windows over {len(rows):,} rows need more than {limit:,} MiB of memory in DuckDB",
                next_step="ask for less (WHERE), or raise memory_mb",
            ) from error
