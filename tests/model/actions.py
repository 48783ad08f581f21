"""What a process does at once: a record, a read, a save, a wait, or one transaction on a shard.

An action takes the state and the number of the process, and returns the state after it; BLOCKED
where it has to wait, REFUSED where the process learns that it was taken over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from model.state import (
    FENCED,
    FOREIGN,
    NAMES,
    NO_PAGES,
    NOBODY,
    OWNED,
    TAKEN_OVER,
    TARGET,
    Map,
    Mover,
    Page,
    Shard,
    State,
)

if TYPE_CHECKING:
    from model.rules import Rules

BLOCKED: Final = "blocked"
REFUSED: Final = "refused"
Outcome = State | str
Run = Callable[["Rules", State, int], Outcome]


class BrokenError(Exception):
    """An invariant does not hold, or an operation can neither go on nor be taken back."""


@dataclass(frozen=True, slots=True)
class Action:
    """One action: `does` is ``journal``, ``load``, ``save``, ``wait``, ``batch`` or ``look``."""

    name: str
    does: str
    run: Run
    shard: int | None = None


def mover_of(state: State, who: int) -> Mover:
    mover = state.movers[who]
    assert mover is not None, "only a process that is there acts"
    return mover


def journal(event: str, position: int = -1) -> Action:
    """Append a record, unless another process has written in the journal."""

    def run(rules: "Rules", state: State, who: int) -> Outcome:
        present = state.journal
        if present.length == TAKEN_OVER:
            return REFUSED
        changed = present._replace(length=present.length + 1)
        if event == "begun":
            changed = changed._replace(begun=position)
        elif event == "done":
            changed = changed._replace(done=position)
        elif event == "ended":
            changed = changed._replace(is_ended=True)
        return state._replace(journal=changed)

    return Action(f"writes '{event}{f' {position}' if position >= 0 else ''}'", "journal", run)


def batch(name: str, shard: int, change: Callable[["Rules", State], Shard | str]) -> Action:
    """Change a shard in one transaction, which begins by comparing the token."""

    def run(rules: "Rules", state: State, who: int) -> Outcome:
        if rules.checks_tokens and state.shards[shard].token != mover_of(state, who).token:
            return REFUSED
        changed = change(rules, state)
        return changed if isinstance(changed, str) else state.with_shard(shard, changed)

    return Action(f"{name} on the {NAMES[shard]}", "batch", run, shard)


def enter(shard: int) -> Action:
    """Raise the token of a shard."""

    def run(rules: "Rules", state: State, who: int) -> Outcome:
        mover, present = mover_of(state, who), state.shards[shard]
        if present.token > mover.token:
            return REFUSED
        return state.with_shard(shard, present._replace(token=mover.token))

    return Action(f"raises the token of the {NAMES[shard]}", "enter", run, shard)


def fence(shard: int) -> Action:
    """Refuse writes to the slot; wait for transactions that wrote to it."""

    def change(rules: "Rules", state: State) -> Shard | str:
        if rules.fence_waits and shard in state.writers:
            return BLOCKED
        return _set(state, shard, FENCED, {OWNED})

    return batch("fences", shard, change)


def set_state(shard: int, wanted: str, before: set[str]) -> Action:
    """Set the state of the slot, which must be what it should have been."""
    return batch(f"sets {wanted}", shard, lambda rules, state: _set(state, shard, wanted, before))


def _set(state: State, shard: int, wanted: str, before: set[str]) -> Shard:
    present = state.shards[shard]
    if present.state not in {wanted, *before}:
        raise BrokenError(
            f"8: stuck, the slot is {present.state} on the {NAMES[shard]} and was to be {wanted}"
        )
    return present._replace(state=wanted)


def copy_page(page: int, source: int, target: int) -> list[Action]:
    """Copy a row, unless the checkpoint says that it is there."""

    def change(rules: "Rules", state: State) -> Shard:
        present = state.shards[target]
        if present.checkpoint > page:
            return present
        changed = present
        row = state.shards[source].rows[page]
        if row is not None:
            if present.rows[page] is not None:
                raise BrokenError(f"8: stuck, row {page} is on the {NAMES[target]} already")
            changed = present._replace(rows=_with(present.rows, page, row))
        return _counted(changed, page) if rules.checkpoints_in_batch else changed

    def count(rules: "Rules", state: State) -> Shard:
        return _counted(state.shards[target], page)

    return [
        batch(f"copies row {page}", target, change),
        batch(f"counts row {page} as copied", target, count),
    ]


def _counted(shard: Shard, page: int) -> Shard:
    return shard._replace(checkpoint=max(shard.checkpoint, page + 1))


def _with(rows: tuple, page: int, value: object) -> tuple:
    return (*rows[:page], value, *rows[page + 1 :])


def delete_copy(page: int, shard: int) -> Action:
    """Delete a row that was copied; the checkpoint goes with the first."""

    def change(rules: "Rules", state: State) -> Shard:
        present = state.shards[shard]
        return present._replace(checkpoint=0, rows=_with(present.rows, page, None))

    return batch(f"deletes the copy of row {page}", shard, change)


def verify_page(page: int, source: int, target: int) -> Action:
    """Compare a row on both shards, and record what it was."""

    def change(rules: "Rules", state: State) -> Shard:
        present = state.shards[source]
        if present.pages[page] is not None:
            return present
        row, copied = present.rows[page], state.shards[target].rows[page]
        if row != copied:
            raise BrokenError(
                f"8: stuck, row {page} is {row} on the source and {copied} on the target"
            )
        return present._replace(pages=_with(present.pages, page, Page(row, row is None)))

    return batch(f"compares and records row {page}", source, change)


def forget_pages(shard: int) -> Action:
    """Delete what was recorded by a verification."""
    return batch(
        "forgets the pages",
        shard,
        lambda rules, state: state.shards[shard]._replace(pages=NO_PAGES),
    )


def prune_page(page: int, shard: int, owner: int) -> Action:
    """Delete a row by its proof."""

    def change(rules: "Rules", state: State) -> Shard:
        present = state.shards[shard]
        recorded, row = present.pages[page], present.rows[page]
        if recorded is None:
            raise BrokenError(f"8: stuck, nothing was recorded of row {page}")
        if recorded.is_pruned:
            return present
        expected = recorded.content if rules.proof == "recorded" else state.shards[owner].rows[page]
        if row != expected:
            raise BrokenError(
                f"8: stuck, row {page} is {row} and has to be {expected} to be deleted"
            )
        if present.state == OWNED:
            raise BrokenError(f"5: row {page} is deleted on a shard that takes writes to it")
        changed = present if rules.prunes_slots else present._replace(has_other=False)
        return changed._replace(
            rows=_with(present.rows, page, None),
            pages=_with(present.pages, page, recorded._replace(is_pruned=True)),
        )

    return batch(f"prunes row {page}", shard, change)


def leave(shard: int) -> Action:
    """Leave nothing of the operation on a shard."""

    def change(rules: "Rules", state: State) -> Shard:
        present = state.shards[shard]
        return present._replace(checkpoint=0, pages=NO_PAGES) if rules.cleans_up else present

    return batch("leaves nothing behind", shard, change)


Edit = Callable[["Rules", Map], Map]


def change_map(name: str, edit: Edit) -> list[Action]:
    """Save what `edit` makes of the present map: load, append to the journal, save if unchanged.

    Where there is nothing to change the two actions after the load are left out; where somebody
    else saved in between it begins anew.
    """

    def load(rules: "Rules", state: State, who: int) -> Outcome:
        mover = mover_of(state, who)
        if edit(rules, state.map) == state.map:
            return state.with_mover(who, mover._replace(counter=mover.counter + 2))
        return state.with_mover(who, mover._replace(loaded=state.map))

    def record(rules: "Rules", state: State, who: int) -> Outcome:
        if who == 1 or not rules.journals_saves:  # nobody takes over from the second process
            return state
        return journal("config").run(rules, state, who)

    def save(rules: "Rules", state: State, who: int) -> Outcome:
        mover = mover_of(state, who)
        assert mover.loaded is not None, "what is saved was loaded"
        if rules.saves_compare and mover.loaded.version != state.map.version:
            return state.with_mover(who, mover._replace(counter=mover.counter - 3, loaded=None))
        changed = edit(rules, mover.loaded)._replace(version=state.map.version + 1)
        state = state._replace(maps=(*state.maps, changed))
        return state.with_mover(who, mover._replace(loaded=None))

    return [
        Action(f"reads the map to {name}", "load", load),
        Action("writes 'config'", "journal", record),
        Action(f"saves the map to {name}", "save", save),
    ]


def publish(shard: int) -> Edit:
    return lambda rules, present: present._replace(unowned=present.unowned | {shard})


def unpublish(shard: int) -> Edit:
    return lambda rules, present: present._replace(unowned=present.unowned - {shard})


def flip(source: int, target: int) -> Edit:
    """Make the target the owner, and the source a shard that holds rows without owning them."""

    def edit(rules: "Rules", present: Map) -> Map:
        if rules.flip_looks and present.owner == target:
            return present
        if present.owner not in (source, NOBODY):
            raise BrokenError(f"11: stuck, the slot is not the {NAMES[source]}'s any more")
        unowned = present.unowned - {target}
        if rules.flip_marks_source:
            unowned |= {source}
        return present._replace(owner=target, unowned=unowned)

    return edit


def disown(rules: "Rules", present: Map) -> Map:
    return present._replace(owner=NOBODY)


def wait(times: Callable[["Rules"], int]) -> list[Action]:
    """Wait until nobody has a map that is older than the present one.

    Waiting once the age of maps lets queries that began before its end go on; waiting twice does
    not, because a query asks all its shards within it.
    """

    def begin(rules: "Rules", state: State, who: int) -> Outcome:
        return state.with_mover(who, mover_of(state, who)._replace(heard=state.map.version))

    def end(rules: "Rules", state: State, who: int) -> Outcome:
        mover, reader = mover_of(state, who), state.reader
        if times(rules) > 1 and reader and reader.by.version < mover.heard:  # type: ignore[union-attr]
            return BLOCKED
        if times(rules):
            heard = tuple(each for each in state.maps if each.version >= mover.heard)
            state = state._replace(maps=heard)
        return state.with_mover(who, mover._replace(heard=0))

    return [Action("begins to wait", "wait", begin), Action("has waited", "wait", end)]


def read_journal() -> Action:
    """Read how long the journal is, so that a later append is refused if it has grown."""

    def run(rules: "Rules", state: State, who: int) -> Outcome:
        length = state.journal.length
        if length == TAKEN_OVER or state.journal.is_ended:
            return REFUSED
        return state.with_mover(who, mover_of(state, who)._replace(known_length=length))

    return Action("reads the journal's length", "look", run)


def read_state(goal: str, flip_at: int, prune_at: int) -> Action:
    """Read where the operation is, and refuse what it is too early or too late for."""

    def run(rules: "Rules", state: State, who: int) -> Outcome:
        if state.journal.is_ended:
            return REFUSED
        read, loaded = state.journal, None
        if goal == "undo":
            is_flipped = read.done >= flip_at or state.map.owner == TARGET
            if not is_flipped or read.begun >= prune_at:
                return REFUSED
            loaded = state.map
        return state.with_mover(who, mover_of(state, who)._replace(read=read, loaded=loaded))

    return Action(f"reads where the operation is, to {goal}", "look", run)


def preflight() -> Action:
    """Refuse a plan that was made for another version of the map."""

    def run(rules: "Rules", state: State, who: int) -> Outcome:
        mover = mover_of(state, who)
        assert mover.loaded is not None, "the plan was made for a version"
        if mover.loaded.version != state.map.version:
            return REFUSED
        return state.with_mover(who, mover._replace(loaded=None))

    return Action("compares the plan's version of the map", "look", run)


def take_over() -> Action:
    """Append that the operation has another process now, unless the journal has grown."""

    def run(rules: "Rules", state: State, who: int) -> Outcome:
        mover = mover_of(state, who)
        if mover.known_length != state.journal.length:
            return REFUSED
        state = state._replace(journal=state.journal._replace(length=TAKEN_OVER, is_ended=False))
        state = state._replace(may_take_over=False, outcome="")
        return state.with_mover(who, mover._replace(known_length=0))

    return Action("writes 'taken over'", "journal", run)


def count_takeover() -> list[Action]:
    """Save the configuration once, so that a save that was begun before is refused."""

    def load(rules: "Rules", state: State, who: int) -> Outcome:
        return state.with_mover(who, mover_of(state, who)._replace(loaded=state.map))

    def save(rules: "Rules", state: State, who: int) -> Outcome:
        mover = mover_of(state, who)
        assert mover.loaded is not None, "what is saved was loaded"
        if not rules.takeover_saves:
            return state.with_mover(who, mover._replace(loaded=None))
        if mover.loaded.version != state.map.version:
            return state.with_mover(who, mover._replace(counter=mover.counter - 2, loaded=None))
        changed = state.map._replace(version=state.map.version + 1)
        state = state._replace(maps=(*state.maps, changed))
        return state.with_mover(who, mover._replace(loaded=None))

    return [
        Action("reads the map to count the takeover", "load", load),
        Action("saves the map to count the takeover", "save", save),
    ]


def reopen(shard: int) -> Action:
    return set_state(shard, OWNED, {FENCED})


def open_slots(source: int, target: int) -> list[Action]:
    return [
        set_state(source, FOREIGN, {FENCED}),
        set_state(target, OWNED, {FOREIGN}),
    ]
