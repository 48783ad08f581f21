"""Operations on shards: each plans first, from reads only, and is applied as planned.

The store of the configuration holds the leases and the journal: what stopped half way is resumed,
aborted or undone by any process that opens the same store.
"""

import time
from concurrent.futures import Executor

from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager
from shardhash.db.executor import Engine, ProgressListener
from shardhash.db.journal import (
    Journal,
    OperationState,
    read_operations,
    read_progress,
    request_pause,
)
from shardhash.db.operations._apply import preflight
from shardhash.db.operations._planning import PlanningFace, exact_connections
from shardhash.db.operations._reader import FactReader
from shardhash.db.operations._standing import (
    Choice,
    Standing,
    Verb,
    is_at_work,
    standing_of,
)
from shardhash.db.operations._undo import undo_plan
from shardhash.db.operations._verdict import MisplacedRow, TableVerdict, key_text
from shardhash.db.operations._verify import VerifyReport
from shardhash.db.plan import Plan, Progress, Report
from shardhash.db.ports import Clock, Topology
from shardhash.db.stores import ConfigStore, default_author
from shardhash.db.throttle import ThrottleSettings
from shardhash.errors import RefusedError, UsageError

__all__ = [
    "Choice",
    "MisplacedRow",
    "Operations",
    "ProgressListener",
    "Standing",
    "TableVerdict",
    "Verb",
    "VerifyReport",
    "key_text",
]


class Operations(PlanningFace):
    """Plans and applies operations of one configuration.

    It has connections of its own, with sessions set for exact work (UTC, strict mode), so that the
    app's are left alone. Use it as a context manager, or call ``close``.

    Args:
        config: the configuration that is planned for.
        store: where it is kept; None: nothing can change the map, and no journal outlives the call.
        connections: to plan with.
        clock: time, for waits.
        throttle: what holds an operation back.
        fence_wait_s: how long a fence waits for transactions in its way, in seconds; None: as long
            as the plan says.
        source: path or URL by which workers in other processes load the same configuration; None:
            as the store says.
    """

    def __init__(
        self,
        config: Config,
        *,
        store: ConfigStore | None = None,
        connections: ConnectionManager | None = None,
        clock: Clock = time,
        throttle: ThrottleSettings | None = None,
        fence_wait_s: float | None = None,
        source: str | None = None,
    ) -> None:
        source = source or (store.url if store is not None else None)
        super().__init__(config, connections=connections, source=source)
        self._store = store
        self._given = connections
        self._clock = clock
        self._throttle = throttle
        self._fence_wait_s = fence_wait_s

    def apply(
        self,
        plan: Plan,
        *,
        progress: ProgressListener | None = None,
        executor: Executor | None = None,
    ) -> Report:
        """Do what a plan says and report what was done.

        Args:
            plan: what to do; refused where the facts it was made from have changed.
            progress: told after every batch how far it is.
            executor: where the batches of a prune run; processes other than this one open their
                own connections by the configuration's path or URL. None: threads of this process.

        Raises:
            StalePlanError: configuration or schema changed since the plan; nothing was done.
            StoreError: the store cannot confirm the configuration; nothing was done.
            LeaseHeldError: another operation is at work on one of the shards; nothing was done.
            StoppedError: it stopped half way; ``resume`` goes on.
            DatabaseError: the first batch failed; nothing was done.
        """
        return self._engine(progress, executor).apply(
            plan, preflight=lambda work: preflight(work, self._config)
        )

    def resume(self, operation: str, *, progress: ProgressListener | None = None) -> Report:
        """Go on with an operation that stopped, to the end that it would have had."""
        return self._engine(progress).resume(operation)

    def abort(self, operation: str, *, progress: ProgressListener | None = None) -> Report:
        """Take an unfinished operation back: rows and map are as they were before it."""
        return self._engine(progress).abort(operation)

    def undo(self, operation: str, *, progress: ProgressListener | None = None) -> Report:
        """Turn a move around that has flipped and not pruned, or restore a quarantined prune."""
        journal = Journal(self._needed_store, operation)  # first: what comes later refuses the plan
        config = self._present_config
        with self._connect(config) as connections:
            read = FactReader(config, config, connections).fingerprints
            plan = undo_plan(self._needed_store, config, operation, read)
        return self._engine(progress).apply(
            plan, preflight=lambda work: preflight(work, self._present_config), instead_of=journal
        )

    def pause(self, operation: str) -> None:
        """Ask the process that works on an operation to stop at its next batch.

        Raises:
            UsageError: there is none of that name, or it has ended.
            RefusedError: nobody works on it: it has stopped, or was killed.
        """
        standing = self.standing(operation)
        if standing.state.is_ended:
            raise UsageError(
                f"operation {operation} has ended: {standing.state.phase.value}",
                next_step="shardhash op list shows what has not",
            )
        if not standing.is_at_work:
            raise RefusedError(
                f"nobody works on operation {operation}: there is nothing to pause",
                next_step=f"shardhash op show {operation} says where it stands",
            )
        request_pause(self._needed_store, operation, author=default_author())

    def list(self) -> tuple[OperationState, ...]:
        """Return all operations that the store knows, the oldest first."""
        return tuple(read_operations(self._needed_store))

    def is_at_work(self, state: OperationState) -> bool:
        """Tell whether a process works on an operation now, on this machine or another."""
        return is_at_work(self._needed_store, state)

    def progress(self, state: OperationState) -> Progress:
        """Return how far an operation is, as its process said last; a few seconds old at most."""
        return read_progress(self._needed_store, state)

    def standing(self, operation: str) -> Standing:
        """Return where an operation stands, and what can be done with it now.

        Raises:
            UsageError: there is none of that name.
        """
        return standing_of(
            self._needed_store, self._present_config, self.get(operation), self.list()
        )

    def standings(self) -> tuple[Standing, ...]:
        """Return of all operations that the store knows where they stand, the oldest first."""
        config, states = self._present_config, self.list()
        return tuple(standing_of(self._needed_store, config, each, states) for each in states)

    def get(self, operation: str) -> OperationState:
        """Return an operation as its journal tells it; UsageError where there is none."""
        return next(read_operations(self._needed_store, [operation]))

    @property
    def _needed_store(self) -> ConfigStore:
        if self._store is None:
            raise UsageError(
                "operations are kept in the configuration's store, and none was given",
                next_step="open the cluster from its file or store: Cluster.open(...)",
            )
        return self._store

    @property
    def _present_config(self) -> Config:
        return self._store.load()[0] if self._store is not None else self._config

    def _engine(
        self, progress: ProgressListener | None, executor: Executor | None = None
    ) -> Engine:
        return Engine(
            config=self._present_config,
            store=self._store,
            connect=self._connect,
            clock=self._clock,
            listener=progress,
            throttle=self._throttle,
            fence_wait_s=self._fence_wait_s,
            workers=self._workers(executor),
        )

    def _connect(self, topology: Topology) -> ConnectionManager:
        return self._given or exact_connections(topology)
