"""``shardhash shard``: the shards of the configuration, and operations on them."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shardhash.cli._commands import Commands
from shardhash.cli._console import Console, Outcome, Status
from shardhash.cli._table import table
from shardhash.errors import MismatchError

if TYPE_CHECKING:
    from shardhash.db.config import Config
    from shardhash.db.operations import Operations
    from shardhash.db.plan import Plan, Report
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
    prune = shard.command(
        "prune",
        _prune,
        "delete the rows of a shard that belong to other shards",
        details=(
            "Each batch is one transaction, and a row goes only if its owner has an equal row "
            "then. Rows that stay for want of proof are listed, with exit code 5. Running it again "
            "goes on where it stopped."
        ),
    )
    prune.add_argument("name", metavar="NAME", help="the shard")
    prune.add_argument(
        "--mapping", metavar="M", help="its mapping, if the shard is in more than one"
    )
    prune.add_argument(
        "--tables",
        metavar="T,T",
        type=lambda text: [name.strip() for name in text.split(",")],
        help="only these tables of the mapping",
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
    prune.add_argument("--apply", action="store_true", help="do it, after printing the plan")


def _list(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config

    config = load_config(options, console)
    shards = [
        {
            "name": shard.name,
            "instance": shard.instance,
            "database": shard.database,
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
        rows += [(*place, words) for words in owned or ["in no mapping"]]
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


def _prune(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config
    from shardhash.db.operations import Operations

    with Operations(load_config(options, console)) as operations:
        plan = operations.plan_prune(
            options.name,
            mapping=options.mapping,
            tables=options.tables,
            using=options.using,
            proof=options.proof,
        )
        return _apply(operations, plan, console) if options.apply else _planned(plan)


def _planned(plan: "Plan") -> Outcome:
    from shardhash.cli._report import plan_lines

    def lines() -> Iterator[str]:
        yield from plan_lines(plan)
        yield ""
        yield "Nothing was changed: add --apply to do it."

    return Outcome(
        status=Status.PLAN, data={"plan": plan.to_json()}, lines=lines(), warnings=plan.warnings
    )


def _apply(operations: "Operations", plan: "Plan", console: Console) -> Outcome:
    from shardhash.cli._report import plan_lines, report_lines

    console.say(*plan_lines(plan), "", *(f"warning: {text}" for text in plan.warnings))
    if plan.foreign_rows:
        console.confirm(
            plan.shard, f"{plan.foreign_rows:,} rows of {plan.shard} will be deleted for good."
        )
    with console.progress() as progress:
        report = operations.apply(plan, progress=progress)
    return Outcome(
        status=Status.MISMATCH if report.kept else Status.OK,
        data={"plan": plan.to_json(), "report": report.to_json()},
        lines=report_lines(report),
        warnings=(*(plan.warnings if console.as_json else ()), *report.warnings),
        error=_kept_error(plan, report) if report.kept else None,
    )


def _kept_error(plan: "Plan", report: "Report") -> MismatchError:
    return MismatchError(
        f"{report.kept:,} rows on {plan.shard} belong to other shards, which have no equal row: "
        "they were kept",
        next_step=(
            "if the configuration is an old one, prune with the present one; else copy these rows "
            "to their owners, and prune again"
        ),
    )
