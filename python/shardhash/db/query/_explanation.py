"""How a query will be run, as text for a person and as JSON."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from shardhash.db.sql import union_column
from shardhash.db.tasks import ResultColumn

__all__ = ["Explanation", "ShardStatement", "asked_now", "in_steps", "named", "staged", "united"]


@dataclass(frozen=True, slots=True)
class ShardStatement:
    """What one shard is asked: SQL in the driver's placeholders; values are never shown."""

    shard: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Which shards a statement goes to and why, what each is asked, and what is made of it.

    Attributes:
        kind: ``"one shard"``, ``"merge"`` (rows as they are), ``"reduce"`` (partials),
            ``"steps"`` (subqueries, or the parts of a UNION, are answered first) or ``"write"``.
        mapping: the mapping that decides; empty where only global tables are asked.
        statements: in the order of the configuration, one for each shard that is asked; of
            ``"steps"`` those of the subqueries: what is asked then depends on their answers.
        shard_count: how many shards the mapping has.
        reasons: why these shards.
        reduce: what is done with the answers, step by step.
        warnings: what is allowed and may surprise.
    """

    kind: str
    mapping: str
    statements: tuple[ShardStatement, ...]
    shard_count: int
    reasons: tuple[str, ...] = ()
    reduce: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def shards(self) -> tuple[str, ...]:
        """Return the names of the shards that are asked."""
        return tuple(dict.fromkeys(statement.shard for statement in self.statements))

    def to_json(self) -> dict[str, object]:
        """Return the explanation as a JSON object."""
        return {
            "kind": self.kind,
            "mapping": self.mapping,
            "shards": list(self.shards),
            "shard_count": self.shard_count,
            "reasons": list(self.reasons),
            "statements": [{"shard": each.shard, "sql": each.sql} for each in self.statements],
            "reduce": list(self.reduce),
            "warnings": list(self.warnings),
        }

    def to_text(self) -> str:
        """Return the explanation as lines for a person; shards asked the same stand together."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        named = ", ".join(self.shards)
        of = f" of mapping {self.mapping}" if self.mapping else ""
        yield f"shards    {len(self.shards)} of {self.shard_count}{of}: {named}"
        yield from _block("because", self.reasons)
        shards_of: dict[str, list[str]] = {}
        for statement in self.statements:
            shards_of.setdefault(statement.sql, []).append(statement.shard)
        for sql, shards in shards_of.items():
            yield from _block("asked", [sql if len(shards_of) == 1 else f"{', '.join(shards)}:"])
            if len(shards_of) > 1:
                yield f"            {sql}"
        yield from _block("then", self.reduce or ["the rows as they come"])
        yield from _block("warning", self.warnings)


def _block(label: str, lines: tuple[str, ...] | list[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"{label if not number else '':<10}{line}"


def in_steps(parts: Sequence[Explanation], then: str) -> Explanation:
    """Return how a statement is run whose subqueries are answered first.

    ``then`` is the statement with a mark for each answer.
    """
    first = parts[0]
    steps: list[str] = []
    for number, part in enumerate(parts, 1):
        steps += [*part.reduce, f"that is answer {number}"]
    return replace(
        first,
        kind="steps",
        statements=tuple(statement for part in parts for statement in part.statements),
        reasons=tuple(dict.fromkeys(reason for part in parts for reason in part.reasons)),
        reduce=(*steps, f"ask for the rest, of the shards that it is for: {then}"),
        warnings=tuple(dict.fromkeys(w for part in parts for w in part.warnings)),
    )


def asked_now(explanation: Explanation, moments: Sequence[str]) -> Explanation:
    """Return how a statement is run whose present moment is asked of one shard first."""
    named = ", ".join(dict.fromkeys(moments))
    reason = f"{named}: asked of one shard, and sent to all as a value"
    return replace(explanation, reasons=(*explanation.reasons, reason))


def united(parts: Sequence[Explanation], *, is_distinct: bool, is_sorted: bool) -> Explanation:
    """Return how the parts of a UNION are answered one by one."""
    made = in_steps(parts, "")
    steps = [*made.reduce[:-1], "string the answers together"]
    steps += ["leave out equal rows"] if is_distinct else []
    steps += ["sort them, and cut by LIMIT and OFFSET"] if is_sorted else []
    return replace(made, reduce=tuple(steps))


def named(explanation: Explanation, columns: Sequence[ResultColumn]) -> Explanation:
    """Return how a UNION is asked as one query, with its own names of columns in what is done."""
    names = {union_column(place): column.name for place, column in enumerate(columns)}
    steps = [
        re.sub(r"\w+", lambda word: names.get(word[0], word[0]), step)
        for step in explanation.reduce
    ]
    return replace(explanation, reduce=tuple(steps))


def staged(inner: Explanation, notes: tuple[str, ...]) -> Explanation:
    """Return how a query is run over the answer of an inner one."""
    return replace(inner, kind="reduce", reduce=(*inner.reduce, "and of that answer:", *notes))
