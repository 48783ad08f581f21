"""A verification as text."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from shardhash.cli._console import printable
from shardhash.cli._table import table

if TYPE_CHECKING:
    from shardhash.db.operations import MisplacedRow, TableVerdict, VerifyReport

__all__ = ["verify_lines"]

_HEADINGS = ("shard", "table", "rows", "own", "moving", "no key", "misplaced")
_LISTED_PAGES = 10
_VALUE_WIDTH = 60


def verify_lines(report: "VerifyReport") -> Iterator[str]:
    """Yield where rows are, the first misplaced ones, the pages that differ, and a verdict."""
    if report.tables:
        yield from table(
            _HEADINGS,
            (
                (
                    each.shard,
                    each.table,
                    each.rows,
                    each.owned,
                    each.unowned,
                    each.no_key,
                    ", ".join(f"{count} of {owner}" for owner, count in each.misplaced.items())
                    or 0,
                )
                for each in report.tables
            ),
        )
        yield ""
    for each in report.tables:
        yield from _row_lines(each)
    for source, target, page in report.mismatches[:_LISTED_PAGES]:
        yield (
            f"{page.table}, page {page.number}: {page.source_rows:,} rows on {source}, "
            f"{page.target_rows:,} on {target}"
        )
        for what, keys in (
            (f"missing on {target}", page.missing),
            (f"only on {target}", page.extra),
            ("different", page.differing),
        ):
            if keys:
                yield f"  {what}: {', '.join(map(_key, keys))}"
    if len(report.mismatches) > _LISTED_PAGES:
        yield f"and {len(report.mismatches) - _LISTED_PAGES} pages more"
    for shard, problem in report.problems.items():
        yield f"{shard}: {problem}"
    if report.is_clean:
        yield "Every row is where it should be."


def _row_lines(verdict: "TableVerdict") -> Iterator[str]:
    """Yield the first rows of a table that are misplaced, and the first without a key."""
    if verdict.misplaced_rows:
        yield f"{verdict.table} on {verdict.shard}, misplaced:"
        yield from (f"  {_misplaced(row)}" for row in verdict.misplaced_rows)
        unlisted = sum(verdict.misplaced.values()) - len(verdict.misplaced_rows)
        if unlisted > 0:
            yield f"  and {unlisted:,} more"
    if verdict.no_key_rows:
        unlisted = verdict.no_key - len(verdict.no_key_rows)
        more = f" and {unlisted:,} more" if unlisted > 0 else ""
        listed = ", ".join(map(_key, verdict.no_key_rows))
        yield f"{verdict.table} on {verdict.shard}, no key: {listed}{more}"


def _misplaced(row: "MisplacedRow") -> str:
    place = ""
    if row.slot is not None:
        place = f", slot {row.slot}"
    elif row.range_number is not None:
        place = f", range {row.range_number}"
    return f"{_key(row.primary_key)}: key {_value(row.key)}{place}, owner {row.owner}"


def _key(key: Iterable[object]) -> str:
    return "(" + ", ".join(map(_value, key)) + ")"


def _value(value: object) -> str:
    """Return a value of a key, cut where it is long; JSON has it whole."""
    from shardhash.db.operations import key_text

    text = key_text(value)
    return printable(text if len(text) <= _VALUE_WIDTH else f"{text[:_VALUE_WIDTH]}...")
