"""Answers of shards against one database with the same rows, statement by statement."""

import datetime
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import servers
from query_cases import SHARDS, Pair, insert_rows, make_pair, owner
from server_software import is_mysql
from shardhash.db import Cluster
from shardhash.errors import MemoryCapError, QueryRefusedError, UsageError

QUERIES = Path(__file__).with_name("queries.txt").read_text().splitlines()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("mysql", marks=pytest.mark.server)])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("query")
    if request.param == "sqlite":
        yield make_pair(servers.SQLiteFleet(directory))
        return
    server = request.getfixturevalue("mariadb")
    fleet = servers.MySQLFleet(directory, servers={"a": server})
    made = make_pair(fleet)
    yield made
    made.cluster.close()
    fleet.drop()


def cases() -> Iterator[Any]:
    for line in QUERIES:
        if not line or line.startswith("#"):
            continue
        first, _, rest = line.partition(": ")
        only = first if first in ("mysql", "sqlite") else ""
        kind, _, statement = (rest if only else line).partition(": ")
        yield pytest.param(only, kind, statement, id=f"{only}{statement}")


NESTED_QUOTIENT = "SELECT SUM(price) / SUM(qty), SUM(price) / COUNT(price) / 3 FROM items"


@pytest.mark.parametrize(("only", "kind", "statement"), list(cases()))
def test_answer_is_that_of_one_database(pair: Pair, only: str, kind: str, statement: str) -> None:
    if only and pair.fleet.kind != only:
        pytest.skip("the other backend has no such function")
    if pair.fleet.kind == "mysql" and is_mysql() and statement == NESTED_QUOTIENT:
        pytest.skip("mariadb only: the rule by which nested quotients are rounded")

    assert pair.check(statement, ordered="ORDER BY" in statement) == kind


@pytest.mark.parametrize(
    ("statement", "params", "kind"),
    [
        ("SELECT * FROM orders WHERE k = %s ORDER BY id", (7,), "one shard"),
        ("SELECT * FROM orders WHERE k = %(k)s AND id > %(id)s ORDER BY id",
         {"k": 7, "id": 3}, "one shard"),
        ("SELECT COUNT(*) FROM orders WHERE n = %s", (None,), "reduce"),
        ("SELECT COUNT(*) FROM orders WHERE k = %s", (None,), "one shard"),
        ("SELECT COUNT(*) FROM orders WHERE k = %s", ("7",), "one shard"),
        ("SELECT COUNT(*) FROM orders WHERE k IN (%s, %s, %s)", (7, 12, 20), "reduce"),
        ("SELECT n + %s AS m, SUM(id) FROM orders GROUP BY m ORDER BY m", (2,), "reduce"),
        ("SELECT SUM(n) * %s FROM orders WHERE day >= %s", (3, datetime.date(2026, 1, 9)),
         "reduce"),
        ("SELECT id FROM orders ORDER BY id LIMIT %s OFFSET %s", (5, 2), "merge"),
        ("SELECT COUNT(*) FROM orders WHERE city LIKE 'b%%' AND k > %s", (3,), "reduce"),
    ],
)  # fmt: skip
def test_values_are_bound_on_both_backends(
    pair: Pair, statement: str, params: Any, kind: str
) -> None:
    result = pair.cluster.query(statement, params)
    rows = result.all()

    plain, values = _positional(statement, params)
    if pair.fleet.kind == "sqlite":
        values = [str(v) if isinstance(v, datetime.date) else v for v in values]
    assert sorted(rows, key=repr) == sorted(pair.whole(plain, values)[1], key=repr)
    assert pair.cluster.explain(statement, params).kind == kind


def _positional(statement: str, params: Any) -> tuple[str, Any]:
    if not isinstance(params, dict):
        return statement, params
    return statement.replace("%(k)s", "%s").replace("%(id)s", "%s"), list(params.values())


def test_percent_sign_stands_for_itself_without_values(pair: Pair) -> None:
    statement = "SELECT COUNT(*) FROM orders WHERE city LIKE 'b%'"

    assert pair.cluster.query(statement).all() == pair.whole(statement)[1]


def test_cached_plan_follows_the_values(pair: Pair) -> None:
    statement = "SELECT id FROM orders WHERE k = %s ORDER BY id"
    for key in range(40):
        result = pair.cluster.query(statement, (key,))

        assert result.shards == (owner(key, {"s1": "0-5", "s2": "6-10", "s3": "11-15"}),)
        assert result.all() == pair.whole(statement, (key,))[1]


def test_one_shard_gets_the_statement_unmodified(pair: Pair) -> None:
    statement = "SELECT  id , City FROM orders -- all of 7\n WHERE k = 7"

    assert pair.cluster.explain(statement).statements[0].sql == statement


def test_average_has_the_scale_of_the_server(mysql_pair: Pair) -> None:
    rows = mysql_pair.cluster.query("SELECT AVG(n), AVG(amount), SUM(n) FROM orders").all()

    assert rows == mysql_pair.whole("SELECT AVG(n), AVG(amount), SUM(n) FROM orders")[1]
    assert [type(value) for value in rows[0]] == [Decimal, Decimal, Decimal]


@pytest.fixture
def mysql_pair(pair: Pair) -> Pair:
    if pair.fleet.kind != "mysql":
        pytest.skip("types are MySQL's")
    return pair


def test_types_are_those_of_the_server(mysql_pair: Pair) -> None:
    result = mysql_pair.cluster.query(
        "SELECT city, COUNT(*), SUM(n), AVG(amount), MIN(day), SUM(ratio) FROM orders GROUP BY city"
    )

    assert [c.type for c in result.columns] == [
        "VARCHAR", "BIGINT", "DECIMAL", "DECIMAL", "DATE", "DOUBLE",
    ]  # fmt: skip


def test_named_shard_is_asked_whatever_the_statement_says(pair: Pair) -> None:
    result = pair.cluster.query("SELECT COUNT(*) FROM orders WHERE k = 7", shards=["s4"])

    assert (result.shards, result.scalar()) == (("s4",), 0)


def test_several_named_shards_answer_for_their_rows(pair: Pair) -> None:
    both = pair.cluster.query("SELECT COUNT(*) FROM orders", shards=["s1", "s2"]).scalar()

    each = [pair.cluster.query("SELECT COUNT(*) FROM orders", shards=[s]).scalar()
            for s in ("s1", "s2")]  # fmt: skip
    assert both == sum(each)  # type: ignore[arg-type]


def test_groups_beyond_the_memory_cap_raise(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shardhash.db.query._engine._MIB", 100)

    with pytest.raises(MemoryCapError, match="more than"):
        pair.cluster.query("SELECT id, n, COUNT(*) FROM orders GROUP BY id, n", memory_mb=1)


def test_result_is_read_once_and_closed(pair: Pair) -> None:
    result = pair.cluster.query("SELECT id FROM orders ORDER BY id")
    first = next(iter(result))
    result.close()

    assert first == (0,)
    assert result.all() == []


def test_one_refuses_another_number_of_rows(pair: Pair) -> None:
    with pytest.raises(UsageError, match="one row"):
        pair.cluster.query("SELECT id FROM orders").one()
    with pytest.raises(UsageError, match="found none"):
        pair.cluster.query("SELECT id FROM orders WHERE id < 0").one()


@pytest.mark.parametrize(
    "statement",
    ["CALL cleanup()", "REPLACE INTO orders (id, k) VALUES (1, 1)", "SET @a = 1", "SELECT FROM",
     "SELECT 1; SELECT 2", "SELECT COUNT(*) FROM orders WHERE k = 3 /*!50000 OR 1 = 1 */"],
)  # fmt: skip
def test_what_cannot_be_looked_into_is_refused(pair: Pair, statement: str) -> None:
    with pytest.raises(QueryRefusedError) as caught:
        pair.cluster.query(statement)

    assert caught.value.next_step


@pytest.mark.parametrize(
    ("statement", "params"),
    [
        ("SELECT %s", ()),
        ("SELECT %s, %s", (1,)),
        ("SELECT %(a)s", (1,)),
        ("SELECT %(a)s", {"b": 1}),
        ("SELECT '%s'", (1,)),
        ("SELECT 5 % 2, %s", (1,)),
        ("SELECT 'open", ()),
        ("SELECT 1 LIMIT %s", ([1, 2],)),
    ],
)
def test_placeholders_that_do_not_fit_are_refused(pair: Pair, statement: str, params: Any) -> None:
    with pytest.raises((UsageError, QueryRefusedError)):
        pair.cluster.query(statement, params)


def test_rows_that_a_shard_does_not_own_are_not_counted(backend: servers.Fleet) -> None:
    moving = {"s2": "0-2,4"}
    pair = make_pair(backend, unowned=moving, rows=60)
    _copy(pair, "s1", "s2", slots={0, 1, 2, 4})
    statements = [
        "SELECT COUNT(*), SUM(amount) FROM orders",
        "SELECT city, COUNT(*) FROM orders o GROUP BY city",
        "SELECT o.id, i.id FROM orders o LEFT JOIN items i ON o.k = i.k ORDER BY o.id, i.id",
        "SELECT COUNT(*) FROM orders o WHERE EXISTS (SELECT 1 FROM items WHERE items.k = o.k)",
        "SELECT k, COUNT(*) FROM loose GROUP BY k ORDER BY k",
        "SELECT AVG(c) FROM (SELECT k, COUNT(*) AS c FROM orders GROUP BY k) t",
    ]

    for statement in statements:
        assert pair.check(statement, ordered="ORDER BY" in statement) in ("merge", "reduce")
    pair.cluster.close()


def _copy(pair: Pair, source: str, target: str, slots: set[int]) -> None:
    import zlib

    for table in ("orders", "items", "loose"):
        rows = [row for row in pair.fleet.sql(source, f"SELECT * FROM {table}")
                if row[1] is not None and zlib.crc32(b"%d" % row[1]) & 15 in slots]  # fmt: skip
        assert rows
        insert_rows(pair.fleet, target, table, rows)


def test_explanation_names_shards_statements_and_steps(pair: Pair) -> None:
    found = pair.cluster.explain("SELECT city, COUNT(*) FROM orders GROUP BY city LIMIT 3")

    assert found.shards == SHARDS
    assert found.kind == "reduce"
    assert any("GROUP BY" in each.sql for each in found.statements)
    assert "fold the partial groups by city" in found.reduce
    assert any("LIMIT without ORDER BY" in each for each in found.warnings)
    assert "nothing limits orders.k" in found.to_text()
    assert found.to_json()["shards"] == list(SHARDS)


def test_explanation_holds_no_values(pair: Pair) -> None:
    found = pair.cluster.explain("SELECT * FROM orders WHERE k = %s AND city = %s", (7, "secret"))

    assert "secret" not in found.to_text()


def test_without_sqlglot_the_pip_command_is_named(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from shardhash.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "sqlglot", None)
    with (
        Cluster(pair.cluster.config) as cluster,
        pytest.raises(MissingExtraError, match=r"shardhash\[query\]"),
    ):
        cluster.query("SELECT 1")


def test_without_duckdb_the_pip_command_is_named(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from shardhash.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "duckdb", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'shardhash\[query\]'"):
        pair.cluster.query("SELECT id, RANK() OVER (ORDER BY n) FROM orders")
    assert pair.cluster.query("SELECT COUNT(*) FROM (SELECT DISTINCT n FROM orders) t").scalar()


def test_values_go_to_the_inner_and_the_outer_query(pair: Pair) -> None:
    statement = (
        "SELECT SUM(c) + %s FROM (SELECT city, COUNT(*) AS c FROM orders WHERE k > %s "
        "AND note LIKE 'x%%' GROUP BY city) t"
    )
    result = pair.cluster.query(statement, (5, 3))

    assert result.all() == pair.whole(statement, (5, 3))[1]


def test_gathered_rows_beyond_the_memory_cap_raise(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shardhash.db.query._engine._MIB", 100)

    with pytest.raises(MemoryCapError, match="more than"):
        pair.cluster.query("SELECT id, RANK() OVER (ORDER BY n) FROM orders", memory_mb=1)


def test_explanation_of_windows_and_of_queries_over_answers(pair: Pair) -> None:
    windows = pair.cluster.explain("SELECT id, RANK() OVER (ORDER BY n) FROM orders ORDER BY id")
    over = pair.cluster.explain(
        "SELECT AVG(c) FROM (SELECT n, COUNT(*) c FROM orders GROUP BY n) t"
    )

    assert any("with DuckDB" in step for step in windows.reduce)
    assert "and of that answer:" in over.reduce
    assert over.shards == SHARDS


CONTROLS = ("a", "a\t", "a ", "ab", "a\x01b", "a \t", "b", "a\x1f", "a  \t")


@pytest.mark.server
@pytest.mark.parametrize("collation", ["utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin"])
def test_texts_that_pad_sort_before_spaces_as_the_server_has_it(
    fleet_of_mysql: servers.MySQLFleet, collation: str
) -> None:
    fleet, owners = fleet_of_mysql, {"s1": "0-7", "s2": "8-15"}
    for shard in ("s1", "s2", "whole"):
        fleet.add(shard)
        fleet.sql(
            shard,
            "CREATE TABLE t (k INT PRIMARY KEY, x VARCHAR(20)) "
            f"CHARACTER SET utf8mb4 COLLATE {collation}",
        )
    for key, text in enumerate(CONTROLS * 2):
        for shard in (owner(key, owners), "whole"):
            insert_rows(fleet, shard, "t", [(key, text)])
    rule = {"key": {"column": "k", "type": "int"}, "tables": ["t"],
            "slots": {"count": 16, "owners": owners}}  # fmt: skip
    with Cluster.open(str(fleet.write_config({"by_k": rule}))) as cluster:
        for statement in (
            "SELECT x, COUNT(*) FROM t GROUP BY x ORDER BY x",
            "SELECT DISTINCT x FROM t ORDER BY x DESC",
            "SELECT k % 2 AS odd, MIN(x), MAX(x) FROM t GROUP BY odd ORDER BY MIN(x), MAX(x), odd",
            "SELECT MIN(x), MAX(x) FROM t WHERE k > 4",
            "SELECT x, k FROM t ORDER BY x, k",
            "SELECT k % 2 AS odd, x FROM t ORDER BY odd, x DESC, k LIMIT 3",
            "SELECT x, k FROM t ORDER BY x, k LIMIT 2 OFFSET 5",
        ):
            found = cluster.query(statement).all()

            expected = [tuple(row) for row in fleet.sql("whole", statement)]
            assert _without_trailing_spaces(found) == _without_trailing_spaces(expected), statement


def _without_trailing_spaces(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [[v.rstrip(" ") if isinstance(v, str) else v for v in row] for row in rows]


@pytest.fixture
def fleet_of_mysql(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[servers.MySQLFleet]:
    fleet = servers.MySQLFleet(tmp_path, servers={"a": request.getfixturevalue("mariadb")})
    yield fleet
    fleet.drop()


@pytest.mark.server
def test_extremes_of_a_window_are_texts_of_its_rows(fleet_of_mysql: servers.MySQLFleet) -> None:
    fleet, owners = fleet_of_mysql, {"s1": "0-7", "s2": "8-15"}
    rows = [(key, key % 3, ("ANNA", "anna", "Anna")[key % 3]) for key in range(9)]
    collation = "utf8mb4_0900_ai_ci" if is_mysql() else "utf8mb4_general_nopad_ci"
    for shard in ("s1", "s2"):
        fleet.add(shard)
        fleet.sql(
            shard,
            "CREATE TABLE t (k INT PRIMARY KEY, g INT, x VARCHAR(20)) "
            f"CHARACTER SET utf8mb4 COLLATE {collation}",
        )
    for row in rows:
        insert_rows(fleet, owner(row[0], owners), "t", [row])
    rule = {"key": {"column": "k", "type": "int"}, "tables": ["t"],
            "slots": {"count": 16, "owners": owners}}  # fmt: skip
    with Cluster.open(str(fleet.write_config({"by_k": rule}))) as cluster:
        found = cluster.query(
            "SELECT k, g, x, MIN(x) OVER (PARTITION BY g), MAX(x) OVER "
            "(PARTITION BY g ORDER BY k ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t ORDER BY k"
        ).all()

    assert found == [(*row, row[2], row[2]) for row in rows]
