"""How one statement is to be run."""

from concurrent.futures import Executor
from dataclasses import dataclass

from shardhash.errors import UsageError

__all__ = ["QueryOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryOptions:
    """The arguments of ``Cluster.query`` beside statement and values."""

    mapping: str | None = None
    shards: tuple[str, ...] | None = None
    deadline_s: float | None = None
    executor: Executor | None = None
    best_effort: bool = False
    memory_mb: int = 1024

    def __post_init__(self) -> None:
        """Raise UsageError for what can never be meant."""
        if self.shards is not None and not self.shards:
            raise UsageError("shards is empty: name at least one, or leave it out")
        if self.shards is not None and len(set(self.shards)) != len(self.shards):
            raise UsageError("shards names one twice: its rows would count twice")
        if self.memory_mb <= 0:
            raise UsageError(f"memory_mb is {self.memory_mb}: it must be more than 0")
