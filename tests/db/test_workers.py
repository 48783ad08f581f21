"""Tasks on real shards: streams side by side, deadlines, ends, executors."""

import os
import pickle
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import pytest

import server_software
from managers import manager_of, with_table
from servers import wait_until
from shardhash.db import Config
from shardhash.db.tasks import ShardTask
from shardhash.db.workers import QueryWorker, run_tasks
from shardhash.errors import (
    DatabaseError,
    DeadlineError,
    MemoryCapError,
    StaleMapError,
    UsageError,
)

NUMBERS = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
    SELECT i, '{text}' AS x FROM n"""
ENDLESS = NUMBERS.format(count=2_000_000_000, text="x").replace("i, ", "COUNT(*), ")
SLEEP = "SELECT SLEEP(600) AS dozed"


def numbers(count, shard="s1", text="0123456789" * 20):
    return ShardTask(shard=shard, sql=NUMBERS.format(count=count, text=text))


def slow(fleet, shard="s1", **options):
    return ShardTask(shard=shard, sql=SLEEP if fleet.kind == "mysql" else ENDLESS, **options)


def of_each(fleet, sql, *parameters, shards=("s1", "s2")):
    sql = sql if fleet.kind == "mysql" else sql.replace("%s", "?")
    return [ShardTask(shard=shard, sql=sql, parameters=parameters) for shard in shards]


@contextmanager
def manager_with(fleet, shard_count=2, **options):
    with_table(fleet, *(f"s{number + 1}" for number in range(shard_count)))
    for server in getattr(fleet, "servers", {}).values():
        server.sql(f"SET GLOBAL {server_software.recursion_variable()} = 4294967295")
    with manager_of(fleet, **options) as manager:
        yield manager


def sleepers(fleet):
    return sum(
        row[0]
        for server in fleet.servers.values()
        for row in server.sql(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(600)%'"
            " AND id <> CONNECTION_ID()"
        )
    )


def test_answers_come_in_the_order_of_the_tasks_with_their_columns(backend):
    with manager_with(backend) as manager:
        backend.sql("s2", "UPDATE t SET v = 30 WHERE id = 2")
        tasks = of_each(backend, "SELECT v AS value, id FROM t WHERE id = %s", 2)

        with run_tasks(tasks[::-1], connections=manager) as answers:
            found = [(a.shard, [c.name for c in a.columns], list(a.rows)) for a in answers]

    assert found == [
        ("s2", ["value", "id"], [(30, 2)]),
        ("s1", ["value", "id"], [(20, 2)]),
    ]


def test_an_empty_answer_has_its_columns(backend):
    with manager_with(backend) as manager:
        nothing = of_each(backend, "SELECT id FROM t WHERE id = 9")
        with run_tasks(nothing, connections=manager) as a:
            assert [[column.name for column in each.columns] for each in a] == [["id"], ["id"]]
            assert [list(each.rows) for each in a] == [[], []]


def test_large_answers_are_read_side_by_side(backend):
    with manager_with(backend) as manager:
        tasks = [numbers(30_000, "s1"), numbers(30_000, "s2")]
        with run_tasks(tasks, connections=manager) as answers:
            pairs = zip(answers[0].rows, answers[1].rows, strict=True)
            assert all(left[0] == right[0] == n for n, (left, right) in enumerate(pairs, start=1))


def test_more_shards_than_connections_are_read_in_any_order(backend):
    with manager_with(backend, shard_count=7, max_connections=1) as manager:
        tasks = [numbers(9_000, f"s{number}") for number in range(1, 8)]
        with run_tasks(tasks, connections=manager) as answers:
            for answer in answers[::-1]:
                assert [row[0] for row in answer.rows] == list(range(1, 9_001))


def test_the_first_failure_is_told_with_its_shard_and_ends_the_others(mysql_fleet):
    with manager_with(mysql_fleet) as manager:
        tasks = [slow(mysql_fleet, "s1"), ShardTask(shard="s2", sql="SELECT nothing FROM t")]
        with (
            pytest.raises(DatabaseError, match=r"shard s2 .*nothing"),
            run_tasks(tasks, connections=manager),
        ):
            pass

        wait_until(lambda: not sleepers(mysql_fleet), what="end of the sleeper")


def test_an_error_half_way_reaches_the_reader(mysql_fleet):
    with manager_with(mysql_fleet) as manager:
        sql = (
            "SELECT IF(seq < 9000, seq, (SELECT id FROM t)) AS i "
            f"FROM {server_software.numbers(10_000)}"
        )
        with (
            run_tasks([ShardTask(shard="s1", sql=sql)], connections=manager) as (answer,),
            pytest.raises(DatabaseError, match=r"shard s1 .*more than 1 row"),
        ):
            list(answer.rows)


def test_leaving_early_ends_what_runs_and_leaves_the_pool_whole(backend):
    with manager_with(backend, max_connections=2) as manager:
        for _ in range(3):
            tasks = [numbers(200_000, shard) for shard in ("s1", "s2")]
            with run_tasks(tasks, connections=manager) as answers:
                assert next(answers[0].rows)[0] == 1

        again = of_each(backend, "SELECT id FROM t")
        with run_tasks(again, connections=manager) as answers:
            assert [list(answer.rows) for answer in answers] == [[(1,), (2,)]] * 2


def test_rows_of_a_closed_answer_are_not_silently_missing(backend):
    with manager_with(backend) as manager:
        with run_tasks([numbers(100_000)], connections=manager) as (answer,):
            rows = answer.rows
            next(rows)

        with pytest.raises(UsageError, match="closed before all its rows"):
            list(rows)


@pytest.mark.parametrize("shards", [["s1"], ["s1", "s2"]], ids=len)
def test_ctrl_c_ends_the_work_of_the_shards(mysql_fleet, shards):
    with manager_with(mysql_fleet) as manager:
        presser = threading.Thread(
            target=press_ctrl_c, args=(lambda: sleepers(mysql_fleet) == len(shards),)
        )
        presser.start()
        with (
            pytest.raises(KeyboardInterrupt),
            run_tasks([slow(mysql_fleet, s) for s in shards], connections=manager) as answers,
        ):
            list(answers[0].rows)
        presser.join()

        wait_until(lambda: not sleepers(mysql_fleet), what="end of the sleepers")


def test_ctrl_c_ends_the_work_on_files(sqlite_fleet):
    with manager_with(sqlite_fleet) as manager:
        presser = threading.Thread(target=press_ctrl_c, args=(query_thread_runs,))
        presser.start()
        with (
            pytest.raises(KeyboardInterrupt),
            run_tasks([slow(sqlite_fleet, s) for s in ("s1", "s2")], connections=manager),
        ):
            pass
        presser.join()

        assert not query_thread_runs()


def test_ctrl_c_ends_the_work_on_one_file(sqlite_fleet):
    with manager_with(sqlite_fleet) as manager:
        presser = threading.Thread(target=press_ctrl_c, args=(main_thread_waits_for_sqlite,))
        presser.start()  # it waits for the statement, so it cannot press too early
        with pytest.raises(KeyboardInterrupt), run_tasks([slow(sqlite_fleet)], connections=manager):
            pass
        presser.join()

        with run_tasks([numbers(3)], connections=manager) as (answer,):
            assert len(list(answer.rows)) == 3


def main_thread_waits_for_sqlite():
    frame = sys._current_frames()[threading.main_thread().ident]
    return frame.f_code.co_name == "_sqlite"


def query_thread_runs():
    return any(thread.name == "shardhash-query" for thread in threading.enumerate())


def press_ctrl_c(condition):
    wait_until(condition, what="work to interrupt")
    os.kill(os.getpid(), signal.SIGINT)


def test_a_deadline_is_kept_by_the_server(backend):
    with manager_with(backend) as manager:
        tasks = [ShardTask(shard="s1", sql=ENDLESS, deadline_s=0.2)]
        with (
            pytest.raises(DeadlineError, match=r"shard s1.*deadline"),
            run_tasks(tasks, connections=manager) as (answer,),
        ):
            list(answer.rows)


def test_a_deadline_that_is_met_changes_nothing(backend):
    with manager_with(backend) as manager:
        task = ShardTask(shard="s1", sql="SELECT id FROM t", deadline_s=60)
        with run_tasks([task], connections=manager) as (answer,):
            assert list(answer.rows) == [(1,), (2,)]
            assert [column.name for column in answer.columns] == ["id"]


def test_a_percent_sign_is_doubled_on_mysql_only(backend):
    doubled = "%%" if backend.kind == "mysql" else "%"
    with manager_with(backend) as manager:
        task = ShardTask(shard="s1", sql=f"SELECT 7 {doubled} 4 AS rest")
        with run_tasks([task], connections=manager) as (answer,):
            assert list(answer.rows) == [(3,)]


def tasks_with_config(fleet, *tasks, version=None):
    path = fleet.write_config()
    version = Config.load(path).version if version is None else version
    return [
        ShardTask(shard=t.shard, sql=t.sql, config=str(path), config_version=version) for t in tasks
    ]


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


def test_processes_open_their_own_connections(backend, processes):
    with manager_with(backend) as manager:
        tasks = tasks_with_config(backend, *of_each(backend, "SELECT v FROM t ORDER BY v"))
        with run_tasks(tasks, connections=manager, executor=processes) as answers:
            assert [(a.shard, list(a.rows)) for a in answers] == [
                ("s1", [(10,), (20,)]),
                ("s2", [(10,), (20,)]),
            ]
            assert answers[0].columns[0].name == "v"


def test_a_failure_in_another_process_is_told_with_its_shard(backend, processes):
    with manager_with(backend) as manager:
        tasks = tasks_with_config(backend, *of_each(backend, "SELECT nothing FROM t"))
        with (
            pytest.raises(DatabaseError, match=r"shard s[12] .*nothing"),
            run_tasks(tasks, connections=manager, executor=processes),
        ):
            pass


def test_a_worker_refuses_another_version_of_the_configuration(backend, processes):
    with manager_with(backend) as manager:
        sql = of_each(backend, "SELECT v FROM t")
        tasks = tasks_with_config(backend, *sql, version="0" * 64)
        with (
            pytest.raises(StaleMapError, match="planned for 000000000000"),
            run_tasks(tasks, connections=manager, executor=processes),
        ):
            pass


def test_a_task_without_configuration_stays_in_its_process(backend, processes):
    with manager_with(backend) as manager:
        tasks = of_each(backend, "SELECT v FROM t")
        with (
            pytest.raises(UsageError, match="names no configuration"),
            run_tasks(tasks, connections=manager, executor=processes),
        ):
            pass
        with (
            ThreadPoolExecutor(1) as threads,
            run_tasks(tasks, connections=manager, executor=threads) as answers,
        ):
            assert [len(list(answer.rows)) for answer in answers] == [2, 2]


def test_leaving_early_ends_the_statements_of_an_executor(mysql_fleet):
    with manager_with(mysql_fleet) as manager, ThreadPoolExecutor(2) as threads:
        presser = threading.Thread(target=press_ctrl_c, args=(lambda: sleepers(mysql_fleet) == 2,))
        presser.start()
        with (
            pytest.raises(KeyboardInterrupt),
            run_tasks(
                [slow(mysql_fleet, s) for s in ("s1", "s2")], connections=manager, executor=threads
            ),
        ):
            pass
        presser.join()

        wait_until(lambda: not sleepers(mysql_fleet), what="end of the sleepers")


def test_an_answer_too_large_to_send_is_refused(backend):
    with manager_with(backend) as manager:
        worker = QueryWorker(manager, most_bytes=100_000)

        with pytest.raises(MemoryCapError, match="answer of shard s1"):
            worker.run(numbers(100_000))


def test_what_travels_holds_no_secret(mysql_fleet, tmp_path):
    mysql_fleet.add("s1")
    (task,) = tasks_with_config(mysql_fleet, ShardTask(shard="s1", sql="SELECT 1"))

    sent = pickle.dumps((QueryWorker().run, task))

    assert b"password" not in sent
    assert b"127.0.0.1" not in sent


def test_an_integer_that_sqlite_cannot_hold_is_a_mistake_of_the_caller(sqlite_fleet):
    with manager_with(sqlite_fleet) as manager:
        task = ShardTask(shard="s1", sql="SELECT ?", parameters=(2**63,))
        with (
            pytest.raises(UsageError, match="shard s1: a value is beyond"),
            run_tasks([task], connections=manager),
        ):
            pass
