"""Plan a prune: which rows of a shard belong to others, and how they are found and deleted."""

from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import dataclass, field

from shardhash.db import sql
from shardhash.db.plan import Mechanism, Plan, TablePrune
from shardhash.db.schema import Table, differences
from shardhash.db.topology import Backend, KeyType, Mapping, SlotRule, TableRule
from shardhash.errors import PreflightError

__all__ = [
    "KeyFacts",
    "TableFacts",
    "check_itself",
    "check_pages",
    "check_table",
    "plan_prune",
]

_BATCH_ROWS = 500
_FEW = 0.02  # below this share of foreign rows an index on the key beats reading every page


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """Exact counts of a table's shard keys; ``owners`` counts the foreign rows by owner."""

    row_count: int
    key_count: int
    foreign_keys: int
    null_keys: int
    folded_keys: int
    owners: MappingABC[str, int] = field(default_factory=dict)

    @property
    def foreign_rows(self) -> int:
        """Return the number of rows that belong to other shards."""
        return sum(self.owners.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What was read of one table: on the shard, and (``twins``) on each owner of its rows."""

    rule: TableRule
    key_type: KeyType
    table: Table
    keys: KeyFacts
    twins: MappingABC[str, Table] = field(default_factory=dict)


def plan_prune(
    shard: str,
    mapping: Mapping,
    facts: Sequence[TableFacts],
    *,
    config_version: str,
    using: Mechanism | None = None,
    proof: bool = True,
    quarantine: bool = False,
    identities: MappingABC[str, str] | None = None,
) -> Plan:
    """Return the plan that removes from a shard the rows that the mapping gives to others.

    Tables come before the tables that they refer to, so that foreign keys hold at every batch.

    Raises:
        PreflightError: prune could not be exact; the message says for which table and why.
    """
    ordered = _children_first(facts)
    for each in ordered:
        check_table(each.table)
        check_itself(each.table, "pruned")
        _check_twins(each, shard)
    prunes = [_prune(each, mapping, using, proof=proof) for each in ordered]
    return Plan(
        operation="prune",
        shard=shard,
        mapping=mapping.name,
        config_version=config_version,
        proof=proof,
        batch_rows=_BATCH_ROWS,
        quarantine=quarantine,
        steps=tuple(prune.as_step(shard) for prune in prunes),
        shards=(shard,),
        identities=dict(sorted((identities or {}).items())),
        fingerprints={f"{shard}.{each.table.name}": each.table.fingerprint for each in ordered},
        point_of_no_return=0,
        warnings=tuple(_warnings(shard, ordered, proof=proof)),
    )


def check_table(table: Table, verb: str = "pruned") -> None:
    """Raise PreflightError unless rows of a table can be found, proved and deleted exactly.

    ``verb`` is what was to be done with it, such as ``moved``.
    """
    check_pages(table, verb)
    for key in table.children:
        if key.changes_rows:
            raise _refusal(
                table,
                f"foreign key {key.name} of {key.table} says ON DELETE {key.on_delete}: rows would "
                "change that no proof has seen",
                f"make {key.name} ON DELETE RESTRICT for the time of the prune",
                verb,
            )
    if table.delete_triggers:
        raise _refusal(
            table,
            f"DELETE fires {', '.join(table.delete_triggers)}, which would take a prune for "
            "deletions by the app",
            "drop the trigger for the time of the prune, or leave the table out with --tables",
            verb,
        )


def check_pages(table: Table, verb: str) -> None:
    """Raise PreflightError unless pages of the primary key hold each row of a table once."""
    if table.kind != "table":
        remedy = "name the table under it" if table.kind == "view" else "use a plain table"
        raise _refusal(table, f"it is a {table.kind}", remedy, verb)
    if not table.is_transactional:
        raise _refusal(
            table,
            "its engine has no transactions, so a batch could be left half done",
            f"ALTER TABLE {table.name} ENGINE=InnoDB",
            verb,
        )
    if not table.primary_key:
        raise _refusal(table, "it has no primary key", "add a primary key", verb)
    for column in table.key_columns:
        if column.is_approximate and table.backend is Backend.MYSQL:
            raise _refusal(
                table,
                f"primary key column {column.name} is {column.definition}, and equal numbers of "
                "that type have different texts",
                "use a DECIMAL or an integer",
                verb,
            )


def check_itself(table: Table, verb: str) -> None:
    """Raise PreflightError where a table refers to itself, so that batches depend on one another.

    A MySQL server can be told not to check, where all rows that belong together go; SQLite checks
    at the end of each batch.
    """
    for key in table.parents:
        if key.parent.lower() == table.name.lower():
            raise _refusal(
                table,
                f"its rows refer to rows of the same table by foreign key {key.name}, and these "
                "may be in another batch",
                f"drop {key.name} for the time of the operation",
                verb,
            )


def _refusal(table: Table, found: str, remedy: str, verb: str = "pruned") -> PreflightError:
    return PreflightError(f"table {table.name} cannot be {verb}: {found}", next_step=remedy)


def _check_twins(facts: TableFacts, shard: str) -> None:
    for owner, twin in sorted(facts.twins.items()):
        if not twin.is_transactional:
            raise _refusal(
                facts.table,
                f"its owner {owner} keeps it in an engine without transactions, whose rows cannot "
                "be locked while they prove others",
                f"ALTER TABLE {twin.name} ENGINE=InnoDB on {owner}",
            )
        found = differences(facts.table, twin)
        if found:
            raise _refusal(
                facts.table,
                f"{shard} and its owner {owner} differ in {'; '.join(found)}",
                "make the tables equal, then plan again",
            )


def _children_first(facts: Sequence[TableFacts]) -> list[TableFacts]:
    waiting = {each.table.name: each for each in facts}
    ordered: list[TableFacts] = []
    while waiting:
        free = [name for name, each in waiting.items() if not _blockers(each, waiting)]
        if not free:
            raise PreflightError(
                f"tables {', '.join(waiting)} refer to one another in a circle",
                next_step="prune them one at a time with --tables, after dropping one reference",
            )
        ordered.extend(waiting.pop(name) for name in free)
    return ordered


def _blockers(facts: TableFacts, waiting: MappingABC[str, TableFacts]) -> set[str]:
    names = {key.table for key in facts.table.children}
    return (names & waiting.keys()) - {facts.table.name}


def _prune(
    facts: TableFacts, mapping: Mapping, using: Mechanism | None, *, proof: bool
) -> TablePrune:
    mechanism, reason = _mechanism(facts, mapping, using)
    return TablePrune(
        table=facts.table.name,
        key=facts.rule.key,
        mechanism=mechanism,
        reason=reason,
        row_count=facts.keys.row_count,
        key_count=facts.keys.key_count,
        foreign_rows=facts.keys.foreign_rows,
        foreign_keys=facts.keys.foreign_keys,
        null_keys=facts.keys.null_keys,
        folded_keys=facts.keys.folded_keys,
        owners=dict(sorted(facts.keys.owners.items())),
        fingerprint=facts.table.fingerprint,
        locks=_locks(facts.table, proof=proof),
        sql=_batch_sql(facts, proof=proof),
    )


def _mechanism(
    facts: TableFacts, mapping: Mapping, using: Mechanism | None
) -> tuple[Mechanism, str]:
    server_computable = isinstance(mapping.rule, SlotRule)
    if using is Mechanism.PAGES and not server_computable:
        raise PreflightError(
            f"mapping {mapping.name} has no slots, so the server cannot find foreign rows by page",
            next_step="use --using keys",
        )
    if using is not None:
        return using, "asked for"
    if not server_computable:
        return Mechanism.KEYS, "the server cannot compute this mapping"
    keys = facts.keys
    is_indexed = facts.table.column(facts.rule.key).name in facts.table.indexed
    if is_indexed and keys.foreign_rows < _FEW * keys.row_count:
        return Mechanism.KEYS, f"{facts.rule.key} is indexed and few rows are foreign"
    return Mechanism.PAGES, "the server computes slots while it reads the table once"


def _locks(table: Table, *, proof: bool) -> str:
    if table.backend is Backend.SQLITE:
        files = "both files" if proof else "the file"
        return f"{files}, for one batch at a time; readers go on"
    owner = ", and for reading on their owners" if proof else ""
    if any(column.is_numbered for column in table.key_columns):
        return (
            "all rows while a batch runs, as no index serves its primary key: for writing "
            f"here{owner}"
        )
    return f"only the rows of a batch: for writing here{owner}"


def _batch_sql(facts: TableFacts, *, proof: bool) -> tuple[str, ...]:
    table = facts.table
    sample = [[0] * len(table.primary_key)]
    digest = [sql.row_digest_expression(table)] if proof else []
    key = sql.key_bytes_expression(table.column(facts.rule.key), facts.key_type, table.backend)
    statements = [sql.read_rows(table, sample, [key, *digest], lock="exclusive")]
    if proof:
        statements.append(sql.read_rows(table, sample, digest, lock="shared"))
    statements.append(sql.delete_rows(table, sample))
    return tuple(statement.sql for statement in statements)


def _warnings(shard: str, facts: Sequence[TableFacts], *, proof: bool) -> list[str]:
    found = []
    if not proof:
        found.append(
            "WITHOUT PROOF: rows are deleted on the word of the configuration alone, whether "
            "their owner has them or not"
        )
    for each in facts:
        name, keys = each.table.name, each.keys
        if keys.null_keys:
            found.append(f"{name}: {keys.null_keys} rows have no key and stay on {shard}")
        if keys.folded_keys:
            found.append(
                f"{name}: {keys.folded_keys} keys are equal to another under the collation of "
                f"{each.rule.key}; they are compared as bytes"
            )
    return found
