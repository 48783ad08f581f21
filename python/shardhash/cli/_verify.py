"""A verification as text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shardhash.cli._console import printable
from shardhash.cli._table import table

if TYPE_CHECKING:
    from shardhash.db.operations import VerifyReport

__all__ = ["verify_lines"]

_HEADINGS = ("shard", "table", "rows", "own", "moving", "no key", "misplaced")
_LISTED_PAGES = 10


def verify_lines(report: "VerifyReport") -> Iterator[str]:
    """Yield where the rows are, the pages that differ with their first rows, and a verdict."""
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


def _key(key: tuple[object, ...]) -> str:
    return "(" + ", ".join(printable(str(value)) for value in key) + ")"
