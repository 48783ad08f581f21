"""Edits the text of a configuration in place: only the lines of the change change.

Every function takes a text and returns a new one; comments, order, quotes and line ends of all
else stay as they are. The result is read again and compared with what the edit meant, so that a
text in a form that cannot be edited is refused and never damaged. Whether the result is a valid
configuration is for ``Config.parse`` to say, which every store does before it saves.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from shardhash.db.config._models import check_name
from shardhash.db.config._problems import Data, did_you_mean
from shardhash.db.config._splice import Keys, edited, insertion, read_data, removal, replacement
from shardhash.errors import RefusedError, UsageError
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
        for shard, part in _section(read_data(text), "shards").items()
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
        for mapping, part in _section(read_data(text), "mappings").items()
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
    part = _section(read_data(text), "mappings").get(name)
    moving = part.get("unowned") if isinstance(part, dict) else None
    shards = list(moving) if isinstance(moving, dict) else []
    _refuse_if_used("mapping", name, [f"an operation that moves rows of {s}" for s in shards])
    return _remove(text, "mappings", name)


def number_shard(text: str, shard: str, ordinal: int) -> str:
    """Return `text` in which a shard has an ordinal, which no other shard had or will get."""
    part = _section(read_data(text), "shards").get(shard)
    if not isinstance(part, dict):
        raise UsageError(f"unknown shard {shard!r}")
    text = _set(text, ("shards", shard), part, "ordinal", ordinal)
    return _set(text, (), read_data(text), "last_ordinal", ordinal)


def attach_shard(text: str, shard: str) -> str:
    """Return `text` in which a shard is not detached any more."""
    part = _section(read_data(text), "shards").get(shard)
    if not isinstance(part, dict) or "detached" not in part:
        return text
    path = ("shards", shard)
    return edited(text, path, removal("detached"), lambda data: data.pop("detached"))


def count_takeover(text: str) -> str:
    """Return `text` that says one more takeover of an unfinished operation.

    That makes it another version, which nobody can save over who read the one before.
    """
    data = read_data(text)
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
    path: Keys = ("mappings", mapping, "slots")
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
    path: Keys = ("mappings", mapping, "ranges")
    for key, value in written.items():
        if rule.get(key) != value:
            text = edited(text, path, replacement(key, value), _setter(key, value))
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
    path: Keys = ("mappings", mapping)
    texts: dict[str, Data] = {
        shard: str(slots) for shard, slots in unowned.items() if len(str(slots))
    }
    present = part.get("unowned")
    if isinstance(present, dict) and texts:
        return _update(text, (*path, "unowned"), texts)
    if "unowned" in part:
        text = edited(text, path, removal("unowned"), lambda data: data.pop("unowned"))
    if not texts:
        return text
    return edited(
        text, path, insertion("unowned", texts), lambda data: data.update(unowned=dict(texts))
    )


def _add(text: str, section: str, name: str, values: Mapping[str, Data]) -> str:
    kind = section.removesuffix("s")
    try:
        check_name(name)
    except ValueError as error:
        raise UsageError(f"the name of the {kind} {error}, found {name!r}") from None
    data = read_data(text)
    if name in _section(data, section):
        raise UsageError(f"the {kind} {name} is there already; choose another name")
    if not isinstance(data.get(section), dict):
        new: dict[str, Data] = {name: dict(values)}
        if section in data:
            text = edited(text, (), removal(section), lambda top: top.pop(section))
        return edited(
            text,
            (),
            insertion(section, new, block_levels=2 if section == "mappings" else 1),
            lambda top: top.update({section: new}),
        )
    return edited(
        text,
        (section,),
        insertion(name, dict(values), block_levels=1 if section == "mappings" else 0),
        lambda part: part.update({name: dict(values)}),
    )


def _remove(text: str, section: str, name: str) -> str:
    present = _section(read_data(text), section)
    if name not in present:
        known = ", ".join(present) or "none"
        near = did_you_mean(name, present)
        raise UsageError(
            f"unknown {section.removesuffix('s')} {name!r}{near}; the configuration has {known}"
        )
    return edited(text, (section,), removal(name), lambda part: part.pop(name))


def _update(text: str, path: Keys, new: Mapping[str, Data]) -> str:
    """Return `text` with the entries of a mapping made those of `new`, one by one."""
    present: Data = read_data(text)
    for key in path:
        present = present[key] if isinstance(present, dict) else None
    old = present if isinstance(present, dict) else {}
    for key, value in new.items():
        if key not in old:
            text = edited(text, path, insertion(key, value), _setter(key, value))
        elif str(old[key]) != str(value):
            text = edited(text, path, replacement(key, value), _setter(key, value))
    for key in old:
        if key not in new:
            text = edited(text, path, removal(key), lambda part, key=key: part.pop(key))  # type: ignore[misc]
    return text


def _set(text: str, path: Keys, part: Mapping[str, Data], key: str, value: Data) -> str:
    """Return `text` with one entry of the mapping at `path`, which is `part`, added or changed."""
    if part.get(key) == value:
        return text
    change = replacement(key, value) if key in part else insertion(key, value)
    return edited(text, path, change, _setter(key, value))


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


def _names(part: Data, path: Keys, shard: str) -> bool:
    for key in path:
        part = part.get(key) if isinstance(part, dict) else None
    return isinstance(part, dict | list) and shard in part


def _mapping(text: str, name: str) -> dict[str, Data]:
    mappings = _section(read_data(text), "mappings")
    part = mappings.get(name)
    if not isinstance(part, dict):
        known = ", ".join(mappings) or "none"
        raise UsageError(f"unknown mapping {name!r}; the configuration has {known}")
    return part


def _section(data: dict[str, Data], name: str) -> dict[str, Data]:
    part = data.get(name)
    return part if isinstance(part, dict) else {}
