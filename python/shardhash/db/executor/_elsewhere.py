"""Batches of a prune in other processes, which open their own connections.

What is sent names the configuration and holds the fencing token's number, but no secret: a worker
writes past the guards by a pass that it makes inside its own transaction and takes back there. A
batch that runs twice finds its rows gone and deletes nothing.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

from shardhash.db import guard
from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager, SessionSettings
from shardhash.db.executor._prune import PruneRun, PruneTally
from shardhash.db.guard import ControlPlace
from shardhash.db.inspect import KeyReader
from shardhash.db.plan import TablePrune
from shardhash.db.processes import process_connections
from shardhash.db.schema import Table
from shardhash.db.topology import Backend

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["BatchOrder", "run_batch"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """What a worker needs to know of a prune: plain values, no secret."""

    config: str
    config_version: str
    operation: str
    shard: str
    token: int
    mapping: str
    step: TablePrune
    table: Table
    proof: bool
    batch_rows: int
    quarantine: bool


def run_batch(order: BatchOrder, primary_keys: list[tuple[Any, ...]]) -> PruneTally:
    """Prove and delete the rows of one batch on this process's own connections.

    Raises:
        StaleMapError: the configuration found here is another version than the operation's.
        LeaseLostError: another process has taken the shard over; nothing was changed.
        DatabaseError: the batch failed and was rolled back.
    """
    config, connections = process_connections(
        order.config, order.config_version, session=SessionSettings.operations()
    )
    router = config.router(order.mapping)
    run = PruneRun(
        work=_OrderedWork(order, config, connections),
        shard=order.shard,
        step=order.step,
        table=order.table,
        keys=KeyReader(order.table, order.table.column(order.step.key), router),
        proof=order.proof,
        batch_rows=order.batch_rows,
        quarantine=order.quarantine,
    )
    return run.batch(primary_keys)


@dataclass(frozen=True, slots=True)
class _OrderedWork:
    """The work of an operation that runs in another process."""

    order: BatchOrder
    config: Config
    connections: ConnectionManager

    @property
    def operation(self) -> str:
        return self.order.operation

    def backend(self, shard: str) -> Backend:
        return self.connections.backend(shard)

    def place(self, shard: str) -> ControlPlace:
        return ControlPlace(self.backend(shard), self.config.shard(shard).database)

    def read(self, shard: str) -> "AbstractContextManager[Connection]":
        return self.connections.write(shard)

    def batch(
        self,
        shard: str,
        do: "Callable[[Connection], T]",
        *,
        idempotent: bool = True,
        locks_reads: bool = True,
    ) -> T:
        place, own_pass = self.place(shard), token_hex(32)
        holder = f"{self.operation}-{token_hex(4)}"

        def work(connection: "Connection") -> T:
            guard.check_token(connection, place, self.order.token)
            guard.add_pass(connection, place, holder, own_pass)
            guard.use_pass(connection, place.backend, own_pass)
            try:
                done = do(connection)
                guard.remove_pass(connection, place, holder)
            finally:
                guard.use_pass(connection, place.backend, None)
            return done

        return self.connections.run_batch(
            shard, work, idempotent=idempotent, locks_reads=locks_reads
        )

    def on_earlier_rows(self, count: int) -> None:
        """Leave the counting to the process that gave the order."""

    def on_rows(self, count: int) -> None:
        """Leave the counting to the process that gave the order."""
