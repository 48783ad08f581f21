"""An operation at work, seen and told from another process: list, show, pause, abort, undo."""

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from in_process import CalledShop, Caller, called_shop
from one_database import Running
from servers import MySQLFleet

SPLIT = ("shard", "split", "s1", "s2", "--freeze", "--apply")


@pytest.fixture
def pause(directory: Path) -> Path:
    """A pause file that is there, so that a split waits in the middle of its copy."""
    file = directory / "pause"
    file.touch()
    return file


@pytest.fixture
def copying(adopted: CalledShop, pause: Path) -> Running:
    """A split that waits in its copy of orders."""
    split = adopted.start(*SPLIT, "--pause-file", str(pause))
    split.wait_for("copy orders", throttled=True)
    return split


def name_of(shop: CalledShop, kind: str = "split") -> str:
    return str(shop.operation(kind)["id"])


def test_operation_at_work_is_listed_and_nobody_else_may_touch_its_shards(
    adopted: CalledShop, copying: Running, pause: Path
) -> None:
    name = name_of(adopted)
    (line,) = adopted.do("op", "list").stdout.splitlines()[1:]
    others = {
        words: adopted.run(*words.split())
        for words in (
            f"op resume {name}",
            f"op abort {name}",
            "shard prune s1 --apply",
            "mapping guard by_store on --apply",
        )
    }
    shown = adopted.do("op", "show", name).stdout
    pause.unlink()
    ended = copying.end()

    assert line.startswith(f"{name}  s1     running  8 of 14")
    assert line.endswith(f"shardhash op watch {name} (or pause)")
    assert shown.splitlines()[-2:] == [
        f"Next: shardhash op watch {name}",
        f"  or: shardhash op pause {name}, which stops it at its next batch",
    ]
    assert {each.exit_code for each in others.values()} == {3}
    for each in others.values():
        assert f"operation {name} is at work on s1" in each.stderr
        assert f"  next: shardhash op watch {name} follows it" in each.stderr
    assert ended.exit_code == 0


def test_progress_says_why_it_waits_and_when_it_last_committed(
    copying: Running, pause: Path
) -> None:
    pause.unlink()
    envelope = copying.end().envelope

    events = copying.events()
    held_up = [event for event in events if event["throttled"]]
    assert envelope["status"] == "ok"
    assert f"because the pause file {pause} is there" in [each["throttled"] for each in held_up]
    assert {frozenset(event) for event in events} == {
        frozenset(
            ("event", "operation", "phase", "phases", "title", "rows_done", "rows_about",
             "rows_per_s", "eta_s", "throttled", "checkpoint_at")
        )
    }  # fmt: skip
    committed = [str(event["checkpoint_at"]) for event in events if event["checkpoint_at"]]
    assert committed == sorted(committed)
    assert committed
    copied = [event for event in events if str(event["title"]).startswith("copy orders")]
    assert copied[-1]["rows_done"] == copied[-1]["rows_about"]
    assert [event["phase"] for event in events] == sorted(int(str(e["phase"])) for e in events)


def test_pause_from_elsewhere_stops_it_and_watch_tells_with_exit_code_4(
    adopted: CalledShop, copying: Running
) -> None:
    name = name_of(adopted)
    adopted.do("op", "pause", name)

    watched = adopted.run("op", "watch", name)
    ended = copying.end()

    assert ended.exit_code == watched.exit_code == 4
    message = ended.envelope["error"]["message"]
    assert message.startswith(f"operation {name} stopped at step 8 of 14, copy orders")
    assert message.endswith(" asked for a pause")
    assert f"Next: shardhash op resume {name}" in watched.stdout
    assert f"operation {name} has stopped" in watched.stderr
    again = adopted.run("op", "pause", name)
    assert again.exit_code == 3
    assert f"nobody works on operation {name}" in again.stderr


@pytest.mark.parametrize("words", [SPLIT, ("mapping", "guard", "by_store", "on", "--apply")])
def test_another_operation_is_refused_while_one_has_stopped_half_way(
    adopted: CalledShop, copying: Running, words: tuple[str, ...]
) -> None:
    copying.kill()
    name = name_of(adopted)

    ended = adopted.run(*words)

    assert ended.exit_code == 3
    assert name in ended.stderr
    assert f"shardhash op show {name};" in ended.stderr


def test_resumed_operation_runs_to_its_end_under_watch(
    adopted: CalledShop, copying: Running, pause: Path
) -> None:
    name = name_of(adopted)
    pause.unlink()

    watched = adopted.run("op", "watch", name, "--json")

    assert watched.exit_code == 0
    assert watched.envelope["data"]["operation"]["state"] == "done"
    assert copying.end().exit_code == 0


def test_watch_shows_rows_rate_waits_and_checkpoint_as_the_process_does(
    adopted: CalledShop, copying: Running, pause: Path
) -> None:
    name = name_of(adopted)
    watching = replace(adopted, directory=pause.parent / "elsewhere")
    watching.directory.mkdir()
    environment = {**adopted.environment, "SHARDHASH_CONFIG": str(pause.parent / "shardhash.yaml")}
    watching = replace(watching, environment=environment)
    log = watching.start("op", "watch", name, as_json=False)
    log.wait_for_words("waits because the pause file")
    said = log.talk.read_text()
    log.kill()
    watched = watching.start("op", "watch", name)
    watched.wait_for("copy orders", throttled=True)
    events = watched.events()
    shown = adopted.do("op", "show", name).stdout
    pause.unlink()
    copying.end()
    ended = watched.end()

    event = events[-1]
    assert event in copying.events()
    assert (event["phase"], event["phases"]) == (8, 14)
    assert 0 < int(str(event["rows_done"])) < int(str(event["rows_about"]))
    assert event["checkpoint_at"]
    words = r"\[8/14\] copy orders from s1 to s2: waits because the pause file \S+ is there, "
    rows = r"500 of about [0-9,]+ rows, last checkpoint \d\d:\d\d:\d\d UTC\n"
    assert re.search(words + rows, said)
    assert "Step 8: waits because the pause file" in shown
    assert ended.exit_code == 0


def test_abort_takes_everything_back(adopted: CalledShop, copying: Running) -> None:
    rows, owned = adopted.rows("s1"), adopted.do("shard", "list").stdout
    name = name_of(adopted)
    copying.interrupt()
    copying.end()

    aborted = adopted.do("op", "abort", name)

    assert "take back: refuse writes to 8 slots on s1" in aborted.stderr.splitlines()[0]
    assert "abort of split done in " in aborted.stdout
    assert adopted.rows("s1") == rows
    assert adopted.do("shard", "list").stdout.splitlines()[:2] == owned.splitlines()[:2]
    with adopted.writer("s1") as application:
        application.execute("UPDATE orders SET item = 'open again'")
    for word, code in (("abort", 2), ("resume", 2), ("pause", 2), ("undo", 3)):
        ended = adopted.run("op", word, name)
        assert ended.exit_code == code
        assert f"operation {name} has ended: aborted" in ended.stderr


def set_map_age(shop: CalledShop, seconds: float) -> None:
    """Change how long a reader may go without asking for a newer map."""
    file = shop.directory / "shardhash.yaml"
    text = re.sub("map_max_age_s: [0-9.]+", f"map_max_age_s: {seconds}", file.read_text())
    file.write_text(text)


def test_undo_between_flip_and_prune_brings_the_rows_back(
    adopted: CalledShop, copying: Running, pause: Path
) -> None:
    shop = adopted
    before = shop.rows("s1")
    set_map_age(shop, 3600)
    pause.unlink()
    copying.wait_for("wait until nobody reads by the old map")
    copying.interrupt()
    assert copying.end().exit_code == 4
    set_map_age(shop, 0.05)
    name = name_of(shop)

    shown = shop.do("op", "show", name).stdout.splitlines()
    undone = shop.do("op", "undo", name)

    assert shown[-4:] == [
        "All slots take writes; the old rows wait to be pruned.",
        "It stopped: interrupted",
        f"Next: shardhash op resume {name}",
        f"  or: shardhash op undo {name}, which brings the rows back",
    ]
    assert "undo done in " in undone.stdout
    assert shop.rows("s1") == before
    assert shop.rows("s2") == []
    assert shop.operation("split")["state"] == "undone"
    assert shop.run("op", "resume", name).exit_code == 2


def test_undo_of_what_is_done_names_the_move_back(split_shop: CalledShop) -> None:
    before = sorted([*split_shop.rows("s1"), *split_shop.rows("s2")])

    ended = split_shop.run("op", "undo", name_of(split_shop))

    assert ended.exit_code == 3
    _, command = ended.stderr.splitlines()[-1].split("move the slots back: ")
    assert command == "shardhash shard move s2 s1 --mapping by_store --slots 8-15 --freeze --apply"
    split_shop.do(*command.split()[1:])
    assert split_shop.rows("s1") == before


def test_fence_that_did_not_fall_says_who_is_in_the_way_and_that_slots_are_open(
    mysql_fleet: MySQLFleet, directory: Path, environment: dict[str, str], call: Caller
) -> None:
    shop = called_shop(mysql_fleet, directory, environment, call)
    shop.adopt(map_max_age_s=0.05)
    with closing(mysql_fleet.server("s1").connect(mysql_fleet.database("s1"))) as other:
        other.begin()
        other.cursor().execute("UPDATE orders SET item = 'x'")
        stopped = shop.run(*SPLIT, "--fence-wait", "0")
        number = other.thread_id()
        name = name_of(shop)
        again = shop.run("op", "resume", name, "--fence-wait", "0.5")

    shown = shop.do("op", "show", name).stdout

    assert stopped.exit_code == 4
    assert f"in the way are connection {number} of root, open for " in stopped.stderr
    assert "KILL each on the server of s1" in stopped.stderr.splitlines()[-1]
    assert "--fence-wait SECONDS" in stopped.stderr.splitlines()[-1]
    assert "could not be fenced in 0.5 s" in again.stderr
    assert "First: let them end, or KILL each on the server of s1" in shown
    assert "The moving slots take writes, unless the fence fell just before" in shown
    with shop.writer("s1") as application:
        application.execute("UPDATE orders SET item = 'y'")
    shop.do("op", "resume", name)
