"""Expressions over aggregates, taken apart into what shards compute and what is left."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlglot import Token, TokenType, exp

from shardhash.db.query._clauses import Piece, dialect, parse, split_at
from shardhash.db.query._functions import AGGREGATES
from shardhash.db.query._pins import constant
from shardhash.db.reduce import Expression
from shardhash.db.topology import Backend
from shardhash.errors import QueryRefusedError

__all__ = ["Aggregate", "Apart", "as_expression", "as_sqlite", "take_apart", "tree_of"]

_MARK = "_sh_a"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One aggregate function: its name, the text of its arguments, and DISTINCT."""

    name: str
    is_distinct: bool
    inner: str
    arguments: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return the call as SQL."""
        return f"{self.name}({'DISTINCT ' if self.is_distinct else ''}{self.inner})"


@dataclass(frozen=True, slots=True)
class Apart:
    """An expression whose aggregates are marks ``:_sh_a0``, ``:_sh_a1`` and so on."""

    text: str
    aggregates: tuple[Aggregate, ...]


def take_apart(piece: Piece, source: str, backend: Backend) -> Apart:
    """Return a piece with its aggregates taken out; those of subqueries stay where they are.

    Raises:
        QueryRefusedError: an aggregate is used as a window function.
    """
    found: list[Aggregate] = []
    text, position = "", piece.tokens[0].start if piece.tokens else 0
    for first, last in _calls(piece.tokens, backend):
        inner = piece.tokens[first + 2 : last]
        is_distinct = bool(inner) and inner[0].token_type is TokenType.DISTINCT
        inner = inner[1:] if is_distinct else inner
        following = piece.tokens[last + 1].text.upper() if last + 1 < len(piece.tokens) else ""
        if following in ("OVER", "FILTER"):
            raise QueryRefusedError(
                f"{following} over rows of several shards",
                next_step="add the shard key to GROUP BY or PARTITION BY, or use CASE inside the "
                "aggregate in place of FILTER",
            )
        arguments = tuple(Piece.of(source, part).text for part in split_at(inner, TokenType.COMMA))
        name = piece.tokens[first].text.upper()
        found.append(Aggregate(name, is_distinct, Piece.of(source, inner).text, arguments))
        text += source[position : piece.tokens[first].start] + f":{_MARK}{len(found) - 1}"
        position = piece.tokens[last].end + 1
    end = piece.tokens[-1].end + 1 if piece.tokens else 0
    return Apart(text + source[position:end], tuple(found))


def _calls(tokens: tuple[Token, ...], backend: Backend) -> list[tuple[int, int]]:
    """Return first and last place of each aggregate call that stands in no subquery."""
    calls = []
    place = 0
    while place < len(tokens):
        opens = place + 1 < len(tokens) and tokens[place + 1].token_type is TokenType.L_PAREN
        if tokens[place].token_type is TokenType.L_PAREN and _is_query(tokens, place):
            place = _closing(tokens, place)
        elif opens and tokens[place].text.upper() in AGGREGATES and _is_call(tokens[place]):
            last = _closing(tokens, place + 1)
            is_scalar = backend is Backend.SQLITE and _is_scalar(tokens[place : last + 1])
            if not is_scalar:
                calls.append((place, last))
                place = last
        place += 1
    return calls


def _is_call(token: Token) -> bool:
    return token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER)


def _is_query(tokens: tuple[Token, ...], place: int) -> bool:
    return place + 1 < len(tokens) and tokens[place + 1].token_type in (
        TokenType.SELECT, TokenType.WITH,
    )  # fmt: skip


def _is_scalar(call: tuple[Token, ...]) -> bool:
    """Tell whether it is SQLite's MIN or MAX of several values of one row."""
    several = len(split_at(call[2:-1], TokenType.COMMA)) > 1
    return several and call[0].text.upper() in ("MIN", "MAX")


def _closing(tokens: tuple[Token, ...], opening: int) -> int:
    depth = 0
    for place in range(opening, len(tokens)):
        kind = tokens[place].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if depth == 0:
            return place
    return len(tokens) - 1


def tree_of(text: str, backend: Backend) -> exp.Expr:
    """Return the syntax tree of an expression."""
    node: exp.Expr = parse(f"SELECT {text}", backend).expressions[0]
    return node


LeafOf = Callable[[exp.Expr], Expression]


def as_expression(node: exp.Expr, aggregates: Mapping[str, Expression], leaf: LeafOf) -> Expression:
    """Return an expression over aggregates for ``db.reduce``, in MySQL's arithmetic.

    Raises:
        QueryRefusedError: it has a part whose rules are not known there.
    """

    def each(part: exp.Expr) -> Expression:
        return as_expression(part, aggregates, leaf)

    node = node.unnest()
    if isinstance(node, exp.Placeholder) and node.name in aggregates:
        return aggregates[node.name]
    known = constant(node)
    if known is not None:
        return ("const", known.literal) if known.mark is None else ("param", known.mark)
    if isinstance(node, exp.Column):
        return leaf(node)
    if type(node) in _BINARY:
        return _BINARY[type(node)], each(node.this), each(node.expression)
    return _other(node, each)


def _other(node: exp.Expr, each: LeafOf) -> Expression:
    plain = {key for key, value in node.args.items() if value}
    if isinstance(node, exp.Neg | exp.Abs | exp.Not | exp.Floor | exp.Ceil) and plain == {"this"}:
        return node.key, each(node.this)
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        return "isnull", each(node.this)
    if isinstance(node, exp.Coalesce) and plain <= {"this", "expressions"}:
        return "coalesce", each(node.this), *map(each, node.expressions)
    if isinstance(node, exp.Nullif):
        return "nullif", each(node.this), each(node.expression)
    if isinstance(node, exp.Round) and plain <= {"this", "decimals"}:
        digits = node.args.get("decimals")
        return ("round", each(node.this), *([each(digits)] if digits else []))
    if isinstance(node, exp.Between) and plain == {"this", "low", "high"}:
        value, low, high = (each(node.args[name]) for name in ("this", "low", "high"))
        return "and", (">=", value, low), ("<=", value, high)
    if isinstance(node, exp.In) and plain == {"this", "expressions"}:
        return "in", each(node.this), *map(each, node.expressions)
    if isinstance(node, exp.If) and plain <= {"this", "true", "false"}:
        return "case", each(node.this), each(node.args["true"]), _else(node.args.get("false"), each)
    if isinstance(node, exp.Case) and plain <= {"ifs", "default"}:
        pairs = [part for case in node.args["ifs"] for part in (case.this, case.args["true"])]
        return "case", *map(each, pairs), _else(node.args.get("default"), each)
    raise _unknown(node)


def _else(node: exp.Expr | None, each: LeafOf) -> Expression:
    return each(node) if node is not None else ("const", None)


_BINARY: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.IntDiv: "div",
    exp.Mod: "%",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.And: "and",
    exp.Or: "or",
}
_SQLITE_PARTS = (
    exp.Placeholder, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Add, exp.Sub, exp.Mul,
    exp.Div, exp.Mod, exp.Neg, exp.Abs, exp.Round, exp.Coalesce, exp.Nullif, exp.Case, exp.If,
    exp.Not, exp.And, exp.Or, exp.Is, exp.Between, exp.In, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT,
    exp.GTE, exp.Min, exp.Max,
)  # fmt: skip


def as_sqlite(node: exp.Expr, aggregates: Mapping[str, Expression], leaf: LeafOf) -> Expression:
    """Return ``("sqlite", text, *expressions)``: SQL to compute, with ``?`` for each expression.

    Raises:
        QueryRefusedError: it has a part whose value depends on more than numbers and texts.
    """
    inputs: list[Expression] = []

    def hole(part: exp.Expr) -> exp.Expr:
        if isinstance(part, exp.Placeholder):
            known = constant(part)
            inputs.append(aggregates.get(part.name) or ("param", known.mark if known else None))
        elif isinstance(part, exp.Column):
            if part.find_ancestor(*_COMPARING):
                raise _unknown(node)  # the column's affinity and collation would be lost
            inputs.append(leaf(part))
        elif not isinstance(part, _SQLITE_PARTS) and not isinstance(part.parent, exp.Column):
            raise _unknown(part)
        else:
            return part
        return exp.Placeholder()

    tree = node.copy().transform(hole)
    return "sqlite", tree.sql(dialect=dialect(Backend.SQLITE)), *inputs


_COMPARING = (
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In, exp.Between, exp.Case, exp.Nullif,
    exp.Min, exp.Max,
)  # fmt: skip


def _unknown(node: exp.Expr) -> QueryRefusedError:
    text = node.sql(dialect=dialect(Backend.MYSQL))  # the general one fails on an empty X''
    return QueryRefusedError(
        f"{text[:120]} over aggregates of several shards is not computed here",
        next_step="select the aggregates as they are, and compute in the application",
    )
