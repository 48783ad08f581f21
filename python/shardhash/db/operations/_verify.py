"""Compare what shards hold with what the map says they hold. Nothing here writes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from shardhash.db.connections import SessionSettings
from shardhash.db.executor import PageMismatch, ProgressListener, compare_tables
from shardhash.db.operations._reader import FactReader
from shardhash.db.operations._verdict import TableVerdict, key_text, verdict
from shardhash.db.plan import Progress
from shardhash.db.processes import Workers, process_connections
from shardhash.db.topology import Mapping as MappingRule
from shardhash.db.topology import RingRule
from shardhash.errors import UsageError

__all__ = ["VerifyReport", "verify"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a verification found.

    Attributes:
        tables: every table that was looked at, with the first rows that are misplaced.
        mismatches: by pair of shards the pages that differ, with their first rows.
        problems: what is wrong with guards and slots, by shard.
    """

    tables: tuple[TableVerdict, ...]
    mismatches: tuple[tuple[str, str, PageMismatch], ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def misplaced(self) -> int:
        """The number of rows that are where they should not be."""
        return sum(sum(table.misplaced.values()) for table in self.tables)

    @property
    def is_clean(self) -> bool:
        """Tell whether all rows are where, and what, they should be, and the guards hold."""
        return not (self.misplaced or self.mismatches or self.problems)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values; keys become text."""
        return {
            "clean": self.is_clean,
            "tables": [table.to_json() for table in self.tables],
            "mismatches": [
                {"source": source, "target": target, **_page_json(page)}
                for source, target, page in self.mismatches
            ],
            "problems": dict(self.problems),
        }


def _page_json(page: PageMismatch) -> dict[str, Any]:
    keys = {
        name: [[key_text(value) for value in key] for key in getattr(page, name)]
        for name in ("missing", "extra", "differing")
    }
    return {
        "table": page.table,
        "page": page.number,
        "source_rows": page.source_rows,
        "target_rows": page.target_rows,
        **keys,
    }


_Found = tuple[list[TableVerdict], list[tuple[str, str, PageMismatch]]]


@dataclass(frozen=True, slots=True)
class _Task:
    """One table to look at: by whose rows it has, or beside another shard's."""

    table: str
    shard: str
    mapping: str = ""
    other: str = ""

    def run(self, reader: FactReader) -> _Found:
        if self.other:
            return [], _compared(reader, self.table, self.shard, self.other)
        mapping = reader.config.mapping(self.mapping)
        rule = next(rule for rule in mapping.tables if rule.name == self.table)
        return [verdict(reader, mapping, self.shard, rule)], []


def verify(
    reader: FactReader,
    shard: str | None,
    *,
    mapping: str | None,
    against: str | None,
    progress: ProgressListener | None,
    workers: Workers | None,
) -> VerifyReport:
    """Look at every table; see ``Operations.verify``."""
    config = reader.config
    if shard is not None:
        config.shard(shard)
    chosen = [config.mapping(mapping)] if mapping else list(config.mappings.values())
    if against is not None:
        if shard is None:
            raise UsageError(
                f"verify against {against} compares it with one shard, and none is named",
                next_step=f"shardhash shard verify NAME --against {against}",
            )
        if shard == against:
            raise UsageError(
                f"{shard} would be compared with itself", next_step="name another --against"
            )
        tasks = list(_comparisons(reader, chosen, shard, against))
    else:
        tasks = list(_tasks(chosen, shard))
    tables: list[TableVerdict] = []
    mismatches: list[tuple[str, str, PageMismatch]] = []
    for number, (verdicts, pages) in enumerate(_results(reader, tasks, workers), start=1):
        tables += verdicts
        mismatches += pages
        if progress is not None:
            progress(_progress(number, len(tasks), verdicts))
    problems = {} if against else _problems(reader, chosen, shard)
    return VerifyReport(tables=tuple(tables), mismatches=tuple(mismatches), problems=problems)


def _results(
    reader: FactReader, tasks: Sequence[_Task], workers: Workers | None
) -> Iterator[_Found]:
    """Run tasks here, on threads, or in processes that open their own connections."""
    if workers is None:
        return (task.run(reader) for task in tasks)
    if workers.is_here:
        return workers.executor.map(lambda task: task.run(reader), tasks)
    run = partial(_run_elsewhere, workers.reference(), reader.config.version)
    return workers.executor.map(run, tasks)


def _run_elsewhere(reference: str, version: str, task: _Task) -> _Found:
    session = SessionSettings.operations()
    config, connections = process_connections(reference, version, session=session)
    return task.run(FactReader(config, config, connections))


def _tasks(mappings: Sequence[MappingRule], shard: str | None) -> Iterator[_Task]:
    for mapping in mappings:
        for name in _shards(mapping, shard):
            for rule in mapping.tables:
                yield _Task(rule.name, name, mapping.name)
        model, *others = mapping.shards
        for table in mapping.global_tables:
            for other in others:
                if shard in (None, other, model):
                    yield _Task(table, model, other=other)


def _comparisons(
    reader: FactReader, mappings: Sequence[MappingRule], shard: str, against: str
) -> Iterator[_Task]:
    reader.config.shard(against)
    names = [
        name
        for mapping in mappings
        if shard in mapping.shards or against in mapping.shards
        for name in (*(rule.name for rule in mapping.tables), *mapping.global_tables)
    ]
    for table in dict.fromkeys(names):
        yield _Task(table, shard, other=against)


def _shards(mapping: MappingRule, shard: str | None) -> Iterable[str]:
    return [name for name in mapping.shards if shard in (None, name)]


def _compared(
    reader: FactReader, name: str, shard: str, other: str
) -> list[tuple[str, str, PageMismatch]]:
    table = reader.table(shard, name)
    pages = compare_tables(
        lambda: reader.connections.write(shard), lambda: reader.connections.write(other), table
    )
    return [(shard, other, page) for page in pages]


def _problems(
    reader: FactReader, mappings: Sequence[MappingRule], shard: str | None
) -> dict[str, str]:
    """Return what is wrong with the guards of shards that have any."""
    found: dict[str, str] = {}
    for mapping in mappings:
        if isinstance(mapping.rule, RingRule):
            continue
        guarded = [name for name in _shards(mapping, shard) if reader.is_guarded(mapping, name)]
        found |= reader.unguarded(mapping, guarded)
    return found


def _progress(number: int, count: int, verdicts: Sequence[TableVerdict]) -> Progress:
    rows = sum(verdict.rows for verdict in verdicts)
    title = f"{verdicts[0].table} on {verdicts[0].shard}" if verdicts else "comparison"
    return Progress(
        operation="verify",
        phase=number,
        phases=count,
        title=title,
        rows_done=rows,
        rows_about=rows,
        rows_per_s=0.0,
        eta_s=None,
    )
