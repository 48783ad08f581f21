"""The right to work on shards: leases of the store, renewed while the operation runs.

A lease tells operators apart; what keeps a process that woke up too late from changing anything is
the fencing token that comes with it, which every batch compares in the shard itself.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Self

from shardhash.db.stores import ConfigStore, Lease, default_author
from shardhash.errors import LeaseHeldError, LeaseLostError, ShardhashError

__all__ = ["Leases", "holder_of_this_process", "holds_leases", "is_alive"]

TTL_S = 30.0
_SCOPE = "shard/"


class Leases:
    """The leases of some shards, held by this process until ``release``.

    Without a store there is nobody to agree with: tokens are just above those in the shards.
    """

    def __init__(self, store: ConfigStore | None, shards: Sequence[str], *, ttl_s: float = TTL_S):
        self._store = store
        self._shards = sorted(shards)
        self._ttl_s = ttl_s
        self._held: dict[str, Lease] = {}
        self._above: Mapping[str, int] = {}
        self._lost: ShardhashError | None = None
        self._stop = Event()
        self._keeper = Thread(target=self._renew, name="shardhash-leases", daemon=True)

    def __enter__(self) -> Self:
        """Return the leases themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give all leases back."""
        self.release()

    def acquire(self, above: Mapping[str, int]) -> None:
        """Take every lease, with tokens above those given by shard, and keep them renewed.

        A lease that a process of this machine left behind when it died is taken at once.

        Raises:
            LeaseHeldError: somebody is at work on one of the shards; none is kept.
        """
        self._above = above
        if self._store is None:
            return
        try:
            for shard in self._shards:
                self._held[shard] = self._take(self._store, shard, above.get(shard, 0))
        except BaseException:
            self.release()
            raise
        self._keeper.start()

    def token(self, shard: str) -> int:
        """Return the fencing token of a shard."""
        held = self._held.get(shard)
        return held.token if held else self._above.get(shard, 0) + 1

    def check(self) -> None:
        """Raise LeaseLostError where a lease was taken by another, or could not be renewed."""
        if self._lost is not None:
            raise LeaseLostError(str(self._lost), next_step=self._lost.next_step) from self._lost

    def confirm(self) -> None:
        """Ask the store, now, whether the leases are still held; for what no token protects.

        Raises:
            LeaseLostError: one was taken by another.
        """
        self.check()
        for lease in list(self._held.values()):
            assert self._store is not None
            self._store.renew_lease(lease, ttl_s=self._ttl_s)

    def release(self) -> None:
        """Give the leases back; what another has taken meanwhile stays its own."""
        self._stop.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for lease in self._held.values():
            assert self._store is not None
            with suppress(ShardhashError):  # it ends by itself
                self._store.release_lease(lease)

    def _take(self, store: ConfigStore, shard: str, above: int) -> Lease:
        name = _SCOPE + shard
        holder = holder_of_this_process()
        try:
            return store.acquire_lease(name, holder=holder, ttl_s=self._ttl_s, above=above)
        except LeaseHeldError:
            left_behind = store.get_lease(name)
            if left_behind is None or is_alive(left_behind.holder) is not False:
                raise
            store.release_lease(left_behind)
        return store.acquire_lease(name, holder=holder, ttl_s=self._ttl_s, above=above)

    def _renew(self) -> None:
        assert self._store is not None
        while not self._stop.wait(self._ttl_s / 3):
            for shard, lease in list(self._held.items()):
                try:
                    self._held[shard] = self._store.renew_lease(lease, ttl_s=self._ttl_s)
                except LeaseLostError as error:
                    self._lost = error
                    return
                except ShardhashError:
                    continue  # the store does not answer: the tokens in the shards still hold


def holder_of_this_process() -> str:
    """Return ``user@host:pid.start``, which no other process ever has."""
    return f"{default_author()}:{os.getpid()}.{_start_of(os.getpid())}"


def holds_leases(store: ConfigStore, holder: str, shards: Sequence[str]) -> bool:
    """Tell whether a holder has a lease of one of the shards that has not ended; asks the store."""
    leases = [store.get_lease(_SCOPE + shard) for shard in shards]
    held = [each.expires_at for each in leases if each is not None and each.holder == holder]
    return bool(held) and max(held) > store.now()


def is_alive(holder: str) -> bool | None:
    """Tell whether a holder is a process of this machine that runs; None: of another machine."""
    place, _, process = holder.rpartition(":")
    number, _, start = process.partition(".")
    if place.rpartition("@")[2] != socket.gethostname() or not number.isdecimal():
        return None
    return _start_of(int(number)) == start


def _start_of(process: int) -> str:
    """Return when a process began, in ticks since the machine did; empty where it is gone.

    Source: proc(5), /proc/pid/stat, field 22; the second field may hold spaces.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _alive_without_proc(process)
    return "" if fields[0] == "Z" else fields[19]


def _alive_without_proc(process: int) -> str:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        return "0"
    return "0"
