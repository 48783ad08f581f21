"""Engines for code that takes connections from SQLAlchemy, such as an ORM.

They have no pool of their own: a connection is taken from its server's pool, and its database is
selected each time, also where SQLAlchemy replaces a lost connection by itself.
"""

from collections.abc import Callable
from copy import copy
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import Pool, PoolProxiedConnection

from shardhash.db.drivers import Place, translate
from shardhash.errors import RefusedError

__all__ = ["lent_engine", "tell_guards"]


class _LentConnections(Pool):
    """A pool whose connections are another's, which also takes them back."""

    def __init__(self, check_out: Callable[[], PoolProxiedConnection], dialect: Any) -> None:
        super().__init__(_never, dialect=dialect)
        self._check_out = check_out

    def connect(self) -> PoolProxiedConnection:
        """Return a connection whose database is selected."""
        return self._check_out()

    def dispose(self) -> None:
        """Do nothing: the connections are not this pool's."""

    def recreate(self) -> Pool:
        """Return the pool itself, which holds nothing."""
        return self

    def status(self) -> str:
        """Return that there is nothing to tell."""
        return "connections are of the server's pool"


def _never() -> Any:
    raise AssertionError("connections come from the server's pool")


def lent_engine(
    template: Engine, check_out: Callable[[], PoolProxiedConnection], place: Place
) -> Engine:
    """Return an engine like another one, with connections that ``check_out`` gives."""
    dialect = copy(template.dialect)
    engine = Engine(
        _LentConnections(check_out, dialect), dialect, template.url, hide_parameters=True
    )
    tell_guards(engine, place)
    return engine


def tell_guards(engine: Engine, place: Place) -> None:
    """Let an engine raise what a guard's refusal means, and all other errors as they are."""

    def replace(context: ExceptionContext) -> BaseException | None:
        error = context.sqlalchemy_exception or context.original_exception
        if not isinstance(error, Exception):
            return None
        meant = translate(error, place)
        return meant if isinstance(meant, RefusedError) else None

    event.listen(engine, "handle_error", replace, retval=True)
