"""Where a statement goes that somebody else runs, such as an ORM."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["Routing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """The shards that a statement is for.

    Attributes:
        shards: in the order of the mapping.
        is_write: it changes rows.
        problem: why the statement, run on each of the shards as it is, with one answer strung to
            the other, is not what one database would do; empty where it is.
        sent: the statement in the placeholders of the driver.
        on_owned: by shard, where there are several, for those that may hold rows without owning
            them: the statement that leaves these rows out, with the same values.
    """

    shards: tuple[str, ...]
    is_write: bool = False
    problem: str = ""
    sent: str = field(default="", repr=False)
    on_owned: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
