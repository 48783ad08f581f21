"""Why a statement is refused."""

from dataclasses import dataclass

from shardhash.errors import QueryRefusedError

__all__ = ["Refusal", "refused"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why shards cannot answer as one database would, and what to ask instead."""

    reason: str
    rewrite: str


def refused(refusal: Refusal) -> QueryRefusedError:
    """Return the error for a refusal."""
    return QueryRefusedError(
        f"shards cannot answer this as one database would: {refusal.reason}",
        next_step=refusal.rewrite,
    )
