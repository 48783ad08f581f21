"""``instance add``, ``list`` and ``remove`` through the real command, and the files they leave."""

import stat
from difflib import ndiff
from pathlib import Path

import pytest

from command_line import Run, Shop

COMMENTED = """\
# The fleet of the shop.
format: 1
app: shop   # do not rename

instances:
  # in the cellar
  disk: {url: "sqlite:///./shards"}   # slow

  east: {dsn: 'mysql:host=10.0.0.5;port=3306', user: ops}
# the next two are twins
shards:
  s1: {instance: disk, database: shop_1}   # old
  s2: {instance: disk, database: shop_2}
"""


@pytest.fixture
def path(directory: Path) -> Path:
    path = directory / "shardhash.yaml"
    path.write_text(COMMENTED)
    return path


def changed_lines(before: str, after: str) -> list[str]:
    return [line for line in ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


def test_add_changes_only_its_own_line(run: Run, path: Path) -> None:
    ended = run("instance", "add", "west", "--url", "mysql://ops@10.0.0.6:3306", "--tls", "verify")

    assert ended.exit_code == 0, ended.stderr
    assert changed_lines(COMMENTED, path.read_text()) == [
        '+   west: {url: "mysql://ops@10.0.0.6:3306", tls: verify}'
    ]


def test_the_answer_shows_the_change(run: Run, path: Path) -> None:
    ended = run("instance", "add", "west", "--url", "mysql://10.0.0.6", "--user", "ops")

    assert ended.stdout.startswith("instance west added, shardhash.yaml\n")
    assert '+  west: {url: "mysql://10.0.0.6", user: ops}' in ended.stdout


def test_add_keeps_windows_line_ends_and_a_missing_last_one(run: Run, path: Path) -> None:
    text = COMMENTED.rstrip("\n").replace("\n", "\r\n")
    path.write_bytes(text.encode())

    run("instance", "add", "west", "--url", "mysql://10.0.0.6")

    lines = path.read_bytes().decode().split("\r\n")
    assert [line for line in lines if line not in text.split("\r\n")] == [
        '  west: {url: "mysql://10.0.0.6"}'
    ]
    assert not any("\n" in line for line in lines)


def test_add_keeps_the_mode_of_the_file(run: Run, path: Path) -> None:
    path.chmod(0o640)

    run("instance", "add", "west", "--url", "mysql://10.0.0.6")

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("option", "value", "written"),
    [
        ("--password-variable", "OPS", '"${OPS}"'),
        ("--secret", "east_ops", "{secret: east_ops}"),
        ("--password-file", "/run/db", '"/run/db"'),
        ("--option-file", "~/.my.cnf", '"~/.my.cnf"'),
    ],
)
def test_a_password_is_named_not_given(
    run: Run, path: Path, option: str, value: str, written: str
) -> None:
    ended = run("instance", "add", "west", "--url", "mysql://ops@10.0.0.6", option, value)

    assert ended.exit_code == 0, ended.stderr
    assert written in path.read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("--url", "mysql://ops:hunter2-Xq@10.0.0.6:3306"),
        ("--url", "mysql://ops:a${OPS}hunter2-Xq@10.0.0.6:3306"),
        ("--url", "mysql://ops:${OPS:-hunter2-Xq}@10.0.0.6:3306"),
        ("--url", "mysql://ops:hunter2-Xq@10.0.0.6:nonsense"),
        ("--dsn", "mysql:host=10.0.0.6;password=hunter2-Xq"),
        ("--dsn", "mysql:host=10.0.0.6;pass=hunter2-Xq;oops"),
    ],
)
def test_a_password_in_the_address_is_refused_and_not_repeated(
    run: Run, path: Path, words: tuple[str, str]
) -> None:
    ended = run("instance", "add", "west", *words)

    assert ended.exit_code == 3
    assert "hunter2" not in ended.stdout + ended.stderr
    assert path.read_text() == COMMENTED


def test_a_reference_in_the_address_is_taken(run: Run, path: Path) -> None:
    assert run("instance", "add", "w", "--url", "mysql://ops:${OPS}@10.0.0.6").exit_code == 0


def test_add_of_a_name_that_is_taken_is_a_mistake_of_usage(run: Run, path: Path) -> None:
    ended = run("instance", "add", "east", "--url", "mysql://10.0.0.6")

    assert ended.exit_code == 2
    assert path.read_text() == COMMENTED


def test_an_instance_without_an_address_is_refused(run: Run, path: Path) -> None:
    ended = run("instance", "add", "west", "--user", "ops")

    assert ended.exit_code == 3
    assert "write one of url, dsn" in ended.stderr
    assert path.read_text() == COMMENTED


def test_remove_is_refused_while_shards_are_on_it(run: Run, path: Path) -> None:
    ended = run("instance", "remove", "disk")

    assert ended.exit_code == 3
    assert "it is used by shard s1, shard s2" in ended.stderr
    assert path.read_text() == COMMENTED


def test_remove_takes_out_only_its_own_line(run: Run, path: Path) -> None:
    assert run("instance", "remove", "east").exit_code == 0

    assert [line[2:8] for line in changed_lines(COMMENTED, path.read_text())] == ["  east"]


def test_remove_of_an_unknown_name_tells_which_exist(run: Run, path: Path) -> None:
    ended = run("instance", "remove", "eest")

    assert ended.exit_code == 2
    assert "did you mean east?" in ended.stderr


def test_list_tells_addresses_and_shards(run: Run, path: Path) -> None:
    instances = run("instance", "list", "--json").envelope["data"]["instances"]

    assert [(each["name"], each["shards"]) for each in instances] == [
        ("disk", ["s1", "s2"]),
        ("east", []),
    ]
    assert instances[1]["tls"] == "verify"
    assert instances[1]["address"] == "10.0.0.5:3306"


def test_check_of_a_directory_tells_which_files_are_missing(run: Run, shop: Shop) -> None:
    (shop.directory / "shards" / "shop_2.db").unlink()

    facts = run("instance", "check", "disk", "--json").envelope["data"]["instances"][0]["facts"]

    assert facts["is_writable"]
    assert facts["missing"] == ["shop_2"]


def test_setup_of_a_directory_says_that_it_has_no_accounts(run: Run, path: Path) -> None:
    ended = run("instance", "setup", "disk")

    assert ended.exit_code == 2
    assert "have no accounts" in ended.stderr
