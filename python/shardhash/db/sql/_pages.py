"""Pages: intervals of the primary key, as SQL conditions in the order of the key."""

from collections.abc import Sequence

from shardhash.db.schema import Column, Table
from shardhash.db.sql._text import placeholder, quote
from shardhash.db.topology import Backend

__all__ = [
    "after_key",
    "column_values",
    "compare_key",
    "key_columns",
    "key_in",
    "key_order",
    "page_condition",
    "values_in",
]


def page_condition(
    table: Table, after: Sequence[object] | None, until: Sequence[object] | None
) -> tuple[str, tuple[object, ...]]:
    """Return SQL for the primary keys of ``(after, until]``; None stands for an open end."""
    conditions: list[str] = []
    parameters: tuple[object, ...] = ()
    for strict, last, key in ((">", ">", after), ("<", "<=", until)):
        if key is not None:
            condition, more = compare_key(table, strict, last, key)
            conditions.append(condition)
            parameters += more
    return " AND ".join(conditions) or "1 = 1", parameters


def after_key(table: Table, after: Sequence[object] | None) -> tuple[str, tuple[object, ...]]:
    """Return a WHERE clause for the primary keys after one, nothing without one."""
    if after is None:
        return "", ()
    condition, parameters = compare_key(table, ">", ">", after)
    return f" WHERE {condition}", parameters


def compare_key(
    table: Table, strict: str, last: str, values: Sequence[object]
) -> tuple[str, tuple[object, ...]]:
    """Compare the primary key with values in key order, in a form that uses the index.

    Row constructors would say the same, but no server uses an index for their inequalities; the
    bound on the first column, implied by the rest, opens the range scan.
    """
    columns = [_key_value(column, table.backend) for column in table.key_columns]
    hole = placeholder(table.backend)
    ors: list[str] = []
    parameters: list[object] = []
    for depth, column in enumerate(columns):
        equal = [f"{name} = {hole}" for name in columns[:depth]]
        operator = last if depth == len(columns) - 1 else strict
        ors.append(" AND ".join([*equal, f"{column} {operator} {hole}"]))
        parameters.extend(values[: depth + 1])
    if len(columns) == 1:
        return ors[0], tuple(parameters)
    bound = f"{columns[0]} {strict}= {hole}"
    return f"({bound} AND ({' OR '.join(ors)}))", (values[0], *parameters)


def _key_value(column: Column, backend: Backend) -> str:
    """Return SQL for a primary key column that sorts and compares alike.

    An ENUM, SET or BIT column sorts by its number, and compares with a text by its text.
    """
    name = quote(column.name, backend)
    return f"{name}+0" if column.is_numbered else name


def key_columns(table: Table) -> str:
    """Return the primary key's values as a SELECT list."""
    return ", ".join(_key_value(column, table.backend) for column in table.key_columns)


def key_order(table: Table, direction: str = "") -> str:
    """Return the primary key for ORDER BY, in a form that its index serves."""
    return ", ".join(quote(column.name, table.backend) + direction for column in table.key_columns)


def key_in(table: Table, keys: Sequence[Sequence[object]]) -> tuple[str, tuple[object, ...]]:
    """Return SQL that picks some primary keys."""
    return values_in(table, table.primary_key, keys)


def column_values(table: Table, names: Sequence[str]) -> str:
    """Return columns as a SELECT list, in the form that ``values_in`` takes back."""
    return ", ".join(_key_value(table.column(name), table.backend) for name in names)


def values_in(
    table: Table, names: Sequence[str], values: Sequence[Sequence[object]]
) -> tuple[str, tuple[object, ...]]:
    """Return SQL that picks the rows whose columns hold one of some tuples of values."""
    columns = [_key_value(table.column(name), table.backend) for name in names]
    hole = placeholder(table.backend)
    parameters = tuple(value for each in values for value in each)
    if len(columns) == 1:
        return f"{columns[0]} IN ({', '.join([hole] * len(values))})", parameters
    row = "(" + " AND ".join(f"{column} = {hole}" for column in columns) + ")"
    return f"({' OR '.join([row] * len(values))})", parameters
