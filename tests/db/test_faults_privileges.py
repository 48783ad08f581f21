"""Accounts that may not do what an operation needs are refused before it does anything."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from faults import FaultShop
from server_software import is_mysql, mysql_only
from servers import MariaDB, MySQLFleet, Server
from shardhash.errors import AccessDeniedError, DatabaseError, PreflightError

SHARD = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "TRIGGER")
CONTROL = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP")
PASSWORD = "of the operator"
NO_TRIGGERS = r"may not make triggers.*\(1419\)"


@contextmanager
def logged_in(
    fleet: MySQLFleet,
    instance: str,
    database: str,
    *,
    shard: tuple[str, ...] = SHARD,
    control: tuple[str, ...] = CONTROL,
    sees_prepared: bool = True,
) -> Iterator[MySQLFleet]:
    """Yield the fleet as it is with an account on an instance that has some rights there."""
    server, account = fleet.servers[instance], f"op_{secrets.token_hex(4)}"
    server.sql(f"CREATE USER {account}@'%%' IDENTIFIED BY %s", [PASSWORD])
    try:
        for name, words in ((database, shard), (f"{database}_shardhash", control)):
            if words:
                escaped = name.replace("_", r"\_")
                server.sql(f"GRANT {', '.join(words)} ON `{escaped}`.* TO {account}@'%'")
        if is_mysql() and sees_prepared:
            server.sql(f"GRANT XA_RECOVER_ADMIN ON *.* TO {account}@'%'")
        other = Server(server.host, server.port, user=account, password=PASSWORD)
        yield replace(fleet, servers={**fleet.servers, instance: other})
    finally:
        server.sql(f"DROP USER {account}@'%'")


def log_in(shop: FaultShop, fleet: MySQLFleet) -> None:
    """Let a shop's configuration have the addresses and accounts of a fleet."""
    assert shop.store is not None
    text, version = shop.store.read_text()
    for name, entry in fleet._instances().items():
        address = ", ".join(f"{key}: '{value}'" for key, value in entry.items())
        lines = text.splitlines(keepends=True)
        (old,) = [line for line in lines if line.startswith(f"  {name}: ")]
        text = text.replace(old, f"  {name}: {{{address}}}\n")
    shop.store.save(text, expect=version)


def without(word: str) -> tuple[str, ...]:
    """Return all rights on a shard but one."""
    return tuple(each for each in SHARD if each != word)


@pytest.fixture
def shop(mysql_fleet: MySQLFleet) -> FaultShop:
    return FaultShop(mysql_fleet)


@contextmanager
def dropped(fleet: MySQLFleet) -> Iterator[MySQLFleet]:
    """Yield a fleet, and drop what is made on its servers."""
    try:
        yield fleet
    finally:
        fleet.drop()


def target_of(shop: FaultShop) -> str:
    """Return the name that the database of s2 will have."""
    return shop.fleet.database("s1").removesuffix("s1") + "s2"


@pytest.mark.parametrize("word", ["INSERT", "DELETE", "ALTER", "TRIGGER"])
def test_a_right_that_is_missing_on_the_source_is_named(
    shop: FaultShop, mysql_fleet: MySQLFleet, word: str
) -> None:
    database = mysql_fleet.database("s1")
    with logged_in(mysql_fleet, "a", database, shard=without(word)) as fleet:
        log_in(shop, fleet)

        with pytest.raises(PreflightError, match="the account of shard s1 may not") as refused:
            shop.plan()

    assert refused.value.exit_code == 3
    assert refused.value.next_step == f"GRANT {word} ON {database}.* to it"
    assert set(shop.states("s1").values()) == {"owned"}


def test_a_source_that_may_not_be_read_names_the_table(
    shop: FaultShop, mysql_fleet: MySQLFleet
) -> None:
    database = mysql_fleet.database("s1")
    with logged_in(mysql_fleet, "a", database, shard=without("SELECT")) as fleet:
        log_in(shop, fleet)

        with pytest.raises((AccessDeniedError, PreflightError), match="SELECT"):
            shop.plan()


@pytest.mark.parametrize("word", ["INSERT", "CREATE", "ALTER", "TRIGGER"])
def test_a_right_that_is_missing_on_the_target_is_named_before_it_is_made(
    shop: FaultShop, mysql_fleet: MySQLFleet, word: str
) -> None:
    with logged_in(mysql_fleet, "b", target_of(shop), shard=without(word)) as fleet:
        log_in(shop, fleet)

        with pytest.raises(PreflightError, match="the account of shard s2 may not") as refused:
            shop.plan()

    assert refused.value.next_step == f"GRANT {word} ON {target_of(shop)}.* to it"
    assert shop.databases() == [
        f"a/{mysql_fleet.database('s1')}{end}" for end in ("", "_shardhash")
    ]


def test_an_account_that_may_not_make_control_tables_is_told_so(
    shop: FaultShop, mysql_fleet: MySQLFleet
) -> None:
    control = tuple(word for word in CONTROL if word != "CREATE")
    with logged_in(mysql_fleet, "b", target_of(shop), control=control) as fleet:
        log_in(shop, fleet)

        with pytest.raises(PreflightError) as refused:
            shop.plan()

    assert refused.value.next_step == f"GRANT CREATE ON {target_of(shop)}_shardhash.* to it"


def test_an_account_with_just_these_rights_splits(shop: FaultShop, mysql_fleet: MySQLFleet) -> None:
    with (
        logged_in(mysql_fleet, "a", mysql_fleet.database("s1")) as fleet,
        logged_in(fleet, "b", target_of(shop)) as both,
    ):
        log_in(shop, both)

        shop.apply()

        shop.check_split()


@mysql_only("a right of its own for XA RECOVER")
def test_the_right_to_see_prepared_transactions_is_named(
    shop: FaultShop, mysql_fleet: MySQLFleet
) -> None:
    database = mysql_fleet.database("s1")
    with logged_in(mysql_fleet, "a", database, sees_prepared=False) as fleet:
        log_in(shop, fleet)

        with pytest.raises(DatabaseError, match="1401") as refused:
            shop.plan()

    assert "XA_RECOVER_ADMIN" in refused.value.next_step


def test_a_binary_log_that_forbids_triggers_is_found_before_a_target_is_made(
    mariadb: Server, mariadb_binlog: MariaDB, mysql_fleet: MySQLFleet
) -> None:
    servers = {"a": mariadb, "b": mariadb_binlog}
    with dropped(replace(mysql_fleet, servers=servers)) as fleet:
        shop = FaultShop(fleet)
        with logged_in(fleet, "b", target_of(shop)) as limited:
            log_in(shop, limited)

            with pytest.raises(PreflightError, match=NO_TRIGGERS) as refused:
                shop.plan()

        assert "SET GLOBAL log_bin_trust_function_creators = 1" in refused.value.next_step
        assert "GRANT SUPER ON *.* to the account" in refused.value.next_step
        assert not [name for name in shop.databases() if name.startswith("b/")]


def test_a_binary_log_that_forbids_triggers_is_found_before_a_database_is_taken_in(
    mariadb_binlog: MariaDB, mysql_fleet: MySQLFleet
) -> None:
    servers = {"a": mariadb_binlog, "b": mariadb_binlog}
    with dropped(replace(mysql_fleet, servers=servers)) as fleet:
        shop = FaultShop(fleet)
        with shop.operations() as operations:
            operations.apply(operations.plan_guard("by_k", wanted=False))
        with logged_in(fleet, "a", fleet.database("s1")) as limited:
            log_in(shop, limited)

            with shop.operations() as operations:
                with pytest.raises(PreflightError, match=NO_TRIGGERS):
                    operations.plan_guard("by_k")
                with pytest.raises(PreflightError, match=NO_TRIGGERS):
                    shop.adoption(operations)


def test_a_trusted_server_needs_no_more(
    mariadb: Server, mariadb_trusted: MariaDB, mysql_fleet: MySQLFleet
) -> None:
    servers = {"a": mariadb, "b": mariadb_trusted}
    with dropped(replace(mysql_fleet, servers=servers)) as fleet:
        shop = FaultShop(fleet)
        with logged_in(fleet, "b", target_of(shop)) as limited:
            log_in(shop, limited)
            shop.apply()
        log_in(shop, fleet)

        shop.check_split()
