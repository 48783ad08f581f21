"""Rows that are sent as bytes: nothing but them ever leaves, and the session stays as it was."""

from contextlib import closing

import pymysql
import pytest

from shardhash.db.drivers import (
    MySQLConnector,
    Place,
    Secrets,
    SessionSettings,
    insert_bytes,
    load_bytes,
)
from shardhash.db.topology import Endpoint, TlsMode

pytestmark = pytest.mark.server

LOAD = "LOAD DATA LOCAL INFILE '{}' INTO TABLE t"


@pytest.fixture
def session(mysql_fleet):
    """A session of an operation, as its connector makes it, on a database with an empty table."""
    mysql_fleet.add("s1")
    mysql_fleet.sql("s1", "CREATE TABLE t (c VARCHAR(99) CHARACTER SET utf8mb4)")
    server = mysql_fleet.server("s1")
    connector = MySQLConnector(
        Endpoint(host=server.host, port=server.port, user=server.user, tls=TlsMode.DISABLED),
        place=Place(instance="a", address=server.host),
        session=SessionSettings.operations(),
        secrets=Secrets(),
    )
    with closing(connector.connect()) as connection:
        connection.select_db(mysql_fleet.database("s1"))
        connection.autocommit(True)
        yield connection


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("a secret\n")
    return path


def test_the_rows_are_sent_whatever_file_the_server_asks_for(session, mysql_fleet, secret):
    assert load_bytes(session, LOAD.format(secret).encode(), b"ours\n") == (1, 0)

    assert mysql_fleet.sql("s1", "SELECT * FROM t") == [("ours",)]


def test_no_file_is_sent_in_answer_to_a_statement(session, mysql_fleet, secret):
    with pytest.raises(RuntimeError, match="local_infile option is false"):
        session.query(LOAD.format(secret))

    assert mysql_fleet.sql("s1", "SELECT * FROM t") == []


def test_rows_of_many_packets_are_loaded(session, mysql_fleet):
    rows = b"".join(b"%d %s\n" % (number, b"x" * 90) for number in range(20_000))

    assert load_bytes(session, LOAD.format("rows").encode(), rows) == (20_000, 0)

    [(count, longest)] = mysql_fleet.sql("s1", "SELECT COUNT(DISTINCT c), MAX(LENGTH(c)) FROM t")
    assert (count, longest) == (20_000, 96)


def test_an_error_of_a_load_is_the_servers_and_the_session_goes_on(session):
    with pytest.raises(pymysql.err.ProgrammingError, match="doesn't exist"):
        load_bytes(session, b"LOAD DATA LOCAL INFILE 'rows' INTO TABLE missing", b"1\n")

    assert load_bytes(session, LOAD.format("rows").encode(), b"1\n") == (1, 0)


def test_an_interrupted_load_ends_the_connection(session, mysql_fleet, monkeypatch):
    write, packets = session.write_packet, []

    def interrupted(payload):
        packets.append(payload)
        if len(packets) == 2:
            raise KeyboardInterrupt
        write(payload)

    monkeypatch.setattr(session, "write_packet", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_bytes(session, LOAD.format("rows").encode(), b"1\n" * 400_000)

    assert not session.open


def test_texts_of_a_statement_of_bytes_are_bytes(session, mysql_fleet):
    assert insert_bytes(session, b"INSERT INTO t VALUES ('\xc3\xa9'), ('\\'%s')") == (2, 0)

    assert mysql_fleet.sql("s1", "SELECT HEX(c) FROM t") == [("C3A9",), ("272573",)]


@pytest.mark.parametrize("statement", [b"INSERT INTO t VALUES ('a')", b"no SQL"])
def test_the_session_has_its_charset_again(session, statement):
    query = "SELECT @@character_set_client, @@character_set_connection, @@collation_connection"
    with session.cursor() as cursor:
        cursor.execute(query)
        before = cursor.fetchall()
        if statement == b"no SQL":
            with pytest.raises(pymysql.err.ProgrammingError):
                insert_bytes(session, statement)
        else:
            insert_bytes(session, statement)
        cursor.execute(query)

        assert cursor.fetchall() == before
