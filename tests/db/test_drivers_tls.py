"""TLS modes against MariaDB servers with certificates made here."""

import json
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import text

from certificates import Authority
from command_line import COMMAND
from servers import MariaDB, Server
from shardhash.db import Config, ConnectionManager
from shardhash.db.topology import Backend, Endpoint, Instance, Shard, TlsMode
from shardhash.errors import ServerUnreachableError, UsageError


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "trusted")


@pytest.fixture
def tls_server(start_server: Callable[..., MariaDB], authority: Authority) -> MariaDB:
    return start_server(*authority.options())


def manager_of(server: Server, tls: TlsMode, ca: Path | None = None) -> ConnectionManager:
    endpoint = Endpoint(
        host=server.host, port=server.port, user="root", tls=tls, tls_ca=ca and str(ca)
    )
    config = Config(
        instances={"i": Instance(name="i", backend=Backend.MYSQL, endpoint=endpoint)},
        shards={"s": Shard(name="s", instance="i", database="mysql")},
    )
    return ConnectionManager(config, clock=NoSleep())


class NoSleep:
    def monotonic(self) -> float:
        return 0.0

    def sleep(self, _seconds: float) -> None:
        raise AssertionError("a refused certificate must not be tried again")


def cipher(server: Server, tls: TlsMode, ca: Path | None = None) -> str:
    """Return the cipher of a new connection, empty if it is not encrypted."""
    with manager_of(server, tls, ca) as manager, manager.write("s") as connection:
        return str(connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'")).one()[1])


def test_verify_takes_a_certificate_of_its_authority(
    tls_server: MariaDB, authority: Authority
) -> None:
    assert cipher(tls_server, TlsMode.VERIFY, authority.file)


def test_verify_refuses_a_certificate_of_another_authority(
    tls_server: MariaDB, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")

    with pytest.raises(ServerUnreachableError, match=r"instance i.*no TLS.*VERIFY_FAILED"):
        cipher(tls_server, TlsMode.VERIFY, other.file)


def test_verify_without_a_ca_trusts_only_the_systems(tls_server: MariaDB) -> None:
    with pytest.raises(ServerUnreachableError, match="VERIFY_FAILED"):
        cipher(tls_server, TlsMode.VERIFY)


def test_verify_refuses_a_certificate_for_another_host(
    start_server: Callable[..., MariaDB], authority: Authority
) -> None:
    server = start_server(*authority.options(x509.DNSName("db.example")))

    with pytest.raises(ServerUnreachableError, match="mismatch"):
        cipher(server, TlsMode.VERIFY, authority.file)


def test_verify_refuses_an_expired_certificate(
    start_server: Callable[..., MariaDB], authority: Authority
) -> None:
    server = start_server(*authority.options(days=-1))

    with pytest.raises(ServerUnreachableError, match="expired"):
        cipher(server, TlsMode.VERIFY, authority.file)


def test_a_refused_certificate_is_not_tried_again(tls_server: MariaDB) -> None:
    with (
        manager_of(tls_server, TlsMode.VERIFY) as manager,
        pytest.raises(ServerUnreachableError, match="VERIFY_FAILED"),
    ):
        manager.run_batch("s", lambda _connection: None, idempotent=True)


def test_required_encrypts_whoever_answers(tls_server: MariaDB) -> None:
    assert cipher(tls_server, TlsMode.REQUIRED)


@pytest.mark.parametrize("tls", [TlsMode.REQUIRED, TlsMode.VERIFY])
def test_a_server_without_tls_is_refused(mariadb: Server, tls: TlsMode) -> None:
    with pytest.raises(ServerUnreachableError, match="no TLS"):
        cipher(mariadb, tls)


def test_preferred_encrypts_where_it_can(tls_server: MariaDB, mariadb: Server) -> None:
    assert cipher(tls_server, TlsMode.PREFERRED)
    assert not cipher(mariadb, TlsMode.PREFERRED)


def test_disabled_does_not_encrypt(tls_server: MariaDB) -> None:
    assert not cipher(tls_server, TlsMode.DISABLED)


def test_an_unreadable_ca_is_named(mariadb: Server, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tls_ca .*ghost\.pem"):
        cipher(mariadb, TlsMode.VERIFY, tmp_path / "ghost.pem")


def test_one_context_serves_all_connections_of_an_instance(
    tls_server: MariaDB, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    original = ssl.create_default_context

    def counted(*args: object, **options: object) -> ssl.SSLContext:
        made.append(1)
        return original(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    with (
        manager_of(tls_server, TlsMode.VERIFY, authority.file) as manager,
        manager.write("s"),
        manager.write("s"),
        manager.write("s"),
    ):
        pass
    assert len(made) == 1


def test_instance_check_tells_version_and_cipher(
    tls_server: MariaDB, authority: Authority, tmp_path: Path
) -> None:
    url = f"mysql://root@{tls_server.host}:{tls_server.port}"
    instance = f'{{url: "{url}", tls: verify, tls_ca: "{authority.file}"}}'
    path = tmp_path / "shardhash.yaml"
    path.write_text(f"{{format: 1, app: shop, instances: {{i: {instance}}}}}")

    command = [COMMAND, "instance", "check", "--json", "--config", path]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)["data"]["instances"][0]["facts"]
    version, encryption = facts["tls"].split()
    assert version.startswith("TLSv1.")
    assert encryption
