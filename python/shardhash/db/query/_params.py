"""Values of placeholders, as drivers take them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from shardhash.db.query._text import Params
from shardhash.db.topology import Backend
from shardhash.errors import UsageError

__all__ = ["bound", "kinds_of"]

_PLAIN = frozenset({int, str, bytes, float, bool, type(None)})


def kinds_of(params: Params) -> object:
    """Return the types of the values: a plan may depend on them, and on nothing else of them."""
    if isinstance(params, Mapping):
        return tuple((name, type(value)) for name, value in params.items())
    return tuple(map(type, params))


def bound(values: Sequence[object], backend: Backend) -> tuple[object, ...]:
    """Return values in types that the driver writes without loss.

    A UUID becomes its text; for SQLite a date becomes its ISO text.

    Raises:
        UsageError: a list stands for one value.
    """
    return tuple(
        [value if type(value) in _PLAIN else _converted(value, backend) for value in values]
    )


def _converted(value: object, backend: Backend) -> object:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset | dict):
        raise UsageError(
            f"a {type(value).__name__} stands for one placeholder: write one placeholder for each "
            "of its values"
        )
    if backend is Backend.SQLITE:
        if isinstance(value, datetime):
            return value.isoformat(" ")
        if isinstance(value, date):
            return value.isoformat()
    return value
