"""Disks and tablespaces that are full while shards are split: it stops, and goes on with room."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from faults import At, FaultShop, small_steps
from server_software import is_mysql
from servers import MySQLFleet, Server, SQLiteFleet, running_mariadb
from shardhash.db.executor._leases import Leases
from shardhash.db.stores import FileStore

NOTE_BYTES = 100_000
NOTES = 60
LIMITED = (
    "--innodb-file-per-table=0",
    "--innodb-data-file-path=ibdata1:12M:autoextend:max:14M",
    "--innodb-autoextend-increment=1",
)
ROOMY = (LIMITED[0], "--innodb-data-file-path=ibdata1:12M:autoextend")
Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mount a file system of some size below the test's directory."""
    with ExitStack() as stack:

        def small(size: str) -> Path:
            path = tmp_path / "small"
            path.mkdir()
            options = f"size={size},mode=777"
            problem = as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path))
            if problem:
                assert not os.environ.get("CI"), f"no small file system for the tests: {problem}"
                pytest.skip(f"a small file system needs root: {problem}")
            stack.callback(as_root, "umount", "-l", str(path))
            return path

        yield small


def as_root(*words: str) -> str:
    """Run a command as root, and return why it failed, or nothing."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if sudo and not shutil.which("sudo"):
        return "not root, and no sudo"
    done = subprocess.run([*sudo, *words], capture_output=True, text=True, check=False)
    return done.stderr.strip() or "failed" if done.returncode else ""


def fill(disk: Path) -> None:
    """Leave no room on a file system."""
    number = os.open(disk / "ballast", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(number, b"x" * 4096):
            pass
    os.close(number)


def make_room(disk: Path) -> None:
    """Take back what ``fill`` has taken."""
    (disk / "ballast").unlink()


def check(shop: FaultShop, then: str) -> None:
    """Go on, or back, and look at what is there."""
    getattr(shop, then)()
    if then == "resume":
        shop.check_split()
    else:
        shop.check_taken_back()


@pytest.mark.parametrize(
    ("moment", "then"),
    [
        ("create orders", "abort"),
        ("copy orders", "resume"),
        ("copy orders", "abort"),
        ("let s2 take", "resume"),
    ],
)
def test_a_full_disk_stops_a_split_of_files_until_there_is_room(
    tmp_path: Path, mount: Mount, monkeypatch: pytest.MonkeyPatch, moment: str, then: str
) -> None:
    small_steps(monkeypatch)
    disk = mount("2M")
    (tmp_path / "b").symlink_to(disk)
    shop = FaultShop(SQLiteFleet(tmp_path))

    error = shop.stopped(at=At(moment, lambda: fill(disk)))
    assert "database or disk is full" in str(error)
    assert error.next_step.startswith("free disk space; then shardhash op resume")
    make_room(disk)

    check(shop, then)


def test_a_full_disk_under_the_old_rows_stops_their_prune_until_there_is_room(
    tmp_path: Path, mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion needs room too, for the journal by which it can be rolled back."""
    small_steps(monkeypatch)
    disk = mount("2M")
    (tmp_path / "a").symlink_to(disk)
    shop = FaultShop(SQLiteFleet(tmp_path))

    error = shop.stopped(at=At("delete the old rows of orders", lambda: fill(disk)))
    assert "database or disk is full" in str(error)
    make_room(disk)

    check(shop, "resume")


def test_a_full_disk_under_the_store_stops_a_split_until_there_is_room(
    tmp_path: Path, mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_steps(monkeypatch)
    disk = mount("2M")
    shop = FaultShop(SQLiteFleet(tmp_path), store=FileStore(disk / "shardhash.yaml"))

    with monkeypatch.context() as patched:
        patched.setitem(Leases.__init__.__kwdefaults__, "ttl_s", 0.5)
        error = shop.stopped(at=At("copy orders", lambda: fill(disk), rows=20))
    assert "that could not be written down" in str(error)
    assert "make room where the file is" in error.next_step
    make_room(disk)
    for shard in ("s1", "s2"):  # that could not be given back either
        shop.wait_for_lease(shard)

    check(shop, "resume")


@pytest.mark.parametrize("then", ["resume", "abort"])
def test_a_full_tablespace_stops_a_split_until_there_is_room(
    mariadb: Server,
    prepared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    then: str,
) -> None:
    small_steps(monkeypatch)
    with running_mariadb(prepared_data, directory(tmp_path), *LIMITED) as limited:
        fleet = MySQLFleet(tmp_path, servers={"a": mariadb, "b": limited})
        try:
            shop = FaultShop(fleet)
            add_long_notes(shop)
            error = shop.stopped()
            assert "copy orders" in str(error)
            assert "is full (1114)" in str(error)
            assert error.next_step.startswith("free or add disk space on the server; then")
            limited.stop()
            replace(limited, options=ROOMY).start()

            check(shop, then)
        finally:
            fleet.drop()


@pytest.mark.parametrize("then", ["resume", "abort"])
def test_a_full_disk_under_a_server_stops_a_split_until_there_is_room(
    mariadb: Server,
    prepared_data: Path,
    tmp_path: Path,
    mount: Mount,
    monkeypatch: pytest.MonkeyPatch,
    then: str,
) -> None:
    small_steps(monkeypatch)
    disk = mount("160M")
    with running_mariadb(prepared_data, directory(disk)) as server:
        fleet = MySQLFleet(tmp_path, servers={"a": mariadb, "b": server})
        try:
            shop = FaultShop(fleet)
            add_long_notes(shop)
            error = shop.stopped(at=At("copy orders", lambda: fill(disk)))
            assert "copy orders" in str(error)
            words = "is full (1114)" if is_mysql() else "No space left on device"
            assert words in str(error)
            assert error.next_step.startswith("free or add disk space on the server; then")
            make_room(disk)

            check(shop, then)
        finally:
            fleet.drop()


def directory(parent: Path) -> Path:
    """Return a new directory for a server."""
    path = parent / "server"
    path.mkdir()
    return path


def add_long_notes(shop: FaultShop) -> None:
    """Let the moving rows take more room than a limited server has."""
    shop.fleet.sql("s1", "ALTER TABLE orders MODIFY note MEDIUMTEXT")
    keys = [key for key in range(1000, 2000) if shop.moves(key)][:NOTES]
    for number, key in enumerate(keys, 500):
        row = (number, key, 1, "x" * NOTE_BYTES)
        shop.write("s1", "INSERT INTO orders VALUES (%s, %s, %s, %s)", *row)
        shop.rows["orders"].append(row)
