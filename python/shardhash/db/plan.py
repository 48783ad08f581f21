"""Plans and reports: what an operation will do, and what it did, as values.

A plan is made by a pure planner, printed, saved, reviewed, and refused when it is stale. It holds
no row's key and no secret. A report says what happened, in numbers that were read from the
database.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

from shardhash.errors import RefusedError, UsageError

__all__ = [
    "KeptRow",
    "Mechanism",
    "Plan",
    "Progress",
    "Report",
    "RowCounts",
    "Status",
    "Step",
    "StepKind",
    "TablePrune",
]

_FORMAT = 2


class Mechanism(StrEnum):
    """How prune finds the rows that do not belong to a shard."""

    KEYS = "keys"
    PAGES = "pages"


class Status(StrEnum):
    """How an operation ended."""

    DONE = "done"
    REFUSED = "refused"
    STOPPED = "stopped"


class StepKind(StrEnum):
    """What a step does; the executor has one runner for each."""

    CREATE_DATABASE = "create_database"
    CREATE_TABLES = "create_tables"
    CREATE_PROGRAMS = "create_programs"
    COPY_GLOBAL = "copy_global"
    COPY_SNAPSHOT = "copy_snapshot"
    GRANT = "grant"
    REVOKE = "revoke"
    GUARD = "guard"
    UNGUARD = "unguard"
    GUARD_RANGES = "guard_ranges"
    CUT = "cut"
    REGISTER = "register"
    DEREGISTER = "deregister"
    NUMBER_IDS = "number_ids"
    PUBLISH = "publish"
    FENCE = "fence"
    COPY = "copy"
    VERIFY = "verify"
    FLIP = "flip"
    OPEN = "open"
    HOLD = "hold"
    PRUNE = "prune"
    PRUNE_PAGES = "prune_pages"
    UNPUBLISH = "unpublish"
    RELEASE = "release"
    DROP_DATABASE = "drop_database"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change of a plan; running it again does no harm.

    Attributes:
        shard: where it acts; the configuration's own steps name the shard they are for.
        title: what it does, for a reader.
        check: how whoever resumes tells that it is done.
        is_reversible: whether abort takes it back.
        rows: how many rows it is about; exact where ``rows_are_exact``, else from statistics.
        sql: its statements, or those of a batch, without values.
        arguments: what its runner needs, JSON values; no key is that of another attribute.
    """

    kind: StepKind
    shard: str
    title: str
    check: str
    is_reversible: bool = True
    table: str | None = None
    rows: int | None = None
    rows_are_exact: bool = True
    size_bytes: int | None = None
    sql: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePrune:
    """The prune of one table, with the facts that it was planned from.

    Counts are exact at planning time: ``row_count`` rows with ``key_count`` distinct keys, of
    which ``foreign_rows`` with ``foreign_keys`` keys belong to other shards; ``null_keys`` rows
    have no key and stay; ``folded_keys`` keys are equal to another under the column's collation.
    ``sql`` are the statements of a batch, without values.
    """

    table: str
    key: str
    mechanism: Mechanism
    reason: str
    row_count: int
    key_count: int
    foreign_rows: int
    foreign_keys: int
    null_keys: int
    folded_keys: int
    owners: Mapping[str, int]
    fingerprint: str
    locks: str
    sql: tuple[str, ...]

    @classmethod
    def of(cls, step: Step) -> Self:
        """Return the prune that a step of kind ``prune`` is about."""
        arguments = {**step.arguments, "mechanism": Mechanism(step.arguments["mechanism"])}
        return cls(table=step.table or "", sql=step.sql, **arguments)

    def as_step(self, shard: str) -> Step:
        """Return the step; `of` gives the prune back."""
        arguments = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name not in ("table", "sql")
        }
        return Step(
            kind=StepKind.PRUNE,
            shard=shard,
            title=f"delete the rows of {self.table} that belong to other shards",
            check="each batch looks anew which rows are foreign",
            is_reversible=False,
            table=self.table,
            rows=self.foreign_rows,
            sql=self.sql,
            arguments={**arguments, "owners": dict(self.owners)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An ordered list of steps, and what it was planned for.

    Attributes:
        shard: the shard that the operation is named for.
        mapping: its mapping; empty for what concerns none.
        config_version: version of the configuration, compared for equality when applied.
        shards: every shard that the operation changes, sorted; it takes their leases.
        new_shards: instance and database of shards that the configuration does not have yet, or has
            no more once they are removed.
        identities: by shard what tells its database from all others.
        fingerprints: by ``shard.table`` what changes with the schema.
        proof: whether a row goes only if its owner has an equal row.
        batch_rows: the largest number of rows of one transaction.
        point_of_no_return: the position of the first step that abort cannot take back; None:
            there is none.
    """

    operation: str
    shard: str
    mapping: str
    config_version: str
    steps: tuple[Step, ...]
    shards: tuple[str, ...] = ()
    new_shards: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    identities: Mapping[str, str] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    proof: bool = True
    quarantine: bool = False
    app_stopped: bool = False
    batch_rows: int = 500
    point_of_no_return: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def prunes(self) -> tuple[TablePrune, ...]:
        """Return the prunes among the steps, in order."""
        return tuple(TablePrune.of(step) for step in self.steps if step.kind is StepKind.PRUNE)

    @property
    def foreign_rows(self) -> int:
        """Return the number of rows that a prune was planned to delete, over all tables."""
        return sum(step.rows or 0 for step in self.steps if step.kind is StepKind.PRUNE)

    @property
    def digest(self) -> str:
        """Return 16 hex digits of the SHA-256 of the plan's JSON."""
        text = json.dumps(self._body(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object; ``from_json`` gives the plan back."""
        return {"format": _FORMAT, "digest": self.digest, **self._body()}

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Return the plan of a JSON object.

        Raises:
            UsageError: it is no plan, or one of another format.
            RefusedError: it was changed after it was written.
        """
        if not isinstance(document, Mapping) or document.get("format") != _FORMAT:
            raise UsageError(
                f"this is no plan of format {_FORMAT}", next_step="make the plan again"
            )
        body = {key: value for key, value in document.items() if key not in ("format", "digest")}
        try:
            steps = tuple(map(_step, body.pop("steps")))
            lists = {key: tuple(body[key]) for key in ("shards", "warnings")}
            plan = cls(**{**body, **lists, "steps": steps})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                "this plan lacks something, or has what no plan has",
                next_step="make the plan again",
            ) from error
        if plan.digest != document.get("digest"):
            raise RefusedError(
                f"the plan says digest {document.get('digest')}, its text has {plan.digest}: it "
                "was changed",
                next_step="make the plan again",
            )
        return plan

    def _body(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        for step in document["steps"]:
            step |= step.pop("arguments")
        return document


_STEP_FIELDS = frozenset(each.name for each in fields(Step)) - {"arguments"}


def _step(document: Mapping[str, Any]) -> Step:
    """Return a step whose arguments stand beside its other values."""
    values = {key: value for key, value in document.items() if key in _STEP_FIELDS}
    arguments = {key: value for key, value in document.items() if key not in _STEP_FIELDS}
    changed = {"kind": StepKind(values["kind"]), "sql": tuple(values["sql"])}
    return Step(**{**values, **changed}, arguments=arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """Rows of one table; ``kept`` are rows that were to go and stayed for want of proof."""

    before: int = 0
    after: int = 0
    deleted: int = 0
    copied: int = 0
    kept: int = 0
    no_key: int = 0


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A foreign row that stayed: its table and primary key, its owner, and why it stayed."""

    table: str
    primary_key: tuple[object, ...]
    owner: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an operation did.

    ``kept_rows`` lists the first of the rows that stayed for want of proof; ``rows`` has the
    whole number of them.
    """

    operation: str
    id: str
    status: Status
    steps_done: int
    rows: Mapping[str, RowCounts] = field(default_factory=dict)
    seconds: float = 0.0
    kept_rows: tuple[KeptRow, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """Return the number of rows that stayed, over all tables."""
        return sum(counts.kept for counts in self.rows.values())

    @property
    def deleted(self) -> int:
        """Return the number of deleted rows, over all tables."""
        return sum(counts.deleted for counts in self.rows.values())

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object; values that JSON lacks become text."""
        document: dict[str, Any] = json.loads(json.dumps(asdict(self), default=_as_json))
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an operation is: phase ``phase`` of ``phases``, about ``rows_about`` rows in it.

    Attributes:
        rows_about: of the phase; 0 where it is about no rows, or nobody has counted them.
        eta_s: seconds until the phase is done, None where nobody knows.
        throttled: why it waits, as "because ..." or "until ..."; None while it works.
        checkpoint_at: when this run last committed something, in ISO 8601 and UTC: a kill now loses
            what came after it, and no more. None before the first time.
    """

    operation: str
    phase: int
    phases: int
    title: str
    rows_done: int
    rows_about: int
    rows_per_s: float
    eta_s: float | None
    throttled: str | None = None
    checkpoint_at: str | None = None


def _as_json(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return value.hex() if isinstance(value, bytes) else str(value)
