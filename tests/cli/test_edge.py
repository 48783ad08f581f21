"""What holds for every command: help, exit codes, streams, the JSON envelope, what is loaded."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import COMMAND, SHOP, STORES, Run, Shop
from shardhash import __version__
from shardhash.cli._parser import build_parser
from terminal import drain, on_terminal, read_until

ENVELOPE = {"format", "command", "status", "exit_code", "data", "warnings", "error"}


def commands(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield the words of every group and command."""
    yield words
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from commands(inner, (*words, name))


@pytest.mark.parametrize("words", list(commands(build_parser())), ids=" ".join)
def test_help_of_every_command_names_what_it_does(run: Run, words: tuple[str, ...]) -> None:
    ended = run(*words, "--help")

    assert ended.exit_code == 0
    assert ended.stdout.startswith("usage: " + " ".join(("shardhash", *words)))
    assert ended.stderr == ""


def test_version_is_the_package_version(run: Run) -> None:
    assert run("--version").stdout == f"shardhash {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [("--help",), ("ring", "--help"), ("ring", "lookup", "--nodes", "a,b", "user:1")],
    ids=" ".join,
)
def test_no_third_party_package_is_loaded(words: tuple[str, ...], directory: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, *words],
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stderr == "shardhash\n"


LOADED = """
import contextlib, sys
before = set(sys.modules)
from shardhash.cli import main
with contextlib.suppress(SystemExit):
    main()
files = {name for name, module in sys.modules.items() if getattr(module, "__file__", None)}
loaded = {name.partition(".")[0] for name in files - before}
print(*sorted(loaded - sys.stdlib_module_names), file=sys.stderr)
"""
"""Runs the command and prints the packages, other than the standard library's, that it loaded."""


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("shard",),
        ("nothing",),
        ("shard", "prune"),
        ("shard", "prune", "s1", "--using", "magic"),
        ("shard", "list", "--unknown"),
        ("ring", "lookup", "a"),
    ],
    ids=" ".join,
)
def test_bad_arguments_exit_2_and_name_the_help(run: Run, words: tuple[str, ...]) -> None:
    ended = run(*words)

    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert ended.stderr.rstrip().endswith("--help shows what it takes")


def test_wrong_fraction_is_told_what_it_must_be(run: Run) -> None:
    ended = run("shard", "split", "s1", "s2", "--fraction", "half")

    assert ended.exit_code == 2
    assert "'half' is no number from 0 to 1, such as 0.25" in ended.stderr


@pytest.mark.parametrize(
    ("words", "command", "status"),
    [
        (("shard", "list"), "shard list", "ok"),
        (("shard", "prune", "s1"), "shard prune", "plan"),
        (("shard", "prune", "s1", "--apply"), "shard prune", "ok"),
        (("shard", "prune", "s9"), "shard prune", "failed"),
        (("key", "explain", "by_store", "42"), "key explain", "ok"),
        (("config", "validate"), "config validate", "ok"),
        (("config", "show"), "config show", "ok"),
        (("ring", "lookup", "--nodes", "a", "k"), "ring lookup", "ok"),
        (("shard", "prune", "s1", "--using", "magic"), "", "failed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_json_is_one_envelope(
    run: Run, shop: Shop, words: tuple[str, ...], command: str, status: str
) -> None:
    ended = run(*words, "--json")

    envelope = ended.envelope
    assert envelope.keys() == ENVELOPE
    assert (envelope["format"], envelope["command"], envelope["status"]) == (1, command, status)
    assert envelope["exit_code"] == ended.exit_code
    assert (envelope["error"] is None) == (ended.exit_code == 0)
    assert envelope["error"] is None or envelope["error"].keys() == {"code", "message", "next"}


def test_every_error_ends_with_what_to_do(run: Run, shop: Shop) -> None:
    for words in (("shard", "prune", "s9"), ("key", "explain", "by_day", "1"), ("shard", "x")):
        assert run(*words).stderr.splitlines()[-1].startswith("  next: "), words


def test_invalid_configuration_exits_3(run: Run, shop: Shop) -> None:
    (shop.directory / "shardhash.yaml").write_text(SHOP.replace("format: 1", "format: 7"))

    assert run("shard", "list").exit_code == 3


def test_reader_that_goes_away_is_no_error(directory: Path, environment: dict[str, str]) -> None:
    (directory / "keys").write_text("key\n" * 100_000)
    with (
        (directory / "keys").open() as keys,
        subprocess.Popen(
            [COMMAND, "ring", "lookup", "--nodes", "a,b", "-"],
            stdin=keys,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        ) as process,
    ):
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        errors = process.stderr.read()

    assert (process.returncode, errors) == (0, b"")


def test_interrupt_exits_4_and_names_what_to_do(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [COMMAND, "ring", "lookup", "--nodes", "a,b", "user:1", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        _wait_until_reading(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        errors = process.stderr.read().decode()
        assert process.wait(timeout=20) == 4

    assert "  next: run the same command again" in errors


def _wait_until_reading(pid: int) -> None:
    """Wait until a process is blocked in a read of its stdin."""
    deadline = time.monotonic() + 20
    while not Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x0 "):
        assert time.monotonic() < deadline
        os.sched_yield()


def test_unexpected_error_shows_no_text_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shardhash.cli
    from shardhash.cli import _shard

    def broken(*_: object) -> None:
        raise ValueError("password=hunter2")

    monkeypatch.setattr(_shard, "_list", broken)

    assert shardhash.cli.main(["shard", "list"]) == 1
    printed = capsys.readouterr().err
    assert "hunter2" not in printed
    assert "unexpected ValueError" in printed
    assert "SHARDHASH_TRACEBACK=1" in printed


@pytest.mark.parametrize(
    ("typed", "exit_code", "left"), [("s1\n", 0, False), ("yes\n", 3, True)], ids=["name", "other"]
)
def test_terminal_is_asked_for_the_name_of_the_shard(
    shop: Shop, environment: dict[str, str], typed: str, exit_code: int, left: bool
) -> None:
    process, terminal = on_terminal(shop.directory, environment, "shard", "prune", "s1", "--apply")
    with os.fdopen(terminal, "r+b", buffering=0) as screen:
        shown = read_until(screen.fileno(), b"Type s1 to go on: ")
        screen.write(typed.encode())
        drain(screen.fileno())
        ended = process.wait(timeout=30)

    assert b"deleted for good" in shown
    assert ended == exit_code
    assert (shop.stores("s1") == {*STORES, None}) == left


def test_yes_asks_nothing_on_a_terminal(shop: Shop, environment: dict[str, str]) -> None:
    process, terminal = on_terminal(
        shop.directory, environment, "--yes", "shard", "prune", "s1", "--apply"
    )
    with os.fdopen(terminal, "r+b", buffering=0) as screen:
        shown = drain(screen.fileno())

    assert process.wait(timeout=30) == 0
    assert b"Type s1" not in shown


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is full")
def test_output_that_cannot_be_written_is_told(
    shop: Shop, environment: dict[str, str], directory: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [COMMAND, "shard", "list"], cwd=directory, env=environment, stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        )  # fmt: skip

    assert ended.returncode == 1
    assert "its output cannot be written: No space left on device" in ended.stderr
    assert "defect" not in ended.stderr
