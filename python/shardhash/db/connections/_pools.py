"""Connections of one instance under one cap, whichever of its shards they are for."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Any, cast

from shardhash.db.connections._sessions import Session, Sessions, mark_changed
from shardhash.db.drivers import (
    Fault,
    MySQLConnector,
    Place,
    SessionSettings,
    SQLiteConnector,
    fault_of,
    import_extra,
    translate,
)
from shardhash.db.ports import Connector, SecretResolver
from shardhash.db.topology import Endpoint
from shardhash.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

__all__ = ["FilePool", "ServerPool", "interrupter"]

_NO_SHARD = "information_schema"  # a database that every user may enter, and no one can write to
_RECYCLE_S = 1800
_PLACE = "shardhash_place"
_INTERRUPT = "shardhash_interrupt"
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
        with _errors_at(place, self._driver_error):
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
            raise _too_many(self._place, self._cap, self._wait_s) from None

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
            with _errors_at(place, self._driver_error):
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
            return self._selected(place)
        except BaseException:
            self._sessions.block_ends()
            raise

    def _selected(self, place: Place) -> "Connection":
        database = place.database or _NO_SHARD
        while True:
            connection = self._connect(place)
            driver = _driver_connection(connection)
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

    def _lend(self, database: str) -> "PoolProxiedConnection":
        """Return a pooled connection without SQLAlchemy's around it, in a database."""
        self._sessions.block_begins()
        try:
            lent = self._selected_raw(database)
        except BaseException:
            self._sessions.block_ends()
            raise
        assert lent.record_info is not None
        lent.record_info[_LENT] = True
        return lent

    def _selected_raw(self, database: str) -> "PoolProxiedConnection":
        while True:
            connection = self._root.raw_connection()
            driver: Any = connection.driver_connection
            is_fresh = self._is_fresh(connection.info, driver)
            try:
                driver.autocommit(False)
                driver.select_db(database)
            except BaseException as error:
                connection.invalidate()
                if is_fresh or fault_of(error) is not Fault.LOST:
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
        info.setdefault(_INTERRUPT, partial(self._interrupt, driver.thread_id()))
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
            raise _too_many(self._place, self._cap, self._wait_s) from None

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


class FilePool:
    """The connections to the SQLite files of a directory, opened when asked for.

    Opening a file is cheap, so nothing is kept; the cap is on those in use.
    """

    def __init__(
        self, directory: Path, *, place: Place, session: SessionSettings, cap: int, wait_s: float
    ) -> None:
        import_extra("sqlalchemy", extra="db", what="a SQLite instance")
        self._directory = directory
        self._session = session
        self._place = place
        self._cap = cap
        self._wait_s = wait_s
        self._free = BoundedSemaphore(cap)
        self._engines: dict[str, Engine] = {}
        self._lent: dict[str, Engine] = {}
        self._abandoned: list[Connection] = []

    def engine(self, place: Place) -> "Engine":
        """Return an engine on the place's file, whose connections are not counted."""
        from shardhash.db.connections._lent import tell_guards

        path = self._path(place)
        known = self._lent.get(path.name)
        if known is None:
            connector = SQLiteConnector(path, place, self._session)
            known = self._lent[path.name] = _file_engine(connector, path, place)
            tell_guards(known, place)
        return known

    @contextmanager
    def connection(self, place: Place) -> Iterator["Connection"]:
        """Yield a connection to the place's file; roll back and close it at the end.

        Raises:
            DatabaseError: no such file, or an error of SQLite inside the block.
        """
        import sqlite3

        if not self._free.acquire(timeout=self._wait_s):
            raise _too_many(self._place, self._cap, self._wait_s)
        process = os.getpid()
        try:
            with _errors_at(place, sqlite3.Error):
                connection = self._engine(place).connect()
                connection.info[_INTERRUPT] = _driver_connection(connection).interrupt
                try:
                    yield connection
                finally:
                    if os.getpid() != process:
                        self._abandoned.append(connection)  # closing would roll the parent back
                    else:
                        connection.close()
        finally:
            self._free.release()

    def create(self, place: Place) -> None:
        """Make the place's file, and its directory, where they are missing."""
        connector = SQLiteConnector(self._path(place), place, self._session, create=True)
        connector.connect().close()

    def has(self, place: Place) -> bool:
        """Tell whether the place's file is there."""
        return self._path(place).exists()

    def remove(self, place: Place) -> None:
        """Remove the place's file, and what SQLite keeps beside it."""
        path = self._path(place)
        path.unlink(missing_ok=True)
        for suffix in ("-journal", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """Do nothing: no connection outlives its block."""

    def _path(self, place: Place) -> Path:
        return self._directory / f"{place.database}.db"

    def _engine(self, place: Place) -> "Engine":
        path = self._path(place)
        known = self._engines.get(path.name)
        if known is not None:
            return known
        connector = SQLiteConnector(path, place, self._session)
        return self._engines.setdefault(path.name, _file_engine(connector, path, place))


def interrupter(connection: "Connection") -> Callable[[], None]:
    """Return what ends the statement that runs on a connection, from any thread.

    Where none runs it does nothing, so it may have to be called again. It must not be called once
    the connection was given back: the statement would be somebody else's.
    Source: https://mariadb.com/kb/en/kill/, https://sqlite.org/c3ref/interrupt.html.
    """
    interrupt: Callable[[], None] = connection.info[_INTERRUPT]
    return interrupt


def _file_engine(connector: Connector, path: Path, place: Place) -> "Engine":
    from sqlalchemy import URL, create_engine, event
    from sqlalchemy.pool import NullPool

    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        creator=cast("Callable[[], DBAPIConnection]", connector.connect),
        poolclass=NullPool,
        hide_parameters=True,
    )
    event.listen(engine, "begin", _begin)
    _remember_place(engine, place)
    return engine


def _begin(connection: "Connection") -> None:
    """Begin the transaction that the driver would begin only before the first INSERT."""
    connection.exec_driver_sql("BEGIN")


def _engine_for(root: "Engine", place: Place, database: str) -> "Engine":
    from sqlalchemy import Engine

    dialect = copy(root.dialect)
    dialect.default_schema_name = database
    url = root.url.set(database=database)
    engine = Engine(root.pool, dialect, url, hide_parameters=True)
    _remember_place(engine, place)
    return engine


def _remember_place(engine: "Engine", place: Place) -> None:
    """Let each error say which database it comes from, in whichever block it is caught."""
    from sqlalchemy import event

    def mark(context: "ExceptionContext") -> None:
        if context.sqlalchemy_exception is not None:
            setattr(context.sqlalchemy_exception, _PLACE, place)

    event.listen(engine, "handle_error", mark)


@contextmanager
def _errors_at(place: Place, driver_error: type[Exception]) -> Iterator[None]:
    """Turn the driver's errors, also inside SQLAlchemy's, into DatabaseError."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, driver_error) as error:
        raise translate(error, getattr(error, _PLACE, place)) from error


def _driver_connection(connection: "Connection") -> Any:
    return connection.connection.driver_connection


def _too_many(place: Place, cap: int, wait_s: float) -> DatabaseError:
    return DatabaseError(
        f"{place}: all {cap} connections that this process may have there stayed in use for "
        f"{wait_s:g} s",
        next_step="give connections back sooner, or raise max_connections of the manager",
    )
