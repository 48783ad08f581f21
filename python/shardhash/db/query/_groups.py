"""Aggregates over several shards: partial groups from each, and how they are folded."""

from dataclasses import dataclass, field
from typing import Literal

from sqlglot import TokenType, exp

from shardhash.db.query._aggregates import (
    Aggregate,
    as_expression,
    as_sqlite,
    take_apart,
    tree_of,
)
from shardhash.db.query._blocks import is_aggregate, is_strict_key
from shardhash.db.query._clauses import Piece, dialect, split_at, tokens_of
from shardhash.db.query._reduction import (
    SQLITE_AVERAGE,
    Context,
    Groups,
    Order,
    Reduction,
    check_having,
    check_names,
    limits_of,
    orders_of,
)
from shardhash.db.query._scopes import nested_queries
from shardhash.db.query._typing import signed, weight_of
from shardhash.db.reduce import Expression, Fold, GroupPlan, SortKey
from shardhash.db.sql import partial_rows, quote
from shardhash.db.topology import Backend
from shardhash.errors import QueryRefusedError

__all__ = ["distinct_rows", "group_rows"]


def group_rows(context: Context, *, counts_keys: bool = True) -> Reduction:
    """Return how groups, or aggregates of all rows, are made of the shards' partial groups.

    ``counts_keys``: a key is on one shard only, so that each may count its own.

    Raises:
        QueryRefusedError: they cannot be exact; says what to ask instead.
    """
    if context.clauses.is_distinct and context.clauses.group:
        raise QueryRefusedError(
            "DISTINCT over groups of several shards",
            next_step="leave DISTINCT out, or select what is grouped by",
        )
    return _Planner(context, counts_keys=counts_keys).groups()


def distinct_rows(context: Context) -> Reduction:
    """Return how distinct rows are told apart over shards; raises as ``group_rows`` does."""
    check_having(context)
    return _Planner(context).distinct()


@dataclass(slots=True)
class _Partial:
    """The select list of the statement for each shard."""

    texts: list[str] = field(default_factory=list)

    def add(self, text: str) -> int:
        """Return the place of a column, which is added where it is not there yet."""
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)


class _Planner:
    """Plans one statement."""

    def __init__(self, context: Context, *, counts_keys: bool = True) -> None:
        self._context = context
        self._counts_keys = counts_keys  # COUNT(DISTINCT key) is the sum of the shards' own
        self._source = context.clauses.source
        self._partial = _Partial()
        self._folds: list[Fold] = []
        self._group: list[tuple[str, exp.Expr]] = []
        self._apart: list[str] = []

    def groups(self) -> Reduction:
        """Plan aggregates."""
        planned = self._groups()
        if self._apart and self._counts_keys:  # then a key is in several of a shard's partial rows
            return _Planner(self._context, counts_keys=False)._groups()  # noqa: SLF001
        return planned

    def _groups(self) -> Reduction:
        context, clauses = self._context, self._context.clauses
        self._group = [self._group_entry(entry) for entry in clauses.group]
        keys = tuple(self._identity(text, node) for text, node in self._group)
        outputs = tuple(self._computed(piece) for piece in context.values)
        having = tuple(self._conditions(clauses.having)) if clauses.having else ()
        sorts, order = self._sorts(outputs)
        by = [text for text, _ in self._group] + self._apart
        sql = partial_rows(
            clauses.head, self._partial.texts, clauses.body, by=by, is_distinct=False
        )
        plan = GroupPlan(keys, tuple(self._folds), has_groups=bool(clauses.group))
        return self._reduction(sql, plan, outputs, having, sorts, order)

    def distinct(self) -> Reduction:
        """Plan distinct rows: groups by every column of the select list."""
        clauses = self._context.clauses
        entries = self._distinct_entries()
        for text, _ in entries:
            self._partial.add(text)
        keys = []
        for text, node in entries:
            self._check_identity(text, node)
            weight = self._context.weight(text, node)
            keys.append(self._partial.add(weight or text))
        outputs = tuple(self._fold(Fold("first", self._partial.add(text))) for text, _ in entries)
        sorts, order = self._distinct_sorts(entries, outputs)
        sql = partial_rows(clauses.head, self._partial.texts, clauses.body, is_distinct=True)
        plan = GroupPlan(tuple(keys), tuple(self._folds))
        return self._reduction(sql, plan, outputs, (), sorts, order)

    def _reduction(
        self,
        sql: str,
        plan: GroupPlan,
        outputs: tuple[Expression, ...],
        having: tuple[Expression, ...],
        sorts: tuple[Expression, ...],
        order: tuple[SortKey, ...],
    ) -> Reduction:
        limit, offset = limits_of(self._context)
        columns = self._context.columns_of(self._context.clauses.before_limit)
        return Reduction(
            sql=sql,
            groups=Groups(
                division_scale=self._context.division_scale,
                plan=plan,
                outputs=outputs,
                having=having,
                sorts=sorts,
                order=order,
                columns=columns,
            ),
            limit=limit,
            offset=offset,
            takes_negative_limits=self._context.backend is Backend.SQLITE,
            notes=self._notes(has_having=bool(having), has_limit=limit is not None),
        )

    # Groups

    def _group_entry(self, entry: Piece) -> tuple[str, exp.Expr]:
        """Return an entry of GROUP BY, with aliases and positions resolved."""
        context = self._context
        if entry.tokens[-1].token_type in (TokenType.ASC, TokenType.DESC):
            raise QueryRefusedError("GROUP BY with a direction", next_step="use ORDER BY")
        node = tree_of(entry.text, context.backend)
        expressions = context.select.expressions
        if isinstance(node, exp.Literal) and node.name.isdigit() and not node.is_string:
            place = int(node.name) - 1
            if not 0 <= place < len(expressions):
                raise QueryRefusedError(
                    f"GROUP BY {node.name} is no column of the select list",
                    next_step="name the column",
                )
            return context.values[place].text, expressions[place].unalias()
        if isinstance(node, exp.Column) and not node.table and not context.block.scope.find(node):
            for place, given in enumerate(expressions):
                if isinstance(given, exp.Alias) and given.alias.lower() == node.name.lower():
                    return context.values[place].text, given.this
        return entry.text, node

    def _identity(self, text: str, node: exp.Expr) -> int:
        """Return the column that tells groups apart as the server does."""
        self._check_identity(text, node)
        weight = self._context.weight(text, node)
        return self._partial.add(f"MIN({weight})" if weight else text)

    def _check_identity(self, text: str, node: exp.Expr) -> None:
        """Refuse what servers show as a number or as bytes, whichever way they group."""
        lineage = self._context.lineage(node)
        if lineage is not None and lineage.column.data_type == "bit":
            raise QueryRefusedError(
                f"{text[:80]} is a BIT column, which a server shows as a number or as bytes, "
                "depending on how it finds the groups or distinct rows",
                next_step=f"take {text[:80]} + 0 in place of it",
            )

    # Expressions

    def _fold(self, fold: Fold) -> Expression:
        if fold not in self._folds:
            self._folds.append(fold)
        return "ref", self._folds.index(fold)

    def _computed(self, piece: Piece) -> Expression:
        """Return an expression over the folds for an entry of the select list."""
        apart = take_apart(piece, piece_source(piece, self._source), self._context.backend)
        if not apart.aggregates:
            return self._leaf_text(piece.text, tree_of(piece.text, self._context.backend))
        known = {
            f"_sh_a{n}": self._aggregate(aggregate) for n, aggregate in enumerate(apart.aggregates)
        }
        node = tree_of(apart.text, self._context.backend)
        if isinstance(node, exp.Placeholder) and node.name in known:
            return known[node.name]
        if self._context.backend is Backend.SQLITE:
            return as_sqlite(node, known, self._leaf)
        for mark, aggregate in zip(list(known), apart.aggregates, strict=True):
            if aggregate.name in ("MIN", "MAX"):
                inner = tree_of(aggregate.inner, self._context.backend)
                known[mark] = signed(known[mark], self._context.lineage(inner))
        return as_expression(
            node, known, lambda leaf: signed(self._leaf(leaf), self._context.lineage(leaf))
        )

    def _leaf(self, node: exp.Expr) -> Expression:
        text = node.sql(dialect=dialect(self._context.backend), identify=True)
        return self._leaf_text(text, node)

    def _leaf_text(self, text: str, node: exp.Expr) -> Expression:
        """Return what a shard computes without aggregates: the same for all rows of a group."""
        if node.is_star or not (self._is_of_group(node) or any(map(is_aggregate, node.walk()))):
            raise QueryRefusedError(
                f"{text[:80]} is not the same for all rows of a group, so shards can differ on it",
                next_step="add it to GROUP BY, or take MIN() or MAX() of it",
            )
        other = next((n for n in node.walk() if is_aggregate(n)), None)
        if other is not None:
            shown = other.sql(dialect=dialect(self._context.backend))
            raise QueryRefusedError(
                f"{shown[:80]} is not exact over the rows of several shards",
                next_step="add the shard key to GROUP BY, or select the rows and compute it in the "
                "application",
            )
        if not self._group and self._apart:
            return self._constant(text, node)
        return self._fold(Fold("first", self._partial.add(text)))

    def _constant(self, text: str, node: exp.Expr) -> Expression:
        found = as_expression(node, {}, self._leaf)
        if found[0] not in ("const", "param"):
            raise QueryRefusedError(
                f"{text[:80]} beside COUNT(DISTINCT) over several shards",
                next_step="compute it in the application",
            )
        return found

    def _is_of_group(self, node: exp.Expr) -> bool:
        node = node.unnest()
        if any(node == each.unnest() for _, each in self._group):
            return True
        if isinstance(node, exp.Column):
            scope = self._context.block.scope
            mine = scope.find(node)
            columns = [e.unnest() for _, e in self._group]
            same = [scope.find(e) for e in columns if isinstance(e, exp.Column)]
            return mine is not None and mine in same
        if any(True for _ in nested_queries([node])):
            return False
        children = [child for child in node.iter_expressions() if isinstance(child, exp.Expr)]
        return all(self._is_of_group(c) for c in children if not isinstance(c, exp.DataType))

    # Aggregates

    def _aggregate(self, call: Aggregate) -> Expression:
        if call.name in ("MIN", "MAX"):
            return self._extreme(call)
        if call.is_distinct:
            return self._distinct_aggregate(call)
        if call.name == "AVG":
            total = self._fold(Fold("sum", self._partial.add(f"SUM({call.inner})")))
            count = self._fold(Fold("count", self._partial.add(f"COUNT({call.inner})")))
            return self._average(total, count)
        kind = Fold("sum" if call.name == "SUM" else "count", self._partial.add(call.text))
        return self._fold(kind)

    def _average(self, total: Expression, count: Expression) -> Expression:
        if self._context.backend is Backend.SQLITE:
            return "sqlite", SQLITE_AVERAGE, total, count
        return "avg", total, count

    def _extreme(self, call: Aggregate) -> Expression:
        text = f"{call.name}({call.inner})"
        column = self._partial.add(text)
        weight = self._extreme_weight(text, call)
        pad = b""
        if weight is not None:
            pad = self._context.pad(call.inner, tree_of(call.inner, self._context.backend))
        kind: Literal["min", "max"] = "min" if call.name == "MIN" else "max"
        return self._fold(Fold(kind, column, weight, pad=pad))

    def _extreme_weight(self, text: str, call: Aggregate) -> int | None:
        """Return the column by which the shards' MIN or MAX compare, if it is another."""
        node = tree_of(call.inner, self._context.backend)
        lineage = self._context.lineage(node)
        if lineage is not None and lineage.column.is_numbered:
            raise QueryRefusedError(
                f"{text} of an ENUM, SET or BIT column over several shards",
                next_step="take it of the column + 0, or of CAST(column AS CHAR)",
            )
        if self._context.weight(call.inner, node) is None:
            return None
        weight = weight_of(
            text, lineage, self._source, ask=self._context.ask, backend=self._context.backend
        )
        return self._partial.add(weight or text)

    def _distinct_aggregate(self, call: Aggregate) -> Expression:
        context = self._context
        nodes = [tree_of(argument, context.backend) for argument in call.arguments]
        has_key = any(is_strict_key(context.block.scope, node) for node in nodes)
        if call.name == "COUNT" and has_key and self._counts_keys:
            return self._fold(Fold("count", self._partial.add(call.text)))
        identity = []
        for text, node in zip(call.arguments, nodes, strict=True):
            identity.append(self._identity(text, node))
            if text not in self._apart:
                self._apart.append(text)
        exact = context.exact_number(call.arguments[0], nodes[0])
        value = self._partial.add(exact or call.arguments[0])
        count = Fold("distinct count", value, identity=tuple(identity))
        total = Fold("distinct sum", value, identity=tuple(identity))
        if call.name == "COUNT":
            return self._fold(count)
        if call.name == "SUM":
            return self._fold(total)
        return self._average(self._fold(total), self._fold(count))

    # HAVING and ORDER BY

    def _conditions(self, having: Piece) -> list[Expression]:
        kinds = {token.token_type for token in having.tokens}
        parts = [having]
        if not kinds & {TokenType.BETWEEN, TokenType.CASE, TokenType.OR, TokenType.XOR}:
            parts = [
                Piece.of(self._source, tokens) for tokens in split_at(having.tokens, TokenType.AND)
            ]
        return [self._computed(self._expanded(part)) for part in parts]

    def _expanded(self, piece: Piece) -> Piece:
        """Return a piece in which aliases of the select list are written out."""
        context = self._context
        values = {
            node.alias.lower(): value.text
            for node, value in zip(context.select.expressions, context.values, strict=True)
            if isinstance(node, exp.Alias)
        }
        text, position, before = "", piece.tokens[0].start, None
        source = piece_source(piece, self._source)
        for token in piece.tokens:
            value = values.get(token.text.lower())
            is_name = token.token_type in (TokenType.VAR, TokenType.IDENTIFIER)
            if value is not None and is_name and before is not TokenType.DOT:
                if context.block.scope.find(exp.column(token.text)) and value != token.text:
                    check_names(piece, context)
                text += source[position : token.start] + f"({value})"
                position = token.end + 1
            before = token.token_type
        text += source[position : piece.tokens[-1].end + 1]
        return Piece(text, tuple(tokens_of(text, context.backend)))

    def _sorts(
        self, outputs: tuple[Expression, ...]
    ) -> tuple[tuple[Expression, ...], tuple[SortKey, ...]]:
        sorts: list[Expression] = []
        order: list[SortKey] = []
        for entry in orders_of(self._context):
            expression, pad = self._sort(entry, outputs)
            order.append(SortKey(len(sorts), entry.descending, entry.nulls_first, pad))
            sorts.append(expression)
        return tuple(sorts), tuple(order)

    def _sort(self, entry: Order, outputs: tuple[Expression, ...]) -> tuple[Expression, bytes]:
        """Return what sorts in Python as an entry of ORDER BY does on the server, and its pad."""
        if entry.item is not None:
            piece, computed = self._context.values[entry.item], outputs[entry.item]
        else:
            piece = self._expanded(entry.piece)
            computed = self._computed(piece)
        apart = take_apart(piece, piece_source(piece, self._source), self._context.backend)
        if not apart.aggregates:
            node = tree_of(piece.text, self._context.backend)
            weight = self._context.weight(piece.text, node)
            if weight is None or computed[0] != "ref":
                return computed, b""
            pad = self._context.pad(piece.text, node)
            return self._fold(Fold("first", self._partial.add(f"MIN({weight})"))), pad
        if computed[0] == "ref" and self._context.backend is Backend.MYSQL:
            # SQLite sorts what MIN and MAX return by its bytes: https://sqlite.org/datatype3.html#collation
            fold = self._folds[computed[1]]
            if fold.kind in ("min", "max") and fold.weight is not None:
                again = Fold(fold.kind, fold.weight, fold.weight, pad=fold.pad)
                return self._fold(again), fold.pad
        if entry.item is not None:
            return ("output", entry.item), b""
        return computed, b""

    def _distinct_entries(self) -> list[tuple[str, exp.Expr]]:
        """Return the select list with ``*`` written out."""
        context = self._context
        entries: list[tuple[str, exp.Expr]] = []
        for piece, node in zip(context.values, context.select.expressions, strict=True):
            if not node.is_star:
                entries.append((piece.text, node.unalias()))
                continue
            wanted = node.table.lower() if isinstance(node, exp.Column) else None
            for item in context.block.scope.items:
                if wanted is not None and item.alias.lower() != wanted:
                    continue
                if item.columns is None or context.block.scope.merged:
                    raise QueryRefusedError(
                        "DISTINCT * of columns that are not known", next_step="name the columns"
                    )
                for name in item.columns:
                    parts = [quote(part, context.backend) for part in (item.alias, name)]
                    text = ".".join(parts).replace("%%", "%")
                    entries.append((text, tree_of(text, context.backend)))
        return entries

    def _distinct_sorts(
        self, entries: list[tuple[str, exp.Expr]], outputs: tuple[Expression, ...]
    ) -> tuple[tuple[Expression, ...], tuple[SortKey, ...]]:
        sorts: list[Expression] = []
        order: list[SortKey] = []
        for entry in orders_of(self._context):
            if entry.item is None or len(entries) != len(self._context.values):
                raise QueryRefusedError(
                    f"DISTINCT rows are sorted by {entry.piece.text[:80]}, which the select list "
                    "does not name",
                    next_step="add it to the select list",
                )
            weight = self._context.weight(*entries[entry.item])
            pad = self._context.pad(*entries[entry.item]) if weight else b""
            order.append(SortKey(len(sorts), entry.descending, entry.nulls_first, pad))
            place = self._partial.add(weight) if weight else None
            sorts.append(outputs[entry.item] if place is None else self._fold(Fold("first", place)))
        return tuple(sorts), tuple(order)

    def _notes(self, *, has_having: bool, has_limit: bool) -> tuple[str, ...]:
        by = ", ".join(entry.text for entry in self._context.clauses.group)
        if by:
            notes = [f"fold the partial groups by {by}"]
        elif self._context.clauses.is_distinct:
            notes = ["leave out rows that several shards have"]
        else:
            notes = ["fold the partial results into one row"]
        if has_having:
            notes.append("keep the groups for which HAVING is true")
        if self._context.clauses.order:
            entries = ", ".join(entry.text for entry in self._context.clauses.order)
            notes.append(f"sort by {entries}")
        if has_limit:
            notes.append("cut by LIMIT and OFFSET")
        return tuple(notes)


def piece_source(piece: Piece, source: str) -> str:
    """Return the text that a piece's tokens refer to: the statement's, or its own."""
    if not piece.tokens:
        return source
    first, last = piece.tokens[0].start, piece.tokens[-1].end + 1
    return source if source[first:last] == piece.text else piece.text
