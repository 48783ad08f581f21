"""YAML as a tree of nodes that know where they stand, read with strict limits.

Only plain data is read: no tags, no merge keys, no second document; anchors are few, shallow and
counted after expansion, so that no small file becomes a large value. Messages never quote the
text around a mistake, because it may hold a password.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from shardhash.errors import ConfigError, Problem

__all__ = [
    "MAX_TEXT_SIZE",
    "MappingNode",
    "Mark",
    "Node",
    "Path",
    "ScalarNode",
    "SequenceNode",
    "Value",
    "compose",
    "dotted",
    "resolve",
]

MAX_TEXT_SIZE = 4 * 1024 * 1024
_MAX_DEPTH = 12
_MAX_ALIASES = 100
_MAX_NODES = 50_000

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORD = re.compile(r"[\w$.<-]+")
_DATETIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}.*")

Path = tuple[str | int, ...]
Value = str | int | float | bool | date | datetime | None


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the text: character index from 0, line and column from 1."""

    index: int
    line: int
    column: int


@dataclass(slots=True)
class ScalarNode:
    """A single value. ``is_plain`` is False where quotes or a block style make it text."""

    text: str
    is_plain: bool
    start: Mark
    end: Mark
    is_alias: bool = False

    @property
    def value(self) -> Value:
        """Return the value by the YAML 1.2 core schema, with dates besides."""
        return resolve(self.text) if self.is_plain else self.text


@dataclass(slots=True)
class SequenceNode:
    """A list of nodes."""

    is_flow: bool
    start: Mark
    end: Mark
    items: list["Node"] = field(default_factory=list)
    is_alias: bool = False


@dataclass(slots=True)
class MappingNode:
    """Key nodes with their value nodes, in file order; keys are unique."""

    is_flow: bool
    start: Mark
    end: Mark
    items: list[tuple[ScalarNode, "Node"]] = field(default_factory=list)
    is_alias: bool = False

    def get(self, key: str) -> "Node | None":
        """Return the value under `key`, or None."""
        return next((value for name, value in self.items if name.text == key), None)


Node = ScalarNode | SequenceNode | MappingNode


def dotted(path: Path) -> str:
    """Return `path` as messages show it: ``shards.s1.read[0].url``.

    A key that is no word shows as ``***``: without a space after the colon, a password is a key.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _WORD.fullmatch(part) else "***")
    return text or "file"


def compose(text: str, *, source: str, duplicates: list[Problem] | None = None) -> Node | None:
    """Return the tree of the one document in `text`; None where it holds nothing.

    Keys that are written twice go to `duplicates`, where that is given, and the first one counts.

    Raises:
        ConfigError: not YAML, YAML beyond the limits of this module, or duplicates not asked for.
    """
    if len(text) > MAX_TEXT_SIZE:
        message = f"the file has {len(text)} characters; at most {MAX_TEXT_SIZE} are read"
        raise ConfigError([Problem(source, 1, 1, "file", message)])
    composer = _Composer(source)
    try:
        root = composer.document(iter(YAML(typ="safe", pure=True).parse(text)))
    except MarkedYAMLError as error:
        mark = _mark(error.problem_mark or error.context_mark)
        raise ConfigError([composer.problem(mark, _explained(error))]) from None
    except (YAMLError, UnicodeError) as error:
        mark = _place(text, getattr(error, "position", 0))
        message = "a character stands here that YAML does not allow; remove it"
        raise ConfigError([composer.problem(mark, message)]) from None
    if composer.duplicates and duplicates is None:
        raise ConfigError(composer.duplicates)
    if duplicates is not None:
        duplicates.extend(composer.duplicates)
    return root


class _Composer:
    """Builds nodes from the parser's events, counting as it goes."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._anchors: dict[str, Node] = {}
        self._sizes: dict[int, int] = {}
        self._aliases = 0
        self._nodes = 0
        self.duplicates: list[Problem] = []

    def problem(self, mark: Mark, message: str) -> Problem:
        return Problem(self._source, mark.line, mark.column, "file", message)

    def document(self, events: Iterator[Event]) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refusal(event, "a second document starts here; a file holds one")
            elif isinstance(event, NodeEvent):
                root = self._node(event, events, ())
        if isinstance(root, ScalarNode) and root.value is None:
            return None
        return root

    def _refusal(self, event: Event, message: str) -> ConfigError:
        return ConfigError([self.problem(_mark(event.start_mark), message)])

    def _node(self, event: Event, events: Iterator[Event], path: Path) -> Node:
        if isinstance(event, AliasEvent):
            return self._alias(event)
        if not isinstance(event, NodeEvent):
            raise self._refusal(event, "a value was expected here")
        self._check(event, len(path))
        before = self._nodes
        start, end = _mark(event.start_mark), _mark(event.end_mark)
        node: Node
        if isinstance(event, ScalarEvent):
            node = ScalarNode(event.value, event.style in (None, ""), start, end)
        elif isinstance(event, MappingStartEvent):
            node = MappingNode(bool(event.flow_style), start, end)
            self._fill_mapping(node, events, path)
        else:
            is_flow = isinstance(event, SequenceStartEvent) and bool(event.flow_style)
            node = SequenceNode(is_flow, start, end)
            self._fill_sequence(node, events, path)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
            self._sizes[id(node)] = self._nodes - before + 1
        return node

    def _check(self, event: NodeEvent, depth: int) -> None:
        self._count(event, 1)
        if depth > _MAX_DEPTH:
            raise self._refusal(event, f"nested deeper than {_MAX_DEPTH} levels")
        if getattr(event, "tag", None) is not None:
            raise self._refusal(event, "a YAML tag (!...) stands here; only plain values are read")

    def _count(self, event: Event, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > _MAX_NODES:
            raise self._refusal(event, f"more than {_MAX_NODES} values; split the configuration")

    def _alias(self, event: AliasEvent) -> Node:
        self._aliases += 1
        if self._aliases > _MAX_ALIASES:
            raise self._refusal(event, f"more than {_MAX_ALIASES} aliases; write the values out")
        node = self._anchors.get(event.anchor)
        if node is None:
            raise self._refusal(
                event, "an alias (*...) without its anchor; quote text that begins with *"
            )
        self._count(event, self._sizes[id(node)])
        return _aliased(node, _mark(event.start_mark), _mark(event.end_mark))

    def _fill_sequence(self, node: SequenceNode, events: Iterator[Event], path: Path) -> None:
        for event in events:
            if isinstance(event, CollectionEndEvent):
                node.end = _mark(event.end_mark)
                return
            node.items.append(self._node(event, events, (*path, len(node.items))))

    def _fill_mapping(self, node: MappingNode, events: Iterator[Event], path: Path) -> None:
        lines: dict[str, int] = {}
        for event in events:
            if isinstance(event, CollectionEndEvent):
                node.end = _mark(event.end_mark)
                return
            key = self._node(event, events, (*path, ""))
            if not isinstance(key, ScalarNode):
                raise self._refusal(event, "a key must be a word, not a list or a mapping")
            value = self._node(next(events), events, (*path, key.text))
            if key.text in lines:
                message = f"is written twice; the first is in line {lines[key.text]}; remove one"
                where = dotted((*path, key.text))
                place = key.start
                self.duplicates.append(
                    Problem(self._source, place.line, place.column, where, message)
                )
                continue
            lines[key.text] = key.start.line
            node.items.append((key, value))


def _aliased(node: Node, start: Mark, end: Mark) -> Node:
    if isinstance(node, ScalarNode):
        return ScalarNode(node.text, node.is_plain, start, end, is_alias=True)
    if isinstance(node, SequenceNode):
        return SequenceNode(node.is_flow, start, end, node.items, is_alias=True)
    return MappingNode(node.is_flow, start, end, node.items, is_alias=True)


def _mark(mark: object) -> Mark:
    index, line, column = (getattr(mark, name, 0) for name in ("index", "line", "column"))
    return Mark(index, line + 1, column + 1)


def _place(text: str, index: int) -> Mark:
    before = text[:index]
    return Mark(index, before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)


def _explained(error: MarkedYAMLError) -> str:
    """Return the parser's complaint without any word of the file itself."""
    complaint = re.sub(r"'[^'<]{2,}'|\"[^\"]{2,}\"", "…", str(error.problem or error.context))
    context = f" {error.context}" if error.problem and error.context else ""
    context = re.sub(r"'[^'<]{2,}'|\"[^\"]{2,}\"", "…", context)
    return f"not YAML:{context} {complaint}; check quotes, brackets and indentation here"


def resolve(text: str) -> Value:
    """Return the value of an unquoted scalar."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if _DATETIME.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        return text
    return text
