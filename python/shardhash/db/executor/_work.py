"""What a running operation has at hand: connections under its token, the store, the journal."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from secrets import token_hex
from typing import TYPE_CHECKING, TypeVar

from shardhash.db import guard, sql
from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager
from shardhash.db.executor._leases import Leases
from shardhash.db.executor._meter import Meter
from shardhash.db.guard import ControlPlace, Identity
from shardhash.db.journal import Event, Journal
from shardhash.db.plan import Plan, StepKind
from shardhash.db.ports import Clock, Topology
from shardhash.db.processes import Workers
from shardhash.db.stores import ConfigStore
from shardhash.db.throttle import Waiting
from shardhash.db.topology import Backend, Instance, Shard
from shardhash.errors import (
    AccessDeniedError,
    ConfigConflictError,
    StoppedError,
    UsageError,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Edit", "PlannedTopology", "Work"]

T = TypeVar("T")
Edit = Callable[[Config], str]

_CONFIG_TRIES = 20
_LONGEST_NAP_S = 1.0
_LOOK_FOR_REQUESTS_S = 2.0


@dataclass(frozen=True, slots=True)
class PlannedTopology:
    """A configuration together with the shards that a plan is about to add to it."""

    config: Topology
    plan: Plan

    def instance(self, name: str) -> Instance:
        """Return the instance `name`."""
        return self.config.instance(name)

    def shard(self, name: str) -> Shard:
        """Return the shard `name`, of the configuration or of the plan."""
        new = self.plan.new_shards.get(name)
        if new is None:
            return self.config.shard(name)
        return Shard(name=name, instance=new["instance"], database=new["database"])


@dataclass(slots=True, kw_only=True)
class Work:
    """One operation at work in this process.

    Every change of a shard goes through ``batch``: its transaction begins by comparing the
    fencing token, so that a process whose lease has ended changes nothing. Every change of the
    configuration goes through ``change_config``.
    """

    id: str
    plan: Plan
    given_config: Config
    topology: PlannedTopology
    connections: ConnectionManager
    store: ConfigStore | None
    journal: Journal
    leases: Leases
    throttle: Waiting
    meter: Meter
    clock: Clock
    fence_wait_s: float | None = None
    instead_of: str = ""
    workers: Workers | None = None
    _pass: str = field(default_factory=lambda: token_hex(32), repr=False)
    _entered: set[str] = field(default_factory=set, init=False)
    _unfenced: set[str] = field(default_factory=set, init=False)
    _asked_at: float = field(default=float("-inf"), init=False)

    @property
    def operation(self) -> str:
        """The operation's id, which names what it makes in shards."""
        return self.id

    @property
    def app(self) -> str:
        """The name of the application whose shards these are."""
        return self.given_config.app

    @property
    def config(self) -> Config:
        """The configuration as the store has it now; reads it."""
        return self.needed_store.load()[0]

    @property
    def present_config(self) -> Config:
        """The configuration of the store, or the one given where there is no store."""
        return self.given_config if self.store is None else self.config

    @property
    def needed_store(self) -> ConfigStore:
        """The store, without which the map cannot change."""
        if self.store is None:
            raise UsageError(
                f"{self.plan.operation} changes the configuration, and no store of it was given",
                next_step="open the cluster from its file or store: Cluster.open(...)",
            )
        return self.store

    def backend(self, shard: str) -> Backend:
        """Return the kind of server that a shard is on."""
        return self.topology.instance(self.topology.shard(shard).instance).backend

    def place(self, shard: str) -> ControlPlace:
        """Return where the shard's control tables are."""
        return ControlPlace(self.backend(shard), self.topology.shard(shard).database)

    def read(self, shard: str) -> "AbstractContextManager[Connection]":
        """Return a context manager with a connection to the shard's primary."""
        return self.connections.write(shard)

    def enter(self, shard: str, *, made_by: str = "") -> None:
        """Make this operation the one that may change a shard: identity, token, pass.

        Args:
            shard: one whose lease is held.
            made_by: the operation that makes the database, where one does.

        Raises:
            PreflightError: the database is another shard's.
            LeaseLostError: another process has taken the shard over.
        """
        place, token = self.place(shard), self.leases.token(shard)
        with self.connections.write(shard) as connection:
            is_there = guard.has_control(connection, place)
        if not is_there and not self._make_control(shard):
            self._unfenced.add(shard)
            return

        def take(connection: "Connection") -> None:
            guard.raise_token(connection, place, token, self.id)
            self._check_identity(connection, shard, made_by)
            guard.add_pass(connection, place, self.id, self._pass)

        self.connections.run_batch(shard, take, idempotent=True)
        self._entered.add(shard)

    def _make_control(self, shard: str) -> bool:
        """Make the control tables; False where a prune that proves each batch can do without."""
        try:
            with self.connections.write(shard) as connection:
                guard.create_control(connection, self.place(shard))
                connection.commit()
        except AccessDeniedError:
            if self.plan.proof and all(step.kind is StepKind.PRUNE for step in self.plan.steps):
                return False
            raise
        return True

    def forget(self, shard: str) -> None:
        """Know no more of a shard whose control tables are gone."""
        self._entered.discard(shard)

    def leave(self, *, is_done: bool = True) -> None:
        """Leave nothing of this operation on its shards: no pass, no checkpoints, no pages.

        Where it is done, what an operation recorded that it has turned around goes with it.
        """
        operations = [self.id]
        if is_done and self.instead_of:
            operations.append(self.instead_of)
        for shard in sorted(self._entered):
            self.batch(shard, partial(_forget, place=self.place(shard), operations=operations))
        self._entered.clear()

    def batch(
        self,
        shard: str,
        do: "Callable[[Connection], T]",
        *,
        idempotent: bool = True,
        locks_reads: bool = True,
    ) -> T:
        """Run `do` in one transaction on the shard, past its guards, commit, return its result.

        Raises:
            LeaseLostError: another process has taken the shard over; nothing was changed.
            DatabaseError: as ``ConnectionManager.run_batch``.
        """
        run = partial(
            self.connections.run_batch, shard, idempotent=idempotent, locks_reads=locks_reads
        )
        if shard in self._unfenced:
            return self._committed(run(do))
        place, token = self.place(shard), self.leases.token(shard)

        def work(connection: "Connection") -> T:
            guard.check_token(connection, place, token)
            guard.use_pass(connection, place.backend, self._pass)
            return do(connection)

        return self._committed(run(work))

    def _committed(self, result: T) -> T:
        self.meter.checkpoint()
        return result

    @contextmanager
    def define(self, shard: str) -> "Iterator[Connection]":
        """Yield a connection for DDL, after comparing the token; commit at the end.

        DDL on MySQL commits by itself, and the token with it: what it did is looked at afterwards.

        Raises:
            LeaseLostError: another process has taken the shard over; nothing was changed.
        """
        with self.connections.write(shard) as connection:
            guard.check_token(connection, self.place(shard), self.leases.token(shard))
            yield connection
            connection.commit()
        self.meter.checkpoint()

    def change_config(self, edit: Edit) -> Config:
        """Save what `edit` makes of the present configuration, and return the one saved.

        `edit` returns the new text; the same text means that it is done already. The journal is
        written between reading and saving: a process that was taken over fails at the one, a
        process that is taken over in between at the other, because whoever takes over saves first.

        Raises:
            LeaseLostError: another process has taken the operation over; nothing was saved.
            ConfigConflictError: others saved each time in between.
        """
        store = self.needed_store
        for attempt in range(1, _CONFIG_TRIES + 1):
            self.leases.check()
            config, version = store.load()
            text = edit(config)
            if text == config.text:
                return config
            self.journal.append(Event.CONFIG, version=version)
            try:
                store.save(text, expect=version)
            except ConfigConflictError:
                if attempt == _CONFIG_TRIES:
                    raise
            else:
                return store.load()[0]
        raise AssertionError("unreachable")

    def on_earlier_rows(self, count: int) -> None:
        """Count rows of this step that an earlier run has done."""
        self.meter.add_earlier(count)

    def on_rows(self, count: int) -> None:
        """Count the rows of a batch, then wait as long as something holds the operation back.

        Raises:
            StoppedError: somebody asked for a pause.
            LeaseLostError: the lease is gone.
        """
        if self.workers is not None and not self.workers.is_here:
            self.meter.checkpoint()  # another process has committed them
        self.meter.add(count)
        self.check()
        self.throttle.wait(self.on_wait)

    def wait_until(self, moment: datetime, why: str) -> None:
        """Wait until the store's clock shows `moment`, minding pause and lease."""
        while (left := moment - self.needed_store.now()) > timedelta():
            self.meter.tell(f"{why}, {left.total_seconds():.0f} s left")
            self.check()
            self.clock.sleep(min(left.total_seconds(), _LONGEST_NAP_S))

    def check(self) -> None:
        """Raise where the lease is gone or a pause was asked for."""
        self.leases.check()
        now = self.clock.monotonic()
        if now - self._asked_at < _LOOK_FOR_REQUESTS_S:
            return
        self._asked_at = now
        if (author := self.journal.pause_requested_by()) is not None:
            raise StoppedError(f"{author} asked for a pause")

    def on_wait(self, reason: str) -> None:
        """Tell why the operation waits, minding pause and lease.

        Raises:
            StoppedError: somebody asked for a pause.
            LeaseLostError: the lease is gone.
        """
        self.meter.tell(f"because {reason}")
        self.check()

    def _check_identity(self, connection: "Connection", shard: str, made_by: str) -> None:
        place = self.place(shard)
        if guard.check_identity(connection, place, self.app, shard) is None:
            identity = Identity(self.app, shard, token_hex(8), made_by)
            guard.write_identity(connection, place, identity)


def _forget(connection: "Connection", place: ControlPlace, operations: Sequence[str]) -> None:
    for operation in operations:
        guard.remove_pass(connection, place, operation)
        for statement in sql.drop_records(place, operation):
            connection.exec_driver_sql(statement.sql, statement.parameters)
