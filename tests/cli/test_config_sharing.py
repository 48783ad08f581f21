"""``config history``, ``show --version``, ``upload`` and ``download`` through the real command."""

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from command_line import SHOP, Run, Shop, owner_of

SHARED = """\
# the shop, for all machines
format: 1
app: shop   # do not rename
instances:
  disk: {{url: "sqlite:////{directory}/shards"}}   # absolute: every machine has it
shards:
  s1: {{instance: disk, database: shop_1}}
  s2: {{instance: disk, database: shop_2}}
mappings:
  by_store:
    key: {{column: store_id, type: int}}
    tables: [orders, {{name: order_items, key: store_id}}]
    slots: {{count: 16, owners: {{s1: "0-7", s2: "8-15"}}}}"""

ADD = ("instance", "add", "west", "--url", "mysql://ops@10.0.0.6:3306")


@pytest.fixture
def store(mongo_url: str, environment: dict[str, str]) -> str:
    """The URL of an empty store, whose password is a reference to the environment."""
    parts = urlsplit(mongo_url)
    if parts.password is None:
        return mongo_url
    environment["STORE_PASSWORD"] = unquote(parts.password)
    return mongo_url.replace(f":{parts.password}@", ":${STORE_PASSWORD}@")


@pytest.fixture
def text(shop: Shop) -> str:
    """A configuration fit for a store, written to the file; it has no line end at its end."""
    text = SHARED.format(directory=str(shop.directory).lstrip("/"))
    (shop.directory / "shardhash.yaml").write_text(text)
    return text


@pytest.fixture
def pointer(run: Run, shop: Shop, store: str, text: str) -> Path:
    """A file that holds only ``store:``; the configuration is uploaded."""
    ended = run("config", "upload", store)
    assert ended.exit_code == 0, ended.stderr
    path = shop.directory / "shardhash.yaml"
    path.write_text(f"store: {{url: {json.dumps(store)}}}\n")
    return path


def test_history_tells_who_changed_what(run: Run, shop: Shop) -> None:
    run(*ADD)

    versions = run("config", "history", "--json").envelope["data"]["versions"]

    assert len(versions) == 2
    assert '+  west: {url: "mysql://ops@10.0.0.6:3306"}' in versions[0]["difference"]
    assert "@" in versions[0]["author"]


def test_history_prints_as_many_versions_as_asked_for(run: Run, shop: Shop) -> None:
    run(*ADD)

    lines = run("config", "history", "--limit", "1").stdout.splitlines()

    assert len([line for line in lines if not line.startswith(" ")]) == 1


def test_history_of_no_version_is_a_mistake_of_usage(run: Run, shop: Shop) -> None:
    assert run("config", "history", "--limit", "0").exit_code == 2


def test_upload_tells_a_file_that_works_on_other_machines(
    run: Run, shop: Shop, store: str, text: str
) -> None:
    told = run("config", "upload", store).stdout

    path = shop.directory / "other.yaml"
    path.write_text(told.partition("holds only   ")[2])
    assert run("--config", "other.yaml", "shard", "list").exit_code == 0


def test_an_earlier_version_is_shown_as_it_was(run: Run, shop: Shop) -> None:
    run(*ADD)
    first = run("config", "history", "--json").envelope["data"]["versions"][1]["version"]

    assert run("config", "show", "--version", first).stdout == SHOP
    assert run("config", "show", "--version", first[:12]).stdout == SHOP


def test_an_unknown_version_is_a_mistake_of_usage(run: Run, shop: Shop) -> None:
    assert run("config", "show", "--version", "0123456").exit_code == 2


def test_download_gives_back_the_uploaded_bytes(run: Run, pointer: Path, text: str) -> None:
    assert run("config", "download").stdout == text


def test_download_writes_a_new_file_only(run: Run, pointer: Path, text: str) -> None:
    copy = pointer.with_name("copy.yaml")

    assert run("config", "download", "--output", "copy.yaml").exit_code == 0
    assert copy.read_bytes() == text.encode()
    copy.write_text(SHOP)
    ended = run("config", "download", "--output", "copy.yaml")
    assert ended.exit_code == 3
    assert "name another file" in ended.stderr
    assert copy.read_text() == SHOP


def test_download_from_a_plain_file_is_a_mistake_of_usage(run: Run, shop: Shop) -> None:
    assert run("config", "download").exit_code == 2


def test_a_file_with_only_the_store_makes_commands_work(
    run: Run, shop: Shop, pointer: Path
) -> None:
    listed = run("shard", "list", "--json").envelope["data"]["shards"]
    explained = run("key", "explain", "by_store", "7", "--json").envelope["data"]["keys"][0]
    pruned = run("shard", "prune", "s1", "--apply")

    assert [shard["name"] for shard in listed] == ["s1", "s2"]
    assert explained["shard"] == owner_of(7)
    assert pruned.exit_code == 0, pruned.stderr
    assert {s for s in shop.stores("s1") if s} == {s for s in range(1, 41) if owner_of(s) == "s1"}


def test_validate_goes_on_to_the_shared_configuration(run: Run, pointer: Path) -> None:
    assert "1 instance, 2 shards, 1 mapping" in run("config", "validate").stdout


def test_edits_go_to_the_store_and_keep_its_comments(run: Run, pointer: Path, text: str) -> None:
    before = pointer.read_text()

    assert run(*ADD).exit_code == 0

    downloaded = run("config", "download").stdout.splitlines()
    assert pointer.read_text() == before
    assert [line for line in downloaded if line not in text.splitlines()] == [
        '  west: {url: "mysql://ops@10.0.0.6:3306"}'
    ]
    versions = run("config", "history", "--json").envelope["data"]["versions"]
    assert [version["version"] for version in versions] == ["2", "1"]
    assert run("config", "show", "--version", "1").stdout == text + "\n"


def test_a_second_upload_is_refused_with_the_difference(
    run: Run, pointer: Path, store: str, text: str
) -> None:
    run(*ADD)
    pointer.with_name("mine.yaml").write_text(text)

    ended = run("--config", "mine.yaml", "config", "upload", store)

    assert ended.exit_code == 3
    assert '-  west: {url: "mysql://ops@10.0.0.6:3306"}' in ended.stderr
    assert "west" in run("config", "download").stdout


def test_an_upload_of_what_is_stored_is_done_already(
    run: Run, pointer: Path, store: str, text: str
) -> None:
    pointer.with_name("mine.yaml").write_text(text)

    ended = run("--config", "mine.yaml", "config", "upload", store)

    assert ended.exit_code == 0
    assert "as version 1" in ended.stdout


def test_an_upload_replaces_the_version_it_names(
    run: Run, pointer: Path, store: str, text: str
) -> None:
    pointer.with_name("mine.yaml").write_text(text + "\n# mine\n")

    assert run("--config", "mine.yaml", "config", "upload", store, "--replace", "9").exit_code == 3
    assert run("--config", "mine.yaml", "config", "upload", store, "--replace", "1").exit_code == 0
    assert run("config", "download").stdout.endswith("# mine\n")


def test_a_pointer_has_nothing_to_upload(run: Run, pointer: Path, store: str) -> None:
    assert run("config", "upload", store).exit_code == 2


def test_a_store_takes_no_configuration_with_a_password_of_another_kind(
    run: Run, shop: Shop, store: str, text: str
) -> None:
    path = shop.directory / "shardhash.yaml"
    path.write_text(
        text.replace("\nshards:", '\n  w: {url: "mysql://10.0.0.6", password: "${W}"}\nshards:', 1)
    )

    ended = run("config", "upload", store)

    assert ended.exit_code == 3
    assert "{secret: NAME}" in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("config", "upload", "mongodb://ops:hunter2-Xq@127.0.0.1/shop"),
        ("--config", "mongodb://ops:hunter2-Xq@127.0.0.1/shop", "shard", "list"),
    ],
)
def test_a_password_in_the_stores_url_is_refused_and_not_repeated(
    run: Run, shop: Shop, words: tuple[str, ...]
) -> None:
    ended = run(*words)

    assert ended.exit_code == 3
    assert "hunter2" not in ended.stdout + ended.stderr
