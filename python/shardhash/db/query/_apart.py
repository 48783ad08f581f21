"""Subqueries of expressions that are answered first, for all shards, and stand as values then.

Only one that names no column of the query around it: its answer is the same for every row there.
Its values go into the statement with the type that the server gave them, so that it compares them
as it would have compared the subquery's own.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice

from sqlglot import Token, TokenType, exp

from shardhash.db.query._blocks import Apart
from shardhash.db.query._clauses import parse, tokens_of
from shardhash.db.query._result import QueryResult
from shardhash.db.schema import Column
from shardhash.db.sql import cast, no_rows
from shardhash.db.tasks import NUMBER_TYPES, TEXT_TYPES, ResultColumn, Row
from shardhash.db.topology import Backend
from shardhash.errors import QueryRefusedError

__all__ = ["Place", "Substitution", "places_of", "with_marks"]

_MARKS = re.compile(r":_sh_p\d+_")
_MOST_VALUES = 10_000
_QUERIES = (TokenType.SELECT, TokenType.WITH)
_NUMBERS = NUMBER_TYPES | {"NULL"}
_MOMENTS = {
    "DATE": "DATE",
    "DATETIME": "DATETIME(6)",
    "TIMESTAMP": "DATETIME(6)",
    "TIME": "TIME(6)",
}
_NUMBER_COLUMNS = frozenset({"decimal", "double", "float"})
_MOMENT_COLUMNS = frozenset({"date", "datetime", "timestamp", "time"})

_OTHER_TYPE = "gives values of another type than what they are compared with"
_ASK_TWICE = "ask for the parts one by one, and pass the first answer to the second as parameters"

CollationOf = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a subquery stands in a statement: its text, and that of what its answer replaces."""

    apart: Apart
    inner: str
    start: int
    end: int


def places_of(text: str, found: Sequence[Apart], backend: Backend) -> list[Place]:
    """Return where subqueries stand in a statement; none if one of them cannot be told apart."""
    tokens = tokens_of(text, backend)
    waiting, places, at = list(found), [], 0
    while at + 1 < len(tokens):
        place = _place(text, tokens, at, waiting, backend)
        at += 1
        if place is not None:
            places.append(place)
            inside = set(map(id, place.apart.query.walk()))
            waiting = [each for each in waiting if id(each.query) not in inside]
            while at < len(tokens) and tokens[at].start < place.end:
                at += 1
    return [] if waiting else places


def with_marks(text: str, places: Sequence[Place]) -> str:
    """Return a statement for a person to read, with the number of an answer for each subquery."""
    for number, place in reversed(list(enumerate(places, 1))):
        text = f"{text[: place.start]}(answer {number}){text[place.end :]}"
    return _MARKS.sub("%s", text)


def _place(
    text: str, tokens: Sequence[Token], at: int, waiting: Sequence[Apart], backend: Backend
) -> Place | None:
    follows = tokens[at + 1].token_type
    if tokens[at].token_type is not TokenType.L_PAREN or follows not in _QUERIES:
        return None
    last = _closing(tokens, at)
    inner = text[tokens[at + 1].start : tokens[last].start]
    before = tokens[at - 1] if at else tokens[at]
    if before.token_type in (TokenType.FROM, TokenType.JOIN):
        return None
    tree = parse(inner, backend)
    apart = next((each for each in waiting if each.query == tree), None)
    if apart is None:
        return None
    start = before.start if apart.kind == "exists" else tokens[at].start
    return Place(apart, inner.rstrip(), start, tokens[last].end + 1)


def _closing(tokens: Sequence[Token], opening: int) -> int:
    depth = 0
    for place in range(opening, len(tokens)):
        kind = tokens[place].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if depth == 0:
            return place
    raise AssertionError(opening)


class Substitution:
    """Puts the answers of subqueries in their places.

    Args:
        text: the statement, with marks for its placeholders.
        values: those of the placeholders.
    """

    def __init__(self, text: str, values: Sequence[object], backend: Backend) -> None:
        self.text = text
        self.values = list(values)
        self._backend = backend

    def put(self, place: Place, answer: QueryResult, collation_of: CollationOf) -> None:
        """Replace a subquery, after those behind it, by its answer, which is read.

        Raises:
            QueryRefusedError: it has too many rows, or values that would compare in another way.
        """
        with answer:
            made = self._made(place, answer, collation_of)
        self.text = self.text[: place.start] + made + self.text[place.end :]

    def _made(self, place: Place, answer: QueryResult, collation_of: CollationOf) -> str:
        rows = iter(answer)
        if place.apart.kind == "exists":
            return "(1 = 1)" if next(rows, None) is not None else "(1 = 0)"
        if len(answer.columns) != 1:
            raise _refused(place, "gives several columns", "name one column in it")
        column = answer.columns[0]
        self._check_type(place, column, collation_of)
        if place.apart.kind == "in":
            return self._list(place, rows, column)
        found = list(islice(rows, 2))
        if len(found) > 1:
            raise _refused(place, "gives more than one row", "add LIMIT 1, or take MIN() or MAX()")
        return self._literal(found[0][0] if found else None, column)

    def _list(self, place: Place, rows: Iterable[Row], column: ResultColumn) -> str:
        found = list(dict.fromkeys(row[0] for row in islice(rows, _MOST_VALUES + 1)))
        if len(found) > _MOST_VALUES:
            raise _refused(
                place,
                f"gives more than {_MOST_VALUES:,} rows",
                "join the tables by the shard key, or limit the subquery",
            )
        if not found:
            return f"({no_rows()})"
        return f"({', '.join(self._literal(value, column) for value in found)})"

    def _literal(self, value: object, column: ResultColumn) -> str:
        mark = f":_sh_p{len(self.values)}_"
        self.values.append(value)
        if self._backend is Backend.SQLITE or value is None:
            return mark
        if column.type in _MOMENTS:
            if not isinstance(value, date | timedelta):
                raise QueryRefusedError(
                    f"a subquery gives {value!s}, which is no moment that can be sent on",
                    next_step="leave it out in the subquery's WHERE",
                )
            return cast(mark, _MOMENTS[column.type])
        if isinstance(value, Decimal) and "E" in str(value):
            return cast(mark, f"DECIMAL(65, {column.scale or 0})")
        return mark

    def _check_type(self, place: Place, column: ResultColumn, collation_of: CollationOf) -> None:
        """Refuse values that would compare in another way than the subquery's own.

        Sources: https://dev.mysql.com/doc/refman/8.0/en/type-conversion.html,
        https://sqlite.org/datatype3.html#comparison_expressions.
        """
        if self._backend is Backend.SQLITE:
            if not _compares_alike(place.apart):
                raise _refused(place, _OTHER_TYPE, _ASK_TWICE)
            return
        other = place.apart.column
        if column.type in TEXT_TYPES:
            if other is None or other.is_numbered or not other.collation:
                raise _refused(
                    place, "gives texts that are compared with no text column", _ASK_TWICE
                )
            if collation_of(place.inner) != other.collation:
                raise _refused(place, "gives texts of another collation", _ASK_TWICE)
            return
        if column.type not in _NUMBERS and column.type not in _MOMENTS:
            raise _refused(place, f"gives values of type {column.type}", _ASK_TWICE)
        if other is not None and not _is_alike(other, column):
            raise _refused(place, _OTHER_TYPE, _ASK_TWICE)


def _is_alike(other: Column, column: ResultColumn) -> bool:
    if column.type in _MOMENTS:
        return other.data_type in _MOMENT_COLUMNS
    return other.is_integer or other.data_type in _NUMBER_COLUMNS


def _compares_alike(apart: Apart) -> bool:
    """Tell whether SQLite compares a bound value as it does the subquery's column.

    A column has an affinity, also one of an inner query; what is computed has none, but for CAST.
    """
    if apart.inner is None:
        if not isinstance(apart.query, exp.Select):
            return False
        items = [item.unalias().unnest() for item in apart.query.expressions]
        return not any(isinstance(i, exp.Column | exp.Star) or i.find(*_TYPED) for i in items)
    return apart.column is not None and apart.column.data_type == apart.inner.data_type


_TYPED = (exp.Cast, exp.Select, exp.SetOperation)


def _refused(place: Place, why: str, next_step: str) -> QueryRefusedError:
    return QueryRefusedError(
        f"the subquery ({place.inner[:80]}) is answered first, and {why}", next_step=next_step
    )
