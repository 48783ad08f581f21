"""Sessions kept for statements that leave nothing in them: no selecting, no rolling back.

A statement of a block (``ServerPool.connection``) costs three round trips: its database is
selected, it runs, the transaction is rolled back. A kept session stands at one database and in
autocommit mode, so that a statement is one.
"""

import time
from collections.abc import Callable
from threading import RLock
from typing import TYPE_CHECKING, Any

from shardhash.db.drivers import (
    Fault,
    MySQLConnector,
    Place,
    abandon,
    fault_of,
    session_goes_on,
    translate,
)

if TYPE_CHECKING:
    from shardhash.db.connections._lending import LendingPool, Lent

__all__ = ["USED", "Session", "Sessions", "mark_changed"]

USED = "shardhash_used"
_CLEAN = "shardhash_clean"


def mark_changed(info: dict[Any, Any]) -> bool:
    """Note that a block may change the session of these pool notes; tell whether it is new."""
    is_new = USED not in info
    info[USED] = True
    info.pop(_CLEAN, None)
    return is_new


class Session:
    """A session of a server, lent for one statement that leaves nothing behind.

    Not thread-safe. Whoever takes it gives it back or drops it.
    """

    __slots__ = ("_lent", "_sessions", "database", "driver", "is_reused", "opened_at", "place")

    def __init__(self, sessions: "Sessions", lent: "Lent", place: Place) -> None:
        self._sessions = sessions
        self._lent = lent
        self.opened_at = time.monotonic()
        self.driver = lent.driver
        self.database = place.database
        self.place = place
        self.is_reused = False

    @property
    def is_mariadb(self) -> bool:
        """Tell MariaDB from MySQL by what the server says of itself."""
        return "mariadb" in self.driver.get_server_info().lower()

    def give_back(self) -> None:
        """End the loan: the statement has run, and its answer was read to the end."""
        self._sessions.give_back(self)

    def failed(self, error: BaseException, *, has_begun: bool) -> BaseException | None:
        """End the loan after an error, and return what to raise.

        None: the session had ended before it was asked, and the statement may be asked again of
        another one. Args: whether the statement `has_begun` to answer.
        """
        return self._sessions.failed(self, error, has_begun=has_begun)

    def end(self) -> None:
        """End the statement while it runs, and the loan."""
        self._sessions.end(self)

    def forget(self) -> None:
        """Leave the session to the process that this one was forked from."""
        abandon(self.driver)

    def leave(self) -> None:
        """Put the connection into the pool as blocks expect it; one that is broken is closed."""
        try:
            self.driver.autocommit(False)
        except Exception:
            self._lent.drop()
        else:
            self._lent.give_back()

    def close(self) -> None:
        """Close the connection, whatever is under way on it."""
        abandon(self.driver)
        self._lent.drop()


class Sessions:
    """The kept sessions of a server. Thread-safe.

    Invariants: kept sessions and blocks together are never more than the cap unless somebody waits
    for a connection; while somebody waits, none is idle here; no kept session has run anything but
    what its borrowers say leaves nothing in it.
    """

    def __init__(
        self,
        pool: "LendingPool",
        connector: MySQLConnector,
        *,
        cap: int,
        recycle_s: float,
        interrupt: Callable[[int], None],
        driver_error: type[Exception],
    ) -> None:
        self._pool = pool
        self._connector = connector
        self._cap = cap
        self._recycle_s = recycle_s
        self._interrupt = interrupt
        self._driver_error = driver_error
        self._lock = RLock()  # a forgotten answer may end while this thread holds it
        self._idle: dict[str | None, list[Session]] = {}
        self._kept = 0
        self._blocks = 0
        self._is_closed = False

    def take(self, place: Place) -> Session:
        """Return a session at the place's database; ``is_reused`` tells one that may be dead.

        Raises:
            Exception: the driver's, or SQLAlchemy's TimeoutError: no connection.
        """
        while True:
            session = self._idle_or_room(place.database)
            if session is None:
                return self._counted(lambda: self._opened(place))
            if time.monotonic() - session.opened_at > self._recycle_s:
                self.drop(session)
                continue
            session.is_reused = True
            session.place = place
            if session.database == place.database or self._is_moved(session, place):
                return session

    def give_back(self, session: Session) -> None:
        """Keep a session for the next statement, or let a waiting block have its connection."""
        with self._lock:
            is_kept = not self._is_closed and self._kept + self._blocks <= self._cap
            if is_kept:
                stack = self._idle.get(session.database)
                if stack is None:
                    stack = self._idle[session.database] = []
                stack.append(session)
                return
            self._kept -= 1
        if self._is_closed:
            session.close()
        else:
            session.leave()

    def drop(self, session: Session) -> None:
        """Close a session's connection."""
        with self._lock:
            self._kept -= 1
        session.close()

    def end(self, session: Session) -> None:
        """End the statement that runs in a session, and close its connection."""
        try:
            self._interrupt(session.driver.thread_id())
        finally:
            self.drop(session)

    def failed(
        self, session: Session, error: BaseException, *, has_begun: bool
    ) -> BaseException | None:
        """End a loan after an error; see ``Session.failed``."""
        if not isinstance(error, Exception):  # Ctrl-C while the server works
            self.end(session)
            return error
        if not isinstance(error, self._driver_error):
            self.drop(session)
            return error
        if session_goes_on(error):
            self.give_back(session)
            return translate(error, session.place)
        self.drop(session)
        if fault_of(error) is Fault.LOST and session.is_reused and not has_begun:
            self.drop_idle()  # what ended one may have ended all
            return None
        return translate(error, session.place)

    def drop_idle(self) -> None:
        """Close the sessions that nobody uses: one of them was found dead."""
        with self._lock:
            idle = [session for stack in self._idle.values() for session in stack]
            self._idle.clear()
            self._kept -= len(idle)
        for session in idle:
            session.close()

    def close(self) -> None:
        """Close idle sessions now, and those in use when they are given back."""
        self._is_closed = True
        self.drop_idle()

    def block_begins(self) -> None:
        """Count a block that is about to check a connection out, and make room for it."""
        with self._lock:
            self._blocks += 1
            spare = self._any_idle() if self._kept + self._blocks > self._cap else None
            if spare is None:
                return
            self._kept -= 1
        spare.leave()

    def block_ends(self) -> None:
        """Count a block that has given its connection back, or got none."""
        with self._lock:
            self._blocks -= 1

    def _idle_or_room(self, database: str | None) -> Session | None:
        """Return an idle session, one at the database if there is one; None: a new one counts."""
        with self._lock:
            stack = self._idle.get(database)
            if stack:
                return stack.pop()
            is_full = self._kept + self._blocks >= self._cap
            session = self._any_idle() if is_full else None
            if session is None:
                self._kept += 1
            return session

    def _any_idle(self) -> Session | None:
        for stack in self._idle.values():
            if stack:
                return stack.pop(0)
        return None

    def _counted(self, opened: Callable[[], Session]) -> Session:
        try:
            return opened()
        except BaseException:
            with self._lock:
                self._kept -= 1
            raise

    def _opened(self, place: Place) -> Session:
        while True:
            lent = self._pool.lend()
            is_new = USED not in lent.info
            try:
                if not is_new and not lent.info.get(_CLEAN):
                    self._connector.reset(lent.driver)
                lent.info[USED] = lent.info[_CLEAN] = True
                lent.driver.autocommit(True)
                lent.driver.select_db(place.database)
            except BaseException as error:
                lent.drop()
                if is_new or fault_of(error) is not Fault.LOST:
                    raise
            else:
                return Session(self, lent, place)

    def _is_moved(self, session: Session, place: Place) -> bool:
        """Select the place's database; False: the session was dead, and is dropped."""
        try:
            session.driver.select_db(place.database)
        except BaseException as error:
            self.drop(session)
            if fault_of(error) is not Fault.LOST:
                raise
            return False
        session.database = place.database
        return True
