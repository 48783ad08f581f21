"""The steps of operations, in the words that plans are read in. Pure: values in, steps out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shardhash.db.plan import Step, StepKind
from shardhash.slots import SlotSet

__all__ = [
    "FENCE_WAIT_S",
    "MovingTable",
    "Transfer",
    "finish_steps",
    "prune_pages",
    "transfer_steps",
]


FENCE_WAIT_S = 30.0
"""How long a fence waits for the transactions in its way, by default."""


@dataclass(frozen=True, slots=True)
class MovingTable:
    """A table whose rows move: its shard key column, and how many rows and bytes about."""

    name: str
    key: str
    rows: int
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Slots of a mapping that go from one shard to another, with the rows of its tables.

    ``tables`` come with parents before the tables that refer to them. Without ``guards`` nothing
    refuses writes: the application must be stopped. ``sync`` compares pages that are on the target
    already, as in a clone, and copies only those that differ.
    """

    mapping: str
    slots: SlotSet
    source: str
    target: str
    tables: Sequence[MovingTable]
    guards: bool = True
    sync: bool = False
    quarantine: bool = False
    is_published: bool = False
    fence_wait_s: float = FENCE_WAIT_S

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the runners of all these steps need."""
        return {
            "mapping": self.mapping,
            "slots": str(self.slots),
            "source": self.source,
            "target": self.target,
        }

    @property
    def rows(self) -> int:
        """The number of rows that move, over all tables."""
        return sum(table.rows for table in self.tables)


def transfer_steps(transfer: Transfer) -> list[Step]:
    """Return the steps up to the one that makes the target the owner, and that opens it.

    The flip is the point of no return: before it, every step can be taken back.
    """
    steps = [] if transfer.is_published else [_publish(transfer)]
    steps += [_fence(transfer)] if transfer.guards else []
    steps += [_copy(transfer, table) for table in transfer.tables]
    steps += [_verify(transfer, table) for table in transfer.tables]
    steps.append(_flip(transfer))
    steps += [_open(transfer)] if transfer.guards else []
    return steps


def finish_steps(transfer: Transfer) -> list[Step]:
    """Return the steps that remove the source's old rows once nobody reads them any more."""
    return [
        Step(
            kind=StepKind.HOLD,
            shard=transfer.source,
            title="wait until nobody reads by the old map",
            check="waits anew",
            is_reversible=False,
        ),
        *(prune_pages(transfer, table) for table in reversed(transfer.tables)),
        Step(
            kind=StepKind.UNPUBLISH,
            shard=transfer.source,
            title=f"tell readers that {transfer.source} has none of these rows any more",
            check="the configuration has no such entry",
            is_reversible=False,
            arguments=transfer.arguments,
        ),
    ]


def prune_pages(transfer: Transfer, table: MovingTable, *, recorded_by: str = "") -> Step:
    """Return the step that deletes a table's old rows, page by page, each proved by its checksum.

    ``recorded_by`` is the operation that recorded the pages; the one that runs, if empty.
    """
    return Step(
        kind=StepKind.PRUNE_PAGES,
        shard=transfer.source,
        title=f"delete the old rows of {table.name} on {transfer.source}"
        + (", into quarantine" if transfer.quarantine else ""),
        check="each page is marked in the transaction that deletes it",
        is_reversible=False,
        table=table.name,
        rows=table.rows,
        arguments={
            **transfer.arguments,
            "key": table.key,
            "recorded_by": recorded_by,
            "quarantine": transfer.quarantine,
        },
    )


def _publish(transfer: Transfer) -> Step:
    return Step(
        kind=StepKind.PUBLISH,
        shard=transfer.target,
        title=f"tell readers that {transfer.target} may hold rows it does not own, and wait "
        "until all have heard",
        check="the configuration says so; the wait is repeated",
        arguments=transfer.arguments,
    )


def _fence(transfer: Transfer) -> Step:
    return Step(
        kind=StepKind.FENCE,
        shard=transfer.source,
        title=f"refuse writes to {len(transfer.slots):,} slots on {transfer.source}; reads go on",
        check="the states of the slots",
        arguments={**transfer.arguments, "wait_s": transfer.fence_wait_s},
    )


def _copy(transfer: Transfer, table: MovingTable) -> Step:
    return Step(
        kind=StepKind.COPY,
        shard=transfer.target,
        title=f"copy {table.name} from {transfer.source} to {transfer.target}",
        check="a checkpoint in the transaction of each batch",
        table=table.name,
        rows=table.rows,
        size_bytes=table.size_bytes,
        arguments={**transfer.arguments, "key": table.key, "sync": transfer.sync},
    )


def _verify(transfer: Transfer, table: MovingTable) -> Step:
    return Step(
        kind=StepKind.VERIFY,
        shard=transfer.source,
        title=f"compare {table.name} on {transfer.source} and {transfer.target}, page by page",
        check="compares anew",
        table=table.name,
        rows=table.rows,
        arguments={**transfer.arguments, "key": table.key},
    )


def _flip(transfer: Transfer) -> Step:
    return Step(
        kind=StepKind.FLIP,
        shard=transfer.target,
        title=f"make {transfer.target} the owner of {len(transfer.slots):,} slots",
        check="the owners in the configuration",
        is_reversible=False,
        arguments=transfer.arguments,
    )


def _open(transfer: Transfer) -> Step:
    return Step(
        kind=StepKind.OPEN,
        shard=transfer.target,
        title=f"let {transfer.target} take writes to these slots",
        check="the states of the slots",
        is_reversible=False,
        arguments=transfer.arguments,
    )
