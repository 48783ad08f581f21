"""No operation shows a password: not in what it prints, nor in any file or table that it writes."""

from pathlib import Path

from command_line import Ended
from in_process import CalledShop, Caller, called_shop, everything
from servers import MySQLFleet

PLANTED = "hunter2-Xq-planted"
APP_PASSWORD = "app-Xq-planted"


def test_no_operation_shows_or_keeps_a_password(
    mysql_fleet: MySQLFleet, directory: Path, environment: dict[str, str], call: Caller
) -> None:
    shop = called_shop(mysql_fleet, directory, environment, call)
    configure(shop, mysql_fleet)
    try:
        ended = [shop.run(*words) for words in commands(shop)]
        (directory / "password").write_text("wrong-Xq-planted")
        ended += [shop.run("shard", "prune", "s1", "--apply", *more) for more in ((), ("--json",))]
    finally:
        mysql_fleet.server("s1").sql("DROP USER IF EXISTS ops@'%', shop_app@'%'")

    assert [each.exit_code for each in ended] == [*[0] * (len(ended) - 2), 1, 1]
    assert leaks(shop, ended) == []


def configure(shop: CalledShop, fleet: MySQLFleet) -> None:
    """Log in by an account with a password, and plant another for the application's account."""
    server = fleet.server("s1")
    server.sql("DROP USER IF EXISTS ops@'%'")
    server.sql(f"CREATE USER ops@'%' IDENTIFIED BY '{PLANTED}'")
    server.sql("GRANT ALL ON *.* TO ops@'%' WITH GRANT OPTION")
    for name, text in (("password", PLANTED), ("app_password", APP_PASSWORD)):
        file = shop.directory / name
        file.touch(mode=0o600)
        file.write_text(text)
    url = f"mysql://ops@{server.host}:{server.port}"
    (shop.directory / "shardhash.yaml").write_text(
        "format: 1\napp: shop\nmap_max_age_s: 0.05\n"
        "setup:\n  app_user: {user: shop_app, password_file: app_password, host: '%'}\n"
        f"instances:\n  here: {{url: '{url}', password_file: password}}\n"
    )


def commands(shop: CalledShop) -> list[list[str]]:
    """Return operations in an order in which all succeed."""
    texts = (
        "shard split s1 s2 --freeze --plan-out plan.json",
        "plan show plan.json --json",
        "apply plan.json --json",
        "shard verify",
        "shard verify --json",
        "shard clone s1 s3 --apply --json",
        "shard remove s3 --apply",
        "shard prune s1 --quarantine --apply --json",
        "mapping guard by_store off --apply",
        "mapping guard by_store on --apply --json",
        "op list --all",
        "op list --all --json",
        "shard remove s2 --drain --freeze --apply",
        "shard release s1 --apply",
    )
    return [[*shop.adoption, "--apply"], *(text.split() for text in texts)]


def leaks(shop: CalledShop, ended: list[Ended]) -> list[str]:
    """Return where a password shows that no file is there to hold."""
    printed = {f"command {i}": each.stdout + each.stderr for i, each in enumerate(ended)}
    held = {"password", "app_password"}
    kept = {name: repr(each) for name, each in everything(shop).items() if name not in held}
    return [name for name, text in {**printed, **kept}.items() if "Xq-planted" in text]
