"""Figures of the database's benchmarks, from the scripts that measure them to one table."""

import json
import platform
from pathlib import Path

from report import OURS, Figures, rounded, shown
from rows import database_rows

__all__ = ["OURS", "Figures", "write_figures"]


def write_figures(figures: Figures, path: Path | None) -> None:
    """Print figures, in the units of their rows, and write them to a file if there is one."""
    rows = {row.name: row for row in database_rows()}
    print(f"\n{platform.platform()}, Python {platform.python_version()}")
    for name, found in figures.items():
        row = rows[name]
        print(f"\n{row.title}")
        for contestant, figure in found.items():
            print(f"  {contestant:<40}{shown(figure):>12} {row.unit}")
    if path:
        kept = {
            name: {contestant: rounded(figure) for contestant, figure in found.items()}
            for name, found in figures.items()
        }
        path.write_text(json.dumps(kept, indent=1) + "\n")
