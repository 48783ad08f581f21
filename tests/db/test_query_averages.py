"""Averages and quotients: where MariaDB rounds them, and where its plan decides."""

from decimal import Decimal

import pytest

from server_software import mariadb_only
from servers import MySQLFleet
from shardhash.db import Cluster
from shardhash.errors import QueryRefusedError

STATEMENTS = [
    "SELECT g, AVG(n), SUM(n) / COUNT(*) FROM t GROUP BY g ORDER BY g",
    "SELECT g FROM t GROUP BY g HAVING AVG(n) > 1.66668 ORDER BY g",
    "SELECT g FROM t GROUP BY g HAVING AVG(n) = 1.6667 ORDER BY g",
    "SELECT g FROM t GROUP BY g HAVING SUM(n) / COUNT(*) > 1.66668 ORDER BY g",
    "SELECT g FROM t GROUP BY g HAVING SUM(n) > 1.66668 * COUNT(*) ORDER BY g",
    "SELECT g FROM t WHERE g <> 2 GROUP BY g ORDER BY AVG(n), g DESC",
    "SELECT g FROM t WHERE g <> 2 GROUP BY g ORDER BY SUM(n) / COUNT(*), g DESC",
    "SELECT g FROM t WHERE g <> 2 GROUP BY g ORDER BY SUM(n) / COUNT(*) * 100000, g DESC",
    "SELECT g, SUM(n) / COUNT(*) * 100000, -SUM(n) / 3, ABS(SUM(n) / -7) FROM t GROUP BY g",
    "SELECT g, SUM(n) / COUNT(*) > 1.66668, SUM(n) / COUNT(*) = 1.6667 FROM t GROUP BY g",
    "SELECT SUM(n) / 7 / 7 / 7, SUM(n) / 7 * 7, SUM(n) DIV 7, SUM(n) % 7 FROM t",
    "SELECT SUM(d) / 3, AVG(d), SUM(d) / SUM(n), SUM(d * d) / 9, AVG(d * 1.00001) FROM t",
    "SELECT ROUND(SUM(d) / 3, 1), FLOOR(SUM(d)), CEIL(SUM(d)), ROUND(SUM(d), -2) FROM t",
    "SELECT COALESCE(SUM(d), 0) / 7, IFNULL(SUM(n), 0), NULLIF(COUNT(*), 0) FROM t",
    "SELECT CASE WHEN SUM(n) > 5 THEN SUM(d) / 3 ELSE 0 END, IF(SUM(d) IS NULL, 1, 2) FROM t",
    "SELECT SUM(n) / 0, SUM(d) BETWEEN 1 AND 2, COUNT(*) IN (1, 2, NULL), NOT SUM(n) FROM t",
]


@pytest.fixture
def fleet(mysql_fleet: MySQLFleet) -> MySQLFleet:
    table = "CREATE TABLE t (g INT, k INT NOT NULL, n INT, d DECIMAL(9,3))"
    for shard in ("s1", "s2", "whole"):
        mysql_fleet.add(shard)
        mysql_fleet.sql(shard, table)
    rows = [(1, 1), (1, 2), (1, 2), (2, 5), (2, 5), (2, 5)]
    rows += [(3, 2 if number < 6667 else 1) for number in range(10_000)]
    for number, (g, n) in enumerate(rows):
        place = "s1" if number % 2 else "s2"
        rows[number] = (g, n, place, Decimal(number * 7 % 1009) / 1000)  # type: ignore[call-overload]
    for shard in ("s1", "s2", "whole"):
        connection = mysql_fleet.connect(shard)
        connection.cursor().executemany(
            "INSERT INTO t VALUES (%s, %s, %s, %s)",
            [(g, n, n, d) for g, n, place, d in rows if shard in (place, "whole")],  # type: ignore[misc]
        )
        connection.close()
    return mysql_fleet


@pytest.fixture
def cluster(fleet: MySQLFleet) -> Cluster:
    mapping = {"key": {"column": "k", "type": "int"}, "tables": ["t"],
               "slots": {"count": 16, "owners": {"s1": "0-7", "s2": "8-15"}}}  # fmt: skip
    return Cluster.open(str(fleet.write_config({"by_k": mapping})))


@mariadb_only("the rule by which quotients inside an expression are rounded (docs/limits.md)")
def test_quotients_are_rounded_where_the_server_rounds_them(
    fleet: MySQLFleet, cluster: Cluster
) -> None:
    for statement in STATEMENTS:
        found = cluster.query(statement, shards=["s1", "s2"]).all()
        expected = fleet.sql("whole", statement)

        assert sorted(map(repr, found)) == sorted(map(repr, expected)), statement
        if "ORDER BY" in statement:
            assert found == expected, statement


def test_average_inside_an_expression_is_refused_where_rounding_matters(
    cluster: Cluster,
) -> None:
    both = ["s1", "s2"]

    with pytest.raises(QueryRefusedError, match="depends on the server's plan"):
        cluster.query("SELECT AVG(n) * 100000 FROM t WHERE g = 1", shards=both)
    assert cluster.query("SELECT AVG(n) * 100 FROM t WHERE g = 2", shards=both).all() == [
        (Decimal("500.0000"),)
    ]
