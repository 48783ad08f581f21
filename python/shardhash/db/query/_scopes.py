"""What stands in FROM, which column a name means, and which of them hold the shard key."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from shardhash.db.query._facts import TableFacts
from shardhash.db.query._pins import EVERYWHERE, AllOf, ColumnTest, Pin, pin_of
from shardhash.db.schema import Column

__all__ = ["Item", "Lineage", "Node", "Output", "Scope", "nested_queries", "walk_here"]


@dataclass(eq=False, slots=True)
class Node:
    """A table of the statement, or what stands for one, and which of its rows matter.

    ``pins`` limit them by the key. The limits of the nodes in ``follows`` hold here too, because
    only rows of equal keys matter.
    """

    facts: TableFacts | None = None
    pins: list[Pin] = field(default_factory=list)
    follows: "list[Node]" = field(default_factory=list)

    def limit(self) -> Pin:
        """Return all that limits the rows that matter."""
        seen: list[Node] = []
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.append(node)
                waiting.extend(node.follows)
        return AllOf(tuple(pin for node in seen for pin in node.pins))


@dataclass(frozen=True, slots=True)
class Lineage:
    """The column of a table that a value is, unchanged."""

    facts: TableFacts
    column: Column


@dataclass(eq=False, slots=True, kw_only=True)
class Item:
    """One entry of FROM.

    Attributes:
        alias: the name that columns are qualified with.
        mapping: of the rows; empty where every shard has the same ones.
        columns: by lower-case name, what each is; None where they are not known.
        keys: lower-case names of the columns that hold the shard key.
        key_facts: the table that the key comes from.
        is_strict: the key is never NULL and equal only to the same bytes.
        is_nullable: an outer join may fill the columns with NULL.
        is_base: a table, not a subquery.
    """

    alias: str
    node: Node
    mapping: str = ""
    columns: Mapping[str, Lineage | None] | None = None
    keys: frozenset[str] = frozenset()
    key_facts: TableFacts | None = None
    is_strict: bool = False
    is_nullable: bool = False
    is_base: bool = False

    @property
    def is_sharded(self) -> bool:
        """Tell whether the rows differ from shard to shard."""
        return bool(self.mapping)


@dataclass(frozen=True, slots=True)
class Output:
    """A column of a query's result: its lower-case name, what it is, and whose key it is."""

    name: str
    lineage: Lineage | None = None
    key_of: Item | None = None


@dataclass(slots=True)
class Scope:
    """The names that an expression can use."""

    items: list[Item] = field(default_factory=list)
    parent: "Scope | None" = None
    merged: set[str] = field(default_factory=set)
    """Columns of USING, which are the left table's."""

    def find(self, column: exp.Column) -> tuple[Item, str] | None:
        """Return the entry and lower-case name that a column means; None if that is not sure."""
        if column.args.get("db") or isinstance(column.this, exp.Star):
            return None
        name = column.name.lower()
        if column.table:
            return self.find_qualified(column.table.lower(), name)
        if any(item.columns is None for item in self.items):
            return None
        found = [item for item in self.items if item.columns and name in item.columns]
        if len(found) == 1 or (found and name in self.merged):
            return found[0], name
        if found or self.parent is None:
            return None
        return self.parent.find(column)

    def find_qualified(self, alias: str, name: str) -> tuple[Item, str] | None:
        """Return the entry that ``alias.name`` means, as ``find`` does."""
        found = [item for item in self.items if item.alias.lower() == alias]
        if not found:
            return self.parent.find_qualified(alias, name) if self.parent else None
        columns = found[0].columns
        if len(found) > 1 or (columns is not None and name not in columns):
            return None
        return found[0], name

    def key_item(self, node: exp.Expr | None) -> Item | None:
        """Return the entry whose shard key an expression is, and nothing else."""
        node = node.unnest() if node is not None else None
        if not isinstance(node, exp.Column):
            return None
        found = self.find(node)
        return found[0] if found and found[1] in found[0].keys else None

    def pin(self, condition: exp.Expr, item: Item) -> None:
        """Limit an entry's rows by a condition that holds for all that matter."""
        if item.key_facts is None or condition.find(exp.Xor):
            return
        test = ColumnTest(item.key_facts, lambda column: self.key_item(column) is item)
        found = pin_of(condition, test)
        if found != EVERYWHERE:
            item.node.pins.append(found)

    def output(self, node: exp.Expr) -> list[Output]:
        """Return the columns that an entry of a select list gives; raises LookupError if unsure."""
        if isinstance(node, exp.Star):
            return [each for item in self.items for each in _all_of(item)]
        if isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
            found = [item for item in self.items if item.alias.lower() == node.table.lower()]
            return _all_of(found[0]) if len(found) == 1 else _unsure()
        value = node.this if isinstance(node, exp.Alias) else node
        name = (node.alias if isinstance(node, exp.Alias) else node.name).lower()
        return [Output(name, self.lineage(value), self.key_item(value))]

    def lineage(self, node: exp.Expr) -> Lineage | None:
        """Return the column that an expression is, unchanged."""
        node = node.unnest()
        found = self.find(node) if isinstance(node, exp.Column) else None
        return found[0].columns.get(found[1]) if found and found[0].columns else None


def _all_of(item: Item) -> list[Output]:
    if item.columns is None:
        return _unsure()
    return [
        Output(name, lineage, item if name in item.keys else None)
        for name, lineage in item.columns.items()
    ]


def _unsure() -> list[Output]:
    raise LookupError


def nested_queries(nodes: Sequence[exp.Expr | None]) -> Iterator[exp.Query]:
    """Yield the queries that stand in expressions, without those inside them."""
    for root in nodes:
        if root is None:
            continue
        for node in root.walk(prune=_is_query):
            if _is_query(node):
                yield node  # type: ignore[misc]


def walk_here(nodes: Sequence[exp.Expr | None]) -> Iterator[exp.Expr]:
    """Yield every part of expressions but for the queries inside them."""
    for root in nodes:
        if root is not None:
            yield from (node for node in root.walk(prune=_is_query) if not _is_query(node))


def _is_query(node: exp.Expr) -> bool:
    return isinstance(node, exp.Select | exp.SetOperation)
