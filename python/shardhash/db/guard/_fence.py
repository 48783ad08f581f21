"""Fence slots: from then on the shard refuses writes to them, and none is in flight.

One short transaction sets all states. It waits for the transactions that wrote to one of the
slots, and while it waits, later writers to those slots wait behind it; so it gives up after one
second, lets them pass, and tries again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.connections import ConnectionManager
from shardhash.db.drivers import Fault, fault_of
from shardhash.db.guard._control import check_token
from shardhash.db.guard._run import fetch, run, set_back
from shardhash.db.guard._slots import read_slots, set_slots
from shardhash.db.ports import Clock
from shardhash.db.sql import ControlPlace, SlotState
from shardhash.db.topology import Backend
from shardhash.errors import DatabaseError, PreflightError, StoppedError
from shardhash.slots import SlotSet

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["check_durable", "check_fence", "fence_slots"]

_LONGEST_WAIT_S = 1  # of one try; behind it other writers wait
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_DURABLE_FLUSHES = frozenset({"1", "3"})  # 3 is MariaDB's: as 1, and at each step of a commit
_HOW_TO_FLUSH = "SET GLOBAL innodb_flush_log_at_trx_commit = 1"
_GROUP = "group_replication_single_primary_mode"
_PASSING = frozenset({Fault.LOCK_WAIT, Fault.DEADLOCK})


def fence_slots(
    connections: ConnectionManager,
    shard: str,
    place: ControlPlace,
    mapping: str,
    slots: SlotSet,
    *,
    token: int,
    wait_s: float,
    clock: Clock,
    on_wait: Callable[[str], None] = lambda reason: None,
) -> None:
    """Set owned slots to ``fenced`` and commit; slots that are fenced already stay so.

    When it returns, no transaction that wrote to one of the slots is open or prepared, and the
    server's next crash does not forget the fence.

    Args:
        connections: to the shard; the fence takes one of them.
        shard: its name there.
        place: of its control tables.
        mapping: the name of the mapping.
        slots: of the mapping, all ``owned`` or ``fenced``.
        token: the operation's fencing token.
        wait_s: how long to try, in seconds.
        clock: measures it, and sleeps between tries.
        on_wait: told before each pause why there is one; what it raises ends the tries.

    Raises:
        PreflightError: the server could forget the fence in a crash, or a slot is not here to be
            fenced; nothing was changed.
        LeaseLostError: another process has taken the shard over; nothing was changed.
        StoppedError: transactions stood in the way all the time; they are named, and the slots
            are as they were before.
    """
    fence = _Fence(connections, shard, place, mapping, slots, token)
    fence.check_server()
    deadline = clock.monotonic() + wait_s
    pause_s = _FIRST_PAUSE_S
    while not fence.try_once():
        left_s = deadline - clock.monotonic()
        if left_s <= 0:
            raise fence.stopped(wait_s)
        on_wait(f"open transactions on {shard} are in the way of the fence, {left_s:.0f} s left")
        clock.sleep(min(pause_s, left_s))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def check_fence(
    connections: ConnectionManager, shard: str, place: ControlPlace, mapping: str
) -> None:
    """Refuse a shard on which a fence would not hold now; only reads.

    Raises:
        PreflightError: a crash could forget it, several servers take writes, or XA transactions
            are prepared, whose writes would land after it.
    """
    fence = _Fence(connections, shard, place, mapping, SlotSet(), 0)
    fence.check_server()
    prepared = fence.count_prepared()
    if prepared:
        raise fence.refused(
            f"prepared XA transactions there would land after it: {prepared}",
            "XA RECOVER lists them: XA COMMIT or XA ROLLBACK each",
        )


def check_durable(connection: "Connection", purpose: str) -> None:
    """Refuse a MySQL server that could forget the states of slots, or does not alone keep them.

    Args:
        connection: to the server.
        purpose: what was to be done, in the words that the refusal begins with.

    Raises:
        PreflightError: a crash could forget commits, or several servers take writes.
    """
    settings = {name.lower(): value for name, value in fetch(connection, sql.read_fence_settings())}
    if settings["innodb_flush_log_at_trx_commit"] not in _DURABLE_FLUSHES:
        raise PreflightError(
            f"{purpose}, but a crash of its server could forget it", next_step=_HOW_TO_FLUSH
        )
    if settings.get("wsrep_on") == "ON" or settings.get(_GROUP) == "OFF":
        raise PreflightError(
            f"{purpose}, but its cluster takes writes on several servers, which do not wait for "
            "each other",
            next_step="move the shard to a server that alone takes its writes",
        )


@dataclass(frozen=True, slots=True)
class _Fence:
    connections: ConnectionManager
    shard: str
    place: ControlPlace
    mapping: str
    slots: SlotSet
    token: int

    @property
    def is_server(self) -> bool:
        return self.place.backend is Backend.MYSQL

    @property
    def purpose(self) -> str:
        return f"slots of {self.mapping} on shard {self.shard} were to be fenced"

    def check_server(self) -> None:
        """Refuse a server on which a fence would not hold."""
        if self.is_server:
            with self.connections.write(self.shard) as connection:
                check_durable(connection, self.purpose)

    def refused(self, reason: str, next_step: str) -> PreflightError:
        return PreflightError(f"{self.purpose}, but {reason}", next_step=next_step)

    def try_once(self) -> bool:
        """Fence, or leave all as it was and return False.

        An XA transaction gives its locks back when it is prepared, and lands after the fence: so
        none may be prepared before or after.
        """
        if self.count_prepared():
            return False
        try:
            opened = self._set_states()
        except DatabaseError as error:
            if fault_of(error) in _PASSING:
                return False
            raise
        if not self.count_prepared():
            return True
        self._open_again(opened)
        return False

    def stopped(self, wait_s: float) -> StoppedError:
        """Return the error that names what is in the way."""
        prepared = self.count_prepared()
        found = self._blockers()
        if prepared:
            found.insert(0, f"{prepared} prepared XA transactions (XA RECOVER lists them)")
        return StoppedError(
            f"{len(self.slots)} slots of {self.mapping} on shard {self.shard} could not be fenced "
            f"in {wait_s:g} s: in the way are {'; '.join(found)}",
            next_step=f"let them end, or KILL each on the server of {self.shard}, or wait longer "
            "with --fence-wait SECONDS",
        )

    def _set_states(self) -> SlotSet:
        """Fence in one transaction and return the slots that were owned until then."""
        with (
            self.connections.write(self.shard) as connection,
            _short_waits(connection, self.place),
            connection.begin(),
        ):
            check_token(connection, self.place, self.token)
            owned = self.slots & read_slots(connection, self.place, self.mapping)[SlotState.OWNED]
            self._set(connection, self.slots, SlotState.FENCED, SlotState.OWNED)
        return owned

    def _open_again(self, slots: SlotSet) -> None:
        """Undo a fence that a prepared transaction has made worthless."""
        with self.connections.write(self.shard) as connection, connection.begin():
            check_token(connection, self.place, self.token)
            self._set(connection, slots, SlotState.OWNED, SlotState.FENCED)

    def _set(
        self, connection: "Connection", slots: SlotSet, state: SlotState, before: SlotState
    ) -> None:
        set_slots(connection, self.place, self.mapping, slots, state, among={before})

    def count_prepared(self) -> int:
        if not self.is_server:
            return 0
        with self.connections.write(self.shard) as connection:
            return len(fetch(connection, sql.prepared_transactions()))

    def _blockers(self) -> list[str]:
        """Return the open transactions in words; what they said is none of our business."""
        if not self.is_server:
            return ["another process that writes to the file"]
        try:
            with self.connections.write(self.shard) as connection, _server_time(connection):
                rows = fetch(connection, sql.open_transactions())
        except DatabaseError:
            return ["open transactions (an account with PROCESS is shown which)"]
        named = [f"connection {number} of {user}, open for {age} s" for number, user, age in rows]
        return named or ["transactions that have ended by now, or LOCK TABLES"]


@contextmanager
def _short_waits(connection: "Connection", place: ControlPlace) -> Iterator[None]:
    """Let the session wait only briefly, for rows and for LOCK TABLES; SQLite has its own limit."""
    if place.backend is Backend.SQLITE:
        yield
        return
    [(rows_s, tables_s)] = fetch(connection, sql.read_lock_waits())
    run(connection, sql.set_lock_waits(_LONGEST_WAIT_S, _LONGEST_WAIT_S))
    connection.rollback()
    try:
        yield
    finally:
        set_back(connection, sql.set_lock_waits(rows_s, tables_s))


@contextmanager
def _server_time(connection: "Connection") -> Iterator[None]:
    """Let the session's NOW() be in the server's own time zone."""
    [(zone,)] = fetch(connection, sql.Statement("SELECT @@SESSION.time_zone"))
    run(connection, sql.set_time_zone("SYSTEM"))
    try:
        yield
    finally:
        set_back(connection, sql.set_time_zone(zone))
