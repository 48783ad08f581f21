"""How the values of an expression compare on the server, and what a shard sends to tell it.

A text is compared by its collation. The server's own weights stand for it: ``WEIGHT_STRING`` of
the text, without trailing spaces where the collation pads.
"""

from collections.abc import Callable

from shardhash.db import sql
from shardhash.db.query._facts import is_no_pad, sqlite_collation
from shardhash.db.query._scopes import Lineage
from shardhash.db.reduce import Expression
from shardhash.db.schema import Column
from shardhash.db.topology import Backend
from shardhash.errors import QueryRefusedError

__all__ = ["Ask", "exact_number", "padded_collation", "signed", "weight_of"]

Ask = Callable[[str], tuple[str, str]]
"""Returns type and collation that a server gives an expression of the statement's FROM."""

_TEXTS = frozenset(
    {"VARCHAR", "CHAR", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "BLOB", "ENUM", "SET", "JSON"}
)
_FLOATS = frozenset({"FLOAT", "float"})


def weight_of(
    text: str, lineage: Lineage | None, source: str, *, ask: Ask, backend: Backend
) -> str | None:
    """Return SQL whose value compares in Python as the server compares an expression.

    None where the expression's own value does.

    Raises:
        QueryRefusedError: it compares in a way that is not known here.
    """
    if backend is Backend.SQLITE:
        return _sqlite_weight(text, lineage, source)
    if lineage is not None:
        return _column_weight(text, lineage.column)
    kind, collation = ask(text)
    if kind in _TEXTS and collation != "binary":
        return _mysql_weight(text, collation)
    if kind in _FLOATS:
        return f"({text})+0e0"
    if kind == "GEOMETRY":
        raise _unknown(text, "it is a geometry")
    return None


def exact_number(text: str, lineage: Lineage | None, *, ask: Ask, backend: Backend) -> str | None:
    """Return SQL of a FLOAT's exact value, which the server shows rounded; None of other types."""
    if backend is Backend.SQLITE:
        return None
    kind = lineage.column.data_type if lineage is not None else ask(text)[0]
    return f"({text})+0e0" if kind in _FLOATS else None


def padded_collation(
    text: str, lineage: Lineage | None, *, ask: Ask, backend: Backend
) -> str | None:
    """Return the collation of an expression that compares as if spaces followed it, or None."""
    if backend is Backend.SQLITE:
        return None
    if lineage is not None:
        column = lineage.column
        is_plain = column.is_numbered or column.data_type == "uuid"
        collation = None if is_plain else column.collation
    else:
        kind, collation = ask(text)
        collation = collation if kind in _TEXTS and collation != "binary" else None
    return collation if collation and not is_no_pad(collation) else None


def signed(expression: Expression, lineage: Lineage | None) -> Expression:
    """Return an expression with what is known of its type's sign: it decides over an error."""
    if lineage is None:
        return "unsure", expression
    definition = lineage.column.definition.lower()
    is_unsigned = lineage.column.is_integer and (
        "unsigned" in definition or lineage.column.is_zerofill
    )
    return ("unsigned", expression) if is_unsigned else expression


def _column_weight(text: str, column: Column) -> str | None:
    if column.is_numbered and column.data_type != "bit":
        return f"({text})+0"
    if column.collation and column.data_type != "uuid":
        return _mysql_weight(text, column.collation)
    if column.data_type == "float":
        return f"({text})+0e0"
    if "geometry" in column.data_type or column.data_type in ("point", "polygon"):
        raise _unknown(text, "it is a geometry")
    return None


def _mysql_weight(text: str, collation: str) -> str | None:
    return sql.weight(text, Backend.MYSQL, collation=collation, is_padded=not is_no_pad(collation))


def _sqlite_weight(text: str, lineage: Lineage | None, source: str) -> str | None:
    if lineage is None:
        if "collate" in source.lower():
            raise _unknown(text, "the statement has COLLATE")
        return None
    collation = sqlite_collation(lineage.facts.definition, lineage.column.name)
    if collation == "BINARY":
        return None
    weight = sql.weight(text, Backend.SQLITE, collation=collation, is_padded=False)
    if weight is None:
        raise _unknown(text, f"its collation is {collation or 'not told by its table'}")
    return weight


def _unknown(text: str, why: str) -> QueryRefusedError:
    return QueryRefusedError(
        f"how values of {text[:80]} compare across shards is not known: {why}",
        next_step="group and sort by another column, or in the application",
    )
