"""Plans and reports: what an operation will do, and what it did, as values.

A plan is made by a pure planner, printed, saved, reviewed, and refused when it is stale. It holds
no row's key and no secret. A report says what happened, in numbers that were read from the
database.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from shardhash.errors import UsageError

__all__ = ["KeptRow", "Mechanism", "Plan", "Progress", "Report", "RowCounts", "Status", "Step"]

_FORMAT = 1


class Mechanism(StrEnum):
    """How prune finds the rows that do not belong to a shard."""

    KEYS = "keys"
    PAGES = "pages"


class Status(StrEnum):
    """How an operation ended."""

    DONE = "done"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An ordered list of steps for one shard, and what it was planned for.

    Attributes:
        config_version: version of the configuration, compared for equality when applied.
        proof: whether a row goes only if its owner has an equal row.
        batch_rows: the largest number of rows of one transaction.
    """

    operation: str
    shard: str
    mapping: str
    config_version: str
    proof: bool
    batch_rows: int
    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()

    @property
    def foreign_rows(self) -> int:
        """Return the number of rows that do not belong to the shard, over all tables."""
        return sum(step.foreign_rows for step in self.steps)

    @property
    def digest(self) -> str:
        """Return 16 hex digits of the SHA-256 of the plan's JSON."""
        text = json.dumps(self._body(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object; ``from_json`` gives the plan back."""
        return {"format": _FORMAT, "digest": self.digest, **self._body()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the plan of a JSON object.

        Raises:
            UsageError: another format, or the text was changed after it was written.
        """
        body = dict(document)
        if body.pop("format", None) != _FORMAT:
            raise UsageError(
                f"this is no plan of format {_FORMAT}", next_step="make the plan again"
            )
        digest = body.pop("digest", None)
        steps = tuple(
            Step(**{**step, "mechanism": Mechanism(step["mechanism"]), "sql": tuple(step["sql"])})
            for step in body.pop("steps")
        )
        plan = cls(**{**body, "steps": steps, "warnings": tuple(body["warnings"])})
        if plan.digest != digest:
            raise UsageError(
                f"the plan says digest {digest}, its text has {plan.digest}: it was changed",
                next_step="make the plan again",
            )
        return plan

    def _body(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """Rows of one table; ``kept`` are foreign rows that could not be proved on their owner."""

    before: int
    after: int
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
    rows: Mapping[str, RowCounts]
    seconds: float
    kept_rows: tuple[KeptRow, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """Return the number of foreign rows that stayed, over all tables."""
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
    """How far an operation is: phase ``phase`` of ``phases``, about ``rows_about`` rows in it."""

    operation: str
    phase: int
    phases: int
    title: str
    rows_done: int
    rows_about: int
    rows_per_s: float
    eta_s: float | None
    throttled: str | None = field(default=None)


def _as_json(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
