"""Reads a statement, block by block: what stands in FROM, and what conditions say of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from shardhash.db.query._blocks import Analysis, Apart, Block, from_of, is_disjoint, whole_problem
from shardhash.db.query._facts import FactsOf
from shardhash.db.query._joins import APART, Joins, can_join, follow_both, is_strict
from shardhash.db.query._refusal import Refusal
from shardhash.db.query._scopes import Item, Lineage, Node, Scope, nested_queries, walk_here
from shardhash.db.query._unions import union_of
from shardhash.db.topology import Backend

__all__ = ["analyze"]

_TABLE_PARTS = {"this", "alias", "hints", "joins"}
_ROW_NUMBERS = {"rowid", "oid", "_rowid_"}


@dataclass(frozen=True, slots=True)
class Named:
    """A query of WITH, and those that it can name itself."""

    query: exp.Query
    renames: bool
    before: "Mapping[str, Named]"


Queries = Mapping[str, Named]


def analyze(query: exp.Query, facts_of: FactsOf) -> tuple[Block, Analysis]:
    """Return the outermost block of a statement and what stands in it."""
    analysis = Analysis(facts_of)
    return _block(query, None, {}, analysis), analysis


def _block(query: exp.Query, parent: Scope | None, ctes: Queries, analysis: Analysis) -> Block:
    ctes = _with(query, ctes, analysis)
    if isinstance(query, exp.Subquery):
        inner = query.this
        if isinstance(inner, exp.Select | exp.SetOperation) and not _has_modifiers(query):
            return _block(inner, parent, ctes, analysis)
    if isinstance(query, exp.SetOperation):
        parts = [
            _block(part, parent, ctes, analysis)
            for part in (query.this, query.expression)
            if isinstance(part, exp.Query)
        ]
        return union_of(query, parts)
    if isinstance(query, exp.Select):
        return _Reader(query, parent, ctes, analysis).block()
    block = Block(query, Scope(parent=parent))
    block.source_problem = block.problem = Refusal(
        "a part of the statement is written in a form that is not understood",
        "write it as SELECT ... FROM ... WHERE ...",
    )
    analysis.unknown.append("(...)")
    return block


def _places(select: exp.Select) -> list[exp.Expr | None]:
    """Return the parts of a SELECT that hold expressions."""
    joins = select.args.get("joins") or ()
    clauses = ("where", "group", "having", "order")
    return [
        *select.expressions, *map(select.args.get, clauses), *(j.args.get("on") for j in joins),
    ]  # fmt: skip


def _may_be_text(query: exp.Query, analysis: Analysis) -> bool:
    """Tell whether SQLite may take a name in quotes for a text, which a query alone does not have.

    Source: https://sqlite.org/quirks.html#dblquote.
    """
    backends = {node.facts.table.backend for node in analysis.nodes if node.facts is not None}
    if Backend.SQLITE not in backends:
        return False
    return any(c.this.args.get("quoted") and not c.table for c in query.find_all(exp.Column))


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
        self._check_row_numbers()
        block.driving = [item for item in items if item.mapping and not item.is_nullable]
        self._read_subqueries(condition)
        block.is_disjoint = not block.source_problem and is_disjoint(select, self._scope)
        block.problem = block.source_problem or whole_problem(select, block)
        try:
            block.outputs = [out for node in select.expressions for out in self._scope.output(node)]
        except LookupError:
            block.outputs = None
        return block

    def _refuse(self, reason: str, rewrite: str) -> None:
        self._block.source_problem = self._block.source_problem or Refusal(reason, rewrite)

    def _check_row_numbers(self) -> None:
        """Refuse SQLite's rowid of a sharded table: each shard numbers its rows by itself."""
        select, found = self._select, self._scope.items
        facts = next((item.key_facts for item in found if item.key_facts is not None), None)
        if facts is None or facts.table.backend is not Backend.SQLITE:
            return
        for node in walk_here(_places(select)):
            if not isinstance(node, exp.Column) or node.name.lower() not in _ROW_NUMBERS:
                continue
            if self._scope.find(node) is None:
                self._refuse(
                    f"{node.name} is a number that each shard gives its rows by itself",
                    "name the column of the primary key",
                )

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
        limited = {"": self._scope.items, "LEFT": [item], "RIGHT": before}.get(side, [])
        edges = [
            edge
            for edge in self._edges(on) + self._using(join, before, item)
            if not self._is_bound_by(edge, limited, is_inner=not side)
        ]
        self._joins.add(side, before, item, edges)
        if on is not None:
            for each in limited:
                self._scope.pin(on, each)

    def _is_bound_by(self, edge: tuple[Item, Item], limited: list[Item], *, is_inner: bool) -> bool:
        """Tell whether one key is of the query around, and if so let it limit the other.

        The limits of the other hold in the subquery only.
        """
        here = [item for item in edge if item in self._scope.items]
        if len(here) == 2:
            return False
        for item in here:
            (outer,) = (other for other in edge if other is not item)
            if item in limited:
                item.node.follows.append(outer.node)
            if is_inner:
                self._block.is_bound = True
                self._joins.bound.append(item)
        return True

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
            if not self._is_bound_by((one, other), items, is_inner=True):
                follow_both(one, other)
                self._joins.strong.append((one, other))
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
        for query in nested_queries(_places(self._select)):
            block = _block(query, self._scope, self._ctes, self._analysis)
            if not block.mapping:
                if block.source_problem:
                    self._block.source_problem = self._block.source_problem or block.source_problem
                continue
            if self._block.mapping != block.mapping:
                self._note_apart(query, block)
                self._refuse(
                    "a subquery reads rows of shards for a row that every shard has", APART
                )
            elif block.source_problem:
                if not block.is_bound:
                    self._note_apart(query, block)
                self._block.source_problem = self._block.source_problem or block.source_problem
            elif not block.is_bound and not self._is_semijoin(query, block, condition):
                self._note_apart(query, block)
                self._refuse(
                    "a subquery needs rows of all shards for each row",
                    "join it to the query around it by the shard key (inner.key = outer.key), or "
                    + APART,
                )

    def _note_apart(self, query: exp.Query, block: Block) -> None:
        """Note a subquery that may be answered first, with what it is compared with."""
        node: exp.Expr | None = query.parent
        child: exp.Expr = query
        while node is not None and isinstance(node, exp.Subquery | exp.Paren):
            child, node = node, node.parent
        if isinstance(node, exp.Any | exp.All) or _may_be_text(query, self._analysis):
            return
        if isinstance(node, exp.Ordered | exp.Group):
            return  # a number in its place would be the position of a column
        if isinstance(node, exp.Exists):
            self._analysis.apart.append(Apart(query, "exists"))
            return
        is_list, other = False, None
        if isinstance(node, exp.In) and child is node.args.get("query"):
            is_list, other = True, node.this
        if is_list and query.args.get("limit"):
            return  # MySQL has no such subqueries, and which rows SQLite takes may be chance
        if isinstance(node, exp.Binary) and isinstance(node, exp.Predicate):
            other = node.expression if child is node.this else node.this
        outputs = block.outputs or []
        inner = outputs[0].lineage if len(outputs) == 1 else None
        lineage = self._scope.lineage(other) if other is not None else None
        self._analysis.apart.append(
            Apart(
                query,
                "in" if is_list else "scalar",
                lineage.column if lineage else None,
                inner.column if inner else None,
            )
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
