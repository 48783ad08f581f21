"""Every kind of statement against every state of a slot: nothing of it stays when one row may not.

Exhaustive: each statement touches an owned row first and then a row of the state.
"""

from contextlib import closing

import pytest

from guarding import app_connection, change_state, execute, keys_in, refusal, set_up
from server_software import mariadb_only
from servers import MySQLFleet
from shardhash.errors import WrongShardError

MINE = keys_in(0)[0]
SLOT = 3
THEIRS, THEIRS_TOO = keys_in(SLOT)[:2]
STATES = ["fenced", "foreign", "missing"]

ROWS = f"(10, {MINE}, 1), (11, {THEIRS}, 1)"
KNOWN = [(1, MINE, 0), (2, THEIRS, 0), (3, THEIRS_TOO, 0)]

EVERYWHERE = {
    "insert": f"INSERT INTO orders VALUES {ROWS}",
    "insert select": f"INSERT INTO orders SELECT id + 10, k, v FROM orders WHERE k <> {THEIRS_TOO}",
    "replace new": f"REPLACE INTO orders VALUES {ROWS}",
    "replace old": f"REPLACE INTO orders VALUES (1, {MINE}, 5), (2, {THEIRS}, 5)",
    "replace theirs by mine": f"REPLACE INTO orders VALUES (2, {MINE}, 5)",
    "replace mine by theirs": f"REPLACE INTO orders VALUES (1, {THEIRS}, 5)",
    "update": "UPDATE orders SET v = 5",
    "update to the same": "UPDATE orders SET v = v",
    "delete": "DELETE FROM orders",
    "delete one": f"DELETE FROM orders WHERE k = {THEIRS}",
}
MYSQL = {
    "insert ignore": f"INSERT IGNORE INTO orders VALUES {ROWS}",
    "insert set": f"INSERT INTO orders SET id = 11, k = {THEIRS}",
    "insert returning": f"INSERT INTO orders VALUES {ROWS} RETURNING id",
    "upsert new": f"INSERT INTO orders VALUES {ROWS} ON DUPLICATE KEY UPDATE v = 5",
    "upsert old": f"INSERT INTO orders VALUES (1, {MINE}, 1), (2, {THEIRS}, 1)"
    " ON DUPLICATE KEY UPDATE v = 5",
    "upsert old by my key": f"INSERT INTO orders VALUES (2, {MINE}, 1) ON DUPLICATE KEY UPDATE v=5",
    "update ignore": "UPDATE IGNORE orders SET v = 5",
    "update in order": "UPDATE orders SET v = 5 ORDER BY id LIMIT 2",
    "update of two tables": "UPDATE orders o JOIN others t ON t.id = o.id SET o.v = 5, t.v = 5",
    "delete ignore": "DELETE IGNORE FROM orders",
    "delete quick": "DELETE LOW_PRIORITY QUICK FROM orders",
    "delete from two tables": "DELETE o, t FROM orders o JOIN others t ON t.id = o.id",
    "load data": "LOAD DATA LOCAL INFILE '{file}' INTO TABLE orders",
    "load data ignore": "LOAD DATA LOCAL INFILE '{file}' IGNORE INTO TABLE orders",
    "load data replace": "LOAD DATA LOCAL INFILE '{file}' REPLACE INTO TABLE orders",
    "call": "CALL write_them()",
    "function": "SELECT write_theirs()",
    "prepared": "EXECUTE prepared",
    "immediate": "EXECUTE IMMEDIATE 'UPDATE orders SET v = 5'",
    "view": "UPDATE orders_view SET v = 5",
}
SQLITE = {
    "insert or ignore": f"INSERT OR IGNORE INTO orders VALUES {ROWS}",
    "insert or replace": f"INSERT OR REPLACE INTO orders VALUES (1, {MINE}, 5), (2, {THEIRS}, 5)",
    "insert or replace theirs by mine": f"INSERT OR REPLACE INTO orders VALUES (2, {MINE}, 5)",
    "insert or fail": f"INSERT OR FAIL INTO orders VALUES {ROWS}",
    "insert or rollback": f"INSERT OR ROLLBACK INTO orders VALUES {ROWS}",
    "insert returning": f"INSERT INTO orders VALUES {ROWS} RETURNING id",
    "upsert": f"INSERT INTO orders VALUES (1, {MINE}, 1), (2, {THEIRS}, 1)"
    " ON CONFLICT (id) DO UPDATE SET v = 5",
    "upsert by my key": f"INSERT INTO orders VALUES (2, {MINE}, 1)"
    " ON CONFLICT (id) DO UPDATE SET v = 5",
    "update or ignore": "UPDATE OR IGNORE orders SET v = 5",
    "update or replace": f"UPDATE OR REPLACE orders SET id = 2 WHERE k = {MINE}",
    "update or fail": "UPDATE OR FAIL orders SET v = 5",
    "update from": "UPDATE orders SET v = others.v FROM others WHERE others.id = orders.id",
}
TABLES = (
    "CREATE TABLE orders (id INT PRIMARY KEY, k INT, v INT)",
    "CREATE TABLE others (id INT PRIMARY KEY, v INT)",
)
ROUTINES = (
    "CREATE VIEW orders_view AS SELECT * FROM orders",
    "CREATE PROCEDURE write_them() UPDATE orders SET v = 5",
    (
        "CREATE FUNCTION write_theirs() RETURNS INT"
        f" BEGIN INSERT INTO orders VALUES (11, {THEIRS}, 1); RETURN 1; END"
    ),
)


def prepare(fleet):
    set_up(fleet, "s1", *TABLES, *(ROUTINES if isinstance(fleet, MySQLFleet) else ()))
    with closing(app_connection(fleet, "s1")) as app:
        for row in KNOWN:
            execute(app, "INSERT INTO orders VALUES (%s, %s, %s)", row)
            execute(app, f"INSERT INTO others VALUES ({row[0]}, 0)")
    return fleet


def become(fleet, state):
    if state != "missing":
        change_state(fleet, "s1", SLOT, state)
        return
    schema = "" if fleet.kind == "sqlite" else f"{fleet.database('s1')}_shardhash."
    fleet.sql("s1", f"DELETE FROM {schema}_shardhash_slots WHERE slot = {SLOT}")


def prepare_statement(app, kind):
    if kind == "mysql":
        execute(app, "PREPARE prepared FROM 'UPDATE orders SET v = 5'")


OF_MARIADB = {"insert returning": "INSERT ... RETURNING", "immediate": "EXECUTE IMMEDIATE"}


def cases():
    for kind, statements in (("mysql", EVERYWHERE | MYSQL), ("sqlite", EVERYWHERE | SQLITE)):
        server = [pytest.mark.server] if kind == "mysql" else []
        for name, statement in statements.items():
            is_own = kind == "mysql" and name in OF_MARIADB
            marks = [*server, mariadb_only(OF_MARIADB[name])] if is_own else server
            yield pytest.param(kind, statement, id=f"{kind}-{name}", marks=marks)


CASES = list(cases())


@pytest.mark.parametrize(("kind", "statement"), CASES)
def test_a_statement_is_refused_whole_in_every_state_but_owned(request, tmp_path, kind, statement):
    fleet = prepare(request.getfixturevalue(f"{kind}_fleet"))
    file = tmp_path / "rows.tsv"
    file.write_text(f"10\t{MINE}\t1\n11\t{THEIRS}\t1\n")
    statement = statement.replace("{file}", str(file))
    options = {"local_infile": True, "autocommit": False} if kind == "mysql" else {}

    with closing(app_connection(fleet, "s1", **options)) as app:
        prepare_statement(app, kind)
        for state in STATES:
            become(fleet, state)
            execute(app, "BEGIN")
            error = refusal(app, statement)
            assert isinstance(error, WrongShardError), (state, error)
            assert error.state == state
            if kind == "mysql" or app.in_transaction:
                execute(app, "COMMIT")
            assert fleet.sql("s1", "SELECT * FROM orders ORDER BY id") == KNOWN
            assert fleet.sql("s1", "SELECT SUM(v) FROM others") == [(0,)]


@pytest.mark.parametrize(("kind", "statement"), CASES)
def test_the_same_statement_is_done_where_the_slot_is_owned(request, tmp_path, kind, statement):
    fleet = prepare(request.getfixturevalue(f"{kind}_fleet"))
    file = tmp_path / "rows.tsv"
    file.write_text(f"10\t{MINE}\t1\n11\t{THEIRS}\t1\n")
    options = {"local_infile": True} if kind == "mysql" else {}

    with closing(app_connection(fleet, "s1", **options)) as app:
        prepare_statement(app, kind)
        execute(app, statement.replace("{file}", str(file)))
