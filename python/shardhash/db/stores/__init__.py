"""Where configurations are kept: a YAML file, or MongoDB shared by many machines.

Saves are compare-and-set: of two who change the same version, one is refused and told what the
other did. Leases carry fencing tokens and go by the store's own clock.
"""

import os

from shardhash.db.stores._file import FileStore
from shardhash.db.stores._mongo import MongoStore
from shardhash.db.stores._types import (
    ConfigStore,
    JournalEntry,
    Lease,
    SavedProgress,
    SavedVersion,
    default_author,
    text_diff,
)
from shardhash.errors import UsageError

__all__ = [
    "ConfigStore",
    "FileStore",
    "JournalEntry",
    "Lease",
    "MongoStore",
    "SavedProgress",
    "SavedVersion",
    "default_author",
    "open_store",
    "text_diff",
]


def open_store(path_or_url: str | os.PathLike[str], *, follow: bool = True) -> ConfigStore:
    """Return the store at a path or a ``mongodb://`` URL.

    Args:
        path_or_url: where.
        follow: go on to the shared store that a file's ``store`` points to.

    Raises:
        UsageError: a URL of another kind, which is not repeated: it may hold a password.
        ConfigError: the file is no valid configuration, so nothing tells where it points to.
    """
    text = os.fspath(path_or_url)
    if text.startswith(("mongodb://", "mongodb+srv://")):
        return MongoStore.at(text)
    if "://" in text:
        raise UsageError(
            "a configuration is a file or at a mongodb:// URL; this is another URL",
            next_step="name a file, or mongodb://HOST/DATABASE",
        )
    store = FileStore(text)
    if follow and store.path.exists():
        config, _ = store.load()
        if config.store is not None:
            return MongoStore(config.store)
    return store
