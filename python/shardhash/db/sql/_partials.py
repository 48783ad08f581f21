"""Statements for one of several shards, put together from pieces of the application's own.

The pieces are SQL as the application wrote it; their values stay bound.
"""

from collections.abc import Mapping, Sequence

from shardhash.db.topology import Backend

__all__ = [
    "cast",
    "chosen_columns",
    "collation_probe",
    "limited",
    "no_rows",
    "numbered_columns",
    "partial_rows",
    "rows_of_union",
    "space_weight",
    "type_probe",
    "union_column",
    "weight",
    "whole_rows",
    "window_rows",
    "window_table",
]


def numbered_columns(texts: Sequence[str], start: int = 0) -> str:
    """Return expressions as the columns of a select list, named by their places."""
    return ", ".join(f"{text} AS _sh_{n}" for n, text in enumerate(texts, start))


def partial_rows(
    head: str, columns: Sequence[str], body: str, *, by: Sequence[str] = (), is_distinct: bool
) -> str:
    """Return a SELECT of ``columns``: ``head`` stands before it, ``body`` is FROM and WHERE."""
    distinct = "DISTINCT " if is_distinct else ""
    group = f" GROUP BY {', '.join(by)}" if by else ""
    return f"{head}SELECT {distinct}{numbered_columns(columns)} {body}{group}".rstrip()


def chosen_columns(head: str, shown: Sequence[str], hidden: Sequence[str], body: str) -> str:
    """Return a SELECT of entries of a select list, and of expressions named by their places."""
    more = [f"{text} AS _sh_{n}" for n, text in enumerate(hidden)]
    return f"{head}SELECT {', '.join([*shown, *more])} {body}".rstrip()


def type_probe(head: str, expression: str, tables: str) -> str:
    """Return a SELECT of one row that tells type and collation of an expression over ``tables``.

    No row of theirs is read: all their columns are NULL, and keep their types. MySQL takes no
    derived table alone in parentheses, so another one stands beside them.
    """
    beside = "(SELECT 1 AS _sh_two) AS _sh_two CROSS JOIN"
    joined = f" LEFT JOIN ({beside} {tables}) ON 1 = 0" if tables else ""
    return (
        f"{head}SELECT {expression}, COLLATION({expression}) "
        f"FROM (SELECT 1 AS _sh_one) AS _sh_one{joined}"
    )


def limited(statement: str, row_count: int) -> str:
    """Return a statement without LIMIT as one with it."""
    return f"{statement} LIMIT {row_count:d}"


def space_weight(collation: str) -> str:
    """Return a SELECT of the weight of a space under a MySQL collation."""
    charset = collation.partition("_")[0]
    return f"SELECT WEIGHT_STRING(CONVERT(' ' USING {charset}) COLLATE {collation})"


def whole_rows(query: str) -> str:
    """Return a SELECT of all columns and rows of a query, LIMIT and all."""
    return f"SELECT * FROM ({query}) AS _sh_inner"


def weight(expression: str, backend: Backend, *, collation: str, is_padded: bool) -> str | None:
    """Return SQL whose bytes or text compare as a text does by its collation; None if unknown.

    Source: https://mariadb.com/kb/en/weight_string/; https://sqlite.org/datatype3.html#collation.
    """
    if backend is Backend.MYSQL:
        return f"WEIGHT_STRING({f'RTRIM({expression})' if is_padded else expression})"
    function = {"NOCASE": "lower", "RTRIM": "rtrim"}.get(collation)
    if function is None:
        return None
    folded = f"{function}({expression})"
    return f"CASE typeof({expression}) WHEN 'text' THEN {folded} ELSE {expression} END"


def cast(expression: str, kind: str) -> str:
    """Return an expression as a value of a type."""
    return f"CAST({expression} AS {kind})"


def no_rows() -> str:
    """Return a query of one column without rows."""
    return "SELECT NULL FROM (SELECT 1 AS _sh_one) AS _sh_one WHERE 1 = 0"


def collation_probe(query: str) -> str:
    """Return a SELECT of the collation of a query's only column; none of its rows matter."""
    return f"WITH _sh_q (c) AS ({query}) SELECT COLLATION(MAX(c)) FROM _sh_q WHERE 1 = 0"


def union_column(place: int) -> str:
    """Return the name of a column in ``rows_of_union``."""
    return f"_sh_c{place}"


def rows_of_union(
    union: str, width: int, *, is_distinct: bool, order: Sequence[tuple[int, str]], rest: str
) -> str:
    """Return a UNION's rows as a query over them; ``order`` has columns with their directions."""
    names = [union_column(place) for place in range(width)]
    distinct = "DISTINCT " if is_distinct else ""
    entries = ", ".join(f"{names[place]}{direction}" for place, direction in order)
    by = f" ORDER BY {entries}" if order else ""
    shown = ", ".join(names)
    return (
        f"WITH _sh_u ({shown}) AS ({union}) SELECT {distinct}{shown} FROM _sh_u{by} {rest}".rstrip()
    )


def window_table(kinds: Mapping[str, str]) -> str:
    """Return DuckDB's SQL that makes the table ``t`` of lists; names and types are by column."""
    columns = ", ".join(f"unnest(${name}::{kind}[]) AS {name}" for name, kind in kinds.items())
    return f"CREATE TABLE t AS SELECT {columns}"


def window_rows(expressions: Sequence[str]) -> str:
    """Return DuckDB's SQL for expressions of each row of ``t``, in the order of column ``r``."""
    return f"SELECT {', '.join(expressions)} FROM t ORDER BY r"
