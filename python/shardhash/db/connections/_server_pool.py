"""Connections of one MySQL or MariaDB server under one cap, whichever shards they are for."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar, cast

from shardhash.db.connections._engines import (
    INTERRUPT,
    driver_connection,
    errors_at,
    remember_place,
    too_many_in_use,
)
from shardhash.db.connections._sessions import Session, Sessions, mark_changed
from shardhash.db.drivers import (
    Fault,
    MySQLConnector,
    Place,
    SessionSettings,
    fault_of,
    import_extra,
    translate,
)
from shardhash.db.ports import SecretResolver
from shardhash.db.topology import Endpoint

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

    _Pooled = TypeVar("_Pooled", Connection, PoolProxiedConnection)

__all__ = ["ServerPool"]

_NO_SHARD = "information_schema"  # a database that every user may enter, and no one can write to
_RECYCLE_S = 1800
_LENT = "shardhash_lent"


class ServerPool:
    """A server's connections. One pool serves all databases.

    A block's database is selected at check-out, which also tells whether an idle connection is
    still alive. Invariants: never more than ``cap`` connections are open; a block's connection is
    never used for a database that was not selected for it since it was checked out.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        place: Place,
        session: SessionSettings,
        secrets: SecretResolver,
        cap: int,
        wait_s: float,
    ) -> None:
        sqlalchemy = import_extra("sqlalchemy", extra="mysql", what="a MySQL or MariaDB instance")
        self._driver_error = import_extra(
            "pymysql.err", extra="mysql", what="a MySQL or MariaDB instance"
        ).Error
        from shardhash.db.connections._lending import LendingPool

        self._too_long: type[Exception] = sqlalchemy.exc.TimeoutError
        self._connector = MySQLConnector(endpoint, place=place, session=session, secrets=secrets)
        url = sqlalchemy.URL.create("mysql+pymysql", host=endpoint.host, port=endpoint.port)
        self._root: Engine = sqlalchemy.create_engine(
            url,
            creator=self._connector.connect,
            paramstyle="format",  # as our own statements are
            hide_parameters=True,
            poolclass=LendingPool,
            pool_size=cap,
            max_overflow=0,
            pool_timeout=wait_s,
            pool_recycle=_RECYCLE_S,
            pool_use_lifo=True,
        )
        sqlalchemy.event.listen(self._root, "checkin", self._comes_back)
        self._sessions = Sessions(
            cast("LendingPool", self._root.pool),
            self._connector,
            cap=cap,
            recycle_s=_RECYCLE_S,
            interrupt=self._interrupt,
            driver_error=self._driver_error,
        )
        self._engines: dict[str, Engine] = {}
        self._lent: dict[str, Engine] = {}
        self._lock = Lock()
        self._place = place
        self._cap = cap
        self._wait_s = wait_s
        self._is_closed = False
        self._abandoned: list[Connection] = []

    @contextmanager
    def connection(self, place: Place) -> Iterator["Connection"]:
        """Yield a connection whose current database is the place's; roll back at the end.

        Raises:
            DatabaseError: no connection, or an error of the driver inside the block.
        """
        with errors_at(place, self._driver_error):
            connection = self._check_out(place)
            process = os.getpid()
            try:
                yield connection
            finally:
                if os.getpid() != process:
                    self._abandoned.append(connection)  # its socket is the parent's
                else:
                    if self._is_closed:
                        connection.invalidate()
                    connection.close()
                    self._sessions.block_ends()

    def take_session(self, place: Place) -> Session:
        """Return a session at the place's database for one statement that leaves nothing in it.

        Raises:
            DatabaseError: no connection.
        """
        try:
            return self._sessions.take(place)
        except self._driver_error as error:
            raise translate(error, place, is_connecting=True) from error
        except self._too_long:
            raise too_many_in_use(self._place, self._cap, self._wait_s) from None

    def engine(self, place: Place) -> "Engine":
        """Return an engine whose connections are of this pool, in the place's database.

        Raises:
            DatabaseError: no connection.
        """
        from shardhash.db.connections._lent import lent_engine

        database = str(place.database)
        with self._lock:
            known = self._lent.get(database)
        if known is not None:
            return known
        self._sessions.block_begins()
        try:
            with errors_at(place, self._driver_error):
                template = self._engine(place)
        finally:
            self._sessions.block_ends()
        made = lent_engine(template, lambda: self._lend(database), place)
        with self._lock:
            return self._lent.setdefault(database, made)

    def close(self) -> None:
        """Close idle connections now, and those in use when they are given back."""
        self._is_closed = True
        self._sessions.close()
        self._root.dispose()

    def _check_out(self, place: Place) -> "Connection":
        self._sessions.block_begins()
        try:
            return self._selected(lambda: self._connect(place), place.database or _NO_SHARD)
        except BaseException:
            self._sessions.block_ends()
            raise

    def _lend(self, database: str) -> "PoolProxiedConnection":
        """Return a pooled connection without SQLAlchemy's around it, in a database."""
        self._sessions.block_begins()
        try:
            lent = self._selected(self._root.raw_connection, database)
        except BaseException:
            self._sessions.block_ends()
            raise
        assert lent.record_info is not None
        lent.record_info[_LENT] = True
        return lent

    def _selected(self, connect: "Callable[[], _Pooled]", database: str) -> "_Pooled":
        """Return a connection in that database, of those kept the first that is still alive."""
        while True:
            connection = connect()
            driver = driver_connection(connection)
            is_fresh = self._is_fresh(connection.info, driver)
            try:
                driver.autocommit(False)  # sends nothing where it is so already
                driver.select_db(database)
            except BaseException as error:
                is_lost = fault_of(error) is Fault.LOST
                if is_lost or not isinstance(error, self._driver_error):
                    connection.invalidate()
                connection.close()
                if is_fresh or not is_lost:
                    raise
            else:
                return connection

    def _comes_back(self, _: object, record: "ConnectionPoolEntry") -> None:
        """Count a lent connection that is given back, or was lost."""
        if record.record_info and record.record_info.pop(_LENT, None):
            self._sessions.block_ends()

    def _is_fresh(self, info: dict[Any, Any], driver: Any) -> bool:
        """Tell whether a connection was never used; it is from now on."""
        is_fresh = mark_changed(info)
        info.setdefault(INTERRUPT, partial(self._interrupt, driver.thread_id()))
        return is_fresh

    def _interrupt(self, session: int) -> None:
        """End the session's statement, by a connection beside the pool: the pool may be in use."""
        with suppress(self._driver_error):  # then the session is gone, or its server is
            connection = self._connector.connect()
            try:
                with connection.cursor() as cursor:
                    cursor.execute("KILL QUERY %s", (session,))
            finally:
                connection.close()

    def _connect(self, place: Place) -> "Connection":
        from sqlalchemy.exc import DBAPIError

        try:
            return self._engine(place).connect()
        except DBAPIError as error:
            raise translate(error, place, is_connecting=True) from error
        except self._too_long:
            raise too_many_in_use(self._place, self._cap, self._wait_s) from None

    def _engine(self, place: Place) -> "Engine":
        """Return the engine that knows the database by name, for reflection and error messages."""
        database = place.database or _NO_SHARD
        with self._lock:
            known = self._engines.get(database)
        if known is not None:
            return known
        with self._root.connect():  # tells the dialect the server's version, before it is copied
            made = _engine_for(self._root, place, database)
        with self._lock:
            return self._engines.setdefault(database, made)


def _engine_for(root: "Engine", place: Place, database: str) -> "Engine":
    from sqlalchemy import Engine

    dialect = copy(root.dialect)
    dialect.default_schema_name = database
    url = root.url.set(database=database)
    engine = Engine(root.pool, dialect, url, hide_parameters=True)
    remember_place(engine, place)
    return engine
