"""Grants as servers print them, and what operations lack."""

import pytest

from shardhash.db.planning.privileges import OPERATIONS, missing_privileges, parse_grants

HASH = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"


def missing(operation: str, *lines: str) -> tuple[str, ...]:
    return missing_privileges(parse_grants(lines), OPERATIONS[operation], ["shop_1"])


def test_all_privileges_allow_every_operation() -> None:
    line = (
        f"GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` IDENTIFIED BY PASSWORD '{HASH}' "
        "WITH GRANT OPTION"
    )

    assert [missing(operation, line) for operation in OPERATIONS] == [()] * len(OPERATIONS)


def test_what_is_missing_is_told_with_its_place() -> None:
    assert missing("prune", r"GRANT SELECT ON `shop\_1`.* TO `ops`@`%`") == ("DELETE ON shop_1.*",)


def test_setup_reads_the_servers_own_accounts() -> None:
    line = "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE USER ON *.* TO `o`@`%` WITH GRANT OPTION"

    assert missing("setup", line) == ()
    assert missing("setup", line.replace("*.*", "`shop_1`.*").replace(", CREATE USER", "")) == (
        "SELECT ON mysql.*",
        "CREATE USER ON *.*",
    )


@pytest.mark.parametrize("pattern", [r"shop\_1", "shop_1", "shop%", "shop__", "%"])
def test_a_pattern_grants_on_the_databases_it_matches(pattern: str) -> None:
    assert missing("query", f"GRANT SELECT ON `{pattern}`.* TO `ops`@`%`") == ()


@pytest.mark.parametrize("pattern", [r"shop\_2", "shop", r"shop\%", "shop__1", "other"])
def test_a_pattern_grants_on_no_other_database(pattern: str) -> None:
    assert missing("query", f"GRANT SELECT ON `{pattern}`.* TO `ops`@`%`") != ()


@pytest.mark.parametrize(
    "line",
    [
        "GRANT SELECT ON `shop_1`.`orders` TO `ops`@`%`",
        "GRANT SELECT (`id`) ON `shop_1`.`orders` TO `ops`@`%`",
        "GRANT EXECUTE ON PROCEDURE `shop_1`.`p` TO `ops`@`%`",
        "GRANT PROXY ON ''@'%' TO 'ops'@'%' WITH GRANT OPTION",
        "GRANT `reader` TO `ops`@`%`",
        "GRANT USAGE ON *.* TO `ops`@`%`",
    ],
)
def test_grants_on_less_than_a_database_do_not_count(line: str) -> None:
    assert missing("query", line) == ("SELECT ON shop_1.*",)


def test_two_grants_on_one_place_add_up() -> None:
    lines = ("GRANT SELECT ON *.* TO `o`@`%`", "GRANT DELETE ON *.* TO `o`@`%`")

    assert missing("prune", *lines) == ()


def test_no_hash_of_a_password_is_kept() -> None:
    line = f"GRANT SELECT ON *.* TO `o`@`%` IDENTIFIED BY PASSWORD '{HASH}'"

    assert HASH not in repr(parse_grants([line]))
