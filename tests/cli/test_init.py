"""``init`` through the real command."""

import stat
from pathlib import Path

from command_line import Run


def test_the_starter_is_valid_and_names_the_application(run: Run, directory: Path) -> None:
    assert run("init", "--app", "shop").exit_code == 0

    assert run("config", "show", "--json").envelope["data"]["app"] == "shop"
    assert run("config", "validate").stderr == ""


def test_every_example_in_the_starter_is_valid(run: Run, directory: Path) -> None:
    run("init")
    path = directory / "shardhash.yaml"
    text = path.read_text()
    examples = [
        line.removeprefix("# ") if line.rstrip().endswith((":", "}", "]")) else line
        for line in text.splitlines()
    ]
    path.write_text("\n".join(examples))

    ended = run("config", "validate", env={"DB1_PASSWORD": "x", "SHOP_PASSWORD": "y"})

    assert ended.stdout.endswith("is valid: 2 instances, 2 shards, 1 mapping\n"), ended.stderr


def test_the_starter_is_for_its_owner_only(run: Run, directory: Path) -> None:
    run("init")

    assert stat.S_IMODE((directory / "shardhash.yaml").stat().st_mode) == 0o600


def test_a_file_that_is_there_is_never_overwritten(run: Run, directory: Path) -> None:
    (directory / "shardhash.yaml").write_text("mine")

    ended = run("init")

    assert ended.exit_code == 3
    assert (directory / "shardhash.yaml").read_text() == "mine"


def test_another_file_is_written_where_config_names_it(run: Run, directory: Path) -> None:
    assert run("--config", "other.yaml", "init").exit_code == 0

    assert run("config", "validate", env={"SHARDHASH_CONFIG": "other.yaml"}).exit_code == 0


def test_no_starter_is_written_into_a_shared_store(run: Run) -> None:
    assert run("--config", "mongodb://127.0.0.1/x", "init").exit_code == 2


def test_the_age_of_maps_is_written_as_asked(run: Run, directory: Path) -> None:
    run("init", "--map-max-age", "0.5")

    assert "map_max_age_s: 0.5 " in (directory / "shardhash.yaml").read_text()


def test_an_impossible_age_is_refused_and_nothing_written(run: Run, directory: Path) -> None:
    ended = run("init", "--map-max-age", "-1")

    assert ended.exit_code == 3
    assert not (directory / "shardhash.yaml").exists()
