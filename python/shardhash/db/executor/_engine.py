"""Run a plan step by step under leases, tokens and a journal; resume it, or take it back.

A crash leaves a journal that says what was begun. Whoever goes on raises the tokens of all shards
and saves the configuration once, so that the process that was at work before can change neither;
then it repeats the step that was begun, which does no harm where it was done.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from shardhash.db.config import Config
from shardhash.db.config.edit import count_takeover
from shardhash.db.connections import ConnectionManager
from shardhash.db.executor._frozen import check_frozen
from shardhash.db.executor._leases import Leases, holder_of_this_process
from shardhash.db.executor._meter import Meter, ProgressListener, ProgressSaver
from shardhash.db.executor._overtaken import overtaker_of
from shardhash.db.executor._runners import CONFIG_STEPS, RUNNERS
from shardhash.db.executor._shard_steps import has_control_of, release_control
from shardhash.db.executor._tokens import tokens_of
from shardhash.db.executor._work import PlannedTopology, Work
from shardhash.db.journal import Event, Journal, OperationState, Phase, read_operations
from shardhash.db.plan import KeptRow, Plan, Progress, Report, RowCounts, Status, StepKind
from shardhash.db.ports import Clock, Topology
from shardhash.db.processes import Workers
from shardhash.db.stores import ConfigStore
from shardhash.db.throttle import Throttle, ThrottleSettings, Unthrottled, Waiting
from shardhash.errors import (
    LeaseHeldError,
    LeaseLostError,
    RefusedError,
    ShardhashError,
    StoppedError,
    StoreError,
    UsageError,
)

__all__ = ["Engine"]

_HARMLESS_FIRST = frozenset({StepKind.PRUNE})
"""A step of these that failed before its first row has changed nothing."""


@dataclass(slots=True, kw_only=True)
class Engine:
    """Runs the operations of one configuration."""

    config: Config
    store: ConfigStore | None
    connect: Callable[[Topology], ConnectionManager]
    clock: Clock = time
    listener: ProgressListener | None = None
    throttle: ThrottleSettings | None = None
    fence_wait_s: float | None = None
    workers: Workers | None = None

    def apply(
        self,
        plan: Plan,
        *,
        preflight: Callable[[Work], None],
        instead_of: Journal | None = None,
    ) -> Report:
        """Run a plan from its first step, after ``preflight`` found nothing against it.

        An operation that it is run ``instead_of`` ends with it; until then nobody can resume that.
        Its journal has to be one that was read before the plan was made.

        Raises:
            LeaseLostError: the operation it is run instead of went on since; nothing was done.
            RefusedError: a check said no; nothing was done.
            StoppedError: it stopped half way; ``resume`` goes on, and names the operation.
            DatabaseError: the first batch failed; nothing was done.
        """
        operation = f"{plan.operation}-{uuid4().hex[:8]}"
        journal = Journal(self.store, operation)
        holder = holder_of_this_process()
        other = instead_of.operation if instead_of is not None else ""
        with self._work(plan, journal, other) as work:
            self._refuse_unfinished(plan, other)
            preflight(work)
            if instead_of is not None:  # so that whoever was at work on it can write no more
                instead_of.append(Event.TAKEN_OVER, holder=holder)
            journal.append(Event.PLANNED, plan=plan.to_json(), holder=holder, instead_of=other)
            with self._ending_refused(work):
                for shard in _standing_shards(plan, {}):
                    work.enter(shard)
                if other:
                    self._refuse_turned_around(other, by=operation)
            return self._go_on(work, {})

    def resume(self, operation: str) -> Report:
        """Go on with an operation that stopped; one that was being aborted is aborted.

        Raises:
            UsageError: there is none of that name, or it has ended.
            RefusedError: another one turns it around, or it was to turn around what has gone on.
            LeaseHeldError: it runs.
            LeaseLostError: another process has gone on with it meanwhile; nothing was done.
            StoppedError: it stopped again.
        """
        journal, state = self._unfinished(operation)
        self._refuse_overtaken(state)
        with self._taken_over(journal, state) as work:
            if state.phase is Phase.ABORTING:
                return self._take_back(work, state)
            self._refuse_overtaken(state)  # now for certain, as the tokens are raised
            self._check_frozen(work, state)
            return self._go_on(work, state.done)

    def abort(self, operation: str) -> Report:
        """Take an operation back, so that rows and map are as before it.

        An undo that was overtaken by what it was to turn around has done nothing: it only ends.

        Raises:
            RefusedError: it is past the point of no return; the message says what can be done.
            UsageError: there is none of that name, or it has ended.
            LeaseLostError: another process has gone on with it meanwhile; nothing was done.
            StoppedError: it stopped half way; abort or resume goes on with taking back.
        """
        journal, state = self._unfinished(operation)
        if self._overtaker(state) is not None:
            return _end_overtaken(journal, state)
        with self._taken_over(journal, state) as work:
            self._refuse_past_return(work, state)
            if state.phase is not Phase.ABORTING:
                work.journal.append(Event.ABORTING)
            return self._take_back(work, state)

    def _refuse_unfinished(self, plan: Plan, instead_of: str) -> None:
        """Refuse to begin where another operation has stopped half way; a prune is just repeated.

        Raises:
            RefusedError: it has fenced, copied or made things on one of the shards.
        """
        if self.store is None:
            return
        for state in read_operations(self.store):
            if (
                state.is_ended
                or state.id == instead_of
                or not {*state.plan.shards} & {*plan.shards}
            ):
                continue
            if any(step.kind not in _HARMLESS_FIRST for step in state.plan.steps):
                raise RefusedError(
                    f"operation {state.id} on {state.plan.shard} has stopped half way, and must "
                    "end first",
                    next_step=f"shardhash op show {state.id}; then op resume or op abort",
                )
            Journal(self.store, state.id).append(
                Event.ENDED, phase=Phase.SUPERSEDED.value, message=f"by another {plan.operation}"
            )

    def _check_frozen(self, work: Work, state: OperationState) -> None:
        """Stop where a shard has lost, since it was fenced, what the operation goes by."""
        flips = [i for i, step in enumerate(state.plan.steps) if step.kind is StepKind.FLIP]
        for position, step in enumerate(state.plan.steps):
            if step.kind is not StepKind.FENCE or position not in state.done:
                continue
            flip = next(i for i in flips if i > position)
            if flip not in state.begun:
                with self._stopping(work, flip, is_first=False):
                    check_frozen(work, step)

    def _go_on(self, work: Work, done: Mapping[int, Mapping[str, Any]]) -> Report:
        started = self.clock.monotonic()
        results = dict(done)
        for position, step in enumerate(work.plan.steps):
            if position in results:
                continue
            with self._stopping(work, position, is_first=not results):
                work.meter.begin(position + 1, step.title, step.rows)
                work.check()
                work.journal.append(Event.BEGUN, step=position)
                result = RUNNERS[step.kind].run(work, step)
                work.journal.append(Event.DONE, step=position, result=result)
            results[position] = result
        report = _report(work, results, self.clock.monotonic() - started)
        with self._stopping(work, len(work.plan.steps), is_first=False):
            work.leave()
            self._end_other(work)
            work.journal.append(Event.ENDED, phase=Phase.DONE.value, report=report.to_json())
        return report

    def _end_other(self, work: Work) -> None:
        """Write down of the operation that was turned around that it is."""
        if not work.instead_of or self.store is None:
            return
        (other,) = read_operations(self.store, [work.instead_of])
        if other.phase is not Phase.UNDONE:
            journal = Journal(self.store, other.id)
            journal.append(Event.ENDED, phase=Phase.UNDONE.value, message=f"by {work.id}")

    def _take_back(self, work: Work, state: OperationState) -> Report:
        started = self.clock.monotonic()
        positions = state.to_take_back
        work.meter.phases = len(state.begun)
        for number, position in enumerate(positions, start=len(state.undone) + 1):
            step = work.plan.steps[position]
            with self._stopping(work, position, is_first=False):
                work.meter.begin(number, f"take back: {step.title}")
                work.check()
                RUNNERS[step.kind].undo(work, step)
                work.journal.append(Event.UNDONE, step=position)
        report = Report(
            operation=f"abort of {work.plan.operation}",
            id=work.id,
            status=Status.DONE,
            steps_done=len(positions),
            seconds=self.clock.monotonic() - started,
        )
        with self._stopping(work, len(work.plan.steps), is_first=False):
            work.leave(is_done=False)
            for shard in _not_adopted(work):
                release_control(work, shard)
            work.journal.append(Event.ENDED, phase=Phase.ABORTED.value, report=report.to_json())
        return report

    def _refuse_past_return(self, work: Work, state: OperationState) -> None:
        """Refuse to abort what is past its point of no return; an unknown outcome is looked up."""
        point = work.plan.point_of_no_return
        if point is None or not any(position >= point for position in state.begun):
            return
        step = work.plan.steps[point]
        if point in state.done or RUNNERS[step.kind].is_done(work, step):
            raise RefusedError(
                f"operation {work.id} is past its point of no return, {step.title}: it cannot be "
                "aborted",
                next_step=f"go on with shardhash op resume {work.id}, or turn it around with "
                f"shardhash op undo {work.id}",
            )

    def _unfinished(self, operation: str) -> tuple[Journal, OperationState]:
        """Return the journal of an operation, and its state as it was then or later.

        The journal is read first: if anybody writes to it after that, the takeover is refused, so
        that nobody acts on what is not so any more.
        """
        if self.store is None:
            raise UsageError(
                "operations are kept in the configuration's store, and none was given",
                next_step="open the cluster from its file or store: Cluster.open(...)",
            )
        journal = Journal(self.store, operation)
        (state,) = read_operations(self.store, [operation])
        self._refuse_turned_around(operation)
        if state.is_ended:
            raise UsageError(
                f"operation {operation} has ended: {state.phase.value}",
                next_step="shardhash op list shows what has not",
            )
        return journal, state

    def _refuse_turned_around(self, operation: str, *, by: str = "") -> None:
        """Refuse to go on with an operation that another one than ``by`` turns around.

        That one is planned after it has written to the journal of this one, so who reads in
        between sees neither. It is certain only once the tokens are raised: an operation that is
        planned later can do nothing any more.

        Raises:
            RefusedError: there is one that has not ended.
        """
        for other in read_operations(self.store) if self.store is not None else ():
            if other.instead_of == operation and other.id != by and not other.is_ended:
                raise RefusedError(
                    f"operation {operation} is being turned around by {other.id}",
                    next_step=f"shardhash op resume {other.id}",
                )

    def _refuse_overtaken(self, state: OperationState) -> None:
        """Refuse to go on with an undo by whose plan things are not any more.

        Raises:
            RefusedError: what it was to turn around has gone on.
        """
        other = self._overtaker(state)
        if other is None or state.phase is Phase.ABORTING:
            return
        found = f"has ended: {other.phase.value}" if other.is_ended else "prunes since"
        then = "" if other.is_ended else f"; then shardhash op resume {other.id}"
        raise RefusedError(
            f"operation {state.id} was to turn around {other.id}, which {found}",
            next_step=f"shardhash op abort {state.id}, which changes nothing{then}",
        )

    def _overtaker(self, state: OperationState) -> OperationState | None:
        """Return what an undo was to turn around, where that has gone on too far instead."""
        if not state.instead_of or self.store is None:
            return None
        return overtaker_of(state, read_operations(self.store, [state.instead_of]))

    @contextmanager
    def _taken_over(self, journal: Journal, state: OperationState) -> Iterator[Work]:
        """Yield the work of an operation of which this process is now the only one."""
        with self._work(state.plan, journal, state.instead_of) as work:
            journal.append(Event.TAKEN_OVER, holder=holder_of_this_process())
            for shard in _standing_shards(state.plan, state.done):
                if work.connections.has_database(shard) and not _is_released(work, state, shard):
                    work.enter(shard)
            if any(step.kind in CONFIG_STEPS for step in state.plan.steps):
                work.change_config(lambda config: count_takeover(config.text))
            self._refuse_turned_around(state.id)
            yield work

    @contextmanager
    def _work(self, plan: Plan, journal: Journal, instead_of: str = "") -> Iterator[Work]:
        topology = PlannedTopology(self.config, plan)
        with (
            self.connect(topology) as connections,
            Leases(self.store, plan.shards) as leases,
        ):
            try:
                leases.acquire(tokens_of(connections, topology, plan.shards))
            except LeaseHeldError as error:
                raise self._at_work(plan, error) from error
            yield Work(
                id=journal.operation,
                plan=plan,
                given_config=self.config,
                topology=topology,
                connections=connections,
                store=self.store,
                journal=journal,
                leases=leases,
                throttle=self._throttle(connections, plan),
                meter=Meter(plan.operation, len(plan.steps), self._listener(journal)),
                clock=self.clock,
                fence_wait_s=self.fence_wait_s,
                instead_of=instead_of,
                workers=self.workers,
            )

    def _listener(self, journal: Journal) -> ProgressListener:
        """Return what tells the listener of this process, and the store for those elsewhere."""
        saver = ProgressSaver(journal.save_progress, self.clock)
        return saver.save if self.listener is None else _both(self.listener, saver.save)

    def _at_work(self, plan: Plan, error: LeaseHeldError) -> LeaseHeldError:
        """Return the error that names the operation at work; the one given, if there is none."""
        for state in read_operations(self.store) if self.store is not None else ():
            shards = {*state.plan.shards} & {*plan.shards}
            if not (shards and state.is_at_work):
                continue
            follow = f"shardhash op watch {state.id} follows it, shardhash op pause {state.id} "
            return LeaseHeldError(
                f"operation {state.id} is at work on {', '.join(sorted(shards))}: {error}",
                next_step=f"{follow}stops it; if its machine is down, wait for the end of its "
                f"lease, then shardhash op resume {state.id}",
            )
        return error

    def _throttle(self, connections: ConnectionManager, plan: Plan) -> Waiting:
        if self.throttle is None:
            return Unthrottled()
        shards = [self.config.shard(name) for name in plan.shards if name in self.config.shards]
        return Throttle(self.throttle, connections, shards, self.clock)

    @contextmanager
    def _ending_refused(self, work: Work) -> Iterator[None]:
        """Journal that an operation ended before its first step; not what another has resumed."""
        try:
            yield
        except ShardhashError as error:
            work.journal.append(Event.ENDED, phase=Phase.REFUSED.value, message=str(error))
            raise

    @contextmanager
    def _stopping(self, work: Work, position: int, *, is_first: bool) -> Iterator[None]:
        """Journal why a step stopped, and raise what tells how to go on."""
        try:
            yield
        except LeaseLostError:
            raise
        except ShardhashError as error:
            if is_first and _has_changed_nothing(work, position, error):
                work.leave(is_done=False)
                work.journal.append(Event.ENDED, phase=Phase.REFUSED.value, message=str(error))
                raise
            raise _stopped(work, position, str(error), error.next_step) from error
        except KeyboardInterrupt:
            raise _stopped(work, position, "interrupted", "") from None


def _both(first: ProgressListener, second: ProgressListener) -> ProgressListener:
    def tell(progress: Progress) -> None:
        second(progress)
        first(progress)

    return tell


def _end_overtaken(journal: Journal, state: OperationState) -> Report:
    """End an undo that has begun nothing."""
    report = Report(
        operation=f"abort of {state.plan.operation}",
        id=state.id,
        status=Status.DONE,
        steps_done=0,
        seconds=0.0,
    )
    journal.append(Event.ENDED, phase=Phase.ABORTED.value, report=report.to_json())
    return report


def _standing_shards(plan: Plan, done: Collection[int]) -> list[str]:
    """Return the shards that an operation works on, without those that it has yet to make."""
    unmade = {
        step.shard
        for position, step in enumerate(plan.steps)
        if step.kind is StepKind.CREATE_DATABASE and position not in done
    }
    return [name for name in plan.shards if name not in unmade]


def _not_adopted(work: Work) -> list[str]:
    """Return the shards whose databases were there before, and are in no configuration."""
    made = {step.shard for step in work.plan.steps if step.kind is StepKind.CREATE_DATABASE}
    known = work.present_config.shards
    return [name for name in work.plan.new_shards if name not in made and name not in known]


def _is_released(work: Work, state: OperationState, shard: str) -> bool:
    """Tell whether the control tables may be gone: then none are made anew."""
    steps = state.plan.steps
    return any(
        steps[i].kind is StepKind.RELEASE and steps[i].shard == shard for i in state.begun
    ) and not has_control_of(work, shard)


def _has_changed_nothing(work: Work, position: int, error: ShardhashError) -> bool:
    if isinstance(error, StoppedError) or work.meter.rows_done:
        return False
    step = work.plan.steps[position] if position < len(work.plan.steps) else None
    return step is not None and step.kind in _HARMLESS_FIRST


def _stopped(work: Work, position: int, message: str, next_step: str) -> StoppedError:
    try:
        work.journal.append(
            Event.STOPPED,
            step=position,
            message=message,
            next=next_step,
            rows=work.meter.rows_in_step,
        )
    except StoreError as error:
        message = f"{message}; and that could not be written down: {error}"
    count = len(work.plan.steps)
    where = "at its end"
    if position < count:
        where = f"at step {position + 1} of {count}, {work.plan.steps[position].title}"
        if work.meter.rows_in_step:
            where += f", after {work.meter.rows_in_step:,} rows"
    commands = f"shardhash op resume {work.id}"
    point = work.plan.point_of_no_return
    if point is not None and position < point:
        commands += f"; or take it back: shardhash op abort {work.id}"
    mend = f"{next_step}; then " if next_step and "op resume" not in next_step else ""
    if f"op abort {work.id}" in next_step:  # going on would meet the same again
        mend, commands = "", next_step
    return StoppedError(
        f"operation {work.id} stopped {where}: {message}", next_step=f"{mend}{commands}"
    )


def _report(work: Work, results: Mapping[int, Mapping[str, Any]], seconds: float) -> Report:
    rows: dict[str, RowCounts] = {}
    kept: list[KeptRow] = []
    warnings: list[str] = []
    for position in sorted(results):
        result = results[position]
        for table, counts in result.get("rows", {}).items():
            rows[table] = _added(rows.get(table, RowCounts()), counts)
        kept += [KeptRow(row[0], tuple(row[1]), row[2], row[3]) for row in result.get("kept", ())]
        warnings += result.get("warnings", ())
    return Report(
        operation=work.plan.operation,
        id=work.id,
        status=Status.DONE,
        steps_done=len(results),
        rows=rows,
        seconds=seconds,
        kept_rows=tuple(kept),
        warnings=tuple(warnings),
    )


def _added(counts: RowCounts, more: Mapping[str, int]) -> RowCounts:
    return RowCounts(
        before=more.get("before", counts.before),
        after=more.get("after", counts.after),
        deleted=counts.deleted + more.get("deleted", 0),
        copied=counts.copied + more.get("copied", 0),
        kept=counts.kept + more.get("kept", 0),
        no_key=more.get("no_key", counts.no_key),
    )
