"""UNION, INTERSECT and EXCEPT of blocks."""

from sqlglot import exp

from shardhash.db.query._blocks import Block
from shardhash.db.query._facts import sqlite_collation
from shardhash.db.query._joins import APART, is_strict
from shardhash.db.query._refusal import Refusal
from shardhash.db.query._scopes import Output
from shardhash.db.topology import Backend

__all__ = ["union_of"]


def union_of(query: exp.SetOperation, parts: list[Block]) -> Block:
    """Return what a set operation is whose parts are `parts`."""
    first = parts[0]
    block = Block(query, first.scope, mapping=first.mapping, outputs=first.outputs)
    block.is_bound = all(part.is_bound or not part.mapping for part in parts)
    problem = next((part.problem for part in parts if part.problem), None)
    block.is_one_union = (
        isinstance(query, exp.Union)
        and bool(first.mapping)
        and all(_is_local(part) and part.mapping == first.mapping for part in parts)
        and _keeps_collations(parts)
    )
    if {part.mapping for part in parts} != {first.mapping}:
        problem = problem or Refusal(
            f"{query.key.upper()} joins rows of shards with rows that every shard has", APART
        )
    if first.mapping and not problem and not _is_plain_union(query) and not _same_keys(parts):
        problem = Refusal(
            f"{query.key.upper()} compares rows of several shards", "use UNION ALL, or " + APART
        )
    if any(query.args.get(name) for name in ("order", "limit", "offset")) and first.mapping:
        problem = problem or Refusal(
            "ORDER BY and LIMIT of a UNION need the rows of all shards", APART
        )
    block.outputs = _common_outputs(parts)
    block.source_problem = block.problem = problem
    return block


def _is_local(part: Block) -> bool:
    return part.is_one_union if isinstance(part.query, exp.SetOperation) else not part.problem


def _keeps_collations(parts: list[Block]) -> bool:
    """Tell whether texts compare as the parts' columns do; SQLite loses that in a subquery."""
    lineages = [output.lineage for part in parts for output in part.outputs or ()]
    return all(
        each is None
        or each.facts.table.backend is Backend.MYSQL
        or sqlite_collation(each.facts.definition, each.column.name) == "BINARY"
        for each in lineages
    )


def _is_plain_union(query: exp.SetOperation) -> bool:
    return isinstance(query, exp.Union) and not query.args.get("distinct")


def _same_keys(parts: list[Block]) -> bool:
    """Tell whether all parts have the strict key in one column: equal rows are of one shard."""
    if any(part.outputs is None for part in parts):
        return False
    columns = zip(*(part.outputs or [] for part in parts), strict=False)
    return any(all(output.key_of and is_strict(output.key_of) for output in c) for c in columns)


def _common_outputs(parts: list[Block]) -> list[Output] | None:
    first = parts[0].outputs
    if first is None or any(part.outputs is None for part in parts):
        return None
    return [Output(output.name) for output in first]  # keys of a union are not followed
