"""The text of a statement: placeholders named, comments taken out, nothing else changed.

Positions in ``QueryText.clean`` are what sqlglot's tokens and names refer to, so that pieces of a
statement go to the shards as the application wrote them, whatever a parser would make of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shardhash.db.topology import Backend
from shardhash.errors import QueryRefusedError, UsageError

__all__ = ["Params", "QueryText", "read_text", "render", "values_of"]

Params = Sequence[object] | Mapping[str, object]

_MARK = ":_sh_p"
_MARKS = re.compile(r":_sh_p(\d+)_")
_PLACEHOLDER = re.compile(r"%(?:(?P<percent>%)|(?P<plain>s)|\((?P<name>[^()]*)\)s)")
_SQLITE_PIECES = re.compile(
    r"""(?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])"""
    r"""|(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))|(?P<open>['"`\[])""",
    re.DOTALL,
)
_MYSQL_PIECES = re.compile(
    r"""(?P<quoted>'(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|""|\\.)*"|`(?:[^`]|``)*`)"""
    r"""|(?P<comment>--(?=[\s\x00-\x1f]|\Z)[^\n]*|\#[^\n]*|/\*.*?(?:\*/|\Z))|(?P<open>['"`]|--)""",
    re.DOTALL,
)
_LIVE_COMMENT = re.compile(r"/\*(?:!|M!|\+)")


@dataclass(frozen=True, slots=True)
class QueryText:
    """A statement.

    ``clean`` has a mark for each placeholder and blanks for comments; ``sent`` is the statement
    as given, for a driver; ``names`` says of each placeholder, in order, which value it takes.
    """

    clean: str
    sent: str = field(repr=False)
    names: tuple[int | str, ...]


def read_text(sql: str, params: Params, backend: Backend) -> QueryText:
    """Return a statement's text with its placeholders found.

    As with PEP 249 drivers, a percent sign is doubled if and only if there are values.

    Raises:
        UsageError: placeholders and values do not go together, or a quote is not closed.
        QueryRefusedError: it has comments that the server runs.
    """
    if _MARK in sql or "\x00" in sql:
        raise UsageError("the statement holds a reserved mark or a zero byte: take it out")
    reader = _Reader(has_params=bool(params), backend=backend)
    position = 0
    pieces = _SQLITE_PIECES if backend is Backend.SQLITE else _MYSQL_PIECES
    for piece in pieces.finditer(sql):
        reader.add_code(sql[position : piece.start()])
        reader.add_piece(piece)
        position = piece.end()
    reader.add_code(sql[position:])
    text = reader.text()
    _check_values(text.names, params)
    return text


def render(text: str, backend: Backend) -> tuple[str, tuple[int, ...]]:
    """Return clean text in the driver's placeholders, and the number of each one's mark."""
    numbers: list[int] = []

    def hole(mark: re.Match[str]) -> str:
        numbers.append(int(mark[1]))
        return "?" if backend is Backend.SQLITE else "%s"

    if backend is Backend.MYSQL:
        text = text.replace("%", "%%")
    return _MARKS.sub(hole, text), tuple(numbers)


def values_of(names: Sequence[int | str], params: Params) -> tuple[object, ...]:
    """Return the value of each placeholder, in their order."""
    if isinstance(params, Mapping):
        return tuple(params[name] for name in names)  # type: ignore[index]
    return tuple(params)


class _Reader:
    """Collects the three forms of a statement, piece by piece."""

    def __init__(self, *, has_params: bool, backend: Backend) -> None:
        self._has_params = has_params
        self._backend = backend
        self._clean: list[str] = []
        self._sent: list[str] = []
        self._names: list[int | str] = []

    def add_code(self, code: str) -> None:
        """Add text outside quotes and comments."""
        if self._backend is Backend.SQLITE and "?" in code:
            raise UsageError("a placeholder is written %s or %(name)s, found ?: write %s")
        if not self._has_params:
            self._clean.append(code)
            self._sent.append(self._escaped(code))
            return
        position = 0
        for found in _PLACEHOLDER.finditer(code):
            self._add_plain(code[position : found.start()])
            self._add_placeholder(found)
            position = found.end()
        self._add_plain(code[position:])

    def add_piece(self, piece: re.Match[str]) -> None:
        """Add a quoted piece or a comment."""
        text = piece[0]
        if piece["open"]:
            what = "-- without a space after it" if text == "--" else f"{text} that is not closed"
            raise UsageError(f"the statement has {what}: write it so that it means one thing")
        if piece["comment"]:
            if _LIVE_COMMENT.match(text):
                raise QueryRefusedError(
                    f"the statement has {text[:12]}..., a comment that servers run or obey",
                    next_step="write what it says as plain SQL, or name the shard: shards=[...]",
                )
            self._clean.append(" " * len(text))
            self._sent.append(self._escaped(text))
            return
        if self._has_params:
            text = self._undoubled(text)
        self._clean.append(text)
        self._sent.append(self._escaped(text))

    def text(self) -> QueryText:
        """Return what was collected."""
        named = [name for name in self._names if isinstance(name, str)]
        if named and len(named) != len(self._names):
            raise UsageError("the statement mixes %s and %(name)s: use one of them")
        clean = "".join(self._clean).rstrip().rstrip(";").rstrip()
        return QueryText(clean, "".join(self._sent).rstrip().rstrip(";"), tuple(self._names))

    def _add_plain(self, code: str) -> None:
        if "%" in code:
            raise UsageError(
                "the statement has a % that is neither %s nor %(name)s: with values, double it: %%"
            )
        self._clean.append(code)
        self._sent.append(code)

    def _add_placeholder(self, found: re.Match[str]) -> None:
        if found["percent"]:
            self._clean.append("%")
            self._sent.append(self._escaped("%"))
            return
        name = found["name"]
        self._clean.append(f"{_MARK}{len(self._names)}_")
        self._sent.append("?" if self._backend is Backend.SQLITE else "%s")
        self._names.append(len(self._names) if name is None else name)

    def _undoubled(self, text: str) -> str:
        plain = text.replace("%%", "")
        if "%" in plain:
            raise UsageError(
                f"a % stands inside quotes, near {text[:20]!r}: a placeholder stands outside of "
                "them, and a plain percent sign is doubled where there are values"
            )
        return text.replace("%%", "%")

    def _escaped(self, text: str) -> str:
        return text.replace("%", "%%") if self._backend is Backend.MYSQL else text


def _check_values(names: Sequence[int | str], params: Params) -> None:
    if isinstance(params, str | bytes):
        raise UsageError("params is one text: pass a tuple or a dict of values")
    if isinstance(params, Mapping):
        missing = [str(name) for name in names if name not in params]
        if missing:
            raise UsageError(f"no value for the placeholders {', '.join(missing)}: add them")
        return
    if any(isinstance(name, str) for name in names):
        raise UsageError("the statement has %(name)s placeholders: pass a dict of values")
    if len(names) != len(params):
        raise UsageError(
            f"the statement has {len(names)} placeholders, found {len(params)} values: pass one "
            "for each"
        )
