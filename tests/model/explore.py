"""Visit every state that can be reached, the nearest first."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from model.actions import BrokenError
from model.rules import Actors, Rules
from model.state import State
from model.world import World


@dataclass(frozen=True)
class Exploration:
    """How many states there are, and how many events lead between them.

    ``broken`` has, by the number of an invariant, a shortest way to where it does not hold; the
    last line of each says what was found there.
    """

    states: int
    events: int
    broken: dict[int, tuple[str, ...]]

    def __str__(self) -> str:
        lines = [f"{self.states:,} states, {self.events:,} events"]
        for trace in self.broken.values():
            lines += [f"{number:3} {line}" for number, line in enumerate(trace, 1)]
        return "\n".join(lines)


def explore(
    rules: Rules, actors: Actors, *, wanted: int | None = None, limit: int = 2_000_000
) -> Exploration:
    """Visit every state; with `wanted`, until a state breaks that invariant.

    Nothing follows a state in which an invariant is broken.

    Raises:
        OverflowError: there are more than `limit` states.
    """
    return _Search(World(rules, actors), wanted, limit).run()


@dataclass
class _Search:
    world: World
    wanted: int | None
    limit: int
    came_from: dict[State, State | None] = field(default_factory=dict)
    broken: dict[int, tuple[str, ...]] = field(default_factory=dict)
    events: int = 0

    def run(self) -> Exploration:
        start = self.world.start()
        self.came_from[start] = None
        waiting = deque([start])
        while waiting and self.wanted not in self.broken:
            waiting.extend(self._visit(waiting.popleft()))
            if len(self.came_from) > self.limit:
                raise OverflowError(f"there are more than {self.limit:,} states")
        return Exploration(len(self.came_from), self.events, self.broken)

    def _visit(self, state: State) -> Iterator[State]:
        """Check a state and yield those after it that are new."""
        try:
            self.world.check(state)
        except BrokenError as error:
            self._note(state, (), error)
            return
        is_end = True
        for name, after in self.world.events(state):
            is_end = False
            self.events += 1
            if isinstance(after, BrokenError):
                self._note(state, (name,), after)
            elif after not in self.came_from:
                self.came_from[after] = state
                yield after
        if is_end and not state.outcome:
            self._note(state, (), BrokenError("8: stuck, nothing can happen any more"))

    def _note(self, state: State, more: tuple[str, ...], error: BrokenError) -> None:
        number = int(str(error).partition(":")[0])
        if number not in self.broken:
            self.broken[number] = (*self._trace(state), *more, str(error))

    def _trace(self, last: State) -> list[str]:
        """Return the names of the events that lead to a state."""
        way = [last]
        while (before := self.came_from[way[-1]]) is not None:
            way.append(before)
        way.reverse()
        return [
            next(name for name, after in self.world.events(before) if after == state)
            for before, state in pairwise(way)
        ]
