"""``key explain`` through the real command."""

import zlib

from command_line import STORES, Run, Shop, owner_of

ON_S2 = next(store for store in STORES if owner_of(store) == "s2")
ON_S1 = next(store for store in STORES if owner_of(store) == "s1")


def test_explain_gives_bytes_hash_slot_and_shard(run: Run, shop: Shop) -> None:
    hashed = zlib.crc32(b"42")

    [found] = run("key", "explain", "by_store", "42", "--json").envelope["data"]["keys"]

    assert found["key_bytes"] == "3432"
    assert found["hash"] == hashed
    assert found["slot"] == hashed & 15
    assert found["shard"] == owner_of(42)
    assert found["rows"] is None


def test_printed_select_shows_the_same_slot_when_it_is_run(run: Run, shop: Shop) -> None:
    [found] = run("key", "explain", "by_store", str(ON_S2), "--json").envelope["data"]["keys"]

    connection = shop.open("s2")
    connection.create_function("shardhash_crc32", 1, lambda key: zlib.crc32(str(key).encode()))
    rows = connection.execute(found["select"]).fetchall()
    connection.close()
    assert rows == [(found["slot"], 1)]


def test_rows_counts_on_every_shard(run: Run, shop: Shop) -> None:
    ended = run("key", "explain", "by_store", str(ON_S1), "--rows", "--json")

    assert ended.exit_code == 0
    [found] = ended.envelope["data"]["keys"]
    assert found["rows"] == {
        "s1": {"orders": 1, "order_items": 1},
        "s2": {"orders": 0, "order_items": 0},
    }


def test_rows_on_two_shards_are_a_mismatch(run: Run, shop: Shop) -> None:
    ended = run("key", "explain", "by_store", str(ON_S2), "--rows")

    assert ended.exit_code == 5
    assert "has rows on s1" in ended.stderr
    assert ended.stderr.rstrip().splitlines()[-1].startswith("  next: ")


def test_several_keys_are_explained_one_after_the_other(run: Run, shop: Shop) -> None:
    keys = run("key", "explain", "by_store", "1", "-2", "3", "--json").envelope["data"]["keys"]

    assert [found["key"] for found in keys] == ["1", "-2", "3"]


def test_value_of_another_type_is_a_usage_error(run: Run, shop: Shop) -> None:
    ended = run("key", "explain", "by_store", "forty-two")

    assert ended.exit_code == 2
    assert "whole number" in ended.stderr


def test_place_is_told_although_the_owner_is_down(run: Run, shop: Shop) -> None:
    (shop.directory / "shards" / "shop_1.db").unlink()
    (shop.directory / "shards" / "shop_2.db").unlink()

    ended = run("key", "explain", "by_store", "42")

    assert ended.exit_code == 0
    assert owner_of(42) in ended.stdout
    assert "warning: no SELECT for 42" in ended.stderr
