"""Print the table of a run, or publish it: `report.py RUN.json [--publish]`.

RUN.json is what pytest-benchmark wrote. Published are the figures as benchmarks/latest.json, the
table in README.md beside this file, and the picture that the README of the project shows; the last
two follow from the first, to the byte.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from math import isinf
from pathlib import Path
from typing import Any

from rows import ROWS, SCALES, Row

HERE = Path(__file__).parent
LATEST = HERE / "latest.json"
README = HERE / "README.md"
PICTURE = HERE.parent / "docs" / "benchmarks.svg"
MARKS = ("<!-- table -->\n", "<!-- end of table -->\n")

OURS = "shardhash"
COLUMNS = ("what", OURS, "in cache", "spread", "peers", "target", "result")

Figures = dict[str, dict[str, float]]
"""Row -> contestant -> figure in the row's unit. Those for keys in the cache have " cached" after
the name; our `" spread"` is the distance of the quartiles over the median."""


def summary(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a run: where and when it was, and its figures."""
    machine = run["machine_info"]
    return {
        "machine": f"{machine['cpu'].get('brand_raw', machine['machine'])}, "
        f"{machine['cpu'].get('count', '?')} cores",
        "system": f"{machine['system']} {machine['machine']}",
        "python": machine["python_version"],
        "date": run["datetime"][:10],
        "commit": run["commit_info"]["id"][:10],
        "figures": figures_of(run["benchmarks"]),
    }


def figures_of(benchmarks: list[dict[str, Any]]) -> Figures:
    units = {row.name: row.unit for row in ROWS}
    figures: Figures = {row.name: {} for row in ROWS}
    for benchmark in benchmarks:
        info = benchmark["extra_info"]
        row = figures[info["row"]]
        if "figures" in info:
            row |= {name: rounded(figure) for name, figure in info["figures"].items()}
            continue
        stats = benchmark["stats"]
        contestant = f"{info['contestant']} cached" if info["cached"] else info["contestant"]
        scale = SCALES[units[info["row"]]] * info["count"]
        row[contestant] = rounded(stats["median"] / scale)
        if contestant == OURS:
            row[f"{OURS} spread"] = rounded(stats["iqr"] / stats["median"])
    return figures


def rounded(figure: float) -> float:
    """Return a figure with as many digits as it deserves."""
    return float(f"{figure:.3g}")


def shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def ratios(row: Row, figures: Mapping[str, float]) -> dict[str, float]:
    """Return how many times better than each peer's our figure is; all for keys streamed."""
    return {
        peer: figures[OURS] / figure if row.more_is_better else figure / figures[OURS]
        for peer, figure in figures.items()
        if not peer.startswith(OURS) and not peer.endswith(" cached")
    }


def target(row: Row) -> str:
    wanted = [f">= {shown(ratio)}x {peer}" for peer, ratio in row.ratios.items()]
    if isinf(row.most):
        return "; ".join(wanted) or "none"
    bound = f"{'>=' if row.more_is_better else '<='} {shown(row.most)} {row.unit}"
    return "; ".join([*wanted, f"({bound})" if wanted else bound])


def is_within(row: Row, figure: float) -> bool:
    return figure >= row.most if row.more_is_better else figure <= row.most


def result(row: Row, figures: Mapping[str, float]) -> str:
    """Return met, or missed and by how much; a ratio to a peer that is not here is left open.

    Where no peer is here that a ratio is wanted to, the bound on our own figure counts.
    """
    if OURS not in figures:
        return "not measured"
    if isinf(row.most) and not row.ratios:
        return "reported"
    found = ratios(row, figures)
    missed = [
        f"{shown(found[peer])}x {peer} for {shown(wanted)}x"
        for peer, wanted in row.ratios.items()
        if peer in found and found[peer] < wanted
    ]
    absent = [peer for peer in row.ratios if peer not in found]
    if len(absent) == len(row.ratios) and not is_within(row, figures[OURS]):
        missed = [f"{shown(figures[OURS])} for {shown(row.most)}"]
    if missed:
        return f"missed: {', '.join(missed)}"
    return f"met ({', '.join(absent)} not here)" if absent else "met"


def lines(figures: Figures, rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        found = figures.get(row.name, {})
        peers = [
            f"{peer} {shown(found[peer])} ({shown(ratio)}x)"
            for peer, ratio in (ratios(row, found) if OURS in found else {}).items()
        ]
        yield (
            row.title,
            f"{shown(found[OURS])} {row.unit}" if OURS in found else "",
            shown(found[f"{OURS} cached"]) if f"{OURS} cached" in found else "",
            f"{found[f'{OURS} spread']:.0%}" if f"{OURS} spread" in found else "",
            "; ".join(peers),
            target(row),
            result(row, found),
        )


def heading(kept: Mapping[str, Any]) -> str:
    return (
        f"{kept['machine']}, {kept['system']}, Python {kept['python']}, {kept['date']}, "
        f"commit {kept['commit']}"
    )


def as_text(kept: Mapping[str, Any], rows: Sequence[Row] = ROWS) -> str:
    table = [COLUMNS, *lines(kept["figures"], rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(COLUMNS))]
    text = [heading(kept), ""]
    for line in table:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        text.append("  ".join(cells).rstrip())
    return "\n".join(text) + "\n"


def as_markdown(kept: Mapping[str, Any], rows: Sequence[Row] = ROWS) -> str:
    table = [COLUMNS, ("---",) * len(COLUMNS), *lines(kept["figures"], rows)]
    rows = "".join(f"| {' | '.join(line)} |\n" for line in table)
    return f"{heading(kept)}\n\n{rows}"


def with_table(
    readme: str,
    kept: Mapping[str, Any],
    rows: Sequence[Row] = ROWS,
    marks: tuple[str, str] = MARKS,
) -> str:
    """Return the text of README.md with another table between its marks."""
    before, rest = readme.split(marks[0])
    after = rest.split(marks[1])[1]
    return f"{before}{marks[0]}\n{as_markdown(kept, rows)}\n{marks[1]}{after}"


def publish(kept: Mapping[str, Any]) -> None:
    from picture import drawn

    LATEST.write_text(json.dumps(kept, indent=1) + "\n")
    README.write_text(with_table(README.read_text(), kept))
    PICTURE.write_text(drawn(kept))


def main(arguments: list[str]) -> int:
    """Print the table of a run, and publish it if asked to."""
    paths = [argument for argument in arguments if argument != "--publish"]
    if len(paths) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    kept = summary(json.loads(Path(paths[0]).read_text()))
    print(as_text(kept))
    if "--publish" in arguments:
        publish(kept)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
