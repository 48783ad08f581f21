"""The picture of the latest figures that the README shows, as SVG; a function of them alone."""

from collections.abc import Iterator, Mapping
from math import log10
from typing import Any
from xml.sax.saxutils import escape

from rows import ROWS, SCALES

__all__ = ["drawn"]

SHOWN = (
    "scalar-ring-100",
    "scalar-replicas",
    "scalar-redis",
    "bulk-list-ring-100",
    "bulk-int-slot",
    "bulk-arrow-ring-100",
    "change-100",
    "build-1000",
)
OURS = "shardhash"
WIDTH, LEFT, BAR, GAP, TOP = 720, 300, 14, 16, 64
LENGTH = WIDTH - LEFT - 90
SHORTEST = 1e-9

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2933 }
.head { font-size: 15px; font-weight: 600 }
.row { font-weight: 600 }
.note { fill: #616e7c }
.ours { fill: #0b7285 }
.peer { fill: #ced4da }
.back { fill: #ffffff }
"""


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def time_text(figure: float, unit: str) -> str:
    """Return a time in the unit that leaves it the fewest digits."""
    seconds = figure * SCALES[unit]
    name, size = next((name, size) for name, size in SCALES.items() if seconds < size * 1e3)
    return f"{seconds / size:.3g} {name}"


def bars(y: float, figures: Mapping[str, float], unit: str, longest: float) -> Iterator[str]:
    """Draw one bar for each contestant, ours first; its length is the logarithm of the time."""
    contestants = sorted(figures, key=lambda name: (name != OURS, figures[name]))
    for name in contestants:
        seconds = figures[name] * SCALES[unit]
        length = LENGTH * log10(seconds / SHORTEST) / log10(longest / SHORTEST)
        kind = "ours" if name == OURS else "peer"
        yield text(LEFT - 8, y + 11, name, "" if name == OURS else "note", "end")
        yield f'<rect class="{kind}" x="{LEFT}" y="{y:g}" width="{length:.1f}" height="{BAR - 2}"/>'
        yield text(LEFT + length + 6, y + 11, time_text(figures[name], unit))
        y += BAR


def drawn(kept: Mapping[str, Any]) -> str:
    """Return the picture of a summary that `report.py` keeps."""
    rows = {row.name: row for row in ROWS}
    figures: dict[str, dict[str, float]] = {
        name: {
            contestant: figure
            for contestant, figure in kept["figures"][name].items()
            if not contestant.endswith((" cached", " spread"))
        }
        for name in SHOWN
        if OURS in kept["figures"][name]
    }
    longest = max(
        figure * SCALES[rows[name].unit] for name in figures for figure in figures[name].values()
    )
    parts = [
        text(
            16,
            24,
            "Time of one key, or of one ring: shorter is better, on a logarithmic scale",
            "head",
        ),
        text(16, 44, f"{kept['machine']}, Python {kept['python']}, one thread, CPU time", "note"),
    ]
    y = TOP
    for name, found in figures.items():
        parts.append(text(16, y + 11, rows[name].title, "row"))
        y += BAR + 2
        parts += bars(y, found, rows[name].unit, longest)
        y += BAR * len(found) + GAP
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
        f'viewBox="0 0 {WIDTH} {y}" role="img">\n<title>shardhash beside other packages</title>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="back" width="{WIDTH}" height="{y}"/>\n{body}\n</svg>\n'
    )
