"""The states of a mapping's slots on one shard."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.guard._run import fetch, run, take_file
from shardhash.db.sql import ControlPlace, SlotState
from shardhash.errors import PreflightError
from shardhash.slots import SlotSet

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["drop_slots", "fill_slots", "read_slots", "set_slots"]

_ROWS_A_STATEMENT = 2_000  # servers give up on index ranges of too many values, and lock all rows
_LISTED = 5


def fill_slots(
    connection: "Connection", place: ControlPlace, mapping: str, slot_count: int, owned: SlotSet
) -> None:
    """Give every slot of a mapping its row: ``owned`` ones, and ``foreign`` all others.

    Rows that are there with that state stay. For a mapping by ranges, slots are range numbers.

    Raises:
        PreflightError: a slot is there with another state, or one that the mapping has not.
    """
    wanted = {
        slot: SlotState.OWNED if slot in owned else SlotState.FOREIGN for slot in range(slot_count)
    }
    take_file(connection, place)
    found = dict(_states(connection, place, mapping))
    wrong = [slot for slot, state in found.items() if wanted.get(slot) != state]
    if wrong:
        raise _conflict(place, mapping, "filled", {slot: found[slot] for slot in wrong})
    missing = [slot for slot in wanted if slot not in found]
    for slots in _pieces(missing):
        run(connection, sql.insert_slots(place, mapping, [(slot, wanted[slot]) for slot in slots]))


def read_slots(
    connection: "Connection", place: ControlPlace, mapping: str
) -> dict[SlotState, SlotSet]:
    """Return the slots of each state; all are empty where the mapping has no rows."""
    by_state: dict[SlotState, list[tuple[int, int]]] = {state: [] for state in SlotState}
    for state, first, last in fetch(connection, sql.read_slot_runs(place, mapping)):
        by_state[SlotState(state)].append((int(first), int(last) + 1))
    return {state: SlotSet.from_ranges(ranges) for state, ranges in by_state.items()}


def set_slots(
    connection: "Connection",
    place: ControlPlace,
    mapping: str,
    slots: SlotSet,
    state: SlotState,
    *,
    among: Collection[SlotState],
) -> None:
    """Set the state of slots that have one of the states `among`, or have it already.

    It waits for every transaction that wrote to one of the slots, and for no other. Each change
    counts the slot's epoch up.

    Raises:
        PreflightError: a slot is missing or in another state; roll back.
        DatabaseError: the wait took longer than the session's ``innodb_lock_wait_timeout``.
    """
    for piece in _pieces(list(slots)):
        statement = sql.update_slots(place, mapping, piece, state, {state, *among})
        if run(connection, statement) != len(piece):
            found = dict(fetch(connection, sql.read_slots(place, mapping, piece, lock="shared")))
            wrong = {
                slot: found.get(slot, "missing")
                for slot in piece
                if found.get(slot) not in {state, *among}
            }
            raise _conflict(place, mapping, f"set to {state}", wrong)


def drop_slots(connection: "Connection", place: ControlPlace, mapping: str) -> None:
    """Delete the rows of a mapping's slots; its guards must be gone, or they refuse every write."""
    run(connection, sql.delete_slots(place, mapping))


def _states(
    connection: "Connection", place: ControlPlace, mapping: str
) -> list[tuple[int, SlotState]]:
    rows = fetch(connection, sql.read_slots(place, mapping))
    return [(int(slot), SlotState(state)) for slot, state in rows]


def _pieces(slots: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(slots), _ROWS_A_STATEMENT):
        yield slots[start : start + _ROWS_A_STATEMENT]


def _conflict(
    place: ControlPlace, mapping: str, purpose: str, wrong: dict[int, str]
) -> PreflightError:
    shown = ", ".join(f"{slot} is {state}" for slot, state in list(wrong.items())[:_LISTED])
    more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
    return PreflightError(
        f"slots of {mapping} on {place.database} were to be {purpose}, but slot {shown}{more}",
        next_step="another operation left them so: look at shardhash op list",
    )
