"""A quarantined prune keeps what it deletes, and its undo puts the rows back as they were."""

import pytest

from pruning import by_key, fill, make_shards, owner_by_zlib
from shardhash.db import Cluster


@pytest.mark.parametrize("using", ["keys", "pages"])
def test_a_quarantined_prune_is_undone(backend, using):
    make_shards(backend, "CREATE TABLE orders (id INT, part INT, k INT, x VARCHAR(9), "
                "PRIMARY KEY (id, part))")  # fmt: skip
    rows = [(number, -number, number, f"x{number}") for number in range(30)]
    fill(backend, rows)

    with Cluster.open(str(backend.write_config(by_key()))) as cluster:
        operations = cluster.operations
        plan = operations.plan_prune("s1", using=using, quarantine=True)
        report = operations.apply(plan)

        left = backend.sql("s1", "SELECT * FROM orders ORDER BY id")
        assert left == [row for row in rows if owner_by_zlib(row[2]) == "s1"]
        assert report.deleted == len(rows) - len(left)

        operations.undo(report.id)
    assert backend.sql("s1", "SELECT * FROM orders ORDER BY id") == rows
