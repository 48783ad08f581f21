"""The text of guards: a change of it makes every guard that is installed differ."""

import pytest

from guarding import range_mapping, slot_mapping
from shardhash.db import sql
from shardhash.db.schema import Column, Table
from shardhash.db.sql import ControlPlace, GuardEvent
from shardhash.db.topology import Backend

MYSQL = ControlPlace(Backend.MYSQL, "shop")
SQLITE = ControlPlace(Backend.SQLITE, "shop")

MYSQL_UPDATE = """\
BEGIN
  IF @shardhash_pass IS NULL OR NOT EXISTS (
    SELECT 1 FROM `shop_shardhash`.`_shardhash_pass` WHERE hash = UNHEX(SHA2(@shardhash_pass, 256)) LOCK IN SHARE MODE
  ) THEN
  BEGIN
    DECLARE the_number BIGINT DEFAULT (CRC32(CONVERT(NEW.`k` USING utf8mb4)) & 15);
    DECLARE the_state VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT (
      SELECT state FROM `shop_shardhash`.`_shardhash_slots`
      WHERE mapping = 'by_key' AND slot = the_number
      LOCK IN SHARE MODE);
    DECLARE the_reason VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    IF NOT (OLD.`k` <=> NULL) AND NOT (CAST(CONVERT(CONVERT(OLD.`k` USING utf8mb4) USING utf8mb4) AS BINARY) <=> CAST(CONVERT(CONVERT(NEW.`k` USING utf8mb4) USING utf8mb4) AS BINARY)) THEN
      SET the_reason = 'shardhash: by_key takes no change of a shard key';
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = the_reason;
    ELSEIF NOT (NEW.`k` <=> NULL) AND NOT (the_state <=> 'owned') THEN
      SET the_reason = CONCAT('shardhash: by_key slot ',
        the_number, ' is ', COALESCE(the_state, 'missing'), ' here; reload the map');
      SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = the_reason;
    END IF;
  END;
  END IF;
END"""  # noqa: E501
SQLITE_DELETE = """\
FOR EACH ROW WHEN shardhash_pass() IS NULL OR NOT EXISTS (
  SELECT 1 FROM "_shardhash_pass" WHERE hash = shardhash_pass()
)
BEGIN
  SELECT CASE (
    SELECT state FROM "_shardhash_slots"
    WHERE mapping = 'by_key' AND slot = (shardhash_crc32(OLD."k") & 15)
  ) WHEN 'owned' THEN NULL WHEN 'fenced' THEN RAISE(ABORT, 'shardhash: by_key slot is fenced here; reload the map') WHEN 'foreign' THEN RAISE(ABORT, 'shardhash: by_key slot is foreign here; reload the map')
  ELSE RAISE(ABORT, 'shardhash: by_key slot is missing here; reload the map') END WHERE OLD."k" IS NOT NULL;
END"""  # noqa: E501


def table(backend):
    word = "text" if backend is Backend.SQLITE else "varchar"
    column = Column(name="k", data_type=word, definition=word, nullable=True)
    return Table(name="orders", backend=backend, columns=(column,), primary_key=("k",))


def text(place, event, mapping):
    found = table(place.backend)
    return sql.guard_text(place, mapping, found, found.column("k"), event)


def test_the_text_of_a_mysql_guard():
    assert text(MYSQL, GuardEvent.UPDATE, slot_mapping("str")) == MYSQL_UPDATE


def test_the_text_of_a_sqlite_guard():
    assert text(SQLITE, GuardEvent.DELETE, slot_mapping("str")) == SQLITE_DELETE


def test_ranges_are_compared_with_their_bounds_as_bytes():
    mapping = range_mapping(["m", "é"], "str")

    assert (
        "DEFAULT CASE WHEN OLD.`k` IS NULL THEN NULL"
        " WHEN CAST(CONVERT(CONVERT(OLD.`k` USING utf8mb4) USING utf8mb4) AS BINARY) < x'6d' THEN 0"
        " WHEN CAST(CONVERT(CONVERT(OLD.`k` USING utf8mb4) USING utf8mb4) AS BINARY) < x'c3a9'"
        " THEN 1 ELSE 2 END;"
    ) in text(MYSQL, GuardEvent.DELETE, mapping)


@pytest.mark.parametrize("event", list(GuardEvent))
def test_names_of_guards_fit_and_differ(event):
    tables = ["t", "t" * 40, "t" * 63 + "a", "t" * 63 + "b"]

    names = {sql.guard_name(name, event, number) for name in tables for number in (1, 2)}

    assert len(names) == 2 * len(tables)
    assert max(map(len, names)) <= 64
    assert all(name.startswith(sql.guard_prefix(event)) for name in names)


def test_a_definer_with_quotes_is_quoted():
    made = sql.create_guard(
        MYSQL, "g", table(Backend.MYSQL), GuardEvent.INSERT, "x", ("o`p", "10.%")
    )

    assert made.sql.startswith("CREATE DEFINER = `o``p`@`10.%%` TRIGGER `shop`.`g` AFTER INSERT ON")
