"""Addresses of servers and directories: SQLAlchemy URLs, PHP-style DSNs, MongoDB URLs.

No message repeats any part of an address, because a password may stand in it, also where the
text is not a proper address.
"""

import ipaddress
import re
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from shardhash.db.topology import Backend

__all__ = [
    "Address",
    "AddressError",
    "check_host",
    "is_local",
    "parse_dsn",
    "parse_mongo_url",
    "parse_url",
]

_SERVER_SCHEMES = frozenset({"mysql", "mysql+pymysql", "mariadb", "mariadb+pymysql"})
_REFERENCE = re.compile(r"\$\{[^{}]*\}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?\.?|[A-Za-z0-9]")
_PORT = re.compile(r"[0-9]{1,5}")
_PLACEHOLDER = re.compile("\x00([0-9]+)\x00")
_DSN_NAMES = {
    "host": "host",
    "port": "port",
    "unix_socket": "unix_socket",
    "socket": "unix_socket",
    "dbname": "database",
    "database": "database",
    "user": "user",
    "username": "user",
    "password": "password",
    "pass": "password",
    "charset": "charset",
}


class AddressError(ValueError):
    """Text that is no address; the message repeats none of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What a URL or DSN says; None where it does not say."""

    backend: Backend
    host: str | None = None
    port: int | None = None
    unix_socket: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    directory: str | None = None


def parse_url(text: str) -> Address:
    """Return the address in a SQLAlchemy URL of MySQL, MariaDB or SQLite."""
    scheme, separator, rest = text.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z0-9+.-]+", scheme):
        raise AddressError("must be a URL such as mysql://user@host:3306 or sqlite:///directory")
    scheme = scheme.lower()
    if scheme in ("sqlite", "sqlite+pysqlite"):
        return _sqlite_url(rest)
    if scheme in _SERVER_SCHEMES:
        return _server_url(rest)
    raise AddressError(
        "the part before :// must be mysql, mysql+pymysql, mariadb or sqlite; for others there is "
        "no connector"
    )


def parse_dsn(text: str) -> Address:
    """Return the address in a PHP-style DSN: ``mysql:host=...;port=...`` or ``sqlite:path``."""
    scheme, separator, rest = text.partition(":")
    if separator and scheme == "sqlite":
        return _directory(rest)
    if not separator or scheme not in ("mysql", "mariadb"):
        raise AddressError("must be a DSN such as mysql:host=10.0.0.5;port=3306, or sqlite:PATH")
    if rest.startswith("//"):
        raise AddressError("is a URL, not a DSN: write it under url")
    values: dict[str, str] = {}
    for number, part in enumerate(filter(None, rest.split(";")), start=1):
        name, equals, value = part.partition("=")
        known = _DSN_NAMES.get(name.strip())
        if not equals or known is None:
            raise AddressError(
                f"part {number} is not name=value with a name of host, port, unix_socket, dbname, "
                "user, password"
            )
        if known in values:
            raise AddressError(f"{known} stands in it twice; remove one")
        values[known] = value if known == "password" else value.strip()
    return _server(
        host=values.get("host"),
        port=values.get("port"),
        unix_socket=values.get("unix_socket"),
        user=values.get("user"),
        password=values.get("password"),
        database=values.get("database"),
    )


def parse_mongo_url(text: str) -> tuple[str, str | None, str | None]:
    """Return a MongoDB URL without its login, the user and the password in it."""
    match = re.fullmatch(r"(mongodb(?:\+srv)?://)(.+)", text, re.DOTALL)
    if match is None:
        raise AddressError("must be a URL such as mongodb://host/database")
    rest, references = _hide_references(match[2])
    authority, slash, tail = rest.partition("/")
    login, at, hosts = authority.rpartition("@")
    user, colon, password = login.partition(":")
    database = tail.partition("?")[0]
    if not all(_is_host_and_port(host) for host in hosts.split(",")):
        raise AddressError(
            "the part after mongodb:// must be host:port, or several with commas; write the signs "
            "/ @ : ? in a password as %2F %40 %3A %3F"
        )
    if not slash or not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", database):
        raise AddressError("must name a database after the host: mongodb://host/database")
    if "\x00" in tail or "\x00" in user:
        raise AddressError("${...} is read in a password only")
    if re.search(r"password", tail, re.IGNORECASE):
        raise AddressError("a password stands in its options; write it under password")
    secret = unquote(_show_references(password, references)) if at and colon else None
    return match[1] + hosts + slash + tail, unquote(user) if user else None, secret


def is_local(host: str) -> bool:
    """Return whether `host` is this machine by name or loopback address."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _sqlite_url(rest: str) -> Address:
    if not rest.startswith("/"):
        raise AddressError("a SQLite URL has three slashes: sqlite:///directory")
    if "?" in rest or "#" in rest:
        raise AddressError("a SQLite URL takes no options")
    return _directory(unquote(rest[1:]))


def _directory(path: str) -> Address:
    if path in ("", ":memory:"):
        raise AddressError("an embedded instance is a directory: sqlite:///directory")
    if "\x00" in path or "${" in path:
        raise AddressError("${...} is read in a password only")
    return Address(backend=Backend.SQLITE, directory=path)


def _server_url(rest: str) -> Address:
    rest, references = _hide_references(rest)
    rest, _, query = rest.partition("?")
    authority, _, database = rest.partition("/")
    login, at, host_port = authority.rpartition("@")
    user, colon, password = login.partition(":")
    host, port = _split_host(host_port)
    if "\x00" in user or "\x00" in database or "\x00" in query or "\x00" in host_port:
        raise AddressError("${...} is read in a password only")
    return replace(
        _server(
            host=host,
            port=port,
            unix_socket=_socket_option(query),
            user=unquote(user) if user else None,
            password=None,
            database=unquote(database) or None,
        ),
        password=_unquote_outside(password, references) if at and colon else None,
    )


def _unquote_outside(password: str, references: list[str]) -> str:
    return _show_references(unquote(password), references)


def _hide_references(text: str) -> tuple[str, list[str]]:
    if "\x00" in text:
        raise AddressError("holds a NUL character; remove it")
    references: list[str] = []

    def hide(match: re.Match[str]) -> str:
        references.append(match[0])
        return f"\x00{len(references) - 1}\x00"

    return _REFERENCE.sub(hide, text), references


def _show_references(text: str, references: list[str]) -> str:
    return _PLACEHOLDER.sub(lambda match: references[int(match[1])], text)


def _split_host(text: str) -> tuple[str | None, str | None]:
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise AddressError("an IPv6 address stands in brackets: mysql://[::1]:3306")
        return host, port[1:] or None
    host, _, port = text.partition(":")
    return host or None, port or None


def _socket_option(query: str) -> str | None:
    if not query:
        return None
    name, _, value = query.partition("=")
    if name != "unix_socket" or "&" in value or not value:
        raise AddressError("of URL options only ?unix_socket=PATH is read; for TLS write tls: ...")
    return unquote(value)


def _server(
    *,
    host: str | None,
    port: str | None,
    unix_socket: str | None,
    user: str | None,
    password: str | None,
    database: str | None,
) -> Address:
    if host is None and unix_socket is None:
        raise AddressError("names no host and no unix_socket")
    if host is not None:
        check_host(host)
    if port is not None and not (_PORT.fullmatch(port) and 1 <= int(port) <= 65_535):
        raise AddressError(
            "the port must be a number from 1 to 65535; write the signs / @ : ? # in a password "
            "as %2F %40 %3A %3F %23"
        )
    return Address(
        backend=Backend.MYSQL,
        host=host,
        port=None if port is None else int(port),
        unix_socket=unix_socket,
        user=user,
        password=password,
        database=database,
    )


def check_host(host: str) -> None:
    """Raise AddressError unless `host` is a host name or an IP address."""
    if _HOST.fullmatch(host):
        return
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise AddressError("the host must be a name or an IP address") from None


def _is_host_and_port(text: str) -> bool:
    try:
        host, port = _split_host(text)
        check_host(host or "")
    except AddressError:
        return False
    return port is None or bool(_PORT.fullmatch(port))
