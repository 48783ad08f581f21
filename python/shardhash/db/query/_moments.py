"""The present moment in a statement for several shards: asked of one, and the same for all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import Token, TokenType

from shardhash.db.sql import cast
from shardhash.db.tasks import ResultColumn
from shardhash.db.topology import Backend

__all__ = ["Moment", "moments_of", "question_for", "with_moments"]

_CALLED = frozenset({"NOW", "CURDATE", "CURTIME", "UNIX_TIMESTAMP", "UTC_TIMESTAMP", "UTC_DATE",
                     "UTC_TIME"})  # fmt: skip
_BARE = frozenset({"CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "LOCALTIME",
                   "LOCALTIMESTAMP"})  # fmt: skip
_SQLITE_BARE = frozenset({"CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"})
_SQLITE_DATES = frozenset({"DATE", "TIME", "DATETIME", "JULIANDAY", "UNIXEPOCH"})
_KINDS = {"DATE": "DATE", "TIME": "TIME", "DATETIME": "DATETIME"}
_SQLITE_NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')"


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a statement names the present, and the expression to ask for it."""

    start: int
    end: int
    question: str


def moments_of(text: str, tokens: Sequence[Token], backend: Backend) -> tuple[Moment, ...]:
    """Return where a statement names the present moment."""
    find = _of_sqlite if backend is Backend.SQLITE else _of_mysql
    return tuple(find(text, tokens))


def question_for(moments: Sequence[Moment]) -> str:
    """Return a SELECT of the different moments, which are of one instant."""
    return f"SELECT {', '.join(dict.fromkeys(moment.question for moment in moments))}"


def with_moments(
    text: str, moments: Sequence[Moment], columns: Sequence[ResultColumn], first: int
) -> str:
    """Return a statement with marks, from number `first` on, in place of moments.

    ``columns`` are those of the answer to ``question_for``.
    """
    questions = list(dict.fromkeys(moment.question for moment in moments))
    for moment in reversed(moments):
        number = questions.index(moment.question)
        mark = f":_sh_p{first + number}_"
        kind = _KINDS.get(columns[number].type)
        if kind is not None and kind != "DATE":
            kind = f"{kind}({columns[number].scale or 0})"
        text = text[: moment.start] + (cast(mark, kind) if kind else mark) + text[moment.end :]
    return text


def _of_mysql(text: str, tokens: Sequence[Token]) -> Iterator[Moment]:
    for place, token in enumerate(tokens):
        name = token.text.upper()
        if token.token_type in _QUOTED or (place and tokens[place - 1].text == "."):
            continue
        last = _end_of_call(tokens, place)
        is_call = last > place
        if (is_call and name in _CALLED) or name in _BARE:
            end = tokens[last].end + 1
            yield Moment(token.start, end, text[token.start : end])


_QUOTED = (TokenType.IDENTIFIER, TokenType.STRING)


def _end_of_call(tokens: Sequence[Token], place: int) -> int:
    """Return the last token of ``NAME()`` or ``NAME(6)``; of other forms, the name's own."""
    kinds = [token.token_type for token in tokens[place + 1 : place + 4]]
    if kinds[:2] == [TokenType.L_PAREN, TokenType.R_PAREN]:
        return place + 2
    if kinds == [TokenType.L_PAREN, TokenType.NUMBER, TokenType.R_PAREN]:
        return place + 3
    return place


def _of_sqlite(text: str, tokens: Sequence[Token]) -> Iterator[Moment]:
    for place, token in enumerate(tokens):
        is_plain = token.token_type not in _QUOTED
        if is_plain and token.text.upper() in _SQLITE_BARE:
            yield Moment(token.start, token.end + 1, token.text)
        elif token.token_type is TokenType.STRING and _is_now(tokens, place):
            yield Moment(token.start, token.end + 1, _SQLITE_NOW)


def _is_now(tokens: Sequence[Token], place: int) -> bool:
    """Tell whether a text is the ``'now'`` of a function of dates."""
    before = [token.text.upper() for token in tokens[max(0, place - 4) : place]]
    if tokens[place].text.lower() != "now":
        return False
    is_first = before[-1:] == ["("] and before[-2:-1] and before[-2] in _SQLITE_DATES
    return bool(is_first) or (len(before) == 4 and before[:2] == ["STRFTIME", "("])
