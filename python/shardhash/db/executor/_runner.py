"""What runs, looks up and takes back the steps of one kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shardhash.db import sql
from shardhash.db.executor._work import Work
from shardhash.db.plan import Step
from shardhash.db.topology import RangeRule
from shardhash.slots import SlotSet

__all__ = ["Result", "Runner", "range_rule", "slots_of"]

Result = Mapping[str, Any]
"""What a step says when it is done, JSON values: ``rows`` by table, ``kept``, ``warnings``."""


def _nothing_to_undo(work: Work, step: Step) -> None:
    """Leave all as it is: what the step made goes with what was made before it."""


def _may_have_begun(work: Work, step: Step) -> bool:
    """Take a step that was begun for one that took effect, as a part of it may have."""
    return True


@dataclass(frozen=True, slots=True)
class Runner:
    """How a kind of step is done.

    Attributes:
        run: does it, and does nothing where it is done already; an error leaves it to be run again.
        undo: takes it back, however far it came; running that again does no harm either.
        is_done: looks whether it took effect, for steps after which nothing can be taken back.
    """

    run: Callable[[Work, Step], Result]
    undo: Callable[[Work, Step], None] = _nothing_to_undo
    is_done: Callable[[Work, Step], bool] = _may_have_begun


def range_rule(arguments: Mapping[str, Any]) -> RangeRule:
    """Return the rule that the arguments of a step about bounds ask for."""
    bounds: Any = sql.key_from_text(arguments["bounds"])
    return RangeRule(bounds=bounds, shards=tuple(arguments["owners"]))


def slots_of(step: Step) -> SlotSet:
    """Return the slots that a step is about."""
    return SlotSet.parse(step.arguments["slots"])
