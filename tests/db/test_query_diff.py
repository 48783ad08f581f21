"""A drawn set of what ``make query-diff`` asks: right, or refused."""

from hostile import hostile_twins
from query_diff import MOST_REFUSED
from shardhash.testing import check_drawn

QUERY_COUNT = 700


def test_drawn_queries_are_answered_as_one_database_does_or_refused(backend):
    with hostile_twins(backend) as twins:
        report = check_drawn(twins, count=QUERY_COUNT, seed=4)

    assert report.wrong_count == 0, str(report)
    assert report.supported.refused_share < MOST_REFUSED, str(report)
