"""A process of its own that changes a stored configuration, for tests of races and crashes.

store_process.py race URL NAME COUNT    adds COUNT instances, each by compare-and-set
store_process.py blind URL NAME COUNT   the same without: the control that must lose some
store_process.py save PATH STEP         saves once, killed at its STEP-th system event
"""

import os
import signal
import sys
from pathlib import Path

from shardhash.db.config import Config
from shardhash.db.stores import ConfigStore, FileStore, open_store
from shardhash.errors import ConfigConflictError


def race(store: ConfigStore, name: str, count: int, *, is_blind: bool) -> None:
    for number in range(count):
        while not add(store, f"{name}-{number}", is_blind=is_blind):
            pass


def add(store: ConfigStore, name: str, *, is_blind: bool) -> bool:
    text, version = store.read_text()
    new = f"{text}  {name}: {{host: {name}}}\n"
    Config.parse(new, base_dir=None)  # what a command looks at before it saves
    try:
        store.save(new, expect=store.version() if is_blind else version)
    except ConfigConflictError:
        return False
    return True


def save(path: str, step: int) -> None:
    store = FileStore(path)
    text, version = store.read_text()
    events = 0

    def die_at_step(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal events
        if event in ("open", "os.rename", "os.remove", "sqlite3.connect", "fcntl.flock"):
            events += 1
            if events == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die_at_step)
    store.save(text + Path(path).with_name("addition").read_text(), expect=version)


if __name__ == "__main__":
    if sys.argv[1] == "save":
        save(sys.argv[2], int(sys.argv[3]))
    else:
        with open_store(sys.argv[2]) as opened:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            sys.stdin.read()
            race(opened, sys.argv[3], int(sys.argv[4]), is_blind=sys.argv[1] == "blind")
