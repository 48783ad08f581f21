"""The command on MariaDB: the server's own numbers, and errors as an operator meets them."""

from dataclasses import replace

import pytest

from command_line import STORES, Ended, Run, owner_of
from servers import MySQLFleet, free_port

SECRET = "hunter2-Xq"

MAPPINGS = {
    "by_store": {
        "key": {"column": "store_id", "type": "int"},
        "tables": ["orders"],
        "slots": {"count": 16, "owners": {"s1": "0-7", "s2": "8-15"}},
    }
}


@pytest.fixture
def fleet(mysql_fleet: MySQLFleet) -> MySQLFleet:
    """Two shards on two servers; s1 also has, as foreign rows, the rows of s2."""
    for shard in ("s1", "s2"):
        mysql_fleet.add(shard)
        mysql_fleet.sql(shard, "CREATE TABLE orders (id INT PRIMARY KEY, store_id INT, amount INT)")
        for store in STORES:
            if shard in ("s1", owner_of(store)):
                mysql_fleet.sql(shard, "INSERT INTO orders VALUES (%s, %s, 7)", (store, store))
    mysql_fleet.write_config(MAPPINGS)
    return mysql_fleet


def log_in_as(fleet: MySQLFleet, user: str, password: str) -> None:
    """Let the configuration log in as a user with a password, which stands in a file."""
    servers = {
        name: replace(server, user=user, password=password)
        for name, server in fleet.servers.items()
    }
    replace(fleet, servers=servers).write_config(MAPPINGS)


def test_prune_leaves_exactly_the_rows_of_the_servers_own_slots(
    run: Run, fleet: MySQLFleet
) -> None:
    ended = run("shard", "prune", "s1", "--apply")

    assert ended.exit_code == 0, ended.stderr
    foreign = "SELECT COUNT(*) FROM orders WHERE CRC32(store_id) & 15 > 7"
    assert fleet.sql("s1", foreign) == [(0,)]
    assert len(fleet.sql("s1", "SELECT 1 FROM orders")) + len(
        fleet.sql("s2", "SELECT 1 FROM orders")
    ) == len(STORES)


def test_printed_select_gives_the_slot_on_the_server(run: Run, fleet: MySQLFleet) -> None:
    ended = run("key", "explain", "by_store", *map(str, STORES), "--json")

    for found in ended.envelope["data"]["keys"]:
        assert fleet.sql(found["shard"], found["select"]) == [(found["slot"], 1)]


def test_wrong_password_fails_without_showing_it(run: Run, fleet: MySQLFleet) -> None:
    log_in_as(fleet, "nobody", SECRET)

    ended = run("shard", "prune", "s1", "--apply", env={"SHARDHASH_TRACEBACK": "1"})

    assert ended.exit_code == 1
    assert "nobody" in ended.stderr
    assert "using password: YES" in ended.stderr
    assert_no_secret(ended)


def test_read_only_user_fails_and_nothing_is_deleted(run: Run, fleet: MySQLFleet) -> None:
    for server in fleet.servers.values():
        server.sql("DROP USER IF EXISTS reader@'%'")
        server.sql(f"CREATE USER reader@'%' IDENTIFIED BY '{SECRET}'")
        server.sql("GRANT SELECT ON *.* TO reader@'%'")
    log_in_as(fleet, "reader", SECRET)

    ended = run("shard", "prune", "s1", "--apply")

    assert ended.exit_code == 1
    assert "reader" in ended.stderr
    assert_no_secret(ended)
    assert fleet.sql("s1", "SELECT COUNT(*) FROM orders") == [(len(STORES),)]


def test_server_that_is_down_fails_and_names_it(run: Run, fleet: MySQLFleet) -> None:
    port = free_port()
    text = fleet.config_text(MAPPINGS).replace(str(fleet.server("s2").port), str(port))
    (fleet.directory / "shardhash.yaml").write_text(text)

    ended = run("shard", "prune", "s1", "--apply", "--json")

    assert ended.exit_code == 1
    assert ended.envelope["error"]["code"] == "server_unreachable"
    assert str(port) in ended.envelope["error"]["message"]


def assert_no_secret(ended: Ended) -> None:
    assert SECRET not in ended.stdout + ended.stderr
