"""``instance check`` on real servers: what it reports, what it tries, and that it cleans up."""

import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from server_software import is_mysql
from servers import MariaDB, Server
from shardhash.db.checks import ServerFacts, check_server
from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager


def check(server: Server, *databases: str, user: str = "root", password: str = "") -> ServerFacts:
    url = f"mysql://{user}:{password or server.password}@{server.host}:{server.port}"
    config = Config.parse(f'{{format: 1, app: a, instances: {{i: {{url: "{url}"}}}}}}')
    name = f"_shardhash_trial_{secrets.token_hex(4)}"
    with ConnectionManager(config) as connections, connections.instance("i") as connection:
        return check_server(connection, databases, clock=time, trial_name=name)


@pytest.fixture
def database(mariadb_binlog: MariaDB) -> Iterator[str]:
    name = f"shop_{secrets.token_hex(4)}"
    mariadb_binlog.sql(f"CREATE DATABASE {name}")
    yield name
    mariadb_binlog.drop_databases([name])


@pytest.fixture
def account(mariadb_binlog: MariaDB) -> Iterator[str]:
    name = f"ops_{secrets.token_hex(4)}"
    mariadb_binlog.sql("CREATE USER %s@'%%' IDENTIFIED BY 'pw'", [name])
    yield name
    mariadb_binlog.sql("DROP USER %s@'%%'", [name])


def leftovers(server: Server) -> list[Any]:
    return server.sql(
        r"SELECT table_schema, table_name FROM information_schema.tables"
        r" WHERE table_name LIKE '\_shardhash\_trial%' OR table_schema LIKE '\_shardhash\_trial%'"
    ) + server.sql(r"SHOW DATABASES LIKE '\_shardhash\_trial%'")


def test_settings_are_the_servers_own(mariadb_binlog: MariaDB) -> None:
    mode, zone = mariadb_binlog.sql("SELECT @@GLOBAL.sql_mode, @@system_time_zone")[0]

    facts = check(mariadb_binlog)

    assert facts.version.startswith("MySQL " if is_mysql() else "MariaDB 1")
    assert facts.sql_mode == mode
    assert facts.time_zone == f"SYSTEM ({zone})"
    assert facts.binlog_format == "ROW"
    assert facts.tls == ""
    assert 0 < facts.latency_ms < 1000
    assert not facts.is_read_only


def test_without_a_binary_log_its_format_is_off(mariadb: Server) -> None:
    assert check(mariadb).binlog_format == "off"


def test_root_may_do_everything(mariadb_binlog: MariaDB, database: str) -> None:
    facts = check(mariadb_binlog, database)

    assert set(facts.missing.values()) == {()}
    assert facts.trigger.result == "yes"
    assert leftovers(mariadb_binlog) == []


def test_a_trigger_that_the_binary_log_forbids_is_tried_and_told(
    mariadb_binlog: MariaDB, database: str, account: str
) -> None:
    mariadb_binlog.sql(f"GRANT ALL ON {database}.* TO %s@'%%'", [account])

    facts = check(mariadb_binlog, database, user=account, password="pw")

    assert facts.trigger.result == "no"
    assert "(1419)" in facts.trigger.reason
    assert leftovers(mariadb_binlog) == []


def test_a_trusted_server_lets_the_same_account(mariadb_trusted: MariaDB) -> None:
    mariadb_trusted.sql("CREATE DATABASE shop")
    mariadb_trusted.sql("CREATE USER ops@'%' IDENTIFIED BY 'pw'")
    try:
        mariadb_trusted.sql("GRANT ALL ON shop.* TO ops@'%'")

        facts = check(mariadb_trusted, "shop", user="ops", password="pw")
    finally:
        mariadb_trusted.sql("DROP USER ops@'%'")
        mariadb_trusted.drop_databases(["shop"])

    assert facts.trigger.result == "yes", facts.trigger
    assert leftovers(mariadb_trusted) == []


def test_an_account_that_may_not_make_tables_tries_nothing(
    mariadb_binlog: MariaDB, database: str, account: str
) -> None:
    mariadb_binlog.sql(f"GRANT SELECT ON {database}.* TO %s@'%%'", [account])

    facts = check(mariadb_binlog, database, user=account, password="pw")

    assert facts.trigger.result == "not tried"
    assert facts.missing["query"] == ()
    assert facts.missing["prune"] == (f"DELETE ON {database}.*",)


def test_privileges_of_a_role_count_while_it_is_on(
    mariadb_binlog: MariaDB, database: str, account: str
) -> None:
    role = f"r_{secrets.token_hex(4)}"
    mariadb_binlog.sql(f"CREATE ROLE {role}")
    try:
        mariadb_binlog.sql(f"GRANT SELECT ON {database}.* TO {role}")
        mariadb_binlog.sql(f"GRANT {role} TO %s@'%%'", [account])
        word = "TO" if is_mysql() else "FOR"
        mariadb_binlog.sql(f"SET DEFAULT ROLE {role} {word} %s@'%%'", [account])

        facts = check(mariadb_binlog, database, user=account, password="pw")
    finally:
        mariadb_binlog.sql(f"DROP ROLE {role}")

    assert facts.missing["query"] == ()


def test_no_fact_holds_a_password(mariadb_binlog: MariaDB, account: str) -> None:
    assert "pw" not in repr(check(mariadb_binlog, user=account, password="pw"))
