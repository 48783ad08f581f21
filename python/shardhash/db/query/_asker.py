"""Questions to one shard, which planning needs: types, collations and columns."""

from shardhash.db import sql
from shardhash.db.query._clauses import cut
from shardhash.db.query._plan import ReadPlan
from shardhash.db.query._text import render
from shardhash.db.tasks import ResultColumn, Row, ShardTask, TaskRunner
from shardhash.errors import DatabaseError

__all__ = ["Asker"]


class Asker:
    """Asks one shard for the types of expressions and the columns of statements."""

    def __init__(
        self, runner: TaskRunner, plan: ReadPlan, shard: str, values: tuple[object, ...]
    ) -> None:
        self._runner = runner
        self._plan = plan
        self._shard = shard
        self._values = values

    def type_of(self, text: str) -> tuple[str, str]:
        """Return the type and collation that the server gives an expression of FROM."""
        clauses = cut(self._plan.text.clean, self._plan.backend)
        columns, rows = self._ask(sql.type_probe(clauses.head, text, clauses.tables))
        return columns[0].type, str(rows[0][1] or "binary")

    def columns_of(self, text: str) -> tuple[ResultColumn, ...]:
        """Return the columns that the server gives a statement without LIMIT."""
        return self._ask(sql.limited(text, 0))[0]

    def row_of(self, text: str) -> tuple[tuple[ResultColumn, ...], Row]:
        """Return the columns of a statement and its only row."""
        columns, rows = self._ask(text)
        return columns, rows[0]

    def has_columns(self, text: str) -> bool:
        """Return whether the server knows all that a statement names."""
        try:
            self.columns_of(sql.whole_rows(text))
        except DatabaseError:
            return False
        return True

    def collation_of(self, text: str) -> str:
        """Return the collation of a query's only column."""
        return str(self.value_of(sql.collation_probe(text)))

    def value_of(self, text: str) -> object:
        """Return the only value of a statement."""
        return self._ask(text)[1][0][0]

    def _ask(self, clean: str) -> "tuple[tuple[ResultColumn, ...], list[tuple[object, ...]]]":
        text, marks = render(clean, self._plan.backend)
        task = ShardTask(
            shard=self._shard, sql=text, parameters=tuple(self._values[mark] for mark in marks)
        )
        with self._runner([task]) as answers:
            return answers[0].columns, [tuple(row) for row in answers[0].rows]
