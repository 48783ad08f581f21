"""SQLAlchemy's pool, that lends connections also without what a transaction needs around them.

Imported when the first pool is made, because it loads SQLAlchemy.
"""

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.pool import QueuePool

if TYPE_CHECKING:
    from sqlalchemy.pool.base import _ConnectionRecord

__all__ = ["LendingPool", "Lent"]


class Lent:
    """A connection of the pool, out of it until it is given back or dropped."""

    __slots__ = ("_pool", "_record", "driver", "info")

    def __init__(self, pool: "LendingPool", record: "_ConnectionRecord") -> None:
        self._pool = pool
        self._record = record
        self.driver: Any = record.dbapi_connection
        self.info = record.info

    def give_back(self) -> None:
        """Put the connection into the pool, for whoever comes next."""
        self._pool.put_back(self._record)

    def drop(self) -> None:
        """Close the connection; another one may be opened in its place."""
        try:
            self._record.invalidate()
        finally:
            self._pool.put_back(self._record)


class LendingPool(QueuePool):
    """A ``QueuePool``; what it lends counts as checked out.

    Source: what a subclass of ``sqlalchemy.Pool`` supplies, ``_do_get`` and ``_do_return_conn``.
    """

    def lend(self) -> Lent:
        """Return a connection, as ``connect`` does, that is not rolled back when it comes back.

        Raises:
            sqlalchemy.exc.TimeoutError: all stayed in use.
            Exception: the driver's own, where none can be opened.
        """
        record = cast("_ConnectionRecord", self._do_get())
        try:
            record.get_connection()
        except BaseException:
            self.put_back(record)
            raise
        return Lent(self, record)

    def put_back(self, record: "_ConnectionRecord") -> None:
        """Take back what was lent."""
        self._do_return_conn(record)
