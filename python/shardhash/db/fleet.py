"""Change and share the configuration of a fleet: each change is one compare-and-set save.

Who changes an old version is refused by the store and told the difference; nothing is merged and
nothing is tried again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shardhash.db.config import Config
from shardhash.db.config.addresses import AddressError, parse_dsn, parse_mongo_url, parse_url
from shardhash.db.config.edit import Data
from shardhash.db.stores import ConfigStore, FileStore, SavedVersion, open_store, text_diff
from shardhash.db.topology import PasswordKind, PasswordSource
from shardhash.errors import ConfigConflictError, ConfigError, RefusedError, UsageError
from shardhash.slots import SlotMap

__all__ = [
    "ConfigChange",
    "Edit",
    "change_config",
    "download_config",
    "find_version",
    "instance_values",
    "mapping_values",
    "refuse_password_in",
    "start_config",
    "upload_config",
    "validate_config",
]

Edit = Callable[[str], str]

_SHOWN_VERSIONS = 1_000
_MONGO_SCHEMES = ("mongodb://", "mongodb+srv://")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChange:
    """A saved change: where, from which version to which, and the masked difference."""

    source: str
    before: str
    version: str
    difference: str = field(repr=False)


def change_config(store: ConfigStore, change: Edit) -> ConfigChange:
    """Save what `change` makes of the present text, unless the text changed meanwhile.

    Raises:
        ConfigConflictError: somebody else saved meanwhile; the message holds the difference.
        RefusedError: what is to be removed is in use, or the result would be no valid
            configuration; nothing was written.
    """
    text, before = store.read_text()
    edited = change(text)
    try:
        version = store.save(edited, expect=before)
    except ConfigError as error:
        raise _unfit(error) from error
    difference = text_diff(text, edited, old_name="before", new_name="after")
    return ConfigChange(source=store.url, before=before, version=version, difference=difference)


def _unfit(error: ConfigError) -> RefusedError:
    """Return the mistakes of a text that nobody sees: without its lines."""
    mistakes = "; ".join(f"{problem.path}: {problem.message}" for problem in error.problems)
    return RefusedError(
        f"nothing was written, because the configuration would not be valid: {mistakes}",
        next_step="give the command what the message asks for, or make the change by hand",
    )


def start_config(path: str, *, app: str, map_max_age_s: float = 30) -> None:
    """Write the starter file, readable by its owner only.

    Args:
        path: where; nothing may be there yet.
        app: the application's name.
        map_max_age_s: how long a process may go on with a map that it cannot confirm.

    Raises:
        RefusedError: the path is taken; nothing was written.
    """
    if path.startswith(_MONGO_SCHEMES):
        raise UsageError(
            "a starter is a file, and the configuration named is in a shared store",
            next_step="shardhash --config FILE init",
        )
    store = FileStore(path)
    if store.path.exists():
        raise RefusedError(
            f"{path} exists already; nothing was written",
            next_step="add to it by `shardhash instance add`, or name another: --config FILE",
        )
    store.save(_STARTER.format(app=app, map_max_age_s=f"{map_max_age_s:g}"), expect=None)


def validate_config(place: str, environ: Mapping[str, str]) -> Config:
    """Return the configuration at `place`, whose ``${VAR}`` are all set in `environ`.

    A file that points to a shared store is checked together with what is stored there.

    Raises:
        ConfigError: every mistake, in the order of lines.
    """
    if place.startswith(_MONGO_SCHEMES):
        return Config.load(place)
    config = FileStore(place).check(environ)
    return Config.load(place) if config.is_pointer else config


def instance_values(
    *,
    url: str | None = None,
    dsn: str | None = None,
    variable: str | None = None,
    secret: str | None = None,
    **others: str | None,
) -> dict[str, Data]:
    """Return an instance as the YAML has it.

    Args:
        url: its address as a URL.
        dsn: its address as a DSN.
        variable: the environment variable that holds its password.
        secret: the name of the secret that is its password.
        others: further keys of the YAML; None leaves one out.

    Raises:
        RefusedError: a password stands in the address.
    """
    refuse_password_in("url", url)
    refuse_password_in("dsn", dsn)
    values: dict[str, Data] = {"url": url, "dsn": dsn, **others}
    if variable is not None:
        values["password"] = f"${{{variable}}}"
    if secret is not None:
        values["password"] = {"secret": secret}
    return {key: value for key, value in values.items() if value is not None}


def refuse_password_in(kind: str, address: str | None) -> None:
    """Raise if a password stands in an address that came from the command line.

    An address that cannot be read is left to the validator, which repeats none of it.
    """
    readers: dict[str, Callable[[str], str | None]] = {
        "url": lambda text: parse_url(text).password,
        "dsn": lambda text: parse_dsn(text).password,
        "store": lambda text: parse_mongo_url(text)[2],
    }
    try:
        password = readers[kind](address) if address else None
    except AddressError:
        return
    source = PasswordSource(PasswordKind.TEXT, password or "")
    if source.is_literal or any(variable.default for variable in source.variables):
        raise RefusedError(
            "a password stands in the address: the process list and the shell's history show it, "
            "and the configuration would keep it; nothing was written",
            next_step=_SAFER[kind],
        )


_SAFER = {
    "url": "leave it out and give --password-file, --option-file, --password-variable or --secret; "
    "change that password if others could see it",
    "store": "write '${NAME}' in its place, in single quotes, and export NAME; change that "
    "password if others could see it",
}
_SAFER["dsn"] = _SAFER["url"]


def mapping_values(
    *,
    column: str,
    key_type: str,
    tables: Iterable[tuple[str, str | None]],
    shards: Sequence[str],
    slot_count: int,
    global_tables: Sequence[str] = (),
) -> dict[str, Data]:
    """Return a slot mapping as the YAML has it, with the slots shared out evenly.

    Args:
        column: the key column.
        key_type: its declared type.
        tables: names, each with its own key column, or None for `column`.
        shards: the owners, in the order of their slots.
        slot_count: a power of two.
        global_tables: tables that every shard has whole.

    Raises:
        PlacementError: a shard twice, or an impossible number of slots.
    """
    placement = SlotMap.even(shards, slot_count=slot_count)
    names: list[Data] = [
        name if key is None else {"name": name, "key": key} for name, key in tables
    ]
    owners: dict[str, Data] = {shard: str(placement.slots_of(shard)) for shard in placement.shards}
    values: dict[str, Data] = {
        "key": {"column": column, "type": key_type},
        "tables": names,
    }
    if global_tables:
        values["global_tables"] = list(global_tables)
    return {**values, "slots": {"count": slot_count, "owners": owners}}


def upload_config(path: str, target: ConfigStore, *, replace: str | None) -> ConfigChange:
    """Put the text of a file, to the byte, into a shared store; nothing is done if it is there.

    Args:
        path: the file.
        target: the store.
        replace: the stored version that is to be replaced; None: nothing is stored yet.

    Raises:
        UsageError: the file only points to a store.
        ConfigConflictError: another version is stored; the message holds the difference.
        ConfigError: the text is not fit for a shared store.
    """
    config, _ = FileStore(path).load()
    if config.is_pointer:
        raise UsageError(
            f"{path} only points to a store: it has nothing to upload",
            next_step="name the file with the whole configuration: --config FILE",
        )
    try:
        version = target.save(config, expect=replace)
    except ConfigConflictError as error:
        stored, present = target.read_text()
        if stored == config.text:
            return ConfigChange(source=target.url, before=present, version=present, difference="")
        raise ConfigConflictError(
            str(error),
            next_step="to replace what is stored: shardhash config history, then --replace VERSION",
        ) from error
    return ConfigChange(source=target.url, before=replace or "", version=version, difference="")


def download_config(place: str) -> tuple[str, str]:
    """Return the text of the shared store at `place`, as it was uploaded, and its version.

    Raises:
        UsageError: `place` is a file that points to no store.
    """
    with open_store(place) as store:
        if isinstance(store, FileStore):
            raise UsageError(
                f"the configuration is the file {store.url} itself: there is no store to ask",
                next_step="name a store: --config mongodb://HOST/DATABASE",
            )
        return store.read_text()


def find_version(store: ConfigStore, version: str) -> SavedVersion:
    """Return a version of the history by its name or, where that is clear, the beginning of it.

    Raises:
        UsageError: there is none, or more than one.
    """
    history = store.history(limit=_SHOWN_VERSIONS)
    exact = [saved for saved in history if saved.version == version]
    matching = exact[:1] or [saved for saved in history if _begins(saved.version, version)]
    if len({saved.version for saved in matching}) == 1:
        return matching[0]
    what = "begins more than one version" if matching else "is no version"
    raise UsageError(
        f"{version!r} {what} of {store.url}", next_step="shardhash config history lists them"
    )


def _begins(version: str, text: str) -> bool:
    """Tell whether `text` abbreviates a version; counters are never abbreviated."""
    return len(text) >= 4 and not version.isdecimal() and version.startswith(text)


_STARTER = """\
# The configuration of a sharded application: servers, shards, and which keys go where.
# `shardhash config validate` tells every mistake with its line.

format: 1
app: {app}
map_max_age_s: {map_max_age_s}   # how long an application may go without asking for a newer map

# Below are the parts of a configuration, each as an example: take out the # and change what it
# says. `shardhash instance add` and `shardhash mapping add` write such lines, too.
#
# Servers that hold shards. Passwords stand elsewhere: ${{VARIABLE}}, password_file, option_file or
# {{secret: NAME}}. TLS is `verify` unless the server is on this machine.
#
# instances:
#   db1: {{url: "mysql://ops@10.0.0.5:3306", password: "${{DB1_PASSWORD}}"}}
#   disk: {{url: "sqlite:///./shards"}}
#
# A shard is a database on an instance.
#
# shards:
#   s1: {{instance: db1, database: shop_s1}}
#   s2: {{instance: db1, database: shop_s2}}
#
# A mapping is the rule from key to shard, and the tables that follow it.
#
# mappings:
#   by_store:
#     key: {{column: store_id, type: int}}
#     tables: [orders, {{name: order_items, key: store_id}}]
#     slots: {{count: 16384, owners: {{s1: "0-8191", s2: "8192-16383"}}}}
#
# The application's account, made by `shardhash instance setup`: it may read and write rows of the
# shard databases, and nothing else.
#
# setup:
#   app_user: {{user: shop, password: "${{SHOP_PASSWORD}}", host: "%"}}
"""
