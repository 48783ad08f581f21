"""Reading a configuration: what it means, and what is said about each mistake."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardhash.db.config import Config, Origin, _models
from shardhash.db.topology import (
    Backend,
    KeyType,
    PasswordKind,
    RangeRule,
    RingRule,
    SlotRule,
    TlsMode,
)
from shardhash.errors import ConfigError, Problem, UsageError

SAMPLE = """\
format: 1
app: shop
map_max_age_s: 30
setup:
  app_user: {user: myapp, password: "${MYAPP_PASSWORD}", host: "%"}
instances:
  local: {url: "mysql://root@127.0.0.1:3306", password_file: /run/secrets/db}
  east:  {dsn: "mysql:host=10.0.0.5;port=3307", user: ops, option_file: ~/.my.cnf, tls: verify}
  disk:  {url: "sqlite:///./shards"}
shards:
  s1: {instance: local, database: shop_s1, read: [{url: "mysql://reader1:3306"}]}
  s2: {instance: east, database: shop_s2}
mappings:
  by_store:
    key: {column: store_id, type: int}
    tables: [orders, {name: order_items, key: shop_id}]
    global_tables: [countries]
    slots: {count: 16384, owners: {s1: "0-8191", s2: "8192-16383"}, weights: {}}
    partitions: 16
  by_day:
    key: {column: day, type: date}
    tables: [visits]
    global_tables: [countries]
    ranges: {bounds: [2026-01-01], shards: [s1, s2]}
  by_token:
    key: {column: token, type: bytes}
    tables: [sessions]
    ring: {nodes: {s1: 1, s2: 2}}
store: {url: "mongodb://config.example/shardhash"}
"""

SMALL = """\
format: 1
app: shop
instances:
  local: {url: "mysql://root@127.0.0.1:3306"}
shards:
  s1: {instance: local, database: shop_s1}
  s2: {instance: local, database: shop_s2}
mappings:
  by_store:
    key: {column: store_id, type: int}
    tables: [orders]
    slots: {count: 8, owners: {s1: "0-3", s2: "4-7"}}
"""


def problems(text: str, **options: object) -> list[str]:
    """Return the problems of a text as ``line:column: path: message``."""
    with pytest.raises(ConfigError) as caught:
        Config.parse(text, source="f", **options)
    return [str(problem).removeprefix("f:") for problem in caught.value.problems]


def changed(old: str, new: str) -> str:
    """Return SMALL with one piece replaced."""
    assert SMALL.count(old) == 1
    return SMALL.replace(old, new)


def test_the_sample_gives_each_instance_its_address_and_login():
    config = Config.parse(SAMPLE, base_dir="/srv/app")

    local, east = config.instance("local").endpoint, config.instance("east").endpoint
    assert (local.host, local.port, local.user, local.tls) == (
        "127.0.0.1",
        3306,
        "root",
        TlsMode.DISABLED,
    )
    assert (east.host, east.port, east.user, east.tls) == (
        "10.0.0.5",
        3307,
        "ops",
        TlsMode.VERIFY,
    )
    assert (local.password.kind, local.password.value) == (PasswordKind.FILE, "/run/secrets/db")
    assert (east.password.kind, east.password.value) == (PasswordKind.OPTION_FILE, "~/.my.cnf")


def test_a_sqlite_directory_is_relative_to_the_file():
    disk = Config.parse(SAMPLE, base_dir="/srv/app").instance("disk")

    assert (disk.backend, disk.directory) == (Backend.SQLITE, "/srv/app/shards")


def test_a_read_endpoint_logs_in_as_its_instance():
    reader = Config.parse(SAMPLE).shard("s1").read[0]

    assert (reader.host, reader.user, reader.password.kind) == ("reader1", "root", "file")


def test_the_sample_gives_each_mapping_its_rule():
    config = Config.parse(SAMPLE)

    slots, days, ring = (config.mapping(m).rule for m in ("by_store", "by_day", "by_token"))
    assert isinstance(slots, SlotRule)
    assert (slots.slot_count, slots.owners[8191], slots.owners[8192]) == (16_384, "s1", "s2")
    assert days == RangeRule(bounds=(date(2026, 1, 1),), shards=("s1", "s2"))
    assert ring == RingRule(nodes={"s1": 1.0, "s2": 2.0})


def test_a_table_has_the_key_column_of_its_mapping_unless_it_names_another():
    tables = Config.parse(SAMPLE).mapping("by_store").tables

    assert [(table.name, table.key) for table in tables] == [
        ("orders", "store_id"),
        ("order_items", "shop_id"),
    ]


def test_a_configuration_without_shards_is_valid():
    assert Config.parse("format: 1\napp: shop\n").shards == {}


def test_a_file_that_only_points_to_a_store_is_valid():
    config = Config.parse("store: {url: 'mongodb://config.example/shardhash', app: shop}\n")

    assert config.is_pointer
    assert (config.store.url, config.store.app) == ("mongodb://config.example/shardhash", "shop")


def test_an_unknown_name_where_there_is_none_is_to_be_added():
    with pytest.raises(UsageError) as caught:
        Config.parse("format: 1\napp: shop").shard("s1")

    assert caught.value.next_step == "add the shard to the configuration first"


def test_an_empty_store_points_nowhere():
    assert not Config.parse(SMALL + "store: null\n").warnings
    with pytest.raises(ConfigError, match="format: is missing"):
        Config.parse("store: null")


def test_unknown_names_are_answered_with_the_ones_there_are():
    config = Config.parse(SMALL)

    with pytest.raises(UsageError, match=r"unknown shard 's3'.*the configuration has s1, s2"):
        config.shard("s3")


def test_equal_texts_from_different_places_are_equal_configurations():
    assert Config.parse(SMALL, source="a", version="1") == Config.parse(SMALL, source="b")


TWELVE = """\
format: 1
app: shop
instnces: {}
instances:
  local: {url: "mysql://root@127.0.0.1:33o6"}
  east: {dsn: "mysql:host=10.0.0.5;prt=3306"}
  west: {host: west, tls: verfy}
shards:
  s1: {instance: locl, database: shop_s1}
  s2: {instance: east, database: "shop.s2"}
  s3: {instance: west, database: shop_s3}
  s4: {instance: west, database: shop_s3}
mappings:
  by_store:
    key: {column: store_id, type: integer}
    tables: [orders, {name: items, ky: store_id}]
    slots: {count: 16, owners: {s1: "0-8", s3: "8-14"}}
  by_day:
    key: {column: day, type: date}
    tables: [orders]
    ranges: {bounds: [2026-01-02, 2026-01-01], shards: [s1, s3, s9]}
"""


def test_fourteen_mistakes_are_reported_at_once_with_their_places():
    assert problems(TWELVE) == [
        (
            "3:1: instnces: unknown key (did you mean instances?); known here: format, app, "
            "map_max_age_s, setup, instances, shards, mappings, store, last_ordinal, takeovers"
        ),
        (
            "5:16: instances.local.url: the port must be a number from 1 to 65535; write the signs "
            "/ @ : ? # in a password as %2F %40 %3A %3F %23"
        ),
        (
            "6:15: instances.east.dsn: part 2 is not name=value with a name of host, port, "
            "unix_socket, dbname, user, password"
        ),
        (
            "7:27: instances.west.tls: must be one of disabled, preferred, required, verify "
            "(did you mean verify?)"
        ),
        (
            "9:18: shards.s1.instance: no such instance (did you mean local?); there are east, "
            "local, west"
        ),
        "10:34: shards.s2.database: must be letters, digits, _, $ or -, at most 54",
        "12:34: shards.s4.database: is the database of shard s3 too; a shard has one of its own",
        (
            "15:35: mappings.by_store.key.type: must be one of int, str, bytes, uuid, uuid16, "
            "date, datetime (did you mean int?)"
        ),
        (
            "16:36: mappings.by_store.tables[1].ky: unknown key (did you mean key?); known here: "
            "name, key"
        ),
        "17:32: mappings.by_store.slots.owners: no shard owns the slots 15; give them to one",
        "17:48: mappings.by_store.slots.owners.s3: slots 8 belong to s1 too; take them from one",
        (
            "20:14: mappings.by_day.tables[0]: table orders is in tables of mapping by_store "
            "already; keep one of the two"
        ),
        (
            "21:35: mappings.by_day.ranges.bounds[1]: bounds must ascend; this one is not above "
            "the one before it"
        ),
        "21:65: mappings.by_day.ranges.shards[2]: no such shard; there are s1, s2, s3, s4",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("format: 1\n", "format: 9\n", "1:9: format: format 9 needs a shardhash newer than"),
        ("format: 1\n", "format: 0\n", "1:9: format: format 0 was never in use; write format: 1"),
        ("format: 1\n", "format: '1'\n", "1:9: format: must be a whole number, found text"),
        ("format: 1\n", "", "1:1: format: is missing; write format: 1"),
        ("app: shop\n", "", "1:1: app: is missing; write app: NAME"),
        ("app: shop\n", "app: sh.op\n", "2:6: app: must be a letter, then letters"),
        ("app: shop\n", "app: shop\nmap_max_age_s: 0\n", "3:16: map_max_age_s: must be > 0"),
        ("app: shop\n", "app: shop\nmap_max_age_s: 1e999\n", "must be a finite number"),
        (
            "app: shop\n",
            "app: shop\napp: x\n",
            "3:1: app: is written twice; the first is in line 2",
        ),
        ("  s2: {", "  s1: {", "7:3: shards.s1: is written twice; the first is in line 6"),
        ("  s2: {", "  S1: {", "7:3: shards.S1: differs from s1 in case only"),
        ("shop_s1}", "shop_s1, datbase: x}", "did you mean database?"),
        ("database: shop_s1", "database: 2026-01-01", "must be text, found a date; put it in"),
        ("database: shop_s1", "database: mysql", "is a database of the server itself"),
        ("database: shop_s1", "database: x_shardhash", "names that end in _shardhash are"),
        ("database: shop_s1", "database: 'a`b'", "must be letters, digits, _, $ or -"),
        ("tables: [orders]", "tables: [_shardhash_fence]", "belong to the tool"),
        ("tables: [orders]", "tables: ['a;drop']", "must be letters, digits"),
        ("tables: [orders]", "tables: []", "must be a list of tables, found an empty one"),
        ("tables: [orders]", "tables: [orders, Orders]", "as orders, and servers differ on case"),
        ("tables: [orders]", "tables: [orders]\n    global_tables: [orders]", "already; keep one"),
        ("tables: [orders]", "tables: [orders]\n    partitions: 3", "must divide 8"),
        ("tables: [orders]", "tables: [orders]\n    unowned: {s1: '0-4'}", "slots 0-3 are its own"),
        ("tables: [orders]", "tables: [orders]\n    unowned: {s1: '8'}", "slots 8 are beyond 7"),
        ("type: int", "type: int, equality: bytes", "is for keys of type str"),
        ("type: int", "type: datetime", "datetime keys go with ranges only"),
        ("column: store_id", "column: 'a b'", "must be a letter or _"),
        ("{count: 8,", "{count: 9,", "must be a power of two from 1 to 65536, found 9"),
        ("{count: 8,", "{count: 8, scheme: xxh64,", "must be one of crc32"),
        ("{count: 8,", "{count: 8, weights: {s1: 0},", "must be above 0 and at most"),
        ("{count: 8,", "{count: 8, weights: {s1: .inf},", "must be a number, found text"),
        ('"4-7"', '"4-8"', "slots 8 are beyond 7, the last of 8"),
        ('"4-7"', '"7-4"', "mappings.by_store.slots.owners.s2"),
        ('"4-7"', "[4, 5]", "must be slots such as"),
        ('"4-7"', '"4-99999999999999999999"', "mappings.by_store.slots.owners.s2"),
        (
            "    slots: {count",
            "    ring: {nodes: {s1: 1}}\n    slots: {count",
            "has slots and ring; write one of slots, ranges, ring",
        ),
        ("127.0.0.1:3306", "127.0.0.1:3306/shop", "names a database; an instance is a server"),
        ("mysql://root@127", "postgresql://root@127", "must be mysql, mysql+pymysql, mariadb"),
        ("mysql://root@127", "mysql+asyncmy://root@127", "must be mysql, mysql+pymysql, mariadb"),
        ("root@127.0.0.1:3306", "${DB_USER}@db", "${...} is read in a password only"),
        ("root@127.0.0.1:3306", "", "names no host and no unix_socket"),
        ("root@127.0.0.1:3306", "db/?ssl=1", "of URL options only ?unix_socket=PATH is"),
        ("root@127.0.0.1:3306", "a b", "the host must be a name or an IP address"),
        ('{url: "mysql://root@127.0.0.1:3306"}', "{}", "has no address; write one of url, dsn"),
        ('3306"}', '3306", dsn: "mysql:host=x"}', "has url and dsn; write one of"),
        ('3306"}', '3306", user: x}', "stands in the address too; keep one"),
        ('3306"}', '3306", user: x, username: y}', "is another word for user"),
        ('"mysql://root@127.0.0.1:3306"', '"sqlite://:memory:"', "has three slashes"),
        ('"mysql://root@127.0.0.1:3306"', '"sqlite:////d", user: x', "has no meaning for SQLite"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_do(old: str, new: str, expected: str):
    found = problems(changed(old, new))

    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: file: holds nothing"),
        ("# nothing\n", "1:1: file: holds nothing"),
        ("[1, 2]", "must be a mapping (key: value), found a list"),
        ("a: [1", "not YAML"),
        ("a: b: c", "not YAML"),
        ("\tx: 1", "not YAML"),
        ("a: \x07", "1:4: file: a character stands here that YAML does not allow"),
        ("app: !!python/object/apply:os.system ['true']", "a YAML tag"),
        ("a: 1\n---\nb: 2", "a second document starts here"),
        ("a: *x", "an alias (*...) without its anchor"),
        ("a: &a [*a]", "an alias (*...) without its anchor"),
        ("? [1]\n: 2", "a key must be a word"),
        ("a: " + "[" * 40 + "]" * 40, "nested deeper than"),
        ("a: " + "[" * 100_000, "nested deeper than"),
        ("a: x" + "x" * 4_194_304, "at most 4194304 are read"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(text: str, expected: str):
    assert expected in problems(text)[0]


def test_aliases_that_grow_are_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    assert "more than" in problems("\n".join(lines))[0]


def test_a_few_aliases_are_read_as_what_they_stand_for():
    text = changed(
        "shop_s1}\n  s2: {instance: local, database: shop_s2}",
        "shop_s1, read: &r [{host: r1}]}\n  s2: {instance: local, database: shop_s2, read: *r}",
    )

    assert Config.parse(text).shard("s2").read[0].host == "r1"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ('url: "mysql://db"', ("db", 3306, None, None)),
        ('url: "mysql+pymysql://u@db:1"', ("db", 1, "u", None)),
        ('url: "mariadb://u%40x@[::1]:3307/"', ("::1", 3307, "u@x", None)),
        (
            'url: "mysql://u@localhost/?unix_socket=/run/my.sock"',
            ("localhost", 3306, "u", "/run/my.sock"),
        ),
        ('dsn: "mysql:host=db;port=3307;user=u"', ("db", 3307, "u", None)),
        ('dsn: "mysql:unix_socket=/run/my.sock"', ("localhost", 3306, None, "/run/my.sock")),
        ("host: db, port: 3308, username: u", ("db", 3308, "u", None)),
        ("socket: /run/my.sock, user: u", ("localhost", 3306, "u", "/run/my.sock")),
    ],
)
def test_every_form_of_address_is_read(address: str, expected: tuple[object, ...]):
    config = Config.parse(changed('url: "mysql://root@127.0.0.1:3306"', address))

    found = config.instance("local").endpoint
    assert (found.host, found.port, found.user, found.unix_socket) == expected


@pytest.mark.parametrize("directory", ["url: 'sqlite:////srv/x'", "dsn: 'sqlite:/srv/x'"])
def test_every_form_of_sqlite_directory_is_read(directory: str):
    config = Config.parse(changed('url: "mysql://root@127.0.0.1:3306"', directory))

    assert config.instance("local").directory == "/srv/x"


@pytest.mark.parametrize(
    ("address", "tls"),
    [
        ("host: localhost", "disabled"),
        ("host: 127.8.9.1", "disabled"),
        ("url: 'mysql://[::1]'", "disabled"),
        ("unix_socket: /run/my.sock", "disabled"),
        ("host: localhost.example.com", "verify"),
        ("host: 10.0.0.1", "verify"),
        ("host: 10.0.0.1, tls: preferred", "preferred"),
    ],
)
def test_tls_is_verified_by_default_except_on_this_machine(address: str, tls: str):
    config = Config.parse(changed('url: "mysql://root@127.0.0.1:3306"', address))

    assert config.instance("local").endpoint.tls == tls


def test_two_names_of_one_server_do_not_hide_a_shared_database():
    text = changed("shards:\n", "  same: {host: localhost, port: 3306}\nshards:\n").replace(
        "{instance: local, database: shop_s2}", "{instance: same, database: shop_s1}"
    )

    assert "is the database of shard s1 too" in problems(text)[0]


@pytest.mark.parametrize(
    ("key_type", "bounds", "expected"),
    [
        ("int", "[-5, 18446744073709551615]", (-5, 18446744073709551615)),
        ("str", '["a", "b"]', ("a", "b")),
        ("bytes", '["0x00ff", "b"]', (b"\x00\xff", b"b")),
        (
            "uuid",
            "[00000000-0000-0000-0000-00000000000A, 123E4567-e89b-12d3-a456-426614174000]",
            ("00000000-0000-0000-0000-00000000000a", "123e4567-e89b-12d3-a456-426614174000"),
        ),
        ("date", "[2026-01-01, 2026-01-02]", (date(2026, 1, 1), date(2026, 1, 2))),
    ],
)
def test_bounds_are_read_as_canonical_keys(key_type: str, bounds: str, expected: object):
    text = changed("type: int", f"type: {key_type}").replace(
        'slots: {count: 8, owners: {s1: "0-3", s2: "4-7"}}',
        f"ranges: {{bounds: {bounds}, shards: [s1, s2, s1]}}",
    )

    assert Config.parse(text).mapping("by_store").rule.bounds == expected


@pytest.mark.parametrize(
    ("key_type", "bound"),
    [
        ("int", "1.5"),
        ("int", "'5'"),
        ("int", "true"),
        ("int", "18446744073709551616"),
        ("str", "5"),
        ("bytes", '"0x0"'),
        ("uuid", "abc"),
        ("date", "2026-01-01 10:00:00"),
        ("date", "2026-02-30"),
        ("datetime", "2026-01-01T10:00:00Z"),
    ],
)
def test_a_bound_of_another_type_is_refused(key_type: str, bound: str):
    text = changed("type: int", f"type: {key_type}").replace(
        'slots: {count: 8, owners: {s1: "0-3", s2: "4-7"}}',
        f"ranges: {{bounds: [{bound}], shards: [s1, s2]}}",
    )

    assert f"a bound of {key_type} keys must be" in problems(text)[0]


def test_a_mapping_without_a_key_still_has_its_slots_checked():
    text = changed("    key: {column: store_id, type: int}\n", "").replace('"4-7"', '"5-7"')

    assert [problem.partition(": ")[2][:45] for problem in problems(text)] == [
        "mappings.by_store.key: is missing; write key:",
        "mappings.by_store.slots.owners: no shard owns",
    ]


def test_unowned_slots_are_known_by_mapping_and_shard():
    text = changed("    tables: [orders]\n", "    tables: [orders]\n    unowned: {s2: '0-1'}\n")

    assert str(Config.parse(text).unowned["by_store"]["s2"]) == "0-1"


def test_a_shared_text_has_no_directory_to_be_relative_to():
    text = changed('"mysql://root@127.0.0.1:3306"', '"sqlite:///shards"')

    found = problems(text, base_dir=None, origin=Origin.SHARED)

    assert "must be an absolute directory here" in found[0]


def test_a_byte_order_mark_is_no_mistake():
    assert Config.parse("\ufeff" + SMALL) == Config.parse(SMALL)


def parse_or_problems(text: str) -> Config | tuple[Problem, ...]:
    try:
        return Config.parse(text)
    except ConfigError as error:
        return error.problems


@given(st.text(max_size=200))
def test_any_text_gives_a_configuration_or_problems_with_places(text: str):
    found = parse_or_problems(text)

    assert isinstance(found, Config) or all(p.line >= 1 and p.column >= 1 for p in found)


_WORDS = st.sampled_from(
    [*SMALL.replace("\n", " ").split(), "{", "}", "[", "]", ":", ",", "null", "1", "''", "\n", "  "]
)


@given(st.lists(_WORDS, max_size=40).map(" ".join))
def test_any_shuffle_of_its_words_gives_a_configuration_or_problems(text: str):
    assert parse_or_problems(text)


@pytest.mark.parametrize("position", range(0, len(SAMPLE), 7))
def test_a_cut_file_never_fails_otherwise_than_with_problems(position: int):
    assert parse_or_problems(SAMPLE[:position])


@pytest.mark.parametrize("kind", list(KeyType))
def test_every_key_type_is_read(kind: KeyType):
    text = changed("type: int", f"type: {kind}").replace(
        'slots: {count: 8, owners: {s1: "0-3", s2: "4-7"}}', "ranges: {bounds: [], shards: [s1]}"
    )

    assert Config.parse(text).mapping("by_store").key.type is kind


def test_load_reads_a_file_and_knows_its_version(tmp_path: Path):
    path = tmp_path / "shardhash.yaml"
    path.write_text(SMALL)

    config = Config.load(path)

    assert (config.app, len(config.version), config.source) == ("shop", 64, str(path))


def parts_of_a_configuration() -> Iterator[type[_models.Part]]:
    for model in vars(_models).values():
        if isinstance(model, type) and issubclass(model, _models.Part):
            yield model


@pytest.mark.parametrize("model", list(parts_of_a_configuration()))
def test_every_key_and_alias_is_in_the_reference(model: type[_models.Part]):
    reference = (Path(__file__).parents[2] / "docs/reference/configuration.md").read_text()

    keys = {*model.model_fields, *model.aliases} - {"username", "pass", "socket", "dbname"}
    assert {key for key in keys if not re.search(rf"\b{key}\b", reference)} == set()
    assert {alias for alias in model.aliases if f"`{alias}`" not in reference} == set()


def test_the_sample_of_the_reference_is_valid():
    reference = (Path(__file__).parents[2] / "docs/reference/configuration.md").read_text()

    sample = reference.partition("```yaml\n")[2].partition("```")[0]
    assert Config.parse(sample).warnings == ()
