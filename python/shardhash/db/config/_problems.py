"""Collects what is wrong with a configuration, and where each mistake stands."""

from collections.abc import Iterable
from difflib import get_close_matches

from shardhash.db.config._yaml import (
    MappingNode,
    Mark,
    Node,
    Path,
    SequenceNode,
    Value,
    dotted,
)
from shardhash.errors import ConfigError, Problem

__all__ = ["Data", "Document", "did_you_mean", "found"]

_TYPE_NAMES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "NoneType": "nothing",
    "dict": "a mapping",
    "list": "a list",
    "date": "a date",
    "datetime": "a date with time",
}

Data = Value | list["Data"] | dict[str, "Data"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean x?)`` for the known word nearest to `word`, else nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def found(value: object) -> str:
    """Return the kind of a value in words; never the value, which may be a secret."""
    return _TYPE_NAMES.get(type(value).__name__, "another kind of value")


class Document:
    """The values of a file, the place of each, and the problems and warnings met so far."""

    def __init__(self, root: Node | None, *, source: str) -> None:
        self.source = source
        self._keys: dict[Path, Mark] = {}
        self._values: dict[Path, Mark] = {(): Mark(0, 1, 1)}
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []
        self.data: Data = None if root is None else self._read(root, ())

    def problem(self, path: Path, message: str, *, at_key: bool = False) -> None:
        """Report a mistake at the value of `path`, or at its key."""
        self._problems.append(self._placed(path, message, at_key=at_key))

    def add_problems(self, problems: Iterable[Problem]) -> None:
        """Report mistakes whose places are known already."""
        self._problems.extend(problems)

    def warn(self, path: Path, message: str) -> None:
        """Report what is allowed but unwise."""
        self._warnings.append(self._placed(path, message, at_key=False))

    def rename(self, old: Path, new: Path) -> None:
        """Let `new` stand where `old` was written."""
        for marks in (self._keys, self._values):
            if old in marks:
                marks[new] = marks[old]

    def place(self, path: Path) -> Mark:
        """Return where the value at `path`, or the nearest above it, begins."""
        while path not in self._values:
            path = path[:-1]
        return self._values[path]

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Return the warnings in the order of their lines."""
        return tuple(sorted(self._warnings, key=_by_place))

    @property
    def has_problems(self) -> bool:
        """Return whether a mistake was reported."""
        return bool(self._problems)

    def error(self) -> ConfigError:
        """Return the error that tells every problem, in the order of their lines."""
        return ConfigError(
            tuple(dict.fromkeys(sorted(self._problems, key=_by_place))),
            next_step="correct the lines named and run: shardhash config validate",
        )

    def _placed(self, path: Path, message: str, *, at_key: bool) -> Problem:
        mark = self._keys.get(path) if at_key else None
        mark = mark or self.place(path)
        return Problem(self.source, mark.line, mark.column, dotted(path), message)

    def _read(self, node: Node, path: Path) -> Data:
        self._values[path] = node.start
        if isinstance(node, MappingNode):
            values: dict[str, Data] = {}
            for key, value in node.items:
                below = (*path, key.text)
                self._keys[below] = key.start
                values[key.text] = self._read(value, below)
            return values
        if isinstance(node, SequenceNode):
            return [self._read(item, (*path, index)) for index, item in enumerate(node.items)]
        return node.value


def _by_place(problem: Problem) -> tuple[int, int]:
    return problem.line, problem.column
