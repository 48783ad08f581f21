"""Rows that the core reads, against PyMySQL's own reading of the same bytes."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql import err
from pymysql.connections import MySQLResult
from pymysql.constants import FIELD_TYPE
from pymysql.converters import decoders
from pymysql.protocol import MysqlPacket

from shardhash._core import RowReader
from shardhash.db.drivers._rows import _Ahead, _kinds

FIELDS = (
    ("ascii", FIELD_TYPE.LONGLONG, st.integers(-(2**63), 2**64 - 1)),
    ("ascii", FIELD_TYPE.NEWDECIMAL, st.decimals(allow_nan=False, allow_infinity=False)),
    ("ascii", FIELD_TYPE.DOUBLE, st.floats(allow_nan=False, allow_infinity=False)),
    ("ascii", FIELD_TYPE.DATE, st.dates() | st.sampled_from(["0000-00-00", "2026-02-31"])),
    ("ascii", FIELD_TYPE.DATETIME, st.datetimes()),
    ("ascii", FIELD_TYPE.TIME, st.sampled_from(["-838:59:59", "00:00:00.000001", "10:00:00"])),
    ("utf8", FIELD_TYPE.VAR_STRING, st.text(st.characters(exclude_categories=["Cs"]))),
    (None, FIELD_TYPE.BLOB, st.binary(max_size=300)),
)
END = b"\xfe\x00\x00\x02\x00"


CONVERTERS = [
    (encoding, decoders[type_code] if encoding == "ascii" else None)
    for encoding, type_code, _ in FIELDS
]
ROWS = st.lists(st.tuples(*(st.none() | values for _, _, values in FIELDS)), max_size=8)


def text(value):
    return value if isinstance(value, bytes) else str(value).encode()


def length(size):
    if size < 251:
        return bytes([size])
    return b"\xfc" + struct.pack("<H", size)


def payload(row):
    fields = [b"\xfb" if v is None else length(len(text(v))) + text(v) for v in row]
    return b"".join(fields)


def packet(content, sequence):
    return struct.pack("<I", len(content))[:3] + bytes([sequence % 256]) + content


def stream_of(rows, first):
    contents = [*map(payload, rows), END]
    return b"".join(packet(content, first + n) for n, content in enumerate(contents))


class Connection:
    """What PyMySQL's result needs of a connection."""

    encoding = "utf8"

    def __init__(self, stream, first):
        self._rfile = io.BufferedReader(io.BytesIO(stream))
        self._next_seq_id = first
        self.is_closed = False

    def _force_close(self):
        self.is_closed = True


def pymysql_rows(rows):
    result = MySQLResult(None)
    result.converters = CONVERTERS
    return [result._read_row_from_packet(MysqlPacket(payload(row), "utf8")) for row in rows]


@given(ROWS, st.integers(0, 255), st.integers(1, 3))
def test_rows_are_those_of_pymysql(rows, first, most):
    reader = RowReader(_kinds(type("Result", (), {"converters": CONVERTERS})))
    data = stream_of(rows, first)
    found, place, sequence, is_other = [], 0, first, False
    while not is_other:
        some, place, sequence, is_other = reader.read(data, place, sequence, most)
        found += some

    assert found == pymysql_rows(rows)
    assert [list(map(type, row)) for row in found] == [
        list(map(type, row)) for row in pymysql_rows(rows)
    ]
    assert data[place:] == packet(END, sequence)


@given(ROWS, st.data())
def test_a_stream_cut_anywhere_gives_the_same_rows(rows, data):
    reader = RowReader(_kinds(type("Result", (), {"converters": CONVERTERS})))
    stream = stream_of(rows, 3)
    cut = data.draw(st.integers(0, len(stream)))
    first, place, sequence, _ = reader.read(stream[:cut], 0, 3, 100)
    second, _, _, is_other = reader.read(stream, place, sequence, 100)

    assert first + second == pymysql_rows(rows)
    assert is_other


def test_bytes_that_were_read_ahead_are_given_to_pymysql():
    stream = stream_of([(1,), (2,)], 1)
    connection = Connection(stream + b"more", 1)
    ahead = _Ahead(connection._rfile)
    rows, is_other = ahead.rows(connection, RowReader([int]), 10)

    assert (rows, is_other, connection._next_seq_id) == ([(1,), (2,)], True, 3)
    assert ahead.rows(connection, RowReader([int]), 10) == ([], True)
    assert ahead.read(4) == b"\x05\x00\x00\x03"
    assert ahead.read(5 + 4) == END + b"more"
    assert ahead.read(1) == b""


@given(ROWS, st.integers(1, 9))
def test_rows_that_come_in_small_pieces_come_once(rows, size):
    class Dribble(io.BytesIO):
        def read1(self, _):
            return super().read(size)

    connection = Connection(b"", 1)
    ahead = _Ahead(Dribble(stream_of(rows, 1)))
    reader = RowReader(_kinds(type("Result", (), {"converters": CONVERTERS})))
    found, is_other = [], False
    while not is_other:
        some, is_other = ahead.rows(connection, reader, 2)
        found += some

    assert found == pymysql_rows(rows)


def test_a_long_row_in_small_pieces_is_put_together_once():
    class Dribble(io.BytesIO):
        def read1(self, _):
            return super().read(100)

    class Counting:
        reads = 0

        def read(self, *args):
            self.reads += 1
            return RowReader([bytes]).read(*args)

    row, reader = (b"x" * 60_000,), Counting()
    ahead = _Ahead(Dribble(packet(payload(row), 1) + packet(payload((b"y",)), 2)))

    assert ahead.rows(Connection(b"", 1), reader, 1) == ([row], False)
    assert ahead.rows(Connection(b"", 2), reader, 1) == ([(b"y",)], False)
    assert reader.reads <= 5


def test_a_connection_lost_inside_a_long_row_is_left_to_pymysql():
    whole = packet(payload((b"x" * 60_000,)), 1)
    connection = Connection(whole[:40_000], 1)
    ahead = _Ahead(connection._rfile)

    assert ahead.rows(connection, RowReader([bytes]), 1) == ([], True)
    assert ahead.read(len(whole)) == whole[:40_000]


def test_a_lost_connection_is_left_to_pymysql():
    connection = Connection(stream_of([(1,)], 1)[:3], 1)
    ahead = _Ahead(connection._rfile)

    assert ahead.rows(connection, RowReader([int]), 10) == ([], True)
    assert ahead.read(4) == stream_of([(1,)], 1)[:3]


def test_a_failing_stream_closes_the_connection():
    class Broken:
        def read1(self, size):
            raise TimeoutError("timed out")

    connection = Connection(b"", 1)

    with pytest.raises(err.OperationalError, match="Lost connection"):
        _Ahead(Broken()).rows(connection, RowReader([int]), 10)
    assert connection.is_closed


def test_a_connection_with_bytes_that_nobody_asked_for_is_closed():
    connection = Connection(stream_of([(1,)], 1), 1)
    ahead = connection._rfile = _Ahead(connection._rfile)
    ahead.rows(connection, RowReader([int]), 10)
    ahead.leave(connection)

    assert connection.is_closed


@pytest.mark.parametrize("converters", [[("cp1252", None)], [("utf8", int)], [("ascii", None)]])
def test_encodings_that_the_core_does_not_read_are_left_to_pymysql(converters):
    assert _kinds(type("Result", (), {"converters": converters})) is None


@pytest.mark.parametrize(("start", "size"), [(-1, 3), (4, 3)])
def test_a_place_outside_the_data_is_refused(start, size):
    with pytest.raises(ValueError, match="start"):
        RowReader([int]).read(bytes(size), start, 0, 1)
