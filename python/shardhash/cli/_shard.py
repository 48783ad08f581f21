"""``shardhash shard``: list and verify shards; what changes them is in modules of its own."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shardhash.cli._commands import Commands
from shardhash.cli._configuration import open_operations
from shardhash.cli._console import Console, Outcome, Status
from shardhash.cli._shard_moves import register_moves
from shardhash.cli._shard_new import register_new_shards
from shardhash.cli._shard_prune import register_prune
from shardhash.cli._table import count, table
from shardhash.cli._workers import add_dask_options, dask_workers
from shardhash.errors import MismatchError

if TYPE_CHECKING:
    from shardhash.db.config import Config
    from shardhash.db.operations import VerifyReport
    from shardhash.db.topology import Mapping

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add the group's commands."""
    shard = commands.group("shard", "list shards and run operations on them")
    shard.command(
        "list",
        _list,
        "list the shards and what each owns",
        details="Reads the configuration only.",
    )
    register_new_shards(shard)
    register_moves(shard)
    register_prune(shard)
    verify = shard.command(
        "verify",
        _verify,
        "compare what shards hold with what the map says",
        details=(
            "Reads every row's place, compares global tables and looks at the guards; with "
            "--against, compares two shards row by row by page checksums. Exit code 5 where "
            "something is not as it should be."
        ),
    )
    verify.add_argument("name", metavar="NAME", nargs="?", help="the shard (default: all)")
    verify.add_argument("--mapping", metavar="M", help="only this mapping")
    verify.add_argument("--against", metavar="OTHER", help="a shard that must be equal to NAME")
    add_dask_options(verify, what="the look at each table")


def _list(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config

    config = load_config(options, console)
    shards = [
        {
            "name": shard.name,
            "instance": shard.instance,
            "database": shard.database,
            "detached": shard.detached,
            "mappings": {
                mapping.name: _owned(mapping, shard.name)
                for mapping in config.mappings.values()
                if shard.name in mapping.shards
            },
        }
        for shard in config.shards.values()
    ]
    return Outcome(data={"shards": shards}, lines=_shard_lines(config))


def _shard_lines(config: "Config") -> Iterator[str]:
    rows = []
    for shard in config.shards.values():
        mappings = [each for each in config.mappings.values() if shard.name in each.shards]
        owned = [f"{each.name}: {_owned_words(each, shard.name)}" for each in mappings]
        place = (shard.name, shard.instance, shard.database)
        nothing = "detached: no key is routed to it" if shard.detached else "in no mapping"
        rows += [(*place, words) for words in owned or [nothing]]
    yield from table(("shard", "instance", "database", "owns"), rows)


def _owned(mapping: "Mapping", shard: str) -> dict[str, object]:
    """Return how much of a mapping a shard owns, in the unit of the mapping's rule."""
    from shardhash.db.topology import RangeRule, SlotRule

    rule = mapping.rule
    if isinstance(rule, SlotRule):
        return {"slots": rule.owners.count(shard), "of": rule.slot_count}
    if isinstance(rule, RangeRule):
        return {"ranges": rule.shards.count(shard), "of": len(rule.shards)}
    return {"weight": rule.nodes[shard], "of": sum(rule.nodes.values())}


def _owned_words(mapping: "Mapping", shard: str) -> str:
    owned = _owned(mapping, shard)
    (unit, part), (_, whole) = owned.items()
    return f"{part:,} of {whole:,} {unit}" if unit != "weight" else f"weight {part:g} of {whole:g}"


def _verify(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._verify import verify_lines

    with (
        open_operations(options, console) as operations,
        dask_workers(options) as executor,
        console.progress() as progress,
    ):
        report = operations.verify(
            options.name,
            mapping=options.mapping,
            against=options.against,
            progress=progress,
            executor=executor,
        )
    return Outcome(
        status=Status.OK if report.is_clean else Status.MISMATCH,
        data={"verify": report.to_json()},
        lines=verify_lines(report),
        error=None if report.is_clean else _mismatch(report),
    )


def _mismatch(report: "VerifyReport") -> MismatchError:
    found, steps = [], []
    if report.misplaced:
        found.append(f"misplaced: {count(report.misplaced, 'row')}")
        shard = next(each.shard for each in report.tables if each.misplaced)
        steps.append(
            f"shardhash shard prune {shard} shows them, and removes those that their owners have"
        )
    if report.mismatches:
        found.append(f"different: {count(len(report.mismatches), 'page')}")
        steps.append("make the rows equal that are listed")
    if report.problems:
        found.append("guards or slots are not as they should be")
        steps.append("shardhash mapping guard MAPPING on --apply mends guards")
    return MismatchError(
        f"{', and '.join(found)}; nothing was changed",
        next_step="; ".join(["shardhash op list, for an operation that has not ended", *steps]),
    )
