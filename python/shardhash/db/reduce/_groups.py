"""Partial groups of shards, folded into the groups of all data."""

import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import islice
from typing import Any, Literal

from shardhash.db.reduce._order import comparable, extended
from shardhash.db.tasks import Row
from shardhash.errors import MemoryCapError

__all__ = ["Fold", "GroupPlan", "MemoryCap", "fold_groups", "hold"]

_EXACT = Context(prec=300)
_SAMPLE = 256
_OVERHEAD = 160
_BATCH_ROWS = 512
_SUMS = ("count", "sum")


@dataclass(frozen=True, slots=True)
class Fold:
    """How one column of the partial rows becomes one value of a group.

    ``first`` keeps the first row's; ``count`` adds whole numbers; ``sum`` adds and knows NULL;
    ``min`` and ``max`` compare by the column ``weight``, a shorter one as if ``pad`` followed;
    ``distinct count`` and ``distinct sum`` take each value once, told apart by the columns
    ``identity``; their ``index`` is the value's.
    """

    kind: Literal["first", "count", "sum", "min", "max", "distinct count", "distinct sum"]
    index: int
    weight: int | None = None
    identity: tuple[int, ...] = ()
    pad: bytes = b""


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """Which columns of the partial rows tell groups apart, and what becomes of the others."""

    keys: tuple[int, ...]
    folds: tuple[Fold, ...]
    has_groups: bool = True
    """False: one group whatever there is, as aggregates without GROUP BY give."""


@dataclass(slots=True)
class MemoryCap:
    """Counts what is held against a limit in bytes, by the size of the first rows."""

    limit: int
    _held: int = 0
    _sampled: int = 0
    _sampled_bytes: int = 0

    def add(self, rows: Sequence[Sequence[object]], count: int) -> None:
        """Count `count` more rows that are held, of which `rows` are samples.

        Raises:
            MemoryCapError: they are too many.
        """
        if not count:
            return
        for row in rows[: _SAMPLE - self._sampled]:
            self._sampled += 1
            self._sampled_bytes += _OVERHEAD + sum(map(sys.getsizeof, row))
        self._held += count
        if self._held * (self._sampled_bytes // self._sampled) > self.limit:
            raise MemoryCapError(
                f"the answer needs more than {self.limit / 2**20:,.0f} MiB of memory here: "
                f"{self._held:,} rows are held already",
                next_step="ask for less (WHERE, fewer groups), or raise memory_mb",
            )


def hold(rows: Iterable[Row], cap: MemoryCap) -> Iterator[Row]:
    """Yield rows that the caller keeps, counted against a limit."""
    remaining = iter(rows)
    while batch := list(islice(remaining, _BATCH_ROWS)):
        cap.add(batch, len(batch))
        yield from batch


State = Sequence[Any]


def fold_groups(rows: Iterable[Row], plan: GroupPlan, cap: MemoryCap) -> Iterator[State]:
    """Yield the state of each group: one value for each fold, in the order of first rows.

    A state may be longer: what follows is not for others.

    Complexity: one dictionary entry for each group, in memory.
    """
    folding = _Folding(plan.folds)
    groups: dict[Any, State] = {}
    key_of: Callable[[Row], Any] = operator.itemgetter(*plan.keys) if plan.keys else lambda row: ()
    remaining = iter(rows)
    while batch := list(islice(remaining, _BATCH_ROWS)):
        before = len(groups) + folding.distinct_count
        folding.add(batch, key_of, groups)
        cap.add(batch, len(groups) + folding.distinct_count - before)
    if not groups and not plan.has_groups:
        yield [_empty(fold) for fold in plan.folds]
        return
    yield from map(folding.finished, groups.values()) if folding.distinct else groups.values()


Add = Callable[[list[Any], Row], None]


class _Folding:
    """Makes states of rows: a value for each fold, then the weights of those that compare."""

    def __init__(self, folds: Sequence[Fold]) -> None:
        self._folds = folds
        self.distinct = [n for n, fold in enumerate(folds) if fold.kind.startswith("distinct")]
        self.distinct_count = 0
        columns = [fold.index for fold in folds]
        self._sums = [(n, fold.index) for n, fold in enumerate(folds) if fold.kind in _SUMS]
        self._steps: list[Add] = []
        for place, fold in enumerate(folds):
            if fold.kind in ("min", "max"):
                weight = fold.index if fold.weight is None else fold.weight
                self._steps.append(_extreme(fold, place, len(columns), weight))
                columns.append(weight)
        self._pick = _picker(columns)

    def add(
        self, rows: Iterable[Row], key_of: Callable[[Row], Any], groups: dict[Any, State]
    ) -> None:
        """Add rows to the states of their groups."""
        get, pick, sums, steps = groups.get, self._pick, self._sums, self._steps
        has_distinct, add_exactly = bool(self.distinct), _EXACT.add
        for row in rows:
            key = key_of(row)
            state = get(key)
            if state is None:
                groups[key] = self._with_values(pick(row), row) if has_distinct else pick(row)
                continue
            made = list(state)
            for place, index in sums:
                value, known = row[index], made[place]
                if type(value) is Decimal and type(known) is Decimal:
                    made[place] = add_exactly(known, value)
                elif value is not None:
                    made[place] = value if known is None else known + value
            for step in steps:
                step(made, row)
            if has_distinct:
                self._add_values(made, row)
            groups[key] = tuple(made)  # the garbage collector does not look into tuples of these

    def finished(self, state: State) -> State:
        """Return a state with values in place of what tells them apart."""
        made = list(state)
        for place in self.distinct:
            values = state[place].values()
            made[place] = (
                len(values) if self._folds[place].kind == "distinct count" else _total(values)
            )
        return made

    def _with_values(self, picked: State, row: Row) -> State:
        state = list(picked)
        for place in self.distinct:
            state[place] = {}
        self._add_values(state, row)
        return state

    def _add_values(self, state: list[Any], row: Row) -> None:
        for place in self.distinct:
            fold, values = self._folds[place], state[place]
            key = tuple([row[index] for index in fold.identity])
            if None not in key and key not in values:
                values[key] = row[fold.index]
                self.distinct_count += 1


def _picker(columns: Sequence[int]) -> Callable[[Row], State]:
    """Return a function that takes columns of a row, as a tuple."""
    if len(columns) > 1:
        return operator.itemgetter(*columns)
    return lambda row: tuple([row[column] for column in columns])


def _extreme(fold: Fold, place: int, weight_place: int, weight: int) -> Add:
    wants_less, pad = fold.kind == "min", fold.pad

    def step(state: list[Any], row: Row) -> None:
        mine: Any = row[weight]
        best = state[weight_place]
        if mine is None:
            return
        if best is not None:
            mine_key, best_key = comparable(mine), comparable(best)
            if pad:
                size = max(len(mine), len(best))
                mine_key, best_key = extended(mine, pad, size), extended(best, pad, size)  # type: ignore[assignment]
            if not (mine_key < best_key if wants_less else best_key < mine_key):
                return
        state[place], state[weight_place] = row[fold.index], mine

    return step


def _total(values: Iterable[Any]) -> Any:
    total: Any = None
    for value in values:
        if type(value) is Decimal and type(total) is Decimal:
            total = _EXACT.add(total, value)
        else:
            total = value if total is None else total + value
    return total


def _empty(fold: Fold) -> Any:
    return 0 if fold.kind in ("count", "distinct count") else None
