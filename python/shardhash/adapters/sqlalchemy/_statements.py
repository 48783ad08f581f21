"""The text of a SQLAlchemy statement and its values, as our planner reads them."""

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.schema import ExecutableDDLElement
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from shardhash.errors import QueryRefusedError

__all__ = ["planning_dialect", "stored", "texts_of"]

_STYLE = "format"

Values = Mapping[str, Any]


def planning_dialect(dialect: Dialect) -> Dialect:
    """Return a dialect that writes the same SQL with ``%s`` for values."""
    if dialect.paramstyle == _STYLE:
        return dialect
    planning = copy(dialect)
    planning.paramstyle, planning.positional = _STYLE, True
    planning.identifier_preparer = planning.preparer(planning)  # which doubles percent signs
    return planning


def texts_of(
    statement: Executable, parameters: Sequence[Values] | Values | None, dialect: Dialect
) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield the SQL of a statement with the values that the driver gets, for each set of values.

    Raises:
        QueryRefusedError: it has no SQL text, such as a DDL element.
    """
    sets = [parameters or {}] if isinstance(parameters, Mapping | None) else parameters
    if isinstance(statement, ExecutableDDLElement):
        raise QueryRefusedError(
            f"{type(statement).__name__} is no statement that finds its shards",
            next_step="run it on each shard: metadata.create_all(router.engine(shard)), or "
            "BroadcastQuery",
        )
    assert isinstance(statement, ClauseElement)
    names = list(sets[0]) if sets and sets[0] else None
    compiled = statement.compile(dialect=dialect, column_keys=names)
    assert isinstance(compiled, SQLCompiler)
    for values in sets:
        yield _text(compiled, values)


def _text(compiled: SQLCompiler, values: Values) -> tuple[str, tuple[object, ...]]:
    expanded = compiled.construct_expanded_state(dict(values), escape_names=False)
    names = expanded.positiontup or []
    # those of values that are not expanded, which the public state leaves out
    processors = {**compiled._bind_processors, **expanded.processors}  # noqa: SLF001
    bound = tuple(_processed(processors.get(name), expanded.parameters[name]) for name in names)
    text = expanded.statement
    if not bound:
        text = text.replace("%%", "%")  # the planner's texts without values double nothing
    return text, bound


def _processed(processor: Any, value: object) -> object:
    """Return what the driver is given; sqlite3's kind of bytes becomes bytes."""
    given = value if processor is None else processor(value)
    return bytes(given) if isinstance(given, memoryview | bytearray) else given


def stored(kind: TypeEngine[Any], value: object, dialect: Dialect) -> object:
    """Return what the driver is given for a value of a column's type."""
    return _processed(kind.dialect_impl(dialect).bind_processor(dialect), value)
