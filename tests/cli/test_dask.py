"""``--dask``: the command on a cluster of two worker processes answers as it does on threads."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import Authority
from command_line import COMMAND, STORES, Run, Shop, owner_of
from dask_workers import dask_cluster
from servers import MySQLFleet, wait_until

QUERY = "SELECT amount, COUNT(*), MAX(id) FROM orders GROUP BY amount"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with dask_cluster() as address:
        yield address


def work_of(address: str) -> int:
    """Return how much the scheduler has done: it grows with every task."""
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        return int(
            client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)
        )


def test_query_on_workers_answers_as_on_threads(run: Run, shop: Shop, address: str) -> None:
    before = work_of(address)

    here = run("query", "run", QUERY, "--json").envelope
    there = run("query", "run", QUERY, "--json", "--dask", address)

    assert there.envelope == here
    assert len(here["data"]["rows"]) == 2
    assert there.stderr == ""
    assert work_of(address) > before


def test_verify_on_workers_finds_what_it_finds_here(run: Run, shop: Shop, address: str) -> None:
    before = work_of(address)

    here = run("shard", "verify", "--json")
    there = run("shard", "verify", "--json", "--dask", address)

    assert (there.exit_code, there.envelope) == (here.exit_code, here.envelope)
    assert here.exit_code == 5
    assert work_of(address) > before


def test_prune_on_workers_deletes_what_it_deletes_here(run: Run, shop: Shop, address: str) -> None:
    before = work_of(address)

    ended = run("shard", "prune", "s1", "--apply", "--dask", address)

    assert ended.exit_code == 0, ended.stderr
    assert shop.stores("s1") == {store for store in STORES if owner_of(store) == "s1"} | {None}
    assert work_of(address) > before


def test_without_dask_the_extra_is_named(
    run: Run, shop: Shop, directory: Path, address: str
) -> None:
    (directory / "distributed.py").write_text(
        "raise ModuleNotFoundError('No module named distributed', name='distributed')\n"
    )

    ended = run("query", "run", QUERY, "--dask", address, env={"PYTHONPATH": str(directory)})

    assert ended.exit_code == 2
    assert "pip install 'shardhash[cluster]'" in ended.stderr


def test_tls_files_without_a_scheduler_are_a_usage_error(run: Run, shop: Shop) -> None:
    ended = run("query", "run", QUERY, "--dask-tls-ca", "ca.pem")

    assert ended.exit_code == 2
    assert "--dask-tls-ca without --dask" in ended.stderr


def test_link_is_encrypted_with_the_files_that_are_named(
    run: Run, shop: Shop, directory: Path
) -> None:
    from distributed import Security

    authority = Authority(directory, "cluster")
    certificate, key = map(str, authority.issue())
    roles = ("scheduler", "worker", "client")
    files = {f"tls_{role}_{kind}": file for role in roles
             for kind, file in (("cert", certificate), ("key", key))}  # fmt: skip
    security = Security(tls_ca_file=str(authority.file), require_encryption=True, **files)
    named = (
        "--dask-tls-ca", str(authority.file), "--dask-tls-cert", certificate, "--dask-tls-key", key,
    )  # fmt: skip

    with dask_cluster(protocol="tls://", security=security) as address:
        encrypted = run("query", "run", QUERY, "--json", "--dask", address, *named)

    assert address.startswith("tls://")
    assert encrypted.envelope == run("query", "run", QUERY, "--json").envelope


def test_interrupt_ends_what_a_worker_runs_on_the_server(
    mysql_fleet: MySQLFleet, environment: dict[str, str], address: str
) -> None:
    mysql_fleet.add("s1")
    config = mysql_fleet.write_config()
    running = (
        "SELECT 1 FROM information_schema.processlist "
        "WHERE id <> CONNECTION_ID() AND info LIKE '%SLEEP(300)%'"
    )

    with subprocess.Popen(
        [COMMAND, "query", "run", "SELECT SLEEP(300)", "--shards", "s1", "--dask", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "SHARDHASH_CONFIG": str(config)},
    ) as process:
        wait_until(lambda: mysql_fleet.sql("s1", running) != [], what="the statement")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 4, errors
    assert "interrupted" in errors
    wait_until(lambda: mysql_fleet.sql("s1", running) == [], what="its end")
