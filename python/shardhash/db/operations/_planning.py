"""Plans operations and verifies shards, from reads only."""

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Self

from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager, SessionSettings
from shardhash.db.executor import ProgressListener
from shardhash.db.mapping import KeyValue
from shardhash.db.operations._moves import MovePlanner
from shardhash.db.operations._ranges import RangePlanner
from shardhash.db.operations._reader import FactReader, chosen_rules
from shardhash.db.operations._shards import ShardPlanner
from shardhash.db.operations._verify import VerifyReport, verify
from shardhash.db.plan import Mechanism, Plan
from shardhash.db.planning.move import MoveOptions
from shardhash.db.planning.prune import plan_prune
from shardhash.db.planning.steps import FENCE_WAIT_S
from shardhash.db.ports import Topology
from shardhash.db.processes import Workers
from shardhash.errors import UsageError
from shardhash.slots import SlotSet

__all__ = ["PlanningFace", "exact_connections"]


class PlanningFace:
    """What ``Operations`` can do without changing anything."""

    def __init__(
        self, config: Config, *, connections: ConnectionManager | None, source: str | None
    ) -> None:
        self._config = config
        self._source = source
        self._connections = connections or exact_connections(config)

    def __enter__(self) -> Self:
        """Return the operations themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self._connections.close()

    def plan_allocate(
        self,
        shard: str,
        *,
        instance: str,
        mapping: str,
        slots: SlotSet | str | None = None,
        database: str | None = None,
        guards: bool = True,
    ) -> Plan:
        """Plan a new shard with the tables of a mapping; only reads.

        Args:
            shard: its name, which the configuration does not have yet.
            instance: where its database will be made.
            mapping: what it will be part of.
            slots: what it will own, such as ``"0-99"``; no row may be in them yet. None: nothing.
            database: the name of its database; None: after those of the mapping's other shards.
            guards: whether writes to slots that it does not own are refused.

        Raises:
            UsageError: the name is taken, or the instance or mapping unknown.
            PreflightError: it could not be made exactly.
        """
        return self._shards.allocate(
            shard,
            instance=instance,
            mapping=mapping,
            slots=_slots(slots),
            database=database,
            guards=guards,
        )

    def plan_adopt(
        self,
        shard: str,
        *,
        instance: str,
        database: str,
        mapping: str,
        key: str | None = None,
        key_type: str | None = None,
        tables: Sequence[tuple[str, str | None]] | None = None,
        global_tables: Sequence[str] = (),
        slot_count: int = 16_384,
        guards: bool = True,
    ) -> Plan:
        """Plan to take an existing database in as a shard; no row of it is changed.

        With a mapping that the configuration does not have, `key`, `key_type` and `tables` make
        it, and the shard owns all its slots: one database becomes a cluster of one.

        Args:
            shard: its name.
            instance: the server, or directory, that has the database.
            database: its name there.
            mapping: the mapping whose tables it has.
            key: the key column of a new mapping.
            key_type: the type of that key.
            tables: the tables of a new mapping, each with its key column if that has another name.
            global_tables: tables that every shard has whole.
            slot_count: of a new mapping.
            guards: whether writes to slots that it does not own are refused.

        Raises:
            UsageError: names do not fit the configuration.
            PreflightError: keys, types or rows do not allow it.
        """
        return self._shards.adopt(
            shard,
            instance=instance,
            database=database,
            mapping=mapping,
            key=key,
            key_type=key_type,
            tables=tables,
            global_tables=global_tables,
            slot_count=slot_count,
            guards=guards,
        )

    def plan_release(self, shard: str) -> Plan:
        """Plan to take guards and control tables off a shard; no row is changed. Only reads."""
        return self._shards.release(shard)

    def plan_guard(self, mapping: str, *, wanted: bool = True) -> Plan:
        """Plan to install, or take off, the guards of a mapping on all its shards; only reads."""
        return self._shards.guard(mapping, wanted=wanted)

    def plan_clone(
        self,
        shard: str,
        target: str,
        *,
        instance: str | None = None,
        using: str = "native",
        database: str | None = None,
        target_free_bytes: int | None = None,
    ) -> Plan:
        """Plan an equal copy of a shard, which ends detached; only reads.

        Args:
            shard: the shard to copy.
            target: the name of the copy, which the configuration does not have yet.
            instance: where the copy is made; None: where the shard is.
            using: ``"native"``: pages of one consistent snapshot over SQL.
            database: the name of its database; None: after that of the shard.
            target_free_bytes: as of ``plan_split``.
        """
        return self._shards.clone(
            shard,
            target,
            instance=instance,
            using=using,
            database=database,
            target_free_bytes=target_free_bytes,
        )

    def plan_attach(
        self,
        shard: str,
        *,
        slots_of: str,
        freeze: bool = False,
        fence_wait_s: float = FENCE_WAIT_S,
        app_stopped: bool = False,
        quarantine: bool = False,
        target_free_bytes: int | None = None,
    ) -> Plan:
        """Plan to hand a detached copy all slots of the shard it was copied from; only reads."""
        options = MoveOptions(
            freeze=freeze,
            app_stopped=app_stopped,
            quarantine=quarantine,
            sync=True,
            fence_wait_s=fence_wait_s,
            target_free_bytes=target_free_bytes,
        )
        return self._moves.attach(shard, slots_of, options=options)

    def plan_prune(
        self,
        shard: str,
        *,
        mapping: str | None = None,
        tables: Sequence[str] | None = None,
        using: Mechanism | str | None = None,
        proof: bool = True,
        quarantine: bool = False,
    ) -> Plan:
        """Plan the removal of rows that the mapping gives to other shards; only reads.

        Args:
            shard: the shard to prune.
            mapping: its mapping; None where the shard is in exactly one.
            tables: only these tables of the mapping; None for all.
            using: ``"keys"`` or ``"pages"``; None lets the plan choose and say why.
            proof: delete a row only if its owner has an equal row.
            quarantine: keep what is deleted, for ``undo``.

        Raises:
            UsageError: unknown shard, mapping, table or mechanism.
            PreflightError: the prune could not be exact; nothing was done.
            DatabaseError: a server did not answer, or refused.
        """
        self._config.shard(shard)
        router = self._config.router(self._reader.mapping_of(shard, mapping).name)
        rules = chosen_rules(router.mapping.tables, tables)
        identities = self._reader.identities({shard, *router.mapping.shards})
        return plan_prune(
            shard,
            router.mapping,
            [self._reader.prune_facts(shard, router, rule) for rule in rules],
            config_version=self._config.version,
            using=_mechanism(using),
            proof=proof,
            quarantine=quarantine,
            identities=identities,
        )

    def plan_split(
        self,
        shard: str,
        target: str,
        *,
        mapping: str | None = None,
        instance: str | None = None,
        fraction: float = 0.5,
        by: str = "slots",
        at: object = None,
        freeze: bool = False,
        fence_wait_s: float = FENCE_WAIT_S,
        app_stopped: bool = False,
        quarantine: bool = False,
        target_free_bytes: int | None = None,
        database: str | None = None,
    ) -> Plan:
        """Plan to move a part of a shard's slots to another that owns none; only reads.

        In a range mapping `at` is the key at which the shard's range is cut; the part from there
        on goes to `target`, or stays where that is the shard itself.

        Args:
            shard: the shard to split.
            target: a new shard, which is made first, or one that owns no slots.
            mapping: their mapping; None where the shard is in exactly one.
            instance: where a new shard is made; None: where the shard is.
            fraction: the part that moves, above 0 and below 1.
            by: ``"slots"`` or ``"rows"``: what the fraction is of.
            at: where a range is cut, a key of the mapping's type.
            freeze: refuse writes to the moving slots while they move; required until changes can
                be captured.
            fence_wait_s: how long the fence waits for the transactions in its way.
            app_stopped: nobody writes; guards are not needed.
            quarantine: keep the source's old rows when they go.
            target_free_bytes: the room where the rows go; None: a file system is asked, a
                server's is not known.
            database: the name of a new shard's database.

        Raises:
            RefusedError: neither `freeze` nor `app_stopped`.
            PreflightError: rows could not be moved exactly.
        """
        options = MoveOptions(
            freeze=freeze,
            app_stopped=app_stopped,
            quarantine=quarantine,
            fence_wait_s=fence_wait_s,
            target_free_bytes=target_free_bytes,
        )
        if at is not None:
            return self._ranges.split(
                shard,
                target,
                at=at,
                mapping=mapping,
                instance=instance,
                database=database,
                options=options,
            )
        return self._moves.split(
            shard,
            target,
            mapping=mapping,
            instance=instance,
            fraction=fraction,
            by=by,
            database=database,
            options=options,
        )

    def plan_move(
        self,
        source: str,
        target: str,
        *,
        slots: SlotSet | str,
        mapping: str | None = None,
        freeze: bool = False,
        fence_wait_s: float = FENCE_WAIT_S,
        app_stopped: bool = False,
        quarantine: bool = False,
        target_free_bytes: int | None = None,
    ) -> Plan:
        """Plan to move slots with their rows from one shard to another; only reads.

        Arguments and errors are those of ``plan_split``; `slots` such as ``"0-99,200"`` are all
        the source's.
        """
        options = MoveOptions(
            freeze=freeze,
            app_stopped=app_stopped,
            quarantine=quarantine,
            fence_wait_s=fence_wait_s,
            target_free_bytes=target_free_bytes,
        )
        return self._moves.move(
            source, target, slots=_slots(slots) or SlotSet(), mapping=mapping, options=options
        )

    def parse_key(self, text: str, *, mapping: str | None = None, shard: str = "") -> KeyValue:
        """Return the key that `text` stands for in a mapping, or in the only one of a shard.

        Raises:
            KeyTypeError: the text is no key of the mapping's type.
            UsageError: no such mapping.
        """
        rule = self._reader.mapping_of(shard, mapping)
        return self._config.router(rule.name).parse_key(text)

    def plan_merge(
        self,
        mapping: str,
        *,
        at: object,
        into: str,
        freeze: bool = False,
        fence_wait_s: float = FENCE_WAIT_S,
        app_stopped: bool = False,
        quarantine: bool = False,
        target_free_bytes: int | None = None,
    ) -> Plan:
        """Plan to make the two ranges beside a bound one; only reads.

        Args:
            mapping: a range mapping.
            at: the bound that goes.
            into: the shard that gets both ranges; one of the two that have them.
            freeze: refuse writes to the range that moves, if it has to.
            fence_wait_s: how long the fence waits for the transactions in its way.
            app_stopped: nobody writes; guards are not needed.
            quarantine: keep the old rows when they go.
            target_free_bytes: as of ``plan_split``.
        """
        options = MoveOptions(
            freeze=freeze,
            app_stopped=app_stopped,
            quarantine=quarantine,
            fence_wait_s=fence_wait_s,
            target_free_bytes=target_free_bytes,
        )
        return self._ranges.merge(mapping, at=at, into=into, options=options)

    def plan_remove(
        self,
        shard: str,
        *,
        drain: bool = False,
        freeze: bool = False,
        fence_wait_s: float = FENCE_WAIT_S,
        app_stopped: bool = False,
        quarantine: bool = False,
        target_free_bytes: int | None = None,
    ) -> Plan:
        """Plan to take a shard out of the cluster; only reads.

        It must own no slot and hold no row; `drain` first moves its slots to the other shards of
        the mapping. A database that no operation made stays.
        """
        options = MoveOptions(
            freeze=freeze,
            app_stopped=app_stopped,
            quarantine=quarantine,
            fence_wait_s=fence_wait_s,
            target_free_bytes=target_free_bytes,
        )
        if drain:
            return self._moves.drain(shard, options=options)
        return self._shards.remove(shard)

    def verify(
        self,
        shard: str | None = None,
        *,
        mapping: str | None = None,
        against: str | None = None,
        progress: ProgressListener | None = None,
        executor: Executor | None = None,
    ) -> VerifyReport:
        """Compare what shards hold with what the map says; only reads.

        Args:
            shard: only this one; None: all shards of the mappings.
            mapping: only this one.
            against: a shard whose tables must be equal, such as a clone: both are compared row by
                row, by page checksums of 64 bits.
            progress: is told after each table.
            executor: where tables are looked at; None: one after the other.
        """
        return verify(
            self._reader,
            shard,
            mapping=mapping,
            against=against,
            progress=progress,
            workers=self._workers(executor),
        )

    @property
    def _reader(self) -> FactReader:
        return FactReader(self._config, self._config, self._connections)

    @property
    def _shards(self) -> ShardPlanner:
        return ShardPlanner(self._reader, exact_connections)

    @property
    def _moves(self) -> MovePlanner:
        return MovePlanner(self._reader, self._shards)

    @property
    def _ranges(self) -> RangePlanner:
        return RangePlanner(self._reader, self._moves)

    def _workers(self, executor: Executor | None) -> Workers | None:
        return None if executor is None else Workers(executor, self._source)


def exact_connections(topology: Topology) -> ConnectionManager:
    """Return connections whose sessions are set for exact work: UTC, strict mode."""
    return ConnectionManager(topology, session=SessionSettings.operations())


def _slots(slots: SlotSet | str | None) -> SlotSet | None:
    return SlotSet.parse(slots) if isinstance(slots, str) else slots


def _mechanism(using: Mechanism | str | None) -> Mechanism | None:
    if using is None:
        return None
    try:
        return Mechanism(using)
    except ValueError:
        raise UsageError(
            f"there is no way to prune called {using!r}",
            next_step=f"use one of {', '.join(Mechanism)}",
        ) from None
