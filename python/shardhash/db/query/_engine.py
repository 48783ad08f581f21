"""Runs statements on the shards of one configuration."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from shardhash.db import sql
from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager
from shardhash.db.mapping import KeyRouter
from shardhash.db.query._answer import answer_of, limit_of
from shardhash.db.query._apart import Substitution, places_of, with_marks
from shardhash.db.query._asker import Asker
from shardhash.db.query._explanation import (
    Explanation,
    ShardStatement,
    asked_now,
    in_steps,
    named,
    staged,
    united,
)
from shardhash.db.query._moments import question_for, with_moments
from shardhash.db.query._options import QueryOptions
from shardhash.db.query._params import bound
from shardhash.db.query._plan import ReadPlan, Route
from shardhash.db.query._planner import NamedPlan, Planner
from shardhash.db.query._reduction import Reduction
from shardhash.db.query._result import QueryResult
from shardhash.db.query._routing import Routing
from shardhash.db.query._sets import UnionText, joined_answers
from shardhash.db.query._stages import Stage, question_of
from shardhash.db.query._text import Params, render, values_of
from shardhash.db.query._windows import WindowQuery
from shardhash.db.query._writes import owner_of_written
from shardhash.db.tasks import ResultColumn, Row, ShardRows, ShardTask, TaskRunner
from shardhash.db.topology import Backend
from shardhash.db.workers import PlainReader
from shardhash.errors import DatabaseError, QueryRefusedError, UsageError

__all__ = ["QueryEngine"]

_MIB = 2**20
_MOST_LIMIT = 2**63 - 1


class QueryEngine:
    """Runs statements by their plans. Thread-safe."""

    def __init__(
        self,
        config: Config,
        connections: ConnectionManager,
        router: Callable[[str], KeyRouter],
        runner: TaskRunner,
        *,
        read_plain: PlainReader,
        source: str | None = None,
    ) -> None:
        self._config = config
        self._connections = connections
        self._runner = runner
        self._read_plain = read_plain
        self._source = source
        self._planner = Planner(config, connections, router)

    # Reading

    def query(self, statement: str, params: Params, options: QueryOptions) -> QueryResult:
        """Run a statement; see ``Cluster.query``."""
        plan = self._planner.plan(statement, params, options)
        if isinstance(plan, NamedPlan):
            return self._run_named(plan, params, options)
        if not isinstance(plan, ReadPlan):
            return plan.run(params, best_effort=options.best_effort)
        values = bound(values_of(plan.text.names, params), plan.backend)
        memory = options.memory_mb * _MIB
        if plan.moments and self._needs_several(plan, values, options):
            return self._answered_now(plan, values, options)
        try:
            route = self._route(plan, values, options)
        except QueryRefusedError as refusal:
            union = plan.union
            if union is not None and not plan.analysis.apart:
                return self._united(plan, union, values, options)
            return self._with_answers(plan, values, options, refusal)
        if route is None:
            later, question = self._later(plan, values)
            return later.answer(self.query(*question, options), memory=memory)
        if route.is_single:
            return self._read_one(route.shards[0], plan, values, options)
        reductions = self._reductions(plan, route, values)
        tasks = [
            self._reduced_task(shard, reduction, plan.backend, values, options)
            for shard, reduction in zip(route.shards, reductions, strict=True)
        ]
        return self._run(
            tasks, options, lambda answers: answer_of(answers, reductions[0], values, memory=memory)
        )

    def _needs_several(
        self, plan: ReadPlan, values: tuple[object, ...], options: QueryOptions
    ) -> bool:
        try:
            route = self._route(plan, values, options)
        except QueryRefusedError:
            return True
        return route is None or not route.is_single

    def _question_now(
        self, plan: ReadPlan, values: tuple[object, ...]
    ) -> tuple[str, dict[str, object]]:
        """Return a statement with the present moment of one shard, for all of them."""
        columns, row = self._asker(plan, values).row_of(question_for(plan.moments))
        text = with_moments(plan.text.clean, plan.moments, columns, len(values))
        return question_of(text, (*values, *row))

    def _answered_now(
        self, plan: ReadPlan, values: tuple[object, ...], options: QueryOptions
    ) -> QueryResult:
        result = self.query(*self._question_now(plan, values), options)
        if not plan.shows_moment:
            return result
        return result.shown_as(self._asker(plan, values).columns_of(plan.before_limit))

    def _with_answers(
        self,
        plan: ReadPlan,
        values: tuple[object, ...],
        options: QueryOptions,
        refusal: QueryRefusedError,
    ) -> QueryResult:
        """Answer subqueries first, then the statement with their answers in their places."""
        places = places_of(plan.text.clean, plan.analysis.apart, plan.backend)
        if not places:
            raise refusal
        asker = self._asker(plan, values)
        substitution = Substitution(plan.text.clean, values, plan.backend)
        for place in reversed(places):
            try:
                found = self.query(*question_of(place.inner, values), options)
            except DatabaseError:
                if asker.has_columns(place.inner):
                    raise
                raise refusal from None  # it names a column of the query around it
            substitution.put(place, found, asker.collation_of)
        result = self.query(*question_of(substitution.text, substitution.values), options)
        shown = asker.columns_of(plan.before_limit) if plan.shows_subquery else ()
        return result.shown_as(shown) if shown else result

    def _united(
        self, plan: ReadPlan, union: UnionText, values: tuple[object, ...], options: QueryOptions
    ) -> QueryResult:
        """Answer a UNION over all shards, as one query where its parts are of one mapping."""
        columns = self._asker(plan, values).columns_of(union.before_limit)
        if plan.is_one_union:
            question = question_of(union.as_one_query(columns), values)
            return self.query(*question, options).shown_as(columns)
        answers: list[QueryResult] = []
        try:
            answers.extend(self.query(*question_of(part, values), options) for part in union.parts)
        except BaseException:
            for answer in answers:
                answer.close()
            raise
        memory = options.memory_mb * _MIB
        return joined_answers(union, columns, answers, values, memory=memory)

    def _asker(self, plan: ReadPlan, values: tuple[object, ...]) -> Asker:
        shards = self._config.mapping(plan.mapping).shards
        return Asker(self._runner, plan, shards[0], values)

    def _read_one(
        self, shard: str, plan: ReadPlan, values: tuple[object, ...], options: QueryOptions
    ) -> QueryResult:
        """Ask one shard the statement as it is; on MySQL in one round trip where that is safe."""
        if plan.is_plain and options.executor is None:
            answer = self._read_plain(shard, plan.text.sent, values, options.deadline_s)
            if answer is not None:
                description, rows, end = answer
                columns = plan.columns_of(description)
                return QueryResult(columns, rows, shards=(shard,), close=end)
        task = self._task(shard, plan.text.sent, values, options)
        return self._run([task], options, lambda answers: (answers[0].columns, answers[0].rows))

    def _run(
        self, tasks: Sequence[ShardTask], options: QueryOptions, answer: "Answer"
    ) -> QueryResult:
        with ExitStack() as stack:
            answers = stack.enter_context(self._runner(tasks, executor=options.executor))
            columns, rows = answer(answers)
            return QueryResult(
                columns,
                rows,
                shards=tuple(task.shard for task in tasks),
                close=stack.pop_all().close,
            )

    def _task(
        self, shard: str, text: str, values: tuple[object, ...], options: QueryOptions
    ) -> ShardTask:
        return ShardTask(
            shard=shard,
            sql=text,
            parameters=values,
            deadline_s=options.deadline_s,
            config=self._source,
            config_version=self._config.version,
        )

    def _reduced_task(
        self,
        shard: str,
        reduction: Reduction,
        backend: Backend,
        values: tuple[object, ...],
        options: QueryOptions,
    ) -> ShardTask:
        text, marks = render(_with_limit(reduction, values), backend)
        return self._task(shard, text, tuple(values[mark] for mark in marks), options)

    def _reductions(
        self, plan: ReadPlan, route: Route, values: tuple[object, ...]
    ) -> list[Reduction]:
        shard = route.shards[0]
        asker = Asker(self._runner, plan, shard, values)
        return [
            plan.reduction(
                each, ask=asker.type_of, columns_of=asker.columns_of, value_of=asker.value_of
            )
            for each in route.shards
        ]

    def _route(
        self, plan: ReadPlan, values: tuple[object, ...], options: QueryOptions
    ) -> Route | None:
        """Return the shards that are asked; None where another query has to be answered first."""
        try:
            route = self._first_route(plan, values, options)
        except QueryRefusedError:
            if plan.inner is None:
                raise
            return None
        return None if not route.is_single and plan.needs_all_rows else route

    def _first_route(
        self, plan: ReadPlan, values: tuple[object, ...], options: QueryOptions
    ) -> Route:
        if options.shards is None:
            return plan.route(values)
        if plan.block.source_problem:
            plan.fan_out(values)  # raises
        return Route(options.shards, is_single=False)

    def _later(
        self, plan: ReadPlan, values: tuple[object, ...]
    ) -> tuple[Stage | WindowQuery, tuple[str, Params]]:
        """Return what is computed here over the answer of a query, and that query."""
        asker = self._asker(plan, values)
        context = plan.context(
            plan.text.clean,
            ask=asker.type_of,
            columns_of=asker.columns_of,
            value_of=asker.value_of,
        )
        if plan.needs_all_rows:
            windows = WindowQuery(context, values)
            return windows, question_of(windows.base, values)
        assert plan.inner is not None
        return Stage(context, plan.inner, values), question_of(plan.inner, values)

    # One named shard

    def _run_named(self, plan: NamedPlan, params: Params, options: QueryOptions) -> QueryResult:
        assert options.shards is not None
        values = bound(values_of(plan.text.names, params), plan.backend)
        (shard,) = options.shards
        if plan.is_read:
            task = self._task(shard, plan.text.sent, values, options)
            return self._run([task], options, lambda answers: (answers[0].columns, answers[0].rows))
        count = self._connections.run_batch(
            shard,
            lambda connection: connection.exec_driver_sql(plan.text.sent, values).rowcount,
            idempotent=False,
        )
        return QueryResult((), iter(()), shards=(shard,), committed={shard: count})

    # For others that run statements

    def route(self, statement: str, params: Params, options: QueryOptions) -> Routing:
        """Return where a statement goes; see ``Cluster.route``."""
        plan = self._planner.plan(statement, params, options)
        assert not isinstance(plan, NamedPlan)
        if not isinstance(plan, ReadPlan):
            return plan.route(params)
        values = bound(values_of(plan.text.names, params), plan.backend)
        try:
            route = plan.route(values)
        except QueryRefusedError:
            if plan.inner is None:
                raise
            shards = self._config.mapping(plan.mapping).shards
            return Routing(shards=shards, problem="a query over the answer of several shards")
        if route.is_single:
            return Routing(shards=route.shards)
        problem = plan.why_not_strung()
        if problem:
            return Routing(shards=route.shards, problem=problem)
        reductions = self._reductions(plan, route, values)
        return Routing(
            shards=route.shards,
            sent=plan.text.sent,
            on_owned={
                shard: render(reduction.sql, plan.backend)[0]
                for shard, reduction in zip(route.shards, reductions, strict=True)
                if shard in plan.holders_of_unowned
            },
        )

    def shard_of(self, table: str, key: object) -> str:
        """Return the shard of a row that is written with a key; see ``Cluster.shard_of``."""
        facts = self._planner.facts_of(table)
        if facts is None or facts.router is None:
            what = "no mapping's tables" if facts is None else "global_tables: each shard has it"
            raise UsageError(
                f"asked for the shard of a row of {table}, which is in {what}",
                next_step="name the table in a mapping's tables, spelled as there",
            )
        (value,) = bound((key,), facts.table.backend)
        return owner_of_written(facts, value)

    # Explaining

    def explain(self, statement: str, params: Params, options: QueryOptions) -> Explanation:
        """Return how a statement would be run; see ``Cluster.explain``."""
        plan = self._planner.plan(statement, params, options)
        if isinstance(plan, NamedPlan):
            assert options.shards is not None
            return Explanation(
                kind="one shard" if plan.is_read else "write",
                mapping="",
                statements=(ShardStatement(options.shards[0], plan.text.sent),),
                shard_count=len(self._config.shards),
                reasons=("the shard is named by the caller",),
            )
        if not isinstance(plan, ReadPlan):
            return plan.explain(params)
        values = bound(values_of(plan.text.names, params), plan.backend)
        if plan.moments and self._needs_several(plan, values, options):
            found = self.explain(*self._question_now(plan, values), options)
            return asked_now(found, [moment.question for moment in plan.moments])
        try:
            route = self._route(plan, values, options)
        except QueryRefusedError as refusal:
            union = plan.union
            if union is not None and not plan.analysis.apart:
                return self._explain_union(plan, union, values, options)
            return self._explain_answers(plan, values, options, refusal)
        if route is None:
            later, question = self._later(plan, values)
            return staged(self.explain(*question, options), later.notes)
        mapping = plan.mapping
        count = len(self._config.mapping(mapping).shards) if mapping else len(self._config.shards)
        if route.is_single:
            return Explanation(
                kind="one shard",
                mapping=mapping,
                statements=(ShardStatement(route.shards[0], plan.text.sent),),
                shard_count=count,
                reasons=route.reasons or plan.reasons(values),
            )
        reductions = self._reductions(plan, route, values)
        statements = tuple(
            ShardStatement(shard, render(_with_limit(reduction, values), plan.backend)[0])
            for shard, reduction in zip(route.shards, reductions, strict=True)
        )
        return Explanation(
            kind="reduce" if reductions[0].groups else "merge",
            mapping=mapping,
            statements=statements,
            shard_count=count,
            reasons=plan.reasons(values),
            reduce=reductions[0].notes,
            warnings=plan.warnings(reductions[0], route),
        )

    def _explain_answers(
        self,
        plan: ReadPlan,
        values: tuple[object, ...],
        options: QueryOptions,
        refusal: QueryRefusedError,
    ) -> Explanation:
        places = places_of(plan.text.clean, plan.analysis.apart, plan.backend)
        asker = self._asker(plan, values) if places else None
        if asker is None or not all(asker.has_columns(place.inner) for place in places):
            raise refusal
        parts = [self.explain(*question_of(each.inner, values), options) for each in places]
        return in_steps(parts, with_marks(plan.text.clean, places))

    def _explain_union(
        self, plan: ReadPlan, union: UnionText, values: tuple[object, ...], options: QueryOptions
    ) -> Explanation:
        if plan.is_one_union:
            columns = self._asker(plan, values).columns_of(union.before_limit)
            found = self.explain(*question_of(union.as_one_query(columns), values), options)
            return named(found, columns)
        parts = [self.explain(*question_of(part, values), options) for part in union.parts]
        return united(parts, is_distinct=union.is_distinct, is_sorted=bool(union.order))


Answer = Callable[[Sequence[ShardRows]], tuple[tuple[ResultColumn, ...], Iterator[Row]]]


def _with_limit(reduction: Reduction, values: Sequence[object]) -> str:
    offset, limit = limit_of(reduction, values)
    if not reduction.sends_limit or limit is None or offset + limit > _MOST_LIMIT:
        return reduction.sql
    return sql.limited(reduction.sql, offset + limit)
