"""A hunt for planted passwords: in what is printed, written, stored, or shown of the process.

Each password has a distinctive text, planted in one place that takes one. Then commands run, also
failing ones, and everything that they leave is searched.
"""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from command_line import COMMAND, Ended, Run
from servers import Server, free_port

PLANTED = "planted-Xq7-Zw9"
QUOTED = PLANTED.replace("-", "%2D")

PLACES = {
    "url": 'url: "mysql://ops:{planted}@{address}"',
    "quoted url": 'url: "mysql://ops:{quoted}@{address}"',
    "dsn": 'dsn: "mysql:host={host};port={port};password={planted}", user: ops',
    "text": 'url: "mysql://ops@{address}", password: {planted}',
    "variable": 'url: "mysql://ops@{address}", password: "${{OPS}}"',
    "default": 'url: "mysql://ops@{address}", password: "${{UNSET:-{planted}}}"',
    "variable in url": 'url: "mysql://ops:${{OPS}}@{address}"',
    "password_file": 'url: "mysql://ops@{address}", password_file: password',
    "option_file": 'url: "mysql://ops@{address}", option_file: options.cnf',
    "secret": 'url: "mysql://ops@{address}", password: {{secret: ops}}',
    "secrets file": 'url: "mysql://ops@{address}", password: {{secret: filed}}',
}

COMMANDS = (
    ("config", "validate"),
    ("config", "show"),
    ("config", "history"),
    ("instance", "list"),
    ("instance", "check"),
    ("instance", "setup", "main"),
    ("instance", "setup", "main", "--apply"),
    ("mapping", "list"),
    ("shard", "list"),
    ("shard", "prune", "s1"),
    ("key", "explain", "by_store", "7", "--rows"),
    ("instance", "add", "other", "--url", "mysql://10.0.0.9"),
    ("instance", "remove", "other"),
    ("config", "download"),
)

CONNECTING = (
    ("instance", "check"),
    ("instance", "check", "--json"),
    ("instance", "setup", "main", "--apply"),
    ("shard", "prune", "s1"),
)

CONFIG = """\
format: 1
app: shop
setup: {{app_user: {{user: {app_user}, password: "${{OPS}}"}}}}
instances:
  main: {{{instance}}}
shards:
  s1: {{instance: main, database: {database}}}
mappings:
  by_store: {{key: {{column: id, type: int}}, tables: [t], ring: {{nodes: {{s1: 1}}}}}}
"""


@pytest.fixture
def account(mariadb: Server) -> Iterator[str]:
    mariadb.sql("CREATE DATABASE hunted")
    mariadb.sql("CREATE TABLE hunted.t (id INT PRIMARY KEY)")
    mariadb.sql("CREATE USER ops@'%%' IDENTIFIED BY %s", [PLANTED])
    mariadb.sql("GRANT ALL ON *.* TO ops@'%' WITH GRANT OPTION")
    yield "ops"
    mariadb.sql("DROP USER ops@'%'")
    mariadb.sql("DROP USER IF EXISTS hunted_app@'%'")
    mariadb.drop_databases(["hunted"])


@pytest.fixture
def files(directory: Path) -> dict[Path, bytes]:
    """The files that hold the password by intention, with their content."""
    texts = {
        "password": PLANTED,
        "options.cnf": f"[client]\npassword={PLANTED}\n",
        "secrets": f"filed={PLANTED}\n",
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o600)
    return {directory / name: text.encode() for name, text in texts.items()}


@pytest.fixture
def planted(environment: dict[str, str]) -> dict[str, str]:
    environment.update(OPS=PLANTED, SHARDHASH_SECRET_OPS=PLANTED, SHARDHASH_SECRETS_FILE="secrets")
    return environment


def write_config(directory: Path, place: str, server: Server, *, port: int | None = None) -> None:
    port = port or server.port
    instance = PLACES[place].format(
        planted=PLANTED,
        quoted=QUOTED,
        host=server.host,
        port=port,
        address=f"{server.host}:{port}",
    )
    path = directory / "shardhash.yaml"
    path.write_text(CONFIG.format(instance=instance, app_user="hunted_app", database="hunted"))
    path.chmod(0o600)


def run_each(run: Run, commands: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], Ended]:
    """Run commands, with the traceback of each error."""
    return {words: run(*words, env={"SHARDHASH_TRACEBACK": "1"}) for words in commands}


def run_all(run: Run) -> dict[tuple[str, ...], Ended]:
    """Run every command plainly and as JSON."""
    return run_each(run, [(*words, *more) for words in COMMANDS for more in ((), ("--json",))])


def assert_nothing_leaks(
    ended: dict[tuple[str, ...], Ended], directory: Path, files: dict[Path, bytes]
) -> None:
    for words, each in ended.items():
        for form in (PLANTED, QUOTED):
            assert form not in each.stdout + each.stderr, words
    for path in directory.rglob("*"):
        if path.is_file() and path not in files and path.name != "shardhash.yaml":
            assert PLANTED.encode() not in path.read_bytes(), path
            assert QUOTED.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("place", PLACES)
def test_a_right_password_shows_nowhere(
    run: Run,
    directory: Path,
    mariadb: Server,
    account: str,
    files: dict[Path, bytes],
    planted: dict[str, str],
    place: str,
) -> None:
    write_config(directory, place, mariadb)

    ended = run_each(run, CONNECTING)

    assert ended["instance", "check"].exit_code == 0, ended["instance", "check"].stderr
    assert ended["instance", "setup", "main", "--apply"].exit_code == 0
    assert_nothing_leaks(ended, directory, files)


def test_no_command_shows_a_password(
    run: Run,
    directory: Path,
    mariadb: Server,
    account: str,
    files: dict[Path, bytes],
    planted: dict[str, str],
) -> None:
    write_config(directory, "url", mariadb)

    ended = run_all(run)

    assert_nothing_leaks(ended, directory, files)


@pytest.mark.parametrize("place", PLACES)
def test_a_wrong_password_shows_nowhere(
    run: Run,
    directory: Path,
    mariadb: Server,
    files: dict[Path, bytes],
    planted: dict[str, str],
    place: str,
) -> None:
    write_config(directory, place, mariadb)

    ended = run_each(run, CONNECTING[:2])

    assert "access denied" in ended["instance", "check"].stderr
    assert_nothing_leaks(ended, directory, files)


def test_a_password_shows_nowhere_when_the_server_is_down(
    run: Run,
    directory: Path,
    mariadb: Server,
    files: dict[Path, bytes],
    planted: dict[str, str],
) -> None:
    write_config(directory, "url", mariadb, port=free_port())

    ended = run_all(run)

    assert ended["instance", "check"].exit_code == 1
    assert_nothing_leaks(ended, directory, files)


def test_a_password_shows_nowhere_when_the_file_is_no_yaml(
    run: Run, directory: Path, planted: dict[str, str]
) -> None:
    path = directory / "shardhash.yaml"
    for broken in (
        f"instances: {{main: {{password: {PLANTED}",
        f"password: {PLANTED}\npassword: {PLANTED}\n",
        f"instances:\n  main: {{url: mysql://ops:{PLANTED}@host:{PLANTED}}}\n",
        f"instances:\n  main: {{pasword: {PLANTED}, url: {PLANTED}}}\n",
        f"{PLANTED}: [}}",
    ):
        path.write_text(broken)
        path.chmod(0o600)

        ended = run("config", "validate", env={"SHARDHASH_TRACEBACK": "1"})

        assert ended.exit_code == 3
        if not broken.startswith(PLANTED):
            assert PLANTED not in ended.stdout + ended.stderr, broken


def test_a_changed_password_is_not_in_the_history(run: Run, directory: Path, files: object) -> None:
    path = directory / "shardhash.yaml"
    text = "format: 1\napp: a\ninstances:\n  i: {url: 'mysql://o@10.0.0.5', password: PW}\n"
    path.write_text(text.replace("PW", PLANTED))
    path.chmod(0o600)
    run("instance", "add", "j", "--url", "mysql://10.0.0.6")
    path.write_text(path.read_text().replace(PLANTED, "another"))
    run("instance", "remove", "j")

    ended = run("config", "history", "--json")

    assert len(ended.envelope["data"]["versions"]) >= 2
    assert PLANTED not in ended.stdout
    assert all(
        PLANTED.encode() not in each.read_bytes() for each in directory.glob(".shardhash.yaml.*")
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_conflict_shows_no_password(directory: Path) -> None:
    script = f"""
from shardhash.db.config import edit
from shardhash.db.fleet import change_config
from shardhash.db.stores import FileStore
store = FileStore("shardhash.yaml")
def change(text):
    store.path.write_text(text.replace("app: a", "app: b"))
    return edit.add_instance(text, "j", {{"url": "mysql://10.0.0.6", "password": "{PLANTED}"}})
change_config(store, change)
"""
    path = directory / "shardhash.yaml"
    path.write_text(f"format: 1\napp: a\ninstances:\n  i: {{url: 'mysql://o:{PLANTED}@h'}}\n")
    path.chmod(0o600)

    ended = subprocess.run(
        [sys.executable, "-"], input=script, cwd=directory, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert "ConfigConflictError" in ended.stderr
    assert "-app: b" in ended.stderr
    assert PLANTED not in ended.stderr


@pytest.mark.parametrize("place", ["url", "text", "option_file", "secret"])
def test_the_process_list_shows_no_password_while_a_command_connects(
    directory: Path,
    mariadb: Server,
    files: dict[Path, bytes],
    planted: dict[str, str],
    place: str,
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        silent.settimeout(20)
        write_config(directory, place, mariadb, port=silent.getsockname()[1])
        process = subprocess.Popen(
            [COMMAND, "instance", "check"], cwd=directory, env=planted,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            connection, _ = silent.accept()
            shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            connection.close()
            printed, _ = process.communicate(timeout=60)
        finally:
            process.kill()

    assert b"instance\0check" in shown
    assert children == ""
    assert PLANTED.encode() not in shown + printed


def test_a_stores_password_shows_nowhere(
    run: Run, directory: Path, mongo_url: str, environment: dict[str, str]
) -> None:
    parts = urlsplit(mongo_url)
    url = mongo_url.replace(f"{parts.username}:{parts.password}@", "", 1)
    user = unquote(parts.username or "ops")
    (directory / "password").write_text(PLANTED)
    logins = {
        "url": f"store: {{url: '{url.replace('://', f'://{user}:{PLANTED}@')}'}}",
        "text": f"store: {{url: '{url}', user: {user}, password: {PLANTED}}}",
        "variable": f"store: {{url: '{url}', user: {user}, password: '${{OPS}}'}}",
        "password_file": (
            f"store: {{url: '{url}', user: {user}, password_file: '{directory}/password'}}"
        ),
    }
    path = directory / "shardhash.yaml"
    for name, login in logins.items():
        path.write_text(login + "\n")
        path.chmod(0o600)
        for more in ((), ("--json",)):
            ended = run("shard", "list", *more, env={"SHARDHASH_TRACEBACK": "1", "OPS": PLANTED})

            assert ended.exit_code != 0, name
            assert PLANTED not in ended.stdout + ended.stderr, name


def test_values_show_no_password_when_printed(directory: Path, mariadb: Server) -> None:
    script = f"""
import logging, os, traceback
from shardhash.db import Cluster, Config, ConnectionManager
from shardhash.db.drivers import Secrets
logging.basicConfig(level=1)
logging.getLogger("sqlalchemy").setLevel(1)
os.environ["OPS"] = "{PLANTED}"
config = Config.load("shardhash.yaml")
print(config, config.instances, config.app_user, Secrets(), ascii(Secrets(os.environ)))
connections = ConnectionManager(config)
print(connections, vars(connections)["_config"])
with Cluster(config) as cluster:
    print(cluster, cluster.connections)
try:
    with connections.instance("main"):
        pass
except Exception as error:
    print(repr(error), repr(error.__cause__), error.args)
    traceback.print_exc()
"""
    for place in ("url", "text", "default", "variable"):
        write_config(directory, place, mariadb)
        ended = subprocess.run(
            [sys.executable, "-"], input=script, cwd=directory, capture_output=True, text=True,
            env=dict(os.environ), check=False,
        )  # fmt: skip

        assert "AccessDeniedError" in ended.stdout, ended.stderr
        assert PLANTED not in ended.stdout + ended.stderr, place
