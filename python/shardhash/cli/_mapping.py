"""``shardhash mapping``: the rules from key to shard."""

import argparse

from shardhash.cli._applying import add_apply_options, plan_or_apply
from shardhash.cli._changes import changed, names
from shardhash.cli._commands import Commands
from shardhash.cli._console import Console, Outcome
from shardhash.cli._words import mapping_data, mapping_table, name_and_column
from shardhash.errors import UsageError

__all__ = ["register"]

_SLOTS = 16_384


def register(commands: Commands) -> None:
    """Add the group's commands."""
    mapping = commands.group("mapping", "add, list, guard and remove mappings")
    add = mapping.command(
        "add",
        _add,
        "add a slot mapping to the configuration",
        details=(
            "The slots are shared out evenly. Only lines of the new mapping change. For ranges, "
            "rings or weights write the mapping by hand."
        ),
    )
    add.add_argument("name", metavar="NAME", help="its name")
    add.add_argument(
        "--key", metavar="COLUMN:TYPE", required=True, help="the key column, such as store_id:int"
    )
    add.add_argument(
        "--tables",
        metavar="T,T",
        required=True,
        type=names,
        help="its tables; T:COLUMN for one whose key has another name",
    )
    add.add_argument(
        "--global-tables",
        metavar="T,T",
        type=names,
        default=[],
        help="tables that each shard has whole",
    )
    add.add_argument("--shards", metavar="S,S", required=True, type=names, help="its shards")
    add.add_argument(
        "--slots", metavar="N", type=int, default=_SLOTS, help=f"a power of two (default: {_SLOTS})"
    )
    remove = mapping.command("remove", _remove, "remove a mapping from the configuration")
    remove.add_argument("name", metavar="NAME", help="the mapping")
    guard = mapping.command(
        "guard",
        _guard,
        "install or take off the guards of a mapping on all its shards",
        details=(
            "Guards are triggers: the database itself refuses a write to a slot that the shard "
            "does not own, whichever client sends it."
        ),
    )
    guard.add_argument("name", metavar="NAME", help="the mapping")
    guard.add_argument("state", choices=("on", "off"), help="whether it has guards")
    add_apply_options(guard)
    mapping.command("list", _list, "list the mappings", details="Reads the configuration only.")


def _add(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.db.config.edit import add_mapping
    from shardhash.db.fleet import mapping_values

    column, key_type = name_and_column(options.key)
    if key_type is None:
        raise UsageError(
            f"--key {options.key} names no type", next_step=f"write --key {column}:int, or :str"
        )
    values = mapping_values(
        column=column,
        key_type=key_type,
        tables=map(name_and_column, options.tables),
        shards=options.shards,
        slot_count=options.slots,
        global_tables=options.global_tables,
    )
    return changed(
        options,
        lambda text: add_mapping(text, options.name, values),
        f"mapping {options.name} added",
    )


def _remove(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.db.config.edit import remove_mapping

    return changed(
        options,
        lambda text: remove_mapping(text, options.name),
        f"mapping {options.name} removed",
    )


def _guard(options: argparse.Namespace, console: Console) -> Outcome:
    return plan_or_apply(
        options,
        console,
        lambda operations: operations.plan_guard(options.name, wanted=options.state == "on"),
    )


def _list(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config

    config = load_config(options, console)
    mappings = [{"name": each.name, **mapping_data(each)} for each in config.mappings.values()]
    return Outcome(data={"mappings": mappings}, lines=mapping_table(config.mappings.values()))
