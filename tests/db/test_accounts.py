"""The application's account on a real server: least privilege, repeatable, its own."""

import secrets
from contextlib import closing

import pytest
from pymysql.err import OperationalError
from sqlalchemy import create_engine
from sqlalchemy.engine import URL

from server_software import is_mysql
from shardhash.db.accounts import apply_grants, read_grants
from shardhash.db.planning.grants import plan_app_user, plan_revoke


@pytest.fixture
def account(mariadb):
    name = f"app_{secrets.token_hex(4)}"
    yield name
    mariadb.sql("DROP USER IF EXISTS %s@'%%'", [name])


@pytest.fixture
def operator(mariadb):
    url = URL.create("mysql+pymysql", "root", mariadb.password, mariadb.host, mariadb.port)
    engine = create_engine(url, connect_args={"ssl_disabled": True})
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def database(mariadb):
    name = f"shop_{secrets.token_hex(4)}"
    lookalike = name.replace("_", "x")
    for each in (name, lookalike):
        mariadb.sql(f"CREATE DATABASE {each}")
        mariadb.sql(f"CREATE TABLE {each}.t (id INT PRIMARY KEY)")
    yield name
    mariadb.drop_databases([name, lookalike])


def set_up(operator, account, database, password="one"):
    plan = plan_app_user(account, "%", password, [database], read_grants(operator, account, "%"))
    apply_grants(operator, plan)
    return plan


def setting_again(account):
    """Return what MySQL is told each time: it does not show what its passwords could be told by."""
    return (f"set the password of {account}@%",) if is_mysql() else ()


def may(mariadb, account, password, statement):
    try:
        with closing(mariadb.connect(user=account, password=password)) as connection:
            connection.cursor().execute(statement)
    except OperationalError:
        return False
    return True


def test_the_account_gets_dml_on_its_databases_and_nothing_else(
    mariadb, operator, account, database
):
    set_up(operator, account, database)

    assert may(mariadb, account, "one", f"INSERT INTO {database}.t VALUES (1)")
    assert may(mariadb, account, "one", f"DELETE FROM {database}.t")
    assert not may(mariadb, account, "one", f"DROP TABLE {database}.t")
    assert not may(mariadb, account, "one", f"TRUNCATE {database}.t")


def test_an_underscore_in_the_name_grants_no_lookalike(mariadb, operator, account, database):
    set_up(operator, account, database)

    assert not may(mariadb, account, "one", f"SELECT * FROM {database.replace('_', 'x')}.t")


def test_setting_up_twice_plans_nothing(operator, account, database):
    set_up(operator, account, database)

    assert set_up(operator, account, database).titles == setting_again(account)


def test_a_changed_password_is_applied(mariadb, operator, account, database):
    set_up(operator, account, database)

    set_up(operator, account, database, password="two")

    assert may(mariadb, account, "two", "SELECT 1")
    assert not may(mariadb, account, "one", "SELECT 1")


def test_an_account_with_grants_elsewhere_is_left_alone(mariadb, operator, account, database):
    mariadb.sql("CREATE USER %s@'%%' IDENTIFIED BY 'theirs'", [account])
    mariadb.sql("GRANT SELECT ON mysql.* TO %s@'%%'", [account])

    plan = set_up(operator, account, database)

    assert "mysql" in plan.warnings[0]
    assert may(mariadb, account, "theirs", "SELECT 1")
    assert not may(mariadb, account, "theirs", f"SELECT * FROM {database}.t")


def test_more_than_dml_is_taken_back(mariadb, operator, account, database):
    set_up(operator, account, database)
    pattern = database.replace("_", "\\_")
    mariadb.sql(f"GRANT DROP ON `{pattern}`.* TO %s@'%%'", [account])

    plan = set_up(operator, account, database)

    assert plan.titles == (*setting_again(account), f"revoke DROP on {database}")
    assert not may(mariadb, account, "one", f"DROP TABLE {database}.t")


def test_revoking_the_last_database_drops_the_account(mariadb, operator, account, database):
    set_up(operator, account, database)

    apply_grants(operator, plan_revoke(account, "%", database, read_grants(operator, account, "%")))

    assert not read_grants(operator, account, "%").exists


def test_an_account_that_was_not_granted_anything_yet_is_dropped_too(
    mariadb, operator, account, database
):
    mariadb.sql("CREATE USER %s@'%%' IDENTIFIED BY 'one'", [account])

    apply_grants(operator, plan_revoke(account, "%", database, read_grants(operator, account, "%")))

    assert not read_grants(operator, account, "%").exists


def test_an_account_with_another_database_stays(mariadb, operator, account, database):
    set_up(operator, account, database)

    apply_grants(operator, plan_revoke(account, "%", "other", read_grants(operator, account, "%")))

    assert may(mariadb, account, "one", f"SELECT * FROM {database}.t")


def test_no_repr_shows_the_password(operator, account, database):
    plan = set_up(operator, account, database, password="planted-secret")
    facts = read_grants(operator, account, "%")

    assert "planted" not in repr((plan, facts, *plan.statements))
    assert str(facts.password_hash) not in repr((plan, facts, *plan.statements))
