"""What each error of a driver becomes, and which ones may pass."""

import pickle
import sqlite3
import ssl
from contextlib import closing
from pathlib import Path

import pytest
from pymysql import err
from sqlalchemy.exc import OperationalError

from shardhash.db.drivers import Fault, Place, fault_of, translate
from shardhash.errors import (
    AccessDeniedError,
    DatabaseError,
    ServerUnreachableError,
    ShardKeyError,
    TransientError,
    WrongShardError,
)

PLACE = Place(instance="east", address="10.0.0.5:3306", shard="s1", database="shop_s1")
CLASSES = {
    1040: ServerUnreachableError,
    1044: AccessDeniedError,
    1045: AccessDeniedError,
    1049: DatabaseError,
    1062: DatabaseError,
    1064: DatabaseError,
    1130: AccessDeniedError,
    1142: AccessDeniedError,
    1146: DatabaseError,
    1205: TransientError,
    1213: TransientError,
    1227: AccessDeniedError,
    1419: AccessDeniedError,
    1644: DatabaseError,
    1698: AccessDeniedError,
    1927: TransientError,
    2002: ServerUnreachableError,
    2003: ServerUnreachableError,
    2005: ServerUnreachableError,
    2006: TransientError,
    2013: TransientError,
    2026: ServerUnreachableError,
}
FAULTS = {
    1205: Fault.LOCK_WAIT,
    1213: Fault.DEADLOCK,
    2003: Fault.UNREACHABLE,
    2006: Fault.LOST,
    2013: Fault.LOST,
    1045: None,
    1062: None,
    1064: None,
    2026: None,
}


def mysql_error(code: int, said: str = "said so") -> err.OperationalError:
    return err.OperationalError(code, said)


def wrapped(error: Exception) -> OperationalError:
    return OperationalError("SELECT :p", {"p": "Planted"}, error, hide_parameters=True)


def translated(error: Exception, *, is_connecting: bool = False) -> DatabaseError:
    try:
        raise translate(error, PLACE, is_connecting=is_connecting) from error
    except DatabaseError as result:
        return result


def sqlite_error(tmp_path: Path, statement: str, *, uri: str = "") -> sqlite3.Error:
    path = tmp_path / "one.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as rival,
        closing(sqlite3.connect(f"file:{path}{uri}", uri=True, timeout=0)) as connection,
    ):
        rival.execute("CREATE TABLE t (id INTEGER)")
        if "lock" in statement:
            rival.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute(statement)
        return caught.value


@pytest.mark.parametrize(("code", "kind"), CLASSES.items())
def test_each_number_has_its_class(code: int, kind: type[DatabaseError]) -> None:
    assert type(translate(mysql_error(code), PLACE)) is kind


@pytest.mark.parametrize(("code", "kind"), CLASSES.items())
def test_sqlalchemys_wrapper_changes_nothing(code: int, kind: type[DatabaseError]) -> None:
    error = translate(wrapped(mysql_error(code)), PLACE)

    assert (type(error), str(error)) == (kind, str(translate(mysql_error(code), PLACE)))


@pytest.mark.parametrize("code", CLASSES)
def test_a_message_has_place_reason_and_number(code: int) -> None:
    message = str(translate(mysql_error(code), PLACE))

    assert message.startswith("shard s1 (database shop_s1 on instance east, 10.0.0.5:3306): ")
    assert "said so" in message
    assert str(code) in message or code == 2026


@pytest.mark.parametrize("code", [1045, 1049, 1146, 1205, 1213, 1419, 2003, 2013, 2026])
def test_a_common_error_says_what_to_do(code: int) -> None:
    assert translate(mysql_error(code), PLACE).next_step


def test_a_read_only_server_is_told_from_other_options() -> None:
    read_only = mysql_error(1290, "server is running with the --read-only option")
    other = mysql_error(1290, "server is running with the --secure-file-priv option")

    assert isinstance(translate(read_only, PLACE), AccessDeniedError)
    assert type(translate(other, PLACE)) is DatabaseError


def test_a_connection_lost_while_connecting_is_an_unreachable_server() -> None:
    error = translated(mysql_error(2013), is_connecting=True)

    assert (type(error), fault_of(error)) == (ServerUnreachableError, Fault.UNREACHABLE)


def test_a_certificate_that_does_not_verify_is_not_tried_again() -> None:
    driver = mysql_error(2003, "Can't connect")
    driver.original_exception = ssl.SSLCertVerificationError("self-signed certificate")
    error = translated(driver, is_connecting=True)

    assert "no TLS connection" in str(error)
    assert fault_of(error) is None


@pytest.mark.parametrize(("code", "fault"), FAULTS.items())
def test_a_fault_is_known_by_number_however_it_is_wrapped(code: int, fault: Fault | None) -> None:
    error = mysql_error(code)

    assert [fault_of(error), fault_of(wrapped(error)), fault_of(translated(error))] == [fault] * 3


def test_a_locked_file_may_pass(tmp_path: Path) -> None:
    error = translated(sqlite_error(tmp_path, "SELECT * FROM t -- locked"))

    assert (type(error), fault_of(error)) == (TransientError, Fault.LOCK_WAIT)


def test_a_read_only_file_is_access_denied(tmp_path: Path) -> None:
    error = translated(sqlite_error(tmp_path, "DELETE FROM t", uri="?mode=ro"))

    assert (type(error), fault_of(error)) == (AccessDeniedError, None)


def test_a_file_that_cannot_be_opened_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.Error) as caught:
        sqlite3.connect(tmp_path / "ghost" / "one.db")
    error = translate(caught.value, PLACE)

    assert isinstance(error, ServerUnreachableError)
    assert "unable to open" in str(error)


def test_an_ordinary_sqlite_error_keeps_its_words(tmp_path: Path) -> None:
    error = translated(sqlite_error(tmp_path, "SELECT * FROM ghost"))

    assert type(error) is DatabaseError
    assert str(error).endswith("no such table: ghost")


def signalled(text):
    return err.OperationalError(1644, text)


@pytest.mark.parametrize(
    ("error", "slot", "state"),
    [
        (signalled("shardhash: by_key slot 12 is fenced here; reload the map"), 12, "fenced"),
        (signalled("shardhash: by_key range 0 is foreign here; reload the map"), 0, "foreign"),
        (signalled("shardhash: by_key slot 7 is missing here; reload the map"), 7, "missing"),
        (
            sqlite3.IntegrityError("shardhash: by_key slot is foreign here; reload the map"),
            None,
            "foreign",
        ),
    ],
)
def test_a_guards_refusal_names_mapping_slot_and_state(error, slot, state):
    refusal = translate(error, PLACE)

    assert isinstance(refusal, WrongShardError)
    assert (refusal.mapping, refusal.slot, refusal.state) == ("by_key", slot, state)
    assert str(refusal).startswith(str(PLACE))
    assert refusal.next_step
    assert fault_of(refusal) is None


@pytest.mark.parametrize("what", ["row without", "change of"])
def test_a_guards_refusal_of_a_key_is_another_error(what):
    for error in (signalled, sqlite3.IntegrityError):
        refusal = translate(error(f"shardhash: by_key takes no {what} a shard key"), PLACE)
        assert isinstance(refusal, ShardKeyError)


@pytest.mark.parametrize(
    "error",
    [
        signalled("stock is negative"),
        signalled("the shardhash: by_key slot 1 is fenced here"),
        sqlite3.IntegrityError("UNIQUE constraint failed: orders.id"),
        err.OperationalError(1062, "shardhash: by_key slot 1 is fenced here"),
    ],
)
def test_what_others_signal_is_no_refusal_of_a_guard(error):
    assert type(translate(error, PLACE)) is DatabaseError


def test_a_refusal_survives_the_way_between_processes():
    error = signalled("shardhash: by_key slot 12 is fenced here; reload the map")
    refusal = translate(error, PLACE)

    copied = pickle.loads(pickle.dumps(refusal))
    assert (copied.slot, copied.state, copied.next_step) == (12, "fenced", refusal.next_step)
