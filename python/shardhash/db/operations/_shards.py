"""Gathers facts for operations on whole shards, and has the pure planners plan them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from shardhash.db import guard
from shardhash.db.config import Config
from shardhash.db.config.edit import Data, add_mapping, add_shard
from shardhash.db.connections import ConnectionManager
from shardhash.db.fleet import mapping_values
from shardhash.db.inspect import (
    KeyReader,
    inspect_table,
    list_objects,
    program_ddl,
    table_ddl,
    table_size_bytes,
)
from shardhash.db.mapping import KeyRouter
from shardhash.db.operations._hazards import free_room
from shardhash.db.operations._reader import FactReader
from shardhash.db.plan import Plan
from shardhash.db.planning.adopt import (
    AdoptedTable,
    AdoptFacts,
    plan_adopt,
    plan_guard,
    plan_release,
)
from shardhash.db.planning.allocate import AllocateFacts, plan_allocate
from shardhash.db.planning.clone import CloneFacts, RemoveFacts, plan_clone, plan_removal
from shardhash.db.planning.hazards import (
    check_guardable,
    check_hazards,
    check_names_there,
    check_spelling,
)
from shardhash.db.planning.movable import tables_parents_first
from shardhash.db.planning.prune import check_itself, check_pages, check_table
from shardhash.db.ports import Topology
from shardhash.db.sql import RowFilter
from shardhash.db.topology import Backend, Instance, Mapping, RingRule, Shard
from shardhash.errors import ConfigError, PreflightError, UsageError
from shardhash.slots import SlotSet

__all__ = ["ShardPlanner"]


@dataclass(frozen=True, slots=True)
class _WithShard:
    """A topology with one shard more."""

    topology: Topology
    added: Shard

    def instance(self, name: str) -> Instance:
        return self.topology.instance(name)

    def shard(self, name: str) -> Shard:
        return self.added if name == self.added.name else self.topology.shard(name)


@dataclass(frozen=True, slots=True)
class ShardPlanner:
    """Plans shards that come and go; ``connect`` opens connections to a database not yet known."""

    reader: FactReader
    connect: Callable[[Topology], ConnectionManager]

    def allocate(
        self,
        shard: str,
        *,
        instance: str,
        mapping: str,
        slots: SlotSet | None,
        database: str | None,
        guards: bool,
    ) -> Plan:
        """Plan a new, empty shard."""
        rule = self.reader.config.mapping(mapping)
        if not rule.shards:
            raise UsageError(f"mapping {mapping} has no shard to take the tables from")
        facts = self.allocate_facts(
            shard,
            instance=instance,
            mapping=rule,
            model=rule.shards[0],
            database=database,
            guards=guards,
        )
        if slots:
            raise PreflightError(
                f"slots {slots} are owned by shards of {mapping} already",
                next_step=f"allocate {shard} without slots, then shardhash shard move its slots",
            )
        names = [*facts.global_tables, *facts.tables]
        return plan_allocate(
            facts,
            config_version=self.reader.config.version,
            identities=self.reader.identities(rule.shards),
            fingerprints=self.reader.fingerprints(facts.model, names),
        )

    def allocate_facts(
        self,
        shard: str,
        *,
        instance: str,
        mapping: Mapping,
        model: str,
        database: str | None,
        guards: bool,
    ) -> AllocateFacts:
        """Return what is known of a shard that is to be made like `model`."""
        config = self.reader.config
        _check_free(config.shards, shard)
        chosen = database or _database_like(config.shard(model), shard, config.app)
        backend = config.instance(instance).backend
        _check_entry(config, Shard(name=shard, instance=instance, database=chosen))
        if backend is not self.reader.connections.backend(model):
            raise UsageError(
                f"instance {instance} is {backend}, shard {model} is not: tables cannot be made "
                "there as they are here",
                next_step="name an instance of the same kind",
            )
        place = Shard(name=shard, instance=instance, database=chosen)
        self._check_absent(place)
        needs = ["allocate", "guard"] if guards else ["allocate"]
        self.reader.check_new(place, needs, triggers=guards)
        tables = [self.reader.table(model, rule.name) for rule in mapping.tables]
        for rule, table in zip(mapping.tables, tables, strict=True):
            check_spelling(rule.name, table, model)
            check_table(table, "made")
            if guards:
                check_guardable(table)
        names = [*(table.name for table in tables), *mapping.global_tables]
        self._check_makeable(model, instance, names)
        self._check_global_tables(model, instance, mapping)
        return AllocateFacts(
            shard=shard,
            instance=instance,
            database=chosen,
            backend=backend,
            mapping=mapping.name,
            model=model,
            tables=[rule.name for rule in mapping.tables],
            global_tables=list(mapping.global_tables),
            guards=guards,
            has_app_user=config.app_user is not None,
        )

    def adopt(
        self,
        shard: str,
        *,
        instance: str,
        database: str,
        mapping: str,
        key: str | None,
        key_type: str | None,
        tables: Sequence[tuple[str, str | None]] | None,
        global_tables: Sequence[str],
        slot_count: int,
        guards: bool,
    ) -> Plan:
        """Plan to take a database in as it is."""
        config = self.reader.config
        known = config.shards.get(shard)
        if known is not None and (known.instance, known.database) != (instance, database):
            raise UsageError(
                f"shard {shard} is database {known.database} on {known.instance} already",
                next_step="choose another name",
            )
        config.instance(instance)
        values = None
        if mapping not in config.mappings:
            if not (key and key_type and tables):
                raise UsageError(
                    f"there is no mapping {mapping} yet: it needs a key and tables",
                    next_step="add --key store_id:int --tables orders,order_items",
                )
            values = mapping_values(
                column=key,
                key_type=key_type,
                tables=tables,
                shards=[shard],
                slot_count=slot_count,
                global_tables=global_tables,
            )
        added = Shard(name=shard, instance=instance, database=database)
        rule = self._mapping_after(added, mapping, values)
        topology = _WithShard(self.reader.topology, added)
        with self.connect(topology) as connections:
            reader = replace(self.reader, topology=topology, connections=connections)
            if not connections.has_database(shard):
                raise PreflightError(
                    f"there is no database {database} on {instance}",
                    next_step="correct --database, or shardhash shard allocate makes a new one",
                )
            if guards:
                reader.check_privileges("guard", [shard], triggers=True)
            adopted = [_adopted(reader, shard, rule, each.name) for each in rule.tables]
            identities = reader.identities({shard})
            backend = connections.backend(shard)
        owned = rule.numbers_of(shard)
        return plan_adopt(
            AdoptFacts(
                shard=shard,
                instance=instance,
                database=database,
                backend=backend,
                mapping=mapping,
                tables=adopted,
                owned=owned,
                new_mapping=values,
                is_registered=known is not None and shard in rule.shards and values is None,
                guards=guards,
                has_app_user=config.app_user is not None,
            ),
            config_version=config.version,
            identities=identities,
        )

    def release(self, shard: str) -> Plan:
        """Plan to take guards and control tables off."""
        self.reader.config.shard(shard)
        return plan_release(
            shard,
            self._tables_by_mapping(shard),
            config_version=self.reader.config.version,
            identities=self.reader.identities({shard}),
        )

    def guard(self, mapping: str, *, wanted: bool) -> Plan:
        """Plan to install guards, or to take them off, on all shards of a mapping."""
        rule = self.reader.config.mapping(mapping)
        if isinstance(rule.rule, RingRule):
            raise PreflightError(
                f"mapping {mapping} is by a ring: no server can compute a row's node",
                next_step="use slots or ranges where rows are to be guarded",
            )
        self.reader.check_privileges("guard", rule.shards, triggers=wanted)
        for shard in rule.shards if wanted else ():
            for each in rule.tables:
                check_guardable(self.reader.table(shard, each.name))
        return plan_guard(
            mapping,
            {shard: rule.numbers_of(shard) for shard in rule.shards},
            [each.name for each in rule.tables],
            wanted=wanted,
            config_version=self.reader.config.version,
            identities=self.reader.identities(rule.shards),
        )

    def clone(
        self,
        shard: str,
        target: str,
        *,
        instance: str | None,
        using: str,
        database: str | None,
        target_free_bytes: int | None = None,
    ) -> Plan:
        """Plan an equal copy."""
        config = self.reader.config
        if using != "native":
            raise UsageError(
                f"there is no way to clone called {using!r}", next_step="use --using native"
            )
        source = config.shard(shard)
        _check_free(config.shards, target)
        place = Shard(
            name=target,
            instance=instance or source.instance,
            database=database or _database_like(source, target, config.app),
        )
        if config.instance(place.instance).backend is not self.reader.connections.backend(shard):
            raise UsageError(
                f"instance {place.instance} is not of the kind of {shard}'s",
                next_step="name an instance of the same kind",
            )
        _check_entry(config, place)
        self._check_absent(place)
        guarded = [each for each in config.mappings.values() if shard in each.shards]
        needs = ["allocate", "guard"] if guarded else ["allocate"]
        self.reader.check_new(place, needs, triggers=bool(guarded))
        backend = self.reader.connections.backend(shard)
        with self.reader.connections.write(shard) as connection:
            objects = list_objects(connection, backend)
            tables = [
                inspect_table(connection, each.name, backend)
                for each in objects
                if each.kind == "table"
            ]
            sizes = [table_size_bytes(connection, table) or 0 for table in tables]
            for each in objects:
                if each.kind != "table":
                    program_ddl(connection, each.kind, each.name, backend)
        names = [table.name for table in tables]
        self._check_makeable(shard, place.instance, names)
        for table in tables:
            check_pages(table, "cloned")
        hazards = self.reader.hazards(shard, place.instance)
        rows = {each.name: each.rows_about for each in objects if each.kind == "table"}
        return plan_clone(
            CloneFacts(
                source=shard,
                target=target,
                instance=place.instance,
                database=place.database,
                tables=[(table, rows[table.name]) for table in tables_parents_first(tables)],
                programs=[(each.kind, each.name) for each in objects if each.kind != "table"],
                mappings=guarded,
                hazards={t.name: hazards.hazards(t, RowFilter.all_rows()) for t in tables},
                size_bytes=sum(sizes),
                is_elsewhere=place.instance != source.instance,
                free_bytes=free_room(config.instance(place.instance), target_free_bytes),
            ),
            config_version=config.version,
            identities=self.reader.identities({shard}),
            fingerprints=self.reader.fingerprints(shard, names),
        )

    def remove(self, shard: str) -> Plan:
        """Plan the removal of a shard that is empty, or a detached copy."""
        return plan_removal(
            self.remove_facts(shard),
            config_version=self.reader.config.version,
            identities=self.reader.identities({shard}),
        )

    def remove_facts(self, shard: str) -> RemoveFacts:
        """Return what a shard owns and holds."""
        config, place = self.reader.config, self.reader.place(shard)
        found = config.shard(shard)
        with self.reader.connections.write(shard) as connection:
            identity = (
                guard.read_identity(connection, place)
                if guard.has_control(connection, place)
                else None
            )
            objects = list_objects(connection, place.backend)
        there = {each.name for each in objects}
        mappings = [
            each
            for each in config.mappings.values()
            if shard in each.shards or (not found.detached and there.issuperset(_names(each)))
        ]
        named = {rule.name for each in mappings for rule in each.tables}
        named |= {name for each in mappings for name in each.global_tables}
        rows: dict[str, int] = {}
        null_keys: dict[str, int] = {}
        for each in mappings:
            for rule in each.tables:
                rows[rule.name], null_keys[rule.name] = self.reader.count_rows(shard, rule)
        return RemoveFacts(
            shard=shard,
            instance=found.instance,
            database=found.database,
            mappings={each.name: _names(each) for each in mappings if not found.detached},
            slots={
                each.name: int(shard in each.shards)
                if isinstance(each.rule, RingRule)
                else len(each.numbers_of(shard))
                for each in mappings
            },
            rows=rows,
            null_keys=null_keys,
            strangers=[
                each.name for each in objects if each.kind == "table" and each.name not in named
            ],
            made_by=identity.operation if identity else "",
            is_detached=found.detached,
            has_grants=config.app_user is not None and place.backend is Backend.MYSQL,
        )

    def _check_makeable(self, model: str, instance: str, names: Sequence[str]) -> None:
        """Refuse tables whose definition would mean another thing on an instance."""
        backend = self.reader.connections.backend(model)
        if self.reader.hazards(model, instance).folds_names():
            check_names_there(names, instance)
        with self.reader.connections.write(model) as connection:
            for name in names:
                table_ddl(connection, name, backend)

    def _check_global_tables(self, model: str, instance: str, mapping: Mapping) -> None:
        """Refuse a mapping whose global tables could not be copied to an instance as they are."""
        reader = self.reader.hazards(model, instance)
        for name in mapping.global_tables:
            table = self.reader.table(model, name)
            check_pages(table, "copied")
            if table.backend is Backend.SQLITE:
                check_itself(table, "copied")
            hazards = reader.hazards(table, RowFilter.all_rows())
            check_hazards(table, hazards, "copied", instance)

    def _tables_by_mapping(self, shard: str) -> dict[str, list[str]]:
        detached = self.reader.config.shard(shard).detached
        return {
            each.name: [rule.name for rule in each.tables]
            for each in self.reader.config.mappings.values()
            if shard in each.shards and not detached
        }

    def _check_absent(self, place: Shard) -> None:
        """Refuse a database that is there already: an operation makes its own."""
        with self.connect(_WithShard(self.reader.topology, place)) as connections:
            if connections.has_database(place.name):
                raise PreflightError(
                    f"there is a database {place.database} on {place.instance} already",
                    next_step="name another with --database, or take it in as it is: shardhash "
                    "shard adopt",
                )

    def _mapping_after(self, added: Shard, mapping: str, values: dict[str, Data] | None) -> Mapping:
        """Return a mapping as the configuration will have it once a shard is adopted."""
        config = self.reader.config
        return _with_entry(config, added, mapping, values).mapping(mapping)


def _with_entry(
    config: Config, added: Shard, mapping: str = "", values: dict[str, Data] | None = None
) -> Config:
    """Return a configuration with one shard more, and with a mapping more if it has values.

    Raises:
        PreflightError: it would not be valid.
    """
    text = config.text
    try:
        if added.name not in config.shards:
            entry: dict[str, Data] = {"instance": added.instance, "database": added.database}
            text = add_shard(text, added.name, entry)
        if values is not None:
            text = add_mapping(text, mapping, values)
        return Config.parse(text, source=config.source)
    except ConfigError as error:  # its lines are of a text that nobody has
        found = "\n".join(f"{problem.path}: {problem.message}" for problem in error.problems)
        raise PreflightError(
            f"the configuration would not be valid with shard {added.name}: {found}",
            next_step="choose another name, database or mapping, as the message says",
        ) from error


def _check_entry(config: Config, added: Shard) -> None:
    """Refuse a shard that could not be written into the configuration at the end."""
    _with_entry(config, added)


def _names(mapping: Mapping) -> list[str]:
    return [rule.name for rule in mapping.tables]


def _adopted(reader: FactReader, shard: str, mapping: Mapping, name: str) -> AdoptedTable:
    rule = next(each for each in mapping.tables if each.name == name)
    with reader.connections.write(shard) as connection:
        table = inspect_table(connection, name, reader.connections.backend(shard))
        check_spelling(name, table, shard)
        check_table(table, "adopted")
        keys = KeyReader(table, table.column(rule.key), KeyRouter.from_mapping(mapping)).facts(
            connection, shard
        )
    return AdoptedTable(
        table=table,
        key=rule.key,
        rows=keys.row_count,
        owners=keys.owners,
        null_keys=keys.null_keys,
        folded_keys=keys.folded_keys,
    )


def _check_free(shards: Collection[str], name: str) -> None:
    if name in shards:
        raise UsageError(
            f"shard {name} is in the configuration already", next_step="choose another name"
        )


def _database_like(model: Shard, shard: str, app: str) -> str:
    """Return a database name after a model's: shop_s1 gives shop_s3, all else app_s3."""
    if model.database.endswith(model.name):
        return model.database.removesuffix(model.name) + shard
    return f"{app}_{shard}"
