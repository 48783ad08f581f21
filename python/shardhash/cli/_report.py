"""Plans and reports as text: what will be done, and what was."""

from collections.abc import Iterator

from shardhash.cli._console import printable
from shardhash.cli._table import count, table
from shardhash.db.plan import KeptRow, Plan, Report, Step, StepKind, TablePrune

__all__ = ["kept_lines", "plan_lines", "report_lines"]

_HEADINGS = ("table", "rows", "keys", "foreign rows", "foreign keys", "no key", "folded keys")
_SQL_WIDTH = 140


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield a plan: its title, its steps with what each is about, and where it turns final."""
    if plan.operation == "prune":
        yield from _prune_lines(plan)
        return
    mapping = f", mapping {plan.mapping}" if plan.mapping else ""
    yield f"{plan.operation} of {_what(plan)}{mapping}: {count(len(plan.steps), 'step')}"
    yield from map(_move_words, *_flips(plan))
    yield ""
    for number, step in enumerate(plan.steps, start=1):
        if number - 1 == plan.point_of_no_return and number > 1:
            yield "      --- point of no return: before it, op abort takes everything back ---"
        yield f"  {number:2}. {step.title}{_amount(step)}"
        yield f"      check: {step.check}"


def _what(plan: Plan) -> str:
    """Return what an operation works on: one shard, a shard and its copy, or all of a mapping."""
    for step in plan.steps:
        if step.kind is StepKind.COPY_SNAPSHOT:
            return f"shard {step.arguments['model']} as {plan.shard}"
    return "shards" if plan.operation in ("guard", "unguard") else f"shard {plan.shard}"


def _flips(plan: Plan) -> tuple[list[Step], list[str]]:
    """Return the steps that change owners, and for each between which steps nothing is written."""
    numbers = {
        (step.kind, step.arguments.get("slots")): number
        for number, step in enumerate(plan.steps, start=1)
    }
    flips = [step for step in plan.steps if step.kind is StepKind.FLIP]
    frozen = []
    for step in flips:
        slots = step.arguments["slots"]
        fence = numbers.get((StepKind.FENCE, slots))
        frozen.append(f"{fence} to {numbers.get((StepKind.OPEN, slots))}" if fence else "")
    return flips, frozen


def _move_words(flip: Step, frozen: str) -> str:
    slots, source, target = (flip.arguments[key] for key in ("slots", "source", "target"))
    moves = f"slots {_shortened(slots)} go from {source} to {target}"
    if not frozen:
        return f"  {moves}; nobody may write meanwhile"
    return f"  {moves}; from step {frozen} writes to them are refused, reads go on"


def _amount(step: Step) -> str:
    if step.rows is None:
        return ""
    about = "" if step.rows_are_exact else "about "
    size = f", {_size_words(step.size_bytes)}" if step.size_bytes else ""
    return f" ({about}{count(step.rows, 'row')}{size})"


def _size_words(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"about {size:.0f} {unit}"
        size /= 1000
    return f"about {size:.1f} GB"


def _prune_lines(plan: Plan) -> Iterator[str]:
    proof = "with proof" if plan.proof else "WITHOUT PROOF"
    kept = ", into quarantine" if plan.quarantine else ""
    yield (
        f"{plan.operation} of shard {plan.shard}, mapping {plan.mapping}, {proof}: "
        f"{count(plan.foreign_rows, 'row')} to delete{kept}"
    )
    yield ""
    yield from table(_HEADINGS, map(_counts, plan.prunes))
    for prune in plan.prunes:
        yield ""
        yield from _step_lines(prune, plan.batch_rows)


def report_lines(report: Report) -> Iterator[str]:
    """Yield a report: rows by table, the rows that stayed for want of proof, and the time."""
    if report.operation == "prune":
        rows = [
            (name, each.before, each.deleted, each.kept, each.no_key, each.after)
            for name, each in report.rows.items()
        ]
        yield from table(("table", "before", "deleted", "kept", "no key", "after"), rows)
        yield ""
    elif report.rows:
        moved = [(name, each.copied, each.deleted) for name, each in report.rows.items()]
        yield from table(("table", "rows copied", "rows deleted"), moved)
        yield ""
    yield f"{report.operation} {report.status} in {report.seconds:.1f} s ({report.id})"
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


def _counts(step: TablePrune) -> tuple[str | int, ...]:
    return (
        step.table,
        step.row_count,
        step.key_count,
        step.foreign_rows,
        step.foreign_keys,
        step.null_keys,
        step.folded_keys,
    )


def _step_lines(step: TablePrune, batch_rows: int) -> Iterator[str]:
    owners = ", ".join(f"{shard} {rows:,}" for shard, rows in step.owners.items())
    yield f"{step.table}, key {step.key}"
    yield f"  owners: {owners or 'no row belongs to another shard'}"
    yield f"  using:  {step.mechanism}: {step.reason}"
    yield f"  locks:  {step.locks}"
    yield f"  batch:  {batch_rows:,} rows a transaction"
    yield from (f"  sql:    {_shortened(statement)}" for statement in step.sql)


def _shortened(statement: str) -> str:
    """Cut the middle out of a long statement or list of slots; JSON has it whole."""
    if len(statement) <= _SQL_WIDTH:
        return statement
    half = _SQL_WIDTH // 2
    return f"{statement[:half]} ... {statement[-half:]}"


def _kept(row: KeptRow) -> str:
    key = ", ".join(printable(str(value)) for value in row.primary_key)
    return f"{row.table} ({key}): {row.reason}, on {row.owner}"
