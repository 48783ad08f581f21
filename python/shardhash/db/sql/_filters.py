"""Which rows of a table an operation is about, as one SQL condition."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from shardhash.db.schema import Column
from shardhash.db.sql._guards import number_expression
from shardhash.db.sql._keys import intervals, slot_expression, slot_in
from shardhash.db.topology import Backend, KeyType, Mapping

__all__ = ["RowFilter"]


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Rows that a condition picks; the same rows of every table of equal schema.

    Rows whose shard key is NULL are in no slot, so only ``all_rows`` has them.
    """

    condition: str = ""
    parameters: tuple[object, ...] = field(default=(), repr=False)

    @classmethod
    def all_rows(cls) -> Self:
        """Return the filter that leaves nothing out."""
        return cls()

    @classmethod
    def of_slots(
        cls,
        column: Column,
        key_type: KeyType,
        slots: Iterable[int],
        *,
        slot_count: int,
        backend: Backend,
    ) -> Self:
        """Return the filter for the rows of ascending ``slots``.

        Raises:
            PreflightError: the server cannot compute slots of that column.
        """
        slot = slot_expression(column, key_type, slot_count=slot_count, backend=backend)
        return cls(*slot_in(slot, intervals(slots), backend))

    @classmethod
    def of_mapping(
        cls,
        mapping: Mapping,
        column: Column,
        numbers: Iterable[int],
        backend: Backend,
        *,
        row: str = "",
    ) -> Self:
        """Return the filter for the rows of ascending slots, or range numbers, of a mapping.

        ``row`` is what stands before the column's name, such as ``"c."``.

        Raises:
            PreflightError: the server cannot compute the number of a row.
        """
        number = number_expression(mapping, column, backend, row=row)
        return cls(*slot_in(number, intervals(numbers), backend))

    def within(
        self, condition: str, parameters: tuple[object, ...]
    ) -> tuple[str, tuple[object, ...]]:
        """Return another condition and this one, as one."""
        if not self.condition:
            return condition, parameters
        return f"{condition} AND {self.condition}", (*parameters, *self.parameters)
