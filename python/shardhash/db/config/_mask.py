"""Hides literal passwords in the text of a configuration, valid or not."""

import re

from shardhash.db.config._yaml import MappingNode, Node, ScalarNode, compose
from shardhash.errors import ConfigError

__all__ = ["mask_passwords"]

_SECRET_KEY = re.compile(r"pass|pwd|pw$", re.IGNORECASE)
_NOT_SECRET = frozenset({"password_file"})
_ADDRESS_KEYS = frozenset({"url", "dsn"})
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_HOLDS_PASSWORD = re.compile(r":(?!//)[^@]+@|pass(word)?\s*=[^;]", re.IGNORECASE)
_MAY_HOLD_PASSWORD = re.compile(r"pass|pwd|pw|@", re.IGNORECASE)
_MASK = '"***"'


def mask_passwords(text: str) -> str:
    """Return `text` with every literal password in it replaced by ``***``.

    An address that holds a password is replaced whole. Text that is not YAML is replaced whole
    too, if any word hints at a password, since nothing tells where it stands.
    """
    if not _MAY_HOLD_PASSWORD.search(text):
        return text
    try:
        root = compose(text.removeprefix("\ufeff"), source="")
    except ConfigError:
        return _MASK
    shift = len(text) - len(text.removeprefix("\ufeff"))
    spans: set[tuple[int, int]] = set()
    if root is not None:
        _collect(root, spans)
    for start, end in sorted(spans, reverse=True):
        text = text[: start + shift] + _MASK + text[end + shift :]
    return text


def _collect(node: Node, spans: set[tuple[int, int]]) -> None:
    if isinstance(node, ScalarNode):
        return
    if not isinstance(node, MappingNode):
        for item in node.items:
            _collect(item, spans)
        return
    for key, value in node.items:
        if isinstance(value, ScalarNode):
            if _is_secret(key.text, value.text):
                spans.add((value.start.index, value.end.index))
        elif _SECRET_KEY.search(key.text) and not _is_reference(value):
            spans.add((value.start.index, value.end.index))
        else:
            _collect(value, spans)


def _is_secret(key: str, text: str) -> bool:
    literal = _REFERENCE.sub("", text)
    if key in _NOT_SECRET or not literal:
        return False
    if key in _ADDRESS_KEYS:
        return bool(_HOLDS_PASSWORD.search(literal))
    return bool(_SECRET_KEY.search(key))


def _is_reference(node: Node) -> bool:
    """Return whether a password's value is ``{secret: NAME}``."""
    return isinstance(node, MappingNode) and [key.text for key, _ in node.items] == ["secret"]
