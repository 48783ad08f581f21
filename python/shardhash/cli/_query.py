"""``shardhash query``: ask the shards, or say how they would be asked."""

import argparse
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shardhash.cli._commands import Commands, Parser
from shardhash.cli._console import Console, Outcome, Status, printable
from shardhash.cli._table import table
from shardhash.cli._workers import add_dask_options, dask_workers
from shardhash.errors import ShardhashError, StoppedError, UsageError

if TYPE_CHECKING:
    from shardhash.db.query import Explanation, QueryResult

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add the group's commands."""
    query = commands.group("query", "ask the shards as if they were one database")
    run = query.command(
        "run",
        _run,
        "run a statement on the shards that it is for, and print the one answer",
        details=(
            "A statement that shards cannot answer as one database would is refused, with what to "
            "ask instead. A write goes to the shard of its key; without --apply it is only "
            "explained."
        ),
    )
    _add_arguments(run)
    run.add_argument(
        "--deadline",
        metavar="SECONDS",
        type=float,
        help="how long each server may work on it (default: as long as it takes)",
    )
    run.add_argument(
        "--best-effort",
        action="store_true",
        help="let a write go to several shards, each committed on its own",
    )
    run.add_argument("--apply", action="store_true", help="run a statement that writes")
    add_dask_options(run, what="the shards' parts of a statement that reads")
    explain = query.command(
        "explain",
        _explain,
        "say which shards a statement goes to and why, what each is asked, and what comes of it",
        details="Reads the definitions of tables from one shard, and runs nothing else.",
    )
    _add_arguments(explain)


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("statement", metavar="SQL", help="one statement, with %%s for values")
    parser.add_argument(
        "values",
        metavar="VALUE",
        nargs="*",
        help="the values of its placeholders, as JSON; what is no JSON is text",
    )
    parser.add_argument("--mapping", metavar="M", help="the mapping whose servers' SQL it is")
    parser.add_argument(
        "--shards",
        metavar="S,S",
        type=lambda text: [name.strip() for name in text.split(",")],
        help="ask these shards and no others; one is asked without looking into the statement",
    )


def _value(text: str) -> object:
    """Return a value of the command line: a number, true, false, null or quoted text; else text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, list | dict):
        raise UsageError(f"{text} is no single value: give one VALUE for each placeholder")
    return value


def _run(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import config_reference, load_config
    from shardhash.db import Cluster

    values = tuple(map(_value, options.values))
    source = config_reference(options)
    with (
        Cluster(load_config(options, console), source=source) as cluster,
        dask_workers(options) as executor,
    ):
        found = cluster.explain(
            options.statement, values, mapping=options.mapping, shards=options.shards
        )
        if found.kind == "write" and not options.apply:
            return _planned(found)
        result = cluster.query(
            options.statement,
            values,
            mapping=options.mapping,
            shards=options.shards,
            deadline_s=options.deadline,
            executor=executor,
            best_effort=options.best_effort,
        )
        with result:
            if not result.columns:
                return _written(result)
            return _answer(result)


def _planned(found: "Explanation") -> Outcome:
    lines = [*found.to_text().splitlines(), "", "Nothing was changed: add --apply to do it."]
    return Outcome(data={"explanation": found.to_json()}, lines=lines, status=Status.PLAN)


def _answer(result: "QueryResult") -> Outcome:
    columns = [{"name": column.name, "type": column.type} for column in result.columns]
    rows = [[_plain(value) for value in row] for row in result]
    headings = [printable(column.name) for column in result.columns]
    return Outcome(
        data={"columns": columns, "rows": rows, "shards": list(result.shards)},
        lines=_row_lines(headings, rows),
    )


def _row_lines(headings: list[str], rows: list[list[object]]) -> Iterator[str]:
    cells = [["NULL" if value is None else str(value) for value in row] for row in rows]
    yield from table(headings, cells)


def _plain(value: object) -> object:
    """Return a value as JSON has it: decimals, dates and bytes as text, so that none is changed."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


def _written(result: "QueryResult") -> Outcome:
    lines = [f"{shard}: {rows:,} rows, committed" for shard, rows in result.committed.items()]
    lines += [f"{shard}: rolled back: {why}" for shard, why in result.failed.items()]
    lines += [f"{shard}: UNKNOWN: {why}" for shard, why in result.unknown.items()]
    is_half_done = bool(result.failed or result.unknown)
    return Outcome(
        data={
            "committed": dict(result.committed),
            "failed": dict(result.failed),
            "unknown": dict(result.unknown),
            "shards": list(result.shards),
        },
        lines=lines,
        status=Status.STOPPED if is_half_done else Status.OK,
        error=_half_done(result) if is_half_done else None,
    )


def _half_done(result: "QueryResult") -> ShardhashError:
    found = [f"committed on {', '.join(result.committed) or 'no shard'}"]
    steps = []
    if result.failed:
        names = ", ".join(result.failed)
        found.append(f"rolled back on {names}")
        steps.append(f"mend what the messages name, then write again with --shards {names}")
    if result.unknown:
        names = ", ".join(result.unknown)
        found.append(f"unknown on {names}")
        steps.append(f"look on {names} whether the rows are there, before you write them again")
    return StoppedError(", ".join(found), next_step="; ".join(steps))


def _explain(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config
    from shardhash.db import Cluster

    with Cluster(load_config(options, console)) as cluster:
        found = cluster.explain(
            options.statement,
            tuple(map(_value, options.values)),
            mapping=options.mapping,
            shards=options.shards,
        )
    return Outcome(data={"explanation": found.to_json()}, lines=found.to_text().splitlines())
