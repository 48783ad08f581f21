"""The manual holds what there is, and what it shows is what happens.

Code in README and docs runs in file order in a fresh directory for each page: a block whose
opening fence names a file is written there, a ``python`` block is run, and in a ``console`` block
each ``$`` line is run and must print the lines under it; a line ``...`` stands for any others.
"""

import argparse
import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from command_line import COMMAND
from shardhash.cli._parser import build_parser

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHANCE = {
    re.compile(r"\b\d+\.\d s\b"): "N s",
    re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\b"): "THEN",
    re.compile(r"\babout \d+ KB\b"): "about N KB",
    re.compile(r"\b[a-z]+-[0-9a-f]{8}\b"): "OP",
}
"""What differs between two runs of one page."""

NOT_RUN_HERE = ("apt-get", "docker", "git", "make", "pip")
"""Programs that set up a machine; the continuous integration runs what they do."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    file: str | None
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page.read_text())]


def pages_with_code() -> list[Path]:
    return [
        page for page in PAGES if any(b.language in ("python", "console") for b in blocks(page))
    ]


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages_with_code(), ids=page_name)
def test_code_of_the_page_does_what_it_shows(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.file:
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "python":
            run([sys.executable, "-c", block.text], tmp_path)
        elif block.language == "console":
            for words, expected in commands_shown(block.text):
                assert_shown(without_chance(run(words, tmp_path)), without_chance(expected))


def commands_shown(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield each command of a console block that can be run here, and what it is to print."""
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, expected = piece.partition("\n")
        words = shlex.split(line)
        if words[0] == "python":
            yield [sys.executable, *words[1:]], expected
        elif words[0] == "shardhash":
            yield [str(COMMAND), *words[1:]], expected
        else:
            assert words[0] in NOT_RUN_HERE, f"the page shows {line!r}"


def run(words: list[str], directory: Path) -> str:
    """Return what a command prints; talk and data as they come on a terminal."""
    clean = {name: value for name, value in os.environ.items() if "SHARDHASH" not in name}
    ended = subprocess.run(
        words,
        cwd=directory,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in ended.stdout, ended.stdout
    return ended.stdout


def assert_shown(printed: str, expected: str) -> None:
    """Compare what was printed with what the page shows, whose ``...`` lines leave some out."""
    if "\n...\n" not in expected:
        assert printed == expected
        return
    parts = map(re.escape, expected.split("\n...\n"))
    assert re.fullmatch("\n(?:.*\n)*".join(parts), printed), printed


def without_chance(text: str) -> str:
    for pattern, stand_in in CHANCE.items():
        text = pattern.sub(stand_in, text)
    return text.strip()


def commands(parser: argparse.ArgumentParser, words: str = "shardhash") -> Iterator[str]:
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield words
    for group in groups:
        for name, inner in group.choices.items():
            yield from commands(inner, f"{words} {name}")


@pytest.mark.parametrize("command", list(commands(build_parser())))
def test_every_command_is_in_the_reference(command: str) -> None:
    assert f"## `{command}" in (ROOT / "docs/reference/cli.md").read_text()


def test_every_option_is_in_the_reference() -> None:
    reference = (ROOT / "docs/reference/cli.md").read_text()
    parsers = [build_parser()]
    for parser in parsers:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers.extend(action.choices.values())
            for option in action.option_strings:
                assert f"`{option}" in reference, option


def public_names() -> Iterator[str]:
    """Yield what ``shardhash``, its core modules and ``shardhash.db`` offer."""
    faces = ["__init__.py", "keys.py", "hashing.py", "interop.py", "db/__init__.py", "errors.py"]
    for face in faces:
        tree = ast.parse((ROOT / "python/shardhash" / face).read_text())
        for node in tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                yield from ast.literal_eval(node.value)


@pytest.mark.parametrize("name", sorted(set(public_names()) - {"__version__"}))
def test_every_public_name_is_in_the_reference(name: str) -> None:
    reference = "".join(page.read_text() for page in (ROOT / "docs/reference").glob("*.md"))

    assert re.search(rf"`{name}\b", reference)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []
