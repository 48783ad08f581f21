"""Cut pieces out of the text of a configuration and put others in, and nothing else.

A change is made to the text between the marks of one mapping's node; the result is read again and
compared with what the change meant.
"""

import json
import re
from collections.abc import Callable
from datetime import date, datetime

from shardhash.db.config._problems import Data, Document
from shardhash.db.config._yaml import MappingNode, Node, ScalarNode, compose, resolve
from shardhash.errors import ConfigError, RefusedError

__all__ = ["Change", "Keys", "edited", "insertion", "read_data", "removal", "replacement"]

Keys = tuple[str, ...]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*([./-][A-Za-z0-9_]+)*")


def read_data(text: str) -> dict[str, Data]:
    return _read(text.removeprefix("\ufeff"))[1]


def _read(text: str) -> tuple[Node | None, dict[str, Data]]:
    """Return the tree of a text and its values."""
    root = compose(text, source="the configuration")
    data = Document(root, source="the configuration").data
    if data is None:
        return root, {}
    if not isinstance(data, dict):
        raise RefusedError("the configuration is not a mapping; correct it by hand first")
    return root, data


Change = Callable[[str, MappingNode], str]


def edited(
    text: str, path: Keys, change: Change, meant: Callable[[dict[str, Data]], object]
) -> str:
    """Return `text` with `change` made to the mapping at `path`, if it did what was `meant`."""
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    body = text.removeprefix(bom) if bom else text
    root, expected = _read(body)
    part: Data = expected
    for key in path:
        part = part[key] if isinstance(part, dict) else None
    if not isinstance(part, dict):
        raise _uneditable(path)
    meant(part)
    changed = change(body, _mapping_node(root, path))
    try:
        found = read_data(changed)
    except ConfigError:
        raise _uneditable(path) from None
    if _without_empty(found) != _without_empty(expected):
        raise _uneditable(path)
    return bom + changed


def _mapping_node(node: Node | None, path: Keys) -> MappingNode:
    for key in path:
        node = node.get(key) if isinstance(node, MappingNode) else None
    if not isinstance(node, MappingNode) or node.is_alias:
        raise _uneditable(path)
    return node


def _uneditable(path: Keys) -> RefusedError:
    where = ".".join(path) or "the file"
    return RefusedError(
        f"{where} is written in a form that cannot be edited in place; nothing was changed",
        next_step="make the change by hand, then run: shardhash config validate",
    )


def insertion(key: str, value: Data, *, block_levels: int = 0) -> Change:
    """Return the change that adds an entry behind the last one of a mapping.

    Its outer ``block_levels`` mappings get a line for each entry, all else stands on one line.
    """

    def change(text: str, node: MappingNode) -> str:
        if node.is_flow:
            entry = f"{_rendered(key)}: {_rendered(value)}"
            if not node.items:
                at = node.end.index - 1
                return text[:at] + entry + text[at:]
            at = _content_end(text, *node.items[-1])
            return f"{text[:at]}, {entry}{text[at:]}"
        if not node.items:
            raise _uneditable((key,))
        last_key, last_value = node.items[-1]
        newline = "\r\n" if "\r\n" in text else "\n"
        indent = " " * (last_key.start.column - 1)
        lines = _block_lines(key, value, block_levels)
        at = _line_end(text, _content_end(text, last_key, last_value))
        return text[:at] + "".join(newline + indent + line for line in lines) + text[at:]

    return change


def replacement(key: str, value: Data) -> Change:
    """Return the change that writes another value behind a key."""

    def change(text: str, node: MappingNode) -> str:
        key_node, value_node = _entry(node, key)
        if isinstance(value_node, ScalarNode) and not value_node.text and value_node.is_plain:
            at = text.index(":", key_node.end.index) + 1
            return f"{text[:at]} {_rendered(value)}{text[at:]}"
        start, end = value_node.start.index, _content_end(text, key_node, value_node)
        return text[:start] + _rendered(value) + text[end:]

    return change


def removal(key: str) -> Change:
    """Return the change that takes an entry out, with its lines where they are its own."""

    def change(text: str, node: MappingNode) -> str:
        key_node, value_node = _entry(node, key)
        start, end = key_node.start.index, _content_end(text, key_node, value_node)
        if node.is_flow:
            start, end = _flow_span(text, node, start, end)
        else:
            end = _line_end(text, end)
        return _cut(text, start, end)

    return change


def _flow_span(text: str, node: MappingNode, start: int, end: int) -> tuple[int, int]:
    """Return the span of a flow entry with the comma that it no longer needs."""
    comma = re.compile(r"[ \t]*(\r?\n[ \t]*)*,[ \t]*").match(text, end)
    if comma is not None:
        return start, comma.end()
    before = [item for item in node.items if item[0].start.index < start]
    if before:
        return _content_end(text, *before[-1]), end
    return start, end


def _cut(text: str, start: int, end: int) -> str:
    """Return `text` without a span, and without the lines that hold nothing else."""
    line_start = text.rfind("\n", 0, start) + 1
    line_end = _line_end(text, end)
    rest = text[end:line_end].strip()
    if text[line_start:start].strip() or (rest and not rest.startswith("#")):
        return text[:start] + text[end:]
    after = text[line_end:]
    if after:
        return text[:line_start] + re.sub(r"\A\r?\n", "", after)
    return re.sub(r"\r?\n\Z", "", text[:line_start])


def _entry(node: MappingNode, key: str) -> tuple[ScalarNode, Node]:
    return next(item for item in node.items if item[0].text == key)


def _content_end(text: str, key: ScalarNode, value: Node) -> int:
    """Return the index behind the last character of an entry, comments apart."""
    if not isinstance(value, ScalarNode):
        if value.is_flow or value.is_alias or not value.items:
            return value.end.index
        last = value.items[-1]
        return (
            _content_end(text, *last) if isinstance(last, tuple) else _content_end(text, key, last)
        )
    if not value.text and value.is_plain:
        return text.index(":", key.end.index) + 1
    return len(text[: value.end.index].rstrip())


def _line_end(text: str, index: int) -> int:
    """Return the index of the line end behind `index`."""
    end = text.find("\n", index)
    if end < 0:
        return len(text)
    return end - 1 if end and text[end - 1] == "\r" else end


def _block_lines(key: str, value: Data, levels: int) -> list[str]:
    if not levels or not isinstance(value, dict):
        return [f"{_rendered(key)}: {_rendered(value)}"]
    inner = [line for each in value.items() for line in _block_lines(*each, levels - 1)]
    return [f"{_rendered(key)}:", *(f"  {line}" for line in inner)]


def _rendered(value: Data) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_rendered(k)}: {_rendered(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_rendered, value)) + "]"
    if isinstance(value, datetime):
        return value.isoformat(sep="T")
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and resolve(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _without_empty(value: Data) -> Data:
    """Return `value` with empty mappings as nothing, which they mean."""
    if isinstance(value, dict):
        return {key: _without_empty(item) for key, item in value.items()} or None
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value
