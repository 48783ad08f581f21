"""Plans and reports as text: what will be done, and what was."""

from collections.abc import Iterator

from shardhash.cli._console import printable
from shardhash.cli._table import count, table
from shardhash.db.plan import KeptRow, Plan, Report, Step

__all__ = ["kept_lines", "plan_lines", "report_lines"]

_HEADINGS = ("table", "rows", "keys", "foreign rows", "foreign keys", "no key", "folded keys")
_SQL_WIDTH = 140


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield a plan: its title, the counts of its tables, and how each table is worked through."""
    proof = "with proof" if plan.proof else "WITHOUT PROOF"
    yield (
        f"{plan.operation} of shard {plan.shard}, mapping {plan.mapping}, {proof}: "
        f"{count(plan.foreign_rows, 'row')} to delete"
    )
    yield ""
    yield from table(_HEADINGS, map(_counts, plan.steps))
    for step in plan.steps:
        yield ""
        yield from _step_lines(step, plan.batch_rows)


def report_lines(report: Report) -> Iterator[str]:
    """Yield a report: rows by table, the rows that stayed for want of proof, and the time."""
    rows = [
        (name, each.before, each.deleted, each.kept, each.no_key, each.after)
        for name, each in report.rows.items()
    ]
    yield from table(("table", "before", "deleted", "kept", "no key", "after"), rows)
    yield ""
    yield f"{report.operation} {report.status} in {report.seconds:.1f} s"
    yield from kept_lines(report)


def kept_lines(report: Report) -> Iterator[str]:
    """Yield the rows that stayed because their owner has no equal row, as far as listed."""
    if not report.kept:
        return
    yield ""
    yield f"{count(report.kept, 'foreign row')} stayed, because the owner has no equal row:"
    yield from (f"  {_kept(row)}" for row in report.kept_rows)
    unlisted = report.kept - len(report.kept_rows)
    if unlisted > 0:
        yield f"  and {unlisted:,} more"


def _counts(step: Step) -> tuple[str | int, ...]:
    return (
        step.table,
        step.row_count,
        step.key_count,
        step.foreign_rows,
        step.foreign_keys,
        step.null_keys,
        step.folded_keys,
    )


def _step_lines(step: Step, batch_rows: int) -> Iterator[str]:
    owners = ", ".join(f"{shard} {rows:,}" for shard, rows in step.owners.items())
    yield f"{step.table}, key {step.key}"
    yield f"  owners: {owners or 'no row belongs to another shard'}"
    yield f"  using:  {step.mechanism}: {step.reason}"
    yield f"  locks:  {step.locks}"
    yield f"  batch:  {batch_rows:,} rows a transaction"
    yield from (f"  sql:    {_shortened(statement)}" for statement in step.sql)


def _shortened(statement: str) -> str:
    """Cut the middle out of a statement that lists every column; JSON has it whole."""
    if len(statement) <= _SQL_WIDTH:
        return statement
    half = _SQL_WIDTH // 2
    return f"{statement[:half]} ... {statement[-half:]}"


def _kept(row: KeptRow) -> str:
    key = ", ".join(printable(str(value)) for value in row.primary_key)
    return f"{row.table} ({key}): {row.reason}, on {row.owner}"
