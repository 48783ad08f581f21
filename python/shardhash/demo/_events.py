"""What the demo reports: each stage as a value, and the census of its shards."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shardhash.db.plan import Plan, Report

__all__ = ["Census", "DemoEvent", "Filled", "Finished", "Loaded", "Planned", "Pruned"]


@dataclass(frozen=True, slots=True)
class Census:
    """Rows by shard, counted in the databases; ``distinct`` counts primary keys over all shards."""

    rows: Mapping[str, int]
    no_key: Mapping[str, int]
    distinct: int

    @property
    def total(self) -> int:
        """Return the number of rows on all shards."""
        return sum(self.rows.values())

    @property
    def balance(self) -> float:
        """Return the rows of the fullest shard divided by the mean; 1.0 is perfect."""
        return max(self.rows.values()) * len(self.rows) / max(self.total, 1)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Two shards hold all flights."""

    census: Census
    seconds: float


@dataclass(frozen=True, slots=True)
class Filled:
    """The third shard has its rows, and the map names it as their owner."""

    census: Census
    slots: Mapping[str, int]
    copied: Mapping[str, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Planned:
    """The prune of one shard is planned, and about to be applied."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Pruned:
    """One shard is pruned."""

    plan: Plan
    report: Report


@dataclass(frozen=True, slots=True)
class Finished:
    """Every flight is on the shard that the map names; ``changed`` is False if it was before."""

    census: Census
    slots: Mapping[str, int]
    config_path: Path
    changed: bool


DemoEvent = Loaded | Filled | Planned | Pruned | Finished
