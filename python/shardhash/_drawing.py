"""Drawings of shares for notebooks: small inline SVG, which needs nothing and loads nothing.

Equal placements have equal drawings. What a name may contain cannot leave the drawing's text.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["range_drawing", "ring_drawing", "slot_drawing"]

_WIDTH, _LINE, _NAME_WIDTH, _BAR_WIDTH = 560, 20, 160, 240
_MOST_ROWS = 20
_MOST_PIECES = 400
_MOST_CHARACTERS = 24
_GOLDEN_ANGLE = 137.508
_POSITIONS = 2**32


class _Row(NamedTuple):
    """An owner with the size of its share, in any unit, and the text that tells it."""

    owner: str
    size: int
    text: str


class _Piece(NamedTuple):
    """A piece of the key space in its order: its owner's row, its size, and what it is."""

    row: int
    size: int
    text: str


def ring_drawing(
    title: str, nodes: Sequence[str], points: Iterable[int], owners: Iterable[int]
) -> str:
    """Draw the part of a ring's 2**32 positions that each node has.

    Args:
        title: the first line.
        nodes: their names.
        points: ascending positions; each owns what lies after the one before, and itself.
        owners: the node of each point.
    """
    ascending = list(points)
    counts = [0] * len(nodes)
    before = ascending[-1] - _POSITIONS if ascending else 0
    for point, owner in zip(ascending, owners, strict=True):
        counts[owner] += point - before
        before = point
    rows = [
        _Row(node, count, f"{count / _POSITIONS:.1%} of the positions")
        for node, count in zip(nodes, counts, strict=True)
    ]
    return _drawing(title, rows)


def slot_drawing(
    title: str, shards: Sequence[str], ranges: Sequence[Sequence[tuple[int, int]]]
) -> str:
    """Draw the slots of a map in their order, and how many each shard has.

    Args:
        title: the first line.
        shards: their names.
        ranges: the ranges ``[start, end)`` of slots of each shard.
    """
    counts = [sum(end - start for start, end in each) for each in ranges]
    rows = [
        _Row(shard, count, f"{count:,} slots, {count / sum(counts):.1%}")
        for shard, count in zip(shards, counts, strict=True)
    ]
    pieces = sorted(
        (start, _Piece(row, end - start, f"slots {start}-{end - 1}"))
        for row, each in enumerate(ranges)
        for start, end in each
    )
    return _drawing(title, rows, [piece for _, piece in pieces])


def range_drawing(
    title: str, shards: Sequence[str], owners: Sequence[int], bounds: Sequence[str]
) -> str:
    """Draw the ranges of a map in their order, all of one size, and how many each shard has.

    Args:
        title: the first line.
        shards: their names.
        owners: the shard of each range.
        bounds: the texts of the bounds between the ranges.
    """
    counts = [0] * len(shards)
    for owner in owners:
        counts[owner] += 1
    rows = [
        _Row(shard, count, f"{count:,} range{'s' if count > 1 else ''}")
        for shard, count in zip(shards, counts, strict=True)
    ]
    ends = ("", *bounds, "")
    pieces = [_Piece(owner, 1, f"[{ends[i]}, {ends[i + 1]})") for i, owner in enumerate(owners)]
    return _drawing(title, rows, pieces)


def _drawing(title: str, rows: Sequence[_Row], pieces: Sequence[_Piece] = ()) -> str:
    """Return an SVG element: the title, pieces side by side, and a bar for each owner.

    Of many owners the largest are drawn, with a line for the others; too many pieces are left out.
    """
    order = sorted(range(len(rows)), key=lambda i: -rows[i].size)[:_MOST_ROWS]
    lines = [_text(0, 14, title, weight="bold")]
    top = 24
    if 1 < len(pieces) <= _MOST_PIECES:
        lines += _strip(pieces, rows, top)
        top += _LINE + 6
    largest = max((row.size for row in rows), default=0) or 1
    for i in sorted(order):
        lines += _bar(rows[i], i, top, rows[i].size / largest)
        top += _LINE
    if left_out := len(rows) - len(order):
        lines.append(_text(0, top + 14, f"and {left_out:,} more with less"))
        top += _LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" width="{_WIDTH}" '
        f'height="{top}" role="img" aria-label="{_escaped(title)}" font-family="sans-serif" '
        f'font-size="12" fill="currentColor">{"".join(lines)}</svg>'
    )


def _strip(pieces: Sequence[_Piece], rows: Sequence[_Row], top: int) -> list[str]:
    scale = _WIDTH / sum(piece.size for piece in pieces)
    lines, start = [], 0
    for piece in pieces:
        about = f"{piece.text}: {rows[piece.row].owner}"
        lines.append(_box(start * scale, top, piece.size * scale, piece.row, about))
        start += piece.size
    return lines


def _bar(row: _Row, number: int, top: int, fraction: float) -> list[str]:
    name = row.owner
    if len(name) > _MOST_CHARACTERS:
        name = f"{name[: _MOST_CHARACTERS - 1]}…"
    return [
        # An element of its own, which cuts off what is too wide.
        f'<svg y="{top}" width="{_NAME_WIDTH - 8}" height="{_LINE}">{_text(0, 14, name)}</svg>',
        _box(_NAME_WIDTH, top, fraction * _BAR_WIDTH, number, f"{row.owner}: {row.text}"),
        _text(_NAME_WIDTH + _BAR_WIDTH + 8, top + 14, row.text),
    ]


def _box(left: float, top: int, width: float, number: int, about: str) -> str:
    hue = number * _GOLDEN_ANGLE % 360
    return (
        f'<rect x="{left:.1f}" y="{top + 3}" width="{width:.1f}" height="{_LINE - 6}" '
        f'fill="hsl({hue:.0f},55%,55%)"><title>{_escaped(about)}</title></rect>'
    )


def _text(left: int, baseline: int, text: str, *, weight: str = "normal") -> str:
    return f'<text x="{left}" y="{baseline}" font-weight="{weight}">{_escaped(text)}</text>'


def _escaped(text: str) -> str:
    """Return text for an element or an attribute: without markup and what has no picture."""
    shown = "".join(character if character.isprintable() else "�" for character in text)
    for character, entity in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot"), ("'", "#39")):
        shown = shown.replace(character, f"&{entity};")
    return shown
