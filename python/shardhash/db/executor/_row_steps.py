"""The steps that copy, compare and delete rows."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from shardhash.db import sql
from shardhash.db.executor._copy import copy_table, delete_copy
from shardhash.db.executor._elsewhere import BatchOrder, run_batch
from shardhash.db.executor._mismatch import mismatch_error
from shardhash.db.executor._pages import forget_pages
from shardhash.db.executor._planned import planned_table, table_to_prune
from shardhash.db.executor._prune import PruneRun, PruneTally
from shardhash.db.executor._prune_pages import prune_pages
from shardhash.db.executor._quarantine import restore_quarantine
from shardhash.db.executor._runner import Result, Runner, slots_of
from shardhash.db.executor._statements import PrimaryKey
from shardhash.db.executor._verify import verify_table
from shardhash.db.executor._work import Work
from shardhash.db.inspect import KeyReader, inspect_table
from shardhash.db.plan import Step, TablePrune
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter
from shardhash.errors import MismatchError

__all__ = ["COPY", "PRUNE", "PRUNE_PAGES", "RESTORE", "VERIFY"]

_LISTED = 3


@dataclass(frozen=True, slots=True)
class _Recording:
    """The work of an operation under the name that a transfer's pages are recorded by.

    An operation may move rows of one table from one shard to several: each has pages of its own.
    """

    work: Work
    operation: str

    @classmethod
    def of(cls, work: Work, step: Step) -> "_Recording":
        """Return the work for a step that records pages, or goes by what was recorded."""
        operation = step.arguments.get("recorded_by") or work.id
        return cls(work, f"{operation}:{step.arguments['target']}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.work, name)


def _table(work: Work, shard: str, step: Step) -> Table:
    with work.read(shard) as connection:
        return inspect_table(connection, step.table or "", work.backend(shard))


def _rows(work: Work, table: Table, step: Step) -> RowFilter:
    """Return the filter of the rows of the step's slots."""
    mapping = work.config.mapping(step.arguments["mapping"])
    column = table.column(step.arguments["key"])
    return RowFilter.of_mapping(mapping, column, slots_of(step), table.backend)


def _copy(work: Work, step: Step) -> Result:
    source, target = step.arguments["source"], step.arguments["target"]
    table = planned_table(work, source, step.table or "")
    rows = _rows(work, table, step)
    copied = copy_table(
        work,
        source,
        target,
        table,
        rows,
        sync=step.arguments["sync"],
        fresh=target in work.plan.new_shards,
    )
    return {"rows": {table.name: {"copied": copied}}}


def _delete_copy(work: Work, step: Step) -> None:
    """Delete what was copied; a copy that was there before, and only brought up to date, stays."""
    if step.arguments["sync"]:
        return
    target = step.arguments["target"]
    table = _table(work, target, step)
    delete_copy(work, target, table, _rows(work, table, step))


def _verify(work: Work, step: Step) -> Result:
    """Compare both sides; what agrees is recorded as the proof by which the source is pruned."""
    source, target = step.arguments["source"], step.arguments["target"]
    table = planned_table(work, source, step.table or "")
    rows = _rows(work, table, step)
    recording = _Recording.of(work, step)
    found = verify_table(recording, source, target, table, rows, record=True)
    if found:
        raise mismatch_error(source, target, found)
    return {}


def _forget_pages(work: Work, step: Step) -> None:
    forget_pages(_Recording.of(work, step), step.arguments["source"], step.table or "")


def _prune_pages(work: Work, step: Step) -> Result:
    """Delete the source's old rows, each page by the proof that its verification recorded."""
    source = step.arguments["source"]
    table = table_to_prune(work, source, step)
    done = prune_pages(
        _Recording.of(work, step),
        source,
        table,
        _rows(work, table, step),
        quarantine=step.arguments["quarantine"],
    )
    if done.kept_pages:
        numbers = ", ".join(str(page.number) for page in done.kept_pages[:_LISTED])
        raise MismatchError(
            f"{len(done.kept_pages)} pages of {table.name} on {source} are not what they were when "
            f"they were verified ({done.kept} rows, pages {numbers}): they stay",
            next_step=f"shardhash shard verify {source} --against {step.arguments['target']} shows "
            "the rows; somebody wrote past the guards",
        )
    warnings = []
    if done.gone_already:
        warnings.append(
            f"{table.name}: somebody else has deleted {done.gone_already} of its old rows on "
            f"{source}" + (": they are not in quarantine" if step.arguments["quarantine"] else "")
        )
    return {"rows": {table.name: {"deleted": done.deleted}}, "warnings": warnings}


def _prune(work: Work, step: Step) -> Result:
    """Delete foreign rows that their owners have, as a plan of prune says."""
    planned = TablePrune.of(step)
    table = planned_table(work, step.shard, step.table or "")
    router = work.present_config.router(work.plan.mapping)
    run = PruneRun(
        work=work,
        shard=step.shard,
        step=planned,
        table=table,
        keys=KeyReader(table, table.column(planned.key), router),
        proof=work.plan.proof,
        batch_rows=work.plan.batch_rows,
        quarantine=work.plan.quarantine,
        submit=_submitter(work, step, planned, table),
    )
    before = _row_count(work, step.shard, table)
    tally = run.run()
    with work.read(step.shard) as connection:
        facts = run.keys.facts(connection, step.shard)
    warnings = []
    if facts.row_count != before - tally.deleted:
        warnings.append(f"{table.name}: other sessions changed its number of rows meanwhile")
    return {
        "rows": {
            table.name: {
                "before": before,
                "after": facts.row_count,
                "deleted": tally.deleted,
                "kept": facts.foreign_rows,
                "no_key": facts.null_keys,
            }
        },
        "kept": [
            [row.table, [_plain(value) for value in row.primary_key], row.owner, row.reason]
            for row in tally.kept_rows
        ],
        "warnings": warnings,
    }


def _submitter(
    work: Work, step: Step, planned: TablePrune, table: Table
) -> Callable[[list[PrimaryKey]], Future[PruneTally]] | None:
    """Return what hands a batch to other processes; None where threads of this one do it."""
    workers = work.workers
    if workers is None or workers.is_here:
        return None
    order = BatchOrder(
        config=workers.reference(),
        config_version=work.present_config.version,
        operation=work.id,
        shard=step.shard,
        token=work.leases.token(step.shard),
        mapping=work.plan.mapping,
        step=planned,
        table=table,
        proof=work.plan.proof,
        batch_rows=work.plan.batch_rows,
        quarantine=work.plan.quarantine,
    )
    executor = workers.executor
    return lambda primary_keys: executor.submit(run_batch, order, primary_keys)


def _plain(value: object) -> object:
    if isinstance(value, int | str | None):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def _row_count(work: Work, shard: str, table: Table) -> int:
    with work.read(shard) as connection:
        return int(connection.exec_driver_sql(sql.count_rows(table).sql).scalar_one())


def _restore(work: Work, step: Step) -> Result:
    """Put the rows back that a prune has put in quarantine."""
    table = _table(work, step.shard, step)
    restored = restore_quarantine(work, step.shard, table, step.arguments["recorded_by"])
    return {"rows": {table.name: {"copied": restored}}}


COPY = Runner(_copy, _delete_copy)
VERIFY = Runner(_verify, _forget_pages)
PRUNE = Runner(_prune)
PRUNE_PAGES = Runner(_prune_pages)
RESTORE = Runner(_restore)
