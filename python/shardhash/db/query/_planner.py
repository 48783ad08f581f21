"""Makes the plans of statements, and keeps them with what they were made from."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager
from shardhash.db.mapping import KeyRouter
from shardhash.db.query._clauses import parse_tokens
from shardhash.db.query._facts import Settings, TableFacts, read_definition, read_settings
from shardhash.db.query._functions import of_earlier_statement
from shardhash.db.query._moments import moments_of
from shardhash.db.query._options import QueryOptions
from shardhash.db.query._params import kinds_of
from shardhash.db.query._plan import ReadPlan
from shardhash.db.query._refusal import refused
from shardhash.db.query._text import Params, QueryText, read_text
from shardhash.db.query._writes import WritePlan
from shardhash.db.topology import Backend, TableRule
from shardhash.errors import PreflightError, QueryRefusedError, UsageError

__all__ = ["NamedPlan", "Planner"]

_PLANS_KEPT = 1024
_FACTS_KEPT_S = 60.0
_READS = frozenset({"SELECT", "WITH", "SHOW", "EXPLAIN", "DESC", "DESCRIBE", "VALUES", "PRAGMA"})


@dataclass(slots=True)
class NamedPlan:
    """A statement for one shard that the caller has named; it is not looked into."""

    text: QueryText
    backend: Backend

    @property
    def is_read(self) -> bool:
        """Tell whether it begins as a statement that changes nothing."""
        words = self.text.clean.split(None, 1)
        return bool(words) and (words[0].upper() in _READS or words[0].startswith("("))


class Planner:
    """Plans of statements and facts of tables, kept for a minute. Thread-safe."""

    def __init__(
        self, config: Config, connections: ConnectionManager, router: Callable[[str], KeyRouter]
    ) -> None:
        self._config = config
        self._connections = connections
        self._router = router
        self._plans: dict[object, ReadPlan] = {}
        self._facts: dict[str, TableFacts | None] = {}
        self._settings: dict[str, Settings] = {}
        self._kept_since = time.monotonic()

    def plan(
        self, statement: str, params: Params, options: QueryOptions
    ) -> "ReadPlan | NamedPlan | WritePlan":
        """Return the plan of a statement, kept or made now.

        Raises:
            QueryRefusedError: no server of the shards would answer it as one database.
            UsageError: the options do not fit the statement or the configuration.
        """
        self._forget_old()
        key = (statement, kinds_of(params), options.mapping, options.shards)
        plan = self._plans.get(key)
        if plan is None:
            found = self._make_plan(statement, params, options)
            if not isinstance(found, ReadPlan):
                return found
            if len(self._plans) >= _PLANS_KEPT:
                self._plans.clear()
            plan = self._plans[key] = found
        return plan

    def _make_plan(
        self, statement: str, params: Params, options: QueryOptions
    ) -> "ReadPlan | NamedPlan | WritePlan":
        for shard in options.shards or ():
            self._config.shard(shard)
        backend = self._backend(options)
        text = read_text(statement, params, backend)
        if options.shards is not None and len(options.shards) == 1:
            return NamedPlan(text, backend)
        tree, tokens = parse_tokens(text.clean, backend)
        found = of_earlier_statement(tokens)
        if found:
            raise refused(found)
        settings = self._check_mode(text, backend, options)
        if isinstance(tree, exp.Insert | exp.Update | exp.Delete):
            return self._write_plan(tree, text, backend, options)
        if not isinstance(tree, exp.Query):
            raise QueryRefusedError(
                f"{text.clean.split()[0].upper()} is no statement that can be looked into, so it "
                "is not known which shards it is for",
                next_step="name the shard: shards=[...]; or run it on each with BroadcastQuery",
            )
        plan = ReadPlan.make(text, tree, backend, self._config, self.facts_of)
        plan.moments = moments_of(text.clean, tokens, backend)
        plan.is_plain = backend is Backend.MYSQL and plan.leaves_nothing(tokens)
        if settings is not None:
            plan.division_scale = settings.division_scale
        return plan

    def _write_plan(
        self, tree: exp.Expr, text: QueryText, backend: Backend, options: QueryOptions
    ) -> "WritePlan":
        if options.deadline_s is not None:
            raise UsageError("deadline_s is for statements that read: leave it out of a write")
        if options.shards is not None:
            raise UsageError(
                "a write takes one named shard, or finds its shards itself",
                next_step="name one shard, or none",
            )
        return WritePlan(tree, text, backend, self._config, self._connections, self.facts_of)

    def _backend(self, options: QueryOptions) -> Backend:
        """Return the kind of server whose SQL the statement is in."""
        names = options.shards or tuple(self._config.shards)
        if options.mapping is not None:
            names = self._config.mapping(options.mapping).shards
        backends = {self._connections.backend(name) for name in names}
        if len(backends) != 1:
            found = "no shard" if not backends else "MySQL and SQLite shards"
            raise UsageError(
                f"the configuration has {found}: the statement cannot be for both",
                next_step="name the mapping that the statement is for: mapping=NAME",
            )
        return backends.pop()

    def _check_mode(
        self, text: QueryText, backend: Backend, options: QueryOptions
    ) -> Settings | None:
        """Refuse what the server reads in another way than it is read here."""
        if backend is Backend.SQLITE:
            return None
        shard = (options.shards or tuple(self._config.shards))[0]
        if options.mapping is not None:
            shard = self._config.mapping(options.mapping).shards[0]
        if shard not in self._settings:
            with self._connections.read(shard) as connection:
                self._settings[shard] = read_settings(connection)
        self._settings[shard].check(text.clean)
        return self._settings[shard]

    def facts_of(self, name: str) -> TableFacts | None:
        """Return what is known of a table, read from a shard when first asked for."""
        if name not in self._facts:
            self._facts[name] = self._read_facts(name)
        return self._facts[name]

    def _read_facts(self, name: str) -> TableFacts | None:
        holders = []
        for mapping in self._config.mappings.values():
            backend = self._connections.backend(mapping.shards[0])
            for rule in mapping.tables:
                if _is_name(rule.name, name, backend):
                    return self._sharded(mapping.name, rule, mapping.shards[0])
            if any(_is_name(each, name, backend) for each in mapping.global_tables):
                holders.append(mapping)
        if not holders:
            return None
        shard = holders[0].shards[0]
        with self._connections.read(shard) as connection:
            table, text = read_definition(connection, name, self._connections.backend(shard))
        return TableFacts(table=table, global_in=tuple(holders), definition=text)

    def _sharded(self, mapping: str, rule: TableRule, shard: str) -> TableFacts:
        with self._connections.read(shard) as connection:
            backend = self._connections.backend(shard)
            table, text = read_definition(connection, rule.name, backend)
        if table.kind != "table":
            raise PreflightError(
                f"{rule.name} is a {table.kind}, whose rows can be of several tables",
                next_step="name the tables behind it",
            )
        return TableFacts(table=table, rule=rule, router=self._router(mapping), definition=text)

    def _forget_old(self) -> None:
        now = time.monotonic()
        if now - self._kept_since > _FACTS_KEPT_S:
            self._plans, self._facts, self._settings = {}, {}, {}
            self._kept_since = now


def _is_name(configured: str, given: str, backend: Backend) -> bool:
    if backend is Backend.SQLITE:
        return configured.lower() == given.lower()
    return configured == given
