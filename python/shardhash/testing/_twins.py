"""The same rows in one database and in shards, and questions that both are asked."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import Self

from shardhash.db import Cluster
from shardhash.db.tasks import result_columns
from shardhash.db.topology import Backend
from shardhash.errors import QueryRefusedError, ShardhashError
from shardhash.testing._compare import Answer, Comparison, Verdict, compare
from shardhash.testing._databases import equal_texts
from shardhash.testing._describe import describe_tables
from shardhash.testing._grammar import GeneratedQuery, QueryGrammar
from shardhash.testing._placement import fill_shards, misplaced_rows
from shardhash.testing._words import Table

__all__ = ["Tally", "Twins"]

Parameters = Sequence[object] | Mapping[str, object]
_SQL_WORD = re.compile(r"[^a-z,;-]")
_QUOTED_OR_HOLE = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|%%|%s|%\((\w+)\)s")


@dataclass(slots=True)
class Tally:
    """What came of many questions: how many of each verdict, and the cases that were wrong."""

    counts: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    wrong: list[Comparison] = field(default_factory=list)

    def add(self, comparison: Comparison) -> None:
        """Count one question."""
        self.counts[comparison.verdict] += 1
        if comparison.verdict is Verdict.WRONG:
            self.wrong.append(comparison)
        if comparison.verdict is Verdict.REFUSED:
            self.reasons[_general(comparison.reason)] += 1

    @property
    def refused_share(self) -> float:
        """Return which part of the questions was refused, from 0 to 1."""
        return self.counts[Verdict.REFUSED] / max(self.counts.total(), 1)

    def __str__(self) -> str:
        """Return the counts, and the reasons of refusals, the most frequent first."""
        counts = ", ".join(f"{self.counts[verdict]} {verdict}" for verdict in Verdict)
        lines = [f"{self.counts.total()} queries: {counts} ({self.refused_share:.1%} refused)"]
        lines += [f"  {count:6} refused: {why}" for why, count in self.reasons.most_common()]
        return "\n".join(lines)


class Twins:
    """One database and the shards of a cluster that hold the same rows. Not thread-safe.

    Args:
        cluster: whose shards are asked; tables and keys are those of its mappings.
        whole: the shard of the configuration, in no mapping, that holds all rows.
        float_tolerance: relative distance at which floats still count as equal, because the last
            digits of a sum of floats depend on its order.
    """

    def __init__(self, cluster: Cluster, whole: str, *, float_tolerance: float = 1e-9) -> None:
        self.cluster = cluster
        self.whole = whole
        self._tolerance = float_tolerance
        self._equal: dict[str, dict[str, str]] = {}

    @classmethod
    def open(
        cls, path_or_url: str | PathLike[str], *, whole: str, float_tolerance: float = 1e-9
    ) -> Self:
        """Return the twins of a configuration; raises as ``Cluster.open`` does."""
        return cls(Cluster.open(path_or_url), whole, float_tolerance=float_tolerance)

    def __enter__(self) -> Self:
        """Return the twins themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the cluster."""
        self.cluster.close()

    @cached_property
    def _is_mysql(self) -> bool:
        """Tell MySQL, whose plan decides the type of an answer's whole numbers, from MariaDB."""
        if self.cluster.connections.backend(self.whole) is Backend.SQLITE:
            return False
        with self.cluster.connections.read(self.whole) as connection:
            return not getattr(connection.dialect, "is_mariadb", False)

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """Return the tables with values that they hold, read once."""
        return describe_tables(self.cluster, self.whole)

    def fill(self) -> None:
        """Make the tables of the whole database anew on the shards, each row on its owner.

        Raises:
            UsageError: a shard has one of the tables, and ``fill`` did not make it.
        """
        fill_shards(self.cluster, self.whole)

    def ask(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        is_ordered: bool | None = None,
        folds: Mapping[int, str] | None = None,
    ) -> Comparison:
        """Ask both, and return how the answers compare.

        Args:
            sql: a SELECT; ``%s`` or ``%(name)s`` stand for values.
            parameters: the values.
            is_ordered: whether the order of rows must agree; None: if there is an ORDER BY.
            folds: by place in the row, from 0, the ``table.column`` whose text stands there for
                a whole group: where its collation calls texts equal, any of them is right.
        """
        expected = self._ask_one(self.whole, sql, parameters)
        found = self._ask_shards(sql, parameters)
        verdict, reason = compare(
            expected,
            found,
            is_ordered="ORDER BY" in sql.upper() if is_ordered is None else is_ordered,
            folds={place: self._equal_texts(name) for place, name in (folds or {}).items()},
            float_tolerance=self._tolerance,
            any_integers=self._is_mysql,
        )
        return Comparison(sql, verdict, reason, parameters, expected, found)

    def assert_same(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        is_ordered: bool | None = None,
        folds: Mapping[int, str] | None = None,
    ) -> None:
        """Fail unless the shards answer as one database does; see ``ask``.

        Raises:
            AssertionError: with the question, both answers and the first difference.
        """
        comparison = self.ask(sql, parameters, is_ordered=is_ordered, folds=folds)
        if comparison.verdict is not Verdict.SAME:
            raise AssertionError(str(comparison))

    def assert_placement(self) -> None:
        """Fail unless each row is once on its owner, and global tables are equal everywhere.

        Copies that the configuration knows of, of slots that are being moved, do not count.

        Raises:
            AssertionError: with the first ten rows that are not where they belong.
        """
        found = misplaced_rows(self.cluster, self.whole)
        if found:
            more = f"\n... and {len(found) - 10} more" if len(found) > 10 else ""
            raise AssertionError("\n".join(found[:10]) + more)

    def grammar(self, *, seed: int) -> QueryGrammar:
        """Return a grammar over the tables; the same seed and rows give the same queries."""
        backend = self.cluster.connections.backend(self.whole)
        return QueryGrammar(self.tables, backend, seed)

    def check(self, queries: Iterable[GeneratedQuery]) -> Tally:
        """Ask both each of the queries, and count what came of it."""
        tally = Tally()
        for query in queries:
            tally.add(
                self.ask(
                    query.sql, query.parameters, is_ordered=query.is_ordered, folds=query.folds
                )
            )
        return tally

    def _ask_one(self, shard: str, sql: str, parameters: Parameters) -> Answer:
        backend = self.cluster.connections.backend(shard)
        try:
            with self.cluster.connections.read(shard) as connection:
                result = connection.exec_driver_sql(*_for_driver(sql, parameters, backend))
                cursor = result.cursor
                columns = result_columns(cursor.description if cursor else None, backend)
                rows = tuple(tuple(row) for row in result)
        except ShardhashError as error:
            return Answer(error=error)
        return Answer(tuple((column.name, column.type) for column in columns), rows)

    def _ask_shards(self, sql: str, parameters: Parameters) -> Answer:
        try:
            with self.cluster.query(sql, parameters) as result:
                columns = tuple((column.name, column.type) for column in result.columns)
                return Answer(columns, tuple(result.all()))
        except QueryRefusedError as error:
            return Answer(error=error, is_refusal=True)
        except ShardhashError as error:
            return Answer(error=error)

    def _equal_texts(self, name: str) -> dict[str, str]:
        if name not in self._equal:
            table, _, column = name.partition(".")
            with self.cluster.connections.read(self.whole) as connection:
                self._equal[name] = equal_texts(connection, table, column)
        return self._equal[name]


def _for_driver(
    sql: str, parameters: Parameters, backend: Backend
) -> tuple[str, tuple[object, ...] | dict[str, object]]:
    """Return the statement as its driver takes it, without a look at what it says."""
    if not parameters:
        return (sql.replace("%", "%%") if backend is Backend.MYSQL else sql), ()
    if backend is Backend.MYSQL:
        return sql, dict(parameters) if isinstance(parameters, Mapping) else tuple(parameters)
    values: list[object] = [] if isinstance(parameters, Mapping) else list(parameters)

    def hole(found: re.Match[str]) -> str:
        if found[1] and isinstance(parameters, Mapping):
            values.append(parameters[found[1]])
        return "?" if found[1] or found[0] == "%s" else found[0].replace("%%", "%")

    return _QUOTED_OR_HOLE.sub(hole, sql), tuple(values)


def _general(reason: str) -> str:
    """Return the plain words of a reason: what differs from query to query is SQL."""
    reason = reason.partition("\n")[0].rpartition(" would: ")[2]
    words = ["_" if _SQL_WORD.search(word) else word for word in reason.split()]
    return re.sub(r"_(?: _)+", "_", " ".join(words))[:160]
