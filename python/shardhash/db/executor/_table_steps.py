"""The steps that fill a new database: its tables, its programs, and rows of one moment."""

from shardhash.db.executor._copy import copy_table
from shardhash.db.executor._ddl import create_programs, create_tables
from shardhash.db.executor._mismatch import mismatch_error
from shardhash.db.executor._runner import Result, Runner
from shardhash.db.executor._snapshot import copy_snapshot
from shardhash.db.executor._verify import verify_table
from shardhash.db.executor._work import Work
from shardhash.db.inspect import inspect_table
from shardhash.db.plan import Step
from shardhash.db.sql import RowFilter

__all__ = ["COPY_GLOBAL", "COPY_SNAPSHOT", "CREATE_PROGRAMS", "CREATE_TABLES"]


def _create_tables(work: Work, step: Step) -> Result:
    create_tables(work, step.arguments["model"], step.shard, step.arguments["tables"])
    return {}


def _create_programs(work: Work, step: Step) -> Result:
    programs = [(kind, name) for kind, name in step.arguments["programs"]]
    create_programs(work, step.arguments["model"], step.shard, programs)
    return {}


def _copy_global(work: Work, step: Step) -> Result:
    """Copy a table that every shard has whole; what is there already is compared."""
    model = step.arguments["model"]
    with work.read(model) as connection:
        table = inspect_table(connection, step.table or "", work.backend(model))
    rows = RowFilter.all_rows()
    copied = copy_table(work, model, step.shard, table, rows, sync=True)
    found = verify_table(work, model, step.shard, table, rows, record=False)
    if found:
        raise mismatch_error(model, step.shard, found)
    return {"rows": {table.name: {"copied": copied}}}


def _copy_snapshot(work: Work, step: Step) -> Result:
    model = step.arguments["model"]
    with work.read(model) as connection:
        tables = [
            inspect_table(connection, name, work.backend(model))
            for name in step.arguments["tables"]
        ]
    copied, found = copy_snapshot(work, model, step.shard, tables)
    if found:
        raise mismatch_error(model, step.shard, found)
    return {"rows": {name: {"copied": count} for name, count in copied.items()}}


CREATE_TABLES = Runner(_create_tables)
CREATE_PROGRAMS = Runner(_create_programs)
COPY_GLOBAL = Runner(_copy_global)
COPY_SNAPSHOT = Runner(_copy_snapshot)
