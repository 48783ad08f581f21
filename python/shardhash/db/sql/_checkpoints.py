"""Statements on the control tables that tell how far a copy or a prune is."""

from collections.abc import Sequence

from shardhash.db.sql._control import ControlPlace, control_table, lock_words
from shardhash.db.sql._text import Statement, placeholder

__all__ = [
    "add_pages",
    "drop_checkpoint",
    "drop_pages",
    "drop_records",
    "mark_pruned",
    "read_checkpoint",
    "read_pages",
    "read_pruned",
    "save_checkpoint",
]

_CHECKPOINT = ("operation", "table_name", "last_key", "row_count", "is_done")
_PAGE = (
    *("operation", "table_name", "number", "after_key", "until_key"),
    *("row_count", "checksum", "is_pruned"),
)


def read_checkpoint(
    place: ControlPlace, operation: str, table: str, *, lock: str = ""
) -> Statement:
    """Return a SELECT of (last key, row count, done) of the copy of a table.

    With the `lock` ``exclusive`` it waits for a batch that is still being committed.
    """
    return Statement(
        f"SELECT last_key, row_count, is_done FROM {_copies(place)} WHERE {_of_table(place)}"
        f"{lock_words(place, lock)}",
        (operation, table),
    )


def save_checkpoint(
    place: ControlPlace, operation: str, table: str, values: Sequence[object]
) -> Statement:
    """Return what saves (last key, row count, done) of the copy of a table."""
    return _write("REPLACE", place, _copies(place), _CHECKPOINT,
                  [(operation, table, *values)])  # fmt: skip


def drop_checkpoint(place: ControlPlace, operation: str, table: str) -> Statement:
    """Return a DELETE of the checkpoint of a table."""
    return Statement(f"DELETE FROM {_copies(place)} WHERE {_of_table(place)}", (operation, table))


def add_pages(
    place: ControlPlace, operation: str, table: str, pages: Sequence[Sequence[object]]
) -> Statement:
    """Return what saves pages: number, after, until, row count, checksum, pruned."""
    rows = [(operation, table, *page) for page in pages]
    return _write("REPLACE", place, _pages(place), _PAGE, rows)


def read_pages(place: ControlPlace, operation: str, table: str) -> Statement:
    """Return a SELECT of all pages of a table, as ``add_pages`` takes them, by number."""
    return Statement(
        f"SELECT {', '.join(_PAGE[2:])} FROM {_pages(place)} "
        f"WHERE {_of_table(place)} ORDER BY number",
        (operation, table),
    )


def mark_pruned(place: ControlPlace, operation: str, table: str, number: int) -> Statement:
    """Return an UPDATE that says of a page that its rows are deleted."""
    return Statement(
        f"UPDATE {_pages(place)} SET is_pruned = 1 WHERE {_of_table(place)} AND number = {number}",
        (operation, table),
    )


def read_pruned(place: ControlPlace, operation: str, table: str, number: int) -> Statement:
    """Return a SELECT that tells whether a page's rows are deleted, and locks that record.

    So it waits for a batch that deletes them, and is still being committed.
    """
    return Statement(
        f"SELECT is_pruned FROM {_pages(place)} WHERE {_of_table(place)} AND number = {number}"
        f"{lock_words(place, 'exclusive')}",
        (operation, table),
    )


def drop_pages(place: ControlPlace, operation: str, table: str) -> Statement:
    """Return a DELETE of all pages of a table."""
    return Statement(f"DELETE FROM {_pages(place)} WHERE {_of_table(place)}", (operation, table))


def drop_records(place: ControlPlace, operation: str) -> list[Statement]:
    """Return DELETEs of all checkpoints and pages of an operation, of each of its transfers too.

    What a transfer records stands under ``operation:target``.
    """
    hole = placeholder(place.backend)
    head = f"{operation}:"
    condition = f"operation = {hole} OR SUBSTR(operation, 1, {len(head)}) = {hole}"
    return [
        Statement(f"DELETE FROM {table} WHERE {condition}", (operation, head))
        for table in (_copies(place), _pages(place))
    ]


def _copies(place: ControlPlace) -> str:
    return control_table(place, "_shardhash_copies")


def _pages(place: ControlPlace) -> str:
    return control_table(place, "_shardhash_pages")


def _of_table(place: ControlPlace) -> str:
    hole = placeholder(place.backend)
    return f"operation = {hole} AND table_name = {hole}"


def _write(
    verb: str,
    place: ControlPlace,
    path: str,
    names: Sequence[str],
    rows: Sequence[Sequence[object]],
) -> Statement:
    row = f"({', '.join([placeholder(place.backend)] * len(names))})"
    return Statement(
        f"{verb} INTO {path} ({', '.join(names)}) VALUES {', '.join([row] * len(rows))}",
        tuple(value for each in rows for value in each),
    )
