"""Operations at a terminal: what is asked, what an answer does, and the line of progress."""

import os
import re
import signal

import pytest

from in_process import CalledShop, everything
from terminal import drain, on_terminal, read_until

SPLIT = ("shard", "split", "s1", "s2", "--freeze", "--apply")
END_OF_INPUT = b"\x04"
CTRL_C = b"\x03"


def answered(shop: CalledShop, typed: bytes, *words: str) -> tuple[int, str]:
    """Type an answer to a command's question; return its exit code and all that it showed."""
    process, terminal = on_terminal(shop.directory, shop.environment, *words)
    with os.fdopen(terminal, "r+b", buffering=0) as screen:
        shown = read_until(screen.fileno(), b" to go on: ")
        if typed == CTRL_C:  # it has no controlling terminal that would make a signal of it
            process.send_signal(signal.SIGINT)
        else:
            screen.write(typed)
        shown += drain(screen.fileno())
    return process.wait(timeout=60), shown.decode()


def test_name_of_the_shard_lets_a_split_go_on(adopted: CalledShop) -> None:
    before = adopted.rows("s1")

    exit_code, shown = answered(adopted, b"s1\n", *SPLIT)

    assert exit_code == 0
    assert "Writes to the moving slots will be refused while split copies them" in shown
    assert re.search(r"\[8/14\] copy orders from s1 to s2: [\d,]+ rows, [\d.]+ s", shown)
    assert sorted([*adopted.rows("s1"), *adopted.rows("s2")]) == before


@pytest.mark.parametrize(
    ("typed", "exit_code", "told"),
    [
        (b"yes\n", 3, "asked for s1, got 'yes': nothing was done"),
        (b"\n", 3, "asked for s1, got '': nothing was done"),
        (END_OF_INPUT, 3, "asked for s1, got the end of the input: nothing was done"),
        (CTRL_C, 4, "interrupted"),
    ],
    ids=["yes", "nothing", "end of input", "Ctrl-C"],
)
def test_other_answers_change_nothing(
    adopted: CalledShop, typed: bytes, exit_code: int, told: str
) -> None:
    before = everything(adopted)

    ended, shown = answered(adopted, typed, *SPLIT)

    assert ended == exit_code
    assert told in shown
    assert everything(adopted) == before


def test_plan_from_a_file_asks_as_well(adopted: CalledShop) -> None:
    adopted.do(*SPLIT[:-1], "--plan-out", "plan.json")

    exit_code, shown = answered(adopted, b"no\n", "apply", "plan.json")

    assert exit_code == 3
    assert "split of shard s1, mapping by_store: 14 steps" in shown


def test_nothing_is_asked_where_all_can_be_undone(adopted: CalledShop) -> None:
    words = ("shard", "prune", "s1", "--quarantine", "--apply")
    process, terminal = on_terminal(adopted.directory, adopted.environment, *words)
    with os.fdopen(terminal, "r+b", buffering=0) as screen:
        shown = drain(screen.fileno())

    assert process.wait(timeout=60) == 0
    assert b" to go on: " not in shown
