"""A query over the answer of another one, which is reduced first: ``SELECT ... FROM (query) d``.

The inner query is answered for all shards. Each of its rows is then what a shard with that row
alone would send, computed here in the server's arithmetic, and the outer query is reduced as
always. What would need more than arithmetic on numbers, above all comparisons of texts, is refused.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlglot import Token, TokenType, exp

from shardhash.db.query._aggregates import Aggregate, as_expression, take_apart, tree_of
from shardhash.db.query._answer import answer_of
from shardhash.db.query._blocks import from_of, has_aggregate
from shardhash.db.query._clauses import cut, dialect, parse, tokens_of, value_of
from shardhash.db.query._groups import distinct_rows, group_rows
from shardhash.db.query._reduction import Context, Reduction, check_having, merge_rows
from shardhash.db.query._result import QueryResult
from shardhash.db.query._scopes import nested_queries
from shardhash.db.query._typing import signed
from shardhash.db.reduce import (
    Expression,
    MemoryCap,
    bind,
    compute,
    converter,
    hold,
    sort_rows,
)
from shardhash.db.sql import whole_rows
from shardhash.db.tasks import INTEGER_TYPES, NUMBER_TYPES, ResultColumn, Row, ShardRows
from shardhash.db.topology import Backend
from shardhash.errors import QueryRefusedError

__all__ = ["Stage", "inner_query", "question_of"]

_BLOCK_ROWS = 512
_ADDED = (
    exp.Column, exp.Identifier, exp.Literal, exp.Placeholder, exp.Paren, exp.Add, exp.Sub, exp.Mul,
    exp.Neg,
)  # fmt: skip
_MARKS = re.compile(r":_sh_p(\d+)_")

Function = Callable[[Row], Any]


def inner_query(text: str, query: exp.Expr, backend: Backend) -> str | None:
    """Return the text of the only query in a statement's FROM; None where it is no such statement.

    It stands in FROM, or is the only one of WITH.
    """
    start = from_of(query)
    if not isinstance(query, exp.Select) or start is None or query.args.get("joins"):
        return None
    places = [*query.expressions, *map(query.args.get, ("where", "group", "having", "order"))]
    if any(True for _ in nested_queries(places)):
        return None
    tokens = tokens_of(text, backend)
    source, ctes = start.this, query.args.get("with_") or query.args.get("with")
    if isinstance(source, exp.Subquery) and ctes is None and isinstance(source.this, exp.Query):
        return _in_parentheses(text, tokens, TokenType.FROM)
    if not isinstance(source, exp.Table) or ctes is None or ctes.args.get("recursive"):
        return None
    names = [each.alias.lower() for each in ctes.expressions]
    if any(each.args["alias"].columns for each in ctes.expressions):
        return None
    return _in_parentheses(text, tokens, TokenType.WITH) if names == [source.name.lower()] else None


def _in_parentheses(text: str, tokens: Sequence[Token], after: TokenType) -> str:
    """Return what stands in the first parentheses after a token that itself stands in none."""
    depth, start, is_after = 0, 0, False
    for token in tokens:
        is_after = is_after or (depth == 0 and token.token_type is after)
        if token.token_type is TokenType.L_PAREN:
            depth += 1
            start = token.end + 1 if is_after and depth == 1 else start
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
            if is_after and depth == 0:
                return text[start : token.start]
    raise AssertionError(text)


def question_of(clean: str, values: Sequence[object]) -> tuple[str, dict[str, object]]:
    """Return a part of a statement as an application would ask it, with its values."""
    used = {f"p{number}": values[int(number)] for number in _MARKS.findall(clean)}
    if not used:
        return clean, {}
    return _MARKS.sub(r"%(p\1)s", clean.replace("%", "%%")), used


def _reduction_over(context: Context) -> Reduction:
    """Return how an outer query is reduced, whose shards are rows; its SQL is for no server.

    Raises:
        QueryRefusedError: as for a query over shards.
    """
    if has_aggregate(context.select):
        return group_rows(context, counts_keys=False)
    check_having(context)
    return distinct_rows(context) if context.clauses.is_distinct else merge_rows(context)


class Stage:
    """An outer query over the answer of an inner one.

    Args:
        context: of the outer query.
        inner: the inner query's text.
        values: those of the placeholders.

    Raises:
        QueryRefusedError: the outer query is not computed here.
    """

    def __init__(self, context: Context, inner: str, values: Sequence[object]) -> None:
        self._reduction = _reduction_over(context)
        self._values = values
        columns = context.columns_of(whole_rows(inner))
        self._maker = _RowMaker(context, self._reduction, columns, values)
        is_merged = self._reduction.groups is None
        self._shown = context.columns_of(context.clauses.before_limit) if is_merged else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what is done with the inner answer, step by step."""
        return self._reduction.notes

    def answer(self, inner: QueryResult, *, memory: int) -> QueryResult:
        """Return the answer that is made of the inner one, which it closes.

        Raises:
            MemoryCapError: it needs more than `memory` bytes here.
        """
        try:
            rows = self._maker.rows(inner, self._shown)
            if self._reduction.sort:
                held = hold(rows, MemoryCap(memory))
                rows = iter(sort_rows(held, self._reduction.sort))
            answer = ShardRows("", self._maker.columns(self._shown), _blocks(rows))
            columns, made = answer_of([answer], self._reduction, self._values, memory=memory)
        except BaseException:
            inner.close()
            raise
        return QueryResult(columns, made, shards=inner.shards, close=inner.close)


class _RowMaker:
    """Makes of a row of the inner answer what a shard with that row alone would send.

    Raises:
        QueryRefusedError: when made, or for a value that is no number: it is not known how.
    """

    def __init__(
        self,
        context: Context,
        reduction: Reduction,
        inner: Sequence[ResultColumn],
        values: Sequence[object],
    ) -> None:
        self._context = context
        self._values = values
        self._inner = inner
        self._places = {column.name.lower(): place for place, column in enumerate(inner)}
        self._is_merged = reduction.groups is None
        where = context.select.args.get("where")
        self._where = self._computed(where.this) if where is not None else None
        self._functions = list(self._items(reduction))

    def columns(self, shown: Sequence[ResultColumn]) -> tuple[ResultColumn, ...]:
        """Return the columns of the rows, of which the first may be `shown`."""
        return (*shown, *[ResultColumn("")] * (len(self._functions) - len(shown)))

    def rows(self, found: Iterable[Row], shown: Sequence[ResultColumn] = ()) -> Iterator[Row]:
        """Yield what becomes of each row that WHERE keeps, with the types of the `shown`."""
        functions = [
            _typed(function, shown[place]) if is_computed and place < len(shown) else function
            for place, (function, is_computed) in enumerate(self._functions)
        ]
        for row in found:
            if self._where is None or self._where(row):
                yield tuple([function(row) for function in functions])

    def _items(self, reduction: Reduction) -> Iterator[tuple[Function, bool]]:
        """Yield for each column how it is made, and whether it is computed."""
        backend = self._context.backend
        clauses, select = cut(reduction.sql, backend), parse(reduction.sql, backend)
        for item, node in zip(clauses.items, select.expressions, strict=True):
            if node.is_star:
                yield from ((_column(place), False) for place in range(len(self._inner)))
                continue
            piece = value_of(item, node, clauses.source)
            apart = take_apart(piece, clauses.source, backend)
            if apart.aggregates and apart.text == ":_sh_a0":
                yield self._aggregate(apart.aggregates[0]), False
            else:
                yield self._plain(tree_of(piece.text, backend))

    def _plain(self, node: exp.Expr) -> tuple[Function, bool]:
        node = node.unnest()
        if isinstance(node, exp.Column):
            return self._reference(node), False
        is_number = isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit()
        if not (self._is_merged or is_number):
            raise self._unknown(node)
        return self._computed(node), True

    def _aggregate(self, call: Aggregate) -> Function:
        if call.is_distinct:
            raise self._unknown(tree_of(call.text, self._context.backend))
        if call.inner == "*":
            return lambda row: 1
        node = tree_of(call.inner, self._context.backend).unnest()
        if call.name in ("MIN", "MAX"):
            if not isinstance(node, exp.Column):
                raise self._unknown(node)
            return self._reference(node)
        if call.name == "COUNT":
            value = self._reference(node) if isinstance(node, exp.Column) else self._computed(node)
            return lambda row: int(value(row) is not None)
        if not all(isinstance(part, _ADDED) for part in node.walk()):
            raise self._unknown(node)  # the scale of what is added would not be sure
        if self._context.backend is Backend.SQLITE:
            return self._sqlite_number(node)
        return self._computed(node)

    def _sqlite_number(self, node: exp.Expr) -> Function:
        if not isinstance(node, exp.Column):
            raise self._unknown(node)
        value = self._reference(node)

        def checked(row: Row) -> Any:
            found = value(row)
            if found is not None and not isinstance(found, int | float):
                raise self._unknown(node)
            return found

        return checked

    def _computed(self, node: exp.Expr) -> Function:
        """Return a function of a row that computes an expression over numbers."""
        if self._context.backend is Backend.SQLITE:
            raise self._unknown(node)
        expression = as_expression(node, {}, self._leaf)
        return compute(bind(expression, self._values), division_scale=self._context.division_scale)

    def _leaf(self, node: exp.Expr) -> Expression:
        assert isinstance(node, exp.Column)
        place = self._place(node)
        is_asked_for_null = isinstance(node.parent, exp.Is)
        if self._inner[place].type not in NUMBER_TYPES and not is_asked_for_null:
            raise QueryRefusedError(
                f"{self._shown(node)} is no number: how a server computes with it and compares it "
                "is not known here",
                next_step="do it in the inner query, or in the application",
            )
        is_whole = self._inner[place].type in INTEGER_TYPES
        return signed(("ref", place), self._context.lineage(node)) if is_whole else ("ref", place)

    def _reference(self, node: exp.Column) -> Function:
        return _column(self._place(node))

    def _place(self, node: exp.Column) -> int:
        found = self._context.block.scope.find(node)
        names = [column.name.lower() for column in self._inner]
        if found is None or names.count(found[1]) != 1:
            raise QueryRefusedError(
                f"{self._shown(node)} is no column that the inner query is known to have once",
                next_step="give each column of the inner query a name of its own",
            )
        return self._places[found[1]]

    def _unknown(self, node: exp.Expr) -> QueryRefusedError:
        return QueryRefusedError(
            f"{self._shown(node)} over the answer of a query over several shards is not computed "
            "here",
            next_step="do it in the inner query, or in the application",
        )

    def _shown(self, node: exp.Expr) -> str:
        return node.sql(dialect=dialect(self._context.backend))[:80]


def _column(place: int) -> Function:
    return lambda row: row[place]


def _typed(function: Function, column: ResultColumn) -> Function:
    convert = converter(column)
    return lambda row: convert(function(row))


def _blocks(rows: Iterator[Row]) -> Iterator[Sequence[Row]]:
    while block := list(islice(rows, _BLOCK_ROWS)):
        yield block
