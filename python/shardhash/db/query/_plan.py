"""A statement that reads, planned: which shards have its rows, and what each of them is asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlglot import Token, exp

from shardhash.db import sql
from shardhash.db.config import Config
from shardhash.db.mapping import KeyRouter
from shardhash.db.query._blocks import Analysis, Block, has_aggregate, is_strict_key, windows_of
from shardhash.db.query._clauses import cut, tokens_of, without_index_hints
from shardhash.db.query._facts import FactsOf, TableFacts
from shardhash.db.query._functions import leaves_nothing, unknown_function
from shardhash.db.query._groups import distinct_rows, group_rows
from shardhash.db.query._moments import Moment
from shardhash.db.query._pins import EVERYWHERE, KeyIn, Pin, Values, only_key, shards_of
from shardhash.db.query._reader import analyze
from shardhash.db.query._reduction import Context, Reduction, merge_rows
from shardhash.db.query._refusal import Refusal, refused
from shardhash.db.query._scopes import nested_queries
from shardhash.db.query._sets import UnionText, union_text
from shardhash.db.query._stages import inner_query
from shardhash.db.query._text import QueryText
from shardhash.db.query._typing import Ask
from shardhash.db.query._windows import needs_all_rows
from shardhash.db.tasks import ResultColumn, result_columns
from shardhash.db.topology import Backend
from shardhash.errors import UsageError

__all__ = ["ReadPlan", "Route"]

_NAME_SHARD = "or name the shard that the statement is for: shards=[...]"
_MODIFIERS = (
    "into",
    "locks",
    "laterals",
    "qualify",
    "kind",
    "operation_modifiers",
    "hint",
    "sample",
)
_ACROSS = {"order": "ORDER BY", "limit": "LIMIT", "offset": "OFFSET"}
ColumnsOf = Callable[[str], tuple[ResultColumn, ...]]
ValueOf = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Route:
    """The shards that are asked; ``is_single``: one, which has all rows that matter."""

    shards: tuple[str, ...]
    is_single: bool
    reasons: tuple[str, ...] = ()


@dataclass(slots=True)
class ReadPlan:
    """One statement under one configuration; kept and used again with other values.

    ``is_plain`` tells that it may run in a session kept for statements that leave nothing there.
    """

    text: QueryText
    backend: Backend
    query: exp.Query
    block: Block
    analysis: Analysis
    config: Config
    limits: tuple[tuple[KeyRouter, Pin], ...]
    driving: tuple[tuple[KeyRouter, Pin], ...]
    division_scale: int = 4
    is_plain: bool = False
    moments: tuple[Moment, ...] = ()
    only_key: KeyIn | None = None
    _routes: dict[str, Route] = field(default_factory=dict)
    _described: tuple[object, tuple[ResultColumn, ...]] = (None, ())
    _reductions: dict[str, Reduction] = field(default_factory=dict)

    @classmethod
    def make(
        cls, text: QueryText, query: exp.Query, backend: Backend, config: Config, facts_of: FactsOf
    ) -> "ReadPlan":
        """Return the plan of a query. Pure but for what ``facts_of`` reads.

        Raises:
            QueryRefusedError: it names a table that the configuration does not have.
        """
        block, analysis = analyze(query, facts_of)
        if "WITH RECURSIVE" in analysis.unknown:
            raise refused(
                Refusal(
                    "WITH RECURSIVE may need rows of all shards at each of its steps", _NAME_SHARD
                )
            )
        if analysis.unknown:
            raise refused(
                block.source_problem
                or Refusal(f"{analysis.unknown[0]} is not understood", _NAME_SHARD)
            )
        limits = tuple(
            (node.facts.router, node.limit())
            for node in analysis.nodes
            if node.facts is not None and node.facts.router is not None
        )
        driving = tuple(
            (item.key_facts.router, item.node.limit())
            for item in block.driving
            if item.key_facts is not None and item.key_facts.router is not None
        )
        made = cls(text, backend, query, block, analysis, config, limits, driving)
        if len(limits) == 1 and not analysis.global_tables:
            made.only_key = only_key(limits[0][1])
        return made

    def leaves_nothing(self, tokens: Sequence[Token]) -> bool:
        """Return whether a statement of these tokens is known to change nothing of its session.

        A view may call stored functions, which can.
        """
        tables = [facts.table for facts in self.analysis.global_tables]
        return all(table.kind == "table" for table in tables) and leaves_nothing(tokens)

    def columns_of(self, description: Sequence[Sequence[object]]) -> tuple[ResultColumn, ...]:
        """Return the columns of one shard's answer, as ``result_columns`` does."""
        known, columns = self._described
        if known != description:
            columns = result_columns(description, self.backend)
            self._described = (description, columns)
        return columns

    def route(self, values: Values) -> Route:
        """Return the shards for the values of the placeholders.

        Raises:
            QueryRefusedError: rows of several shards are needed in a way they cannot be joined.
        """
        if self.only_key is not None:
            shard = self.only_key.only_shard(values)
            if shard is not None:
                route = self._routes.get(shard)
                if route is None:
                    route = self._routes[shard] = Route((shard,), is_single=True)
                return route
        if not self.limits:
            return Route((self._any_shard(),), is_single=True, reasons=self._any_reasons())
        only: str | None = None
        for router, pin in self.limits:
            shards = self._shards(router, pin, values)
            if len(shards) > 1:
                return self.fan_out(values)
            if shards:
                (shard,) = shards
                if only is not None and only != shard:
                    return self.fan_out(values)
                only = shard
        if only is None:  # no row can match: any shard says so
            only = self.limits[0][0].mapping.shards[0]
        self._check_global_tables([only])
        return Route((only,), is_single=True)

    def reduction(
        self, shard: str, *, ask: Ask, columns_of: ColumnsOf, value_of: ValueOf
    ) -> Reduction:
        """Return what a shard is asked, beside others, and what is made of the answers.

        Raises:
            QueryRefusedError: the answer could not be exact.
        """
        source = self._owned_only(shard)
        if source not in self._reductions:
            self._reductions[source] = self._reduce(source, ask, columns_of, value_of)
        return self._reductions[source]

    def reasons(self, values: Values) -> tuple[str, ...]:
        """Return in words why the rows that matter are where ``route`` says."""
        words = []
        for node in self.analysis.nodes:
            facts = node.facts
            if facts is None or facts.router is None or facts.key is None:
                continue
            name = f"{facts.table.name}.{facts.key.name}"
            shards = shards_of(node.limit().cells(values), facts.router)
            if shards is not None:
                held = ", ".join(sorted(shards))
                words.append(
                    f"{name} is limited to keys of: {held}" if held else f"no {name} can match"
                )
            elif not facts.pins_exactly:
                words.append(
                    f"{name} compares by a collation that folds, so a predicate on it may match "
                    f"keys of every shard; to let it pin: {facts.folding_advice}"
                )
            else:
                words.append(f"nothing limits {name}")
        return tuple(dict.fromkeys(words)) or self._any_reasons()

    @property
    def needs_all_rows(self) -> bool:
        """Tell whether it has window functions over the rows of several shards."""
        return needs_all_rows(self.query, self.block.scope)

    @property
    def union(self) -> UnionText | None:
        """Return the UNION that the statement is; None where it is none."""
        if not isinstance(self.query, exp.SetOperation):
            return None
        return union_text(self.text.clean, self.query, self.backend)

    @property
    def is_one_union(self) -> bool:
        """Tell whether the rows of a UNION's parts are those of every shard together."""
        return self.block.is_one_union

    @property
    def shows_subquery(self) -> bool:
        """Tell whether a subquery stands in the select list, and so may name a column."""
        return any(True for _ in nested_queries(self.query.expressions))

    @property
    def shows_moment(self) -> bool:
        """Tell whether the present stands in a select list, and so may name a column."""
        if not isinstance(self.query, exp.Select):
            return True
        end = cut(self.text.clean, self.backend).items[-1].tokens[-1].end
        return any(moment.start <= end for moment in self.moments)

    @property
    def before_limit(self) -> str:
        """Return the statement without its LIMIT."""
        return cut(self.text.clean, self.backend).before_limit

    @property
    def inner(self) -> str | None:
        """Return the query in FROM whose answer can be reduced first; None where there is none."""
        return inner_query(self.text.clean, self.query, self.backend)

    @property
    def mapping(self) -> str:
        """Return the mapping that decides; empty where only global tables are read."""
        return self.block.mapping or next((r.mapping.name for r, _ in self.limits), "")

    def warnings(self, reduction: Reduction, route: Route) -> tuple[str, ...]:
        """Return what is right and may surprise."""
        warnings = []
        has_limit = reduction.limit is not None
        if has_limit and not (reduction.sort or (reduction.groups and reduction.groups.order)):
            warnings.append("LIMIT without ORDER BY: which rows come is not determined")
        elif has_limit:
            warnings.append(
                "LIMIT: where rows are equal in all that ORDER BY names, which of them come is "
                "not determined; add a unique column to it"
            )
        if reduction.groups and any(
            fold.kind in ("sum", "distinct sum") for fold in reduction.groups.plan.folds
        ):
            warnings.append(
                "sums of FLOAT, DOUBLE or REAL values depend on their order in the last digits; "
                "sums of other numbers are exact"
            )
        if self.holders_of_unowned.intersection(route.shards):
            warnings.append("rows are on the move: shards leave out those that they do not own")
        return tuple(warnings)

    def why_not_strung(self) -> str:
        """Return what of the query needs more than one shard's rows after the other's, or nothing.

        Of what is left, ``reduction`` raises where it needs that.
        """
        for name, words in _ACROSS.items():
            if self.query.args.get(name):
                return f"{words} over several shards"
        if self.needs_all_rows:
            return "a window function over several shards"
        if isinstance(self.query, exp.Select) and not self.block.is_disjoint:
            if has_aggregate(self.query):
                return "an aggregate or GROUP BY over several shards"
            if self.query.args.get("distinct"):
                return "DISTINCT over several shards"
        return ""

    @property
    def holders_of_unowned(self) -> frozenset[str]:
        """Return the shards that may hold rows of the statement's tables without owning them."""
        return frozenset(shard for router, _ in self.limits for shard in router.mapping.unowned)

    def _shards(self, router: KeyRouter, pin: Pin, values: Values) -> frozenset[str]:
        cells = None if pin == EVERYWHERE else pin.cells(values)
        shards = shards_of(cells, router)
        return frozenset(router.mapping.shards) if shards is None else shards

    def fan_out(self, values: Values) -> Route:
        if self.block.source_problem:
            raise refused(self.block.source_problem)
        mapping = self.config.mapping(self.block.mapping)
        wanted = frozenset(mapping.shards)
        for router, pin in self.driving:
            wanted &= self._shards(router, pin, values)
        shards = tuple(shard for shard in mapping.shards if shard in wanted)
        shards = shards or mapping.shards[:1]
        self._check_global_tables(shards)
        return Route(shards, is_single=False)

    def _any_shard(self) -> str:
        """Return a shard that has every global table of the statement."""
        shards = list(self.config.shards)
        for facts in self.analysis.global_tables:
            shards = [shard for shard in shards if shard in _holders(facts)]
        if not shards:
            raise UsageError(
                "no shard has all the global tables of the statement",
                next_step="add them to the global_tables of one mapping",
            )
        return shards[0]

    def _any_reasons(self) -> tuple[str, ...]:
        if self.analysis.global_tables:
            return ("every shard has the same rows of its global tables",)
        return ("it reads no table",)

    def _check_global_tables(self, shards: Sequence[str]) -> None:
        for facts in self.analysis.global_tables:
            missing = [shard for shard in shards if shard not in _holders(facts)]
            if missing:
                raise refused(
                    Refusal(
                        f"global table {facts.table.name} is not on {', '.join(missing)}",
                        f"add it to the global_tables of mapping {self.block.mapping}",
                    )
                )

    # What several shards are asked

    def _owned_only(self, shard: str) -> str:
        """Return the statement, without the rows that a shard holds and does not own."""
        source = self.text.clean
        if shard in self.holders_of_unowned:
            source = without_index_hints(source, self.backend)
        for identifier, facts, has_alias in sorted(
            self.analysis.names, key=lambda name: -int(name[0].meta["start"])
        ):
            mapping, key = facts.mapping, facts.key
            if mapping is None or key is None or shard not in mapping.unowned:
                continue
            start, end = int(identifier.meta["start"]), int(identifier.meta["end"]) + 1
            owned = sql.owned_rows(facts.table, key, mapping, shard).replace("%%", "%")
            alias = "" if has_alias else f" AS {source[start:end]}"
            source = f"{source[:start]}{owned}{alias}{source[end:]}"
        return source

    def context(
        self, source: str, *, ask: Ask, columns_of: ColumnsOf, value_of: ValueOf
    ) -> Context:
        """Return what is needed to plan the outermost SELECT, as `source` has it.

        Raises:
            QueryRefusedError: it has a part that is not for several shards.
        """
        found = unknown_function(tokens_of(self.text.clean, self.backend))
        if found:
            raise refused(found)
        assert isinstance(self.query, exp.Select)
        self._check_modifiers(self.query)
        return Context(
            block=self.block,
            select=self.query,
            clauses=cut(source, self.backend),
            backend=self.backend,
            ask=ask,
            columns_of=columns_of,
            value_of=value_of,
            division_scale=self.division_scale,
        )

    def _reduce(self, source: str, ask: Ask, columns_of: ColumnsOf, value_of: ValueOf) -> Reduction:
        query = self.query
        if not isinstance(query, exp.Select):
            found = unknown_function(tokens_of(self.text.clean, self.backend))
            problem = found or self.block.problem
            if problem:
                raise refused(problem)
            return Reduction(sql=source, notes=("one answer after the other",))
        context = self.context(source, ask=ask, columns_of=columns_of, value_of=value_of)
        if self.block.is_disjoint:
            return merge_rows(context)
        if has_aggregate(query):
            return group_rows(context)
        return distinct_rows(context) if query.args.get("distinct") else merge_rows(context)

    def _check_modifiers(self, select: exp.Select) -> None:
        for name in _MODIFIERS:
            if select.args.get(name):
                raise refused(
                    Refusal(f"{name.upper()} in a statement for several shards", _NAME_SHARD)
                )
        distinct, group = select.args.get("distinct"), select.args.get("group")
        if distinct is not None and distinct.args.get("on"):
            raise refused(Refusal("DISTINCT ON", "use GROUP BY"))
        if group is not None and any(v for k, v in group.args.items() if k != "expressions"):
            raise refused(
                Refusal("ROLLUP and its like over several shards", "ask for each level apart")
            )
        for node in select.find_all(exp.GroupConcat):
            if not node.find(exp.Order):
                raise refused(
                    Refusal(
                        "GROUP_CONCAT without ORDER BY depends on the order of rows",
                        "sort inside it: GROUP_CONCAT(x ORDER BY x)",
                    )
                )
        if self.needs_all_rows:
            return
        is_plain = not has_aggregate(select) or self.block.is_disjoint
        for window in windows_of(select):
            keys = window.args.get("partition_by") or []
            if is_plain and any(is_strict_key(self.block.scope, key) for key in keys):
                continue
            raise refused(
                Refusal(
                    "a window function needs the rows of all shards",
                    "add the shard key to its PARTITION BY, or compute it in the application",
                )
            )


def _holders(facts: TableFacts) -> set[str]:
    return {shard for mapping in facts.global_in for shard in mapping.shards}
