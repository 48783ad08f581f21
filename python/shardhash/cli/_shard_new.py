"""``shardhash shard``: how shards come to be: adopt, release, allocate, clone, attach."""

import argparse

from shardhash.cli._applying import changing_command, plan_or_apply
from shardhash.cli._changes import names
from shardhash.cli._commands import Commands, Parser
from shardhash.cli._console import Console, Outcome
from shardhash.cli._moving import add_move_options, add_target_free, move_options
from shardhash.cli._words import name_and_column
from shardhash.errors import UsageError

__all__ = ["register_new_shards"]


def register_new_shards(shard: Commands) -> None:
    """Add the commands."""
    adopt = changing_command(
        shard,
        "adopt",
        _adopt,
        "take an existing database in as a shard",
        "No row is changed. With --key and --tables a new mapping is made, whose slots are all the "
        "shard's: one database becomes a cluster of one.",
    )
    adopt.add_argument("--instance", metavar="I", required=True, help="where the database is")
    adopt.add_argument("--database", metavar="D", required=True, help="its name there")
    adopt.add_argument("--mapping", metavar="M", required=True, help="the mapping it is part of")
    adopt.add_argument("--key", metavar="COLUMN:TYPE", help="the key of a new mapping")
    adopt.add_argument(
        "--tables",
        metavar="T,T",
        type=names,
        help="the tables of a new mapping; T:COLUMN for one whose key has another name",
    )
    adopt.add_argument(
        "--global-tables", metavar="T,T", type=names, default=[], help="tables every shard has"
    )
    adopt.add_argument("--slots", metavar="N", type=int, default=16_384, help="a power of two")
    _add_no_guards(adopt)
    changing_command(
        shard,
        "release",
        _release,
        "take guards and control tables off a shard",
        "No row is changed, and the configuration goes on routing to it.",
    )
    allocate = changing_command(
        shard,
        "allocate",
        _allocate,
        "make a new shard with the tables of a mapping",
        "Global tables come with their rows. The shard owns no slots yet: move or split gives it "
        "some.",
    )
    allocate.add_argument("--instance", metavar="I", required=True, help="where it is made")
    allocate.add_argument("--mapping", metavar="M", required=True, help="what it is part of")
    allocate.add_argument("--database", metavar="D", help="the name of its database")
    _add_no_guards(allocate)
    clone = changing_command(
        shard,
        "clone",
        _clone,
        "copy a shard whole; the copy ends detached",
        "All tables of one moment, then views, triggers and routines.",
    )
    clone.add_argument("target", metavar="TARGET", help="the name of the copy")
    clone.add_argument("--instance", metavar="I", help="where it is made (default: with NAME)")
    clone.add_argument("--database", metavar="D", help="the name of its database")
    add_target_free(clone)
    attach = changing_command(
        shard,
        "attach",
        _attach,
        "hand a detached copy all slots of the shard it is a copy of",
        "What was written since the copy was made is copied, page by page.",
    )
    attach.add_argument(
        "--slots-of", metavar="SOURCE", required=True, help="the shard that gives its slots"
    )
    add_move_options(attach)


def _add_no_guards(parser: Parser) -> None:
    parser.add_argument(
        "--no-guards",
        dest="guards",
        action="store_false",
        help="leave the tables without triggers that refuse writes to the wrong shard",
    )


def _adopt(options: argparse.Namespace, console: Console) -> Outcome:
    key, key_type = name_and_column(options.key) if options.key else (None, None)
    if options.key and key_type is None:
        raise UsageError(
            f"--key {options.key} names no type", next_step=f"write --key {key}:int, or :str"
        )
    tables = [name_and_column(text) for text in options.tables] if options.tables else None
    return plan_or_apply(
        options,
        console,
        lambda operations: operations.plan_adopt(
            options.name,
            instance=options.instance,
            database=options.database,
            mapping=options.mapping,
            key=key,
            key_type=key_type,
            tables=tables,
            global_tables=options.global_tables,
            slot_count=options.slots,
            guards=options.guards,
        ),
    )


def _release(options: argparse.Namespace, console: Console) -> Outcome:
    return plan_or_apply(options, console, lambda operations: operations.plan_release(options.name))


def _allocate(options: argparse.Namespace, console: Console) -> Outcome:
    return plan_or_apply(
        options,
        console,
        lambda operations: operations.plan_allocate(
            options.name,
            instance=options.instance,
            mapping=options.mapping,
            database=options.database,
            guards=options.guards,
        ),
    )


def _clone(options: argparse.Namespace, console: Console) -> Outcome:
    return plan_or_apply(
        options,
        console,
        lambda operations: operations.plan_clone(
            options.name,
            options.target,
            instance=options.instance,
            database=options.database,
            target_free_bytes=options.target_free,
        ),
    )


def _attach(options: argparse.Namespace, console: Console) -> Outcome:
    return plan_or_apply(
        options,
        console,
        lambda operations: operations.plan_attach(
            options.name,
            slots_of=options.slots_of,
            **move_options(options),
        ),
    )
