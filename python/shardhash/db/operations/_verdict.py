"""The rows of one table on one shard, by where they belong. Nothing here writes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shardhash.db import sql
from shardhash.db.inspect import KeyReader
from shardhash.db.mapping import KeyRouter
from shardhash.db.operations._reader import FactReader
from shardhash.db.schema import Column, Table
from shardhash.db.sql import RowFilter
from shardhash.db.topology import Mapping as MappingRule
from shardhash.db.topology import RangeRule, RingRule, TableRule
from shardhash.slots import SlotSet

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["MisplacedRow", "TableVerdict", "key_text", "verdict"]

_LISTED_ROWS = 10

PrimaryKey = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MisplacedRow:
    """A row that its shard should not have: its primary key, its shard key and who owns it.

    ``slot`` or ``range_number`` is the place of the key in the mapping; a ring has neither.
    """

    primary_key: PrimaryKey
    key: Any
    owner: str
    slot: int | None = None
    range_number: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON values; keys become text."""
        return {
            "primary_key": [key_text(value) for value in self.primary_key],
            "key": key_text(self.key),
            "slot": self.slot,
            "range": self.range_number,
            "owner": self.owner,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TableVerdict:
    """The rows of one table on one shard, by where they belong.

    ``unowned`` are rows that the shard may hold while they move; ``misplaced`` counts, by owner,
    those that it should not have; ``no_key`` have no key and belong where they are.
    ``misplaced_rows`` are the first of those rows and ``no_key_rows`` the primary keys of the
    first of these, in the order of the primary key, ten at most each; none where a table has no
    primary key to name them by.
    """

    shard: str
    table: str
    rows: int
    owned: int
    unowned: int = 0
    no_key: int = 0
    misplaced: Mapping[str, int] = field(default_factory=dict)
    misplaced_rows: tuple[MisplacedRow, ...] = ()
    no_key_rows: tuple[PrimaryKey, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON values; keys become text."""
        return {
            "shard": self.shard,
            "table": self.table,
            "rows": self.rows,
            "owned": self.owned,
            "unowned": self.unowned,
            "no_key": self.no_key,
            "misplaced": dict(self.misplaced),
            "misplaced_rows": [row.to_json() for row in self.misplaced_rows],
            "no_key_rows": [[key_text(value) for value in key] for key in self.no_key_rows],
        }


def key_text(value: Any) -> str:
    """Return a value of a key as text: bytes in hexadecimal digits after 0x."""
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


def verdict(reader: FactReader, mapping: MappingRule, shard: str, rule: TableRule) -> TableVerdict:
    """Count the rows of a table by where they belong, and name the first that do not belong there.

    Raises:
        PreflightError: the server cannot place the rows, or their keys are of another type.
    """
    table = reader.table(shard, rule.name)
    column = table.column(rule.key)
    places = (_ByRing if isinstance(mapping.rule, RingRule) else _ByNumber)(
        mapping, table, column, shard
    )
    with reader.connections.write(shard) as connection:
        counts = places.counts(connection)
        strangers = {name: count for name, count in counts.items() if name not in ("", "?", shard)}
        can_name = bool(table.primary_key)
        return TableVerdict(
            shard=shard,
            table=rule.name,
            rows=counts.total(),
            owned=counts[shard],
            unowned=counts["?"],
            no_key=counts[""],
            misplaced={owner: count for owner, count in sorted(strangers.items()) if count},
            misplaced_rows=places.misplaced(connection) if strangers and can_name else (),
            no_key_rows=_no_key_rows(connection, table, column) if counts[""] and can_name else (),
        )


def _no_key_rows(connection: "Connection", table: Table, column: Column) -> tuple[PrimaryKey, ...]:
    statement = sql.first_without_key(table, column, _LISTED_ROWS)
    return tuple(_read(connection, statement))


@dataclass(frozen=True, slots=True)
class _ByNumber:
    """Places rows by their slot or range number, as the server computes it."""

    mapping: MappingRule
    table: Table
    column: Column
    shard: str

    @property
    def _unowned(self) -> SlotSet:
        return self.mapping.unowned.get(self.shard, SlotSet())

    def counts(self, connection: "Connection") -> Counter[str]:
        """Count rows by owner; "" has no key, "?" is on its way."""
        statement = sql.count_by_number(self.mapping, self.table, self.column)
        unowned, owners = self._unowned, self.mapping.owners
        counts: Counter[str] = Counter()
        for number, count in _read(connection, statement):
            if number is None:
                counts[""] += count
            else:
                counts["?" if int(number) in unowned else owners[int(number)]] += count
        return counts

    def misplaced(self, connection: "Connection") -> tuple[MisplacedRow, ...]:
        """Return the first rows of numbers that the shard should hold no rows of."""
        unowned, owners = self._unowned, self.mapping.owners
        numbers = [
            number
            for number, owner in enumerate(owners)
            if owner != self.shard and number not in unowned
        ]
        rows = RowFilter.of_mapping(self.mapping, self.column, numbers, self.table.backend)
        statement = sql.first_by_number(self.mapping, self.table, self.column, rows, _LISTED_ROWS)
        return tuple(
            self._row(primary_key, key, int(number))
            for *primary_key, key, number in _read(connection, statement)
        )

    def _row(self, primary_key: Sequence[Any], key: Any, number: int) -> MisplacedRow:
        name = "range_number" if isinstance(self.mapping.rule, RangeRule) else "slot"
        return MisplacedRow(
            primary_key=tuple(primary_key),
            key=key,
            owner=self.mapping.owners[number],
            **{name: number},
        )


@dataclass(frozen=True, slots=True)
class _ByRing:
    """Places rows by their keys, as the client hashes them: no server knows a ring."""

    mapping: MappingRule
    table: Table
    column: Column
    shard: str

    @property
    def _keys(self) -> KeyReader:
        return KeyReader(self.table, self.column, KeyRouter.from_mapping(self.mapping))

    def counts(self, connection: "Connection") -> Counter[str]:
        """Count rows by owner; "" has no key."""
        facts = self._keys.facts(connection, self.shard)
        own = facts.row_count - facts.null_keys - facts.foreign_rows
        return Counter({**facts.owners, self.shard: own, "": facts.null_keys})

    def misplaced(self, connection: "Connection") -> tuple[MisplacedRow, ...]:
        """Return the first rows whose owner is another shard."""
        found = self._keys.foreign_rows(connection, self.shard, _LISTED_ROWS)
        return tuple(
            MisplacedRow(primary_key=primary_key, key=key, owner=owner)
            for primary_key, key, owner in found
        )


def _read(connection: "Connection", statement: sql.Statement) -> list[PrimaryKey]:
    found = connection.exec_driver_sql(statement.sql, statement.parameters or None)
    return [tuple(row) for row in found]
