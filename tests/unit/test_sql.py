"""The text of statements, and what a key column may be."""

import sqlite3
import zlib

import pytest

from shardhash.db import sql
from shardhash.db.schema import Column, Table
from shardhash.db.topology import Backend, KeyType
from shardhash.errors import PreflightError


def column(data_type, definition=None, name="k", **more):
    return Column(
        name=name, data_type=data_type, definition=definition or data_type, nullable=True, **more
    )


def table(*columns, key=("id",), backend=Backend.MYSQL):
    return Table(name="orders", backend=backend, columns=columns, primary_key=key)


ID = column("bigint", name="id")


@pytest.mark.parametrize(
    ("name", "backend", "quoted"),
    [
        ("orders", Backend.MYSQL, "`orders`"),
        ("a`b", Backend.MYSQL, "`a``b`"),
        ("50%", Backend.MYSQL, "`50%%`"),
        ('a"b', Backend.SQLITE, '"a""b"'),
        ("50%", Backend.SQLITE, '"50%"'),
    ],
)
def test_quote_doubles_what_would_end_the_name(name, backend, quoted):
    assert sql.quote(name, backend) == quoted


@pytest.mark.parametrize(
    ("found", "key_type", "expression"),
    [
        (column("int"), KeyType.INT, "`k`"),
        (column("bigint", "bigint(20) unsigned"), KeyType.INT, "`k`"),
        (column("int", "int(5) unsigned zerofill"), KeyType.INT, "`k`+0"),
        (column("bit", "bit(8)"), KeyType.INT, "`k`+0"),
        (column("year", "year(4)"), KeyType.INT, "`k`+0"),
        (column("varchar", "varchar(20)"), KeyType.STR, "CONVERT(`k` USING utf8mb4)"),
        (column("enum", "enum('a')"), KeyType.STR, "CONVERT(`k` USING utf8mb4)"),
        (column("char", "char(9)"), KeyType.STR, "CONVERT(RTRIM(`k`) USING utf8mb4)"),
        (column("varbinary", "varbinary(9)"), KeyType.BYTES, "`k`"),
        (column("binary", "binary(16)"), KeyType.UUID16, "`k`"),
        (column("uuid"), KeyType.UUID, "`k`"),
        (column("char", "char(36)"), KeyType.UUID, "LOWER(CONVERT(RTRIM(`k`) USING utf8mb4))"),
        (column("date"), KeyType.DATE, "`k`"),
    ],
)
def test_slot_expression_hashes_the_key_bytes_of_the_column(found, key_type, expression):
    slot = sql.slot_expression(found, key_type, slot_count=16384, backend=Backend.MYSQL)

    assert slot == f"(CRC32({expression}) & 16383)"


@pytest.mark.parametrize(
    ("found", "key_type", "reason"),
    [
        (column("double"), KeyType.INT, "no exact text"),
        (column("float"), KeyType.STR, "no exact text"),
        (column("timestamp"), KeyType.DATETIME, "time zone"),
        (column("json"), KeyType.STR, "many texts"),
        (column("varchar", "varchar(9)"), KeyType.INT, "not hash the same bytes"),
        (column("bigint"), KeyType.STR, "not hash the same bytes"),
        (column("varchar", "varchar(9)"), KeyType.BYTES, "not hash the same bytes"),
        (column("binary", "binary(20)"), KeyType.UUID16, "not hash the same bytes"),
        (column("decimal", "decimal(9,0)"), KeyType.INT, "not hash the same bytes"),
    ],
)
def test_a_key_column_of_another_type_is_refused_with_the_reason(found, key_type, reason):
    with pytest.raises(PreflightError, match=reason):
        sql.slot_expression(found, key_type, slot_count=16384, backend=Backend.MYSQL)


def test_a_column_without_affinity_is_refused_on_sqlite():
    with pytest.raises(PreflightError, match="INTEGER values"):
        sql.slot_expression(
            column("numeric", ""), KeyType.INT, slot_count=16, backend=Backend.SQLITE
        )


def test_a_page_of_a_compound_key_opens_a_range_scan_on_its_first_column():
    found = table(ID, column("int", name="line"), key=("id", "line"))

    assert sql.next_page(found, (7, 3), 100) == sql.Statement(
        "SELECT `id`, `line` FROM `orders` WHERE (`id` >= %s AND (`id` > %s OR `id` = %s AND"
        " `line` > %s)) ORDER BY `id`, `line` LIMIT 1 OFFSET 99",
        (7, 7, 7, 3),
    )


def test_an_enum_in_the_primary_key_is_compared_by_its_number():
    found = table(column("enum", "enum('b','a')", name="kind"), ID, key=("kind", "id"))

    statement = sql.delete_rows(found, [(1, 7)])

    assert statement.sql == "DELETE FROM `orders` WHERE ((`kind`+0 = %s AND `id` = %s))"


def test_rows_of_text_keys_are_found_by_index_and_told_apart_as_bytes():
    statement = sql.key_rows(table(ID), column("varchar"), KeyType.STR, [b"Foo"], None, 10)

    assert "`k` IN (%s) AND CAST(CONVERT(CONVERT(`k` USING utf8mb4)" in statement.sql
    assert statement.parameters == ("Foo", b"Foo")


@pytest.mark.parametrize("intervals", [[(2, 5)], [(i, i) for i in range(1, 60, 3)]])
def test_few_and_many_slot_intervals_select_the_same_rows_as_python(intervals):
    connection = sqlite3.connect(":memory:")
    connection.create_function("shardhash_crc32", 1, lambda key: zlib.crc32(str(key).encode()))
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, k INTEGER)")
    connection.executemany("INSERT INTO orders (k) VALUES (?)", [(key,) for key in range(500)])
    found = table(column("integer", name="id"), backend=Backend.SQLITE)
    slot = sql.slot_expression(
        column("integer"), KeyType.INT, slot_count=64, backend=Backend.SQLITE
    )

    statement = sql.page_rows(found, slot, intervals, (10,), (400,))

    slots = {slot for first, last in intervals for slot in range(first, last + 1)}
    expected = [row for row in range(11, 401) if zlib.crc32(str(row - 1).encode()) & 63 in slots]
    rows = connection.execute(statement.sql, statement.parameters).fetchall()
    connection.close()
    assert [row[0] for row in rows] == expected


@pytest.mark.parametrize(
    ("slots", "expected"),
    [([], []), ([3], [(3, 3)]), ([0, 1, 2, 7, 9, 10], [(0, 2), (7, 7), (9, 10)])],
)
def test_intervals_join_neighbours(slots, expected):
    assert sql.intervals(slots) == expected
