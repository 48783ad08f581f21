"""Rows of one answer, made of the shards' answers as a reduction says."""

import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from shardhash.db.query._reduction import SQLITE_AVERAGE, Groups, Reduction
from shardhash.db.reduce import (
    Expression,
    MemoryCap,
    bind,
    compute,
    converter,
    fold_groups,
    merge_sorted,
    rounded,
    sort_rows,
)
from shardhash.db.tasks import ResultColumn, Row, ShardRows
from shardhash.errors import DatabaseError, QueryRefusedError, UsageError

__all__ = ["answer_of", "limit_of"]

Function = Callable[[Sequence[Any]], Any]

_KEPT = ("first", "min", "max", "count", "distinct count")
"""Folds whose value needs no conversion to the column's type."""


def limit_of(reduction: Reduction, values: Sequence[object]) -> tuple[int, int | None]:
    """Return OFFSET and LIMIT for the values of the placeholders; None: no limit.

    Raises:
        UsageError: one of them is no number, or negative.
    """
    offset = reduction.offset.get(values) if reduction.offset else 0
    limit = reduction.limit.get(values) if reduction.limit else None
    for name, number in (("OFFSET", offset), ("LIMIT", limit)):
        if number is None and name == "LIMIT" and reduction.limit is None:
            continue
        is_small = type(number) is int and number < 0 and not reduction.takes_negative_limits
        if type(number) is not int or is_small:
            raise UsageError(f"{name} is {number!r}: it must be a whole number, 0 or more")
    if reduction.takes_negative_limits and limit is not None and limit < 0:  # type: ignore[operator]
        limit = None
    return max(0, int(offset)), limit  # type: ignore[call-overload, return-value]


def answer_of(
    answers: Sequence[ShardRows], reduction: Reduction, values: Sequence[object], *, memory: int
) -> tuple[tuple[ResultColumn, ...], Iterator[Row]]:
    """Return the columns of the answer, and its rows as they come.

    Raises:
        MemoryCapError: groups need more than `memory` bytes.
    """
    offset, limit = limit_of(reduction, values)
    end = None if limit is None or offset + limit > sys.maxsize else offset + limit
    if reduction.groups is not None:
        rows = iter(_group_rows(answers, reduction.groups, values, memory))
        return reduction.groups.columns, islice(rows, offset, end)
    columns = answers[0].columns
    if reduction.sort:
        merged = merge_sorted([answer.rows for answer in answers], reduction.sort)
    else:
        merged = chain.from_iterable(answer.rows for answer in answers)
    if reduction.hidden:
        visible = len(columns) - reduction.hidden
        merged = (row[:visible] for row in merged)
        columns = columns[:visible]
    return columns, islice(merged, offset, end)


def _group_rows(
    answers: Sequence[ShardRows], groups: Groups, values: Sequence[object], memory: int
) -> Iterable[Row]:
    partials = chain.from_iterable(answer.rows for answer in answers)
    evaluate = _Evaluator(groups, values, answers[0].columns)
    states = fold_groups(partials, groups.plan, MemoryCap(memory))
    if not groups.having and not groups.order:
        return list(map(evaluate.output, states))
    found = [row for row in map(evaluate.row, states) if row is not None]
    if not groups.order:
        return [row[0] for row in found]
    ordered = sort_rows([(*sorts, row) for row, sorts in found], groups.order)
    return [row[-1] for row in ordered]  # type: ignore[misc]


class _Evaluator:
    """Computes the rows of groups from their states."""

    def __init__(
        self, groups: Groups, values: Sequence[object], partials: Sequence[ResultColumn]
    ) -> None:
        self._sqlite: sqlite3.Connection | None = None
        self._values = values
        self._division_scale = groups.division_scale
        self._having = [self._function(expression) for expression in groups.having]
        self._sorts = [
            expression[1] if expression[0] == "output" else self._function(expression)
            for expression in groups.sorts
        ]
        self._computed_sorts = [
            place
            for place, expression in enumerate(groups.sorts)
            if _source(expression, groups)[0] not in ("ref", "sqlite")
        ]
        self.output = self._outputs(groups, partials)
        """Returns the row of a state."""

    def row(self, state: Sequence[Any]) -> tuple[Row, Row] | None:
        """Return the row and what it is sorted by; None where HAVING is not true."""
        if not all(test(state) for test in self._having):
            return None
        row = self.output(state)
        sorts = [
            row[part] if isinstance(part, int) else rounded(part(state)) for part in self._sorts
        ]
        if any(isinstance(sorts[place], str) for place in self._computed_sorts):
            raise QueryRefusedError(
                "the groups of all shards are sorted by a text computed over aggregates, of which "
                "the server's collation is not known here",
                next_step="sort by the numbers that decide over the text",
            )
        return row, tuple(sorts)

    def _outputs(
        self, groups: Groups, partials: Sequence[ResultColumn]
    ) -> Callable[[Sequence[Any]], Row]:
        columns = list(zip(groups.outputs, groups.columns, strict=True))
        if len(columns) > 1 and all(_is_kept(*column, groups, partials) for column in columns):
            return itemgetter(*[expression[1] for expression, _ in columns])
        functions = [self._output(expression, column, groups) for expression, column in columns]
        return lambda state: tuple([function(state) for function in functions])

    def _output(self, expression: Expression, column: ResultColumn, groups: Groups) -> Function:
        function = self._function(expression)
        if expression[0] == "ref":
            kind = groups.plan.folds[expression[1]].kind
            if kind in _KEPT:
                return function
            if not column.type:
                return lambda state: _in_64_bits(function(state))
        convert = converter(column)
        return lambda state: convert(function(state))

    def _function(self, expression: Expression) -> Function:
        if expression[0] != "sqlite":
            return compute(bind(expression, self._values), division_scale=self._division_scale)
        _, text, *inputs = expression
        functions = [self._function(part) for part in inputs]
        if self._sqlite is None:
            self._sqlite = sqlite3.connect(":memory:", check_same_thread=False)
        run = self._sqlite.execute
        statement = f"SELECT {text}"
        if text == SQLITE_AVERAGE:  # an average has no bounds, its sum is a REAL
            total, count = functions
            return lambda state: run(statement, (_real(total(state)), count(state))).fetchone()[0]
        return lambda state: run(statement, [_in_64_bits(f(state)) for f in functions]).fetchone()[
            0
        ]


def _source(expression: Expression, groups: Groups) -> Expression:
    """Return what an entry of ORDER BY is computed by, also where it names an output."""
    return groups.outputs[expression[1]] if expression[0] == "output" else expression


def _real(total: Any) -> Any:
    return None if total is None else float(total)


def _in_64_bits(value: Any) -> Any:
    """Return a value of SQLite, whose whole numbers have 64 bits.

    Raises:
        DatabaseError: it has more.
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise DatabaseError(
            "integer overflow: a sum of whole numbers over the shards has more than 64 bits",
            next_step="add up CAST(... AS REAL) instead",
        )
    return value


def _is_kept(
    expression: Expression, column: ResultColumn, groups: Groups, partials: Sequence[ResultColumn]
) -> bool:
    """Tell whether an output is a fold's value as it stands."""
    if expression[0] != "ref":
        return False
    fold = groups.plan.folds[expression[1]]
    if fold.kind in _KEPT:
        return True
    if not column.type:
        return False
    summed = partials[fold.index]  # a sum of decimals of one scale has that scale
    return (
        fold.kind == "sum"
        and summed.type == column.type
        and column.type == "DECIMAL"
        and summed.scale == column.scale is not None
    )
