"""Queries drawn from a grammar: joins, predicates, aggregates, orders and limits, keys that pin.

Each query has one right answer: a LIMIT comes with an order that is unique, a text that stands for
a group is named in ``folds``, and floating point is only summed where every sum is exact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from shardhash.db.topology import Backend
from shardhash.testing._beyond import draw_beyond
from shardhash.testing._pieces import aggregate, group_key, over_aggregates, row_expression
from shardhash.testing._words import Expression, Scope, Table, Words

__all__ = ["GeneratedQuery", "QueryGrammar"]


@dataclass(frozen=True, slots=True)
class GeneratedQuery:
    """A SELECT with its parameters; ``%s`` or ``%(name)s`` stand for them.

    Attributes:
        sql: the text.
        parameters: a tuple, or a dict for named ones.
        is_ordered: whether the order of the rows is fixed.
        folds: by output column, the ``table.column`` whose text it shows for a whole group.
    """

    sql: str
    parameters: tuple[object, ...] | dict[str, object] = ()
    is_ordered: bool = False
    folds: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Select:
    """The clauses of a query while it is drawn."""

    items: list[Expression]
    source: str
    where: str = ""
    group: list[Expression] = field(default_factory=list)
    having: str = ""
    distinct: bool = False
    rows_unique_by: list[str] = field(default_factory=list)
    is_aggregate: bool = False


class QueryGrammar:
    """Draws queries over tables. The same seed draws the same queries.

    Args:
        tables: with values that they hold; ``describe_tables`` reads them.
        backend: whose SQL to write.
        seed: of the source of chance.
    """

    def __init__(self, tables: Sequence[Table], backend: Backend, seed: int) -> None:
        self._tables = tables
        self._backend = backend
        self._random = Random(seed)  # noqa: S311  repeatable, and hides nothing

    def queries(self, count: int) -> Iterator[GeneratedQuery]:
        """Yield `count` queries of the kinds that shards are to answer."""
        for _ in range(count):
            yield self.query()

    def queries_beyond(self, count: int) -> Iterator[GeneratedQuery]:
        """Yield `count` queries of kinds that shards may refuse, and often get wrong."""
        for _ in range(count):
            words = Words(self._random, self._backend)
            text, is_ordered, folds = draw_beyond(words, self._tables)
            sql, parameters = words.finish(text)
            yield GeneratedQuery(sql, parameters, is_ordered, folds)

    def query(self) -> GeneratedQuery:
        """Return the next query."""
        words = Words(self._random, self._backend)
        scopes, source, joined_by = self._from(words)
        where = " AND ".join(filter(None, (joined_by, self._where(words, scopes))))
        draw = words.one((_rows, _rows, _rows, _distinct, _totals, _groups, _groups, _groups))
        return _written(words, draw(words, scopes, source, where), scopes)

    def _where(self, words: Words, scopes: Sequence[Scope]) -> str:
        if words.chance(0.3):
            return ""
        predicate = words.predicate(scopes, depth=words.one((0, 0, 1, 1, 2)))
        if words.chance(0.15):
            return f"{words.key_predicate(scopes)} AND {predicate}"
        return predicate

    def _from(self, words: Words) -> tuple[list[Scope], str, str]:
        """Return the tables of a query, the text of its FROM, and a join condition for WHERE."""
        sharded = [table for table in self._tables if table.mapping]
        shared = [table for table in self._tables if not table.mapping]
        if shared and words.chance(0.03):
            return _single(words, words.one(shared))
        first = words.one(sharded)
        if words.chance(0.5):
            return _single(words, first)
        if shared and words.chance(0.35):
            return _with_shared(words, first, words.one(shared))
        beside = [
            table
            for table in sharded
            if table.mapping == first.mapping and not table.column(table.key).folds
        ]
        if not beside or first.column(first.key).folds:
            return _single(words, first)
        return _beside(words, first, words.one(beside))


def _single(words: Words, table: Table) -> tuple[list[Scope], str, str]:
    alias = words.one((table.name, table.name, "t"))
    name = table.name if alias == table.name else f"{table.name}{words.one((' AS ', ' '))}{alias}"
    return [Scope(table, alias)], name, ""


def _beside(words: Words, first: Table, second: Table) -> tuple[list[Scope], str, str]:
    """Join two tables of a mapping by their keys."""
    scopes = [Scope(first, "a"), Scope(second, "b")]
    equal = [f"a.{first.key}", f"b.{second.key}"]
    if words.chance(0.3):
        equal.reverse()
    condition = " = ".join(equal)
    tables = [f"{first.name} AS a", f"{second.name} b"]
    if words.chance(0.2):
        return scopes, ", ".join(tables), condition
    join = words.one(("JOIN", "INNER JOIN", "LEFT JOIN", "LEFT OUTER JOIN"))
    if words.chance(0.3):
        condition = f"{condition} AND {words.predicate(scopes, depth=0)}"
    return scopes, f" {join} ".join(tables) + f" ON {condition}", ""


def _with_shared(words: Words, first: Table, shared: Table) -> tuple[list[Scope], str, str]:
    """Join a sharded table with one that every shard has."""
    pairs = [
        (mine, theirs)
        for mine in first.columns
        for theirs in shared.columns
        if mine.kind == theirs.kind and mine.compares_with(theirs)
        if set(mine.values) & set(theirs.values)
    ]
    if not pairs:
        return _single(words, first)
    mine, theirs = words.one(pairs)
    scopes = [Scope(first, "a"), Scope(shared, "g")]
    condition = f"a.{mine.name} = g.{theirs.name}"
    tables = [f"{first.name} a", f"{shared.name} g"]
    if words.chance(0.2):
        return scopes, ", ".join(tables), condition
    join = words.one(("JOIN", "LEFT JOIN"))
    return scopes, f" {join} ".join(tables) + f" ON {condition}", ""


def _rows(words: Words, scopes: Sequence[Scope], source: str, where: str) -> _Select:
    unique = [f"{s.alias}.{name}" for s in scopes for name in s.table.unique]
    star = words.one(("*", f"{scopes[0].alias}.*", "", "", "", ""))
    items = [Expression(star, "star")] if star else []
    while not items or words.chance(0.55 if len(items) < 5 and not star else 0.1):
        items.append(row_expression(words, scopes))
    return _Select(items, source, where, rows_unique_by=unique)


def _distinct(words: Words, scopes: Sequence[Scope], source: str, where: str) -> _Select:
    items = [group_key(words, scopes) for _ in range(words.one((1, 1, 2, 3)))]
    return _Select(items, source, where, distinct=True)


def _totals(words: Words, scopes: Sequence[Scope], source: str, where: str) -> _Select:
    items = [_many(words, scopes) for _ in range(words.one((1, 1, 2, 3)))]
    having = _having(words, scopes, []) if words.chance(0.1) else ""
    return _Select(items, source, where, having=having, is_aggregate=True)


def _groups(words: Words, scopes: Sequence[Scope], source: str, where: str) -> _Select:
    keys = [group_key(words, scopes) for _ in range(words.one((1, 1, 1, 2, 2, 3)))]
    shown = [key for key in keys if words.chance(0.85)]
    items = shown + [_many(words, scopes) for _ in range(words.one((0 if shown else 1, 1, 2, 3)))]
    words.random.shuffle(items)
    having = _having(words, scopes, keys) if words.chance(0.3) else ""
    unique = [key.sql for key in keys]
    made = aggregate(words, scopes)
    first = [made.sql] if words.chance(0.1) and not words.is_ambiguous(made) else []
    return _Select(items, source, where, keys, having, False, first + unique, True)


def _many(words: Words, scopes: Sequence[Scope]) -> Expression:
    draw = over_aggregates if words.chance(0.12) else aggregate
    return draw(words, scopes)


def _having(words: Words, scopes: Sequence[Scope], keys: Sequence[Expression]) -> str:
    made = aggregate(words, scopes)
    if words.is_ambiguous(made):
        made = Expression("COUNT(*)", "int", (0, 1, 2, 5))
    condition = words.comparison(made)
    columns = [key for key in keys if key.is_column]
    if columns and words.chance(0.2):
        condition = f"{condition} {words.one(('AND', 'OR'))} {words.comparison(words.one(columns))}"
    return condition


def _written(words: Words, select: _Select, scopes: Sequence[Scope]) -> GeneratedQuery:
    aliases = _aliases(words, select)
    items = [
        item.sql + (f" {words.one(('AS ', 'AS ', ''))}{alias}" if alias else "")
        for item, alias in zip(select.items, aliases, strict=True)
    ]
    distinct = "DISTINCT " if select.distinct else ""
    text = f"SELECT {distinct}{', '.join(items)} FROM {select.source}"
    text += f" WHERE {select.where}" if select.where else ""
    if select.group:
        text += f" GROUP BY {', '.join(_group_terms(words, select, aliases))}"
    text += f" HAVING {select.having}" if select.having else ""
    order, is_total = _order(words, select, aliases)
    text += f" ORDER BY {', '.join(order)}" if order else ""
    if is_total and words.chance(0.1 if select.is_aggregate and not select.group else 0.45):
        text += _limit(words)
    sql, parameters = words.finish(text)
    return GeneratedQuery(sql, parameters, is_total, _folds(select, scopes))


def _aliases(words: Words, select: _Select) -> list[str]:
    """Return a name for some of the items, all different."""
    return [
        words.one((f"c{place}", f"C_{place}")) if item.kind != "star" and words.chance(0.3) else ""
        for place, item in enumerate(select.items)
    ]


def _group_terms(words: Words, select: _Select, aliases: Sequence[str]) -> list[str]:
    return [_term(words, key, select, aliases) for key in select.group]


def _term(words: Words, wanted: Expression, select: _Select, aliases: Sequence[str]) -> str:
    """Return an expression as GROUP BY and ORDER BY may say it: itself, a place, an alias."""
    has_star = any(item.kind == "star" for item in select.items)
    if wanted in select.items and words.chance(0.4):
        place = select.items.index(wanted)
        if aliases[place] and words.chance(0.6):
            return aliases[place]
        if not has_star:
            return str(place + 1)
    return wanted.sql


def _order(words: Words, select: _Select, aliases: Sequence[str]) -> tuple[list[str], bool]:
    """Return the terms of ORDER BY, and whether they fix the order of the rows."""
    if select.is_aggregate and not select.group:
        return ([], True)
    if words.chance(0.25):
        return [], False
    wanted = [item for item in select.items if item.kind != "star"]
    if select.is_aggregate:
        wanted = [item for item in wanted if item.is_column or not words.is_ambiguous(item)]
    terms = [_term(words, item, select, aliases) for item in wanted if words.chance(0.4)]
    if select.distinct:
        terms = [_term(words, item, select, aliases) for item in words.some(wanted, len(wanted))]
        is_total = len(terms) == len(wanted)
    else:
        is_total = words.chance(0.85)
        terms += select.rows_unique_by if is_total else []
    if is_total and not select.distinct:
        words.random.shuffle(terms)
    return [term + words.one(("", "", " ASC", " DESC", " desc")) for term in terms], is_total


def _limit(words: Words) -> str:
    count = words.one((0, 1, 2, 3, 4, 5, 7, 10, 20, 1000))
    offset = words.one((0, 0, 1, 2, 5, 30))
    limit = words.value(count) if words.chance(0.3) else str(count)
    return words.one((f" LIMIT {limit}", f" LIMIT {limit} OFFSET {offset}",
                      f" LIMIT {offset}, {count}"))  # fmt: skip


def _folds(select: _Select, scopes: Sequence[Scope]) -> dict[int, str]:
    """Return the columns of the answer that show one text of many that are equal."""
    if not (select.distinct or select.is_aggregate):
        return {}
    return {place: item.source for place, item in enumerate(select.items) if item.source}
