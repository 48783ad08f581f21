"""The blocks of a statement: what each query in it is, and whether shards can answer it apart.

A block is *local* when its rows over all data are the rows of every shard together: its tables
are joined by the shard key, or stand whole on every shard. Nothing is assumed: what is not seen
to be local has a ``Refusal``. ``_reader`` makes blocks of a syntax tree.
"""

from dataclasses import dataclass, field
from typing import Literal

from sqlglot import exp

from shardhash.db.query._facts import FactsOf, TableFacts
from shardhash.db.query._functions import OTHER_AGGREGATES
from shardhash.db.query._joins import APART, is_strict
from shardhash.db.query._refusal import Refusal
from shardhash.db.query._scopes import Item, Node, Output, Scope, walk_here
from shardhash.db.schema import Column

__all__ = [
    "Analysis",
    "Apart",
    "Block",
    "from_of",
    "has_aggregate",
    "is_aggregate",
    "is_disjoint",
    "is_strict_key",
    "whole_problem",
    "windows_of",
]


@dataclass(slots=True)
class Block:
    """A query inside a statement, or the statement itself.

    Attributes:
        mapping: of its rows; empty where every shard gives the same ones.
        scope: of its FROM; of a set operation that of its first part.
        source_problem: why FROM and WHERE are not local.
        problem: why the whole block is not.
        outputs: its columns; None where they are not known.
        driving: the sharded entries of FROM that no outer join can fill with NULL.
        is_disjoint: its groups or distinct rows are of one shard each.
        is_one_union: the rows of a set operation's parts are those of every shard together.
        is_bound: each row of the query around it needs rows of its own shard only.
    """

    query: exp.Query
    scope: Scope
    mapping: str = ""
    source_problem: Refusal | None = None
    problem: Refusal | None = None
    outputs: list[Output] | None = None
    driving: list[Item] = field(default_factory=list)
    is_disjoint: bool = False
    is_bound: bool = False
    is_one_union: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Apart:
    """A subquery that needs rows of all shards, whatever the row of the query around it.

    ``column`` is what it is compared with, ``inner`` its own, where they are columns of tables.
    """

    query: exp.Query
    kind: Literal["scalar", "in", "exists"]
    column: Column | None = None
    inner: Column | None = None


@dataclass(slots=True)
class Analysis:
    """A whole statement: its outermost block, and all tables in it wherever they stand."""

    facts_of: FactsOf
    nodes: list[Node] = field(default_factory=list)
    global_tables: list[TableFacts] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    apart: list[Apart] = field(default_factory=list)
    names: list[tuple[exp.Identifier, TableFacts, bool]] = field(default_factory=list)
    """The name of each sharded table, its facts, and whether it has an alias."""


def from_of(query: exp.Expr) -> exp.From | None:
    """Return FROM, by either name that versions of sqlglot have for it."""
    found = query.args.get("from_") or query.args.get("from")
    return found if isinstance(found, exp.From) else None


def is_aggregate(node: exp.Expr) -> bool:
    """Tell whether a node is an aggregate function that is not used as a window function."""
    if isinstance(node.parent, exp.Window):
        return False
    if isinstance(node, exp.Anonymous):
        return node.name.upper() in OTHER_AGGREGATES
    if not isinstance(node, exp.AggFunc):
        return False
    return not (isinstance(node, exp.Min | exp.Max) and node.expressions)  # SQLite's MIN(a, b)


def is_strict_key(scope: Scope, node: exp.Expr) -> bool:
    """Tell whether an expression is a shard key that is of one shard in every row."""
    item = scope.key_item(node)
    return item is not None and item in scope.items and is_strict(item)


def has_aggregate(select: exp.Expr) -> bool:
    """Tell whether a SELECT makes one row of many, by a function or by GROUP BY."""
    if select.args.get("group"):
        return True
    places = [select.args.get("having"), select.args.get("order")]
    return any(map(is_aggregate, walk_here([*select.expressions, *places])))


def windows_of(select: exp.Select) -> list[exp.Window]:
    """Return the window functions of a SELECT's list and ORDER BY."""
    nodes = walk_here([*select.expressions, select.args.get("order")])
    return [node for node in nodes if isinstance(node, exp.Window)]


def is_disjoint(select: exp.Select, scope: Scope) -> bool:
    """Tell whether groups, or distinct rows, have the strict key, so are of one shard each."""
    group = select.args.get("group")
    if group is not None:
        plain = {key for key, value in group.args.items() if value}
        return plain <= {"expressions"} and any(
            is_strict_key(scope, _group_value(each, select, scope)) for each in group.expressions
        )
    if select.args.get("distinct") and not has_aggregate(select):
        return any(
            is_strict_key(scope, node.this if isinstance(node, exp.Alias) else node)
            for node in select.expressions
        )
    return False


def _group_value(node: exp.Expr, select: exp.Select, scope: Scope) -> exp.Expr:
    """Return what an entry of GROUP BY stands for: a position, an alias or itself."""
    values = select.expressions
    if isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit():
        position = int(node.name) - 1
        return values[position].unalias() if 0 <= position < len(values) else node
    if isinstance(node, exp.Column) and not node.table and scope.find(node) is None:
        for value in values:
            if isinstance(value, exp.Alias) and value.alias.lower() == node.name.lower():
                return value.unalias()
    return node


def whole_problem(select: exp.Select, block: Block) -> Refusal | None:
    """Return why a block, seen as a table, is not its parts on the shards together."""
    if not block.mapping:
        return None
    for window in windows_of(select):
        keys = window.args.get("partition_by") or []
        if not any(is_strict_key(block.scope, key) for key in keys):
            return Refusal(
                "a window function needs the rows of all shards",
                "add the shard key to its PARTITION BY, or compute it in the application",
            )
    if select.args.get("limit") or select.args.get("offset"):
        return Refusal("LIMIT inside the statement needs the rows of all shards", APART)
    if (has_aggregate(select) or select.args.get("distinct")) and not block.is_disjoint:
        return Refusal(
            "a subquery makes groups or distinct rows of the rows of several shards",
            "add the shard key to its GROUP BY, or " + APART,
        )
    return None
