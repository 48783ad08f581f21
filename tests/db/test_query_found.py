"""Statements whose answer was wrong once, as drawn queries showed."""

import pytest

from hostile import hostile_twins

FOUND = [
    (
        "SELECT big, COUNT(DISTINCT customer_id), COUNT(DISTINCT amount) FROM orders GROUP BY big"
        " ORDER BY big"
    ),
    "SELECT COUNT(DISTINCT customer_id), COUNT(DISTINCT city) FROM orders",
    "SELECT COUNT(DISTINCT customer_id) FROM orders HAVING COUNT(DISTINCT city) > 1",
    "SELECT score, MAX(name) FROM customers GROUP BY score ORDER BY MAX(name) DESC, score",
    "SELECT MIN(name) FROM customers GROUP BY score ORDER BY 1, score",
    "SELECT small FROM orders GROUP BY small HAVING MAX(photo) IN (X'', X'61') ORDER BY small",
]


@pytest.fixture
def twins(backend):
    with hostile_twins(backend) as twins:
        yield twins


def test_statements_found_by_drawn_queries_are_right_or_refused(twins):
    wrong = [str(found) for found in map(twins.ask, FOUND) if found.verdict == "wrong"]

    assert not wrong, "\n".join(wrong)
