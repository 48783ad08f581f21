"""Make a shard's objects in another database: tables, then views, routines, triggers.

What is there is looked at first and made only where it is missing, so that a step that was killed
is done again without harm; what is there in another form is never touched.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shardhash.db import sql
from shardhash.db.executor._ports import RowWork
from shardhash.db.executor._statements import fetch, run
from shardhash.db.inspect import (
    Program,
    comparable_ddl,
    database_defaults,
    list_objects,
    program_ddl,
    table_ddl,
)
from shardhash.db.topology import Backend
from shardhash.errors import DatabaseError, PreflightError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["create_programs", "create_tables"]

_ORDER = ("sequence", "function", "procedure", "view", "trigger", "event")


def create_tables(work: RowWork, model: str, shard: str, names: Sequence[str]) -> None:
    """Make tables in a shard's database as they are in the model's, without rows or triggers.

    The database takes the model's default charset and collation.

    Raises:
        PreflightError: a table is there in another form, or did not come out as the model's.
    """
    backend = work.backend(model)
    with work.read(model) as connection:
        wanted = {name: table_ddl(connection, name, backend) for name in names}
        defaults = database_defaults(connection) if backend is Backend.MYSQL else None
    if defaults:
        database = work.place(shard).database
        statement = sql.database_collation(database, *defaults)
        work.batch(shard, lambda connection: run(connection, statement))
    for name, statements in wanted.items():
        _create_table(work, model, shard, name, statements)


def _create_table(
    work: RowWork, model: str, shard: str, name: str, statements: Sequence[str]
) -> None:
    backend = work.backend(shard)
    found = _table_there(work, shard, name)
    if found is None:
        work.batch(shard, lambda connection: _make(connection, backend, statements))
        found = _table_there(work, shard, name) or ()
    if [*map(comparable_ddl, found)] != [*map(comparable_ddl, statements)]:
        raise PreflightError(
            f"table {name} of {shard} is not as on {model}: {_first_difference(statements, found)}",
            next_step=f"make it as on {model}, or drop it if it is empty, then go on",
        )


def create_programs(
    work: RowWork, model: str, shard: str, programs: Sequence[tuple[str, str]]
) -> None:
    """Make views, routines, triggers, events (disabled) and sequences, by kind and name.

    Sequences go on from where the model's are.

    Views may stand on one another, so those that cannot be made yet are tried again after others.

    Raises:
        PreflightError: one is there in another form.
        DatabaseError: one cannot be made, with the server's words.
    """
    backend = work.backend(model)
    with work.read(model) as connection:
        wanted = [program_ddl(connection, kind, name, backend) for kind, name in programs]
    waiting = sorted(wanted, key=lambda program: _ORDER.index(program.kind))
    while waiting:
        failed: list[tuple[Program, DatabaseError]] = []
        for program in waiting:
            try:
                _create_program(work, model, shard, program)
            except DatabaseError as error:
                failed.append((program, error))
        if len(failed) == len(waiting):
            raise failed[0][1]
        waiting = [program for program, _ in failed]
    for program in wanted:
        if program.kind == "sequence":
            _advance_sequence(work, model, shard, program.name)


def _advance_sequence(work: RowWork, model: str, shard: str, name: str) -> None:
    """Let a sequence go on after the numbers that the model's may have given; never go back."""
    with work.read(model) as connection:
        [(number,)] = fetch(connection, sql.read_sequence(name))
    work.batch(shard, lambda connection: fetch(connection, sql.advance_sequence(name, number)))


def _create_program(work: RowWork, model: str, shard: str, program: Program) -> None:
    backend = work.backend(shard)
    with work.read(shard) as connection:
        is_there = any(
            (each.kind, each.name) == (program.kind, program.name)
            for each in list_objects(connection, backend)
        )
        found = program_ddl(connection, program.kind, program.name, backend) if is_there else None
    if found is None:
        work.batch(shard, lambda connection: _make_program(connection, program))
    elif found != program:
        raise PreflightError(
            f"{program.kind} {program.name} of {shard} is not as on {model}",
            next_step=f"drop it on {shard}, then go on",
        )


def _make_program(connection: "Connection", program: Program) -> None:
    """Make a program under the settings that its text was written under."""
    before = {name: fetch(connection, sql.read_session(name))[0][0] for name in program.settings}
    try:
        for name, value in program.settings.items():
            run(connection, sql.set_session(name, value))
        _execute(connection, program.text)
    finally:
        if not connection.invalidated:  # who has lost the server has no session to set back
            for name, value in before.items():
                run(connection, sql.set_session(name, value))


def _table_there(work: RowWork, shard: str, name: str) -> tuple[str, ...] | None:
    backend = work.backend(shard)
    with work.read(shard) as connection:
        if any(each.name == name for each in list_objects(connection, backend)):
            return table_ddl(connection, name, backend)
    return None


def _make(connection: "Connection", backend: Backend, texts: Sequence[str]) -> None:
    if backend is Backend.MYSQL:
        run(connection, sql.check_references(wanted=False))  # tables come in any order
    for text in texts:
        _execute(connection, text)


def _execute(connection: "Connection", text: str) -> None:
    """Run a server's own text, in which no percent sign is doubled."""
    connection.exec_driver_sql(text, execution_options={"no_parameters": True})


def _first_difference(wanted: Sequence[str], found: Sequence[str]) -> str:
    lines = "\n".join(wanted).splitlines()
    theirs = "\n".join(found).splitlines()
    for line, other in zip(lines, theirs, strict=False):
        if line != other:
            return f"{line.strip()!r} and {other.strip()!r}"
    return f"{len(lines)} and {len(theirs)} lines"
