"""A SELECT cut into its clauses by its tokens, so that the pieces stay as they were written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import Token, TokenType, exp

from shardhash.db.topology import Backend
from shardhash.errors import QueryRefusedError

__all__ = [
    "Clauses",
    "Piece",
    "cut",
    "dialect",
    "direction_of",
    "parse",
    "parse_tokens",
    "split_at",
    "tokens_of",
    "value_of",
    "without_index_hints",
]

_CLAUSES = {
    TokenType.FROM: "from",
    TokenType.WHERE: "where",
    TokenType.GROUP_BY: "group",
    TokenType.HAVING: "having",
    TokenType.ORDER_BY: "order",
    TokenType.LIMIT: "limit",
}
_OPEN = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE}
_CLOSE = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE}
_DIRECTIONS = {TokenType.ASC, TokenType.DESC}


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens of a statement, and their text with what stands between them."""

    text: str
    tokens: tuple[Token, ...]

    @classmethod
    def of(cls, source: str, tokens: Sequence[Token]) -> "Piece":
        """Return the piece of `source` that some tokens in a row make."""
        if not tokens:
            return cls("", ())
        return cls(source[tokens[0].start : tokens[-1].end + 1], tuple(tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clauses:
    """The clauses of the outermost SELECT.

    ``head`` is what stands before it (WITH); ``body`` runs from FROM to the end of WHERE; each
    of ``items``, ``group`` and ``order`` is one entry; those of ``order`` have their direction.
    """

    source: str
    head: str
    is_distinct: bool
    items: tuple[Piece, ...]
    tables: str
    body: str
    group: tuple[Piece, ...]
    having: Piece | None
    order: tuple[Piece, ...]
    before_limit: str


def dialect(backend: Backend) -> str:
    """Return sqlglot's name for the SQL of a server."""
    return "sqlite" if backend is Backend.SQLITE else "mysql"


def parse(text: str, backend: Backend) -> exp.Expr:
    """Return the syntax tree of one statement.

    Raises:
        QueryRefusedError: it is not understood, or more than one.
    """
    return parse_tokens(text, backend)[0]


def parse_tokens(text: str, backend: Backend) -> tuple[exp.Expr, list[Token]]:
    """Return the syntax tree of one statement, and the tokens it was made of; raises likewise."""
    server = sqlglot.Dialect.get_or_raise(dialect(backend))
    try:
        tokens = server.tokenize(text)
        found = [tree for tree in server.parser().parse(tokens, text) if tree]
    except (sqlglot.errors.SqlglotError, RecursionError) as error:
        raise QueryRefusedError(
            f"the statement is not understood: {str(error).splitlines()[0][:200]}",
            next_step="correct it; or name the shard that it is for: shards=[...]",
        ) from None
    if len(found) != 1:
        raise QueryRefusedError(
            f"one statement was asked for, found {len(found)}", next_step="send them one by one"
        )
    return found[0], tokens


def tokens_of(text: str, backend: Backend) -> list[Token]:
    """Return the tokens of a text that ``parse`` has understood."""
    return list(sqlglot.tokenize(text, dialect=dialect(backend)))


def cut(source: str, backend: Backend) -> Clauses:
    """Return the clauses of a SELECT that ``parse`` has understood."""
    tokens = tokens_of(source, backend)
    start = next((i for i, t in _outer(tokens) if t.token_type is TokenType.SELECT), None)
    if start is None:
        raise QueryRefusedError(
            f"{source.split()[0].upper()} over several shards is not understood",
            next_step="write it as SELECT ... FROM ...",
        )
    marks: dict[str, int] = {}
    for i, token in _outer(tokens[start:]):
        name = _CLAUSES.get(token.token_type)
        if name and name not in marks:
            marks[name] = start + i
    ends = sorted([*marks.values(), len(tokens)])

    def part(name: str) -> list[Token]:
        if name not in marks:
            return []
        at = marks[name]
        return tokens[at : ends[ends.index(at) + 1]]

    first = start + 1
    is_distinct = first < len(tokens) and tokens[first].token_type is TokenType.DISTINCT
    if first < len(tokens) and tokens[first].token_type in (TokenType.ALL, TokenType.DISTINCT):
        first += 1
    having = part("having")[1:]
    limit = part("limit")
    cut_at = limit[0].start if limit else len(source)
    return Clauses(
        source=source,
        head=source[: tokens[start].start],
        is_distinct=is_distinct,
        items=_entries(source, tokens[first : ends[0]]),
        tables=Piece.of(source, part("from")[1:]).text,
        body=Piece.of(source, part("from") + part("where")).text,
        group=_entries(source, part("group")[1:]),
        having=Piece.of(source, having) if having else None,
        order=_entries(source, part("order")[1:]),
        before_limit=source[:cut_at],
    )


def _entries(source: str, tokens: Sequence[Token]) -> tuple[Piece, ...]:
    return tuple(Piece.of(source, part) for part in split_at(tokens, TokenType.COMMA) if part)


def split_at(tokens: Sequence[Token], *kinds: TokenType) -> list[list[Token]]:
    """Return tokens split at those of some kinds that stand in no parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.token_type in _OPEN) - (token.token_type in _CLOSE)
        if depth == 0 and token.token_type in kinds:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _outer(tokens: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """Yield the tokens that stand in no parentheses, with their places."""
    depth = 0
    for i, token in enumerate(tokens):
        if token.token_type in _CLOSE:
            depth -= 1
        if depth == 0:
            yield i, token
        if token.token_type in _OPEN:
            depth += 1


def without_index_hints(source: str, backend: Backend) -> str:
    """Return a statement with blanks for USE, FORCE and IGNORE INDEX (...): no row depends on them.

    A subquery that stands for a table takes none.
    """
    tokens, place = tokens_of(source, backend), 0
    while place + 1 < len(tokens):
        words = [token.text.upper() for token in tokens[place : place + 2]]
        place += 1
        if words[0] not in ("USE", "FORCE", "IGNORE") or words[1] not in ("INDEX", "KEY"):
            continue
        start = tokens[place - 1].start
        while place < len(tokens) and tokens[place].token_type is not TokenType.R_PAREN:
            place += 1
        end = tokens[min(place, len(tokens) - 1)].end + 1
        source = source[:start] + " " * (end - start) + source[end:]
    return source


def value_of(item: Piece, node: exp.Expr, source: str) -> Piece:
    """Return an entry of a select list without its alias."""
    if not isinstance(node, exp.Alias):
        return item
    outer = [i for i, token in _outer(item.tokens) if token.token_type is TokenType.ALIAS]
    end = outer[-1] if outer else len(item.tokens) - 1
    return Piece.of(source, item.tokens[:end])


def direction_of(entry: Piece, source: str) -> tuple[Piece, bool, bool | None]:
    """Return an entry of ORDER BY without its direction, whether it descends, and NULL's place."""
    tokens = list(entry.tokens)
    nulls_first = None
    words = [token.text.upper() for token in tokens[-2:]]
    if len(words) == 2 and words[0] == "NULLS" and words[1] in ("FIRST", "LAST"):
        nulls_first = words[1] == "FIRST"
        tokens = tokens[:-2]
    elif words[-1:] in (["NULLS FIRST"], ["NULLS LAST"]):
        nulls_first = words[-1] == "NULLS FIRST"
        tokens = tokens[:-1]
    descending = False
    if tokens and tokens[-1].token_type in _DIRECTIONS:
        descending = tokens.pop().token_type is TokenType.DESC
    return Piece.of(source, tokens), descending, nulls_first


Aliases = Mapping[str, Piece]
