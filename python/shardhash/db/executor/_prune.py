"""Prune one table: find foreign rows, prove them on their owners, delete them in batches.

Each batch is one transaction on the shard and, with proof, one on every owner concerned. It locks
its rows for writing and the owners' rows for reading before it compares them, and the owners'
locks are held until the deletion is committed. So an owner cannot lose its row in between, and a
row can never be its own proof: were both shards one database, the second lock would wait for the
first and fail.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shardhash.db import sql
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._quarantine import make_quarantine
from shardhash.db.executor._statements import run
from shardhash.db.inspect import KeyReader
from shardhash.db.plan import KeptRow, Mechanism, TablePrune
from shardhash.db.schema import Table
from shardhash.db.topology import Backend
from shardhash.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["PruneRun", "PruneTally"]

_PAGE_ROWS = 5_000
_KEYS_A_QUERY = 200
_LISTED_ROWS = 20
_CONNECTIONS = 2  # one reads while the other deletes; more gained nothing on two cores

PrimaryKey = tuple[Any, ...]


@dataclass(slots=True)
class PruneTally:
    """What a prune of one table has done so far; ``kept_rows`` lists only the first ones."""

    deleted: int = 0
    kept: int = 0
    kept_rows: list[KeptRow] = field(default_factory=list)

    def add(self, other: "PruneTally") -> None:
        """Add the outcome of one batch."""
        self.deleted += other.deleted
        self.kept += other.kept
        self.kept_rows.extend(other.kept_rows[: _LISTED_ROWS - len(self.kept_rows)])


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRun:
    """One step of a prune plan, ready to run.

    ``table`` is as inspected just now; ``keys`` says who owns a row. ``submit`` hands a batch to
    others; None: threads of this process.
    """

    work: RowWork
    shard: str
    step: TablePrune
    table: Table
    keys: KeyReader
    proof: bool
    batch_rows: int
    quarantine: bool = False
    submit: Callable[[list[PrimaryKey]], "Future[PruneTally]"] | None = None

    def run(self) -> PruneTally:
        """Delete the foreign rows and return the tally.

        Raises:
            DatabaseError: a batch failed and was rolled back; those before it are whole.
        """
        if self.quarantine:
            make_quarantine(self.work, self.shard, self.table)
        tally = PruneTally()
        for outcome in self._outcomes():
            tally.add(outcome)
            self.work.on_rows(outcome.deleted + outcome.kept)
        return tally

    def _outcomes(self) -> Iterator[PruneTally]:
        """Run batches, two at a time where the server can, and yield each outcome."""
        workers = 1 if self.table.backend is Backend.SQLITE else _CONNECTIONS
        running: set[Future[PruneTally]] = set()
        with ThreadPoolExecutor(workers, thread_name_prefix="shardhash-prune") as pool:
            submit = self.submit or (lambda keys: pool.submit(self.batch, keys))
            try:
                for primary_keys in self._candidates():
                    if len(running) > workers:
                        done, running = wait(running, return_when=FIRST_COMPLETED)
                        yield from _settled(done)
                    running.add(submit(primary_keys))
                done, running = wait(running).done, set()
                yield from _settled(done)
            except DatabaseError:
                pool.shutdown(cancel_futures=True)
                wait(running)
                yield from _succeeded(running)  # committed: they count, whatever else failed
                raise
            finally:
                pool.shutdown(cancel_futures=True)
                for future in running:  # of other processes
                    future.cancel()

    def _candidates(self) -> Iterator[list[PrimaryKey]]:
        """Yield primary keys of rows that look foreign, in batches, without locking them."""
        found = self._by_pages() if self.step.mechanism is Mechanism.PAGES else self._by_keys()
        batch: list[PrimaryKey] = []
        for primary_keys in found:
            batch.extend(primary_keys)
            while len(batch) >= self.batch_rows:
                yield batch[: self.batch_rows]
                del batch[: self.batch_rows]
        if batch:
            yield batch

    def _by_pages(self) -> Iterator[list[PrimaryKey]]:
        slot, foreign = self.keys.foreign_slots(self.shard)
        after: PrimaryKey | None = None
        while True:
            with self.work.read(self.shard) as connection:
                ends = _fetch(connection, sql.next_page(self.table, after, _PAGE_ROWS))
                until = ends[0] if ends else None
                page = sql.page_rows(self.table, slot, foreign, after, until)
                rows = _fetch(connection, page)
            yield rows  # outside: an open snapshot would hold up the deletions
            if until is None:
                return
            after = until

    def _by_keys(self) -> Iterator[list[PrimaryKey]]:
        with self.work.read(self.shard) as connection:
            foreign = self.keys.foreign_keys(connection, self.shard)
        for start in range(0, len(foreign), _KEYS_A_QUERY):
            yield from self._rows_of(foreign[start : start + _KEYS_A_QUERY])

    def _rows_of(self, keys: Sequence[object]) -> Iterator[list[PrimaryKey]]:
        after: PrimaryKey | None = None
        while True:
            statement = sql.key_rows(
                self.table, self.keys.column, self.keys.type, keys, after, self.batch_rows
            )
            with self.work.read(self.shard) as connection:
                rows = _fetch(connection, statement)
            yield rows
            if len(rows) < self.batch_rows:
                return
            after = rows[-1]

    def batch(self, primary_keys: list[PrimaryKey]) -> PruneTally:
        """Run one batch; its owners' locks outlive its commit."""
        with ExitStack() as owners:

            def attempt(connection: "Connection") -> PruneTally:
                owners.close()  # of an attempt that failed
                return self._prove_and_delete(connection, owners, primary_keys)

            return self.work.batch(self.shard, attempt)

    def _prove_and_delete(
        self, connection: "Connection", owners: ExitStack, primary_keys: list[PrimaryKey]
    ) -> PruneTally:
        _lock_file(connection, self.table)
        _leave_unseen_children(connection, self.table)
        width = len(self.table.primary_key)
        expressions = [self.keys.expression]
        if self.proof:
            expressions.append(sql.row_digest_expression(self.table))
        locked = _fetch(
            connection, sql.read_rows(self.table, primary_keys, expressions, lock="exclusive")
        )
        by_owner: dict[str, dict[PrimaryKey, object]] = defaultdict(dict)
        for row in locked:
            owner = self.keys.owner(row[width])
            if owner is not None and owner != self.shard:
                by_owner[owner][row[:width]] = row[width + 1] if self.proof else None
        tally = PruneTally()
        proved = [
            primary_key
            for owner, rows in sorted(by_owner.items())
            for primary_key in self._proved(owners, owner, rows, tally)
        ]
        tally.deleted = self._delete(connection, proved)
        return tally

    def _proved(
        self,
        owners: ExitStack,
        owner: str,
        rows: dict[PrimaryKey, object],
        tally: PruneTally,
    ) -> list[PrimaryKey]:
        """Return the primary keys whose owner has an equal row, locked there until ``owners`` ends.

        The others are added to the tally as kept.
        """
        if not self.proof:
            return list(rows)
        connection = owners.enter_context(self.work.read(owner))
        _lock_file(connection, self.table)
        digest = sql.row_digest_expression(self.table)
        statement = sql.read_rows(self.table, list(rows), [digest], lock="shared")
        theirs = {row[:-1]: row[-1] for row in _fetch(connection, statement)}
        proved = []
        for primary_key, content in rows.items():
            if content is not None and theirs.get(primary_key) == content:
                proved.append(primary_key)
                continue
            reason = "differs there" if primary_key in theirs else "is missing there"
            tally.kept += 1
            tally.kept_rows.append(KeptRow(self.table.name, primary_key, owner, reason))
        return proved

    def _delete(self, connection: "Connection", primary_keys: list[PrimaryKey]) -> int:
        if not primary_keys:
            return 0
        statements = {"deleted": sql.delete_rows(self.table, primary_keys)}
        if self.quarantine:
            place = self.work.place(self.shard)
            kept = sql.enter_quarantine_rows(place, self.table, self.work.operation, primary_keys)
            statements = {"put in quarantine": kept, **statements}
        for what, statement in statements.items():
            count = run(connection, statement)
            if count != len(primary_keys):
                raise DatabaseError(
                    f"{self.shard}.{self.table.name}: {len(primary_keys)} locked rows were to go, "
                    f"the server has {what} {count}; the batch is rolled back",
                    next_step="look for triggers or rules on the table, then prune again",
                )
        return len(primary_keys)


def _settled(futures: set[Future[PruneTally]]) -> Iterator[PruneTally]:
    """Yield the outcomes of the batches that succeeded, then raise the error of one that failed."""
    yield from _succeeded(futures)
    for future in futures:
        future.result()


def _succeeded(futures: set[Future[PruneTally]]) -> list[PruneTally]:
    return [
        future.result()
        for future in futures
        if not future.cancelled() and future.exception() is None
    ]


def _lock_file(connection: "Connection", table: Table) -> None:
    """Take SQLite's write lock before anything is read, as its row locks are one for the file."""
    if table.backend is Backend.SQLITE:
        connection.exec_driver_sql(sql.lock_file(table).sql)


def _leave_unseen_children(connection: "Connection", table: Table) -> None:
    """Check references only where there are some that the planner has seen and ordered.

    An account sees no foreign key of a database that it has no right on; an ON DELETE CASCADE from
    there would delete rows that no proof covers.
    """
    if table.backend is Backend.MYSQL:
        connection.exec_driver_sql(sql.check_references(wanted=bool(table.children)).sql)


def _fetch(connection: "Connection", statement: sql.Statement) -> list[PrimaryKey]:
    rows = connection.exec_driver_sql(statement.sql, statement.parameters or None)
    return [tuple(row) for row in rows]
