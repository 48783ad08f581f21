"""The core's reading of rows on a real server, against PyMySQL's own cursor."""

from contextlib import closing

import pytest
from pymysql import err
from pymysql.cursors import SSCursor

from server_software import numbers
from shardhash.db.drivers._rows import RowCursor

pytestmark = pytest.mark.server

TYPES = """
    CREATE TABLE {}.types (
        id INT PRIMARY KEY, tiny TINYINT UNSIGNED ZEROFILL, huge BIGINT UNSIGNED, low BIGINT,
        exact DECIMAL(65,30), small FLOAT, large DOUBLE, day DATE, moment DATETIME(6), at TIME(3),
        made YEAR, word VARCHAR(60) CHARACTER SET utf8mb4, old CHAR(9) CHARACTER SET latin1,
        raw VARBINARY(20), big LONGTEXT, flags BIT(11), kind ENUM('a', 'é'), some SET('x', 'y'),
        place POINT, document JSON
    )
"""
VALUES = (
    """(1, 7, 18446744073709551615, -9223372036854775808, 1.5, 1.1, 1.7976931348623157e308,
    '2026-02-28', '2026-02-28 10:00:00.000001', '-838:59:59', 1999, 'Straße \U0001f41f', 'é',
    X'00ff27', REPEAT('ß', 70000), b'10000000001', 'é', 'x,y', POINT(1, 2), '{"a": 1}')""",
    f"(2{', NULL' * 19})",
    """(3, 0, 0, 0, 0, 0, 0, '0000-00-00', '0000-00-00', 0, 0, '', '', '', '', 0, 'a', '', NULL,
    '1')""",
)


@pytest.fixture
def connection(mariadb):
    name = "t_rows"
    mariadb.drop_databases([name])
    mariadb.sql(f"CREATE DATABASE {name}")
    with closing(mariadb.connect(name)) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = ''")
            cursor.execute(TYPES.format(name))
            for row in VALUES:
                cursor.execute(f"INSERT INTO types VALUES {row}")
        yield connection
    mariadb.drop_databases([name])


def rows_of(cursor, size=2):
    rows = []
    while block := cursor.fetchmany(size):
        rows += block
    return rows


def both(connection, statement):
    found = []
    for kind in (RowCursor, SSCursor):
        with closing(kind(connection)) as cursor:
            cursor.execute(statement)
            found.append(rows_of(cursor))
    return found


def columns(connection):
    with connection.cursor() as cursor:
        cursor.execute("SHOW COLUMNS FROM types")
        return [row[0] for row in cursor.fetchall()]


def test_values_of_all_types_are_those_of_pymysql(connection):
    for column in columns(connection):
        ours, theirs = both(connection, f"SELECT {column}, id FROM types ORDER BY id")

        assert repr(ours) == repr(theirs)
    ours, theirs = both(connection, "SELECT * FROM types ORDER BY id")
    assert repr(ours) == repr(theirs)


def test_many_rows_come_in_order_and_the_connection_goes_on(connection):
    for _ in range(2):
        ours, theirs = both(connection, "SELECT seq, seq / 7, REPEAT('x', seq % 90) "
                                        f"FROM {numbers(20_000)}")  # fmt: skip

        assert ours == theirs


def test_a_row_of_more_than_one_packet(connection, mariadb):
    ((before,),) = mariadb.sql("SELECT @@GLOBAL.max_allowed_packet")
    mariadb.sql("SET GLOBAL max_allowed_packet = 64 * 1024 * 1024")
    try:
        with closing(mariadb.connect()) as large:
            statement = (
                f"SELECT seq, REPEAT('x', IF(seq = 2, 17000000, 3)) FROM {numbers(3, 't_rows')}"
            )
            ours, theirs = both(large, statement)
    finally:
        mariadb.sql(f"SET GLOBAL max_allowed_packet = {before}")

    assert [(n, len(x)) for n, x in ours] == [(1, 3), (2, 17_000_000), (3, 3)]
    assert ours == theirs


def test_an_answer_that_is_left_early_leaves_the_connection_usable(connection):
    with closing(RowCursor(connection)) as cursor:
        cursor.execute(f"SELECT seq FROM {numbers(50_000)}")
        assert cursor.fetchmany(3) == [(1,), (2,), (3,)]

    assert both(connection, "SELECT 1") == [[(1,)], [(1,)]]


def test_an_error_half_way_is_raised_and_the_connection_goes_on(connection):
    statement = f"SELECT IF(seq = 9000, (SELECT 1 UNION SELECT 2), seq) FROM {numbers(10_000)}"
    with closing(RowCursor(connection)) as cursor:
        cursor.execute(statement)
        with pytest.raises(err.OperationalError, match="more than 1 row"):
            rows_of(cursor, 100)

    assert both(connection, "SELECT 1") == [[(1,)], [(1,)]]


def test_a_killed_connection_is_an_error(connection, mariadb):
    with closing(mariadb.connect()) as other:
        cursor = RowCursor(other)
        cursor.execute(f"SELECT seq, REPEAT('x', 1000) FROM {numbers(100_000, 't_rows')}")
        cursor.fetchmany(2)
        mariadb.sql(f"KILL {other.thread_id()}")

        with pytest.raises(err.OperationalError):
            rows_of(cursor, 4096)
        cursor.close()


def test_a_statement_without_rows(connection):
    with closing(RowCursor(connection)) as cursor:
        cursor.execute("UPDATE types SET tiny = 5 WHERE id = 1")

        assert (cursor.rowcount, cursor.description) == (1, None)
