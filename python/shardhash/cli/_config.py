"""``shardhash config``: the configuration itself."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shardhash.cli._commands import Commands
from shardhash.cli._console import Console, Outcome
from shardhash.cli._table import count, table

if TYPE_CHECKING:
    from shardhash.db.config import Config
    from shardhash.db.topology import Instance, Mapping

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add the group's commands."""
    config = commands.group("config", "check and show the configuration")
    config.command(
        "validate",
        _validate,
        "check the configuration",
        details=(
            "Prints every mistake as file:line:column: path: what, and what to do; exit code 3. "
            "Connects to nothing."
        ),
    )
    config.command(
        "show",
        _show,
        "print what the configuration says",
        details="Passwords are left out. Connects to nothing.",
    )


def _validate(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config

    config = load_config(options, console)
    counts = {
        "instances": len(config.instances),
        "shards": len(config.shards),
        "mappings": len(config.mappings),
    }
    words = ", ".join(count(number, name.removesuffix("s")) for name, number in counts.items())
    return Outcome(
        data={"source": config.source, **counts}, lines=[f"{config.source} is valid: {words}"]
    )


def _show(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config

    config = load_config(options, console)
    data = {
        "app": config.app,
        "source": config.source,
        "version": config.version,
        "map_max_age_s": config.map_max_age_s,
        "instances": {
            each.name: {"backend": each.backend, "address": _address(each)}
            for each in config.instances.values()
        },
        "shards": {
            each.name: {"instance": each.instance, "database": each.database}
            for each in config.shards.values()
        },
        "mappings": {each.name: _mapping(each) for each in config.mappings.values()},
    }
    return Outcome(data=data, lines=_lines(config))


def _lines(config: "Config") -> Iterator[str]:
    yield f"app {config.app}, from {config.source}"
    yield ""
    yield from table(
        ("instance", "backend", "address"),
        ((each.name, each.backend, _address(each)) for each in config.instances.values()),
    )
    yield ""
    yield from table(
        ("shard", "instance", "database"),
        ((each.name, each.instance, each.database) for each in config.shards.values()),
    )
    yield ""
    yield from table(
        ("mapping", "key", "type", "rule", "shards", "tables"),
        (
            (
                each.name,
                each.key.column,
                each.key.type,
                _rule(each),
                ", ".join(each.shards),
                ", ".join(rule.name for rule in each.tables),
            )
            for each in config.mappings.values()
        ),
    )


def _mapping(mapping: "Mapping") -> dict[str, object]:
    return {
        "key": {"column": mapping.key.column, "type": mapping.key.type},
        "rule": _rule(mapping),
        "shards": list(mapping.shards),
        "tables": [{"name": rule.name, "key": rule.key} for rule in mapping.tables],
        "global_tables": list(mapping.global_tables),
    }


def _rule(mapping: "Mapping") -> str:
    from shardhash.db.topology import RangeRule, SlotRule

    rule = mapping.rule
    if isinstance(rule, SlotRule):
        return count(rule.slot_count, "slot")
    if isinstance(rule, RangeRule):
        return count(len(rule.shards), "range")
    return f"ring of {count(len(rule.nodes), 'node')}"


def _address(instance: "Instance") -> str:
    return instance.directory or (instance.endpoint.address if instance.endpoint else "")
