"""Measure the database work beside other tools, and end with one table: what `make bench-db` runs.

    python benchmarks/database.py [--rows N] [--rounds N] [--publish]

Each question has a script of its own that starts its servers; one that fails is said, and its rows
stay open. Published are the figures as latest-database.json and the table in README.md.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from report import README, as_text, with_table
from rows import CLONED_ROWS, database_rows

HERE = Path(__file__).parent
RUNS = HERE.parent / ".benchmarks" / "database"
LATEST = HERE / "latest-database.json"
GROUPS = {
    "shardhash, Cluster.query": "shardhash",
    "PyMySQL and a dict": "Python dict",
    "PyMySQL and DuckDB": "DuckDB",
}
MARKS = ("<!-- database table -->\n", "<!-- end of database table -->\n")
PEERS = {"mariadb-dump": "mariadb-client", "mydumper": "mydumper", "pt-archiver": "percona-toolkit"}


def run(script: str, *options: str) -> dict[str, Any]:
    """Return the figures that a script writes, none if it fails."""
    found = RUNS / f"{script}.json"
    found.unlink(missing_ok=True)
    print(f"\n== {script} {' '.join(options)}", flush=True)
    command = [sys.executable, str(HERE / f"{script}.py"), *options, "--json", str(found)]
    code = subprocess.run(command, check=False).returncode
    if code or not found.exists():
        print(f"{script} failed ({code}): its rows stay open", file=sys.stderr)
        return {}
    figures: dict[str, Any] = json.loads(found.read_text())
    return figures


def groups_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of what bench_groups.py writes: wall seconds of each contestant."""
    seconds = found.get("seconds")
    if not seconds:
        return {}
    return {"db-groups": {GROUPS[name]: seconds[name]["wall"] for name in GROUPS}}


def machine() -> dict[str, str]:
    """Return where and when it is measured, as the table's heading has it."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout
    return {
        "machine": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit[:10],
    }


def say_missing_peers() -> None:
    missing = [package for command, package in PEERS.items() if shutil.which(command) is None]
    if missing:
        print(f"not here: {' '.join(missing)}; with them (apt-get install) there is more to see")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=CLONED_ROWS, help="of the table that is copied")
    parser.add_argument("--rounds", type=int, default=2, help="of copies and prunes")
    parser.add_argument("--publish", action="store_true", help="renew the table of README.md")
    given = parser.parse_args()
    RUNS.mkdir(parents=True, exist_ok=True)
    say_missing_peers()
    figures = run("bench_pinned") | run("bench_query")
    if (HERE / "bench_groups.py").exists():
        figures |= groups_of(run("bench_groups"))
    figures |= run("bench_copy", f"--rows={given.rows}", f"--rounds={given.rounds}")
    figures |= run("bench_guards")
    rows = database_rows(given.rows)
    kept = machine() | {"rows": given.rows, "figures": figures}
    (RUNS / "all.json").write_text(json.dumps(kept, indent=1) + "\n")
    print(f"\n{given.rows:,} rows\n{as_text(kept, rows)}")
    if given.publish:
        LATEST.write_text(json.dumps(kept, indent=1) + "\n")
        README.write_text(with_table(README.read_text(), kept, rows, MARKS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
