"""What operations do to rows, as the command shows it."""

import sqlite3

import pymysql
import pytest

from command_line import STORES, Shop, owner_of
from in_process import CalledShop, Caller
from one_database import slot_of

OWN = {store for store in STORES if owner_of(store) == "s1"}
FOREIGN = set(STORES) - OWN
MOVED = next(store for store in range(40) if slot_of(store) >= 8)


def test_quarantined_prune_is_undone(shop: Shop, call: Caller) -> None:
    pruned = call("shard", "prune", "s1", "--quarantine", "--apply", "--json").envelope
    name = pruned["data"]["report"]["id"]
    left = shop.stores("s1")
    shown = call("op", "show", name).stdout.splitlines()

    undone = call("op", "undo", name)

    assert left == {*OWN, None}
    assert shown[-2:] == [
        "Next: nothing",
        f"  or: shardhash op undo {name}, which brings the rows back",
    ]
    assert undone.exit_code == 0
    assert shop.stores("s1") == {*STORES, None}
    again = call("op", "undo", name)
    assert again.exit_code == 3
    assert f"operation {name} has ended: undone" in again.stderr


def test_prune_without_quarantine_cannot_be_undone(shop: Shop, call: Caller) -> None:
    name = call("shard", "prune", "s1", "--apply", "--json").envelope["data"]["report"]["id"]

    ended = call("op", "undo", name)

    assert ended.exit_code == 3
    assert f"operation {name} has ended: done" in ended.stderr


def test_verify_counts_misplaced_rows_and_those_without_a_key(shop: Shop, call: Caller) -> None:
    ended = call("shard", "verify", "s1")

    heading, orders, items = ended.stdout.splitlines()[:3]
    assert ended.exit_code == 5
    assert heading.split("  ")[-1] == "misplaced"
    assert orders.split() == ["s1", "orders", "41", str(len(OWN)), "0", "1", f"{len(FOREIGN)}",
                              "of", "s2"]  # fmt: skip
    assert items.split()[:2] == ["s1", "order_items"]
    message, next_step = ended.stderr.splitlines()
    assert message == f"shardhash: misplaced: {2 * len(FOREIGN)} rows; nothing was changed"
    assert "shardhash shard prune s1" in next_step


def test_verify_names_the_first_rows_that_are_misplaced(shop: Shop, call: Caller) -> None:
    foreign = sorted(FOREIGN)
    shop.execute("s1", "DELETE FROM order_items")
    shop.execute("s1", "INSERT INTO orders VALUES (2000, NULL, 1)")

    ended = call("shard", "verify", "s1")
    found = call("shard", "verify", "s1", "--json").envelope["data"]["verify"]["tables"][0]

    ((without_key,),) = shop.execute(
        "s1", "SELECT id FROM orders WHERE store_id IS NULL AND id < 2000"
    )
    assert ended.stdout.splitlines()[4:] == [
        "orders on s1, misplaced:",
        *(f"  ({store}): key {store}, slot {slot_of(store)}, owner s2" for store in foreign[:10]),
        f"  and {len(foreign) - 10} more",
        f"orders on s1, no key: ({without_key}), (2000)",
    ]
    assert found["misplaced_rows"][0] == {
        "primary_key": [str(foreign[0])],
        "key": str(foreign[0]),
        "slot": slot_of(foreign[0]),
        "range": None,
        "owner": "s2",
    }
    assert found["no_key_rows"] == [[str(without_key)], ["2000"]]


def test_verify_cuts_long_keys_and_escapes_what_steers_a_terminal(shop: Shop, call: Caller) -> None:
    shop.execute("s1", "DELETE FROM orders")
    shop.execute("s1", "DROP TABLE order_items")
    shop.execute("s1", "CREATE TABLE order_items (id TEXT PRIMARY KEY, store_id INT, name TEXT)")
    key = "\x1b[2J" + "x" * 100
    shop.execute("s1", "INSERT INTO order_items VALUES (?, ?, 'a')", key, min(FOREIGN))

    ended = call("shard", "verify", "s1")
    found = call("shard", "verify", "s1", "--json").envelope["data"]["verify"]["tables"][1]

    (line,) = (line for line in ended.stdout.splitlines() if line.startswith("  ("))
    assert line.startswith(f"  (\\x1b[2J{'x' * 56}...): key {min(FOREIGN)}, slot ")
    assert found["misplaced_rows"][0]["primary_key"] == [key]


def test_verify_against_another_shard_names_pages_and_first_rows(shop: Shop, call: Caller) -> None:
    only_here = sorted(OWN)
    changed = sorted(FOREIGN)[0]
    shop.execute("s2", "UPDATE orders SET amount = 8 WHERE id = ?", changed)
    shop.execute("s2", "INSERT INTO orders VALUES (2000, 1, 1)")

    ended = call("shard", "verify", "s1", "--against", "s2", "--mapping", "by_store")
    found = call("shard", "verify", "s1", "--against", "s2", "--json")

    assert ended.exit_code == found.exit_code == 5
    listed = ", ".join(f"({store})" for store in only_here[:10])
    assert ended.stdout.splitlines()[:4] == [
        f"orders, page 1: 41 rows on s1, {len(FOREIGN) + 1} on s2",
        f"  missing on s2: {listed}",
        "  only on s2: (2000)",
        f"  different: ({changed})",
    ]
    assert ended.stderr.startswith("shardhash: different: 2 pages; nothing was changed")
    assert found.envelope["status"] == "mismatch"
    (orders, _) = found.envelope["data"]["verify"]["mismatches"]
    assert (orders["table"], orders["page"]) == ("orders", 1)
    assert (orders["extra"], orders["differing"]) == ([["2000"]], [[str(changed)]])


def test_guards_that_are_off_let_misrouted_writes_pass_and_on_refuses_them(
    adopted_anywhere: CalledShop,
) -> None:
    shop = adopted_anywhere
    shop.split()
    wrong = f"INSERT INTO orders (store_id, item) VALUES ({MOVED}, 'x')"

    off = shop.do("mapping", "guard", "by_store", "off", "--apply")
    with shop.writer("s1") as application:
        application.execute(wrong)
    on = shop.do("mapping", "guard", "by_store", "on", "--apply")

    assert off.stdout.startswith("unguard done in ")
    assert "without guards nothing refuses a write" in off.stderr
    assert on.stdout.startswith("guard done in ")
    with (
        shop.writer("s1") as application,
        pytest.raises((sqlite3.IntegrityError, pymysql.err.OperationalError), match="is foreign"),
    ):
        application.execute(wrong)
    verified = shop.run("shard", "verify")
    assert verified.exit_code == 5
    assert "1 of s2" in verified.stdout


def test_verify_names_the_slots_that_are_in_a_wrong_state(split_shop: CalledShop) -> None:
    split_shop.fleet.sql("s1", "UPDATE _shardhash_slots SET state = 'fenced' WHERE slot IN (2, 3)")
    split_shop.fleet.sql("s2", "UPDATE _shardhash_slots SET state = 'owned' WHERE slot = 3")

    ended = split_shop.run("shard", "verify")

    assert ended.exit_code == 5
    assert "s1: it refuses writes to slots that it owns, which are fenced: 2-3" in ended.stdout
    assert "s2: it takes writes to slots that are not its own: 3" in ended.stdout


def test_clone_is_detached_until_it_is_attached(adopted_anywhere: CalledShop) -> None:
    shop = adopted_anywhere
    before = shop.rows("s1")
    shop.do("shard", "clone", "s1", "s2", "--apply")
    detached = shop.do("shard", "list").stdout.splitlines()[2]
    with (
        shop.writer("s2") as application,
        pytest.raises((sqlite3.IntegrityError, pymysql.err.OperationalError), match="is foreign"),
    ):
        application.execute("UPDATE orders SET item = 'x'")
    with shop.writer("s1") as application:
        application.execute("UPDATE orders SET item = 'later' WHERE id = 7")

    shop.do("shard", "attach", "s2", "--slots-of", "s1", "--freeze", "--apply")
    removed = shop.do("shard", "remove", "s1", "--apply")

    assert detached.endswith("detached: no key is routed to it")
    assert shop.rows("s2") == [(*row[:2], "later") if row[0] == 7 else row for row in before]
    (listed,) = shop.do("shard", "list").stdout.splitlines()[1:]
    assert " ".join(listed.split()) == f"s2 here {shop.place('s2')} by_store: 16 of 16 slots"
    assert "stays where it is, because no operation made it" in removed.stderr
    assert shop.rows("s1") == []
    assert shop.do("shard", "verify").stdout.endswith("Every row is where it should be.\n")


def days(shop: CalledShop, shard: str) -> list[str]:
    return [day for (day,) in shop.fleet.sql(shard, "SELECT day FROM visits ORDER BY day")]


def test_range_is_cut_at_a_key_and_its_upper_part_moves(ranges: CalledShop) -> None:
    cut = ("shard", "split", "s1", "s3", "--at", "2026-03-01", "--freeze", "--apply")

    ranges.do(*cut)

    ranges.fleet.will_have("s3", beside="s1")
    assert days(ranges, "s1") == ["2025-12-31", "2026-01-01"]
    assert days(ranges, "s3") == ["2026-06-30"]
    assert "2026-01-01, 2026-03-01, 2026-07-01" in (ranges.directory / "shardhash.yaml").read_text()
    assert ranges.do("shard", "verify").stdout.endswith("Every row is where it should be.\n")


def test_ranges_beside_a_bound_become_one(ranges: CalledShop) -> None:
    ranges.do("shard", "merge", "by_day", "--at", "2026-01-01", "--into", "s1", "--apply")
    merge = ("shard", "merge", "by_day", "--at", "2026-07-01", "--into", "s1", "--freeze")
    ranges.do(*merge, "--apply")

    assert len(days(ranges, "s1")) == 5
    assert days(ranges, "s2") == []
    wrong = ranges.run("shard", "merge", "by_day", "--at", "2026-07-01", "--into", "s1")
    assert wrong.exit_code == 2
    assert "2026-07-01" in wrong.stderr


def test_bad_bound_or_shard_of_a_merge_is_named(ranges: CalledShop) -> None:
    ended = {
        words: ranges.run("shard", "merge", "by_day", *words.split())
        for words in (
            "--at soon --into s1",
            "--at 2026-07-01 --into s9",
            "--at 2026-07-02 --into s1",
        )
    }

    assert {each.exit_code for each in ended.values()} == {2}
    for words, each in ended.items():
        named = words.split()[1 if "s9" not in words else 3]
        assert named in each.stderr
        assert each.stderr.splitlines()[-1].startswith("  next: ")
