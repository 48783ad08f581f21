"""All that can happen next in a state, and what must be true of every state."""

from collections.abc import Iterator

from model.actions import BLOCKED, Action, BrokenError
from model.programs import Programs
from model.rules import Actors, Rules
from model.state import (
    FIRST_ROWS,
    FOREIGN,
    IDLE,
    NAMES,
    NO_PAGES,
    NOBODY,
    OVER,
    OWNED,
    PAGES,
    SOURCE,
    TAKEN_OVER,
    TARGET,
    Journal,
    Map,
    Mover,
    Query,
    Rows,
    Shard,
    State,
)

Event = tuple[str, State | BrokenError]
"""What happened, in words, and the state after it, or what is broken by it."""

_WRITES: dict[str, tuple[int, int | None]] = {
    "change": (0, 2),
    "insert": (1, 3),
    "delete": (0, None),
}
"""By what a writer does: the row, and its content afterwards."""


class World:
    """A move under some rules, with some actors."""

    def __init__(self, rules: Rules, actors: Actors) -> None:
        self.rules = rules
        self.actors = actors
        self.programs = Programs(rules)
        self._writes = [_WRITES[each] for each in actors.writers]
        self._is_deleted = "delete" in actors.writers

    def start(self) -> State:
        """Return the state in which the first process has written its plan down."""
        source = Shard(0, OWNED, FIRST_ROWS, has_other=True)
        target = Shard(0, FOREIGN, (None,) * PAGES, has_other=False)
        return State(
            shards=(source, target),
            maps=(Map(0, SOURCE),),
            journal=Journal(),
            movers=(Mover(1, ("move", 0)), None),
            may_take_over=bool(self.actors.takeovers),
            writers=(IDLE,) * len(self.actors.writers),
            reader=None if self.actors.reads else False,
            truth=FIRST_ROWS,
        )

    def events(self, state: State) -> Iterator[Event]:
        """Yield everything that may happen next."""
        for who in (0, 1):
            yield from self._moves(state, who)
        yield from self._takeovers(state)
        for number in range(len(state.writers)):
            yield from self._writers(state, number)
        yield from self._reads(state)

    def _moves(self, state: State, who: int) -> Iterator[Event]:
        mover = state.movers[who]
        if mover is None:
            return
        action = self.programs[mover.program][mover.counter]
        name = f"process {who + 1} {action.name}"
        try:
            found = action.run(self.rules, state, who)
        except BrokenError as error:
            yield name, error
            return
        if found is BLOCKED:
            return
        if isinstance(found, str):
            yield f"{name}: refused", self._settled(state.with_mover(who, None))
            return
        after = found.movers[who]
        assert after is not None, "an action that was not refused leaves its process at work"
        yield name, self._settled(self._went_on(found, who, after))

    def _went_on(self, state: State, who: int, mover: Mover) -> State:
        """Return the state in which a process comes to its next action, or to its end."""
        counter = mover.counter + 1
        if counter < len(self.programs[mover.program]):
            return state.with_mover(who, mover._replace(counter=counter))
        name, _ = mover.program
        if name.startswith("to "):
            return state.with_mover(who, self._decided(state, mover))
        outcome = {"abort": "taken back", "undo": "taken back"}.get(name, "moved")
        return state.with_mover(who, None)._replace(outcome=outcome)

    def _decided(self, state: State, mover: Mover) -> Mover:
        """Return a process that has taken over, with the program that it goes on with."""
        goal, read = mover.program[0].removeprefix("to "), mover.read
        flip_at = self.programs.flip_at
        assert read is not None, "who takes over has read where the operation is"
        if goal == "undo":
            return Mover(mover.token, ("undo", 0))
        is_flipped = read.done >= flip_at or (read.begun >= flip_at and state.map.owner == TARGET)
        if goal == "abort" and not (is_flipped and self.rules.abort_looks):
            return Mover(mover.token, ("abort", read.begun))
        return Mover(mover.token, ("resume", read.done + 1))

    def _takeovers(self, state: State) -> Iterator[Event]:
        """Another process sets out, while the first is dead, slow or at work."""
        if not state.may_take_over or state.movers[1] is not None or state.journal.is_ended:
            return
        for goal in self.actors.takeovers:
            yield f"process 2 sets out to {goal}", state.with_mover(1, Mover(2, (f"to {goal}", 0)))

    def _writers(self, state: State, number: int) -> Iterator[Event]:
        where, (page, content) = state.writers[number], self._writes[number]
        if where == OVER:
            return
        name = f"writer {number + 1}"
        if where == IDLE:
            for shard in (SOURCE, TARGET):
                if self._may_write(state, shard) and not self._is_locked(state, shard, page):
                    what = f"{name} writes row {page} on the {NAMES[shard]}, and is not refused"
                    yield what, _with_writer(state, number, shard)
            return
        yield f"{name} rolls back", _with_writer(state, number, IDLE)
        rows = _with(state.shards[where].rows, page, content)
        after = state.with_shard(where, state.shards[where]._replace(rows=rows))
        after = after._replace(truth=_with(state.truth, page, content))
        yield f"{name} commits", self._settled(_with_writer(after, number, OVER))

    def _may_write(self, state: State, shard: int) -> bool:
        """Tell whether a guard lets a write through, whoever sends it and by whatever map."""
        if self.rules.guards_ask == "states":
            return state.shards[shard].state == OWNED
        return any(each.owner == shard for each in state.maps)

    def _is_locked(self, state: State, shard: int, page: int) -> bool:
        return any(
            where == shard and self._writes[other][0] == page
            for other, where in enumerate(state.writers)
        )

    def _reads(self, state: State) -> Iterator[Event]:
        reader = state.reader
        if reader is False:
            return
        if reader is None:
            for each in state.maps:
                by = f"by map {each.version}"
                yield (
                    f"a pinned read begins {by}",
                    state._replace(reader=Query(True, each, each.owner)),
                )
                for shard in (SOURCE, TARGET):
                    query = Query(is_pinned=False, by=each, asked_first=shard)
                    yield f"a fan-out begins {by}", state._replace(reader=query)
            return
        assert isinstance(reader, Query), "a query goes on"
        asked = reader.asked_first
        if reader.counts is not None:
            asked = TARGET if asked == SOURCE else SOURCE
        name = f"it asks the {NAMES[asked]}"
        if reader.is_pinned:
            yield name, self._pinned(state, asked)
            return
        counts = self._counts(state, reader.by, asked)
        if reader.counts is None:
            yield name, state._replace(reader=reader._replace(counts=counts))
        else:
            yield name, self._fanned_out(state, reader.counts, counts)

    def _counts(self, state: State, by: Map, shard: int) -> Rows:
        if not by.counts(shard):
            return (0,) * PAGES
        return tuple(int(row is not None) for row in state.shards[shard].rows)

    def _pinned(self, state: State, asked: int) -> State | BrokenError:
        if not self._is_deleted and state.shards[asked].rows[0] is None:
            return BrokenError("3: a read by a map that is not too old finds a row no more")
        return self._read_over(state)

    def _fanned_out(self, state: State, first: Rows, second: Rows) -> State | BrokenError:
        counts = [one + other for one, other in zip(first, second, strict=True)]
        if max(counts) > 1:
            return BrokenError(f"6: a fan-out counts rows {counts} times")
        if not self._is_deleted and counts[0] == 0:
            return BrokenError("6: a fan-out by a map that is not too old misses a row")
        return self._read_over(state)

    def _read_over(self, state: State) -> State:
        return self._settled(state._replace(reader=False))

    def _settled(self, state: State) -> State:
        """Return the state without what can make no difference any more.

        A process whose next action can only be refused is gone, and old maps that nobody reads by.
        """
        for who, mover in enumerate(state.movers):
            if mover is not None and self._is_doomed(state, mover):
                state = state.with_mover(who, None)
        if state.reader is False and self.rules.guards_ask == "states" and len(state.maps) > 1:
            state = state._replace(maps=state.maps[-1:])
        return state

    def _is_doomed(self, state: State, mover: Mover) -> bool:
        action: Action = self.programs[mover.program][mover.counter]
        is_first = mover.program[0] == "move"
        is_taken = state.journal.length == TAKEN_OVER
        if mover.program[0].startswith("to "):  # it can only come to nothing, and set out again
            return (
                self.rules.journal_first
                and action.does == "look"
                and mover.counter > 0
                and mover.known_length != state.journal.length
            )
        if action.does == "batch" and self.rules.checks_tokens and action.shard is not None:
            return state.shards[action.shard].token > mover.token
        if not (is_first and is_taken):
            return False
        is_refused = action.does in ("journal", "wait") and action.name != "writes 'config'"
        if not self.rules.journals_saves:
            return is_refused
        return is_refused or action.does == "load" or action.name == "writes 'config'"

    def check(self, state: State) -> None:
        """Raise BrokenError where an invariant does not hold; its number is the protocol's."""
        source, target = state.shards
        if state.map.owner == NOBODY:
            raise BrokenError("1: no shard owns the slot")
        if not source.has_other:
            raise BrokenError("5: a row that does not move is gone")
        found = state.shards[state.map.owner].rows
        if found != state.truth:
            raise BrokenError(f"3: the owner has {found}, acknowledged is {state.truth}")
        if source.state == target.state == OWNED:
            raise BrokenError("4: two shards accept writes")
        for page, row in enumerate(state.truth):
            count = sum(self._counts(state, state.map, shard)[page] for shard in (SOURCE, TARGET))
            if count != int(row is not None):
                raise BrokenError(f"6: a fan-out counts row {page} {count} times")
        if state.outcome:
            self._check_outcome(state)

    def _check_outcome(self, state: State) -> None:
        """Compare with what is to be there when an operation has ended."""
        owner, other = (TARGET, SOURCE) if state.outcome == "moved" else (SOURCE, TARGET)
        number = "8" if state.outcome == "moved" else "9"
        name = f"{number}: after the move was {state.outcome}"
        if state.map.owner != owner or state.map.unowned:
            raise BrokenError(f"{name}, the map says {state.map}")
        for shard, wanted in ((owner, OWNED), (other, FOREIGN)):
            found = state.shards[shard]
            if found.state != wanted:
                raise BrokenError(f"{name}, the slot is {found.state} on the {NAMES[shard]}")
            if found.checkpoint or found.pages != NO_PAGES:
                raise BrokenError(f"{name}, records are left on the {NAMES[shard]}")
        if any(row is not None for row in state.shards[other].rows):
            raise BrokenError(f"{name}, rows are left on the {NAMES[other]}")


def _with(rows: Rows, page: int, content: int | None) -> Rows:
    return (*rows[:page], content, *rows[page + 1 :])


def _with_writer(state: State, number: int, where: int) -> State:
    writers = (*state.writers[:number], where, *state.writers[number + 1 :])
    return state._replace(writers=writers)
