"""Window functions over the rows of several shards: the rows are gathered, DuckDB does the rest.

DuckDB knows no server's collations, decimals and dates. So it never sees a value that it would have
to compare: what a window is partitioned and sorted by goes to it as ranks, made here in the
server's order; what is added up goes as whole numbers; what a window takes from another row goes as
the number of the row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from shardhash.db.query._aggregates import tree_of
from shardhash.db.query._answer import limit_of
from shardhash.db.query._blocks import has_aggregate, is_strict_key, windows_of
from shardhash.db.query._clauses import dialect
from shardhash.db.query._duckdb import Inputs, window_values
from shardhash.db.query._reduction import (
    Context,
    Order,
    Reduction,
    check_having,
    check_names,
    is_star,
    limits_of,
    orders_of,
)
from shardhash.db.query._result import QueryResult
from shardhash.db.query._scopes import Scope
from shardhash.db.reduce import (
    MemoryCap,
    SortKey,
    compute,
    converter,
    hold,
    rounded,
    sort_rows,
)
from shardhash.db.sql import chosen_columns
from shardhash.db.tasks import Row
from shardhash.db.topology import Backend
from shardhash.errors import QueryRefusedError

__all__ = ["WindowQuery", "needs_all_rows"]

_NUMBERING: dict[type[exp.Expr], str] = {
    exp.RowNumber: "row_number",
    exp.Rank: "rank",
    exp.DenseRank: "dense_rank",
}
_PICKING: dict[type[exp.Expr], str] = {
    exp.Lag: "lag",
    exp.Lead: "lead",
    exp.FirstValue: "first_value",
    exp.LastValue: "last_value",
}
_MOST_OVERS = 2

Finish = Callable[[Sequence[Any]], Any]


@dataclass(slots=True)
class _Window:
    """A window function: DuckDB's expressions, and what makes one value of theirs."""

    sql: tuple[str, ...]
    finish: Finish = lambda values: values[0]
    is_number: bool = True


def needs_all_rows(select: exp.Expr, scope: Scope) -> bool:
    """Tell whether a SELECT has a window whose rows are not of one shard each."""
    if not isinstance(select, exp.Select) or has_aggregate(select):
        return False
    return any(
        not any(is_strict_key(scope, key) for key in window.args.get("partition_by") or ())
        for window in windows_of(select)
    )


class WindowQuery:
    """A SELECT with window functions that need the rows of all shards.

    Args:
        context: of the statement.
        values: those of the placeholders.

    Raises:
        QueryRefusedError: the windows are not computed here.
    """

    def __init__(self, context: Context, values: Sequence[object]) -> None:
        self._context = context
        self._values = values
        self._inputs = Inputs()
        check_having(context)
        expressions = context.select.expressions
        places = [n for n, e in enumerate(expressions) if isinstance(e.unalias(), exp.Window)]
        if context.clauses.is_distinct or len(windows_of(context.select)) != len(places):
            raise _refusal("inside an expression, in ORDER BY or beside DISTINCT")
        if sum(map(is_star, expressions)) > 1:
            raise _refusal("beside more than one *")
        self._overs: set[str] = set()
        self._windows = {place: self._window(expressions[place].unalias()) for place in places}
        if len(self._overs) > _MOST_OVERS and context.backend is Backend.MYSQL:
            raise QueryRefusedError(
                f"{len(self._overs)} different windows in one statement: MariaDB 10.11 itself "
                "gives wrong values where there are three, so which are wanted is not known",
                next_step="ask for two different OVER (...) at a time",
            )
        self._orders = [(order, self._sort_place(order)) for order in orders_of(context)]
        self._limit, self._offset = limits_of(context)
        self._columns = context.columns_of(context.clauses.before_limit)

    @property
    def base(self) -> str:
        """Return the statement for the rows that are gathered."""
        clauses = self._context.clauses
        shown = [item.text for n, item in enumerate(clauses.items) if n not in self._windows]
        return chosen_columns(clauses.head, shown, self._inputs.hidden, clauses.body)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what is done with the rows, step by step."""
        items = self._context.clauses.items
        names = ", ".join(items[place].text[:80] for place in self._windows)
        notes = [f"gather the rows, and compute {names} over all of them with DuckDB"]
        if self._context.clauses.order:
            entries = ", ".join(entry.text for entry in self._context.clauses.order)
            notes.append(f"sort by {entries}")
        if self._limit is not None:
            notes.append("cut by LIMIT and OFFSET")
        return tuple(notes)

    def answer(self, base: QueryResult, *, memory: int) -> QueryResult:
        """Return the answer over the gathered rows, which it reads to their end.

        Raises:
            MissingExtraError: DuckDB is not installed.
            MemoryCapError: the rows need more than `memory` bytes here.
        """
        with base:
            types, rows = base.columns, list(hold(base, MemoryCap(memory)))
        width = len(types) - len(self._inputs.hidden)
        hidden = [row[width:] for row in rows]
        expressions = [sql for window in self._windows.values() for sql in window.sql]
        found = window_values(self._inputs, hidden, types[width:], expressions, memory=memory)
        made = self._sorted(self._rows(rows, width, found), hidden)
        limits = Reduction(
            sql="",
            limit=self._limit,
            offset=self._offset,
            takes_negative_limits=self._context.backend is Backend.SQLITE,
        )
        offset, limit = limit_of(limits, self._values)
        kept = made[offset : None if limit is None else offset + limit]
        return QueryResult(self._columns, iter(kept), shards=base.shards)

    def _rows(self, rows: list[Row], width: int, found: list[Row]) -> list[Row]:
        """Return the rows with the values of windows in their places."""
        expressions = self._context.select.expressions
        star = width - (len(expressions) - len(self._windows) - 1)  # what * stands for, if any
        widths = [star if is_star(node) else 1 for node in expressions]
        at = {place: sum(widths[:place]) for place in self._windows}
        converters = {place: converter(self._columns[at[place]]) for place in self._windows}
        made = []
        for row, values in zip(rows, found, strict=True):
            shown, used = list(row[:width]), 0
            for place, window in self._windows.items():
                value = window.finish(values[used : used + len(window.sql)])
                shown.insert(at[place], converters[place](value) if window.is_number else value)
                used += len(window.sql)
            made.append(tuple(shown))
        return made

    def _sorted(self, made: list[Row], hidden: list[Row]) -> list[Row]:
        """Return the rows in the order of ORDER BY."""
        if not self._orders:
            return made
        expressions = self._context.select.expressions
        keys: list[SortKey] = []
        places: list[tuple[bool, int]] = []
        for number, (order, place) in enumerate(self._orders):
            keys.append(SortKey(number, order.descending, order.nulls_first))
            if place is None:
                assert order.item is not None
                after = len(expressions) - order.item  # counted from the end: a * may stand before
                places.append((True, -after))
            else:
                places.append((False, place))
        sortable = [
            (*[(row if is_shown else more)[place] for is_shown, place in places], row)
            for row, more in zip(made, hidden, strict=True)
        ]
        return [row[-1] for row in sort_rows(sortable, keys)]  # type: ignore[misc]

    def _sort_place(self, order: Order) -> int | None:
        """Return the hidden column to sort by; None for the value of a window."""
        context = self._context
        if order.item in self._windows:
            if not self._windows[order.item].is_number:
                raise _refusal(f"to sort by {order.piece.text[:80]}")
            if any(map(is_star, context.select.expressions[order.item + 1 :])):
                raise _refusal("before a *, and to sort by")
            return None
        if order.item is not None and not is_star(context.select.expressions[order.item]):
            piece = context.values[order.item]
            node = context.select.expressions[order.item].unalias()
        else:
            check_names(order.piece, context)
            piece = order.piece
            node = tree_of(piece.text, context.backend)
        weight = context.weight(piece.text, node)
        self._check_sorted(weight, piece.text)
        return self._inputs.hide(weight or f"({piece.text})")

    # Windows

    def _window(self, window: exp.Expr) -> _Window:
        call = window.this
        if window.args.get("alias"):
            raise _refusal("by a name of WINDOW")
        over = self._over(window)
        self._overs.add(over)
        if type(call) in _NUMBERING:
            return _Window((f"{_NUMBERING[type(call)]}() OVER ({over})",))
        if isinstance(call, exp.Ntile) and _is_count(call.this) and int(call.this.name):
            return _Window((f"ntile({call.this.name}) OVER ({over})",))
        if isinstance(call, exp.Count | exp.Sum | exp.Avg) and not call.expressions:
            return self._sum(call, over)
        if type(call) in _PICKING:
            return self._pick(call, over)
        if isinstance(call, exp.Min | exp.Max) and not call.expressions:
            return self._extreme(call, over)
        raise _refusal(f"of {self._shown(call)}")

    def _over(self, window: exp.Expr) -> str:
        keys = [
            self._rank(key).name
            for key in window.args.get("partition_by") or ()
            if not isinstance(key, exp.Literal)
        ]
        order = []
        for entry in window.args["order"].expressions if window.args.get("order") else ():
            way = "DESC" if entry.args.get("desc") else "ASC"
            nulls = "FIRST" if entry.args.get("nulls_first") else "LAST"
            order.append(f"{self._rank(entry.this, is_sorted=True).name} {way} NULLS {nulls}")
        parts = [f"PARTITION BY {', '.join(keys)}"] if keys else []
        parts += [f"ORDER BY {', '.join(order)}"] if order else []
        return " ".join([*parts, _frame(window.args.get("spec"))]).strip()

    def _rank(self, node: exp.Expr, *, is_sorted: bool = False) -> Any:
        """Return DuckDB's column of the ranks of a column's values, among all rows."""
        text = self._column(node)
        weight = self._context.weight(text, node.unnest())
        if is_sorted:
            self._check_sorted(weight, text)
        return self._inputs.ranks(weight or text)

    def _check_sorted(self, weight: str | None, text: str) -> None:
        if weight and "RTRIM(" in weight and self._context.backend is Backend.MYSQL:
            raise QueryRefusedError(
                f"{text[:80]} is a text that compares as if spaces followed it: how it sorts "
                "beside control characters cannot be told from its weights",
                next_step="sort by a number, a date, or a column of a NO PAD collation",
            )

    def _column(self, node: exp.Expr) -> str:
        """Return the text of an expression that has to be a column."""
        node = node.unnest()
        if not isinstance(node, exp.Column) or node.is_star:
            raise _refusal(f"of or by {self._shown(node)}, which is no column,")
        return node.sql(dialect=dialect(self._context.backend), identify=True)

    def _sum(self, call: exp.Expr, over: str) -> _Window:
        if isinstance(call, exp.Count) and isinstance(call.this, exp.Star):
            return _Window((f"count(*) OVER ({over})",))
        text = self._column(call.this)
        count = f"count({self._inputs.ranks(text).name}) OVER ({over})"
        if isinstance(call, exp.Count):
            return _Window((count,))
        summed = self._inputs.numbers(text)
        sql = (f"sum({summed.name}) OVER ({over})", count)
        if isinstance(call, exp.Sum):
            return _Window(sql, lambda values: summed.restored(values[0]))
        if self._context.backend is Backend.SQLITE:
            return _Window(sql, lambda values: float(values[0]) / values[1] if values[1] else None)
        average = compute(
            ("avg", ("ref", 0), ("ref", 1)), division_scale=self._context.division_scale
        )
        return _Window(
            sql, lambda values: rounded(average((summed.restored(values[0]), values[1])))
        )

    def _pick(self, call: exp.Expr, over: str) -> _Window:
        """Return a window that takes the value of another row."""
        offset = call.args.get("offset")
        if call.args.get("default") or not (offset is None or _is_count(offset)):
            raise _refusal(f"of {self._shown(call)}")
        numbers = self._inputs.row_numbers(self._column(call.this))
        more = "" if offset is None else f", {offset.name}"
        sql = f"{_PICKING[type(call)]}({numbers.name}{more}) OVER ({over})"
        return _Window((sql,), lambda values: numbers.value(values[0]), is_number=False)

    def _extreme(self, call: exp.Expr, over: str) -> _Window:
        ranks = self._rank(call.this, is_sorted=True)
        shown = self._inputs.row_numbers(self._column(call.this))
        sql = f"arg_{call.key}({shown.name}, {ranks.name}) OVER ({over})"
        return _Window((sql,), lambda values: shown.value(values[0]), is_number=False)

    def _shown(self, node: exp.Expr) -> str:
        return node.sql(dialect=dialect(self._context.backend))[:80]


def _is_count(node: exp.Expr | None) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit()


def _frame(spec: exp.Expr | None) -> str:
    """Return a frame as DuckDB writes it: of rows, or of all that are equal in order."""
    if spec is None:
        return ""
    kind = str(spec.args.get("kind") or "").upper()
    bounds = [_bound(spec, "start", kind), _bound(spec, "end", kind)]
    if kind not in ("ROWS", "RANGE") or spec.args.get("exclude") or bounds[0] is None:
        raise _refusal("with a frame that is not understood,")
    return f"{kind} BETWEEN {bounds[0]} AND {bounds[1] or 'CURRENT ROW'}"


def _bound(spec: exp.Expr, name: str, kind: str) -> str | None:
    value, side = spec.args.get(name), str(spec.args.get(f"{name}_side") or "").upper()
    if value is None:
        return None
    if value == "CURRENT ROW":
        return "CURRENT ROW"
    if side not in ("PRECEDING", "FOLLOWING"):
        raise _refusal("with a frame that is not understood,")
    if value == "UNBOUNDED":
        return f"UNBOUNDED {side}"
    if kind == "ROWS" and isinstance(value, exp.Expr) and _is_count(value):
        return f"{value.name} {side}"
    raise _refusal("with a RANGE of values")


def _refusal(what: str) -> QueryRefusedError:
    return QueryRefusedError(
        f"a window function {what} over the rows of all shards is not computed here",
        next_step="add the shard key to its PARTITION BY; or make what it needs plain columns of "
        "an inner query, FROM (SELECT ...) d; or compute it in the application",
    )
