"""Plans of operations: they send no write, are kept in files, and are refused when stale."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Ended
from in_process import CalledShop, all_but_leases, everything

SPLIT = ("shard", "split", "s1", "s3", "--freeze")

PLANNED = [
    "shard adopt s9 --instance here --database BESIDE --mapping new --key k:int --tables things",
    "shard release s1",
    "shard allocate s3 --instance here --mapping by_store",
    "shard clone s1 s3",
    "shard attach s4 --slots-of s1 --freeze",
    "shard split s1 s3 --freeze --by rows --fraction 0.3",
    "shard move s1 s2 --slots 0 --freeze --quarantine",
    "shard remove s4",
    "shard remove s1 --drain --freeze",
    "shard prune s1 --using pages",
    "shard prune s1 --using keys --quarantine",
    "mapping guard by_store off",
    "mapping guard by_store on",
]


def test_plan_of_every_operation_sends_no_write(adopted_anywhere: CalledShop) -> None:
    shop = adopted_anywhere
    shop.split()
    shop.fleet.will_have("s4", beside="s1")
    shop.do("shard", "clone", "s1", "s4", "--apply")
    shop.fleet.add("beside", instance=shop.fleet.instances[0])
    shop.fleet.sql("beside", "CREATE TABLE things (k INTEGER PRIMARY KEY)")
    before = everything(shop)
    changed = []

    for words in PLANNED:
        ended = shop.do(*words.replace("BESIDE", shop.place("beside")).split())
        assert "Nothing was changed" in ended.stdout
        if everything(shop) != before:
            changed.append(words)

    assert changed == []


def test_plan_of_a_merge_and_of_a_cut_send_no_write(ranges: CalledShop) -> None:
    before = everything(ranges)

    ranges.do("shard", "merge", "by_day", "--at", "2026-07-01", "--into", "s1", "--freeze")
    ranges.do("shard", "split", "s1", "s3", "--at", "2026-03-01", "--freeze")

    assert everything(ranges) == before


def planned(shop: CalledShop, *words: str) -> Path:
    """Keep a plan in a file."""
    file = shop.directory / "plan.json"
    shop.do(*(words or SPLIT), "--plan-out", str(file))
    return file


def test_plan_that_was_kept_is_shown_as_it_was_and_applied(split_shop: CalledShop) -> None:
    shop = split_shop
    rows = sorted([*shop.rows("s1"), *shop.rows("s2")])
    printed = shop.do(*SPLIT, "--plan-out", "plan.json").stdout

    shown = shop.do("plan", "show", "plan.json").stdout
    applied = shop.do("apply", "plan.json", "--json")

    assert shown == printed
    assert printed.endswith("Nothing was changed: shardhash apply plan.json does it.\n")
    assert applied.envelope["command"] == "apply"
    assert applied.envelope["data"]["report"]["operation"] == "split"
    shop.fleet.will_have("s3", beside="s1")
    found = [row for shard in ("s1", "s2", "s3") for row in shop.rows(shard)]
    assert sorted(found) == rows
    assert shop.rows("s3")


def change_configuration(shop: CalledShop) -> None:
    file = shop.directory / "shardhash.yaml"
    file.write_text(f"{file.read_text()}# later\n")


def change_schema(shop: CalledShop) -> None:
    shop.fleet.sql("s1", "ALTER TABLE orders ADD COLUMN note TEXT")


def replace_database(shop: CalledShop) -> None:
    file = Path(shop.url.removeprefix("sqlite:///")) / f"{shop.place('s1')}.db"
    shutil.copy(file, file.with_suffix(".copy"))
    file.with_suffix(".copy").rename(file)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (change_configuration, "the plan was made for configuration "),
        (change_schema, "table orders of s1 changed"),
        (replace_database, "s1: another database now"),
    ],
)
@pytest.mark.parametrize(
    "words", [SPLIT, ("shard", "prune", "s1"), ("shard", "clone", "s1", "s3")], ids=" ".join
)
def test_stale_plan_is_refused_with_what_changed(
    adopted: CalledShop, change: Callable[[CalledShop], None], named: str, words: tuple[str, ...]
) -> None:
    file = planned(adopted, *words)
    change(adopted)
    before = all_but_leases(adopted)

    ended = adopted.run("apply", str(file), "--json")

    assert ended.exit_code == 3
    error = ended.envelope["error"]
    assert error["code"] == "stale_plan"
    assert named in error["message"]
    assert "make the plan again" in error["next"]
    assert all_but_leases(adopted) == before


def test_plan_that_was_applied_is_stale(adopted: CalledShop) -> None:
    file = planned(adopted)
    adopted.do("apply", str(file))

    again = adopted.run("apply", str(file))

    assert again.exit_code == 3
    assert "the plan was made for configuration" in again.stderr


def refused(shop: CalledShop, file: Path) -> Ended:
    """Return how ``apply`` refuses a file, which ``plan show`` does in the same words."""
    before = everything(shop)
    ended = shop.run("apply", str(file))
    assert shop.run("plan", "show", str(file)).stderr == ended.stderr
    assert everything(shop) == before
    return ended


def test_plan_whose_text_was_changed_is_refused(adopted: CalledShop) -> None:
    file = planned(adopted)
    file.write_text(file.read_text().replace('"s3"', '"s4"'))

    ended = refused(adopted, file)

    assert ended.exit_code == 3
    assert "it was changed" in ended.stderr
    assert "make the plan again" in ended.stderr


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no plan of format 2"),
        (b"{}", "no plan of format 2"),
        (b'{"format": 1}', "no plan of format 2"),
        (b'{"format": 2, "digest": "0", "steps": [1]}', "has what no plan has"),
        (b'{"format": 2, "digest": "0", "steps": [], "shards": [], "warnings": []}', "lacks"),
    ],
)
def test_file_that_is_no_plan_is_a_mistake_of_usage(
    adopted: CalledShop, content: bytes, named: str
) -> None:
    file = adopted.directory / "plan.json"
    file.write_bytes(content)

    ended = refused(adopted, file)

    assert ended.exit_code == 2
    assert named in ended.stderr
    assert "defect" not in ended.stderr


def test_file_that_cannot_be_read_or_written_is_named(adopted: CalledShop) -> None:
    read = adopted.run("apply", "no/such")
    written = adopted.run(*SPLIT, "--plan-out", "no/such", "--apply")

    assert (read.exit_code, written.exit_code) == (2, 1)
    assert "cannot read no/such: No such file" in read.stderr
    assert "cannot write no/such: No such file" in written.stderr
    assert adopted.do("op", "list").stdout == "No operation is unfinished.\n"


def test_kept_plan_holds_no_row(adopted: CalledShop) -> None:
    assert "tea" not in json.dumps(json.loads(planned(adopted).read_text()))
