"""Broken variants: each breaks one rule, and must be found out by the invariant that it names."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from model.rules import Actors, Rules
from shardhash.db.plan import Step, StepKind


@dataclass(frozen=True, slots=True)
class Variant:
    """Rules with one broken, the actors that show it, and the invariant that does not hold."""

    name: str
    rules: Rules
    actors: Actors
    invariant: int


@dataclass(frozen=True, slots=True)
class _Moved:
    """An order in which a step comes before the first of another kind."""

    kind: StepKind
    _: KW_ONLY
    before: StepKind

    def __call__(self, steps: Sequence[Step]) -> Sequence[Step]:
        moving = [step for step in steps if step.kind is self.kind]
        others = [step for step in steps if step.kind is not self.kind]
        at = next(i for i, step in enumerate(others) if step.kind is self.before)
        return [*others[:at], *moving, *others[at:]]


@dataclass(frozen=True, slots=True)
class _Without:
    """An order in which the first step of a kind is left out."""

    kind: StepKind

    def __call__(self, steps: Sequence[Step]) -> Sequence[Step]:
        at = next(i for i, step in enumerate(steps) if step.kind is self.kind)
        return [*steps[:at], *steps[at + 1 :]]


_WRITERS = Actors(reads=False, takeovers=())
_READER = Actors(writers=("change",), takeovers=())
_ABORT = Actors(reads=False, takeovers=("abort",))
_RESUME = Actors(reads=False, takeovers=("resume",))
_UNDO = Actors(writers=("change",), takeovers=("undo",))
_DELETE = Actors(writers=("delete", "insert"), reads=False, takeovers=("undo",))

VARIANTS = (
    Variant("a slot that is nobody's for a while", Rules(flip_at_once=False), _WRITERS, 1),
    Variant(
        "a fence that does not wait for open transactions", Rules(fence_waits=False), _WRITERS, 3
    ),
    Variant(
        "a fence after the comparison",
        Rules(order=_Moved(StepKind.FENCE, before=StepKind.FLIP)),
        _WRITERS,
        3,
    ),
    Variant(
        "a target that opens before the flip",
        Rules(order=_Moved(StepKind.OPEN, before=StepKind.FLIP)),
        _WRITERS,
        3,
    ),
    Variant("guards that ask the writer's map", Rules(guards_ask="map"), _READER, 3),
    Variant("an abort that does not look at the flip", Rules(abort_looks=False), _ABORT, 3),
    Variant("a flip without compare-and-set", Rules(saves_compare=False), _ABORT, 3),
    Variant("a takeover that does not save the map", Rules(takeover_saves=False), _ABORT, 3),
    Variant("a save without a record before it", Rules(journals_saves=False), _ABORT, 3),
    Variant("a prune without a hold", Rules(order=_Without(StepKind.HOLD)), _READER, 3),
    Variant("an undo without a hold", Rules(undo_order=_Without(StepKind.HOLD)), _UNDO, 3),
    Variant("a hold for the age of maps only", Rules(waits_held=1), _READER, 3),
    Variant(
        "a source that is neither fenced nor closed",
        Rules(order=_Without(StepKind.FENCE), closes_source=False),
        Actors(writers=(), reads=False, takeovers=()),
        4,
    ),
    Variant("a prune of all rows", Rules(prunes_slots=False), _WRITERS, 5),
    Variant("a copy that is published but not waited for", Rules(waits_published=0), _READER, 6),
    Variant("a publication for the age of maps only", Rules(waits_published=1), _READER, 6),
    Variant("a copy that is not published", Rules(order=_Without(StepKind.PUBLISH)), _READER, 6),
    Variant("a flip that does not mark the source", Rules(flip_marks_source=False), _WRITERS, 6),
    Variant(
        "an unpublication before the prune",
        Rules(order=_Moved(StepKind.UNPUBLISH, before=StepKind.PRUNE_PAGES)),
        _WRITERS,
        6,
    ),
    Variant("an abort that unpublishes first", Rules(abort_unpublishes_last=False), _ABORT, 6),
    Variant("a prune by the owner's present rows", Rules(proof="present"), _WRITERS, 8),
    Variant("a checkpoint after its batch", Rules(checkpoints_in_batch=False), _RESUME, 8),
    Variant(
        "an undo without clearing the old copy",
        Rules(undo_order=_Without(StepKind.PRUNE_PAGES)),
        _DELETE,
        8,
    ),
    Variant("records that are left behind", Rules(cleans_up=False), _WRITERS, 8),
    Variant("an abort that leaves the source closed", Rules(abort_reopens=False), _ABORT, 9),
    Variant("an abort that leaves the copy", Rules(abort_deletes=False), _ABORT, 6),
    Variant("batches that do not compare tokens", Rules(checks_tokens=False), _ABORT, 9),
    Variant("a takeover that reads the journal late", Rules(journal_first=False), _ABORT, 3),
    Variant("an undo that reads the journal late", Rules(journal_first=False), _UNDO, 6),
    Variant("a flip that does not look whether it is done", Rules(flip_looks=False), _RESUME, 11),
)
