"""Rows that are sent to a MySQL or MariaDB server as they were written down, as bytes."""

from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymysql.connections import Connection

__all__ = ["insert_bytes", "load_bytes"]

_CHARSET = "utf8mb4"
_PIECE_BYTES = 256 * 1024
_NOT_ALLOWED = frozenset({1148, 3948, 3950, 4166})
_BYTE_LITERALS = "SET SESSION character_set_client = binary, character_set_connection = binary"


def insert_bytes(connection: "Connection[Any]", statement: bytes) -> tuple[int, int]:
    """Run a statement in which texts without a charset are bytes.

    Returns:
        How many rows the server took, and how many warnings it gave.

    Raises:
        pymysql.err.Error: the server refuses, or has gone.
    """
    with closing(connection.cursor()) as cursor:
        cursor.execute(_BYTE_LITERALS)
        try:
            cursor.execute(statement)
            return cursor.rowcount, cursor.warning_count
        finally:
            if connection.open:
                connection.set_character_set(_CHARSET)


def load_bytes(
    connection: "Connection[Any]", statement: bytes, data: bytes
) -> tuple[int, int] | None:
    """Run a LOAD DATA LOCAL with `data` for the file, whatever file the server asks for.

    PyMySQL itself is told to send no file, so that a server gets none by asking for it.

    Returns:
        How many rows the server took, and how many warnings it gave; None, and nothing was done,
        where it does not allow the statement.

    Raises:
        pymysql.err.Error: the server refuses, or has gone.
    """
    from pymysql import err
    from pymysql.connections import OKPacketWrapper
    from pymysql.constants import CLIENT, COMMAND

    if not connection.client_flag & connection.server_capabilities & CLIENT.LOCAL_FILES:
        return None
    connection._execute_command(COMMAND.COM_QUERY, statement)  # noqa: SLF001  PyMySQL's own way reads files
    try:
        packet = connection._read_packet()  # noqa: SLF001
    except err.MySQLError as error:
        if error.args[0] in _NOT_ALLOWED:
            return None
        raise
    if packet.is_load_local_packet():
        _send(connection, data)
        packet = connection._read_packet()  # noqa: SLF001
    done = OKPacketWrapper(packet)
    connection.server_status = done.server_status
    return done.affected_rows, done.warning_count


def _send(connection: "Connection[Any]", data: bytes) -> None:
    """Send data in packets, and the empty one that ends them."""
    try:
        for start in range(0, len(data), _PIECE_BYTES):
            connection.write_packet(data[start : start + _PIECE_BYTES])
        connection.write_packet(b"")
    except BaseException:
        connection._force_close()  # noqa: SLF001  the server waits for the rest
        raise
