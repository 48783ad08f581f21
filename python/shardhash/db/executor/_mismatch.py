"""What is said of pages that differ between two shards."""

from collections.abc import Sequence

from shardhash.db.executor._verify import PageMismatch
from shardhash.errors import MismatchError

__all__ = ["mismatch_error"]

_LISTED = 3


def mismatch_error(source: str, target: str, found: Sequence[PageMismatch]) -> MismatchError:
    """Return the error that names the pages that differ, and their first rows."""
    pages = "; ".join(map(_page_words, found[:_LISTED]))
    more = f"; and {len(found) - _LISTED} pages more" if len(found) > _LISTED else ""
    return MismatchError(
        f"{found[0].table} differs between {source} and {target} in {len(found)} pages: "
        f"{pages}{more}",
        next_step=f"look at these rows on both; what is missing on {target} was written past the "
        "guards, or changed there",
    )


def _page_words(page: PageMismatch) -> str:
    told = [
        f"{what} {', '.join(_key_words(key) for key in keys[:_LISTED])}"
        for what, keys in (
            ("missing there:", page.missing),
            ("only there:", page.extra),
            ("different:", page.differing),
        )
        if keys
    ]
    return f"page {page.number} ({page.source_rows} and {page.target_rows} rows; {'; '.join(told)})"


def _key_words(key: Sequence[object]) -> str:
    return "(" + ", ".join(str(value) for value in key) + ")"
