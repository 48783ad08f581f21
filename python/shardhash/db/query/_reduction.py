"""What each shard is asked of a SELECT, and how one answer is made of theirs."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import Token, exp

from shardhash.db.query._blocks import Block
from shardhash.db.query._clauses import Clauses, Piece, direction_of, value_of
from shardhash.db.query._pins import Value, constant
from shardhash.db.query._scopes import Lineage
from shardhash.db.query._typing import Ask, exact_number, padded_collation, weight_of
from shardhash.db.reduce import Expression, GroupPlan, SortKey
from shardhash.db.sql import space_weight
from shardhash.db.tasks import ResultColumn
from shardhash.db.topology import Backend
from shardhash.errors import QueryRefusedError

__all__ = [
    "SQLITE_AVERAGE",
    "Context",
    "Groups",
    "Order",
    "Reduction",
    "check_having",
    "check_names",
    "is_star",
    "limits_of",
    "merge_rows",
    "orders_of",
]


SQLITE_AVERAGE = "CAST(? AS REAL) / ?"
"""SQL of an average of a sum and a count, as SQLite has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A SELECT and what is needed to plan it; ``ask`` and the like ask one shard."""

    block: Block
    select: exp.Select
    clauses: Clauses
    backend: Backend
    ask: Ask
    columns_of: Callable[[str], tuple[ResultColumn, ...]]
    value_of: Callable[[str], object]
    division_scale: int = 4

    @property
    def values(self) -> list[Piece]:
        """Return the entries of the select list without their aliases."""
        clauses = self.clauses
        return [
            value_of(item, node, clauses.source)
            for item, node in zip(clauses.items, self.select.expressions, strict=True)
        ]

    def weight(self, text: str, node: exp.Expr) -> str | None:
        """Return SQL that compares in Python as an expression does on the server, if it differs."""
        lineage = self.lineage(node)
        return weight_of(text, lineage, self.clauses.source, ask=self.ask, backend=self.backend)

    def exact_number(self, text: str, node: exp.Expr) -> str | None:
        """Return SQL of what is added up for an expression, if it is not what the server shows."""
        return exact_number(text, self.lineage(node), ask=self.ask, backend=self.backend)

    def pad(self, text: str, node: exp.Expr) -> bytes:
        """Return what the weight of an expression goes on with in comparisons, or nothing."""
        lineage = self.lineage(node)
        collation = padded_collation(text, lineage, ask=self.ask, backend=self.backend)
        found = self.value_of(space_weight(collation)) if collation else b""
        return found if isinstance(found, bytes) else b""

    def lineage(self, node: exp.Expr) -> Lineage | None:
        """Return the column that an expression is, unchanged."""
        return self.block.scope.lineage(node)


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """How partial rows become groups, and groups become rows.

    ``outputs``, ``having`` and ``sorts`` are expressions over a group's folds; ``order`` refers to
    ``sorts`` by their place. ``division_scale`` is the server's ``div_precision_increment``.
    """

    plan: GroupPlan
    outputs: tuple[Expression, ...]
    having: tuple[Expression, ...]
    sorts: tuple[Expression, ...]
    order: tuple[SortKey, ...]
    columns: tuple[ResultColumn, ...]
    division_scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """The statement for each shard, without LIMIT, and what to do with the answers.

    Without ``groups``, rows are merged by ``sort``; the last ``hidden`` columns are not shown.
    ``takes_negative_limits``: a LIMIT below 0 is none, an OFFSET below 0 is 0, as SQLite has it.
    """

    sql: str
    hidden: int = 0
    sort: tuple[SortKey, ...] = ()
    groups: Groups | None = None
    limit: Value | None = None
    offset: Value | None = None
    takes_negative_limits: bool = False
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def sends_limit(self) -> bool:
        """Tell whether each shard need not give more rows than are wanted in all."""
        return self.groups is None and self.limit is not None


@dataclass(frozen=True, slots=True)
class Order:
    """An entry of ORDER BY: its expression, or the place in the select list that it refers to."""

    piece: Piece
    item: int | None
    descending: bool
    nulls_first: bool | None


def orders_of(context: Context) -> list[Order]:
    """Return the entries of ORDER BY, with aliases and positions resolved."""
    orders = []
    for entry in context.clauses.order:
        piece, descending, nulls_first = direction_of(entry, context.clauses.source)
        item = _item_of(piece, context)
        orders.append(Order(piece, item, descending, nulls_first))
    return orders


def _item_of(piece: Piece, context: Context) -> int | None:
    values = context.values
    if len(piece.tokens) == 1:
        token = piece.tokens[0]
        if token.text.isdigit():
            if any(map(is_star, context.select.expressions[: int(token.text)])):
                raise QueryRefusedError(
                    f"ORDER BY {token.text} counts columns of *", next_step="name the column"
                )
            if not 1 <= int(token.text) <= len(values):
                raise QueryRefusedError(
                    f"ORDER BY {token.text} is no column of the select list",
                    next_step="name the column",
                )
            return int(token.text) - 1
        for place, node in enumerate(context.select.expressions):
            if isinstance(node, exp.Alias) and node.alias.lower() == token.text.lower():
                return place
    texts = [_same(value.tokens) for value in values]
    return texts.index(_same(piece.tokens)) if _same(piece.tokens) in texts else None


def _same(tokens: tuple[Token, ...]) -> tuple[str, ...]:
    return tuple(token.text for token in tokens)


def is_star(node: exp.Expr) -> bool:
    """Tell whether an entry of a select list is ``*`` or ``table.*``."""
    return bool(node.is_star)


def check_names(piece: Piece, context: Context) -> None:
    """Refuse an expression with a name that is an alias, which servers read in different ways."""
    names = {token.text.lower() for token in piece.tokens}
    for node in context.select.expressions:
        if not isinstance(node, exp.Alias) or node.alias.lower() not in names:
            continue
        if isinstance(node.this, exp.Column) and node.this.name.lower() == node.alias.lower():
            continue
        raise QueryRefusedError(
            f"{piece.text[:80]} uses the alias {node.alias} inside an expression",
            next_step=f"write out what {node.alias} stands for",
        )


def check_having(context: Context) -> None:
    """Refuse HAVING that filters rows, where the rows are not shown as the shards send them."""
    if context.clauses.having is not None:
        raise QueryRefusedError(
            "HAVING without GROUP BY or an aggregate, beside DISTINCT, a window or over the answer "
            "of an inner query",
            next_step="write its condition in WHERE",
        )


def limits_of(context: Context) -> tuple[Value | None, Value | None]:
    """Return LIMIT and OFFSET.

    Raises:
        QueryRefusedError: they are no numbers or placeholders.
    """
    limit, offset = context.select.args.get("limit"), context.select.args.get("offset")
    found = []
    for clause in (limit, offset):
        value = constant(clause.expression) if clause is not None else None
        if clause is not None and (value is None or not isinstance(clause, exp.Limit | exp.Offset)):
            raise QueryRefusedError(
                "LIMIT and OFFSET of several shards take numbers or placeholders",
                next_step="compute them in the application",
            )
        found.append(value)
    return found[0], found[1]


def merge_rows(context: Context) -> Reduction:
    """Return how rows, or groups of one shard each, are merged as they are."""
    clauses = context.clauses
    orders = orders_of(context)
    hidden: list[str] = []
    sort: list[SortKey] = []
    for order in orders:
        place, pad = _visible_place(order, context), b""
        if place is None:
            place = -1 - len(hidden)
            text, pad = _sort_text(order, context)
            hidden.append(text)
        sort.append(SortKey(place, order.descending, order.nulls_first, pad))
    limit, offset = limits_of(context)
    return Reduction(
        sql=_with_hidden(clauses, hidden),
        hidden=len(hidden),
        sort=tuple(sort),
        limit=limit,
        offset=offset,
        takes_negative_limits=context.backend is Backend.SQLITE,
        notes=_merge_notes(context, limit is not None),
    )


def _visible_place(order: Order, context: Context) -> int | None:
    """Return the column that can be sorted by as it is."""
    if order.item is None or any(map(is_star, context.select.expressions)):
        return None
    piece = context.values[order.item]
    node = context.select.expressions[order.item].unalias()
    return order.item if context.weight(piece.text, node) is None else None


def _sort_text(order: Order, context: Context) -> tuple[str, bytes]:
    """Return SQL of what sorts in Python as an entry of ORDER BY on the server, and its pad."""
    from shardhash.db.query._aggregates import tree_of

    if order.item is not None and not is_star(context.select.expressions[order.item]):
        piece, node = context.values[order.item], context.select.expressions[order.item].unalias()
    else:
        check_names(order.piece, context)
        if context.clauses.is_distinct:
            raise QueryRefusedError(
                f"DISTINCT rows are sorted by {order.piece.text[:80]}, which they do not have",
                next_step="add it to the select list",
            )
        piece, node = order.piece, tree_of(order.piece.text, context.backend)
    weight = context.weight(piece.text, node)
    if weight is None:
        return f"({piece.text})", b""
    return weight, context.pad(piece.text, node)


def _with_hidden(clauses: Clauses, hidden: list[str]) -> str:
    """Return the statement without LIMIT and with more columns; the first one stands last."""
    text = clauses.before_limit.rstrip()
    if not hidden:
        return text
    last = clauses.items[-1].tokens[-1].end + 1
    more = "".join(f", {sql} AS _sh_{n}" for n, sql in reversed(list(enumerate(hidden))))
    return text[:last] + more + text[last:]


def _merge_notes(context: Context, has_limit: bool) -> tuple[str, ...]:
    notes = []
    if context.block.is_disjoint:
        notes.append("groups hold the shard key: each is whole on one shard")
    if context.clauses.order:
        notes.append(
            "merge the sorted answers by "
            + ", ".join(entry.text for entry in context.clauses.order)
        )
    else:
        notes.append("one answer after the other")
    if has_limit:
        notes.append("cut by LIMIT and OFFSET over all shards")
    return tuple(notes)
