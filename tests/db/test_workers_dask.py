"""Tasks on a Dask cluster of two worker processes, with and without TLS."""

import pytest

from certificates import Authority
from dask_workers import dask_cluster
from managers import manager_of, with_table
from shardhash.db import Config
from shardhash.db.tasks import ShardTask
from shardhash.db.workers import dask_executor, run_tasks
from shardhash.errors import DatabaseError, ServerUnreachableError, UsageError


@pytest.fixture(scope="module")
def address():
    with dask_cluster() as address:
        yield address


def tasks_of(fleet, sql):
    path = fleet.write_config()
    version = Config.load(path).version
    return [
        ShardTask(shard=shard, sql=sql, config=str(path), config_version=version)
        for shard in ("s1", "s2")
    ]


def test_tasks_run_on_two_worker_processes(backend, address):
    with_table(backend, "s1", "s2")
    backend.sql("s2", "UPDATE t SET v = 30 WHERE id = 1")
    tasks = tasks_of(backend, "SELECT id, v FROM t ORDER BY id")

    with (
        manager_of(backend) as manager,
        dask_executor(address) as executor,
        run_tasks(tasks, connections=manager, executor=executor) as answers,
    ):
        found = {answer.shard: list(answer.rows) for answer in answers}

    assert found == {"s1": [(1, 10), (2, 20)], "s2": [(1, 30), (2, 20)]}


def test_a_shard_that_fails_on_a_worker_is_told(backend, address):
    with_table(backend, "s1", "s2")
    backend.sql("s2", "DROP TABLE t")
    tasks = tasks_of(backend, "SELECT id FROM t")

    with (
        manager_of(backend) as manager,
        dask_executor(address) as executor,
        pytest.raises(DatabaseError, match=r"shard s2 "),
        run_tasks(tasks, connections=manager, executor=executor),
    ):
        pass


def test_no_scheduler_is_an_error_that_says_so():
    with (
        pytest.raises(ServerUnreachableError, match="does not answer"),
        dask_executor("tcp://127.0.0.1:9", timeout_s=0.2),
    ):
        pass


def test_tls_files_need_an_address_that_uses_them():
    with (
        pytest.raises(UsageError, match="does not use them") as caught,
        dask_executor("tcp://127.0.0.1:8786", tls_ca="ca.pem"),
    ):
        pass

    assert caught.value.next_step == "write tls://127.0.0.1:8786"


def test_the_link_can_be_encrypted_and_authenticated(sqlite_fleet, tmp_path):
    from distributed import Security

    authority = Authority(tmp_path, "cluster")
    certificate, key = map(str, authority.issue())
    roles = ("scheduler", "worker", "client")
    files = {f"tls_{role}_{kind}": file for role in roles
             for kind, file in (("cert", certificate), ("key", key))}  # fmt: skip
    security = Security(tls_ca_file=str(authority.file), require_encryption=True, **files)
    with_table(sqlite_fleet, "s1", "s2")
    tasks = tasks_of(sqlite_fleet, "SELECT v FROM t WHERE id = 1")

    with dask_cluster(protocol="tls://", security=security) as address:
        assert address.startswith("tls://")
        with (
            manager_of(sqlite_fleet) as manager,
            dask_executor(
                address, tls_ca=str(authority.file), tls_cert=certificate, tls_key=key
            ) as executor,
            run_tasks(tasks, connections=manager, executor=executor) as answers,
        ):
            assert [list(answer.rows) for answer in answers] == [[(10,)], [(10,)]]
