"""Queries that sharded engines get wrong: each must be answered right, or refused."""

from collections.abc import Callable, Sequence

from shardhash.db.topology import Backend
from shardhash.testing._words import Column, Expression, Scope, Table, Words

__all__ = ["Draft", "draw_beyond"]

Draft = tuple[str, bool, dict[int, str]]
"""Marked SQL, whether the order of its rows is fixed, and its folds."""


def draw_beyond(words: Words, tables: Sequence[Table]) -> Draft:
    """Return a query of a kind that needs more than merging and adding up."""
    sharded = [table for table in tables if table.mapping]
    shared = [table for table in tables if not table.mapping]
    draws: list[Callable[[Words, Sequence[Table]], Draft]] = [
        _stray_join, _window, _subquery, _scalar_subquery, _exists, _union, _derived, _limited,
        _common_table, _statistics, _using, _text_sum,
    ]  # fmt: skip
    if words.backend is Backend.MYSQL:
        draws += [_concatenation, _rollup, _variable]
    if shared and words.chance(0.15):
        return _shared_first(words, words.one(shared), words.one(sharded))
    return words.one(draws)(words, sharded)


def _unordered(sql: str) -> Draft:
    return sql, False, {}


def _column(words: Words, table: Table, kinds: Sequence[str] = ()) -> Expression:
    scope = Scope(table, table.name)
    column = words.column([scope], kinds) or words.column([scope])
    assert column
    return column


def _number(words: Words, table: Table) -> str:
    return _column(words, table, ("int", "decimal", "double")).sql


def _beside(words: Words, table: Table, tables: Sequence[Table]) -> Table:
    return words.one([each for each in tables if each.mapping == table.mapping])


def _stray_join(words: Words, tables: Sequence[Table]) -> Draft:
    """Join by columns that are not the keys of one mapping."""
    first, second = words.one(tables), words.one(tables)
    pairs = [(a.name, b.name) for a in first.columns for b in second.columns if a.kind == b.kind]
    if first.column(first.key).folds and words.chance(0.5):
        second, pairs = first, [(first.key, first.key)]
    if not pairs:
        return _window(words, tables)
    left, right = words.one(pairs)
    join = words.one(("JOIN", "LEFT JOIN", "RIGHT JOIN", "CROSS JOIN"))
    if words.backend is Backend.SQLITE and join == "RIGHT JOIN":
        join = "JOIN"
    on = "" if join == "CROSS JOIN" else f" ON a.{left} = b.{right}"
    text = f"SELECT COUNT(*), MIN(a.{left}) IS NULL FROM {first.name} a {join} {second.name} b{on}"
    return _unordered(text)


def _shared_first(words: Words, shared: Table, table: Table) -> Draft:
    """Keep all rows of a table that every shard has, once."""
    pairs = [
        (a, b) for a in shared.columns for b in table.columns if a.kind == b.kind == "text"
    ] or [(shared.columns[0], table.columns[0])]
    left, right = words.one(pairs)
    on = f"g.{left.name} = t.{right.name}"
    if words.backend is Backend.MYSQL and words.chance(0.4):
        source = f"{table.name} t RIGHT JOIN {shared.name} g ON {on}"
    else:
        source = f"{shared.name} g LEFT JOIN {table.name} t ON {on}"
    return _unordered(f"SELECT COUNT(*), COUNT(t.{right.name}) FROM {source}")


def _window(words: Words, tables: Sequence[Table]) -> Draft:
    table = words.one(tables)
    unique = ", ".join(table.unique)
    call = words.one(
        ("ROW_NUMBER()", f"SUM({_number(words, table)})", "COUNT(*)", "peers", "picked")
    )
    if call == "peers":
        call = words.one(("RANK()", "DENSE_RANK()"))
        order = ", ".join(f"{_column(words, table).sql}{words.one(('', ' DESC'))}" for _ in "ab")
    else:
        if call == "picked":
            name = words.one(("LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE"))
            call = f"{name}({_column(words, table).sql})"
        order = unique + words.one(("", "", " DESC"))
    keys = (table.key, table.key, "1", _column(words, table).sql)
    partition = words.one(("", f"PARTITION BY {words.one(keys)} "))
    frame = ""
    if call.startswith(("SUM", "COUNT", "FIRST", "LAST")):
        frame = words.one(("", "", " ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING"))
    text = f"SELECT {unique}, {call} OVER ({partition}ORDER BY {order}{frame}) AS w"
    return f"{text} FROM {table.name} ORDER BY {unique}", True, {}


def _subquery(words: Words, tables: Sequence[Table]) -> Draft:
    outer = words.one(tables)
    inner = words.one((_beside(words, outer, tables), words.one(tables)))
    condition = words.predicate([Scope(inner, inner.name)], depth=1)
    negation = words.one(("", "NOT "))
    text = (
        f"SELECT COUNT(*) FROM {outer.name} WHERE {outer.name}.{outer.key} {negation}IN"
        f" (SELECT {inner.name}.{inner.key} FROM {inner.name} WHERE {condition})"
    )
    return _unordered(text)


def _scalar_subquery(words: Words, tables: Sequence[Table]) -> Draft:
    table = words.one(tables)
    number = _number(words, table)
    inner = f"(SELECT {words.one(('AVG', 'MAX', 'COUNT'))}({number}) FROM {table.name})"
    return _unordered(f"SELECT COUNT(*) FROM {table.name} WHERE {number} >= {inner}")


def _exists(words: Words, tables: Sequence[Table]) -> Draft:
    outer = words.one(tables)
    inner = _beside(words, outer, tables)
    column = words.one(outer.columns).name if words.chance(0.2) else outer.key
    text = (
        f"SELECT COUNT(*) FROM {outer.name} o WHERE {words.one(('', 'NOT '))}EXISTS"
        f" (SELECT 1 FROM {inner.name} i WHERE i.{inner.key} = o.{column})"
    )
    return _unordered(text)


def _union(words: Words, tables: Sequence[Table]) -> Draft:
    first, second = words.one(tables), words.one(tables)
    pairs = [(a, b) for a in first.columns for b in second.columns if a.kind == b.kind != "text"]
    if not pairs:
        return _window(words, tables)
    left, right = words.one(pairs)
    union = words.one(("UNION", "UNION ALL"))
    text = f"SELECT {left.name} FROM {first.name} {union} SELECT {right.name} FROM {second.name}"
    return _unordered(text)


def _derived(words: Words, tables: Sequence[Table]) -> Draft:
    table = words.one(tables)
    column = _column(words, table).sql
    number = _number(words, table)
    average = f"AVG({_column(words, table, ('int', 'decimal')).sql})"
    if words.backend is Backend.SQLITE:
        average = "COUNT(*)"  # there it is floating point: sums of it depend on their order
    inner = words.one(
        (
            f"SELECT DISTINCT {column} AS x, 1 AS n FROM {table.name}",
            f"SELECT {column} AS x, COUNT(*) AS n FROM {table.name} GROUP BY {column}",
            f"SELECT {column} AS x, SUM({number}) AS n FROM {table.name} GROUP BY {column}",
            f"SELECT {column} AS x, {average} AS n FROM {table.name} GROUP BY {column}",
            f"SELECT {table.key} AS x, COUNT(*) AS n FROM {table.name} GROUP BY {table.key}",
            f"SELECT {column} AS x, {number} AS n FROM {table.name}",
        )
    )
    outer = words.one(
        (
            "SELECT COUNT(*), COUNT(x) FROM ({}) d",
            "SELECT COUNT(n), SUM(n), AVG(n), MIN(n), MAX(n) FROM ({}) d",
            "SELECT SUM(n * 2) + COUNT(*), COUNT(DISTINCT n) FROM ({}) d WHERE n > 2 OR n IS NULL",
            "SELECT n, COUNT(*) FROM ({}) d GROUP BY n HAVING COUNT(*) > 1 ORDER BY n DESC",
            "SELECT DISTINCT n FROM ({}) d WHERE n BETWEEN -100 AND 100",
            "WITH d AS ({}) SELECT COUNT(*), MAX(n / 3) FROM d WHERE x IS NOT NULL",
            "WITH d AS ({}) SELECT n + 1, n * 1.5, n / 7 FROM d WHERE NOT n = 1",
            "SELECT COUNT(*) FROM ({}) d WHERE x = n",
        )
    )
    return _unordered(outer.format(inner))


def _limited(words: Words, tables: Sequence[Table]) -> Draft:
    table = words.one(tables)
    count = words.one((0, 1, 5, 20))
    inner = f"SELECT {table.name}.* FROM {table.name} LIMIT {count}"
    return _unordered(f"SELECT COUNT(*) FROM ({inner}) d")


def _common_table(words: Words, tables: Sequence[Table]) -> Draft:
    table = words.one(tables)
    number = _number(words, table)
    text = (
        f"WITH c AS (SELECT {table.key} AS k, SUM({number}) AS s FROM {table.name}"
        f" GROUP BY {table.key}) SELECT COUNT(*), MAX(s) FROM c WHERE s > 0"
    )
    return _unordered(text)


def _statistics(words: Words, tables: Sequence[Table]) -> Draft:
    table = words.one(tables)
    integer = _column(words, table, ("int",)).sql
    if words.backend is Backend.SQLITE:
        return _unordered(f"SELECT TOTAL({integer}) FROM {table.name}")
    call = words.one(("BIT_OR", "BIT_AND", "BIT_XOR", "STDDEV_POP", "VAR_SAMP"))
    return _unordered(f"SELECT {call}({integer}) IS NULL, {call}({integer}) FROM {table.name}")


def _using(words: Words, tables: Sequence[Table]) -> Draft:
    first = words.one(tables)
    second = _beside(words, first, tables)
    if first.key != second.key or first.name == second.name:
        return _exists(words, tables)
    join = words.one((f"JOIN {second.name} b USING ({first.key})", f"NATURAL JOIN {second.name} b"))
    return _unordered(f"SELECT COUNT(*), COUNT(a.{first.key}) FROM {first.name} a {join}")


def _text_sum(words: Words, tables: Sequence[Table]) -> Draft:
    """Add up texts, most of which are no numbers."""
    table = words.one(tables)
    column = _column(words, table, ("text",))
    call = words.one(("SUM", "AVG", "MIN", "MAX"))
    folds = {0: column.source} if call in ("MIN", "MAX") and column.source else {}
    return f"SELECT {call}({column.sql}) FROM {table.name}", False, folds


def _concatenation(words: Words, tables: Sequence[Table]) -> Draft:
    table = words.one(tables)
    unique = ", ".join(table.unique)
    return _unordered(f"SELECT GROUP_CONCAT({table.key} ORDER BY {unique}) FROM {table.name}")


def _rollup(words: Words, tables: Sequence[Table]) -> Draft:
    table = words.one(tables)
    group = words.one([column for column in table.columns if column.kind != "text"])
    text = f"SELECT {group.name}, COUNT(*) FROM {table.name} GROUP BY {group.name} WITH ROLLUP"
    return _unordered(text)


def _variable(words: Words, tables: Sequence[Table]) -> Draft:
    table: Table = words.one(tables)
    column: Column = words.one(table.columns)
    unique = ", ".join(table.unique)
    forms = (
        f"SELECT COUNT(@n := {column.name}) FROM {table.name}",
        f"SELECT DISTINCT DATABASE() IS NULL FROM {table.name}",
        f"SELECT {unique} FROM {table.name} ORDER BY {unique} LIMIT 3 FOR UPDATE",
    )
    return _unordered(words.one(forms))
