"""What every store promises, on a file and on a server; and what each promises alone."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shardhash.db.config import Config
from shardhash.db.config.edit import add_instance
from shardhash.db.stores import ConfigStore, FileStore, MongoStore, open_store
from shardhash.errors import (
    ConfigConflictError,
    ConfigError,
    LeaseHeldError,
    LeaseLostError,
    StoreError,
    UsageError,
)

TEXT = """\
format: 1
app: shop   # the only one

instances:
  local: {host: localhost, user: root, password: {secret: local}}
"""
RACED = "format: 1\napp: shop\ninstances:\n  first: {host: first}\n"
PROCESS = str(Path(__file__).parents[1] / "store_process.py")

Opener = Callable[[], ConfigStore]


@pytest.fixture(params=["file", "mongo"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be that holds nothing yet."""
    if request.param == "file":
        return str(tmp_path / "shardhash.yaml")
    return str(request.getfixturevalue("mongo_url"))


@pytest.fixture
def store(url: str):
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def filled(store: ConfigStore) -> ConfigStore:
    store.save(TEXT, expect=None, author="ada@home")
    return store


def test_an_empty_store_says_how_to_fill_it(store: ConfigStore):
    with pytest.raises(UsageError, match="no configuration"):
        store.load()


@pytest.mark.parametrize(
    "text",
    [TEXT, TEXT.rstrip(), TEXT.replace("\n", "\r\n"), "\ufeff" + TEXT, TEXT + "# äλ\u2028\n"],
)
def test_what_was_saved_is_given_back_to_the_byte(store: ConfigStore, text: str):
    store.save(text, expect=None)

    assert store.read_text()[0] == text


def test_load_gives_the_configuration_with_its_version(filled: ConfigStore):
    config, version = filled.load()

    assert config == Config.parse(TEXT)
    assert version == config.version == filled.version()


def test_a_configuration_can_be_saved_instead_of_its_text(filled: ConfigStore):
    config, version = filled.load()

    assert filled.save(config, expect=version) == version


def test_a_save_from_the_present_version_gives_a_new_one(filled: ConfigStore):
    first = filled.version()

    second = filled.save(TEXT + "# more\n", expect=first)

    assert second != first
    assert filled.version() == second


def test_a_save_from_an_old_version_is_refused_with_the_difference(filled: ConfigStore):
    old = filled.version()
    filled.save(TEXT + "# hers\n", expect=old)

    with pytest.raises(ConfigConflictError, match=r"(?s)nothing was written.*-# hers\n.*# mine"):
        filled.save(TEXT + "# mine\n", expect=old)
    assert filled.read_text()[0] == TEXT + "# hers\n"


def test_a_first_save_over_something_is_refused(filled: ConfigStore):
    with pytest.raises(ConfigConflictError):
        filled.save(TEXT + "# other\n", expect=None)


def test_an_invalid_text_is_refused_and_changes_nothing(filled: ConfigStore):
    with pytest.raises(ConfigError, match="no such instance"):
        filled.save(TEXT + "shards: {s1: {instance: x, database: d}}\n", expect=filled.version())
    assert filled.read_text()[0] == TEXT


def test_history_tells_versions_authors_and_texts_newest_first(filled: ConfigStore):
    filled.save(TEXT + "# 2\n", expect=filled.version(), author="bob@work")
    filled.save(TEXT + "# 3\n", expect=filled.version())

    history = filled.history()

    assert [entry.text.removeprefix(TEXT) for entry in history] == ["# 3\n", "# 2\n", ""]
    assert [entry.author for entry in history[1:]] == ["bob@work", "ada@home"]
    assert "@" in history[0].author
    assert history[0].version == filled.version()
    assert history[0].saved_at >= history[1].saved_at >= history[2].saved_at


def test_history_ends_at_its_limit(filled: ConfigStore):
    filled.save(TEXT + "# 2\n", expect=filled.version())

    assert len(filled.history(limit=1)) == 1


def test_a_lease_is_held_by_one(filled: ConfigStore):
    filled.acquire_lease("s1", holder="a", ttl_s=60)

    with pytest.raises(LeaseHeldError, match=r"s1 is being worked on by a; its lease ends"):
        filled.acquire_lease("s1", holder="b", ttl_s=60)
    assert filled.acquire_lease("s2", holder="b", ttl_s=60).token == 1


def test_every_taking_of_a_lease_has_a_higher_token(filled: ConfigStore):
    first = filled.acquire_lease("s1", holder="a", ttl_s=60)
    filled.release_lease(first)
    second = filled.acquire_lease("s1", holder="b", ttl_s=-1)

    third = filled.acquire_lease("s1", holder="c", ttl_s=60)

    assert first.token < second.token < third.token
    assert filled.get_lease("s1") == third


def test_who_lost_a_lease_cannot_renew_or_release_it(filled: ConfigStore):
    lost = filled.acquire_lease("s1", holder="a", ttl_s=-1)
    held = filled.acquire_lease("s1", holder="b", ttl_s=60)

    with pytest.raises(LeaseLostError):
        filled.renew_lease(lost, ttl_s=60)
    filled.release_lease(lost)
    assert filled.get_lease("s1") == held


def test_a_renewed_lease_ends_later(filled: ConfigStore):
    lease = filled.acquire_lease("s1", holder="a", ttl_s=10)

    renewed = filled.renew_lease(lease, ttl_s=60)

    assert renewed.expires_at > lease.expires_at
    assert renewed.token == lease.token


def test_a_released_lease_is_free(filled: ConfigStore):
    filled.release_lease(filled.acquire_lease("s1", holder="a", ttl_s=60))

    assert filled.get_lease("s1") is None


def test_of_many_who_take_a_lease_at_once_one_gets_it(filled: ConfigStore):
    def take(number: int) -> bool:
        try:
            filled.acquire_lease("s1", holder=str(number), ttl_s=60)
        except LeaseHeldError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(24))) == 1


def test_a_journal_gives_its_records_back_in_order(filled: ConfigStore):
    records = [{"step": "copy", "a.b": [1, None]}, {"$done": True}, {}]
    for number, record in enumerate(records):
        filled.append_journal("op-1", number, record)

    entries = filled.read_journal("op-1")

    assert [entry.record for entry in entries] == records
    assert [entry.number for entry in entries] == [0, 1, 2]


def test_a_record_that_another_process_wrote_is_not_written_again(filled: ConfigStore):
    filled.append_journal("op-1", 0, {"by": "a"})

    with pytest.raises(LeaseLostError, match="record 0 of operation op-1"):
        filled.append_journal("op-1", 0, {"by": "b"})
    assert filled.read_journal("op-1")[0].record == {"by": "a"}


def test_progress_is_what_was_saved_last(filled: ConfigStore):
    assert filled.read_progress("op-1") is None

    filled.save_progress("op-1", {"rows_done": 1})
    filled.save_progress("op-1", {"rows_done": 2, "throttled": None})

    saved = filled.read_progress("op-1")
    assert saved is not None
    assert saved.record == {"rows_done": 2, "throttled": None}
    assert filled.list_journals() == ()


def test_journals_are_listed_oldest_first(filled: ConfigStore):
    for name in ("z", "a", "m"):
        filled.append_journal(name, 0, {})

    assert filled.list_journals() == ("z", "a", "m")
    assert filled.read_journal("unknown") == ()


def test_the_time_of_a_store_has_a_zone(filled: ConfigStore):
    assert filled.now().tzinfo is not None


def racing(mode: str, url: str, count: int) -> int:
    """Return how many edits are there after four processes made `count` each."""
    processes = [
        subprocess.Popen(
            [sys.executable, PROCESS, mode, url, f"p{number}", str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        process.stdin.close()
    assert [process.wait(timeout=300) for process in processes] == [0] * 4
    for process in processes:
        process.stdout.close()
    return len(Config.load(url).instances) - 1


def test_four_processes_that_save_at_once_lose_no_edit(store: ConfigStore, url: str):
    store.save(RACED, expect=None)

    assert racing("race", url, 50) == 200


def test_without_compare_and_set_edits_are_lost(store: ConfigStore, url: str):
    store.save(RACED, expect=None)

    assert racing("blind", url, 25) < 100


def test_a_save_killed_at_any_step_leaves_the_old_file_or_the_new_one(tmp_path: Path):
    path = tmp_path / "shardhash.yaml"
    (tmp_path / "addition").write_text("# new\n" * 5_000)
    found: list[str] = []

    for step in range(1, 100):
        path.write_text(TEXT)
        command = [sys.executable, PROCESS, "save", str(path), str(step)]
        code = subprocess.run(command, check=False).returncode
        found.append(path.read_text())
        assert code in (0, -signal.SIGKILL)
        if code == 0:
            break

    assert set(found) == {TEXT, TEXT + "# new\n" * 5_000}
    assert code == 0
    assert len(found) > 8


def test_a_killed_save_leaves_a_store_that_works(tmp_path: Path):
    path = tmp_path / "shardhash.yaml"
    path.write_text(TEXT)
    (tmp_path / "addition").write_text("# new\n")
    for step in range(1, 30):
        command = [sys.executable, PROCESS, "save", str(path), str(step)]
        code = subprocess.run(command, check=False).returncode
        store = FileStore(path)

        store.save(TEXT + f"# {step}\n", expect=store.version())

        assert store.history(limit=1)[0].text == TEXT + f"# {step}\n"
        if code == 0:
            break


def test_a_file_keeps_its_mode_and_a_new_one_is_private(tmp_path: Path):
    path = tmp_path / "shardhash.yaml"
    store = FileStore(path)
    version = store.save(TEXT, expect=None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    path.chmod(0o640)
    store.save(TEXT + "# more\n", expect=version)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    private = [file for file in tmp_path.iterdir() if file != path]
    assert {stat.S_IMODE(file.stat().st_mode) for file in private} == {0o600}


def test_a_save_through_a_link_keeps_the_link(tmp_path: Path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "shardhash.yaml"
    target.write_text(TEXT)
    link = tmp_path / "link.yaml"
    link.symlink_to(target)
    store = FileStore(link)

    store.save(TEXT + "# more\n", expect=store.version())

    assert link.is_symlink()
    assert target.read_text() == TEXT + "# more\n"


def test_a_file_changed_by_an_editor_is_in_the_history_without_author(tmp_path: Path):
    path = tmp_path / "shardhash.yaml"
    store = FileStore(path)
    store.save(TEXT, expect=None, author="ada@home")
    path.write_text(TEXT + "# by hand\n")
    assert [entry.author for entry in store.history()] == ["", "ada@home"]

    store.save(TEXT + "# again\n", expect=store.version(), author="bob@work")

    assert [entry.author for entry in store.history()] == ["bob@work", "", "ada@home"]


def test_reading_a_file_leaves_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "shardhash.yaml"
    path.write_text(TEXT)
    store = FileStore(path)

    store.load(), store.version(), store.history(), store.get_lease("s1"), store.list_journals()

    assert [file.name for file in tmp_path.iterdir()] == ["shardhash.yaml"]


def test_a_literal_password_is_refused_where_others_can_read_the_file(tmp_path: Path):
    path = tmp_path / "shardhash.yaml"
    path.write_text(TEXT.replace("{secret: local}", "hunter2"))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        Config.load(path)

    path.chmod(0o600)
    assert "keeps it apart" in str(Config.load(path).warnings[0])


def test_no_literal_password_is_kept_or_told_by_a_file_store(tmp_path: Path):
    path = tmp_path / "shardhash.yaml"
    store = FileStore(path)
    text = TEXT.replace("{secret: local}", "hunter2")
    version = store.save(text, expect=None)
    store.save(text + "# more\n", expect=version)

    with pytest.raises(ConfigConflictError) as caught:
        store.save(text, expect=version)
    assert "hunter2" not in f"{caught.value} {store.history()!r} {store.history()[0].text}"
    others = [file for file in tmp_path.iterdir() if file != path]
    assert not any(b"hunter2" in file.read_bytes() for file in others)


def test_a_file_that_is_not_utf8_is_a_problem_with_a_place(tmp_path: Path):
    path = tmp_path / "shardhash.yaml"
    path.write_bytes(b"format: 1\napp: sh\xff\n")

    with pytest.raises(ConfigError, match=":2:8: file: is not UTF-8 here"):
        Config.load(path)


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path):
    store = FileStore(tmp_path / "missing" / "shardhash.yaml")

    with pytest.raises(StoreError, match=r"cannot lock .*: No such file or directory"):
        store.save(TEXT, expect=None)


def test_a_file_that_points_to_a_store_is_followed(tmp_path: Path, mongo_url: str):
    with open_store(mongo_url) as shared:
        shared.save(TEXT, expect=None)
    path = tmp_path / "shardhash.yaml"
    path.write_text(f"store:\n  url: {mongo_url}\n")
    path.chmod(0o600)

    config = Config.load(path)

    assert (config.app, config.version) == ("shop", "1")
    assert "local" in config.instances


@pytest.mark.parametrize("login", ["password: x", 'password: "${X}"', "password_file: /etc/shadow"])
def test_a_shared_store_refuses_what_is_not_a_named_secret(mongo_url: str, login: str):
    with (
        open_store(mongo_url) as store,
        pytest.raises(ConfigError, match=r"a shared configuration takes only password: \{secret"),
    ):
        store.save(TEXT.replace("password: {secret: local}", login), expect=None)


def test_a_database_of_several_apps_asks_for_the_name(mongo_url: str):
    for app in ("shop", "blog"):
        with open_store(mongo_url) as store:
            store.save(TEXT.replace("app: shop", f"app: {app}"), expect=None)

    with open_store(mongo_url) as store, pytest.raises(UsageError, match="holds several apps"):
        store.load()


def test_a_server_that_is_not_there_is_told_without_the_password():
    url = "mongodb://app:hunter2@127.0.0.1:1/shardhash?serverSelectionTimeoutMS=100"

    with open_store(url) as store, pytest.raises(StoreError, match="does not answer") as caught:
        store.version()
    assert "hunter2" not in f"{caught.value} {store.url} {store!r} {caught.value.__cause__}"


def test_a_wrong_password_is_told_without_the_password(mongo_url: str):
    if "@" not in mongo_url:
        pytest.skip("this server takes no passwords")
    login = mongo_url.partition("://")[2].partition("@")[0]

    with (
        open_store(mongo_url.replace(login, "app:hunter2")) as store,
        pytest.raises(StoreError, match="refused the login") as caught,
    ):
        store.version()
    assert "hunter2" not in str(caught.value)


def test_a_store_goes_on_after_a_fork(mongo_url: str):
    with open_store(mongo_url) as store:
        store.save(TEXT, expect=None)
        script = (
            "import os, sys, warnings\n"
            "from shardhash.db.stores import open_store\n"
            "store = open_store(sys.argv[1])\n"
            "store.version()\n"
            "child = os.fork()\n"
            "if not child:\n"
            "    os._exit(0 if store.version() == '1' else 1)\n"
            "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        )

        done = subprocess.run([sys.executable, "-c", script, mongo_url], check=False)

    assert done.returncode == 0


def test_a_version_that_is_replaced_is_in_the_history_first(mongo_url: str):
    """A process that dies between its save and anything after it leaves no gap."""
    with MongoStore.at(mongo_url) as store:
        store.save(TEXT, expect=None, author="ada@home")
        text = add_instance(TEXT, "new", {"host": "new"})
        store.save(text, expect="1", author="bob@work")

        assert [entry.author for entry in store.history()] == ["bob@work", "ada@home"]


def test_another_url_is_no_place_for_a_configuration():
    with pytest.raises(UsageError, match="at a mongodb:// URL") as caught:
        open_store("mysql://u:hunter2@db/shop")

    assert "hunter2" not in str(caught.value)


def test_an_author_is_the_user_and_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOGNAME", "ada")
    store = FileStore(tmp_path / "shardhash.yaml")

    store.save(TEXT, expect=None)

    assert store.history()[0].author == f"ada@{os.uname().nodename}"


def test_a_file_that_never_ends_is_refused():
    with FileStore("/dev/zero") as store, pytest.raises(ConfigError, match="characters; at most"):
        store.load()
