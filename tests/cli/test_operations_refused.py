"""What operations refuse from the command line: unknown names, and what could not end well."""

import pytest

from command_line import Shop
from in_process import CalledShop, Caller, everything

RANGES = """\
  by_day:
    key: {column: day, type: date}
    tables: [visits]
    ranges: {bounds: [2026-01-01], shards: [s1, s2]}
"""

UNKNOWN = {
    "shard s9; s1, s2": [
        "shard prune s9",
        "shard verify s9",
        "shard verify s1 --against s9",
        "shard release s9",
        "shard clone s9 s3",
        "shard attach s9 --slots-of s1",
        "shard attach s1 --slots-of s9",
        "shard split s9 s3 --freeze",
        "shard move s9 s1 --slots 1 --freeze",
        "shard move s1 s9 --slots 1 --freeze",
        "shard remove s9",
        "shard remove s9 --drain --freeze",
    ],
    "instance i9; disk": [
        "shard adopt s3 --instance i9 --database d --mapping by_store",
        "shard allocate s3 --instance i9 --mapping by_store",
        "shard clone s1 s3 --instance i9",
        "shard split s1 s3 --instance i9 --freeze --mapping by_store",
    ],
    "mapping m9; by_store, by_day": [
        "shard prune s1 --mapping m9",
        "shard verify s1 --mapping m9",
        "shard allocate s3 --instance disk --mapping m9",
        "shard split s1 s3 --mapping m9 --freeze",
        "shard move s1 s2 --mapping m9 --slots 1 --freeze",
        "shard merge m9 --at 7 --into s1",
        "mapping guard m9 on",
    ],
    "table t9; orders, order_items": ["shard prune s1 --mapping by_store --tables t9"],
    "operation x-1; shardhash op list --all": [
        f"op {word} x-1" for word in ("show", "watch", "pause", "resume", "abort", "undo")
    ],
}


@pytest.mark.parametrize(
    ("words", "asked", "there_are"),
    [
        (words, unknown.partition("; ")[0], unknown.partition("; ")[2])
        for unknown, commands in UNKNOWN.items()
        for words in commands
    ],
)
def test_unknown_name_is_answered_with_the_names_there_are(
    shop: Shop, call: Caller, words: str, asked: str, there_are: str
) -> None:
    file = shop.directory / "shardhash.yaml"
    file.write_text(file.read_text() + RANGES)

    ended = call(*words.split())

    kind, name = asked.split()
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert kind in ended.stderr
    assert name in ended.stderr
    assert there_are in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("  next: ")


NUMBERS = [
    "--fence-wait=-1",
    "--fence-wait=nan",
    "--max-lag=-0.5",
    "--max-lag=soon",
    "--max-threads-running=0",
    "--max-threads-running=1.5",
    "--fraction=2",
    "--fraction=half",
]


def test_number_that_cannot_be_is_a_mistake_of_usage(adopted: CalledShop) -> None:
    taken = {}
    for number in NUMBERS:
        ended = adopted.run("shard", "split", "s1", "s2", "--freeze", number)
        option, _, value = number.removeprefix("--").partition("=")
        if not (ended.exit_code == 2 and option in ended.stderr and value in ended.stderr):
            taken[number] = ended

    assert taken == {}


UNWRITABLE = [
    "shard split s1 bad! --freeze --apply",
    "shard clone s1 bad! --apply",
    "shard allocate bad! --instance here --mapping by_store --apply",
    "shard allocate s3 --instance here --mapping by_store --database a/b --apply",
    "shard adopt bad! --instance here --database shop --mapping by_store --apply",
    "shard adopt s3 --instance here --database SAME --mapping by_store --apply",
    "shard adopt s3 --instance here --database no_such --mapping by_store --apply",
    "shard adopt s3 --instance here --database no_such --mapping new --apply",
]


def test_shard_that_could_not_be_written_down_at_the_end_is_not_begun(adopted: CalledShop) -> None:
    before = everything(adopted)
    ended = {
        words: adopted.run(*words.replace("SAME", adopted.place("s1")).split())
        for words in UNWRITABLE
    }

    assert {words for words, each in ended.items() if each.exit_code not in (2, 3)} == set()
    # the mistake is in no line of the file
    assert {words for words, each in ended.items() if "shardhash.yaml:" in each.stderr} == set()
    assert everything(adopted) == before


SENSELESS = [
    ("shard split s1 s3", "must be told so", "add --freeze"),
    ("shard move s1 s2 --slots 8 --freeze", "slots 8 are not s1's", "shardhash shard list"),
    ("shard move s1 s2 --slots 99 --freeze", "it owns 0-7", "shardhash shard list"),
    ("shard move s1 s1 --slots 1 --freeze", "are one shard", ""),
    ("shard split s1 s2 --freeze", "owns slots of by_store already", "shard move s1 s2"),
    ("shard merge by_store --at 7 --into s1", "is not by ranges", "shardhash shard move"),
    ("shard split s1 s3 --at 7 --freeze", "is not by ranges", "shardhash shard move"),
    ("shard verify s1 --against s1", "with itself", "--against"),
    ("shard verify --against s1", "none is named", "shard verify NAME --against s1"),
    ("shard attach s2 --slots-of s1 --freeze", "no detached copy", "shardhash shard move"),
    ("shard allocate s2 --instance here --mapping by_store", "already", "another name"),
    ("shard clone s1 s2", "in the configuration already", "another name"),
    ("shard remove s1", "owns slots: 8 of by_store", "--drain --freeze"),
    ("shard prune s1 --using magic", "invalid choice", "--help"),
]


def test_what_makes_no_sense_is_told_with_what_to_type(split_shop: CalledShop) -> None:
    wrong = {}
    for words, found, next_step in SENSELESS:
        ended = split_shop.run(*words.split())
        message, last = ended.stderr.splitlines()[-2:]
        if ended.exit_code not in (2, 3) or found not in message or next_step not in last:
            wrong[words] = ended

    assert wrong == {}


def test_remove_is_refused_while_rows_without_a_slot_of_its_own_are_left(
    split_shop: CalledShop,
) -> None:
    do, shop = split_shop.do, split_shop
    do("mapping", "guard", "by_store", "off", "--apply")
    misplaced = next(row[1] for row in shop.rows("s1"))
    shop.fleet.sql("s2", "INSERT INTO orders (store_id, item) VALUES (%s, 'x')", [misplaced])
    do("mapping", "guard", "by_store", "on", "--apply")

    drained = shop.run("shard", "remove", "s2", "--drain", "--freeze", "--apply")

    assert drained.exit_code == 3
    assert "rows of slots that are not its own: 1 of orders" in drained.stderr
    assert "shardhash shard prune s2" in drained.stderr.splitlines()[-1]


def test_remove_of_a_shard_without_slots_is_refused_while_it_holds_a_row(
    split_shop: CalledShop,
) -> None:
    do, shop = split_shop.do, split_shop
    do("shard", "move", "s2", "s1", "--slots", "8-15", "--freeze", "--apply")
    do("mapping", "guard", "by_store", "off", "--apply")
    shop.fleet.sql("s2", "INSERT INTO orders (store_id, item) VALUES (1, 'x')")

    ended = shop.run("shard", "remove", "s2", "--apply")

    assert ended.exit_code == 3
    assert "still holds rows: 1 of orders" in ended.stderr
    assert [row[1] for row in shop.rows("s2")] == [1]


def test_plan_of_a_drain_says_what_becomes_of_the_database(split_shop: CalledShop) -> None:
    adopted = split_shop.do("shard", "remove", "s1", "--drain", "--freeze")
    made = split_shop.do("shard", "remove", "s2", "--drain", "--freeze")

    assert f"database {split_shop.place('s1')} stays where it is" in adopted.stderr
    assert f"database {split_shop.place('s2')} is dropped for good" in made.stderr


def test_clone_names_both_shards_and_guesses_no_rows(adopted: CalledShop) -> None:
    printed = adopted.do("shard", "clone", "s1", "s2").stdout

    assert printed.startswith("clone of shard s1 as s2: ")
    assert "about 0 rows" not in printed
