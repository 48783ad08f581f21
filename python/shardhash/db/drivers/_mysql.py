"""MySQL and MariaDB through PyMySQL."""

import ssl
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from shardhash.db.drivers._errors import Place, server_code
from shardhash.db.drivers._extras import import_extra
from shardhash.db.drivers._session import SessionSettings
from shardhash.db.ports import SecretResolver
from shardhash.db.topology import Endpoint, TlsMode
from shardhash.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from pymysql.connections import Connection

__all__ = ["MySQLConnector", "abandon", "row_cursor"]

_CHARSET = "utf8mb4"
_TLS_ERROR = 2026
_RESET_CONNECTION = 0x1F
# What a server may have set for all sessions, and what would cut, refuse or reword what is read and
# written here. Rows are copied as they are, also those that a later CHECK would not let in; tables
# are made as they are, also those that a strict InnoDB would not make.
# The limit of time has another name on each server: each runs the comment that is for it.
_EXACT = (
    "SET SESSION sql_auto_is_null = 0, sql_select_limit = 18446744073709551615, "
    "sql_safe_updates = 0, sql_big_selects = 1, unique_checks = 1, foreign_key_checks = 1, "
    "completion_type = 0, sql_quote_show_create = 1, max_sort_length = 16384"
    "/*!80000 , max_execution_time = 0 */"
    "/*M!100201 , max_statement_time = 0, check_constraint_checks = 0, innodb_strict_mode = 0 */"
)


class MySQLConnector:
    """Connects to one server. Thread-safe.

    The password is looked up anew for each connection; the TLS context is made once, because
    making one costs more than a hundred connections.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        place: Place,
        session: SessionSettings,
        secrets: SecretResolver,
    ) -> None:
        self._endpoint = endpoint
        self._place = place
        self._session = session
        self._secrets = secrets
        self._context: ssl.SSLContext | None = None
        self._context_lock = Lock()

    def __repr__(self) -> str:
        """Return the address, and nothing that is secret."""
        return f"{type(self).__name__}({self._endpoint.address!r})"

    def connect(self) -> "Connection[Any]":
        """Return a new connection with its session set up and no database selected.

        Raises:
            pymysql.err.Error: the server cannot be reached, or refuses.
            UsageError: the password or the CA file cannot be read.
            MissingExtraError: PyMySQL, or what a password needs, is not installed.
        """
        errors = import_extra("pymysql.err", extra="mysql", what="a MySQL or MariaDB instance")
        try:
            return self._connect()
        except errors.Error as error:
            raise error.with_traceback(None) from None  # the driver's frames hold the password

    def reset(self, connection: "Connection[Any]") -> None:
        """Make a used session like a new one: no transaction, variable, lock or temporary table.

        The current database stays.
        Source: https://mariadb.com/kb/en/com_reset_connection/.

        Raises:
            pymysql.err.Error: the server has gone, or is too old to know how.
        """
        connection._execute_command(_RESET_CONNECTION, b"")  # noqa: SLF001  PyMySQL has no face for it
        connection._read_ok_packet()  # noqa: SLF001
        connection.set_character_set(_CHARSET)
        _set_up(connection, self._session)

    def _connect(self) -> "Connection[Any]":
        from pymysql.err import OperationalError

        if self._endpoint.tls is TlsMode.DISABLED:
            return self._open(ssl_disabled=True)
        try:
            return self._open(ssl=self._tls_context())
        except OperationalError as error:
            if self._endpoint.tls is not TlsMode.PREFERRED or server_code(error) != _TLS_ERROR:
                raise
        return self._open(ssl_disabled=True)

    def _open(self, **tls: object) -> "Connection[Any]":
        from pymysql import connect
        from pymysql.constants import CLIENT

        endpoint = self._endpoint
        flags = CLIENT.FOUND_ROWS  # what SQLAlchemy expects of rowcount
        if self._session.may_load:
            flags |= CLIENT.LOCAL_FILES
        owner = f"instance {self._place.instance}"
        user = endpoint.user or self._secrets.user(endpoint.password, owner=owner)
        try:
            connection = connect(
                host=endpoint.host,
                port=endpoint.port,
                unix_socket=endpoint.unix_socket,
                user=user,
                # as bytes: text would be encoded as latin-1, and fail with the password in sight
                password=self._secrets.password(endpoint.password, owner=owner).encode(),
                charset=_CHARSET,
                client_flag=flags,
                local_infile=False,  # no file is ever sent: see load_bytes
                connect_timeout=self._session.connect_timeout_s,
                read_timeout=self._session.connect_timeout_s,  # a server that never speaks
                program_name="shardhash",
                **tls,
            )
        except RuntimeError as error:  # PyMySQL's only sign that a password needs RSA
            raise MissingExtraError(
                f"{self._place}: the account's password needs TLS, or a package: {error}",
                next_step="set tls: required or verify, or pip install cryptography",
            ) from error
        try:
            _set_up(connection, self._session)
        except BaseException:
            connection.close()
            raise
        connection._read_timeout = None  # noqa: SLF001  statements may take hours
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        with self._context_lock:
            if self._context is None:
                self._context = self._make_tls_context()
            return self._context

    def _make_tls_context(self) -> ssl.SSLContext:
        authorities = self._endpoint.tls_ca
        path = None if authorities is None else Path(authorities).expanduser()
        try:
            context = ssl.create_default_context(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"{self._place}: cannot read tls_ca {authorities}: {error}",
                next_step="name a file of PEM certificates that this user can read",
            ) from error
        if self._endpoint.tls is not TlsMode.VERIFY:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def abandon(connection: "Connection[Any]") -> None:
    """Leave an answer that is not read to its end: closing would wait for all its rows."""
    result = connection._result  # noqa: SLF001
    if result is not None:
        result.unbuffered_active = False


def row_cursor(connection: "Connection[Any]") -> Any:
    """Return a cursor that streams rows through the compiled core; see ``RowCursor``."""
    from shardhash.db.drivers._rows import RowCursor  # loads PyMySQL

    return RowCursor(connection)


def _set_up(connection: "Connection[Any]", session: SessionSettings) -> None:
    """Send the session's settings."""
    settings: dict[str, object] = {
        "time_zone = %s": session.time_zone,
        "sql_mode = %s": session.sql_mode,
        "innodb_lock_wait_timeout = %s": session.lock_wait_s,
        "lock_wait_timeout = %s": session.lock_wait_s,
    }
    chosen = {text: value for text, value in settings.items() if value is not None}
    with connection.cursor() as cursor:
        if chosen:
            cursor.execute("SET SESSION " + ", ".join(chosen), tuple(chosen.values()))
        if session.is_repeatable:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        if session.is_unlimited:
            cursor.execute(_EXACT)
