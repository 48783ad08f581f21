"""The shard keys of one table, read and placed in bulk."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from shardhash.db import sql
from shardhash.db.mapping import KeyRouter
from shardhash.db.planning.prune import KeyFacts
from shardhash.db.schema import Column, Table
from shardhash.db.topology import KeyType, RangeRule
from shardhash.errors import PreflightError
from shardhash.slots import SlotMap

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["KeyReader"]

_STREAMED_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class KeyReader:
    """Reads the shard keys of a table and says who owns them, by the client's own hash."""

    table: Table
    column: Column
    router: KeyRouter

    @property
    def type(self) -> KeyType:
        """Return the declared type of the key."""
        return self.router.mapping.key.type

    @property
    def expression(self) -> str:
        """Return SQL for the key in the form that ``owner`` takes."""
        return sql.distinct_key_expression(self.column, self.type, self.table.backend)

    def owner(self, key: Any) -> str | None:
        """Return the shard that owns a key as read, None for NULL."""
        return None if key is None else self.router.placement.lookup(self._decoded([key])[0])

    def foreign_slots(self, shard: str) -> tuple[str, list[tuple[int, int]]]:
        """Return SQL for a row's slot, and the slots of other shards as inclusive intervals."""
        placement = self.router.placement
        assert isinstance(placement, SlotMap), "pages are planned for slot mappings only"
        expression = sql.slot_expression(
            self.column, self.type, slot_count=placement.slot_count, backend=self.table.backend
        )
        own = placement.slots_of(shard) if shard in placement.shards else ()
        return expression, sql.intervals(
            slot for slot in range(placement.slot_count) if slot not in own
        )

    def foreign_keys(self, connection: "Connection", shard: str) -> list[Any]:
        """Return the distinct keys, as read, that belong to other shards than ``shard``."""
        return [
            key
            for keys, _, owners in self._placed(connection)
            for key, owner in zip(keys, owners, strict=True)
            if owner != shard
        ]

    def foreign_rows(
        self, connection: "Connection", shard: str, row_count: int
    ) -> list[tuple[tuple[Any, ...], Any, str]]:
        """Return (primary key, shard key, owner) of the first rows of other shards than ``shard``.

        Reads the table in the order of its primary key, up to the last of these rows.
        """
        placement = self.router.placement
        found: list[tuple[tuple[Any, ...], Any, str]] = []
        after = None
        while True:
            statement = sql.read_shard_keys(
                self.table, self.column, self.type, after, _STREAMED_ROWS
            )
            rows = connection.exec_driver_sql(
                statement.sql, statement.parameters or None
            ).fetchall()
            placed = [row for row in rows if row[-1] is not None]
            owners = placement.lookup_many(self._decoded([row[-1] for row in placed]))
            for row, index in zip(placed, owners, strict=True):
                if placement.owners[index] != shard:
                    found.append((tuple(row[:-2]), row[-2], placement.owners[index]))
            if len(rows) < _STREAMED_ROWS or len(found) >= row_count:
                return found[:row_count]
            after = tuple(rows[-1][:-2])

    def check(self, connection: "Connection") -> None:
        """Raise PreflightError where rows hold keys of another type, or no primary key."""
        self._check_keys(connection)
        self._check_primary_keys(connection)

    def facts(self, connection: "Connection", shard: str) -> KeyFacts:
        """Count rows and keys, own and foreign; reads every key of the table once.

        Raises:
            PreflightError: rows hold keys that are not of the declared type, or have NULL in
                their primary key.
        """
        self.check(connection)
        rows_by_owner: Counter[str] = Counter()
        key_count = foreign_keys = 0
        for keys, counts, owners in self._placed(connection):
            key_count += len(keys)
            for owner, count in zip(owners, counts, strict=True):
                rows_by_owner[owner] += count
                foreign_keys += owner != shard
        row_count = _number(connection, sql.count_rows(self.table))
        own = rows_by_owner.pop(shard, 0)
        return KeyFacts(
            row_count=row_count,
            key_count=key_count,
            foreign_keys=foreign_keys,
            null_keys=row_count - own - rows_by_owner.total(),
            folded_keys=self._folded(connection, key_count),
            owners=dict(rows_by_owner),
        )

    def _placed(self, connection: "Connection") -> Iterator[tuple[list[Any], list[int], list[str]]]:
        """Yield blocks of (keys as read, rows of each, owner of each); NULL is left out."""
        statement = sql.group_keys(self.table, self.column, self.type)
        result = connection.exec_driver_sql(
            statement.sql,
            statement.parameters or None,
            execution_options={"stream_results": True},
        )
        placement = self.router.placement
        for rows in result.partitions(_STREAMED_ROWS):
            keys = [row[0] for row in rows if row[0] is not None]
            counts = [row[1] for row in rows if row[0] is not None]
            owners = placement.lookup_many(self._decoded(keys))
            yield keys, counts, [placement.owners[index] for index in owners]

    def _decoded(self, keys: Sequence[Any]) -> Sequence[Any]:
        """Return keys as the placement takes them: ranges compare values, hashes take bytes."""
        if not isinstance(self.router.mapping.rule, RangeRule):
            return keys
        try:
            return [_DECODERS[self.type](key) for key in keys]
        except ValueError as error:
            raise PreflightError(
                f"{self.table.name} has a {self.column.name} that is no {self.type}, so no range "
                f"holds it: {error}",
                next_step=f"correct that value of {self.column.name}, then plan again",
            ) from error

    def _check_keys(self, connection: "Connection") -> None:
        statement = sql.unusable_keys(self.table, self.column, self.type)
        count = _number(connection, statement) if statement else 0
        if count:
            raise PreflightError(
                f"{count} rows of {self.table.name} hold a {self.column.name} that is no canonical "
                f"{self.type}: they would hash apart from the same key in the app",
                next_step=f"correct those values of {self.column.name}, then plan again",
            )

    def _check_primary_keys(self, connection: "Connection") -> None:
        statement = sql.null_primary_keys(self.table)
        count = _number(connection, statement) if statement else 0
        if count:
            raise PreflightError(
                f"{count} rows of {self.table.name} have NULL in their primary key "
                f"({', '.join(self.table.primary_key)}): no comparison finds them",
                next_step="give those rows a primary key, then plan again",
            )

    def _folded(self, connection: "Connection", key_count: int) -> int:
        if not self.column.is_text:
            return 0
        return key_count - _number(connection, sql.count_folded(self.table, self.column))


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)


_DECODERS: dict[KeyType, Any] = {
    KeyType.INT: int,
    KeyType.STR: _text,
    KeyType.UUID: _text,
    KeyType.BYTES: bytes,
    KeyType.UUID16: bytes,
    KeyType.DATE: lambda key: date.fromisoformat(_text(key)),
    KeyType.DATETIME: lambda key: datetime.fromisoformat(_text(key)),
}


def _number(connection: "Connection", statement: sql.Statement) -> int:
    return int(connection.exec_driver_sql(statement.sql, statement.parameters or None).scalar_one())
