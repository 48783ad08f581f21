"""``shardhash shard``: how rows move between shards: split, merge, move, and drain to remove."""

import argparse

from shardhash.cli._applying import add_apply_options, changing_command, plan_or_apply
from shardhash.cli._commands import Commands
from shardhash.cli._console import Console, Outcome
from shardhash.cli._moving import add_move_options, move_options
from shardhash.cli._words import fraction

__all__ = ["register_moves"]


def register_moves(shard: Commands) -> None:
    """Add the commands."""
    split = changing_command(
        shard,
        "split",
        _split,
        "move a part of a shard's slots to a new shard",
        "Reads go on, and all other slots are undisturbed.",
    )
    split.add_argument("target", metavar="TARGET", help="a new shard, or one that owns no slots")
    split.add_argument("--mapping", metavar="M", help="the mapping, if in more than one")
    split.add_argument(
        "--instance", metavar="I", help="where TARGET is made (default: beside NAME)"
    )
    split.add_argument("--database", metavar="D", help="the name of its database")
    split.add_argument(
        "--fraction",
        metavar="F",
        type=fraction,
        default=0.5,
        help="the part to move (default: 0.5)",
    )
    split.add_argument(
        "--by", choices=("slots", "rows"), default="slots", help="what the fraction is of"
    )
    split.add_argument("--at", metavar="KEY", help="where a range is cut, in a range mapping")
    add_move_options(split)
    merge = shard.command(
        "merge",
        _merge,
        "make the two ranges beside a bound one",
        details="If they are of two shards, the rows of the other one move first.",
    )
    merge.add_argument("name", metavar="MAPPING", help="a range mapping")
    merge.add_argument("--at", metavar="KEY", required=True, help="the bound that goes")
    merge.add_argument("--into", metavar="SHARD", required=True, help="whose the range will be")
    add_apply_options(merge)
    add_move_options(merge)
    move = changing_command(
        shard,
        "move",
        _move,
        "move slots with their rows from one shard to another",
        "Reads go on, and all other slots are undisturbed.",
    )
    move.add_argument("target", metavar="TARGET", help="where they go")
    move.add_argument("--slots", metavar="0-99,200", required=True, help="slots that NAME owns")
    move.add_argument("--mapping", metavar="M", help="the mapping, if in more than one")
    add_move_options(move)
    remove = changing_command(
        shard,
        "remove",
        _remove,
        "take a shard out of the cluster",
        "It must own no slot and hold no row; --drain moves them first. A database that no "
        "operation made stays where it is.",
    )
    remove.add_argument("--drain", action="store_true", help="move its slots to the others first")
    add_move_options(remove)


def _split(options: argparse.Namespace, console: Console) -> Outcome:
    return plan_or_apply(
        options,
        console,
        lambda operations: operations.plan_split(
            options.name,
            options.target,
            mapping=options.mapping,
            instance=options.instance,
            fraction=options.fraction,
            by=options.by,
            at=None
            if options.at is None
            else operations.parse_key(options.at, mapping=options.mapping, shard=options.name),
            **move_options(options),
            database=options.database,
        ),
    )


def _merge(options: argparse.Namespace, console: Console) -> Outcome:
    return plan_or_apply(
        options,
        console,
        lambda operations: operations.plan_merge(
            options.name,
            at=operations.parse_key(options.at, mapping=options.name),
            into=options.into,
            **move_options(options),
        ),
    )


def _move(options: argparse.Namespace, console: Console) -> Outcome:
    return plan_or_apply(
        options,
        console,
        lambda operations: operations.plan_move(
            options.name,
            options.target,
            slots=options.slots,
            mapping=options.mapping,
            **move_options(options),
        ),
    )


def _remove(options: argparse.Namespace, console: Console) -> Outcome:
    return plan_or_apply(
        options,
        console,
        lambda operations: operations.plan_remove(
            options.name,
            drain=options.drain,
            **move_options(options),
        ),
    )
