"""``mapping`` through the real command."""

from difflib import ndiff

from command_line import Run, Shop

ADD = ("mapping", "add", "by_user", "--key", "user_id:uuid", "--shards", "s1,s2")


def changed_lines(before: str, after: str) -> list[str]:
    return [line for line in ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


def test_add_shares_the_slots_out_evenly(run: Run, shop: Shop) -> None:
    assert run(*ADD, "--tables", "users,visits:visitor", "--slots", "64").exit_code == 0

    mapping = run("mapping", "list", "--json").envelope["data"]["mappings"][1]
    assert mapping["name"] == "by_user"
    assert mapping["rule"] == "64 slots"
    assert mapping["tables"] == [
        {"name": "users", "key": "user_id"},
        {"name": "visits", "key": "visitor"},
    ]
    owned = run("shard", "list", "--json").envelope["data"]["shards"]
    assert [shard["mappings"]["by_user"]["slots"] for shard in owned] == [32, 32]


def test_add_changes_only_lines_of_its_own(run: Run, shop: Shop) -> None:
    path = shop.directory / "shardhash.yaml"
    before = path.read_text().replace("tables:", "tables:   # the stores'", 1)
    before = before.replace("# the stores' [", "[")
    path.write_text("# shop\n" + before + "# end\n")
    text = path.read_text()

    run(*ADD, "--tables", "users")

    changes = changed_lines(text, path.read_text())
    assert [line[0] for line in changes] == ["+"] * 4
    assert changes[0] == "+   by_user:"


def test_a_shard_that_is_not_there_is_named_and_nothing_is_written(run: Run, shop: Shop) -> None:
    path = shop.directory / "shardhash.yaml"
    text = path.read_text()

    ended = run("mapping", "add", "m", "--key", "k:int", "--tables", "t", "--shards", "s1,s9")

    assert ended.exit_code == 3
    assert "mappings.m.slots.owners.s9: no such shard" in ended.stderr
    assert path.read_text() == text


def test_a_table_of_another_mapping_is_refused(run: Run, shop: Shop) -> None:
    assert run(*ADD, "--tables", "orders").exit_code == 3


def test_a_key_without_a_type_is_a_mistake_of_usage(run: Run, shop: Shop) -> None:
    ended = run("mapping", "add", "m", "--key", "k", "--tables", "t", "--shards", "s1")

    assert ended.exit_code == 2
    assert "k:int" in ended.stderr


def test_remove_takes_back_exactly_what_add_wrote(run: Run, shop: Shop) -> None:
    path = shop.directory / "shardhash.yaml"
    text = path.read_text()
    run(*ADD, "--tables", "users")

    assert run("mapping", "remove", "by_user").exit_code == 0

    assert path.read_text() == text


def test_remove_is_refused_while_slots_are_being_moved(run: Run, shop: Shop) -> None:
    path = shop.directory / "shardhash.yaml"
    path.write_text(path.read_text() + '    unowned: {s2: "0-3"}\n')

    ended = run("mapping", "remove", "by_store")

    assert ended.exit_code == 3
    assert "moves rows of s2" in ended.stderr
