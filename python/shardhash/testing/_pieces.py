"""Expressions of generated queries: of one row, and of many."""

from collections.abc import Sequence

from shardhash.db.topology import Backend
from shardhash.testing._words import NUMBERS, Expression, Scope, Words

__all__ = ["aggregate", "group_key", "over_aggregates", "row_expression"]

_ORDERED = (
    "int",
    "big",
    "huge",
    "decimal",
    "double",
    "text",
    "blob",
    "date",
    "datetime",
    "time",
    "year",
)


def row_expression(words: Words, scopes: Sequence[Scope]) -> Expression:
    """Return an expression of one row, most often a plain column."""
    column = words.column(scopes)
    assert column
    if words.chance(0.6):
        return column
    return _computed(words, column, scopes)


def group_key(words: Words, scopes: Sequence[Scope]) -> Expression:
    """Return an expression by whose value rows can be grouped with one right answer.

    A text that is computed from texts that are equal under a collation is none.
    """
    column = words.column(scopes)
    assert column
    if words.chance(0.75):
        return column
    made = _computed(words, column, scopes)
    return column if made.kind == "text" and not made.source else made


def aggregate(words: Words, scopes: Sequence[Scope]) -> Expression:
    """Return one aggregate, its name in any case."""
    draw = words.one((_count, _count, _count_distinct, _sum, _sum, _average, _extreme, _extreme))
    return draw(words, scopes)


def over_aggregates(words: Words, scopes: Sequence[Scope]) -> Expression:
    """Return an expression whose operands are aggregates."""
    first = aggregate(words, scopes)
    if first.kind not in NUMBERS:
        other = words.value("none")
        return Expression(f"CASE WHEN {first.sql} IS NULL THEN {other} ELSE 'some' END", "flag")
    second = _sum(words, scopes) if words.chance(0.2) else _count(words, scopes)
    form = words.one(
        ("{0} + {1}", "{0} * 2", "{0} - {1}", "COALESCE({0}, 0)", "{1} / 2", "-{0}", "({0})",
         "CASE WHEN {1} > 2 THEN 'many' ELSE 'few' END", "{0} IS NULL", "{0} / {1}")
    )  # fmt: skip
    return Expression(form.format(first.sql, second.sql), "derived")


def _computed(words: Words, column: Expression, scopes: Sequence[Scope]) -> Expression:
    """Return an expression over the column and perhaps others."""
    if words.chance(0.15):
        condition = words.predicate(scopes, depth=0)
        yes, no = words.value(1), words.value(0)
        return Expression(f"CASE WHEN {condition} THEN {yes} ELSE {no} END", "int", (0, 1))
    if words.chance(0.1):
        return Expression(f"{column.sql} IS NULL", "int", (0, 1))
    if column.kind in NUMBERS:
        return _number(words, column)
    if column.kind == "text":
        return _text(words, column)
    if column.kind in ("date", "datetime") and words.backend is Backend.MYSQL:
        part = words.one(("YEAR", "MONTH", "DAYOFWEEK"))
        return Expression(f"{part}({column.sql})", "int", (1, 5, 2026))
    return column


def _number(words: Words, column: Expression) -> Expression:
    operand = words.value(words.one((1, 2, 3, 10)))
    forms = ["{0} + {1}", "{0} * 2", "ABS({0})", "COALESCE({0}, {1})"]
    if column.kind in ("decimal", "double"):  # a difference of unsigned integers may fail
        forms += ["{1} - {0}", "-{0}"]
    if column.kind == "int":
        forms.append("{0} & 3")
    if column.kind == "decimal":
        forms += ["ROUND({0}, 1)", "FLOOR({0})"]
    return Expression(words.one(forms).format(column.sql, operand), column.kind, (0, 1, 5, 100))


def _text(words: Words, column: Expression) -> Expression:
    if words.chance(0.4):
        return Expression(f"LENGTH({column.sql})", "int", (0, 1, 3))
    forms = ["UPPER({0})", "TRIM({0})", "SUBSTR({0}, 1, 2)", "COALESCE({0}, {1})"]
    forms.append("CONCAT({0}, {1})" if words.backend is Backend.MYSQL else "{0} || {1}")
    filler = words.value(words.one(("", "x", "-", "\U0001f41f")))
    return Expression(words.one(forms).format(column.sql, filler), "text", column.values)


def _call(words: Words, name: str, inside: str) -> str:
    name = words.one((name, name, name.lower(), name.capitalize()))
    return f"{name}( {inside} )" if words.chance(0.1) else f"{name}({inside})"


def _count(words: Words, scopes: Sequence[Scope]) -> Expression:
    column = words.column(scopes)
    assert column
    inside = words.one(("*", "*", "1", column.sql))
    return Expression(_call(words, "COUNT", inside), "int", (0, 1, 2, 5, 20))


def _count_distinct(words: Words, scopes: Sequence[Scope]) -> Expression:
    columns = [words.column(scopes) for _ in range(2)]
    is_pair = words.backend is Backend.MYSQL and words.chance(0.2)
    inside = ", ".join(column.sql for column in columns[: 2 if is_pair else 1] if column)
    return Expression(_call(words, "COUNT", f"DISTINCT {inside}"), "int", (0, 1, 2, 5))


def _sum(words: Words, scopes: Sequence[Scope]) -> Expression:
    kinds = ("int", "big", "decimal", "double", "huge")  # where SQLite overflows, or not, by order
    number = _summand(words, scopes, kinds[: 4 if words.backend is Backend.SQLITE else 5])
    if number is None:
        return _count(words, scopes)
    distinct = "DISTINCT " if words.chance(0.1) else ""
    return Expression(_call(words, "SUM", distinct + number.sql), number.kind, number.values)


def _average(words: Words, scopes: Sequence[Scope]) -> Expression:
    kinds = ("int", "decimal", "double")  # SQLite's mean of big numbers depends on their order
    number = _summand(words, scopes, kinds)
    if number is None:
        return _count(words, scopes)
    distinct = "DISTINCT " if words.chance(0.1) else ""
    return Expression(_call(words, "AVG", distinct + number.sql), number.kind, number.values)


def _summand(words: Words, scopes: Sequence[Scope], kinds: Sequence[str]) -> Expression | None:
    column = words.column(scopes, kinds)
    if column is None or column.kind in ("big", "huge") or words.chance(0.75):
        return column
    return _number(words, column)


def _extreme(words: Words, scopes: Sequence[Scope]) -> Expression:
    column = words.column(scopes, _ORDERED)
    assert column
    name = words.one(("MIN", "MAX"))
    return Expression(_call(words, name, column.sql), column.kind, column.values, column.source)
