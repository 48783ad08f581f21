"""A pytest plugin: ``shardhash_twins``, one database and shards with the same rows.

In ``conftest.py``: ``pytest_plugins = ["shardhash.testing.fixtures"]``; in pytest's settings
``shardhash_config`` names the configuration, ``shardhash_whole`` (``whole`` unless set) the shard
in no mapping that holds all rows. The other shards are filled from it, once a session.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shardhash.testing import Twins

__all__ = ["pytest_addoption", "shardhash_twins"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the settings."""
    parser.addini("shardhash_config", "configuration whose shards are tested")
    parser.addini("shardhash_whole", "its shard that holds all rows", default="whole")


@pytest.fixture(scope="session")
def shardhash_twins(pytestconfig: pytest.Config) -> Iterator[Twins]:
    """Yield the twins of the configuration in pytest's settings, the shards filled."""
    path = pytestconfig.getini("shardhash_config")
    if not path:
        raise pytest.UsageError("set shardhash_config in pytest's settings to a configuration file")
    whole = pytestconfig.getini("shardhash_whole")
    with Twins.open(Path(pytestconfig.rootpath, path), whole=whole) as twins:
        twins.fill()
        yield twins
