"""Answers while a shard is split: before, within and after every step, those of one database."""

import pytest

from hostile import hostile_twins
from shardhash.db import Cluster
from shardhash.testing import Twins, Verdict

MAX_AGE_S = 0.05
AGGREGATES = [
    "SELECT COUNT(*), COUNT(DISTINCT customer_id), SUM(small), AVG(small), MAX(amount) FROM orders",
    "SELECT big, COUNT(*), MIN(order_id) FROM orders GROUP BY big ORDER BY big",
    "SELECT DISTINCT small FROM orders ORDER BY small",
    "SELECT customer_id, order_id FROM orders ORDER BY order_id, customer_id LIMIT 20 OFFSET 5",
    "SELECT COUNT(*), SUM(a.small) FROM orders a JOIN customers b ON a.customer_id = b.customer_id",
    "SELECT COUNT(*), COUNT(customer) FROM notes",
    "SELECT COUNT(*) FROM orders WHERE customer_id IN (1, 2, 3, 4, 5)",
    "SELECT COUNT(*) FROM orders WHERE customer_id = 7",
]


class Watcher:
    """Asks at each sign of progress, by the newest map and by one that is a step behind."""

    def __init__(self, twins: Twins, behind: Twins) -> None:
        self.steps: list[str] = []
        self.wrong: list[str] = []
        self._twins = twins
        self._behind = behind
        self._drawn = twins.grammar(seed=3)
        self._phase = 0

    def __call__(self, progress) -> None:
        self._twins.cluster.refresh()
        self.check(f"{progress.phase}/{progress.phases} {progress.title}")
        if progress.phase != self._phase:
            self._phase = progress.phase
            self._behind.cluster.refresh()  # who reads by an older map was to have heard by now

    def check(self, when: str) -> None:
        self.steps.append(when)
        for sql in AGGREGATES:
            for twins in (self._twins, self._behind):
                self._note(when, twins.ask(sql), {Verdict.SAME})
        for query in self._drawn.queries(6):
            found = self._twins.ask(
                query.sql, query.parameters, is_ordered=query.is_ordered, folds=query.folds
            )
            self._note(when, found, {Verdict.SAME, Verdict.REFUSED, Verdict.BOTH_FAILED})

    def _note(self, when, found, allowed) -> None:
        if found.verdict not in allowed:
            self.wrong.append(f"{when}: {found}")


@pytest.fixture
def twins(backend):
    with hostile_twins(backend, max_age_s=MAX_AGE_S) as twins:
        yield twins


@pytest.fixture
def behind(twins, backend):
    path = backend.directory / "shardhash.yaml"
    with Cluster.open(path, refresh_s=3600) as cluster:
        yield Twins(cluster, "whole", float_tolerance=0.0)


def test_aggregates_are_right_before_within_and_after_every_step_of_a_split(twins, behind):
    watcher = Watcher(twins, behind)
    watcher.check("before")
    operations = twins.cluster.operations
    plan = operations.plan_split("s2", "s5", mapping="by_customer", app_stopped=True)

    report = operations.apply(plan, progress=watcher)
    twins.cluster.refresh()
    behind.cluster.refresh()
    watcher.check("after")

    assert not watcher.wrong, "\n".join(watcher.wrong[:5])
    assert {step.split("/")[0] for step in watcher.steps} >= {
        str(number + 1) for number in range(len(plan.steps))
    }
    assert report.rows["orders"].deleted > 0
    twins.assert_placement()
