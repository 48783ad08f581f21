"""Connections to the SQLite files of a directory."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, cast

from shardhash.db.connections._engines import (
    INTERRUPT,
    driver_connection,
    errors_at,
    remember_place,
    too_many_in_use,
)
from shardhash.db.drivers import Place, SessionSettings, SQLiteConnector, import_extra
from shardhash.db.ports import Connector

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["FilePool"]


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
            raise too_many_in_use(self._place, self._cap, self._wait_s)
        process = os.getpid()
        try:
            with errors_at(place, sqlite3.Error):
                connection = self._engine(place).connect()
                connection.info[INTERRUPT] = driver_connection(connection).interrupt
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
    remember_place(engine, place)
    return engine


def _begin(connection: "Connection") -> None:
    """Begin the transaction that the driver would begin only before the first INSERT."""
    connection.exec_driver_sql("BEGIN")
