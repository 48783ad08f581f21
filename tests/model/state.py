"""What the model of a move remembers: two shards, the map, a journal, and who is at work.

Two rows are in the slot that moves; a third is in a slot that stays. Numbers stand for contents:
a row that was there from the start is 1.
"""

from typing import NamedTuple

SOURCE, TARGET, NOBODY = 0, 1, 2
NAMES = ("source", "target", "nobody")

OWNED, FENCED, FOREIGN = "owned", "fenced", "foreign"
IDLE, OVER = -1, 2
"""A writer with no transaction, and one whose write was acknowledged; between them, its shard."""

TAKEN_OVER = -1
"""The length of a journal in which another process has written."""

Rows = tuple[int | None, ...]
FIRST_ROWS: Rows = (1, None)
PAGES = len(FIRST_ROWS)
NO_PAGES: tuple["Page | None", ...] = (None,) * PAGES


class Page(NamedTuple):
    """What a verification has recorded of a page, which is one row."""

    content: int | None
    is_pruned: bool


class Shard(NamedTuple):
    """A shard: `state` is that of the slot that moves, `rows` are its rows.

    `checkpoint` counts the pages that were copied to here, `pages` were verified here.
    """

    token: int
    state: str
    rows: Rows
    has_other: bool
    checkpoint: int = 0
    pages: tuple[Page | None, ...] = NO_PAGES


class Map(NamedTuple):
    """A version of the configuration: `unowned` are the shards that may hold rows of others."""

    version: int
    owner: int
    unowned: frozenset[int] = frozenset()

    def counts(self, shard: int) -> bool:
        """Tell whether a fan-out by this map counts the rows of the slot on a shard."""
        return shard not in self.unowned or self.owner == shard


class Journal(NamedTuple):
    """The journal: its length, and the positions of the last step begun and done."""

    length: int = 0
    begun: int = -1
    done: int = -1
    is_ended: bool = False


class Mover(NamedTuple):
    """A process at work on the operation: where in which program, and what it has read."""

    token: int
    program: tuple[str, int]
    counter: int = 0
    known_length: int = 0
    read: Journal | None = None
    loaded: Map | None = None
    heard: int = 0


class Query(NamedTuple):
    """A read that has begun: a fan-out asks two shards in turn, a pinned read one."""

    is_pinned: bool
    by: Map
    asked_first: int
    counts: tuple[int, ...] | None = None


class State(NamedTuple):
    """Everything. `maps` are those that somebody may still read by; the last is the present one.

    `reader` is None before its query and False after it. `outcome` says how the operation ended.
    """

    shards: tuple[Shard, Shard]
    maps: tuple[Map, ...]
    journal: Journal
    movers: tuple[Mover | None, Mover | None]
    may_take_over: bool
    writers: tuple[int, ...]
    reader: Query | bool | None
    truth: Rows
    outcome: str = ""

    @property
    def map(self) -> Map:
        return self.maps[-1]

    def with_shard(self, number: int, shard: Shard) -> "State":
        source, target = self.shards
        return self._replace(shards=(shard, target) if number == SOURCE else (source, shard))

    def with_mover(self, number: int, mover: Mover | None) -> "State":
        first, second = self.movers
        return self._replace(movers=(mover, second) if number == 0 else (first, mover))
