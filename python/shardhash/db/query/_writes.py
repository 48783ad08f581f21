"""INSERT, UPDATE and DELETE, routed by key: one shard's transaction, or refused."""

import re
from dataclasses import dataclass

from sqlglot import Token, TokenType, exp

from shardhash.db import sql
from shardhash.db.config import Config
from shardhash.db.connections import ConnectionManager
from shardhash.db.mapping import CanonicalKey
from shardhash.db.query._clauses import Piece, split_at, tokens_of
from shardhash.db.query._explanation import Explanation, ShardStatement
from shardhash.db.query._facts import FactsOf, TableFacts
from shardhash.db.query._functions import unknown_function
from shardhash.db.query._params import bound
from shardhash.db.query._pins import UnknownKeyError, constant, key_as_stored
from shardhash.db.query._plan import ReadPlan
from shardhash.db.query._refusal import Refusal, refused
from shardhash.db.query._result import QueryResult
from shardhash.db.query._routing import Routing
from shardhash.db.query._scopes import nested_queries
from shardhash.db.query._text import Params, QueryText, render, values_of
from shardhash.db.topology import Backend, KeyType
from shardhash.errors import DatabaseError, KeyTypeError, QueryRefusedError, ShardhashError

__all__ = ["WritePlan", "owner_of_written"]

_NAME_SHARD = "or name the shard that it is for: shards=[...]"
_BINARY_LENGTH = re.compile(r"binary\((\d+)\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Part:
    """What one shard is to run: clean text, with marks for values."""

    shard: str
    text: str


@dataclass(frozen=True, slots=True)
class WritePlan:
    """A statement that writes."""

    tree: exp.Expr
    text: QueryText
    backend: Backend
    config: Config
    connections: ConnectionManager
    facts_of: FactsOf

    def run(self, params: Params, *, best_effort: bool) -> QueryResult:
        """Run the statement on each shard that it is for, each in a transaction of its own.

        Raises:
            QueryRefusedError: it is for several shards, and ``best_effort`` is not set; or it
                changes a shard key, or cannot be routed. Nothing was done.
            DatabaseError: the only shard failed; it was rolled back.
        """
        values = bound(values_of(self.text.names, params), self.backend)
        parts, _ = self._parts(values)
        if len(parts) > 1 and not best_effort:
            names = ", ".join(part.shard for part in parts)
            raise QueryRefusedError(
                f"the statement writes to {len(parts)} shards ({names}), and no transaction spans "
                "them",
                next_step="write to one key's shard at a time, or pass best_effort=True and see "
                "which shards committed",
            )
        committed: dict[str, int] = {}
        failed: dict[str, str] = {}
        unknown: dict[str, str] = {}
        for part in parts:
            try:
                committed[part.shard] = self._run_part(part, values)
            except ShardhashError as error:
                if len(parts) == 1:
                    raise
                is_unknown = isinstance(error, DatabaseError) and error.may_be_committed
                (unknown if is_unknown else failed)[part.shard] = str(error)
        shards = tuple(part.shard for part in parts)
        return QueryResult(
            (), iter(()), shards=shards, committed=committed, failed=failed, unknown=unknown
        )

    def route(self, params: Params) -> Routing:
        """Return where the statement goes, if somebody else runs it as it is."""
        values = bound(values_of(self.text.names, params), self.backend)
        parts, _ = self._parts(values)
        shards = tuple(part.shard for part in parts)
        if all(part.text == self.text.clean for part in parts):
            return Routing(shards=shards, is_write=True)
        if isinstance(self.tree, exp.Insert):
            problem = "an INSERT of rows for several shards"
            return Routing(shards=shards, is_write=True, problem=problem)
        on_owned = {
            part.shard: render(part.text, self.backend)[0]
            for part in parts
            if part.text != self.text.clean
        }
        return Routing(shards=shards, is_write=True, sent=self.text.sent, on_owned=on_owned)

    def explain(self, params: Params) -> Explanation:
        """Return what would be run where."""
        values = bound(values_of(self.text.names, params), self.backend)
        parts, mapping = self._parts(values)
        statements = [ShardStatement(p.shard, render(p.text, self.backend)[0]) for p in parts]
        warnings: tuple[str, ...] = ()
        if len(parts) > 1:
            warnings = ("no transaction spans shards: this is refused without best_effort=True",)
        return Explanation(
            kind="write",
            mapping=mapping,
            statements=tuple(statements),
            shard_count=len(self.config.mapping(mapping).shards),
            reasons=("the key of each row decides",),
            reduce=("each shard's transaction is committed on its own",),
            warnings=warnings,
        )

    def _run_part(self, part: _Part, values: tuple[object, ...]) -> int:
        text, marks = render(part.text, self.backend)
        chosen = tuple(values[mark] for mark in marks)
        return self.connections.run_batch(
            part.shard,
            lambda connection: connection.exec_driver_sql(text, chosen).rowcount,
            idempotent=False,
        )

    def _parts(self, values: tuple[object, ...]) -> tuple[list[_Part], str]:
        if isinstance(self.tree, exp.Insert):
            return self._insert(self.tree, values)
        return self._change(values)

    def _facts(self, table: object) -> TableFacts:
        """Return what is known of the table that is written to."""
        plain = {"this", "alias"}
        if not isinstance(table, exp.Table) or any(
            value for key, value in table.args.items() if key not in plain
        ):
            raise refused(Refusal("it writes to more than one plain table", _NAME_SHARD))
        facts = self.facts_of(table.name)
        if facts is None:
            raise refused(
                Refusal(
                    f"table {table.name} is in no mapping's tables or global_tables",
                    "name it in the configuration, spelled as there, " + _NAME_SHARD,
                )
            )
        if facts.mapping is None:
            raise refused(
                Refusal(
                    f"{table.name} is a global table, which every shard has whole",
                    "write the same on each of its shards: BroadcastQuery, then compare them",
                )
            )
        return facts

    # INSERT

    def _insert(self, tree: exp.Insert, values: tuple[object, ...]) -> tuple[list[_Part], str]:
        target = tree.this
        schema = target if isinstance(target, exp.Schema) else None
        facts = self._facts(schema.this if schema else target)
        mapping, key = facts.mapping, facts.key
        assert mapping is not None
        assert key is not None
        rows = tree.expression
        if not isinstance(rows, exp.Values):
            raise refused(
                Refusal(
                    "the rows of an INSERT are not written as VALUES, so their keys are not known",
                    "read the rows first and insert them as VALUES, " + _NAME_SHARD,
                )
            )
        if tree.args.get("returning"):
            raise refused(Refusal("RETURNING", "leave it out, " + _NAME_SHARD))
        self._check_conflict(tree, key.name)
        names = [c.name for c in facts.table.columns if not c.is_generated]
        if schema:
            names = [column.name for column in schema.expressions]
        places = [i for i, name in enumerate(names) if name.lower() == key.name.lower()]
        if len(places) != 1:
            raise refused(
                Refusal(f"the INSERT names no value for the shard key {key.name}", "add it")
            )
        head, texts, tail = self._rows(len(rows.expressions))
        by_shard: dict[str, list[str]] = {}
        for row, text in zip(rows.expressions, texts, strict=True):
            shard = self._shard_of(row, places[0], len(names), facts, values)
            by_shard.setdefault(shard, []).append(text)
        if len(by_shard) == 1:
            return [_Part(next(iter(by_shard)), self.text.clean)], mapping.name
        parts = [
            _Part(shard, f"{head}{', '.join(by_shard[shard])}{tail}")
            for shard in mapping.shards
            if shard in by_shard
        ]
        return parts, mapping.name

    def _check_conflict(self, tree: exp.Insert, key: str) -> None:
        conflict = tree.args.get("conflict")
        for node in conflict.find_all(exp.EQ) if conflict is not None else ():
            if isinstance(node.this, exp.Column) and node.this.name.lower() == key.lower():
                raise _changes_key(key)

    def _rows(self, count: int) -> tuple[str, list[str], str]:
        """Return the text before the rows, of each row, and after them."""
        source = self.text.clean
        tokens = tokens_of(source, self.backend)
        depths = split_at(tokens, TokenType.VALUES)
        if len(depths) < 2:
            raise refused(Refusal("the rows of the INSERT are not found", _NAME_SHARD))
        start = tokens.index(depths[1][0]) if depths[1] else len(tokens)
        entries: list[Piece] = []
        place = start
        for entry in split_at(tokens[start:], TokenType.COMMA)[:count]:
            entries.append(_row_piece(source, entry))
            place = tokens.index(entries[-1].tokens[-1])
        tail = source[tokens[place].end + 1 :]
        return source[: tokens[start].start], [entry.text for entry in entries], tail

    def _shard_of(
        self,
        row: exp.Expr,
        place: int,
        width: int,
        facts: TableFacts,
        values: tuple[object, ...],
    ) -> str:
        assert facts.router is not None
        assert facts.key is not None
        cells = row.expressions if isinstance(row, exp.Tuple) else [row.unnest()]
        if len(cells) != width:
            raise refused(
                Refusal(f"a row has {len(cells)} values for {width} columns", "correct it")
            )
        value = constant(cells[place])
        given = value.get(values) if value is not None else None
        if value is None or given is None:
            raise refused(
                Refusal(
                    f"the shard key {facts.key.name} of a row is no plain value, or NULL",
                    "compute it in the application and pass it as a parameter",
                )
            )
        return owner_of_written(facts, given)

    # UPDATE and DELETE

    def _change(self, values: tuple[object, ...]) -> tuple[list[_Part], str]:
        tree = self.tree
        facts = self._facts(tree.this)
        mapping, key = facts.mapping, facts.key
        assert mapping is not None
        assert key is not None
        self._check_change(tree, key.name)
        plan = self._select(tree)
        route = plan.route(values)
        if len(route.shards) == 1 and route.is_single:
            return [_Part(route.shards[0], self.text.clean)], mapping.name
        for name in ("order", "limit"):
            if tree.args.get(name):
                raise refused(Refusal(f"{name.upper()} of a write to several shards", _NAME_SHARD))
        found = unknown_function(tokens_of(self.text.clean, self.backend))
        if found:
            raise refused(found)
        return [self._part(facts, shard) for shard in route.shards], mapping.name

    def _check_change(self, tree: exp.Expr, key: str) -> None:
        for name in ("using", "tables", "from_", "from", "joins", "returning", "with_", "with"):
            if tree.args.get(name):
                raise refused(
                    Refusal("a write with more than one table, or RETURNING", _NAME_SHARD)
                )
        for node in tree.expressions if isinstance(tree, exp.Update) else ():
            target = node.this if isinstance(node, exp.EQ) else node
            if not isinstance(target, exp.Column):
                raise refused(Refusal(f"SET {node.sql()[:60]} is not understood", _NAME_SHARD))
            if target.name.lower() == key.lower():
                raise _changes_key(key)

    def _select(self, tree: exp.Expr) -> ReadPlan:
        """Return the plan of a SELECT of the rows that the statement changes."""
        select = exp.select("*").from_(tree.this.copy())
        where = tree.args.get("where")
        if where is not None:
            select = select.where(where.this.copy())
        for node in tree.expressions:
            if any(True for _ in nested_queries([node])):
                raise refused(
                    Refusal("a subquery in SET", "run it first, and pass its answer as a parameter")
                )
        return ReadPlan.make(self.text, select, self.backend, self.config, self.facts_of)

    def _part(self, facts: TableFacts, shard: str) -> _Part:
        """Return the statement for one of several shards, which changes the rows that it owns."""
        mapping, key = facts.mapping, facts.key
        assert mapping is not None
        assert key is not None
        source = self.text.clean
        if shard not in mapping.unowned:
            return _Part(shard, source)
        condition = sql.owned_condition(facts.table, key, mapping, shard).replace("%%", "%")
        tokens = split_at(tokens_of(source, self.backend), TokenType.WHERE)
        if len(tokens) == 1:
            return _Part(shard, f"{source} WHERE {condition}")
        where = Piece.of(source, tokens[1])
        return _Part(shard, f"{source[: where.tokens[0].start]}({where.text}) AND {condition}")


def _row_piece(source: str, tokens: list[Token]) -> Piece:
    """Return the parenthesised row that an entry of VALUES begins with."""
    depth = 0
    for place, token in enumerate(tokens):
        kind = token.token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if depth == 0:
            return Piece.of(source, tokens[: place + 1])
    return Piece.of(source, tokens)


def owner_of_written(facts: TableFacts, given: object) -> str:
    """Return the shard of a row whose key column a value is written to.

    Raises:
        QueryRefusedError: what the column would hold is not known.
        KeyTypeError: it is no key.
    """
    assert facts.router is not None
    return facts.router.placement.lookup(_key_written(facts, given))  # type: ignore[arg-type]


def _key_written(facts: TableFacts, given: object) -> CanonicalKey:
    """Return the key that a column holds after a value was written to it."""
    column, router = facts.key, facts.router
    assert column is not None
    assert router is not None
    kind = router.mapping.key.type
    try:
        if kind is KeyType.STR and isinstance(given, str):
            return router.key(given.rstrip(" ") if column.data_type == "char" else given)
        key = key_as_stored(facts, given)
    except (UnknownKeyError, KeyTypeError) as error:
        raise QueryRefusedError(
            f"the shard key {column.name} is declared {kind}, found {type(given).__name__}: what "
            "the column would hold is not known",
            next_step=f"pass it as {kind}",
        ) from error
    if kind is KeyType.UUID and isinstance(given, str) and given != key:
        raise QueryRefusedError(
            f"the UUID of {column.name} is not in lower case, as it is kept",
            next_step="pass a uuid.UUID, or its lower-case text",
        )
    length = _BINARY_LENGTH.fullmatch(column.definition)
    if length and isinstance(key, bytes) and column.data_type == "binary":
        return key.ljust(int(length[1]), b"\0")
    return key


def _changes_key(key: str) -> QueryRefusedError:
    return QueryRefusedError(
        f"the statement changes the shard key {key}, which says where its row is",
        next_step="insert the row under its new key and delete the old one",
    )
