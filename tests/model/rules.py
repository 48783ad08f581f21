"""The rules that a move obeys, each of which can be broken, and who takes part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shardhash.db.plan import Step

Order = Callable[[Sequence[Step]], Sequence[Step]]


def _as_planned(steps: Sequence[Step]) -> Sequence[Step]:
    return steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How it is done; a broken variant changes one of them.

    Attributes:
        order: of the steps that the planner gives.
        undo_order: of the steps that the planner of undo gives.
        fence_waits: for the transactions that wrote to the slot.
        guards_ask: ``"states"`` of the database, or the ``"map"`` of whoever writes.
        checks_tokens: each batch does.
        saves_compare: a save of the configuration is a compare-and-set.
        takeover_saves: whoever takes over saves the configuration once.
        journals_saves: a record is appended between reading the configuration and saving it.
        journal_first: who takes over reads the journal's length before what it acts on.
        waits_published, waits_held: of how many times the map's age; within one of them a query
            that has begun asks all its shards.
        flip_at_once: in one save.
        flip_looks: whether it was done before.
        flip_marks_source: as a shard that holds rows without owning them.
        abort_looks: whether the flip was done.
        abort_unpublishes_last: after the copy is gone.
        abort_reopens: the source.
        abort_deletes: the copy.
        checkpoints_in_batch: the checkpoint is written in the transaction of the rows.
        proof: of a prune: the page ``"recorded"``, or the owner's ``"present"`` content.
        prunes_slots: only the rows of the slots that moved.
        opens: whether the source is closed when the target is opened.
        cleans_up: what was recorded goes at the end.
    """

    order: Order = _as_planned
    undo_order: Order = _as_planned
    fence_waits: bool = True
    guards_ask: str = "states"
    checks_tokens: bool = True
    saves_compare: bool = True
    takeover_saves: bool = True
    journals_saves: bool = True
    journal_first: bool = True
    waits_published: int = 2
    waits_held: int = 2
    flip_at_once: bool = True
    flip_looks: bool = True
    flip_marks_source: bool = True
    abort_looks: bool = True
    abort_unpublishes_last: bool = True
    abort_reopens: bool = True
    abort_deletes: bool = True
    checkpoints_in_batch: bool = True
    proof: str = "recorded"
    prunes_slots: bool = True
    closes_source: bool = True
    cleans_up: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Actors:
    """Who takes part beside the process that moves.

    Attributes:
        writers: what each writes: ``"change"`` or ``"delete"`` the first row, ``"insert"`` the
            second.
        reads: somebody asks once, by any map that is not too old.
        takeovers: what another process may set out to do, once: ``"resume"``, ``"abort"``,
            ``"undo"``. The first process may be dead, or come back late.
    """

    writers: tuple[str, ...] = ("change", "insert")
    reads: bool = True
    takeovers: tuple[str, ...] = ("resume", "abort", "undo")
