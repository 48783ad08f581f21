"""``shardhash shard``: the commands that make, move, prune and remove shards."""

import argparse
from typing import TypedDict

from shardhash.cli._applying import add_apply_options, plan_or_apply
from shardhash.cli._changes import names
from shardhash.cli._commands import Commands, Parser
from shardhash.cli._console import Console, Outcome
from shardhash.cli._words import byte_count, name_and_column, seconds
from shardhash.cli._workers import add_dask_options, dask_workers
from shardhash.errors import UsageError

__all__ = ["register_changes"]


class MoveOptions(TypedDict):
    """How rows move: options that all planners of moves take."""

    freeze: bool
    fence_wait_s: float
    app_stopped: bool
    quarantine: bool
    target_free_bytes: int | None


def register_changes(shard: Commands) -> None:
    """Add the commands that plan and apply operations on shards."""
    _register_new_shards(shard)
    _register_moves(shard)
    _register_prune(shard)


def _register_new_shards(shard: Commands) -> None:
    adopt = _command(
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
    _command(
        shard,
        "release",
        _release,
        "take guards and control tables off a shard",
        "No row is changed, and the configuration goes on routing to it.",
    )
    allocate = _command(
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
    clone = _command(
        shard,
        "clone",
        _clone,
        "copy a shard whole; the copy ends detached",
        "All tables of one moment, then views, triggers and routines.",
    )
    clone.add_argument("target", metavar="TARGET", help="the name of the copy")
    clone.add_argument("--instance", metavar="I", help="where it is made (default: with NAME)")
    clone.add_argument("--database", metavar="D", help="the name of its database")
    _add_target_free(clone)
    attach = _command(
        shard,
        "attach",
        _attach,
        "hand a detached copy all slots of the shard it is a copy of",
        "What was written since the copy was made is copied, page by page.",
    )
    attach.add_argument(
        "--slots-of", metavar="SOURCE", required=True, help="the shard that gives its slots"
    )
    _add_freeze(attach)


def _register_moves(shard: Commands) -> None:
    split = _command(
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
        "--fraction", metavar="F", type=float, default=0.5, help="the part to move (default: 0.5)"
    )
    split.add_argument(
        "--by", choices=("slots", "rows"), default="slots", help="what the fraction is of"
    )
    split.add_argument("--at", metavar="KEY", help="where a range is cut, in a range mapping")
    _add_freeze(split)
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
    _add_freeze(merge)
    move = _command(
        shard,
        "move",
        _move,
        "move slots with their rows from one shard to another",
        "Reads go on, and all other slots are undisturbed.",
    )
    move.add_argument("target", metavar="TARGET", help="where they go")
    move.add_argument("--slots", metavar="0-99,200", required=True, help="slots that NAME owns")
    move.add_argument("--mapping", metavar="M", help="the mapping, if in more than one")
    _add_freeze(move)
    remove = _command(
        shard,
        "remove",
        _remove,
        "take a shard out of the cluster",
        "It must own no slot and hold no row; --drain moves them first. A database that no "
        "operation made stays where it is.",
    )
    remove.add_argument("--drain", action="store_true", help="move its slots to the others first")
    _add_freeze(remove)


def _register_prune(shard: Commands) -> None:
    prune = _command(
        shard,
        "prune",
        _prune,
        "delete the rows of a shard that belong to other shards",
        "Each batch is one transaction, and a row goes only if its owner has an equal row "
        "then. Rows that stay for want of proof are listed, with exit code 5. Running it again "
        "goes on where it stopped.",
    )
    prune.add_argument(
        "--mapping", metavar="M", help="its mapping, if the shard is in more than one"
    )
    prune.add_argument(
        "--tables", metavar="T,T", type=names, help="only these tables of the mapping"
    )
    prune.add_argument(
        "--using",
        choices=("keys", "pages"),
        help="how foreign rows are found; otherwise the plan chooses and says why",
    )
    prune.add_argument(
        "--no-proof",
        dest="proof",
        action="store_false",
        help="delete on the word of the configuration alone, whether the owner has the row or not",
    )
    prune.add_argument(
        "--quarantine", action="store_true", help="keep what is deleted, for `op undo`"
    )
    add_dask_options(prune, what="its batches")


def _command(shard: Commands, name: str, run: object, summary: str, details: str) -> Parser:
    parser = shard.command(name, run, summary, details=details)  # type: ignore[arg-type]
    parser.add_argument("name", metavar="NAME", help="the shard")
    add_apply_options(parser)
    return parser


def _add_freeze(parser: Parser) -> None:
    parser.add_argument(
        "--freeze",
        action="store_true",
        help="refuse writes to the moving slots while they are copied (required for now)",
    )
    parser.add_argument(
        "--fence-wait",
        metavar="S",
        type=seconds,
        default=30.0,
        help="seconds to wait for open transactions in the way (default: 30)",
    )
    parser.add_argument(
        "--app-stopped",
        action="store_true",
        help="nobody writes: guards are not needed, and not minded",
    )
    parser.add_argument(
        "--quarantine", action="store_true", help="keep the old rows when they go, for a look"
    )
    _add_target_free(parser)


def _add_target_free(parser: Parser) -> None:
    parser.add_argument(
        "--target-free",
        metavar="SIZE",
        type=byte_count,
        help="the room where the rows go, such as 500G: a server does not tell its own",
    )


def _move_options(options: argparse.Namespace) -> MoveOptions:
    """Return what ``_add_freeze`` asks for, as the planners take it."""
    return {
        "freeze": options.freeze,
        "fence_wait_s": options.fence_wait,
        "app_stopped": options.app_stopped,
        "quarantine": options.quarantine,
        "target_free_bytes": options.target_free,
    }


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
            **_move_options(options),
        ),
    )


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
            **_move_options(options),
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
            **_move_options(options),
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
            **_move_options(options),
        ),
    )


def _remove(options: argparse.Namespace, console: Console) -> Outcome:
    return plan_or_apply(
        options,
        console,
        lambda operations: operations.plan_remove(
            options.name,
            drain=options.drain,
            **_move_options(options),
        ),
    )


def _prune(options: argparse.Namespace, console: Console) -> Outcome:
    with dask_workers(options) as executor:
        return plan_or_apply(
            options,
            console,
            lambda operations: operations.plan_prune(
                options.name,
                mapping=options.mapping,
                tables=options.tables,
                using=options.using,
                proof=options.proof,
                quarantine=options.quarantine,
            ),
            executor=executor,
        )
