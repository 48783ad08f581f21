"""Partial groups of shards, folded into the groups of all data."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Literal

from shardhash.db.reduce._order import comparable
from shardhash.db.tasks import Row
from shardhash.errors import MemoryCapError

__all__ = ["Fold", "GroupPlan", "MemoryCap", "fold_groups"]

_EXACT = Context(prec=300)
_SAMPLE = 256
_OVERHEAD = 160


@dataclass(frozen=True, slots=True)
class Fold:
    """How one column of the partial rows becomes one value of a group.

    ``first`` keeps the first row's; ``count`` adds whole numbers; ``sum`` adds and knows NULL;
    ``min`` and ``max`` compare by the column ``weight``; ``distinct count`` and ``distinct sum``
    take each value once, told apart by the columns ``identity``; their ``index`` is the value's.
    """

    kind: Literal["first", "count", "sum", "min", "max", "distinct count", "distinct sum"]
    index: int
    weight: int | None = None
    identity: tuple[int, ...] = ()


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

    def add(self, row: Sequence[object]) -> None:
        """Count one more row.

        Raises:
            MemoryCapError: it is one too many.
        """
        if self._sampled < _SAMPLE:
            self._sampled += 1
            self._sampled_bytes += _OVERHEAD + sum(map(sys.getsizeof, row))
        self._held += 1
        if self._held * (self._sampled_bytes // self._sampled) > self.limit:
            raise MemoryCapError(
                f"the answer needs more than {self.limit / 2**20:,.0f} MiB of memory here: "
                f"{self._held:,} rows are held already",
                next_step="ask for less (WHERE, fewer groups), or raise memory_mb",
            )


def fold_groups(rows: Iterable[Row], plan: GroupPlan, cap: MemoryCap) -> Iterator[list[Any]]:
    """Yield the state of each group: one value for each fold, in the order of first rows.

    Complexity: one dictionary entry for each group, in memory.
    """
    starts, steps = zip(*map(_functions, plan.folds), strict=True) if plan.folds else ((), ())
    groups: dict[Any, list[Any]] = {}
    keys = plan.keys
    for row in rows:
        key = row[keys[0]] if len(keys) == 1 else tuple([row[i] for i in keys])
        state = groups.get(key)
        if state is None:
            cap.add(row)
            groups[key] = [start(row) for start in starts]
        else:
            for position, step in enumerate(steps):
                state[position] = step(state[position], row, cap)
    if not groups and not plan.has_groups:
        yield [_empty(fold) for fold in plan.folds]
        return
    for state in groups.values():
        yield [_finished(fold, value) for fold, value in zip(plan.folds, state, strict=True)]


Start = Callable[[Row], Any]
Step = Callable[[Any, Row, MemoryCap], Any]


def _functions(fold: Fold) -> tuple[Start, Step]:
    index = fold.index
    if fold.kind == "first":
        return lambda row: row[index], lambda state, row, cap: state
    if fold.kind in ("count", "sum"):
        return lambda row: row[index], lambda state, row, cap: _add(state, row[index])
    if fold.kind in ("min", "max"):
        return _extreme(fold)
    return _distinct(fold)


def _add(state: Any, value: Any) -> Any:
    if value is None:
        return state
    if state is None:
        return value
    if isinstance(value, Decimal) and isinstance(state, Decimal):
        return _EXACT.add(state, value)
    return state + value


def _extreme(fold: Fold) -> tuple[Start, Step]:
    index, weight = fold.index, fold.index if fold.weight is None else fold.weight
    wants_less = fold.kind == "min"

    def step(state: Any, row: Row, cap: MemoryCap) -> Any:
        if row[weight] is None:
            return state
        mine = comparable(row[weight])
        if state[1] is None or (mine < state[1] if wants_less else state[1] < mine):
            return row[index], mine
        return state

    def start(row: Row) -> Any:
        return row[index], None if row[weight] is None else comparable(row[weight])

    return start, step


def _distinct(fold: Fold) -> tuple[Start, Step]:
    index, identity = fold.index, fold.identity

    def start(row: Row) -> Any:
        values: dict[Any, Any] = {}
        return put(values, row)

    def put(values: dict[Any, Any], row: Row) -> Any:
        key = tuple([row[i] for i in identity])
        if None not in key:
            values.setdefault(key, row[index])
        return values

    def step(state: Any, row: Row, cap: MemoryCap) -> Any:
        before = len(state)
        put(state, row)
        if len(state) != before:
            cap.add((row[index],))
        return state

    return start, step


def _finished(fold: Fold, value: Any) -> Any:
    if fold.kind in ("min", "max"):
        return value[0]
    if fold.kind == "distinct count":
        return len(value)
    if fold.kind == "distinct sum":
        total = None
        for each in value.values():
            total = _add(total, each)
        return total
    return value


def _empty(fold: Fold) -> Any:
    return 0 if fold.kind in ("count", "distinct count") else None
