"""``instance check`` and ``instance setup`` through the real command, on real servers."""

import logging
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import closing

import pytest
from pymysql.err import OperationalError

from command_line import COMMAND, Ended
from server_software import is_mysql
from servers import MySQLFleet, free_port
from shardhash.db.accounts import apply_grants
from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager
from shardhash.db.drivers import Secrets
from shardhash.db.setup import plan_setup

PASSWORD = "app-pass-Xq7"


def run(fleet: MySQLFleet, *words: str, password: str = PASSWORD) -> Ended:
    ended = subprocess.run(
        [COMMAND, *words],
        cwd=fleet.directory,
        env={**os.environ, "APP_PASSWORD": password},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def user(mysql_fleet: MySQLFleet) -> Iterator[str]:
    name = f"app_{secrets.token_hex(4)}"
    yield name
    for server in mysql_fleet.servers.values():
        server.sql("DROP USER IF EXISTS %s@'%%'", [name])


@pytest.fixture
def fleet(mysql_fleet: MySQLFleet, user: str) -> MySQLFleet:
    for shard, instance in (("s1", "a"), ("s2", "a"), ("s3", "b")):
        mysql_fleet.add(shard, instance=instance)
        mysql_fleet.sql(shard, "CREATE TABLE t (id INT PRIMARY KEY)")
    path = mysql_fleet.write_config()
    path.write_text(
        path.read_text() + f'setup: {{app_user: {{user: {user}, password: "${{APP_PASSWORD}}"}}}}\n'
    )
    return mysql_fleet


def may(fleet: MySQLFleet, shard: str, user: str, statement: str, password: str = PASSWORD) -> bool:
    try:
        with closing(
            fleet.server(shard).connect(fleet.database(shard), user=user, password=password)
        ) as connection:
            connection.cursor().execute(statement)
    except OperationalError:
        return False
    return True


def test_without_apply_the_plan_is_printed_and_nothing_done(fleet: MySQLFleet, user: str) -> None:
    ended = run(fleet, "instance", "setup", "a")

    assert ended.exit_code == 0, ended.stderr
    assert f"create {user}@%" in ended.stdout
    assert f"grant SELECT, INSERT, UPDATE, DELETE on {fleet.database('s1')}" in ended.stdout
    assert not may(fleet, "s1", user, "SELECT 1")


def test_the_account_works_on_the_shards_of_the_instance_only(fleet: MySQLFleet, user: str) -> None:
    ended = run(fleet, "instance", "setup", "a", "--apply")

    assert ended.exit_code == 0, ended.stderr
    assert may(fleet, "s1", user, "INSERT INTO t VALUES (1)")
    assert may(fleet, "s2", user, "DELETE FROM t")
    assert not may(fleet, "s1", user, "DROP TABLE t")
    assert not may(fleet, "s3", user, "SELECT 1")


def test_setting_up_again_finds_nothing_to_do(fleet: MySQLFleet) -> None:
    run(fleet, "instance", "setup", "a", "--apply")

    told = "set the password" if is_mysql() else "nothing to do"
    assert told in run(fleet, "instance", "setup", "a").stdout


def test_a_changed_password_is_applied(fleet: MySQLFleet, user: str) -> None:
    run(fleet, "instance", "setup", "a", "--apply")

    run(fleet, "instance", "setup", "a", "--apply", password="another")

    assert may(fleet, "s1", user, "SELECT 1", password="another")


def test_an_account_with_grants_elsewhere_is_refused(fleet: MySQLFleet, user: str) -> None:
    server = fleet.server("s1")
    server.sql("CREATE USER %s@'%%'", [user])
    server.sql("GRANT SELECT ON mysql.* TO %s@'%%'", [user])

    ended = run(fleet, "instance", "setup", "a", "--apply")

    assert ended.exit_code == 3
    assert "may also use mysql" in ended.stderr


def test_the_password_is_printed_nowhere(fleet: MySQLFleet) -> None:
    texts = [
        ended.stdout + ended.stderr
        for words in ([], ["--json"], ["--apply"], ["--apply", "--json"])
        if (ended := run(fleet, "instance", "setup", "a", *words))
    ]

    assert PASSWORD not in "".join(texts)


def test_the_password_and_its_hash_are_logged_nowhere(
    fleet: MySQLFleet, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="sqlalchemy")
    config = Config.load(fleet.directory / "shardhash.yaml")
    resolver = Secrets({"APP_PASSWORD": PASSWORD})
    with ConnectionManager(config) as connections, connections.instance("a") as connection:
        plan = plan_setup(connection, config, "a", secrets=resolver)
        apply_grants(connection, plan)

    sent = str(plan.statements[0].parameters[-1])
    assert "CREATE USER" in caplog.text
    assert PASSWORD not in caplog.text
    assert (sent == PASSWORD) is is_mysql()  # MariaDB takes the hash
    assert sent not in caplog.text


def test_check_tells_all_instances_also_when_one_is_down(fleet: MySQLFleet) -> None:
    path = fleet.directory / "shardhash.yaml"
    path.write_text(path.read_text().replace(str(fleet.servers["b"].port), str(free_port())))

    ended = run(fleet, "instance", "check", "--json")

    first, second = ended.envelope["data"]["instances"]
    assert ended.exit_code == 1
    assert first["facts"]["databases"] == sorted([fleet.database("s1"), fleet.database("s2")])
    assert first["facts"]["trigger"]["result"] == "yes"
    assert second["error"]["code"] == "server_unreachable"


def test_check_prints_operations_as_a_table(fleet: MySQLFleet) -> None:
    ended = run(fleet, "instance", "check", "a")

    assert ended.exit_code == 0, ended.stderr
    assert "operation  may run  lacks" in ended.stdout
    assert "prune      yes" in ended.stdout
