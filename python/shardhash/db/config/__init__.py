"""The configuration: what the YAML says, checked as a whole, as values.

``Config.parse`` is pure; ``Config.load`` reads a file or a shared store. Every problem is reported
at once, each with its place.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path as FilePath
from typing import TypeVar

from shardhash._version import __version__
from shardhash.db.config._mask import mask_passwords
from shardhash.db.config._models import FileModel, read_model
from shardhash.db.config._passwords import Origin, PasswordReader, PlacedPassword
from shardhash.db.config._problems import Data, Document, did_you_mean
from shardhash.db.config._rules import MappingReader
from shardhash.db.config._servers import ServerReader, named_parts
from shardhash.db.config._yaml import compose
from shardhash.db.mapping import KeyRouter
from shardhash.db.topology import AppUser, Instance, Mapping, Shard, SharedStore
from shardhash.errors import Problem, UsageError
from shardhash.slots import SlotSet

__all__ = ["FORMAT", "Config", "Origin", "mask_passwords"]

FORMAT = 1
_FIRST_VERSION = "shardhash 0.1"
_POINTER_KEYS = frozenset({"store", "format", "app", "map_max_age_s"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """An app's instances, shards and mappings, checked against each other.

    ``version`` is the store's opaque version, empty for text that no store holds. ``warnings``
    are what is allowed but unwise. ``last_ordinal`` is the highest ordinal that a shard ever had;
    ``takeovers`` counts how often an unfinished operation was taken over. Values are equal when
    they say the same, wherever they are from.
    """

    app: str = ""
    map_max_age_s: float = 30.0
    instances: MappingABC[str, Instance] = field(default_factory=dict)
    shards: MappingABC[str, Shard] = field(default_factory=dict)
    mappings: MappingABC[str, Mapping] = field(default_factory=dict)
    app_user: AppUser | None = None
    store: SharedStore | None = None
    last_ordinal: int = 0
    takeovers: int = field(default=0, compare=False)
    version: str = field(default="", compare=False)
    source: str = field(default="<text>", compare=False)
    text: str = field(default="", compare=False, repr=False)
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    passwords: tuple[PlacedPassword, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        source: str = "<text>",
        base_dir: str | PathLike[str] | None = ".",
        origin: Origin = Origin.PRIVATE,
        version: str = "",
        environ: MappingABC[str, str] | None = None,
    ) -> Config:
        """Return the configuration in `text`, without reading anything else.

        Args:
            text: the YAML.
            source: what problems name as the file.
            base_dir: what relative paths are relative to; None refuses them.
            origin: who can read the text, which decides the passwords it may hold.
            version: the store's version of the text.
            environ: where a ``${VAR}`` that is not set counts as a mistake; None: not looked at.

        Raises:
            ConfigError: every mistake, in the order of lines.
        """
        duplicates: list[Problem] = []
        root = compose(text.removeprefix("\ufeff"), source=source, duplicates=duplicates)
        document = Document(root, source=source)
        document.add_problems(duplicates)
        base = None if base_dir is None else str(FilePath(base_dir).absolute())
        config = _read(document, base_dir=base, origin=origin)
        if environ is not None:
            document.add_problems(config.unset_variables(environ))
        if document.has_problems:
            raise document.error()
        return replace(
            config, version=version, source=source, text=text, warnings=document.warnings
        )

    @classmethod
    def load(cls, path_or_url: str | PathLike[str]) -> Config:
        """Return the configuration of a file or a shared store, following the file's ``store``.

        Reads a file or asks a server.

        Raises:
            ConfigError: every mistake, in the order of lines.
            ShardhashError: the file or the store cannot be read.
        """
        from shardhash.db.stores import open_store

        with open_store(path_or_url) as store:
            return store.load()[0]

    @property
    def unowned(self) -> MappingABC[str, MappingABC[str, SlotSet]]:
        """Return by mapping the slots of which shards may hold rows without owning them."""
        return {name: mapping.unowned for name, mapping in self.mappings.items() if mapping.unowned}

    @property
    def masked_text(self) -> str:
        """Return the text with every literal password masked."""
        return mask_passwords(self.text)

    @property
    def is_pointer(self) -> bool:
        """Return whether the configuration is kept in a shared store instead of this text."""
        return self.store is not None

    def instance(self, name: str) -> Instance:
        """Return the instance `name`; UsageError tells which exist."""
        return _get(self.instances, name, "instance")

    def shard(self, name: str) -> Shard:
        """Return the shard `name`; UsageError tells which exist."""
        return _get(self.shards, name, "shard")

    def mapping(self, name: str) -> Mapping:
        """Return the mapping `name`; UsageError tells which exist."""
        return _get(self.mappings, name, "mapping")

    def router(self, mapping: str) -> KeyRouter:
        """Return the router of the mapping `mapping`. Building it takes time: keep it."""
        return KeyRouter.from_mapping(self.mapping(mapping))

    def unset_variables(self, environ: MappingABC[str, str]) -> tuple[Problem, ...]:
        """Return a problem for each ``${VAR}`` without default that `environ` does not have."""
        return tuple(
            Problem(
                placed.place.source,
                placed.place.line,
                placed.place.column,
                placed.place.path,
                f"the environment variable {name} is not set; export it before connecting",
            )
            for placed in self.passwords
            for name in placed.source.unset_variables(environ)
        )


def _read(document: Document, *, base_dir: str | None, origin: Origin) -> Config:
    """Return what could be read; the caller raises the problems of `document`."""
    data = document.data
    if data is None:
        document.problem((), "holds nothing; `shardhash init` writes a file to begin with")
        raise document.error()
    _check_format(document, data)
    model = read_model(document, FileModel, data, ())
    if model is None or not isinstance(data, dict):
        raise document.error()
    _check_completeness(document, data, is_shared=origin is Origin.SHARED)
    passwords = PasswordReader(document, origin=origin, base_dir=base_dir)
    servers = ServerReader(document, passwords, base_dir=base_dir)
    parts = {
        key: named_parts(document, data.get(key), (key,))
        for key in ("instances", "shards", "mappings")
    }
    instances = servers.instances(parts["instances"])
    shards = servers.shards(parts["shards"], instances, set(parts["instances"]))
    return Config(
        app=model.app,
        map_max_age_s=model.map_max_age_s,
        instances=instances,
        shards=shards,
        mappings=MappingReader(document, set(parts["shards"])).mappings(parts["mappings"]),
        app_user=servers.app_user(model.setup),
        store=servers.store(model.store),
        last_ordinal=model.last_ordinal,
        takeovers=model.takeovers,
        passwords=tuple(passwords.placed),
    )


def _check_format(document: Document, data: Data) -> None:
    """Raise where the file is of a format whose other keys could mean anything."""
    number = data.get("format") if isinstance(data, dict) else None
    if type(number) is not int or number == FORMAT:
        return
    if number > FORMAT:
        what = f"needs a shardhash newer than {__version__}; pip install --upgrade shardhash"
    else:
        what = f"was never in use; write format: {FORMAT}"
    document.problem(
        ("format",),
        f"format {number} {what} (format {FORMAT} is read by {_FIRST_VERSION} and later)",
    )
    raise document.error()


def _check_completeness(document: Document, data: dict[str, Data], *, is_shared: bool) -> None:
    """Report what a file must have; one that only points to a store needs nothing else."""
    is_pointer = data.get("store") is not None and not is_shared
    if is_pointer and set(data) <= _POINTER_KEYS:
        return
    if "format" not in data:
        document.problem(("format",), f"is missing; write format: {FORMAT}")
    if "app" not in data:
        document.problem(("app",), "is missing; write app: NAME, by which stores know it")
    if is_pointer:
        document.warn(
            ("store",), "this file points to a shared configuration: its other keys are not used"
        )


def _get(values: MappingABC[str, T], name: str, kind: str) -> T:
    if name in values:
        return values[name]
    known = ", ".join(values) or "none"
    near = did_you_mean(name, values)
    advice = f"name one of: {known}" if values else f"add the {kind} to the configuration first"
    raise UsageError(
        f"unknown {kind} {name!r}{near}; the configuration has {known}",
        next_step=advice,
    )
