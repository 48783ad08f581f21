"""How much memory does a ring take a point, how large is the package, and how long its import?"""

import compileall
import io
import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import contest
import shardhash
import shardhash._core
from inputs import POINTS_PER_NODE

RINGS = 8
GROWTH = """
import os
import peers
from inputs import names
from shardhash import HashRing

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

make = {make}
kept = [make({node_count})]
before = resident()
for _ in range({rings}):
    kept.append(make({node_count}))
print((resident() - before) / {rings} / ({node_count} * {points}))
"""
MAKE = {
    "shardhash": "lambda count: HashRing(names(count))",
    "uhashring": "peers.uhashring",
    "fastring": "peers.fastring",
}


def in_a_process(code: str) -> str:
    """Run code in a process of its own, beside these files, and return what it prints."""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if "ModuleNotFoundError" in ended.stderr:
        raise ImportError(ended.stderr.splitlines()[-1])
    ended.check_returncode()
    return ended.stdout


def bytes_per_point(contestant: str, node_count: int) -> float:
    code = GROWTH.format(
        make=MAKE[contestant], node_count=node_count, rings=RINGS, points=POINTS_PER_NODE
    )
    return float(in_a_process(code))


@pytest.mark.parametrize("node_count", [100, 1000])
def test_memory(benchmark: BenchmarkFixture, node_count: int) -> None:
    """Growth of the process by eight rings more."""

    def measure() -> dict[str, float]:
        figures = {}
        for contestant in MAKE:
            with suppress(ImportError):
                figures[contestant] = bytes_per_point(contestant, node_count)
        return figures

    contest.measured(benchmark, f"memory-{node_count}", measure)


PACKAGE = Path(shardhash.__file__).parent
COMPILED = Path(shardhash._core.__file__)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory that holds the package as an installed wheel does, with its bytecode."""
    directory = tmp_path_factory.mktemp("installed")
    shutil.copytree(PACKAGE, directory / "shardhash", ignore=shutil.ignore_patterns("*.so"))
    shutil.copy(COMPILED, directory / "shardhash")
    compileall.compile_dir(directory, quiet=2)
    return directory


TIMED = """
import sys, time
sys.path.insert(0, {directory!r})
# The finder of an editable installation would come first.
sys.meta_path = [it for it in sys.meta_path if not type(it).__module__.startswith("_editable")]
started = time.process_time()
{statement}
seconds = time.process_time() - started
import shardhash
assert shardhash.__file__.startswith({directory!r})
print(seconds)
"""


def least_import_ms(statement: str, directory: Path, runs: int = 11) -> float:
    code = TIMED.format(statement=statement, directory=str(directory))
    return min(float(in_a_process(code)) for _ in range(runs)) * 1e3


@pytest.mark.parametrize(
    ("row", "statement"),
    [
        ("import", "import shardhash"),
        ("import-ring", "from shardhash import HashRing"),
        ("import-all", "from shardhash import *"),
    ],
)
def test_import(benchmark: BenchmarkFixture, row: str, statement: str, installed: Path) -> None:
    """CPU time beyond that of an interpreter that has started."""
    contest.measured(benchmark, row, lambda: {"shardhash": least_import_ms(statement, installed)})


def zipped_mb() -> float:
    """Return the size of what a wheel holds, packed as a wheel is."""
    sources = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pyi", ".typed")]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.write(COMPILED, COMPILED.name)
        for path in sources:
            wheel.write(path, path.relative_to(PACKAGE))
    return len(packed.getvalue()) / 1e6


def test_wheel(benchmark: BenchmarkFixture) -> None:
    contest.measured(benchmark, "wheel", lambda: {"shardhash": zipped_mb()})
