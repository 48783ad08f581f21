"""A shop in one database that no shardhash has seen, on either backend, and the command on it."""

import json
import signal
import subprocess
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from command_line import COMMAND, Ended
from servers import Fleet, MySQLFleet, SQLiteFleet, wait_until

SLOTS = 16
STORES = 40
ROWS = 2400
"""More than a few batches of a copy, so that one can be met in the middle of it."""

_CREATE = {
    "mysql": "CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, store_id INT NOT NULL, "
    "item VARCHAR(20) NOT NULL, KEY (store_id)) ENGINE=InnoDB",
    "sqlite": "CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, "
    "store_id INTEGER NOT NULL, item TEXT NOT NULL)",
}


def slot_of(store: int) -> int:
    """Return a store's slot by zlib's CRC-32, not by the code under test."""
    return zlib.crc32(str(store).encode()) % SLOTS


@dataclass(frozen=True)
class OneDatabase:
    """The shop's database s1, the one that a split will make for s2, and the command's directory.

    `environment` is that of every command.
    """

    fleet: Fleet
    directory: Path
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """The address of the instance that has it."""
        if isinstance(self.fleet, MySQLFleet):
            return self.fleet.server("s1").url
        return f"sqlite:///{self.directory / self.fleet.instances[0]}"

    def fill(self) -> None:
        """Make the table and its rows."""
        self.fleet.sql("s1", _CREATE[self.fleet.kind])
        rows = ", ".join(f"({number % STORES}, 'tea {number}')" for number in range(ROWS))
        self.fleet.sql("s1", f"INSERT INTO orders (store_id, item) VALUES {rows}")

    def run(self, *words: str) -> Ended:
        """Run the command to its end."""
        ended = subprocess.run(
            [COMMAND, *words],
            cwd=self.directory,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def do(self, *words: str) -> Ended:
        """Run a command that has to succeed."""
        ended = self.run(*words)
        assert ended.exit_code == 0, ended.stderr
        return ended

    def adopt(self, *, map_max_age_s: float = 0.2) -> None:
        """Go the tutorial's way up to the cluster of one shard."""
        self.do("init", "--app", "shop", "--map-max-age", f"{map_max_age_s}")
        self.do("instance", "add", "here", "--url", self.url)
        self.do(*self.adoption, "--apply")

    @property
    def adoption(self) -> list[str]:
        """The command that takes the database in, as a plan."""
        words = f"shard adopt s1 --instance here --database {self.fleet.database('s1')}"
        mapping = f"--mapping by_store --key store_id:int --tables orders --slots {SLOTS}"
        return [*words.split(), *mapping.split()]

    def start(self, *words: str, as_json: bool = True) -> "Running":
        """Start a command, whose progress can be waited for if it tells that in JSON."""
        out = self.directory / "started.out"
        talk = self.directory / "started.err"
        with out.open("w") as stdout, talk.open("w") as stderr:
            process = subprocess.Popen(
                [COMMAND, *words, *(["--json"] if as_json else [])],
                cwd=self.directory,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        return Running(process, out, talk)

    def rows(self, shard: str) -> list[tuple[object, ...]]:
        """Return the orders of a shard by id."""
        found = self.fleet.sql(shard, "SELECT id, store_id, item FROM orders ORDER BY id")
        return [tuple(row) for row in found]

    def operation(self, kind: str) -> dict[str, object]:
        """Return the last operation of a kind, as ``op list`` has it."""
        found = self.do("op", "list", "--all", "--json").envelope["data"]["operations"]
        last: dict[str, object] = [each for each in found if each["operation"] == kind][-1]
        return last

    def files(self) -> dict[str, bytes]:
        """Return every file under the directory, without those that a command only locks."""
        return {
            str(path.relative_to(self.directory)): path.read_bytes()
            for path in sorted(self.directory.rglob("*"))
            if path.is_file() and not path.name.endswith((".lock", "-shm", "-wal"))
        }


@dataclass(frozen=True)
class Running:
    """A command at work."""

    process: subprocess.Popen[bytes]
    out: Path
    talk: Path

    def events(self) -> list[dict[str, object]]:
        """Return the progress told so far."""
        lines = self.talk.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def wait_for(self, title: str, *, throttled: bool = False) -> None:
        """Wait until it is at a step, or waits in it."""

        def is_there() -> bool:
            assert self.process.poll() is None, self.talk.read_text() + self.out.read_text()
            return any(
                title in str(event["title"]) and (event["throttled"] or not throttled)
                for event in self.events()
            )

        wait_until(is_there, what=f"step {title}", limit_s=60)

    def wait_for_words(self, words: str) -> None:
        """Wait until it has said something."""

        def is_said() -> bool:
            said = self.talk.read_text()
            assert words in said or self.process.poll() is None, said
            return words in said

        wait_until(is_said, what=words, limit_s=60)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def end(self) -> Ended:
        """Wait for its end."""
        code = self.process.wait(120)
        return Ended(code, self.out.read_text(), self.talk.read_text())


def one_database(
    fleet: "MySQLFleet | SQLiteFleet", directory: Path, environment: Mapping[str, str]
) -> OneDatabase:
    """Return the shop, filled."""
    fleet.add("s1")
    fleet.will_have("s2", beside="s1")
    made = OneDatabase(fleet, directory, environment)
    made.fill()
    return made
