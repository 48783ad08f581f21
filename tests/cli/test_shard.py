"""``shard list`` and ``shard prune`` through the real command."""

from command_line import STORES, Run, Shop, owner_of

OWN = {store for store in STORES if owner_of(store) == "s1"}
FOREIGN = set(STORES) - OWN


def test_list_says_what_each_shard_owns(run: Run, shop: Shop) -> None:
    ended = run("shard", "list")

    assert ended.exit_code == 0
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["shard", "instance", "database", "owns"],
        ["s1", "disk", "shop_1", "by_store:", "8", "of", "16", "slots"],
        ["s2", "disk", "shop_2", "by_store:", "8", "of", "16", "slots"],
    ]


def test_prune_without_apply_prints_the_plan_and_changes_nothing(run: Run, shop: Shop) -> None:
    ended = run("shard", "prune", "s1", "--mapping", "by_store")

    assert ended.exit_code == 0
    assert f"{2 * len(FOREIGN)} rows to delete" in ended.stdout
    assert "Nothing was changed: add --apply to do it." in ended.stdout
    assert shop.stores("s1") == {*STORES, None}


def test_plan_counts_every_table(run: Run, shop: Shop) -> None:
    plan = run("shard", "prune", "s1", "--json").envelope["data"]["plan"]

    counts = {
        step["table"]: (step["row_count"], step["key_count"], step["foreign_rows"])
        for step in plan["steps"]
    }
    assert counts == {
        "orders": (41, 40, len(FOREIGN)),
        "order_items": (40, 40, len(FOREIGN)),
    }


def test_apply_deletes_the_foreign_rows_and_keeps_rows_without_a_key(run: Run, shop: Shop) -> None:
    ended = run("shard", "prune", "s1", "--apply")

    assert ended.exit_code == 0
    assert shop.stores("s1") == {*OWN, None}
    assert shop.stores("s2") == FOREIGN


def test_prune_of_some_tables_leaves_the_others(run: Run, shop: Shop) -> None:
    run("shard", "prune", "s1", "--tables", "order_items", "--apply")

    assert shop.stores("s1") == {*STORES, None}
    assert len(shop.execute("s1", "SELECT 1 FROM order_items")) == len(OWN)


def test_both_mechanisms_leave_the_same_rows(run: Run, shop: Shop) -> None:
    run("shard", "prune", "s1", "--tables", "orders", "--using", "keys", "--apply")
    run("shard", "prune", "s1", "--tables", "order_items", "--using", "pages", "--apply")

    orders = shop.execute("s1", "SELECT id FROM orders WHERE store_id IS NOT NULL ORDER BY id")
    assert orders == shop.execute("s1", "SELECT id FROM order_items ORDER BY id")
    assert {row[0] for row in orders} == OWN


def test_second_prune_has_nothing_to_do(run: Run, shop: Shop) -> None:
    run("shard", "prune", "s1", "--apply")

    ended = run("shard", "prune", "s1", "--apply", "--json")
    assert ended.exit_code == 0
    assert ended.envelope["data"]["report"]["rows"]["orders"]["deleted"] == 0


def test_row_that_its_owner_lacks_stays_with_exit_code_5(run: Run, shop: Shop) -> None:
    missing, changed = sorted(FOREIGN)[:2]
    shop.execute("s2", "DELETE FROM orders WHERE store_id = ?", missing)
    shop.execute("s2", "UPDATE orders SET amount = 8 WHERE store_id = ?", changed)

    ended = run("shard", "prune", "s1", "--apply")

    assert ended.exit_code == 5
    assert shop.stores("s1") == {*OWN, None, missing, changed}
    assert f"orders ({missing}): is missing there, on s2" in ended.stdout
    assert f"orders ({changed}): differs there, on s2" in ended.stdout
    assert ended.stderr.rstrip().splitlines()[-1].startswith("  next: ")


def test_mismatch_is_the_status_in_json(run: Run, shop: Shop) -> None:
    shop.execute("s2", "DELETE FROM orders")

    envelope = run("shard", "prune", "s1", "--apply", "--json").envelope

    assert (envelope["status"], envelope["exit_code"]) == ("mismatch", 5)
    assert envelope["error"]["code"] == "mismatch"
    assert envelope["data"]["report"]["rows"]["orders"]["kept"] == len(FOREIGN)


def test_no_proof_deletes_on_the_map_alone_and_says_so(run: Run, shop: Shop) -> None:
    shop.execute("s2", "DELETE FROM orders")

    ended = run("shard", "prune", "s1", "--tables", "orders", "--no-proof", "--apply")

    assert ended.exit_code == 0
    assert "WITHOUT PROOF" in ended.stderr
    assert shop.stores("s1") == {*OWN, None}


def test_unknown_shard_is_a_usage_error_that_names_the_shards(run: Run, shop: Shop) -> None:
    ended = run("shard", "prune", "s9")

    assert ended.exit_code == 2
    assert "s9" in ended.stderr
    assert "s1, s2" in ended.stderr


def test_missing_table_is_refused(run: Run, shop: Shop) -> None:
    shop.execute("s1", "DROP TABLE order_items")

    ended = run("shard", "prune", "s1", "--apply")

    assert ended.exit_code == 3
    assert "order_items" in ended.stderr
    assert shop.stores("s1") == {*STORES, None}


def test_missing_database_file_fails_and_is_not_made(run: Run, shop: Shop) -> None:
    file = shop.directory / "shards" / "shop_2.db"
    file.unlink()

    ended = run("shard", "prune", "s1", "--apply")

    assert ended.exit_code == 1
    assert not file.exists()
    assert shop.stores("s1") == {*STORES, None}


def test_progress_in_json_is_one_object_a_line(run: Run, shop: Shop) -> None:
    import json

    ended = run("shard", "prune", "s1", "--apply", "--json")

    events = [json.loads(line) for line in ended.stderr.splitlines()]
    assert events
    assert all(
        event.keys()
        >= {"event", "operation", "phase", "phases", "rows_done", "rows_about", "eta_s"}
        for event in events
    )
    assert events[-1]["rows_done"] == events[-1]["rows_about"]
