"""UNIONs whose parts need each other's rows: asked as one query of all shards, or part by part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from sqlglot import Token, TokenType, exp

from shardhash.db.query._answer import limit_of
from shardhash.db.query._clauses import Piece, direction_of, split_at, tokens_of
from shardhash.db.query._pins import Value, constant
from shardhash.db.query._reduction import Reduction
from shardhash.db.query._result import QueryResult
from shardhash.db.reduce import MemoryCap, SortKey, converter, hold, sort_rows
from shardhash.db.sql import rows_of_union
from shardhash.db.tasks import NUMBER_TYPES, TEXT_TYPES, ResultColumn, Row
from shardhash.db.topology import Backend
from shardhash.errors import QueryRefusedError

__all__ = ["UnionText", "joined_answers", "union_text"]

_WORDS = (TokenType.ALL, TokenType.DISTINCT)
_ORDER = TokenType.ORDER_BY
_LIMITS = (TokenType.LIMIT, TokenType.OFFSET)
_PLAIN = NUMBER_TYPES | {"DATE", "DATETIME", "TIMESTAMP", "TIME", "NULL"}
"""Types whose values are equal and sort here as on the server."""

_SETS = (TokenType.UNION, TokenType.INTERSECT, TokenType.EXCEPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnionText:
    """A UNION cut by its tokens.

    ``all_rows`` is all of it but ORDER BY and LIMIT, with ALL in place of DISTINCT;
    ``before_limit`` is all but LIMIT.
    """

    parts: tuple[str, ...]
    is_distinct: bool
    all_rows: str
    before_limit: str
    order: tuple[Piece, ...]
    limit: Value | None
    offset: Value | None
    source: str
    backend: Backend

    def order_places(self, columns: Sequence[ResultColumn]) -> list[SortKey]:
        """Return the columns of ORDER BY.

        Raises:
            QueryRefusedError: an entry is no column of the result.
        """
        names = [column.name.lower() for column in columns]
        keys = []
        for entry in self.order:
            piece, descending, nulls_first = direction_of(entry, self.source)
            text = piece.tokens[0].text.lower() if len(piece.tokens) == 1 else ""
            place = int(text) - 1 if text.isdigit() else names.index(text) if text in names else -1
            if not 0 <= place < len(columns) or names.count(text) > 1:
                raise QueryRefusedError(
                    f"UNION is sorted by {piece.text[:80]}, which is no column of its result",
                    next_step="name a column of the first SELECT, or its position",
                )
            keys.append(SortKey(place, descending, nulls_first))
        return keys

    def as_one_query(self, columns: Sequence[ResultColumn]) -> str:
        """Return the UNION as a query over all rows of its parts; raises as ``order_places``."""
        ends = []
        for key, entry in zip(self.order_places(columns), self.order, strict=True):
            piece, _, _ = direction_of(entry, self.source)
            ends.append((key.index, entry.text[len(piece.text) :]))
        return rows_of_union(
            self.all_rows,
            len(columns),
            is_distinct=self.is_distinct,
            order=ends,
            rest=self.source[len(self.before_limit) :],
        )


def union_text(source: str, query: exp.SetOperation, backend: Backend) -> UnionText | None:
    """Return a UNION cut into its parts; None for other set operations and mixtures of them."""
    tokens = tokens_of(source, backend)
    outer = list(_outer(tokens))
    sets = [n for n in outer if tokens[n].token_type in _SETS]
    if not sets or any(tokens[n].token_type is not TokenType.UNION for n in sets):
        return None
    alls = [tokens[n + 1].token_type is TokenType.ALL for n in sets]
    if alls[-1] and not all(alls):
        return None  # what DISTINCT has left gets more rows
    words = [n + (1 if tokens[n + 1].token_type in _WORDS else 0) for n in sets]
    order = next((n for n in outer if n > sets[-1] and tokens[n].token_type is _ORDER), None)
    limit = next((n for n in outer if n > sets[-1] and tokens[n].token_type in _LIMITS), None)
    end = min(n for n in (order, limit, len(tokens)) if n is not None)
    starts, ends = [0, *(n + 1 for n in words)], [*sets, end]
    parts = [_bare(source, tokens[a:b]) for a, b in zip(starts, ends, strict=True)]
    all_rows, last = "", 0
    for first, word in zip(sets, words, strict=True):
        all_rows += source[last : tokens[first].start] + "UNION ALL"
        last = tokens[word].end + 1
    all_rows += source[last : tokens[end - 1].end + 1]
    entries = tokens[order + 1 : limit] if order is not None else []
    numbers = [_number(query.args.get(name)) for name in ("limit", "offset")]
    return UnionText(
        parts=tuple(parts),
        is_distinct=not alls[-1],
        all_rows=all_rows,
        before_limit=source[: tokens[limit].start] if limit is not None else source,
        order=tuple(Piece.of(source, part) for part in split_at(entries, TokenType.COMMA) if part),
        limit=numbers[0],
        offset=numbers[1],
        source=source,
        backend=backend,
    )


def _outer(tokens: Sequence[Token]) -> Iterator[int]:
    depth = 0
    for place, token in enumerate(tokens):
        depth -= token.token_type is TokenType.R_PAREN
        if depth == 0:
            yield place
        depth += token.token_type is TokenType.L_PAREN


def _bare(source: str, tokens: Sequence[Token]) -> str:
    """Return a part of a UNION without the parentheses around it."""
    if tokens[0].token_type is TokenType.L_PAREN and tokens[-1].token_type is TokenType.R_PAREN:
        inner = tokens[1:-1]
        if inner and inner[0].token_type is TokenType.SELECT:
            return Piece.of(source, inner).text
    return Piece.of(source, tokens).text


def _number(clause: exp.Expr | None) -> Value | None:
    value = constant(clause.expression) if clause is not None else None
    if clause is not None and value is None:
        raise QueryRefusedError(
            "LIMIT and OFFSET of several shards take numbers or placeholders",
            next_step="compute them in the application",
        )
    return value


def joined_answers(
    union: UnionText,
    columns: tuple[ResultColumn, ...],
    answers: Sequence[QueryResult],
    values: Sequence[object],
    *,
    memory: int,
) -> QueryResult:
    """Return the parts' answers as one, in the types of the UNION's columns.

    Raises:
        QueryRefusedError: a column of a part is of another kind; or texts would be compared here.
        MemoryCapError: rows that are sorted or told apart need more than `memory` bytes.
    """

    def close() -> None:
        for answer in answers:
            answer.close()

    try:
        for part, answer in zip(union.parts, answers, strict=True):
            _check_types(columns, answer.columns, part, union.backend)
        keys = union.order_places(columns)
        places = range(len(columns)) if union.is_distinct else [key.index for key in keys]
        _check_comparable([columns[place] for place in places])
        rows: Iterator[Row] = _converted(columns, answers)
        if places:
            rows = _told_apart(hold(rows, MemoryCap(memory)), places)
        if union.is_distinct:
            rows = iter(dict.fromkeys(rows))
        if keys:
            rows = iter(sort_rows(rows, keys))
        limits = Reduction(
            sql="",
            limit=union.limit,
            offset=union.offset,
            takes_negative_limits=union.backend is Backend.SQLITE,
        )
        offset, limit = limit_of(limits, values)
    except BaseException:
        close()
        raise
    shards = tuple(dict.fromkeys(shard for answer in answers for shard in answer.shards))
    return QueryResult(columns, _cut(rows, offset, limit), shards=shards, close=close)


def _cut(rows: Iterator[Row], offset: int, limit: int | None) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if limit is not None and number >= offset + limit:
            return
        if number >= offset:
            yield row


def _converted(columns: Sequence[ResultColumn], answers: Sequence[QueryResult]) -> Iterator[Row]:
    functions: list[Callable[[object], object]] = [converter(column) for column in columns]
    for row in chain.from_iterable(answers):
        yield tuple([function(value) for function, value in zip(functions, row, strict=True)])


def _told_apart(rows: Iterator[Row], places: Sequence[int]) -> Iterator[Row]:
    """Yield rows, none of which has a text of SQLite, whose collation is not known here."""
    for row in rows:
        if any(isinstance(row[place], str) for place in places):
            raise _texts("texts")
        yield row


def _check_comparable(columns: Sequence[ResultColumn]) -> None:
    for column in columns:
        if column.type and column.type not in _PLAIN:
            raise _texts(column.type)


def _texts(what: str) -> QueryRefusedError:
    return QueryRefusedError(
        f"UNION compares or sorts {what} of parts that are groups, or of several mappings: how a "
        "server compares them is not known here",
        next_step="use UNION ALL without ORDER BY on them, and sort in the application",
    )


def _check_types(
    columns: Sequence[ResultColumn], found: Sequence[ResultColumn], text: str, backend: Backend
) -> None:
    """Refuse values of which the UNION would make others; `text` is the part's."""
    if backend is Backend.SQLITE:
        return
    may_have_more_digits = any(word in text.upper() for word in ("AVG", "/"))
    for column, part in zip(columns, found, strict=True):
        is_number = part.type in NUMBER_TYPES and column.type in NUMBER_TYPES
        is_text = part.type in TEXT_TYPES and column.type in TEXT_TYPES
        is_known = is_number or is_text or part.type in (column.type, "NULL")
        is_same = (part.type, part.scale) == (column.type, column.scale)
        if not is_known or (may_have_more_digits and part.type == "DECIMAL" and not is_same):
            raise QueryRefusedError(
                f"UNION makes {column.type} of {part.type} in column {column.name}: how is not "
                "known here",
                next_step="CAST the column to one type in all parts, or ask for them one by one",
            )
