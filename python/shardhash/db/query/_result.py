"""What a query gives back."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

from shardhash.db.reduce import converter
from shardhash.db.tasks import ResultColumn, Row
from shardhash.errors import UsageError

__all__ = ["QueryResult"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class QueryResult:
    """The rows of an answer, read once, as tuples of the driver's values. Not thread-safe.

    Rows may still be on the servers: read them to the end, or close the result, which ends the
    servers' work. It is a context manager that does so.

    Attributes:
        columns: name and type of each column; empty for a write.
        shards: the shards that were asked.
        committed: for a write, by shard, the rows that it counted; they are committed.
        failed: for a write with ``best_effort``, by shard, why it was rolled back there.
        unknown: for a write with ``best_effort``, by shard, why nobody knows whether it is
            committed there: the connection was lost before the answer came.
    """

    def __init__(
        self,
        columns: tuple[ResultColumn, ...],
        rows: Iterator[Row],
        *,
        shards: tuple[str, ...],
        close: Callable[[], None] | None = None,
        committed: Mapping[str, int] = _NOTHING,
        failed: Mapping[str, str] = _NOTHING,
        unknown: Mapping[str, str] = _NOTHING,
    ) -> None:
        self.columns = columns
        self.shards = shards
        self.committed = committed
        self.failed = failed
        self.unknown = unknown
        self._rows = rows
        self._close = close

    def shown_as(self, columns: tuple[ResultColumn, ...]) -> "QueryResult":
        """Return the rows that were not read yet, with other columns of the same kinds."""
        converters = [converter(column) for column in columns]
        return QueryResult(
            columns,
            (tuple([f(v) for f, v in zip(converters, row, strict=True)]) for row in self._rows),
            shards=self.shards,
            close=self.close,
        )

    @property
    def row_count(self) -> int:
        """Return how many rows a write counted on all shards; 0 for a SELECT."""
        return sum(self.committed.values())

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows that were not read yet; the result is closed at the end."""
        try:
            yield from self._rows
        finally:
            self.close()

    def all(self) -> list[Row]:
        """Return the rows that were not read yet."""
        return list(self)

    def one(self) -> Row:
        """Return the only row.

        Raises:
            UsageError: there is none, or more than one.
        """
        with self:
            first, second = next(self._rows, None), next(self._rows, None)
        if first is None or second is not None:
            found = "none" if first is None else "more"
            raise UsageError(
                f"one row was asked for, found {found}",
                next_step="iterate, or use all(), where the number of rows may differ",
            )
        return first

    def scalar(self) -> object:
        """Return the first column of the only row; raises as ``one`` does."""
        return self.one()[0]

    def close(self) -> None:
        """End what is still under way; a closed result has no rows left."""
        close, self._close = self._close, None
        self._rows = iter(())
        if close is not None:
            close()

    def __enter__(self) -> Self:
        """Return the result itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the result."""
        self.close()
