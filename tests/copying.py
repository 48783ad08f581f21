"""A running operation reduced to what moving rows needs, for tests of copy, verify and prune."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from managers import manager_of
from servers import Fleet
from shardhash.db import ConnectionManager
from shardhash.db.connections import SessionSettings
from shardhash.db.guard import create_control
from shardhash.db.inspect import inspect_table
from shardhash.db.schema import Table
from shardhash.db.sql import ControlPlace, RowFilter
from shardhash.db.topology import Backend, KeyType

SLOT_COUNT = 16


@dataclass
class PlainWork:
    """An operation without token, guards, journal and throttle."""

    connections: ConnectionManager
    fleet: Fleet
    operation: str = "op1"
    seen: list[int] = field(default_factory=list)
    on_batch: Callable[[], None] = lambda: None

    def backend(self, shard: str) -> Backend:
        return self.connections.backend(shard)

    def place(self, shard: str) -> ControlPlace:
        return ControlPlace(self.backend(shard), self.fleet.database(shard))

    def read(self, shard: str) -> AbstractContextManager[Connection]:
        return self.connections.write(shard)

    def batch(
        self,
        shard: str,
        do: Callable[[Connection], Any],
        *,
        idempotent: bool = True,
        locks_reads: bool = True,
    ) -> Any:
        return self.connections.run_batch(shard, do, idempotent=idempotent, locks_reads=locks_reads)

    def on_earlier_rows(self, count: int) -> None:
        """Count nothing."""

    def on_rows(self, count: int) -> None:
        self.seen.append(count)
        self.on_batch()


@contextmanager
def work_on(
    fleet: Fleet,
    *shards: str,
    operation: str = "op1",
    session: SessionSettings | None = None,
) -> Iterator[PlainWork]:
    """Yield an operation on shards that have control tables."""
    with manager_of(fleet, session=session or SessionSettings.operations()) as connections:
        work = PlainWork(connections, fleet, operation)
        for shard in shards:
            with connections.write(shard) as connection:
                create_control(connection, work.place(shard))
                connection.commit()
        yield work


def table_of(work: PlainWork, shard: str, name: str = "t") -> Table:
    with work.read(shard) as connection:
        return inspect_table(connection, name, work.backend(shard))


def slots(
    table: Table, *numbers: int, key: str = "k", key_type: KeyType = KeyType.INT
) -> RowFilter:
    return RowFilter.of_slots(
        table.column("k"), key_type, numbers, slot_count=SLOT_COUNT, backend=table.backend
    )


def insert_rows(fleet: Fleet, shard: str, rows: Sequence[Sequence[Any]], table: str = "t") -> None:
    """Insert rows in one statement."""
    row = f"({', '.join(['%s'] * len(rows[0]))})"
    fleet.sql(
        shard,
        f"INSERT INTO {table} VALUES {', '.join([row] * len(rows))}",
        [value for each in rows for value in each],
    )
