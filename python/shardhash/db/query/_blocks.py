"""Reads a SELECT, block by block: whether shards can answer it apart, and which rows matter.

A block is *local* when its rows over all data are the rows of every shard together: its tables
are joined by the shard key, or stand whole on every shard. Nothing is assumed: what is not seen
to be local has a ``Refusal``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from shardhash.db.query._facts import FactsOf, TableFacts
from shardhash.db.query._functions import OTHER_AGGREGATES
from shardhash.db.query._joins import APART, Joins, can_join, follow_both, is_strict
from shardhash.db.query._refusal import Refusal
from shardhash.db.query._scopes import (
    Item,
    Lineage,
    Node,
    Output,
    Scope,
    nested_queries,
    walk_here,
)

__all__ = [
    "Analysis",
    "Block",
    "analyze",
    "from_of",
    "has_aggregate",
    "is_aggregate",
    "is_strict_key",
]

_TABLE_PARTS = {"this", "alias", "hints", "joins"}


@dataclass(frozen=True, slots=True)
class Named:
    """A query of WITH, and those that it can name itself."""

    query: exp.Query
    renames: bool
    before: "Mapping[str, Named]"


Queries = Mapping[str, Named]


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


@dataclass(slots=True)
class Analysis:
    """A whole statement: its outermost block, and all tables in it wherever they stand."""

    facts_of: FactsOf
    nodes: list[Node] = field(default_factory=list)
    global_tables: list[TableFacts] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    names: list[tuple[exp.Identifier, TableFacts, bool]] = field(default_factory=list)
    """The name of each sharded table, its facts, and whether it has an alias."""


def analyze(query: exp.Query, facts_of: FactsOf) -> tuple[Block, Analysis]:
    """Return the outermost block of a statement and what stands in it."""
    analysis = Analysis(facts_of)
    return _block(query, None, {}, analysis), analysis


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
    if select.args.get("group") or select.args.get("having"):
        return True
    return any(map(is_aggregate, walk_here([*select.expressions, select.args.get("order")])))


def _block(query: exp.Query, parent: Scope | None, ctes: Queries, analysis: Analysis) -> Block:
    ctes = _with(query, ctes, analysis)
    if isinstance(query, exp.Subquery):
        inner = query.this
        if isinstance(inner, exp.Select | exp.SetOperation) and not _has_modifiers(query):
            return _block(inner, parent, ctes, analysis)
    if isinstance(query, exp.SetOperation):
        return _set_operation(query, parent, ctes, analysis)
    if isinstance(query, exp.Select):
        return _Reader(query, parent, ctes, analysis).block()
    block = Block(query, Scope(parent=parent))
    block.source_problem = block.problem = Refusal(
        "a part of the statement is written in a form that is not understood",
        "write it as SELECT ... FROM ... WHERE ...",
    )
    analysis.unknown.append("(...)")
    return block


def _renames(source: exp.Expr) -> bool:
    alias = source.args.get("alias")
    return alias is not None and bool(alias.columns)


def _has_modifiers(query: exp.Expr) -> bool:
    return any(value for key, value in query.args.items() if key not in ("this", "alias"))


def _with(query: exp.Query, known: Queries, analysis: Analysis) -> Queries:
    found = query.args.get("with_") or query.args.get("with")
    if found is None:
        return known
    if found.args.get("recursive"):
        analysis.unknown.append("WITH RECURSIVE")
    for cte in found.expressions:
        renames = bool(cte.args["alias"].columns)
        known = {**known, cte.alias.lower(): Named(cte.this, renames, known)}
    return known


def _set_operation(
    query: exp.SetOperation, parent: Scope | None, ctes: Queries, analysis: Analysis
) -> Block:
    parts = [
        _block(part, parent, ctes, analysis)
        for part in (query.this, query.expression)
        if isinstance(part, exp.Query)
    ]
    first = parts[0]
    block = Block(query, first.scope, mapping=first.mapping, outputs=first.outputs)
    block.is_bound = all(part.is_bound or not part.mapping for part in parts)
    problem = next((part.problem for part in parts if part.problem), None)
    if {part.mapping for part in parts} != {first.mapping}:
        problem = problem or Refusal(
            f"{query.key.upper()} joins rows of shards with rows that every shard has", APART
        )
    if first.mapping and not problem and not _is_plain_union(query) and not _same_keys(parts):
        problem = Refusal(
            f"{query.key.upper()} compares rows of several shards", "use UNION ALL, or " + APART
        )
    if any(query.args.get(name) for name in ("order", "limit", "offset")) and first.mapping:
        problem = problem or Refusal(
            "ORDER BY and LIMIT of a UNION need the rows of all shards", APART
        )
    block.outputs = _common_outputs(parts)
    block.source_problem = block.problem = problem
    return block


def _is_plain_union(query: exp.SetOperation) -> bool:
    return isinstance(query, exp.Union) and not query.args.get("distinct")


def _same_keys(parts: list[Block]) -> bool:
    """Tell whether all parts have the strict key in one column: equal rows are of one shard."""
    if any(part.outputs is None for part in parts):
        return False
    columns = zip(*(part.outputs or [] for part in parts), strict=False)
    return any(all(output.key_of and is_strict(output.key_of) for output in c) for c in columns)


def _common_outputs(parts: list[Block]) -> list[Output] | None:
    first = parts[0].outputs
    if first is None or any(part.outputs is None for part in parts):
        return None
    return [Output(output.name) for output in first]  # keys of a union are not followed


class _Reader:
    """Reads one SELECT."""

    def __init__(
        self, select: exp.Select, parent: Scope | None, ctes: Queries, analysis: Analysis
    ) -> None:
        self._select = select
        self._ctes = ctes
        self._analysis = analysis
        self._scope = Scope(parent=parent)
        self._block = Block(select, self._scope)
        self._joins = Joins()

    def block(self) -> Block:
        """Return what the SELECT is."""
        block, select = self._block, self._select
        self._read_from()
        where = select.args.get("where")
        condition = where.this if where else None
        self._read_condition(condition, self._scope.items)
        items = self._scope.items
        block.source_problem = block.source_problem or self._joins.problem(items)
        block.mapping = next((item.mapping for item in items if item.mapping), "")
        block.driving = [item for item in items if item.mapping and not item.is_nullable]
        self._read_subqueries(condition)
        block.is_disjoint = self._is_disjoint()
        block.problem = block.source_problem or self._whole_problem()
        try:
            block.outputs = [out for node in select.expressions for out in self._scope.output(node)]
        except LookupError:
            block.outputs = None
        return block

    def _refuse(self, reason: str, rewrite: str) -> None:
        self._block.source_problem = self._block.source_problem or Refusal(reason, rewrite)

    # FROM

    def _read_from(self) -> None:
        start = from_of(self._select)
        if start is None:
            return
        self._scope.items.append(self._item(start.this))
        for join in self._select.args.get("joins") or ():
            self._read_join(join)
        if self._select.args.get("laterals"):
            self._refuse("LATERAL is not understood", APART)

    def _read_join(self, join: exp.Join) -> None:
        before = list(self._scope.items)
        item = self._item(join.this)
        self._scope.items.append(item)
        side, kind, method = join.side.upper(), join.kind.upper(), join.method.upper()
        if method or kind not in ("", "INNER", "CROSS", "OUTER", "STRAIGHT_JOIN"):
            self._refuse(f"{method or kind} JOIN is not understood", "write JOIN ... ON ...")
            side = "FULL"
        if side in ("RIGHT", "FULL"):
            for other in before:
                other.is_nullable = True
            if any(not each.args.get("on") and not each.args.get("using")
                   for each in self._select.args["joins"]):  # fmt: skip
                self._refuse(f"{side} JOIN beside a comma", "write every join as JOIN ... ON ...")
        item.is_nullable = side in ("LEFT", "FULL")
        on = join.args.get("on")
        edges = self._edges(on) + self._using(join, before, item)
        self._joins.add(side, before, item, edges)
        if on is not None:
            limited = {"": self._scope.items, "LEFT": [item], "RIGHT": before}.get(side, [])
            for each in limited:
                self._scope.pin(on, each)

    def _using(self, join: exp.Join, before: list[Item], item: Item) -> list[tuple[Item, Item]]:
        edges = []
        for identifier in join.args.get("using") or ():
            name = identifier.name.lower()
            self._scope.merged.add(name)
            left = [each for each in before if each.columns is not None and name in each.columns]
            if left and name in left[0].keys and name in item.keys:
                edges.append((left[0], item))
        return [edge for edge in edges if can_join(*edge)]

    def _item(self, source: exp.Expr) -> Item:
        alias = source.alias_or_name
        if isinstance(source, exp.Table):
            named = self._ctes.get(source.name.lower()) if not source.args.get("db") else None
            if named is None:
                return self._table(source, alias)
            renames = named.renames or _renames(source)
            return self._derived(named.query, alias, named.before, renames=renames)
        is_query = isinstance(source, exp.Subquery) and isinstance(source.this, exp.Query)
        if is_query and not _has_modifiers(source):
            return self._derived(source.this, alias, self._ctes, renames=_renames(source))
        self._analysis.unknown.append(alias or "(...)")
        self._refuse(
            f"{alias or 'a part of FROM'} is not understood", "write plain tables and JOIN ... ON"
        )
        return Item(alias=alias, node=Node())

    def _table(self, table: exp.Table, alias: str) -> Item:
        facts = None
        if (
            isinstance(table.this, exp.Identifier)
            and not any(value for key, value in table.args.items() if key not in _TABLE_PARTS)
            and not table.args.get("joins")
        ):
            facts = self._analysis.facts_of(table.name)
        if facts is None:
            self._analysis.unknown.append(table.sql())
            self._refuse(
                f"table {table.sql()} is in no mapping's tables or global_tables",
                "name it in the configuration, spelled as there, or name the shard: shards=[...]",
            )
            return Item(alias=alias, node=Node())
        columns = {c.name.lower(): Lineage(facts, c) for c in facts.table.columns}
        if facts.rule is None or facts.mapping is None:
            self._analysis.global_tables.append(facts)
            return Item(alias=alias, node=Node(), columns=columns, is_base=True)
        node = Node(facts)
        self._analysis.nodes.append(node)
        self._analysis.names.append((table.this, facts, bool(table.alias)))
        key = facts.key
        return Item(
            alias=alias,
            node=node,
            mapping=facts.mapping.name,
            columns=columns,
            keys=frozenset({facts.rule.key.lower()}),
            key_facts=facts,
            is_strict=facts.has_exact_key and key is not None and not key.nullable,
            is_base=True,
        )

    def _derived(self, query: exp.Query, alias: str, ctes: Queries, *, renames: bool) -> Item:
        block = _block(query, None, ctes, self._analysis)
        item = Item(alias=alias, node=Node(), mapping=block.mapping)
        self._block.source_problem = self._block.source_problem or block.problem
        if block.outputs is None or renames:
            return item
        item.columns = {output.name: output.lineage for output in block.outputs}
        if block.problem:
            return item
        keys = [output for output in block.outputs or () if output.key_of is not None]
        item.keys = frozenset(output.name for output in keys)
        item.is_strict = bool(keys) and all(o.key_of and is_strict(o.key_of) for o in keys)
        for output in keys:
            inner = output.key_of
            assert inner is not None
            item.key_facts = inner.key_facts
            inner.node.follows.append(item.node)
            if not inner.is_nullable:
                item.node.follows.append(inner.node)
        return item

    # Conditions

    def _read_condition(self, condition: exp.Expr | None, items: list[Item]) -> None:
        """Take what WHERE says: it holds for every row that matters."""
        if condition is None:
            return
        for one, other in self._edges(condition):
            if other not in items:
                one, other = other, one
            if one in items and other in items:
                follow_both(one, other)
                self._joins.strong.append((one, other))
            elif other in items:  # `one` is of a query around this one
                other.node.follows.append(one.node)
                self._block.is_bound = True
                self._joins.bound.append(other)
        for item in items:
            self._scope.pin(condition, item)

    def _edges(self, condition: exp.Expr | None) -> list[tuple[Item, Item]]:
        """Return the pairs of entries whose keys a condition says are equal."""
        if condition is None or condition.find(exp.Xor):
            return []
        condition = condition.unnest()
        parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
        edges = []
        for part in parts:
            part = part.unnest()
            if isinstance(part, exp.And):
                edges += self._edges(part)
            elif isinstance(part, exp.EQ):
                one = self._scope.key_item(part.this)
                other = self._scope.key_item(part.expression)
                if one and other and one is not other and can_join(one, other):
                    edges.append((one, other))
        return edges

    # Subqueries in expressions

    def _read_subqueries(self, condition: exp.Expr | None) -> None:
        select = self._select
        joins = select.args.get("joins") or ()
        places = [
            *select.expressions, condition, select.args.get("group"), select.args.get("having"),
            select.args.get("order"), *(join.args.get("on") for join in joins),
        ]  # fmt: skip
        for query in nested_queries(places):
            block = _block(query, self._scope, self._ctes, self._analysis)
            if not block.mapping:
                if block.source_problem:
                    self._block.source_problem = self._block.source_problem or block.source_problem
                continue
            if self._block.mapping != block.mapping:
                self._refuse(
                    "a subquery reads rows of shards for a row that every shard has", APART
                )
            elif block.source_problem:
                self._block.source_problem = self._block.source_problem or block.source_problem
            elif not block.is_bound and not self._is_semijoin(query, block, condition):
                self._refuse(
                    "a subquery needs rows of all shards for each row",
                    "join it to the query around it by the shard key (inner.key = outer.key), or "
                    + APART,
                )

    def _is_semijoin(self, query: exp.Query, block: Block, condition: exp.Expr | None) -> bool:
        """Tell whether it is ``key IN (SELECT key ...)``, which asks for rows of one shard."""
        node = query.parent
        while isinstance(node, exp.Subquery | exp.Paren):
            node = node.parent
        if not isinstance(node, exp.In) or block.problem or not block.outputs:
            return False
        outer, inner = self._scope.key_item(node.this), block.outputs[0].key_of
        if outer is None or inner is None or not can_join(outer, inner):
            return False
        if not self._is_conjunct(node, condition) and not (is_strict(outer) and is_strict(inner)):
            return False  # NOT IN minds a NULL on any shard
        inner.node.follows.append(outer.node)
        return True

    @staticmethod
    def _is_conjunct(node: exp.Expr, condition: exp.Expr | None) -> bool:
        while node is not condition and isinstance(node.parent, exp.And | exp.Paren):
            node = node.parent
        return node is condition

    # The whole

    def _is_disjoint(self) -> bool:
        """Tell whether groups, or distinct rows, have the strict key, so are of one shard each."""
        if self._block.source_problem:
            return False
        group = self._select.args.get("group")
        if group is not None:
            plain = {key for key, value in group.args.items() if value}
            return plain <= {"expressions"} and any(
                is_strict_key(self._scope, self._group_value(each)) for each in group.expressions
            )
        if self._select.args.get("distinct") and not has_aggregate(self._select):
            return any(
                is_strict_key(self._scope, node.this if isinstance(node, exp.Alias) else node)
                for node in self._select.expressions
            )
        return False

    def _group_value(self, node: exp.Expr) -> exp.Expr:
        """Return what an entry of GROUP BY stands for: a position, an alias or itself."""
        values = self._select.expressions
        if isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit():
            position = int(node.name) - 1
            return values[position].unalias() if 0 <= position < len(values) else node
        if isinstance(node, exp.Column) and not node.table and self._scope.find(node) is None:
            for value in values:
                if isinstance(value, exp.Alias) and value.alias.lower() == node.name.lower():
                    return value.unalias()
        return node

    def _whole_problem(self) -> Refusal | None:
        """Return why the block, seen as a table, is not its parts on the shards together."""
        select = self._select
        if not self._block.mapping:
            return None
        for window in (n for n in walk_here([*select.expressions, select.args.get("order")])
                       if isinstance(n, exp.Window)):  # fmt: skip
            keys = window.args.get("partition_by") or []
            if not any(is_strict_key(self._scope, key) for key in keys):
                return Refusal(
                    "a window function needs the rows of all shards",
                    "add the shard key to its PARTITION BY, or compute it in the application",
                )
        if select.args.get("limit") or select.args.get("offset"):
            return Refusal("LIMIT inside the statement needs the rows of all shards", APART)
        if (has_aggregate(select) or select.args.get("distinct")) and not self._block.is_disjoint:
            return Refusal(
                "a subquery makes groups or distinct rows of the rows of several shards",
                "add the shard key to its GROUP BY, or " + APART,
            )
        return None
