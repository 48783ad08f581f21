"""Reads what planners need to know of shards. Nothing here writes."""

import hashlib
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardhash.db import guard, sql
from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager
from shardhash.db.executor import count_filter, id_collisions, unique_collisions
from shardhash.db.guard import ControlPlace, GuardedTable, SlotState
from shardhash.db.inspect import KeyReader, database_identity, inspect_table, table_size_bytes
from shardhash.db.mapping import KeyRouter
from shardhash.db.operations._hazards import HazardReader, orphan_references, torn_references
from shardhash.db.planning.movable import MovableFacts
from shardhash.db.planning.privileges import OPERATIONS, missing_privileges, parse_grants
from shardhash.db.planning.prune import TableFacts, check_table
from shardhash.db.ports import Topology
from shardhash.db.schema import Table
from shardhash.db.sql import RowFilter
from shardhash.db.topology import Backend, Mapping, RingRule, Shard, TableRule
from shardhash.errors import PreflightError, UsageError
from shardhash.slots import SlotMap, SlotSet

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["FactReader", "chosen_rules"]


@dataclass(frozen=True, slots=True)
class FactReader:
    """Reads facts of the shards of a topology."""

    config: Config
    topology: Topology
    connections: ConnectionManager

    def mapping_of(self, shard: str, mapping: str | None) -> Mapping:
        """Return a mapping by name, or the only one that the shard is in.

        Raises:
            UsageError: there is none of that name, or the shard is in none or several.
        """
        if mapping is not None:
            return self.config.mapping(mapping)
        self.config.shard(shard)
        names = [name for name, each in self.config.mappings.items() if shard in each.shards]
        if len(names) != 1:
            raise UsageError(
                f"shard {shard} is in {len(names)} mappings: {', '.join(names) or 'none'}",
                next_step="name the mapping with --mapping",
            )
        return self.config.mapping(names[0])

    def slot_map(self, mapping: Mapping) -> SlotMap:
        """Return the slot map of a mapping, or refuse one whose rule is another."""
        placement = KeyRouter.from_mapping(mapping).placement
        if not isinstance(placement, SlotMap):
            raise PreflightError(
                f"mapping {mapping.name} has no slots that could move",
                next_step="move rows of slot mappings only",
            )
        return placement

    def identities(self, shards: Iterable[str]) -> dict[str, str]:
        """Return what tells each shard's database from all others, as 16 hex digits.

        Raises:
            PreflightError: two names for one database, in which a row would prove itself and be
                lost; a database that is another shard's; or a server that is read-only.
        """
        names: dict[object, str] = {}
        found = {}
        for shard in sorted(set(shards)):
            with self.connections.write(shard) as connection:
                identity, read_only = database_identity(connection, self.connections.backend(shard))
            if read_only:
                raise PreflightError(
                    f"the server of shard {shard} is read-only: operations work on primaries",
                    next_step=f"point the instance of {shard} to the primary",
                )
            if identity in names:
                raise PreflightError(
                    f"shards {names[identity]} and {shard} are one and the same database",
                    next_step="correct the instance or the database of one of them",
                )
            with self.connections.write(shard) as connection:
                guard.check_identity(connection, self.place(shard), self.config.app, shard)
            names[identity] = shard
            found[shard] = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
        return found

    def check_privileges(
        self, operation: str, shards: Iterable[str], *, triggers: bool = False
    ) -> None:
        """Raise PreflightError where an account lacks what an operation needs on a shard.

        With `triggers`, it makes triggers there, which a binary log may forbid.
        """
        for shard in sorted(shards):
            if self.connections.backend(shard) is Backend.MYSQL:
                with self.connections.write(shard) as connection:
                    place = self.topology.shard(shard)
                    _check_account(connection, place, [operation], triggers=triggers)

    def check_new(self, place: Shard, operations: Sequence[str], *, triggers: bool) -> None:
        """Do as ``check_privileges`` for a shard whose database is not there yet."""
        if self.topology.instance(place.instance).backend is Backend.MYSQL:
            self.check_primary(place.instance)
            with self.connections.instance(place.instance) as connection:
                _check_account(connection, place, operations, triggers=triggers)

    def check_primary(self, instance: str) -> None:
        """Raise PreflightError where a server is read-only; some accounts may write there.

        A shard that is made on a replica breaks its replication.
        """
        if self.topology.instance(instance).backend is not Backend.MYSQL:
            return
        with self.connections.instance(instance) as connection:
            is_read_only = connection.exec_driver_sql(sql.read_only_mode().sql).scalar_one()
        if int(is_read_only):
            raise PreflightError(
                f"the server of instance {instance} is read-only: operations work on primaries",
                next_step=f"point {instance} to the primary, or SET GLOBAL read_only = 0 there if "
                "it is one",
            )

    def table(self, shard: str, name: str) -> Table:
        """Return a table of a shard."""
        with self.connections.write(shard) as connection:
            return inspect_table(connection, name, self.connections.backend(shard))

    def fingerprints(self, shard: str, names: Iterable[str]) -> dict[str, str]:
        """Return what changes with the schema of tables, by ``shard.table``."""
        return {f"{shard}.{name}": self.table(shard, name).fingerprint for name in names}

    def prune_facts(self, shard: str, router: KeyRouter, rule: TableRule) -> TableFacts:
        """Return the keys of a table by owner, and its twins on those owners."""
        with self.connections.write(shard) as connection:
            backend = self.connections.backend(shard)
            table = inspect_table(connection, rule.name, backend)
            check_table(table)
            reader = KeyReader(table, table.column(rule.key), router)
            keys = reader.facts(connection, shard)
        twins = {owner: self.table(owner, rule.name) for owner in keys.owners}
        return TableFacts(
            rule=rule, key_type=router.mapping.key.type, table=table, keys=keys, twins=twins
        )

    def movable_facts(
        self,
        mapping: Mapping,
        rule: TableRule,
        source: str,
        target: str | None,
        slots: SlotSet,
        *,
        tables: MappingABC[str, Table],
        hazards: HazardReader,
    ) -> MovableFacts:
        """Return what was found of a table whose rows are to move.

        Args:
            mapping: its mapping.
            rule: the table.
            source: where the rows are.
            target: where they go; None: a shard that the operation makes.
            slots: those that move.
            tables: the source's tables of the mapping, by lower-case name.
            hazards: reads what would keep rows from being written at the target.
        """
        here = tables[rule.name.lower()]
        there = self.table(target, rule.name) if target else None
        check_table(here, "moved")
        rows = self.row_filter(mapping, here, rule, slots)
        with self.connections.write(source) as connection:
            reader = KeyReader(here, here.column(rule.key), KeyRouter.from_mapping(mapping))
            reader.check(connection)
            count = count_filter(connection, here, rows)
            size = table_size_bytes(connection, here)
            statement = sql.count_null_keys(here, here.column(rule.key))
            null_keys = int(connection.exec_driver_sql(statement.sql).scalar_one())
            total = int(connection.exec_driver_sql(sql.count_rows(here).sql).scalar_one())
            torn = torn_references(connection, mapping, tables, rule.name, slots)
            orphans = {}
            has_keys = here.backend is Backend.SQLITE or here.is_numbered_by_an_index
            if there is not None or has_keys:  # else its foreign keys are made after the copy
                orphans = orphan_references(connection, mapping, tables, rule.name, slots)
        stale = 0
        shared: tuple[int, Sequence[object]] = (0, ())
        values: dict[str, int] = {}
        if target is not None and there is not None:
            with (
                self.connections.write(target) as theirs,
                self.connections.write(source) as ours,
            ):
                stale = count_filter(theirs, there, rows)
                if not stale:
                    shared = id_collisions(ours, theirs, here, rows)
                    values = unique_collisions(ours, theirs, here, rows)
        return MovableFacts(
            rule=rule,
            key_type=mapping.key.type,
            source=here,
            target=there,
            rows=count,
            null_keys=null_keys,
            stale_rows=stale,
            shared_ids=shared,
            shared_values=values,
            size_bytes=size * count // total if size and total else size,
            hazards=hazards.hazards(here, rows, torn=torn, orphans=orphans),
        )

    def tables(self, shard: str, mapping: Mapping) -> dict[str, Table]:
        """Return a shard's tables of a mapping, by lower-case name."""
        return {rule.name.lower(): self.table(shard, rule.name) for rule in mapping.tables}

    def hazards(self, shard: str, instance: str, *, is_beside: bool = False) -> HazardReader:
        """Return what reads the hazards of a shard's rows on their way to an instance."""
        return HazardReader(
            connections=self.connections,
            shard=shard,
            instance=self.config.instance(instance),
            is_beside=is_beside,
        )

    def strangers(self, mapping: Mapping, shard: str, slots: SlotSet) -> dict[str, int]:
        """Return by table how many rows of a shard are in none of some slots; none: left out."""
        found = {}
        for rule in mapping.tables:
            table = self.table(shard, rule.name)
            rows = self.row_filter(mapping, table, rule, slots)
            with self.connections.write(shard) as connection:
                total = connection.exec_driver_sql(sql.count_rows(table).sql).scalar_one()
                found[rule.name] = int(total) - count_filter(connection, table, rows)
        return {name: count for name, count in found.items() if count}

    def row_filter(
        self, mapping: Mapping, table: Table, rule: TableRule, slots: SlotSet
    ) -> RowFilter:
        """Return the filter of the rows of a table that are in some slots of a mapping."""
        return RowFilter.of_mapping(mapping, table.column(rule.key), slots, table.backend)

    def unguarded(self, mapping: Mapping, shards: Iterable[str]) -> dict[str, str]:
        """Return by shard what is wrong with its guards; nothing for those that hold."""
        if isinstance(mapping.rule, RingRule):
            return dict.fromkeys(shards, "ring mappings have no guards")
        found = {shard: self._wrong_guards(mapping, shard) for shard in shards}
        return {shard: problem for shard, problem in found.items() if problem}

    def _wrong_guards(self, mapping: Mapping, shard: str) -> str:
        place = self.place(shard)
        with self.connections.write(shard) as connection:
            if not guard.has_control(connection, place):
                return "it has no control tables"
            tables = [
                GuardedTable(inspect_table(connection, rule.name, place.backend), rule.key)
                for rule in mapping.tables
            ]
            problems = guard.find_guard_faults(connection, place, mapping, tables)
            states = guard.read_slots(connection, place, mapping.state_name)
        if sum(map(len, states.values())) != len(mapping.owners):
            return f"it does not know all {len(mapping.owners)} slots, or ranges"
        if problems:
            return "; ".join(
                f"its guard of {fault.table} for {fault.event} {fault.problem}"
                for fault in problems
            )
        return _wrong_states(mapping.numbers_of(shard), states)

    def is_guarded(self, mapping: Mapping, shard: str) -> bool:
        """Tell whether guards of a mapping were ever installed on a shard."""
        place = self.place(shard)
        with self.connections.write(shard) as connection:
            if not guard.has_control(connection, place):
                return False
            return any(guard.read_slots(connection, place, mapping.state_name).values())

    def count_rows(self, shard: str, rule: TableRule) -> tuple[int, int]:
        """Return how many rows a table has, and how many of them have no key."""
        table = self.table(shard, rule.name)
        nulls = sql.count_null_keys(table, table.column(rule.key))
        with self.connections.write(shard) as connection:
            rows = connection.exec_driver_sql(sql.count_rows(table).sql).scalar_one()
            return int(rows), int(connection.exec_driver_sql(nulls.sql).scalar_one())

    def place(self, shard: str) -> ControlPlace:
        """Return where a shard's control tables are."""
        return ControlPlace(self.connections.backend(shard), self.topology.shard(shard).database)

    def rows_by_slot(self, mapping: Mapping, shard: str, slots: SlotSet) -> dict[int, int]:
        """Return the number of rows of each slot on a shard, over all tables of the mapping."""
        counts: dict[int, int] = dict.fromkeys(slots, 0)
        for rule in mapping.tables:
            table = self.table(shard, rule.name)
            statement = sql.count_by_number(mapping, table, table.column(rule.key))
            with self.connections.write(shard) as connection:
                for slot, count in connection.exec_driver_sql(statement.sql):
                    if slot in counts:
                        counts[int(slot)] += int(count)
        return counts


def _wrong_states(owned: SlotSet, states: dict[SlotState, SlotSet]) -> str:
    """Return which slots a shard takes writes for and should not, or the other way round."""
    opened = states.get(SlotState.OWNED, SlotSet())
    found = [
        f"it refuses writes to slots that it owns, which are {state}: {slots & owned}"
        for state, slots in states.items()
        if state is not SlotState.OWNED and slots & owned
    ]
    if opened - owned:
        found.append(f"it takes writes to slots that are not its own: {opened - owned}")
    return "; ".join(found)


def _check_account(
    connection: "Connection", place: Shard, operations: Sequence[str], *, triggers: bool
) -> None:
    """Refuse an account that may not do what operations need on a shard's database; only reads."""
    grants = parse_grants(row[0] for row in connection.exec_driver_sql("SHOW GRANTS"))
    needs = [OPERATIONS[operation] for operation in operations]
    missing = dict.fromkeys(
        lacking for need in needs for lacking in missing_privileges(grants, need, [place.database])
    )
    if missing:
        raise PreflightError(
            f"the account of shard {place.name} may not {' and '.join(operations)}: it lacks "
            f"{'; '.join(missing)}",
            next_step=f"GRANT {'; GRANT '.join(missing)} to it",
        )
    if triggers and "SUPER" not in grants.everywhere:
        statement = sql.read_trigger_settings()
        settings = {str(row[0]): str(row[1]) for row in connection.exec_driver_sql(statement.sql)}
        if settings == {"log_bin": "ON", "log_bin_trust_function_creators": "OFF"}:
            raise PreflightError(
                f"the account of shard {place.name} may not make triggers: its server writes a "
                "binary log and does not trust it (1419)",
                next_step="SET GLOBAL log_bin_trust_function_creators = 1 on the server of "
                f"{place.name}, and in its configuration; or GRANT SUPER ON *.* to the account",
            )


def chosen_rules(rules: Sequence[TableRule], tables: Sequence[str] | None) -> list[TableRule]:
    """Return the rules of the tables named, or all.

    Raises:
        UsageError: one that is named is not among them.
    """
    if tables is None:
        return list(rules)
    by_name = {rule.name: rule for rule in rules}
    unknown = [name for name in tables if name not in by_name]
    if unknown:
        raise UsageError(
            f"the mapping has no table {', '.join(unknown)}; it has {', '.join(by_name)}",
            next_step="name tables of the mapping",
        )
    return [by_name[name] for name in dict.fromkeys(tables)]
