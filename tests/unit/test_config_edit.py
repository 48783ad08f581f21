"""Edits of a text change their own lines and nothing else."""

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardhash.db.config import Config
from shardhash.db.config.edit import (
    add_instance,
    add_mapping,
    add_shard,
    remove_instance,
    remove_mapping,
    remove_shard,
    set_slot_owners,
    set_unowned,
)
from shardhash.errors import RefusedError, UsageError

COMMENTED = """\
# The fleet. Ask Ada before touching it.
format: 1   # of the file
app:   shop

instances:
  # the first one
  local: {url: "mysql://root@127.0.0.1:3306"}     # rack 1
  east:  {dsn: 'mysql:host=10.0.0.5;port=3306'}   # rack 2
  # west: {host: west}      not yet
  spare:
    host: spare   # has no shard
    port: 3306

shards:   # two of them
  s1: {instance: local, database: shop_s1}
  s2:
    instance: east  # far away
    database: shop_s2
  s3: {instance: local, database: shop_s3}

mappings:
  by_store:
    key: {column: store_id, type: int}
    tables: [orders]
    slots:
      count: 8
      owners:
        s1: "0-3"   # half
        s2: "4-7"   # the other half

# The end.
"""


def changes(old: str, new: str) -> list[str]:
    """Return the lines removed and added, and nothing of what stayed."""
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), n=0)
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


def test_an_instance_is_added_as_one_line():
    new = add_instance(COMMENTED, "west", {"host": "west", "password": {"secret": "west"}})

    assert changes(COMMENTED, new) == ["+  west: {host: west, password: {secret: west}}\n"]
    assert Config.parse(new).instance("west").endpoint.host == "west"


def test_an_instance_leaves_with_its_lines():
    new = remove_instance(COMMENTED, "spare")

    assert changes(COMMENTED, new) == [
        "-  spare:\n",
        "-    host: spare   # has no shard\n",
        "-    port: 3306\n",
    ]


def test_what_was_added_and_removed_leaves_the_text_as_it_was():
    for add, remove in (
        (add_instance, remove_instance),
        (add_shard, remove_shard),
        (add_mapping, remove_mapping),
    ):
        assert remove(add(COMMENTED, "new", {"x": 1, "y": "z"}), "new") == COMMENTED


def test_an_instance_in_use_is_not_removed():
    with pytest.raises(
        RefusedError, match="local cannot be removed: it is used by shard s1, shard"
    ):
        remove_instance(COMMENTED, "local")


def test_a_shard_in_use_is_not_removed():
    with pytest.raises(RefusedError, match=r"used by mapping by_store \(slots.owners\)"):
        remove_shard(COMMENTED, "s1")


def test_a_shard_in_no_mapping_is_removed():
    assert changes(COMMENTED, remove_shard(COMMENTED, "s3")) == [
        "-  s3: {instance: local, database: shop_s3}\n"
    ]


def test_a_mapping_whose_rows_are_on_the_move_is_not_removed():
    text = set_unowned(COMMENTED, "by_store", {"s2": "0-1"})

    with pytest.raises(RefusedError, match="an operation that moves rows of s2"):
        remove_mapping(text, "by_store")


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(UsageError, match="the shard s1 is there already"):
        add_shard(COMMENTED, "s1", {})


def test_a_name_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(UsageError, match=r"'spar' \(did you mean spare\?\).*local, east, spare"):
        remove_instance(COMMENTED, "spar")


def test_only_owners_that_change_are_rewritten():
    new = set_slot_owners(COMMENTED, "by_store", {"s1": "0-3", "s2": "4-6", "s3": "7"})

    assert changes(COMMENTED, new) == [
        '-        s2: "4-7"   # the other half\n',
        '+        s2: "4-6"   # the other half\n',
        '+        s3: "7"\n',
    ]


def test_an_owner_that_is_not_given_leaves_the_list():
    new = set_slot_owners(COMMENTED, "by_store", {"s2": "0-7"})

    assert Config.parse(new).mapping("by_store").shards == ("s2",)


def test_unowned_slots_come_change_and_go():
    text = set_unowned(COMMENTED, "by_store", {"s2": "0-1"})
    assert changes(COMMENTED, text) == ['+    unowned: {s2: "0-1"}\n']

    text = set_unowned(text, "by_store", {"s2": "0", "s1": "4"})
    assert changes(COMMENTED, text) == ['+    unowned: {s2: "0", s1: "4"}\n']

    assert set_unowned(text, "by_store", {}) == COMMENTED


def test_a_mapping_is_added_with_a_line_for_each_part():
    new = add_mapping(
        COMMENTED,
        "by_day",
        {
            "key": {"column": "day", "type": "date"},
            "tables": ["visits"],
            "ranges": {"bounds": [], "shards": ["s1"]},
        },
    )

    assert changes(COMMENTED, new) == [
        "+  by_day:\n",
        "+    key: {column: day, type: date}\n",
        "+    tables: [visits]\n",
        "+    ranges: {bounds: [], shards: [s1]}\n",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "format: 1\napp: shop\n",
        "format: 1\napp: shop",
        "format: 1\napp: shop\ninstances:\n",
        "format: 1\napp: shop\ninstances: {}\n",
        "format: 1\napp: shop\ninstances:   # none yet\n# end\n",
        "format: 1\ninstances: {}   # none\napp: shop\n",
        "{format: 1, app: shop}",
        "{format: 1, app: shop, instances: {}}\n",
        "{format: 1, app: shop, instances: {a: {host: a},}}\n",
        "{\n  format: 1,\n  app: shop,\n  instances: {\n    a: {host: a},  # first\n  },\n}\n",
        "\ufeffformat: 1\r\napp: shop\r\ninstances:\r\n  a: {host: a}  # first\r\n\r\n# end\r\n",
        "format: 1\napp: shop\ninstances:\n  a:\n    host: a\n    tls: required",
        "---\nformat: 1\napp: shop\ninstances:\n    a: {host: a}\n...\n",
    ],
)
def test_an_instance_can_be_added_to_every_form_of_text(text: str):
    new = add_instance(text, "new", {"host": "db"})

    assert Config.parse(new).instance("new").endpoint.host == "db"
    assert set(Config.parse(new).instances) == {*Config.parse(text).instances, "new"}


@pytest.mark.parametrize(
    ("text", "name", "left"),
    [
        ("app: x\ninstances: {a: {host: a}, b: {host: b}}\n", "a", "{b: {host: b}}"),
        ("app: x\ninstances: {a: {host: a}, b: {host: b}}\n", "b", "{a: {host: a}}"),
        ("app: x\ninstances: {a: {host: a}, b: {host: b},}\n", "b", "{a: {host: a}, }"),
        ("app: x\ninstances: {a: {host: a}}\n", "a", "{}"),
        (
            "app: x\ninstances: {\n  a: {host: a},  # A\n  b: {host: b}\n}\n",
            "a",
            "{\n  b: {host: b}\n}",
        ),
    ],
)
def test_an_entry_in_braces_leaves_with_its_comma(text: str, name: str, left: str):
    assert remove_instance(text, name) == f"app: x\ninstances: {left}\n"


def test_line_ends_of_the_file_are_kept():
    text = "format: 1\r\napp: shop\r\ninstances:\r\n  a: {host: a}\r\n"

    assert add_instance(text, "b", {"host": "b"}) == text + "  b: {host: b}\r\n"


def test_a_text_that_aliases_what_is_edited_is_refused():
    text = "instances: &i {a: {host: a}}\nshards: *i\n"

    with pytest.raises(RefusedError, match="cannot be edited in place"):
        add_shard(text, "s", {"instance": "a"})


@given(
    st.dictionaries(
        st.sampled_from(["host", "url", "user", "password_file", "tls"]),
        st.text(max_size=20) | st.integers() | st.booleans(),
        min_size=1,
    )
)
def test_any_value_is_written_so_that_it_reads_back_or_refused(values: dict[str, object]):
    try:
        new = add_instance(COMMENTED, "new", values)
    except RefusedError:
        return

    assert [line[0] for line in changes(COMMENTED, new)] == ["+"]
    assert remove_instance(new, "new") == COMMENTED


def test_first_mapping_is_written_line_by_line() -> None:
    values = {
        "key": {"column": "store_id", "type": "int"},
        "tables": ["orders"],
        "slots": {"count": 4, "owners": {"s1": "0-3"}},
    }

    edited = add_mapping("format: 1\napp: shop\n", "by_store", values)

    assert edited.splitlines()[2:] == [
        "mappings:",
        "  by_store:",
        "    key: {column: store_id, type: int}",
        "    tables: [orders]",
        '    slots: {count: 4, owners: {s1: "0-3"}}',
    ]
