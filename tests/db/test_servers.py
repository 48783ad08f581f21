"""The fixtures themselves: what they promise to other tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import servers
from servers import Fleet, MariaDB, Server


def test_a_server_keeps_default_durability(mariadb: Server) -> None:
    rows = mariadb.sql("SELECT @@innodb_flush_log_at_trx_commit, @@log_bin")

    assert rows == [(1, 0)]


def test_the_pair_is_two_servers(mariadb_pair: tuple[Server, Server]) -> None:
    first, second = mariadb_pair

    assert first.port != second.port


def test_a_binlog_server_does_not_trust_function_creators(mariadb_binlog: MariaDB) -> None:
    rows = mariadb_binlog.sql("SELECT @@log_bin, @@log_bin_trust_function_creators")

    assert rows == [(1, 0)]


def test_a_trusted_server_trusts_function_creators(mariadb_trusted: MariaDB) -> None:
    rows = mariadb_trusted.sql("SELECT @@log_bin, @@log_bin_trust_function_creators")

    assert rows == [(1, 1)]


def test_shards_of_a_fleet_are_separate_databases(backend: Fleet) -> None:
    for shard in ("s1", "s2", "s3"):
        backend.add(shard)
        backend.sql(shard, "CREATE TABLE t (name VARCHAR(10))")
    backend.sql("s1", "INSERT INTO t VALUES (%s)", ["x"])

    assert [backend.sql(s, "SELECT name FROM t") for s in ("s1", "s2", "s3")] == [[("x",)], [], []]


def test_a_killed_server_starts_again_with_what_was_committed(
    start_server: Callable[..., MariaDB],
) -> None:
    server = start_server()
    server.sql("CREATE DATABASE d")
    server.sql("CREATE TABLE d.t (id INT PRIMARY KEY)")
    server.sql("INSERT INTO d.t VALUES (7)")
    server.kill()
    server.start()

    assert server.sql("SELECT id FROM d.t") == [(7,)]


def test_a_server_dies_with_the_process_that_started_it(
    prepared_data: Path, tmp_path: Path
) -> None:
    script = (
        "import sys, time, pathlib, servers\n"
        "s = servers.start_mariadb(*map(pathlib.Path, sys.argv[1:]))\n"
        "print(s._processes[0].pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    environ = os.environ | {"PYTHONPATH": str(Path(servers.__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", script, prepared_data, tmp_path],
        stdout=subprocess.PIPE, text=True, env=environ,
    ) as starter:  # fmt: skip
        assert starter.stdout is not None
        server_pid = int(starter.stdout.readline())
        starter.send_signal(signal.SIGKILL)

    servers.wait_until(lambda: not _is_running(server_pid), what="end of the orphaned server")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
