"""``shardhash config``: the configuration itself, its versions, and sharing it."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from shardhash.cli._commands import Commands
from shardhash.cli._console import Console, Outcome
from shardhash.cli._table import count, table
from shardhash.cli._words import address_words, mapping_data, mapping_table
from shardhash.errors import UsageError

if TYPE_CHECKING:
    from shardhash.db.config import Config
    from shardhash.db.stores import SavedVersion

__all__ = ["register"]

_SHOWN_HEX = 12


def register(commands: Commands) -> None:
    """Add the group's commands."""
    config = commands.group("config", "check, show and share the configuration")
    config.command(
        "validate",
        _validate,
        "check the configuration",
        details=(
            "Prints every mistake as file:line:column: path: what, and what to do; exit code 3. "
            "Asks no database."
        ),
    )
    show = config.command(
        "show",
        _show,
        "print what the configuration says",
        details="Passwords are left out. Asks no database.",
        own_version=True,
    )
    show.add_argument(
        "--version",
        metavar="N",
        help="the text of a version of the history, with literal passwords masked",
    )
    history = config.command(
        "history", _history, "list the versions of the configuration, the newest first"
    )
    history.add_argument(
        "--limit", metavar="N", type=int, default=10, help="how many versions (default: 10)"
    )
    upload = config.command(
        "upload",
        _upload,
        "put the configuration file into a shared store",
        details="What is stored there already is replaced only if --replace names its version.",
    )
    upload.add_argument(
        "url", metavar="URL", help="mongodb://HOST/DATABASE; a password in it as '${NAME}'"
    )
    upload.add_argument("--replace", metavar="VERSION", help="the stored version to be replaced")
    download = config.command(
        "download",
        _download,
        "get the configuration from the shared store, as it was uploaded",
        details="The store is the one that the configuration file points to, or --config URL.",
    )
    download.add_argument("--output", metavar="FILE", help="write a new file, not standard output")


def _validate(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import config_place
    from shardhash.db.fleet import validate_config

    config = validate_config(config_place(options), os.environ)
    for problem in config.warnings:
        console.warn(str(problem))
    counts = {
        "instances": len(config.instances),
        "shards": len(config.shards),
        "mappings": len(config.mappings),
    }
    words = ", ".join(count(number, name.removesuffix("s")) for name, number in counts.items())
    return Outcome(
        data={"source": config.source, **counts}, lines=[f"{config.source} is valid: {words}"]
    )


def _show(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config

    if options.version is not None:
        return _show_version(options)
    config = load_config(options, console)
    data = {
        "app": config.app,
        "source": config.source,
        "version": config.version,
        "map_max_age_s": config.map_max_age_s,
        "instances": {
            each.name: {"backend": each.backend, "address": address_words(each)}
            for each in config.instances.values()
        },
        "shards": {
            each.name: {"instance": each.instance, "database": each.database}
            for each in config.shards.values()
        },
        "mappings": {each.name: mapping_data(each) for each in config.mappings.values()},
    }
    return Outcome(data=data, lines=_lines(config))


def _show_version(options: argparse.Namespace) -> Outcome:
    from shardhash.cli._configuration import config_place
    from shardhash.db.fleet import find_version
    from shardhash.db.stores import open_store

    with open_store(config_place(options)) as store:
        saved = find_version(store, options.version)
    return Outcome(data={**_version_data(saved), "text": saved.text}, lines=saved.text.splitlines())


def _history(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import config_place
    from shardhash.db.stores import open_store

    if options.limit < 1:
        raise UsageError(
            f"--limit {options.limit} asks for no version", next_step="give a number from 1"
        )
    with open_store(config_place(options)) as store:
        saved = store.history(limit=options.limit + 1)
    shown = saved[: options.limit]
    differences = [_difference(saved, number) for number in range(len(shown))]
    data = [
        {**_version_data(version), "difference": difference}
        for version, difference in zip(shown, differences, strict=True)
    ]
    return Outcome(data={"versions": data}, lines=_history_lines(shown, differences))


def _upload(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import config_place
    from shardhash.db.fleet import refuse_password_in, upload_config
    from shardhash.db.stores import MongoStore

    refuse_password_in("store", options.url)
    path = config_place(options)
    with MongoStore.at(options.url) as target:
        done = upload_config(path, target, replace=options.replace)
    pointer = f"store: {{url: {json.dumps(options.url)}}}"
    return Outcome(
        data={"source": path, "store": done.source, "version": done.version},
        lines=[
            f"{path} is stored at {done.source} as version {done.version}",
            f"next: on each machine, a file that holds only   {pointer}",
        ],
    )


def _download(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import config_place
    from shardhash.db.fleet import download_config
    from shardhash.db.stores import FileStore

    text, version = download_config(config_place(options))
    if options.output:
        FileStore(options.output).save(text, expect=None)
        lines = [f"version {version} is written to {options.output}"]
    else:
        lines = []
        if not console.as_json:
            sys.stdout.buffer.write(text.encode())
    return Outcome(data={"version": version, "text": text}, lines=lines)


def _difference(saved: "Sequence[SavedVersion]", number: int) -> str:
    """Return how a version differs from the one before it; empty for the first that is kept."""
    from shardhash.db.stores import text_diff

    if number + 1 == len(saved):
        return ""
    new, old = saved[number], saved[number + 1]
    return text_diff(old.text, new.text, old_name=_short(old), new_name=_short(new))


def _history_lines(shown: "Sequence[SavedVersion]", differences: Sequence[str]) -> Iterator[str]:
    for version, difference in zip(shown, differences, strict=True):
        author = version.author or "changed outside the tool"
        yield f"{_short(version)}  {version.saved_at.isoformat(timespec='seconds')}  {author}"
        yield from (f"    {line}".rstrip() for line in difference.splitlines()[2:])


def _version_data(saved: "SavedVersion") -> dict[str, object]:
    return {
        "version": saved.version,
        "saved_at": saved.saved_at.isoformat(),
        "author": saved.author,
    }


def _short(saved: "SavedVersion") -> str:
    """Return a version as people write it: a counter whole, a hash abbreviated."""
    return saved.version[:_SHOWN_HEX]


def _lines(config: "Config") -> Iterator[str]:
    yield f"app {config.app}, from {config.source}"
    yield ""
    yield from table(
        ("instance", "backend", "address"),
        ((each.name, each.backend, address_words(each)) for each in config.instances.values()),
    )
    yield ""
    yield from table(
        ("shard", "instance", "database"),
        ((each.name, each.instance, each.database) for each in config.shards.values()),
    )
    yield ""
    yield from mapping_table(config.mappings.values())
