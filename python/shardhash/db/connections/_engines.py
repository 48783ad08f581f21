"""What the pools of servers and of files have in common: interrupts, places and errors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from shardhash.db.drivers import Place, translate
from shardhash.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.pool import PoolProxiedConnection

__all__ = [
    "INTERRUPT",
    "driver_connection",
    "errors_at",
    "interrupter",
    "remember_place",
    "too_many_in_use",
]

INTERRUPT = "shardhash_interrupt"
_PLACE = "shardhash_place"


def interrupter(connection: "Connection") -> Callable[[], None]:
    """Return what ends the statement that runs on a connection, from any thread.

    Where none runs it does nothing, so it may have to be called again. It must not be called once
    the connection was given back: the statement would be somebody else's.
    Source: https://mariadb.com/kb/en/kill/, https://sqlite.org/c3ref/interrupt.html.
    """
    interrupt: Callable[[], None] = connection.info[INTERRUPT]
    return interrupt


def remember_place(engine: "Engine", place: Place) -> None:
    """Let each error say which database it comes from, in whichever block it is caught."""
    from sqlalchemy import event

    def mark(context: "ExceptionContext") -> None:
        if context.sqlalchemy_exception is not None:
            setattr(context.sqlalchemy_exception, _PLACE, place)

    event.listen(engine, "handle_error", mark)


@contextmanager
def errors_at(place: Place, driver_error: type[Exception]) -> Iterator[None]:
    """Turn the driver's errors, also inside SQLAlchemy's, into DatabaseError."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, driver_error) as error:
        raise translate(error, getattr(error, _PLACE, place)) from error


def driver_connection(connection: "Connection | PoolProxiedConnection") -> Any:
    """Return the driver's own connection below SQLAlchemy's."""
    from sqlalchemy import Connection

    pooled = connection.connection if isinstance(connection, Connection) else connection
    return pooled.driver_connection


def too_many_in_use(place: Place, cap: int, wait_s: float) -> DatabaseError:
    return DatabaseError(
        f"{place}: all {cap} connections that this process may have there stayed in use for "
        f"{wait_s:g} s",
        next_step="give connections back sooner, or raise max_connections of the manager",
    )
