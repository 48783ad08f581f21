"""A session whose objects are on shards."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Result, event, inspect, orm
from sqlalchemy.ext import horizontal_shard
from sqlalchemy.orm import InstanceState, ORMExecuteState, SessionTransaction

from shardhash.adapters.sqlalchemy._commits import commit_driver, half_committed
from shardhash.adapters.sqlalchemy._models import find_key
from shardhash.adapters.sqlalchemy._router import Router, on_the_move
from shardhash.adapters.sqlalchemy._swap import SWAP, Swap
from shardhash.db import Cluster
from shardhash.db.query import Routing
from shardhash.errors import QueryRefusedError, ShardKeyError, UsageError, WrongShardError

__all__ = ["ShardedSession", "sessionmaker"]


class ShardedSession(horizontal_shard.ShardedSession):
    """SQLAlchemy's ``ShardedSession`` on a cluster, which follows the map. Not thread-safe.

    Beyond what choosers are asked, it refuses to change a shard key, to write to an object's old
    shard after its slot has moved, and, without ``best_effort``, to write to several shards in one
    transaction. Loaders of relationships find rows on other shards than the parent's.

    Args:
        router: which shards it uses.
        options: of ``sqlalchemy.orm.Session``.
    """

    def __init__(self, router: Router, **options: Any) -> None:
        if options.get("twophase"):
            raise UsageError(
                "twophase=True prepares XA transactions, which land after a fence was raised",
                next_step="leave it out, and write to one shard in a transaction",
            )
        super().__init__(
            shard_chooser=router.shard_chooser,
            identity_chooser=router.identity_chooser,
            execute_chooser=router.execute_chooser,
            **options,
        )
        self.router = router
        self._written: set[str] = set()
        self._committed: list[str] = []
        self._shard_of: dict[Engine, str] = {}
        event.listen(self, "do_orm_execute", self._execute, retval=True, insert=True)
        event.listen(self, "after_begin", self._follow_commit)
        event.listen(self, "after_transaction_end", self._forget_written)

    def get_bind(
        self, mapper: Any = None, *, shard_id: str | None = None, **options: Any
    ) -> Engine | Connection:
        """Return the engine of a shard, or of the one that an object belongs to.

        Raises:
            UsageError: an ``AsyncSession`` asks.
        """
        self._check_not_async()
        if shard_id is None:
            shard_id = self.router.shard_chooser(mapper, options.get("instance"))
        engine = self.router.engine(shard_id)
        self._shard_of[engine] = shard_id
        return engine

    def _check_not_async(self) -> None:
        """Refuse an ``AsyncSession``: the shards' engines would hold up its event loop."""
        asyncio = sys.modules.get("sqlalchemy.ext.asyncio")
        if asyncio is not None and asyncio.async_session(self) is not None:
            raise UsageError(
                "an AsyncSession runs this session, and the engines of the shards are not for "
                "asyncio: each statement would hold up the event loop",
                next_step="run a unit of work with a session of sessionmaker(cluster) in a thread: "
                "await asyncio.to_thread(work)",
            )

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        """Write all changes; where a guard refuses one, the map is read anew before the error."""
        with self._minding_guards():
            super().flush(objects)

    def connection_callable(
        self,
        mapper: Any = None,
        instance: object | None = None,
        shard_id: str | None = None,
        **options: Any,
    ) -> Connection:
        """Return the connection that a flush writes an object through; raises what refuses it."""
        if shard_id is None and instance is not None:
            shard_id = self._shard_to_write(inspect(instance))
        if shard_id is not None:
            self._mind_write([shard_id])
        return super().connection_callable(mapper, instance, shard_id, **options)

    def _shard_to_write(self, state: "InstanceState[Any]") -> str:
        if state.key is None:  # the map may be another than when the object was added
            state.identity_token = self.router.shard_chooser(state.mapper, state.obj())
            return str(state.identity_token)
        self._check_key(state)
        owner = self.router.owner_of(state)
        token = str(state.key[2] or owner)  # RETURNING makes objects that are of no shard
        if owner not in (None, token):
            raise _moved(state.class_.__name__, token, str(owner))
        return token

    def _check_key(self, state: "InstanceState[Any]") -> None:
        key = find_key(state.mapper, self.router.config)
        history = state.attrs[key.attribute].history
        if history.added and list(history.added) != list(history.deleted):
            raise ShardKeyError(
                f"the shard key {key.attribute} of a {state.class_.__name__} was changed, which "
                "says where its row is",
                next_step="add an object with the new key, and delete the old one",
            )

    def _mind_write(self, shards: Sequence[str]) -> None:
        written = self._written.union(shards)
        if len(written) > 1 and not self.router.best_effort:
            names = ", ".join(sorted(written))
            raise QueryRefusedError(
                f"the session's transaction writes to several shards ({names}), and no transaction "
                "spans them",
                next_step="commit before writing to another shard, or pass best_effort=True to the "
                "sessionmaker: then each shard commits on its own",
            )
        self._written = written

    def _forget_written(self, _: orm.Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None:
            self._written = set()
            self._committed = []

    def _follow_commit(
        self, _: orm.Session, transaction: SessionTransaction, connection: Connection
    ) -> None:
        def commit(connection: Connection) -> None:
            shard = self._shard_of.get(connection.engine, "")
            if len(self._written) > 1 and shard in self._written:
                self._commit_shard(shard, connection)

        event.listen(connection, "commit", commit)

    def _commit_shard(self, shard: str, connection: Connection) -> None:
        """Commit one of several shards, ahead of SQLAlchemy, which would not say which one failed.

        Raises:
            StoppedError: it failed; the message says where the transaction is committed.
        """
        try:
            commit_driver(connection)
        except Exception as error:
            raise half_committed(shard, error, self._committed, self._written) from error
        self._committed.append(shard)

    def _execute(self, context: ORMExecuteState) -> Result[Any] | None:
        """Run a statement on its shards, before SQLAlchemy's own way of doing that is asked.

        Returns nothing where the shard is known, because it was named, or an object is read again.
        Loaders of relationships are not bound to the shard of the object that they load for.
        """
        named = _named_shard(context)
        if named is not None:
            if context.is_insert or context.is_update or context.is_delete:
                self._mind_write([named])
            return None
        token = context.load_options._identity_token if context.is_select else None  # noqa: SLF001
        if token is not None and not context.is_relationship_load:
            if context.is_column_load:
                self._check_refresh(context, token)
            return None
        routing = self.router.routing(context)
        if routing.is_write:
            self._mind_write(routing.shards)
        with self._minding_guards():
            first, *others = [_run_on(context, shard, routing) for shard in routing.shards]
        return first.merge(*others) if others else first

    @contextmanager
    def _minding_guards(self) -> Iterator[None]:
        try:
            yield
        except WrongShardError:
            self.router.refresh()
            raise

    def _check_refresh(self, context: ORMExecuteState, token: str) -> None:
        """Refuse to refresh an object whose key is known to be another shard's by now."""
        try:
            shards = self.router.execute_chooser(context)
        except QueryRefusedError:
            return
        if len(shards) == 1 and token not in shards:
            raise _moved("an object", token, shards[0])


def _run_on(context: ORMExecuteState, shard: str, routing: Routing) -> Result[Any]:
    """Run a statement on one of its shards, there on the rows only that the shard owns."""
    text = routing.on_owned.get(shard)
    swap = None if text is None else Swap(routing.sent, text)
    result = context.invoke_statement(
        bind_arguments={**context.bind_arguments, "shard_id": shard},
        execution_options={"identity_token": shard, SWAP: swap},
    )
    if swap is not None and not swap.is_done:  # it was sent in another form than it was planned
        result.close()
        raise on_the_move(routing)
    return result


def _named_shard(context: ORMExecuteState) -> str | None:
    """Return the shard that the application has said it means."""
    for option in context._non_compile_orm_options:  # noqa: SLF001  as SQLAlchemy's extension does
        if isinstance(option, horizontal_shard.set_shard_id):
            return option.shard_id
    named = context.execution_options.get("_sa_shard_id", context.bind_arguments.get("shard_id"))
    return None if named is None else str(named)


def _moved(what: str, token: str, owner: str) -> WrongShardError:
    return WrongShardError(
        f"{what} was read from shard {token}, and its shard key is {owner}'s now: the rows have "
        "moved",
        state="foreign",
        next_step="end the session, read the object anew, and change it again",
    )


def sessionmaker(
    cluster: Cluster, *, mapping: str | None = None, best_effort: bool = False, **options: Any
) -> "orm.sessionmaker[ShardedSession]":
    """Return what makes sessions on a cluster; the cluster must outlive them.

    Args:
        cluster: whose shards they use.
        mapping: as ``Router``.
        best_effort: as ``Router``.
        options: of ``sqlalchemy.orm.Session``, such as ``expire_on_commit``.
    """
    router = Router(cluster, mapping=mapping, best_effort=best_effort)
    return orm.sessionmaker(class_=ShardedSession, router=router, **options)
