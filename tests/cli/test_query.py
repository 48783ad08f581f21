"""``query run`` and ``query explain`` through the real command."""

from command_line import STORES, Run, Shop, owner_of

ON_S2 = next(store for store in STORES if owner_of(store) == "s2")
OF_S2 = sum(owner_of(store) == "s2" for store in STORES)


def test_run_prints_the_answer_of_all_shards(run: Run, shop: Shop) -> None:
    shop.execute("s1", f"DELETE FROM orders WHERE store_id = {ON_S2}")

    ended = run("query", "run", "SELECT amount, COUNT(*) AS c FROM orders GROUP BY amount")
    counted = run("query", "run", "SELECT MAX(id) FROM order_items", "--json").envelope

    assert ended.exit_code == 0
    assert ended.stdout.split()[:3] == ["amount", "c", "1"]
    assert counted["data"] == {
        "columns": [{"name": "MAX(id)", "type": ""}],
        "rows": [[40]],
        "shards": ["s1", "s2"],
    }


def test_run_takes_values_as_json_or_text(run: Run, shop: Shop) -> None:
    ended = run(
        "query", "run", "SELECT id FROM order_items WHERE store_id = %s AND name = %s",
        str(ON_S2), "tea", "--json",
    )  # fmt: skip

    assert ended.envelope["data"]["rows"] == [[ON_S2]]
    assert ended.envelope["data"]["shards"] == ["s2"]


def test_write_is_only_explained_without_apply(run: Run, shop: Shop) -> None:
    statement = f"UPDATE orders SET amount = 9 WHERE store_id = {ON_S2}"

    planned = run("query", "run", statement)
    done = run("query", "run", statement, "--apply", "--json").envelope

    assert "Nothing was changed" in planned.stdout
    assert done["data"]["committed"] == {"s2": 1}
    assert run("query", "run", statement, "--json").envelope["status"] == "plan"


def test_refusal_tells_what_to_ask_instead(run: Run, shop: Shop) -> None:
    ended = run(
        "query", "run", "SELECT 1 FROM orders o JOIN order_items i ON o.id = i.id", "--json"
    )

    assert (ended.exit_code, ended.envelope["status"]) == (3, "refused")
    assert ended.envelope["error"]["code"] == "query_refused"
    assert "o.store_id = i.store_id" in ended.envelope["error"]["next"]


def test_explain_shows_shards_statements_and_what_comes_of_them(run: Run, shop: Shop) -> None:
    statement = "SELECT AVG(amount) FROM orders"

    text = run("query", "explain", statement).stdout
    found = run("query", "explain", statement, "--json").envelope["data"]["explanation"]

    assert "2 of 2 of mapping by_store: s1, s2" in text
    assert "SUM(amount)" in text
    assert found["kind"] == "reduce"
    assert [each["shard"] for each in found["statements"]] == ["s1", "s2"]


def test_value_that_is_no_single_one_is_a_usage_error(run: Run, shop: Shop) -> None:
    assert run("query", "run", "SELECT %s", "[1, 2]").exit_code == 2
