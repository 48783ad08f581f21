"""Tables of plain text: the same on a terminal, in a file and in the manual."""

from collections.abc import Iterable, Sequence

from shardhash.cli._console import printable

__all__ = ["count", "table"]

Cell = str | int | float | None


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """Return aligned lines: a line of headings, then one line a row; numbers stand right.

    The last row may be a total: its cells align like all others.
    """
    cells = [list(row) for row in rows]
    texts = [list(headings), *([_text(cell) for cell in row] for row in cells)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    is_number = [
        bool(cells) and all(not isinstance(row[i], str) for row in cells)
        for i in range(len(headings))
    ]
    return [_line(row, widths, is_number) for row in texts]


def count(number: int, noun: str) -> str:
    """Return a number with its noun in the right form: ``1 row``, ``2,512 rows``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _line(row: Sequence[str], widths: Sequence[int], is_number: Sequence[bool]) -> str:
    padded = (
        text.rjust(width) if right else text.ljust(width)
        for text, width, right in zip(row, widths, is_number, strict=True)
    )
    return "  ".join(padded).rstrip()


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:,.3f}" if isinstance(cell, float) else printable(cell)
