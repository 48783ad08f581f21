"""Whether two answers are one: values and types, names of columns, the order where it counts.

Pure. What one database answers is right by definition; the shards' answer is held against it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import zip_longest

from shardhash.db.tasks import INTEGER_TYPES

__all__ = ["Answer", "Comparison", "Folds", "Verdict", "compare"]

Row = tuple[object, ...]
Folds = Mapping[int, Mapping[str, str]]
"""By output column: each text, and the one that stands for all that the server calls equal."""


class Verdict(StrEnum):
    """What came of a question that one database and the shards were both asked."""

    SAME = "same"
    WRONG = "wrong"
    REFUSED = "refused"
    BOTH_FAILED = "both failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows with the names and the server's types of their columns, or the error in their place."""

    columns: tuple[tuple[str, str], ...] = ()
    rows: tuple[Row, ...] = ()
    error: Exception | None = None
    is_refusal: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """A question, both answers, the verdict, and the first difference or why it was refused."""

    sql: str
    verdict: Verdict
    reason: str = ""
    parameters: object = ()
    expected: Answer = field(default_factory=Answer, repr=False)
    found: Answer = field(default_factory=Answer, repr=False)

    def __str__(self) -> str:
        """Return the whole case: enough to repeat it."""
        return (
            f"{self.verdict}: {self.reason}\n  {self.sql}\n  parameters: {self.parameters!r}\n"
            f"  one database: {_shown(self.expected)}\n  the shards:   {_shown(self.found)}"
        )


def compare(
    expected: Answer,
    found: Answer,
    *,
    is_ordered: bool,
    folds: Folds | None = None,
    float_tolerance: float = 0.0,
    any_integers: bool = False,
) -> tuple[Verdict, str]:
    """Return the verdict on `found`, and what differs first.

    Args:
        expected: what one database answered.
        found: what the shards answered.
        is_ordered: whether the question fixes the order of the rows.
        folds: texts of an output column that the server calls equal; any of them is right.
        float_tolerance: relative distance at which floats still count as equal; 0: exactly.
        any_integers: whether all types of whole numbers are one type.
    """
    if found.is_refusal:
        return Verdict.REFUSED, str(found.error)
    if expected.error or found.error:
        return _compare_errors(expected, found)
    if _columns(expected, any_integers) != _columns(found, any_integers):
        return Verdict.WRONG, f"columns {found.columns} instead of {expected.columns}"
    ours = [_folded(row, folds or {}) for row in found.rows]
    theirs = [_folded(row, folds or {}) for row in expected.rows]
    if not is_ordered:
        ours, theirs = sorted(ours, key=_sort_key), sorted(theirs, key=_sort_key)
    for place, (our, their) in enumerate(zip_longest(ours, theirs)):
        if our is None or their is None or not _is_same_row(our, their, float_tolerance):
            where = f"row {place} of {len(theirs)}" + ("" if is_ordered else ", sorted")
            return Verdict.WRONG, f"{where}: {our} instead of {their}"
    return Verdict.SAME, ""


def _columns(answer: Answer, any_integers: bool) -> Sequence[tuple[str, str]]:
    if not any_integers:
        return answer.columns
    whole = INTEGER_TYPES | {"YEAR"}
    return [(name, "INT" if type_ in whole else type_) for name, type_ in answer.columns]


def _compare_errors(expected: Answer, found: Answer) -> tuple[Verdict, str]:
    if expected.error and found.error:
        return Verdict.BOTH_FAILED, str(expected.error)
    if expected.error:
        return Verdict.WRONG, f"an answer where one database fails: {expected.error}"
    return Verdict.WRONG, f"fails where one database answers: {found.error!r}"


def _folded(row: Row, folds: Folds) -> Row:
    return tuple(
        folds[place].get(value, value) if place in folds and isinstance(value, str) else value
        for place, value in enumerate(row)
    )


def _is_same_row(ours: Sequence[object], theirs: Sequence[object], tolerance: float) -> bool:
    return len(ours) == len(theirs) and all(
        _is_same_value(our, their, tolerance) for our, their in zip(ours, theirs, strict=True)
    )


def _is_same_value(ours: object, theirs: object, tolerance: float) -> bool:
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, float) and isinstance(theirs, float) and tolerance:
        return math.isclose(ours, theirs, rel_tol=tolerance)
    return repr(ours) == repr(theirs)  # 1.0 and 1.00 are two decimals, 0.0 and -0.0 two floats


def _sort_key(row: Row) -> tuple[object, ...]:
    """Sort by types and by what is exact first, so that floats a hair apart still meet."""
    types = [type(value).__name__ for value in row]
    exact = [repr(value) for value in row if not isinstance(value, float)]
    return (types, exact, [value for value in row if isinstance(value, float)])


def _shown(answer: Answer) -> str:
    if answer.error:
        return f"{type(answer.error).__name__}: {answer.error}"
    rows = ", ".join(map(repr, answer.rows[:5])) + (", ..." if len(answer.rows) > 5 else "")
    return f"{len(answer.rows)} rows of {list(answer.columns)}: {rows}"
