"""Edits the text of a configuration in place: only the lines of the change change.

Every function takes a text and returns a new one; comments, order, quotes and line ends of all
else stay as they are. The result is read again and compared with what the edit meant, so that a
text in a form that cannot be edited is refused and never damaged. Whether the result is a valid
configuration is for ``Config.parse`` to say, which every store does before it saves.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

from shardhash.db.config._models import check_name
from shardhash.db.config._problems import Data, Document, did_you_mean
from shardhash.db.config._yaml import MappingNode, Node, ScalarNode, compose, resolve
from shardhash.errors import ConfigError, RefusedError, UsageError
from shardhash.slots import SlotSet

__all__ = [
    "Data",
    "add_instance",
    "add_mapping",
    "add_shard",
    "attach_shard",
    "count_takeover",
    "number_shard",
    "remove_instance",
    "remove_mapping",
    "remove_shard",
    "set_ranges",
    "set_slot_owners",
    "set_unowned",
]

_Keys = tuple[str, ...]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*([./-][A-Za-z0-9_]+)*")


def add_instance(text: str, name: str, values: Mapping[str, Data]) -> str:
    """Return `text` with a new instance.

    Args:
        text: the configuration.
        name: the instance's name, which must be free.
        values: its keys as in the YAML, such as ``{"url": "mysql://db1:3306"}``.

    Raises:
        UsageError: the name is taken or not allowed.
        RefusedError: the text is in a form that cannot be edited in place.
    """
    return _add(text, "instances", name, values)


def remove_instance(text: str, name: str) -> str:
    """Return `text` without an instance.

    Raises:
        UsageError: there is none of that name.
        RefusedError: shards are on it; the message names them.
    """
    users = [
        shard
        for shard, part in _section(_data(text), "shards").items()
        if isinstance(part, dict) and part.get("instance") == name
    ]
    _refuse_if_used("instance", name, [f"shard {shard}" for shard in users])
    return _remove(text, "instances", name)


def add_shard(text: str, name: str, values: Mapping[str, Data]) -> str:
    """Return `text` with a new shard; `values` as in the YAML: instance, database, read."""
    return _add(text, "shards", name, values)


def remove_shard(text: str, name: str) -> str:
    """Return `text` without a shard.

    Raises:
        UsageError: there is none of that name.
        RefusedError: mappings name it; the message tells where.
    """
    users = [
        f"mapping {mapping} ({place})"
        for mapping, part in _section(_data(text), "mappings").items()
        for place in _places_of_shard(part, name)
    ]
    _refuse_if_used("shard", name, users)
    return _remove(text, "shards", name)


def add_mapping(text: str, name: str, values: Mapping[str, Data]) -> str:
    """Return `text` with a new mapping; `values` as in the YAML: key, tables and a rule."""
    return _add(text, "mappings", name, values)


def remove_mapping(text: str, name: str) -> str:
    """Return `text` without a mapping.

    Raises:
        UsageError: there is none of that name.
        RefusedError: its slots are being moved.
    """
    part = _section(_data(text), "mappings").get(name)
    moving = part.get("unowned") if isinstance(part, dict) else None
    shards = list(moving) if isinstance(moving, dict) else []
    _refuse_if_used("mapping", name, [f"an operation that moves rows of {s}" for s in shards])
    return _remove(text, "mappings", name)


def number_shard(text: str, shard: str, ordinal: int) -> str:
    """Return `text` in which a shard has an ordinal, which no other shard had or will get."""
    part = _section(_data(text), "shards").get(shard)
    if not isinstance(part, dict):
        raise UsageError(f"unknown shard {shard!r}")
    text = _set(text, ("shards", shard), part, "ordinal", ordinal)
    return _set(text, (), _data(text), "last_ordinal", ordinal)


def attach_shard(text: str, shard: str) -> str:
    """Return `text` in which a shard is not detached any more."""
    part = _section(_data(text), "shards").get(shard)
    if not isinstance(part, dict) or "detached" not in part:
        return text
    path = ("shards", shard)
    return _edited(text, path, _removal("detached"), lambda data: data.pop("detached"))


def count_takeover(text: str) -> str:
    """Return `text` that says one more takeover of an unfinished operation.

    That makes it another version, which nobody can save over who read the one before.
    """
    data = _data(text)
    found = data.get("takeovers")
    return _set(text, (), data, "takeovers", (found if isinstance(found, int) else 0) + 1)


def set_slot_owners(text: str, mapping: str, owners: Mapping[str, SlotSet | str]) -> str:
    """Return `text` in which the shards of a mapping own the slots given, and no others.

    Only the entries of shards whose slots change are touched; a shard that is not given any more
    leaves the list, and its weight with it.

    Raises:
        UsageError: no such mapping, or one without slots.
        RefusedError: the text is in a form that cannot be edited in place.
    """
    rule = _mapping(text, mapping).get("slots")
    if not isinstance(rule, dict) or not isinstance(rule.get("owners"), dict):
        raise UsageError(f"mapping {mapping} has no slots; its rule is of another kind")
    path: _Keys = ("mappings", mapping, "slots")
    texts: dict[str, Data] = {shard: str(slots) for shard, slots in owners.items()}
    text = _update(text, (*path, "owners"), texts)
    weights = rule.get("weights")
    if isinstance(weights, dict):
        kept = {shard: weight for shard, weight in weights.items() if shard in owners}
        text = _update(text, (*path, "weights"), kept)
    return text


def set_ranges(text: str, mapping: str, bounds: Sequence[object], shards: Sequence[str]) -> str:
    """Return `text` in which a mapping has these bounds, and these owners of its ranges.

    Args:
        text: the configuration.
        mapping: one by ranges.
        bounds: canonical keys, ascending.
        shards: one more than bounds.

    Raises:
        UsageError: no such mapping, or one without ranges.
        RefusedError: the text is in a form that cannot be edited in place.
    """
    rule = _mapping(text, mapping).get("ranges")
    if not isinstance(rule, dict):
        raise UsageError(f"mapping {mapping} has no ranges; its rule is of another kind")
    written: dict[str, Data] = {
        "bounds": [_written_bound(bound) for bound in bounds],
        "shards": list(shards),
    }
    path: _Keys = ("mappings", mapping, "ranges")
    for key, value in written.items():
        if rule.get(key) != value:
            text = _edited(text, path, _replacement(key, value), _setter(key, value))
    return text


def _written_bound(bound: object) -> Data:
    """Return a bound as the YAML has it; bytes are hex."""
    if isinstance(bound, bytes):
        return f"0x{bound.hex()}"
    assert isinstance(bound, int | str | date), "bounds are canonical keys"
    return bound


def set_unowned(text: str, mapping: str, unowned: Mapping[str, SlotSet | str]) -> str:
    """Return `text` that says of which slots shards may hold rows without owning them.

    An empty mapping takes the key out.

    Raises:
        UsageError: no such mapping.
        RefusedError: the text is in a form that cannot be edited in place.
    """
    part = _mapping(text, mapping)
    path: _Keys = ("mappings", mapping)
    texts: dict[str, Data] = {
        shard: str(slots) for shard, slots in unowned.items() if len(str(slots))
    }
    present = part.get("unowned")
    if isinstance(present, dict) and texts:
        return _update(text, (*path, "unowned"), texts)
    if "unowned" in part:
        text = _edited(text, path, _removal("unowned"), lambda data: data.pop("unowned"))
    if not texts:
        return text
    return _edited(
        text, path, _insertion("unowned", texts), lambda data: data.update(unowned=dict(texts))
    )


def _add(text: str, section: str, name: str, values: Mapping[str, Data]) -> str:
    kind = section.removesuffix("s")
    try:
        check_name(name)
    except ValueError as error:
        raise UsageError(f"the name of the {kind} {error}, found {name!r}") from None
    data = _data(text)
    if name in _section(data, section):
        raise UsageError(f"the {kind} {name} is there already; choose another name")
    if not isinstance(data.get(section), dict):
        new: dict[str, Data] = {name: dict(values)}
        if section in data:
            text = _edited(text, (), _removal(section), lambda top: top.pop(section))
        return _edited(
            text,
            (),
            _insertion(section, new, block_levels=2 if section == "mappings" else 1),
            lambda top: top.update({section: new}),
        )
    return _edited(
        text,
        (section,),
        _insertion(name, dict(values), block_levels=1 if section == "mappings" else 0),
        lambda part: part.update({name: dict(values)}),
    )


def _remove(text: str, section: str, name: str) -> str:
    present = _section(_data(text), section)
    if name not in present:
        known = ", ".join(present) or "none"
        near = did_you_mean(name, present)
        raise UsageError(
            f"unknown {section.removesuffix('s')} {name!r}{near}; the configuration has {known}"
        )
    return _edited(text, (section,), _removal(name), lambda part: part.pop(name))


def _update(text: str, path: _Keys, new: Mapping[str, Data]) -> str:
    """Return `text` with the entries of a mapping made those of `new`, one by one."""
    present: Data = _data(text)
    for key in path:
        present = present[key] if isinstance(present, dict) else None
    old = present if isinstance(present, dict) else {}
    for key, value in new.items():
        if key not in old:
            text = _edited(text, path, _insertion(key, value), _setter(key, value))
        elif str(old[key]) != str(value):
            text = _edited(text, path, _replacement(key, value), _setter(key, value))
    for key in old:
        if key not in new:
            text = _edited(text, path, _removal(key), lambda part, key=key: part.pop(key))  # type: ignore[misc]
    return text


def _set(text: str, path: _Keys, part: Mapping[str, Data], key: str, value: Data) -> str:
    """Return `text` with one entry of the mapping at `path`, which is `part`, added or changed."""
    if part.get(key) == value:
        return text
    change = _replacement(key, value) if key in part else _insertion(key, value)
    return _edited(text, path, change, _setter(key, value))


def _setter(key: str, value: Data) -> Callable[[dict[str, Data]], object]:
    return lambda part: part.update({key: value})


def _refuse_if_used(kind: str, name: str, users: list[str]) -> None:
    if users:
        raise RefusedError(
            f"{kind} {name} cannot be removed: it is used by {', '.join(users)}",
            next_step="remove or change these first",
        )


def _places_of_shard(part: Data, shard: str) -> list[str]:
    """Return the keys of a mapping that name `shard`."""
    if not isinstance(part, dict):
        return []
    places = {
        "slots.owners": ("slots", "owners"),
        "slots.weights": ("slots", "weights"),
        "ranges.shards": ("ranges", "shards"),
        "ring.nodes": ("ring", "nodes"),
        "unowned": ("unowned",),
    }
    return [place for place, path in places.items() if _names(part, path, shard)]


def _names(part: Data, path: _Keys, shard: str) -> bool:
    for key in path:
        part = part.get(key) if isinstance(part, dict) else None
    return isinstance(part, dict | list) and shard in part


def _mapping(text: str, name: str) -> dict[str, Data]:
    mappings = _section(_data(text), "mappings")
    part = mappings.get(name)
    if not isinstance(part, dict):
        known = ", ".join(mappings) or "none"
        raise UsageError(f"unknown mapping {name!r}; the configuration has {known}")
    return part


def _section(data: dict[str, Data], name: str) -> dict[str, Data]:
    part = data.get(name)
    return part if isinstance(part, dict) else {}


def _data(text: str) -> dict[str, Data]:
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


_Change = Callable[[str, MappingNode], str]


def _edited(
    text: str, path: _Keys, change: _Change, meant: Callable[[dict[str, Data]], object]
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
    edited = change(body, _mapping_node(root, path))
    try:
        found = _data(edited)
    except ConfigError:
        raise _uneditable(path) from None
    if _without_empty(found) != _without_empty(expected):
        raise _uneditable(path)
    return bom + edited


def _mapping_node(node: Node | None, path: _Keys) -> MappingNode:
    for key in path:
        node = node.get(key) if isinstance(node, MappingNode) else None
    if not isinstance(node, MappingNode) or node.is_alias:
        raise _uneditable(path)
    return node


def _uneditable(path: _Keys) -> RefusedError:
    where = ".".join(path) or "the file"
    return RefusedError(
        f"{where} is written in a form that cannot be edited in place; nothing was changed",
        next_step="make the change by hand, then run: shardhash config validate",
    )


def _insertion(key: str, value: Data, *, block_levels: int = 0) -> _Change:
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


def _replacement(key: str, value: Data) -> _Change:
    """Return the change that writes another value behind a key."""

    def change(text: str, node: MappingNode) -> str:
        key_node, value_node = _entry(node, key)
        if isinstance(value_node, ScalarNode) and not value_node.text and value_node.is_plain:
            at = text.index(":", key_node.end.index) + 1
            return f"{text[:at]} {_rendered(value)}{text[at:]}"
        start, end = value_node.start.index, _content_end(text, key_node, value_node)
        return text[:start] + _rendered(value) + text[end:]

    return change


def _removal(key: str) -> _Change:
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
