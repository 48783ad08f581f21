"""A MongoDB-compatible server over a socket for the tests of the shared store.

``mongo_server``: the server's URL for the session; ``mongo_url``: a fresh database on it.
``SHARDHASH_TEST_MONGO_URL`` names a real server. Else mongoeco runs in an environment of its own
where a Python >= 3.13 is found, with SCRAM-SHA-256, and nx-27017 where none is, or where
``SHARDHASH_TEST_MONGO_SERVER=nx-27017`` asks for it. The environments are kept in ``.cache``.
"""

import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from pymongo import MongoClient

GIVEN_URL = "SHARDHASH_TEST_MONGO_URL"
GIVEN_SERVER = "SHARDHASH_TEST_MONGO_SERVER"
CACHE = Path(__file__).parents[1] / ".cache"
USER, PASSWORD = "app", "correct horse"
START_TIMEOUT_MS = 20_000

MONGOECO = """
import asyncio
from mongoeco.wire import AsyncMongoEcoProxyServer, WireAuthUser

async def main():
    user = WireAuthUser(username="app", password="correct horse", mechanisms=("SCRAM-SHA-256",))
    async with AsyncMongoEcoProxyServer(auth_users=(user,)) as server:
        print(server.address.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

_used: list[str] = []


class NotInstalledError(Exception):
    """No MongoDB-compatible server could be had."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "mongo_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.server)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for server in _used:
        terminalreporter.write_line(f"shared stores were tested on {server}")


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """A function from a database's name to its URL on the server."""
    given = os.environ.get(GIVEN_URL)
    if given:
        _used.append(f"the server of {GIVEN_URL}")
        yield lambda name: _with_database(given, name)
        return
    try:
        name, start = choose_server()
    except NotInstalledError as error:
        pytest.fail(str(error), pytrace=False)
    with start(tmp_path_factory.mktemp("mongo")) as url:
        _used.append(name)
        yield lambda name: _with_database(url, name)


@pytest.fixture
def mongo_url(mongo_server: Callable[[str], str]) -> str:
    """The URL of a fresh database."""
    return mongo_server(f"shardhash_{uuid4().hex[:12]}")


def choose_server() -> tuple[str, Callable[[Path], "object"]]:
    """Return the name of a server and how to start it; installs it at the first use."""
    python = newer_python()
    if python is not None and os.environ.get(GIVEN_SERVER, "mongoeco") == "mongoeco":
        environment = installed("mongoeco[wire]==4.11.0", python)
        return "mongoeco 4.11.0 (SCRAM-SHA-256)", lambda where: running_mongoeco(environment, where)
    environment = installed("nx-27017==0.8.1", sys.executable)
    return "nx-27017 0.8.1", lambda where: running_nx(environment, where)


def newer_python() -> str | None:
    """Return a Python >= 3.13, if there is one."""
    if sys.version_info >= (3, 13):
        return sys.executable
    for minor in (13, 14):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "-c", ""], check=False).returncode == 0:
            return found
    pyenv = Path.home() / ".pyenv" / "versions"
    others = sorted(pyenv.glob("3.1[34].*/bin/python"))
    return str(others[0]) if others else None


def installed(requirement: str, python: str) -> Path:
    """Return an environment that holds `requirement`, made once and kept."""
    environment = CACHE / re.sub(r"[^a-z0-9.-]+", "-", requirement)
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "mongo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (environment / "complete").exists():
            return environment
        shutil.rmtree(environment, ignore_errors=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "-q", requirement]
        for command in ([python, "-m", "venv", str(environment)], pip):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NotInstalledError(
                    f"cannot install {requirement} for the tests of shared stores:\n"
                    f"{done.stderr[-500:]}\ninstall it, name a server in {GIVEN_URL}, "
                    "or leave these tests out: -m 'not server'"
                )
        (environment / "complete").touch()
    return environment


@contextmanager
def running_mongoeco(environment: Path, where: Path) -> Iterator[str]:
    command = [str(environment / "bin" / "python"), "-c", MONGOECO]
    with _process(command, where) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError((where / "errors").read_text())
        login = f"{USER}:{PASSWORD.replace(' ', '%20')}"
        url = f"mongodb://{login}@127.0.0.1:{port}/?authMechanism=SCRAM-SHA-256&authSource=admin"
        _wait(url)
        yield url


@contextmanager
def running_nx(environment: Path, where: Path) -> Iterator[str]:
    port = _free_port()
    (where / "data").mkdir()
    command = [str(environment / "bin" / "nx-27017"), "-p", str(port), "--data-dir", "data"]
    command += ["--pid-file", "pid", "--log-file", "log"]
    with _process(command, where):
        url = f"mongodb://127.0.0.1:{port}/"
        _wait(url)
        yield url


@contextmanager
def _process(command: list[str], where: Path) -> Iterator["subprocess.Popen[str]"]:
    with (where / "errors").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=where, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def _wait(url: str) -> None:
    with MongoClient(url, serverSelectionTimeoutMS=START_TIMEOUT_MS) as client:
        client.admin.command("ping")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _with_database(url: str, name: str) -> str:
    scheme, _, rest = url.partition("://")
    hosts, _, options = rest.partition("/")
    return f"{scheme}://{hosts}/{name}{options[options.find('?') :] if '?' in options else ''}"
