"""How far an operation is, in words: on a terminal, in a log, and as JSON lines."""

import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from shardhash.cli._progress import duration, progress_display, progress_words
from shardhash.db.executor._meter import Meter, ProgressSaver
from shardhash.db.plan import Progress
from shardhash.errors import StoreError

BEGUN = Progress(
    operation="split", phase=9, phases=15, title="copy orders from s1 to s2",
    rows_done=0, rows_about=24_000, rows_per_s=0.0, eta_s=None,
)  # fmt: skip
HALF = replace(BEGUN, rows_done=12_000, rows_per_s=9_400.4, eta_s=1.28)
HELD_UP = replace(HALF, throttled="because the pause file hold is there")
NEXT = replace(BEGUN, phase=10, title="make s2 the owner of 32 slots", rows_about=0, rows_done=0)


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def ticks() -> Callable[[float], None]:
    """A clock that stands still until it is told to go on."""

    class Clock:
        now = 0.0

        def __call__(self, seconds: float = 0.0) -> float:
            self.now += seconds
            return self.now

    return Clock()


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (BEGUN, "0 of about 24,000 rows"),
        (HALF, "12,000 of about 24,000 rows, 9,400 rows/s, 1 s left"),
        (replace(HALF, rows_done=24_000), "24,000 of about 24,000 rows, 9,400 rows/s"),
        (replace(HALF, rows_about=0), "12,000 rows, 9,400 rows/s"),
        (replace(HALF, rows_about=1, rows_done=0), "0 of about 1 row, 1 s left"),
        (HELD_UP, "waits because the pause file hold is there"),
        (NEXT, ""),
    ],
)
def test_words_have_units_and_leave_out_what_nobody_knows(progress: Progress, words: str) -> None:
    assert progress_words(progress) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (99, "99 s"), (100, "2 min"), (5_940, "99 min"), (7_500, "2 h 5 min")],
)
def test_duration_is_as_precise_as_one_waits(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_log_has_a_line_a_step_a_line_a_hold_up_and_one_each_half_minute(
    ticks: Callable[[float], float],
) -> None:
    log = io.StringIO()
    with progress_display(log, as_json=False, has_steps=True, ticks=lambda: ticks(0)) as show:
        for progress in (BEGUN, HALF, HELD_UP, HELD_UP, HALF, HELD_UP):
            show(progress)
        ticks(31)
        show(HALF)
        show(HALF)
        show(NEXT)

    held_up = "[9/15] copy orders from s1 to s2: waits because the pause file hold is there"
    assert log.getvalue().splitlines() == [
        "[9/15] copy orders from s1 to s2",
        held_up,
        held_up,
        "[9/15] copy orders from s1 to s2: 12,000 of about 24,000 rows, 9,400 rows/s, 1 s left",
        "[10/15] make s2 the owner of 32 slots",
    ]


def test_log_says_at_once_why_a_step_waits_that_begins_with_a_wait() -> None:
    log = io.StringIO()
    with progress_display(log, as_json=False, has_steps=True) as show:
        show(HELD_UP)

    assert "waits because the pause file hold is there" in log.getvalue()


def test_who_is_watching_sees_the_last_checkpoint_and_no_time_of_a_step(
    ticks: Callable[[float], float],
) -> None:
    screen = Screen()
    seen = replace(HALF, checkpoint_at="2026-01-02T03:04:05.678+00:00")
    with progress_display(screen, as_json=False, is_watching=True, ticks=lambda: ticks(0)) as show:
        show(seen)
        show(NEXT)

    kept = screen.getvalue()
    assert "[9/15] copy orders from s1 to s2: done" in kept
    words = "12,000 of about 24,000 rows, 9,400 rows/s, 1 s left, last checkpoint 03:04:05 UTC"
    assert progress_words(seen, with_checkpoint=True) == words


def test_progress_is_saved_every_few_seconds_and_for_want_of_it_nothing_stops() -> None:
    saved: list[Progress] = []
    now = 0.0

    class Clock:
        def monotonic(self) -> float:
            return now

        def sleep(self, seconds: float) -> None:
            raise AssertionError

    def save(progress: Progress) -> None:
        saved.append(progress)
        raise StoreError("the store does not answer")

    saver = ProgressSaver(save, Clock())
    for now in (0.0, 0.5, 2.9, 3.1, 6.0, 6.2):  # noqa: B007
        saver.save(BEGUN)

    assert len(saved) == 3


def test_rows_of_an_earlier_run_count_as_done_and_not_for_the_rate() -> None:
    told: list[Progress] = []
    meter = Meter("split", 15, told.append)
    meter.begin(9, "copy orders", 24_000)
    meter.add_earlier(12_000)

    assert (told[-1].rows_done, told[-1].rows_per_s, told[-1].eta_s) == (12_000, 0.0, None)
    meter.add(500)
    assert told[-1].rows_done == 12_500


def test_expected_wait_is_no_news_in_a_log(ticks: Callable[[float], float]) -> None:
    log = io.StringIO()
    with progress_display(log, as_json=False, has_steps=True, ticks=lambda: ticks(0)) as show:
        show(NEXT)
        show(replace(NEXT, throttled="until nobody reads by the old map, 60 s left"))

    assert log.getvalue() == "[10/15] make s2 the owner of 32 slots\n"


def test_json_lines_have_all_that_is_known() -> None:
    stream = io.StringIO()
    with progress_display(stream, as_json=True) as show:
        show(replace(HELD_UP, checkpoint_at="2026-01-02T03:04:05.678+00:00"))

    assert json.loads(stream.getvalue()) == {
        "event": "progress",
        "operation": "split",
        "phase": 9,
        "phases": 15,
        "title": "copy orders from s1 to s2",
        "rows_done": 12_000,
        "rows_about": 24_000,
        "rows_per_s": 9_400.4,
        "eta_s": 1.28,
        "throttled": "because the pause file hold is there",
        "checkpoint_at": "2026-01-02T03:04:05.678+00:00",
    }


@pytest.fixture(params=["rich", "plain"])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal, with rich installed and without."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "rich.progress", None)
    return Screen()


def test_terminal_keeps_a_line_for_each_step_that_is_done(
    screen: Screen, ticks: Callable[[float], float]
) -> None:
    with progress_display(screen, as_json=False, ticks=lambda: ticks(0)) as show:
        show(BEGUN)
        show(HALF)
        ticks(2.5)
        show(NEXT)
        ticks(0.25)

    kept = screen.getvalue().replace("\r", "").replace("\x1b[K", "").replace("\x1b[2K", "")
    assert "12,000 of about 24,000 rows, 9,400 rows/s, 1 s left" in kept
    assert "[9/15] copy orders from s1 to s2: 12,000 rows, 2.5 s\n" in kept
    assert "[10/15] make s2 the owner of 32 slots: 0.2 s\n" in kept


def test_narrow_terminal_has_words_in_place_of_a_bar(
    monkeypatch: pytest.MonkeyPatch, ticks: Callable[[float], float]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "90")
    screen = Screen()

    with progress_display(screen, as_json=False, ticks=lambda: ticks(0)) as show:
        show(HALF)

    drawn = screen.getvalue()
    assert "[9/15] copy orders from s1 to s2 12,000 of about 24,000 rows, 9,400 rows/s" in drawn
    assert "━" not in drawn


def test_terminal_shows_of_a_step_that_failed_how_far_it_was(
    screen: Screen, ticks: Callable[[float], float]
) -> None:
    def fail() -> None:
        with progress_display(screen, as_json=False, ticks=lambda: ticks(0)) as show:
            show(HALF)
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert "rows, 2.5 s" not in screen.getvalue()
    last = "[9/15] copy orders from s1 to s2: 12,000 of about 24,000 rows, 9,400 rows/s, 1 s left"
    assert screen.getvalue().replace("\x1b[K", "").rstrip().endswith(last)


def test_plain_line_is_cut_to_the_width_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    monkeypatch.setenv("COLUMNS", "30")
    screen = Screen()

    with progress_display(screen, as_json=False) as show:
        show(HALF)

    drawn = screen.getvalue().split("\r")[1].partition("\x1b")[0]
    assert drawn == "[9/15] copy orders from s1 to"
