"""Ask drawn queries of one database and of four shards with the same hostile rows.

    python tests/query_diff.py [--count N] [--seed S] [--backend sqlite|mysql]

Prints for each backend what was wrong, and what was refused and why; exits 1 if an answer was
wrong, or a tenth or more of the supported grammar was refused. Very few fail on both sides, because
a number is out of the server's range (error 1690 on MariaDB).
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import servers
from hostile import hostile_twins
from shardhash.testing import DrawnReport, check_drawn

MOST_REFUSED = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--backend", choices=["sqlite", "mysql"], action="append")
    given = parser.parse_args()
    is_right = True
    for backend in given.backend or ["sqlite", "mysql"]:
        with (
            tempfile.TemporaryDirectory() as directory,
            fleet_of(backend, Path(directory)) as fleet,
            hostile_twins(fleet) as twins,
        ):
            report = check_drawn(twins, count=given.count, seed=given.seed)
        sys.stdout.write(f"== {backend}: {report}\n")
        sys.stdout.flush()
        is_right = is_right and is_good(report)
    return 0 if is_right else 1


def is_good(report: DrawnReport) -> bool:
    return not report.wrong_count and report.supported.refused_share < MOST_REFUSED


@contextmanager
def fleet_of(backend: str, directory: Path) -> Iterator[servers.Fleet]:
    if backend == "sqlite":
        yield servers.SQLiteFleet(directory)
        return
    prepared = servers.prepare_data(directory / "prepared")
    (directory / "server").mkdir()
    with servers.running_mariadb(prepared, directory / "server") as server:
        yield servers.MySQLFleet(directory, servers={"a": server})


if __name__ == "__main__":
    sys.exit(main())
