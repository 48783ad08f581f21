"""Passwords are found where the configuration says, or missed with a message that helps."""

import shutil
import subprocess
from pathlib import Path

import pytest

from shardhash.db.drivers import Secrets
from shardhash.db.topology import PasswordKind, PasswordSource
from shardhash.errors import UsageError

PLANTED = "S3cret-Planted"

OPTION_VALUES = [
    "plain",
    '"quoted # not a comment" # a comment',
    "'single # quoted'",
    "cut#here",
    "cut # here",
    r"a\sb\\c\tq",
    "'x\"y'",
    'in"ner"q',
    '"unbalanced',
    r'"esc\"aped"',
    r'"esc\"#aped"',
    '"q\'uo"te"',
    "trailing   ",
    "=starts=with=equals",
    '""',
    "'",
    '"',
    r"un\known",
    "pä§§wörd",
]


def password(source: PasswordSource, environ: dict[str, str] | None = None) -> str:
    return Secrets(environ or {}).password(source, owner="instance east")


def text_source(text: str) -> PasswordSource:
    return PasswordSource(PasswordKind.TEXT, text)


def file_source(kind: PasswordKind, path: Path) -> PasswordSource:
    return PasswordSource(kind, str(path))


def secrets_file(tmp_path: Path, text: str, mode: int = 0o600) -> dict[str, str]:
    path = tmp_path / "secrets"
    path.write_text(text)
    path.chmod(mode)
    return {"SHARDHASH_SECRETS_FILE": str(path)}


def test_no_source_is_an_empty_password() -> None:
    assert password(PasswordSource()) == ""


def test_a_variable_is_replaced() -> None:
    assert password(text_source("a${PW}z"), {"PW": "-"}) == "a-z"


def test_an_unset_variable_is_named_with_its_instance() -> None:
    with pytest.raises(UsageError, match=r"instance east.*\$\{GHOST\}") as caught:
        password(text_source(f"{PLANTED}${{GHOST}}"))
    assert caught.value.next_step == "export GHOST"
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_file_is_read_without_its_line_end(tmp_path: Path, end: str) -> None:
    path = tmp_path / "password"
    path.write_bytes(f" {PLANTED} {end}".encode())

    assert password(file_source(PasswordKind.FILE, path)) == f" {PLANTED} "


def test_a_password_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "password"
    found = []
    for text in ("old", "new"):
        path.write_text(text)
        found.append(password(file_source(PasswordKind.FILE, path)))

    assert found == ["old", "new"]


@pytest.mark.parametrize("kind", [PasswordKind.FILE, PasswordKind.OPTION_FILE])
def test_a_missing_file_is_named(tmp_path: Path, kind: PasswordKind) -> None:
    with pytest.raises(UsageError, match=r"instance east, .*/ghost: No such file"):
        password(file_source(kind, tmp_path / "ghost"))


def test_a_file_of_other_bytes_than_text_is_refused_without_them(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(PLANTED.encode() + b"\xff")

    with pytest.raises(UsageError, match="not UTF-8") as caught:
        password(file_source(PasswordKind.FILE, path))
    assert PLANTED not in repr(caught.getrepr(style="long"))


@pytest.mark.server
@pytest.mark.parametrize("value", OPTION_VALUES)
def test_an_option_file_is_read_as_the_servers_clients_read_it(tmp_path: Path, value: str) -> None:
    reader = shutil.which("my_print_defaults")
    if reader is None:
        pytest.fail("my_print_defaults not found: apt-get install mariadb-server")
    path = tmp_path / "my.cnf"
    path.write_text(f"[client]\npassword = {value}\n")

    printed = subprocess.run(
        [reader, f"--defaults-file={path}", "client"], capture_output=True, text=True, check=True
    ).stdout
    expected = printed.removeprefix("--password=").removesuffix("\n")
    assert password(file_source(PasswordKind.OPTION_FILE, path)) == expected


def test_an_option_file_gives_user_and_password_of_its_client_section(tmp_path: Path) -> None:
    path = tmp_path / "my.cnf"
    path.write_text(
        "[mysqld]\nuser=mysql\npassword=wrong\n# password=wrong\n!includedir /etc\n"
        f"[Client]\nPassword={PLANTED}\nuser=ops\n[mysqldump]\npassword=wrong\n"
    )
    source = file_source(PasswordKind.OPTION_FILE, path)

    assert password(source) == PLANTED
    assert Secrets({}).user(source, owner="instance east") == "ops"


def test_an_option_file_without_password_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "my.cnf"
    path.write_text("[client]\nuser=ops\n")

    with pytest.raises(UsageError, match=r"has no password in its \[client\] section"):
        password(file_source(PasswordKind.OPTION_FILE, path))


def test_a_named_secret_is_an_environment_variable() -> None:
    source = PasswordSource(PasswordKind.SECRET, "east-ops")

    assert password(source, {"SHARDHASH_SECRET_EAST_OPS": PLANTED}) == PLANTED


def test_a_named_secret_is_a_line_of_the_secrets_file(tmp_path: Path) -> None:
    environ = secrets_file(tmp_path, f"# east=no\nwest=no\neast = {PLANTED}=x\n")

    assert password(PasswordSource(PasswordKind.SECRET, "east"), environ) == f"{PLANTED}=x"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_secrets_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    environ = secrets_file(tmp_path, f"east={PLANTED}\n", mode)

    with pytest.raises(UsageError, match=f"open to other users .mode {mode:04o}") as caught:
        password(PasswordSource(PasswordKind.SECRET, "east"), environ)
    assert PLANTED not in str(caught.value)


def test_a_missing_secret_names_both_places(tmp_path: Path) -> None:
    environ = secrets_file(tmp_path, f"west={PLANTED}\n")

    with pytest.raises(UsageError, match=r"SHARDHASH_SECRET_EAST nor in .*secrets") as caught:
        password(PasswordSource(PasswordKind.SECRET, "east"), environ)
    assert PLANTED not in str(caught.value)


def test_a_secrets_file_that_was_named_must_exist(tmp_path: Path) -> None:
    environ = {"SHARDHASH_SECRETS_FILE": str(tmp_path / "ghost")}

    with pytest.raises(UsageError, match=r"secrets file, .*ghost: No such file"):
        password(PasswordSource(PasswordKind.SECRET, "east"), environ)


def test_the_resolver_shows_nothing_of_the_environment() -> None:
    assert PLANTED not in repr(Secrets({"PW": PLANTED}))
