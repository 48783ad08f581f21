"""Where passwords may stand, and that none of them comes out again."""

import pickle
import traceback

import pytest

from shardhash.db.config import Config, Origin, mask_passwords
from shardhash.db.topology import PasswordKind, PasswordSource
from shardhash.errors import ConfigError, UsageError

PLANTED = "hunter2"

TEXT = """\
format: 1
app: shop
instances:
  local: {%s}
shards:
  s1: {instance: local, database: shop_s1}
"""

LITERALS = [
    f'host: db, user: u, password: "{PLANTED}"',
    f"host: db, user: u, pass: {PLANTED}",
    f'url: "mysql://u:{PLANTED}@db"',
    f'dsn: "mysql:host=db;user=u;password={PLANTED}"',
    f'host: db, user: u, password: "${{X}}{PLANTED}"',
]

HOSTILE = [
    f'url: "mysql://u:{PLANTED}@db:33o6"',
    f'url: "mysql://u:{PLANTED}/x@db"',
    f'url: "mysql://u:a@{PLANTED}:b@c d"',
    f'url: "mysql:/u:{PLANTED}@db"',
    f'url: "u:{PLANTED}@db"',
    f'url: "{PLANTED}://u@db"',
    f'url: "mysql://u:x@db?password={PLANTED}"',
    f'url: "mysql://u:x@db/{PLANTED}"',
    f'url: "mysql://${{{PLANTED}}}@db"',
    f"host: db, user: u, password:{PLANTED}",
    f'host: db, "mysql://u:{PLANTED}@db": 1',
    f'dsn: "mysql:host=db;{PLANTED}"',
    f'dsn: "mysql:host=db;password=a;b={PLANTED}"',
    f'dsn: "mysql:host={PLANTED} x"',
    f'dsn: "{PLANTED}"',
    f'url: "mysql://u:{PLANTED}@db", password: "{PLANTED}"',
    f'url: "mysql://db", user: u, password: ["{PLANTED}"]',
    f'url: "mysql://db", user: u, password: {{secert: {PLANTED}}}',
    f'url: "mysql://db", user: u, password: {{secret: "{PLANTED} x"}}',
    f'url: "mysql://db", user: u, password: "${{{PLANTED}"',
    f"url: 'mysql://db', user: u, password: a,{PLANTED}",
    f"url: 'mysql://db', user: u, passwrd: {PLANTED}",
    f"url: 'mysql://db', user: u, password: *{PLANTED}",
    f"url: 'mysql://db', user: u, password: !{PLANTED} x",
    f"url: 'mysql://db', user: u, password: &{PLANTED} &b x",
    f"url: 'mysql://db', user: u, password: '{PLANTED}",
    f"url: 'mysql://db', user: u, password: @{PLANTED}",
    f"url: 'mysql://db', user: u, password: \"\\{PLANTED}\"",
    f"url: 'mysql://db', user: u, tls: {PLANTED}",
    f"url: 'mysql://db', user: u, port: {PLANTED}",
]


def parse(instance: str, origin: Origin = Origin.PRIVATE) -> Config:
    return Config.parse(TEXT % instance, source="f", origin=origin)


@pytest.mark.parametrize("instance", LITERALS)
def test_a_literal_password_in_a_private_file_is_warned_about(instance: str):
    warnings = parse(instance).warnings

    assert [warning.line for warning in warnings] == [4]
    assert "keeps it apart" in warnings[0].message


@pytest.mark.parametrize("instance", LITERALS)
def test_a_literal_password_in_a_readable_file_is_refused(instance: str):
    with pytest.raises(ConfigError, match="in a file that other users can read"):
        parse(instance, Origin.READABLE)


@pytest.mark.parametrize("instance", LITERALS)
def test_a_literal_password_never_shows_in_a_value_or_warning(instance: str):
    config = parse(instance)

    shown = f"{config!r} {config} {config.warnings} {config.passwords} {config.masked_text}"
    assert PLANTED not in shown


def told(instance: str, origin: Origin) -> str:
    """Return everything that comes of reading a text: an error with its traceback, or values."""
    try:
        config = parse(instance, origin)
    except ConfigError as error:
        return "".join(traceback.format_exception(error)) + repr(error)
    return f"{config!r} {config.warnings}"


@pytest.mark.parametrize("origin", list(Origin))
@pytest.mark.parametrize("instance", HOSTILE)
def test_a_mistake_never_repeats_a_password(instance: str, origin: Origin):
    assert PLANTED not in told(instance, origin)


INVALID_BUT_MASKED = [
    f'url: "mysql://u:{PLANTED}@db:33o6"',
    f'url: "mysql://u:{PLANTED}/x@db"',
    f'url: "mysql:/u:{PLANTED}@db"',
    f'url: "u:{PLANTED}@db"',
    f'url: "mysql://u:${{X:-{PLANTED}}}@db"',
    f'dsn: "mysql:host=db;password=a;b={PLANTED}"',
    f'url: "mysql://db", password: ["{PLANTED}"]',
    f"url: 'mysql://db', passwrd: {PLANTED}",
    f"url: 'mysql://db', password: '{PLANTED}",
]


@pytest.mark.parametrize("instance", [*LITERALS, *INVALID_BUT_MASKED])
def test_masked_text_holds_no_password(instance: str):
    assert PLANTED not in mask_passwords(TEXT % instance)


def test_masking_leaves_everything_else():
    text = TEXT % 'url: "mysql://db", user: u, password: "${DB}"' + "# ä\r\n"

    assert mask_passwords(text) == text


@pytest.mark.parametrize(
    "login",
    [
        'password: "x"',
        'password: "${DB}"',
        "password_file: /run/secrets/db",
        "option_file: /etc/my.cnf",
    ],
)
def test_a_shared_text_takes_named_secrets_only(login: str):
    with pytest.raises(ConfigError, match=r"a shared configuration takes only password: \{secret"):
        parse(f"host: db, user: u, {login}", Origin.SHARED)


def test_a_shared_text_takes_a_named_secret():
    config = parse("host: db, user: u, password: {secret: east_ops}", Origin.SHARED)

    source = config.instance("local").endpoint.password
    assert (source.kind, source.value) == (PasswordKind.SECRET, "east_ops")


def test_unset_variables_are_told_with_their_places():
    config = parse('host: db, user: u, password: "${DB_PASSWORD}"', Origin.READABLE)

    (problem,) = config.unset_variables({})
    assert str(problem).startswith("f:4:40: instances.local.password: the environment variable")
    assert "DB_PASSWORD" in problem.message
    assert config.unset_variables({"DB_PASSWORD": ""}) == ()


def test_a_variable_with_a_default_is_never_unset():
    assert parse('host: db, user: u, password: "${DB:-dev}"').unset_variables({}) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "1"),
        ("x${A}y${B:-z}", "x1yz"),
        ("${E:-z}", "z"),
        ("$A $$ }", "$A $$ }"),
    ],
)
def test_references_are_replaced_as_a_shell_does(text: str, expected: str):
    source = PasswordSource(PasswordKind.TEXT, text)

    assert source.expand({"A": "1", "E": ""}) == expected


def test_an_unset_variable_is_named_when_it_is_needed():
    with pytest.raises(UsageError, match="DB_PASSWORD is not set"):
        PasswordSource(PasswordKind.TEXT, "${DB_PASSWORD}").expand({})


@pytest.mark.parametrize("text", ["${}", "${1A}", "${A", "${A:x}", "${A B}"])
def test_a_broken_reference_is_refused(text: str):
    with pytest.raises(ConfigError, match="a reference is"):
        parse(f"host: db, user: u, password: '{text}'")


def test_a_password_in_a_url_is_decoded_around_its_references():
    config = parse('url: "mysql://u:a%40${X:-b/c%40}@db"')

    assert config.instance("local").endpoint.password.value == "a@${X:-b/c%40}"


def test_a_configuration_can_be_pickled():
    config = parse("host: db")

    assert pickle.loads(pickle.dumps(config)) == config
