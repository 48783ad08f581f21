"""What is published of the benchmarks follows from the figures that are kept."""

import json
import re
from math import inf
from pathlib import Path

import pytest

import database
import report
from picture import drawn
from rows import ROWS, Row, database_rows

ROOT = Path(__file__).parents[1]
KEPT = json.loads(report.LATEST.read_text())


def test_table_in_the_readme_is_that_of_the_latest_figures() -> None:
    assert report.with_table(report.README.read_text(), KEPT) == report.README.read_text()


def test_database_table_in_the_readme_is_that_of_its_latest_figures() -> None:
    kept = json.loads(database.LATEST.read_text())
    readme = report.README.read_text()

    rows = database_rows(kept["rows"])
    assert report.with_table(readme, kept, rows, database.MARKS) == readme


def test_every_figure_of_the_database_has_a_row() -> None:
    kept = json.loads(database.LATEST.read_text())

    assert set(kept["figures"]) <= {row.name for row in database_rows()}


def test_picture_is_that_of_the_latest_figures() -> None:
    assert report.PICTURE.read_text() == drawn(KEPT)


def test_every_row_has_a_figure_of_ours() -> None:
    assert [row.name for row in ROWS if "shardhash" not in KEPT["figures"][row.name]] == []


def test_every_script_of_the_table_has_its_question_in_the_readme() -> None:
    named = set(re.findall(r"^\| `(bench_\w+\.py)` \|", report.README.read_text(), re.MULTILINE))
    scripts = (ROOT / "benchmarks").glob("bench_*.py")

    assert named >= {path.name for path in scripts if "import contest" in path.read_text()}


ROW = Row("r", "title", "ns", 10, {"peer": 3})
MORE = Row("r", "title", "x", 1.8, {"peer": 0.9}, more_is_better=True)
TIMED = {
    "extra_info": {"row": ROWS[0].name, "contestant": "shardhash", "count": 1000, "cached": False},
    "stats": {"median": 31.5e-6, "iqr": 0.63e-6},
}


def test_figure_is_the_median_of_one_key_in_the_unit_of_the_row() -> None:
    figures = report.figures_of([TIMED])

    assert figures[ROWS[0].name] == {"shardhash": 31.5, "shardhash spread": 0.02}


@pytest.mark.parametrize(
    ("row", "figures", "told"),
    [
        (ROW, {"shardhash": 10.0, "peer": 30.0}, "met"),
        (ROW, {"shardhash": 10.0, "peer": 29.0}, "missed: 2.9x peer for 3x"),
        (ROW, {"shardhash": 10.0}, "met (peer not here)"),
        (ROW, {"shardhash": 11.0}, "missed: 11 for 10"),
        (ROW, {"peer": 30.0}, "not measured"),
        (ROW, {"shardhash": 10.0, "peer cached": 1.0, "peer": 30.0}, "met"),
        (Row("r", "title", "ns", 10), {"shardhash": 10.0}, "met"),
        (Row("r", "title", "ns", 10), {"shardhash": 11.0}, "missed: 11 for 10"),
        (Row("r", "title", "x", 1.8, more_is_better=True), {"shardhash": 1.9}, "met"),
        (Row("r", "t", "x", 1.8, more_is_better=True), {"shardhash": 1.7}, "missed: 1.7 for 1.8"),
        (MORE, {"shardhash": 1.5, "peer": 1.6}, "met"),
        (MORE, {"shardhash": 1.4, "peer": 1.6}, "missed: 0.875x peer for 0.9x"),
        (Row("r", "t", "x", inf), {"shardhash": 1.4, "peer": 1.6}, "reported"),
        (
            Row("r", "t", "s", inf, {"peer": 3}),
            {"shardhash": 1.0, "peer": 2.0},
            "missed: 2x peer for 3x",
        ),
    ],
)
def test_result_tells_met_or_by_how_much_not(
    row: Row, figures: dict[str, float], told: str
) -> None:
    assert report.result(row, figures) == told
