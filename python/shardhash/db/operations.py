"""Operations on shards: each plans first, from reads only, and is applied as planned."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Self
from uuid import uuid4

from shardhash.db import sql
from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager, SessionSettings
from shardhash.db.executor import PruneRun, PruneTally
from shardhash.db.inspect import KeyReader, database_identity, inspect_table
from shardhash.db.mapping import KeyRouter
from shardhash.db.plan import KeptRow, Mechanism, Plan, Progress, Report, RowCounts, Status, Step
from shardhash.db.planning.prune import TableFacts, check_table, plan_prune
from shardhash.db.schema import Table
from shardhash.db.stores import ConfigStore
from shardhash.db.topology import TableRule
from shardhash.errors import DatabaseError, PreflightError, StalePlanError, StoppedError, UsageError

__all__ = ["Operations", "ProgressListener"]

ProgressListener = Callable[[Progress], None]


class Operations:
    """Plans and applies operations of one configuration.

    It has connections of its own, with sessions set for exact work (UTC, strict mode), so that the
    app's are left alone. Use it as a context manager, or call ``close``.
    """

    def __init__(
        self,
        config: Config,
        *,
        store: ConfigStore | None = None,
        connections: ConnectionManager | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._connections = connections or ConnectionManager(
            config, session=SessionSettings.operations()
        )

    def __enter__(self) -> Self:
        """Return the operations themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self._connections.close()

    def plan_prune(
        self,
        shard: str,
        *,
        mapping: str | None = None,
        tables: Sequence[str] | None = None,
        using: Mechanism | str | None = None,
        proof: bool = True,
    ) -> Plan:
        """Plan the removal of rows that the mapping gives to other shards; only reads.

        Args:
            shard: the shard to prune.
            mapping: its mapping; None where the shard is in exactly one.
            tables: only these tables of the mapping; None for all.
            using: ``"keys"`` or ``"pages"``; None lets the plan choose and say why.
            proof: delete a row only if its owner has an equal row.

        Raises:
            UsageError: unknown shard, mapping, table or mechanism.
            PreflightError: the prune could not be exact; nothing was done.
            DatabaseError: a server did not answer, or refused.
        """
        self._config.shard(shard)
        router = self._router(shard, mapping)
        rules = _chosen(router.mapping.tables, tables)
        self._check_identities({shard, *router.mapping.shards})
        facts = [self._table_facts(shard, router, rule) for rule in rules]
        return plan_prune(
            shard,
            router.mapping,
            facts,
            config_version=self._config.version,
            using=_mechanism(using),
            proof=proof,
        )

    def apply(self, plan: Plan, *, progress: ProgressListener | None = None) -> Report:
        """Do what a plan says and report what was done.

        Running it again, after a failure or a kill, goes on where it stopped: each batch is whole
        or untouched and proves itself.

        Raises:
            StalePlanError: configuration or schema changed since the plan; nothing was done.
            StoreError: the store cannot confirm the configuration; nothing was done.
            StoppedError: a batch failed after others were done.
            DatabaseError: the first batch failed; nothing was done.
        """
        self._check_version(plan)
        started = time.monotonic()
        router = self._router(plan.shard, plan.mapping)
        self._check_identities({plan.shard, *router.mapping.shards})
        runs = [self._prune_run(plan, step, router) for step in plan.steps]
        rows: dict[str, RowCounts] = {}
        kept: list[KeptRow] = []
        warnings: list[str] = []
        for phase, run in enumerate(runs, start=1):
            watch = _Watch(progress, run.step, phase, len(runs))
            before = self._row_count(run.table, plan.shard)
            tally = self._run(run, watch, done=list(rows))
            counts = self._counts_after(run, before, tally)
            rows[run.table.name] = counts
            kept += tally.kept_rows
            if counts.after != counts.before - counts.deleted:
                warnings.append(
                    f"{run.table.name}: other sessions changed its number of rows meanwhile"
                )
        return Report(
            operation="prune",
            id=uuid4().hex[:12],
            status=Status.DONE,
            steps_done=len(runs),
            rows=rows,
            seconds=time.monotonic() - started,
            kept_rows=tuple(kept),
            warnings=tuple(warnings),
        )

    def _check_version(self, plan: Plan) -> None:
        """Refuse a plan for another configuration than these operations or the store have."""
        own = self._config.version
        present = self._store.version() if self._store else own
        for version in (own, present):
            if plan.config_version != version:
                raise StalePlanError(
                    f"the plan was made for configuration {plan.config_version[:12]}, the present "
                    f"one is {version[:12]}",
                    next_step="load the configuration anew, and make the plan again",
                )

    def _router(self, shard: str, mapping: str | None) -> KeyRouter:
        if mapping is None:
            names = [name for name, each in self._config.mappings.items() if shard in each.shards]
            if len(names) != 1:
                raise UsageError(
                    f"shard {shard} is in {len(names)} mappings: {', '.join(names) or 'none'}",
                    next_step="name the mapping with --mapping",
                )
            mapping = names[0]
        return self._config.router(mapping)

    def _check_identities(self, shards: Iterable[str]) -> None:
        """Refuse two names for one database: a row would prove itself and be lost."""
        names: dict[object, str] = {}
        for shard in sorted(shards):
            with self._connections.write(shard) as connection:
                identity, read_only = database_identity(
                    connection, self._connections.backend(shard)
                )
            if read_only:
                raise PreflightError(
                    f"the server of shard {shard} is read-only: operations work on primaries",
                    next_step=f"point the instance of {shard} to the primary",
                )
            if identity in names:
                raise PreflightError(
                    f"shards {names[identity]} and {shard} are one and the same database",
                    next_step="correct the instance or the database of one of them",
                )
            names[identity] = shard

    def _table_facts(self, shard: str, router: KeyRouter, rule: TableRule) -> TableFacts:
        with self._connections.write(shard) as connection:
            backend = self._connections.backend(shard)
            table = inspect_table(connection, rule.name, backend)
            check_table(table)
            reader = KeyReader(table, table.column(rule.key), router)
            keys = reader.facts(connection, shard)
        twins = {owner: self._table(owner, rule.name) for owner in keys.owners}
        return TableFacts(
            rule=rule, key_type=router.mapping.key.type, table=table, keys=keys, twins=twins
        )

    def _table(self, shard: str, name: str) -> Table:
        with self._connections.write(shard) as connection:
            return inspect_table(connection, name, self._connections.backend(shard))

    def _prune_run(self, plan: Plan, step: Step, router: KeyRouter) -> PruneRun:
        table = self._table(plan.shard, step.table)
        if table.fingerprint != step.fingerprint:
            raise StalePlanError(
                f"table {step.table} of {plan.shard} changed since the plan was made",
                next_step="make the plan again",
            )
        return PruneRun(
            connections=self._connections,
            shard=plan.shard,
            step=step,
            table=table,
            keys=KeyReader(table, table.column(step.key), router),
            proof=plan.proof,
            batch_rows=plan.batch_rows,
        )

    def _run(self, run: PruneRun, watch: "_Watch", done: list[str]) -> PruneTally:
        try:
            return run.run(watch.on_batch)
        except DatabaseError as error:
            if not (done or watch.rows_done):
                raise
            raise StoppedError(
                f"prune of {run.shard} stopped in table {run.table.name} after "
                f"{watch.rows_done} deleted rows there: {error}",
                next_step=f"{error.next_step}; then run the same prune again: it goes on",
            ) from error

    def _row_count(self, table: Table, shard: str) -> int:
        with self._connections.write(shard) as connection:
            return int(connection.exec_driver_sql(sql.count_rows(table).sql).scalar_one())

    def _counts_after(self, run: PruneRun, before: int, tally: PruneTally) -> RowCounts:
        with self._connections.write(run.shard) as connection:
            facts = run.keys.facts(connection, run.shard)
        return RowCounts(
            before=before,
            after=facts.row_count,
            deleted=tally.deleted,
            kept=facts.foreign_rows,
            no_key=facts.null_keys,
        )


class _Watch:
    """Turns the tally of one table into progress events."""

    def __init__(
        self, listener: ProgressListener | None, step: Step, phase: int, phases: int
    ) -> None:
        self._listener = listener
        self._step = step
        self._started = time.monotonic()
        self._event = Progress(
            operation="prune",
            phase=phase,
            phases=phases,
            title=step.table,
            rows_done=0,
            rows_about=step.foreign_rows,
            rows_per_s=0.0,
            eta_s=None,
        )
        self.rows_done = 0

    def on_batch(self, tally: PruneTally) -> None:
        """Tell the listener how far the table is."""
        self.rows_done = tally.deleted
        if self._listener is None:
            return
        seen = tally.deleted + tally.kept
        rate = seen / max(time.monotonic() - self._started, 1e-9)
        left = max(self._step.foreign_rows - seen, 0)
        self._listener(
            replace(
                self._event, rows_done=seen, rows_per_s=rate, eta_s=left / rate if rate else None
            )
        )


def _chosen(rules: Sequence[TableRule], tables: Sequence[str] | None) -> list[TableRule]:
    if tables is None:
        return list(rules)
    by_name = {rule.name: rule for rule in rules}
    unknown = [name for name in tables if name not in by_name]
    if unknown:
        raise UsageError(
            f"the mapping has no table {', '.join(unknown)}; it has {', '.join(by_name)}",
            next_step="name tables of the mapping",
        )
    return [by_name[name] for name in dict.fromkeys(tables)]


def _mechanism(using: Mechanism | str | None) -> Mechanism | None:
    if using is None:
        return None
    try:
        return Mechanism(using)
    except ValueError:
        raise UsageError(
            f"there is no way to prune called {using!r}",
            next_step=f"use one of {', '.join(Mechanism)}",
        ) from None
