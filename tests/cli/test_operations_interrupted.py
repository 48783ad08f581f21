"""Ctrl-C in the middle of an operation: it stops at a checkpoint, and goes on from there."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from in_process import CalledShop
from one_database import Running

SPLIT = ("shard", "split", "s1", "s2", "--freeze", "--apply")


@pytest.fixture
def pause(directory: Path) -> Path:
    """A pause file that is there, so that a split waits in the middle of its copy."""
    file = directory / "pause"
    file.touch()
    return file


def copying(shop: CalledShop, pause: Path, *, as_json: bool = True) -> Running:
    """Return a split that waits in its copy of orders."""
    split = shop.start(*SPLIT, "--pause-file", str(pause), as_json=as_json)
    if as_json:
        split.wait_for("copy orders", throttled=True)
    else:
        split.wait_for_words("copy orders from s1 to s2: waits because")
    return split


def test_interrupted_split_stops_at_a_checkpoint_and_is_resumed(
    adopted: CalledShop, pause: Path
) -> None:
    before = adopted.rows("s1")
    split = copying(adopted, pause, as_json=False)

    split.interrupt()
    ended = split.end()

    name = str(adopted.operation("split")["id"])
    assert ended.exit_code == 4
    assert ended.stdout == ""
    assert "Stopping at the next checkpoint" in ended.stderr
    last, next_step = ended.stderr.splitlines()[-2:]
    assert last.startswith(f"shardhash: operation {name} stopped at step 8 of 14, copy orders")
    assert last.endswith("rows: interrupted")
    assert next_step == (
        f"  next: shardhash op resume {name}; or take it back: shardhash op abort {name}"
    )
    assert "Traceback" not in ended.stderr
    adopted.do("op", "resume", name)
    assert sorted([*adopted.rows("s1"), *adopted.rows("s2")]) == before
    assert adopted.do("op", "list").stdout == "No operation is unfinished.\n"


def test_list_and_show_tell_where_an_interrupted_split_is(adopted: CalledShop, pause: Path) -> None:
    split = copying(adopted, pause)
    split.interrupt()
    split.end()

    (line,) = adopted.do("op", "list").stdout.splitlines()[1:]
    name = str(adopted.operation("split")["id"])
    shown = adopted.do("op", "show", name).stdout.splitlines()

    assert line.startswith(f"{name}  s1     stopped  8 of 14")
    assert line.endswith(f"shardhash op resume {name} (or abort)")
    assert shown[0] == f"{name}: split of s1, stopped"
    assert [mark for mark in shown if mark.startswith("  [>]")] == [
        next(mark for mark in shown if "  8. copy orders from s1 to s2" in mark)
    ]
    assert shown[-4:] == [
        "The moving slots can be read and not written.",
        "It stopped after 500 rows: interrupted",
        f"Next: shardhash op resume {name}",
        f"  or: shardhash op abort {name}, which takes everything back",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_interrupted_split_says_in_json_what_to_type(
    adopted: CalledShop, pause: Path, number: signal.Signals
) -> None:
    split = copying(adopted, pause)
    split.process.send_signal(number)

    envelope = split.end().envelope

    name = adopted.operation("split")["id"]
    assert (envelope["status"], envelope["exit_code"]) == ("stopped", 4)
    assert envelope["error"]["code"] == "stopped"
    assert envelope["error"]["next"].startswith(f"shardhash op resume {name}")
    assert {"event": "stopping"} in split.events()


@pytest.mark.parametrize(
    ("as_json", "answer"),
    [(True, '{"event": "stopping"}'), (False, "Ctrl-C again ends it at once")],
    ids=["json", "text"],
)
def test_second_interrupt_ends_a_split_that_hangs_at_once(
    adopted: CalledShop, pause: Path, as_json: bool, answer: str
) -> None:
    split = copying(adopted, pause, as_json=as_json)
    target = Path(adopted.url.removeprefix("sqlite:///")) / f"{adopted.fleet.database('s2')}.db"
    with closing(sqlite3.connect(target, isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")  # the next batch waits for this
        pause.unlink()
        split.interrupt()
        split.wait_for_words(answer)
        split.interrupt()
        ended = split.end()

    error = ended.envelope["error"]["next"] if as_json else ended.stderr.splitlines()[-1]
    assert ended.exit_code == 4
    assert "shardhash op list says where" in error
    (line,) = adopted.do("op", "list").stdout.splitlines()[1:]
    assert " killed  8 of 14 " in line
    adopted.do("op", "abort", line.split()[0])


def test_interrupt_while_planning_is_told_as_such(
    adopted: CalledShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite makes an error of its own of an interrupt that meets a function of ours."""
    from shardhash.db.drivers import _sqlite

    def interrupted(*_: object) -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    monkeypatch.setattr(_sqlite, "_crc32", interrupted)

    ended = adopted.run("shard", "split", "s1", "s2", "--freeze", "--by", "rows")

    assert ended.exit_code == 4
    assert ended.stderr.startswith("shardhash: interrupted")


def test_handlers_of_signals_are_given_back(adopted: CalledShop) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    adopted.do("mapping", "guard", "by_store", "on", "--apply")

    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
