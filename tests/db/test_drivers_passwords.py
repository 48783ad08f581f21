"""A planted password is used, and shows nowhere."""

import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from servers import Server, free_port
from shardhash.db import Config, ConnectionManager
from shardhash.db.connections import RetryPolicy
from shardhash.db.drivers import Secrets
from shardhash.db.topology import (
    Backend,
    Endpoint,
    Instance,
    PasswordKind,
    PasswordSource,
    Shard,
    TlsMode,
)
from shardhash.errors import AccessDeniedError, DatabaseError, ServerUnreachableError

PLANTED = "Planted-pä§$w0rd-€"
WRONG = "Planted-wrong-€"
USER = "shardhash_hunt"


@dataclass
class Account:
    """A user with the planted password who may only read one database."""

    server: Server
    database: str

    def manager(
        self, source: PasswordSource, *, port: int | None = None, database: str | None = None,
        environ: dict[str, str] | None = None,
    ) -> ConnectionManager:  # fmt: skip
        endpoint = Endpoint(
            host=self.server.host, port=port or self.server.port, user=USER, password=source,
            tls=TlsMode.DISABLED,
        )  # fmt: skip
        config = Config(
            instances={"i": Instance(name="i", backend=Backend.MYSQL, endpoint=endpoint)},
            shards={"s": Shard(name="s", instance="i", database=database or self.database)},
        )
        policy = RetryPolicy(attempts=2, first_pause_s=0.0)
        return ConnectionManager(config, retry=policy, secrets=Secrets(environ or {}))


@pytest.fixture
def account(mariadb: Server) -> Iterator[Account]:
    mariadb.sql("CREATE DATABASE hunt")
    mariadb.sql("CREATE TABLE hunt.t (id INT PRIMARY KEY)")
    mariadb.sql(f"CREATE USER {USER}@'%%' IDENTIFIED BY %s", [PLANTED])
    mariadb.sql(f"GRANT SELECT ON hunt.* TO {USER}@'%'")
    try:
        yield Account(mariadb, "hunt")
    finally:
        mariadb.sql(f"DROP USER {USER}@'%'")
        mariadb.drop_databases(["hunt"])


def sources(tmp_path: Path, password: str) -> dict[str, tuple[PasswordSource, dict[str, str]]]:
    plain, options, secrets = (tmp_path / name for name in ("password", "my.cnf", "secrets"))
    plain.write_text(f"{password}\n")
    options.write_text(f'[client]\npassword="{password}"\n')
    secrets.write_text(f"hunt={password}\n")
    secrets.chmod(0o600)
    kind = PasswordKind
    return {
        "text": (PasswordSource(kind.TEXT, password), {}),
        "variable": (PasswordSource(kind.TEXT, "${PW}"), {"PW": password}),
        "default": (PasswordSource(kind.TEXT, f"${{PW:-{password}}}"), {}),
        "file": (PasswordSource(kind.FILE, str(plain)), {}),
        "option file": (PasswordSource(kind.OPTION_FILE, str(options)), {}),
        "secret": (PasswordSource(kind.SECRET, "hunt"), {"SHARDHASH_SECRET_HUNT": password}),
        "secrets file": (
            PasswordSource(kind.SECRET, "hunt"), {"SHARDHASH_SECRETS_FILE": str(secrets)},
        ),
    }  # fmt: skip


KINDS = ("text", "variable", "default", "file", "option file", "secret", "secrets file")


def everything_said(error: BaseException) -> str:
    """Return what printing, logging and debugging an error would show."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=False)
    parts = ["".join(shown.format())]
    current: BaseException | None = error
    while current is not None:
        parts += [str(current), repr(current), repr(current.args), repr(vars(current))]
        current = current.__cause__ or current.__context__
    return "\n".join(parts)


def clean(text_shown: str) -> bool:
    return "Planted" not in text_shown


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_password_is_accepted(account: Account, tmp_path: Path, kind: str) -> None:
    source, environ = sources(tmp_path, PLANTED)[kind]

    with account.manager(source, environ=environ) as manager, manager.write("s") as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM t")) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_password_is_denied_and_not_shown(
    account: Account, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    source, environ = sources(tmp_path, WRONG)[kind]

    with (
        account.manager(source, environ=environ) as manager,
        pytest.raises(AccessDeniedError, match=r"shard s .*Access denied") as caught,
        manager.write("s"),
    ):
        pass
    assert clean(everything_said(caught.value) + caplog.text + repr(manager))


def test_frames_of_a_failed_login_do_not_hold_the_password(account: Account) -> None:
    source = PasswordSource(PasswordKind.TEXT, WRONG)

    with (
        account.manager(source) as manager,
        pytest.raises(AccessDeniedError) as caught,
        manager.write("s"),
    ):
        pass
    shown = []
    error: BaseException | None = caught.value
    while error is not None:
        shown += [repr(f.f_locals) for f, _ in traceback.walk_tb(error.__traceback__)
                  if "pymysql" in f.f_code.co_filename]  # fmt: skip
        error = error.__cause__ or error.__context__
    assert clean("".join(shown))


FAILURES: dict[str, tuple[type[DatabaseError], Callable[[Account, PasswordSource], object]]] = {
    "server down": (
        ServerUnreachableError,
        lambda account, source: account.manager(source, port=free_port()).run_batch(
            "s", lambda c: c.execute(text("SELECT 1")), idempotent=True
        ),
    ),
    "unknown database": (
        DatabaseError,
        lambda account, source: account.manager(source, database="hunt_ghost").run_batch(
            "s", lambda c: c.execute(text("SELECT 1")), idempotent=True
        ),
    ),
    "read-only user": (
        AccessDeniedError,
        lambda account, source: account.manager(source).run_batch(
            "s", lambda c: c.execute(text("DELETE FROM t")), idempotent=True
        ),
    ),
    "missing table": (
        DatabaseError,
        lambda account, source: account.manager(source).run_batch(
            "s", lambda c: c.execute(text("SELECT * FROM t WHERE ghost = :p"), {"p": PLANTED}),
            idempotent=True,
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_no_failure_shows_the_password(
    account: Account, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    kind, action = FAILURES[failure]

    with pytest.raises(kind) as caught:
        action(account, PasswordSource(PasswordKind.TEXT, PLANTED))
    shown = [str(caught.value), repr(caught.value), caplog.text]
    shown += traceback.format_exception(caught.value)
    assert clean("".join(shown))


def test_no_repr_shows_the_password(account: Account) -> None:
    source = PasswordSource(PasswordKind.TEXT, PLANTED)

    with account.manager(source) as manager, manager.write("s") as connection:
        shown = [
            repr(value)
            for value in (manager, vars(manager), connection, connection.engine,
                          connection.engine.url, connection.engine.pool,
                          connection.connection.driver_connection)
        ]  # fmt: skip
    assert clean("".join(shown))
