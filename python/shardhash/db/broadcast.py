"""One statement on every shard, as it is: for what no reduce makes one answer of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from shardhash.db.cluster import Cluster
from shardhash.db.query import read_text, values_of
from shardhash.db.tasks import ShardTask
from shardhash.db.workers import ShardOutcome, run_everywhere
from shardhash.errors import ShardhashError, UsageError, WrongShardError

__all__ = ["BroadcastQuery", "BroadcastResult"]


@dataclass(frozen=True, slots=True)
class BroadcastResult:
    """What came of a statement on each shard, in the order of the configuration."""

    outcomes: tuple[ShardOutcome, ...]

    def __iter__(self) -> Iterator[ShardOutcome]:
        """Yield the outcome of each shard."""
        return iter(self.outcomes)

    def __getitem__(self, shard: str) -> ShardOutcome:
        """Return the outcome of one shard; KeyError if it was not asked."""
        for outcome in self.outcomes:
            if outcome.shard == shard:
                return outcome
        raise KeyError(shard)

    @property
    def errors(self) -> dict[str, ShardhashError]:
        """Return the errors by shard."""
        return {each.shard: each.error for each in self.outcomes if each.error}


class BroadcastQuery:
    """Runs one statement on every shard's primary, all at once, and commits it on each.

    The text goes to every shard as it is: nothing is added to it, so rows that a shard holds
    without owning them, during a move, are seen and changed too. A shard's commit does not wait
    for the others', so that a write which meets a guard is not tried again; the map is read anew.
    Thread-safe.

    Args:
        cluster: whose shards are asked.
        on_error: ``"raise"`` raises the first shard's error after all have ended, ``"collect"``
            leaves errors in the result.
        mapping: only the shards of this mapping; None: of all mappings.
        shards: only these shards.
    """

    def __init__(
        self,
        cluster: Cluster,
        on_error: Literal["raise", "collect"] = "raise",
        *,
        mapping: str | None = None,
        shards: Sequence[str] | None = None,
    ) -> None:
        if on_error not in ("raise", "collect"):
            raise UsageError(
                f"on_error is 'raise' or 'collect', found {on_error!r}",
                next_step="pass one of the two",
            )
        self._cluster = cluster
        self._on_error = on_error
        self._mapping = mapping
        self._shards = shards

    def run(
        self,
        sql: str,
        params: Sequence[object] | Mapping[str, object] = (),
        *,
        deadline_s: float | None = None,
    ) -> BroadcastResult:
        """Return what came of the statement on each shard.

        Args:
            sql: any statement; ``%s`` or ``%(name)s`` stand for values on every backend.
            params: the values; a percent sign in the text is doubled if and only if there are any.
            deadline_s: seconds that each server may work on it.

        Raises:
            UsageError: unknown shard or mapping, or values that do not fit the placeholders.
            ShardhashError: of the first shard that failed, with ``on_error="raise"``; the
                statement may have been committed on others.
        """
        connections = self._cluster.connections
        tasks = []
        for shard in self._targets():
            text = read_text(sql, params, connections.backend(shard))
            values = values_of(text.names, params)
            tasks.append(
                ShardTask(shard=shard, sql=text.sent, parameters=values, deadline_s=deadline_s)
            )
        result = BroadcastResult(tuple(run_everywhere(tasks, connections=connections)))
        for error in result.errors.values():
            if isinstance(error, WrongShardError):
                self._cluster.learn_from(error)
                break
        if self._on_error == "raise":
            for error in result.errors.values():
                raise error
        return result

    def _targets(self) -> list[str]:
        config = self._cluster.config
        if self._shards is not None:
            return [config.shard(name).name for name in dict.fromkeys(self._shards)]
        names = config.mappings if self._mapping is None else [self._mapping]
        mapped = {shard for name in names for shard in config.router(name).mapping.shards}
        return [shard for shard in config.shards if shard in mapped]
