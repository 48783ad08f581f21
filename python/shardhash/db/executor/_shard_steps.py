"""The steps that make and remove a shard's database: nothing is made without a record of it.

The record is the identity in the shard's control tables: it is written before the database is made,
and names the operation that made it. What does not say that it was made by this operation is never
dropped by it.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from shardhash.db import guard, sql
from shardhash.db.accounts import apply_grants, read_grants
from shardhash.db.drivers import Secrets
from shardhash.db.executor._config_steps import number_in_config
from shardhash.db.executor._runner import Result, Runner
from shardhash.db.executor._work import Work
from shardhash.db.inspect import inspect_table
from shardhash.db.plan import Step
from shardhash.db.planning.grants import plan_revoke
from shardhash.db.setup import plan_setup
from shardhash.db.topology import Backend
from shardhash.errors import MismatchError, PreflightError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["CREATE_DATABASE", "DROP_DATABASE", "GRANT", "NUMBER_IDS", "RELEASE", "REVOKE"]

ID_BAND = 2**40


def _create_database(work: Work, step: Step) -> Result:
    """Make the shard's empty database, after writing down that this operation makes it."""
    shard = step.shard
    work.leases.confirm()  # there is no token yet that would keep a late process from making it
    if work.backend(shard) is Backend.SQLITE:
        _refuse_foreign_file(work, shard)
        work.connections.create_database(shard)
        _sign_file(work, shard)
    else:
        _create_on_server(work, shard)
    work.enter(shard, made_by=work.id)
    return {}


def _refuse_foreign_file(work: Work, shard: str) -> None:
    if not work.connections.has_database(shard):
        return
    with work.read(shard) as connection:
        names = [row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master")]
        is_ours = not names or _is_ours(work, connection, shard)
    if not is_ours:
        raise _taken(work, shard)


def _sign_file(work: Work, shard: str) -> None:
    """Write down who made a file, in one transaction with the tables to write it in."""
    place = work.place(shard)
    with work.connections.write(shard) as connection, connection.begin():
        guard.create_control(connection, place)
        identity = guard.Identity(work.app, shard, work.id, work.id)
        guard.write_identity(connection, place, identity)


def _create_on_server(work: Work, shard: str) -> None:
    place = work.place(shard)
    with work.connections.instance(work.topology.shard(shard).instance) as connection:
        exists = work.connections.has_database(shard)
        if exists and not (
            guard.has_control(connection, place) and _is_ours(work, connection, shard)
        ):
            raise _taken(work, shard)
        guard.create_control(connection, place)
        if guard.read_identity(connection, place) is None:
            identity = guard.Identity(work.app, shard, work.id, work.id)
            guard.write_identity(connection, place, identity)
        connection.commit()
        if not _is_ours(work, connection, shard):
            raise _taken(work, shard)
        statement = sql.create_database(place.database)
        connection.exec_driver_sql(statement.sql)
        connection.commit()


def _is_ours(work: Work, connection: "Connection", shard: str) -> bool:
    place = work.place(shard)
    if not guard.has_control(connection, place):
        return False
    found = guard.read_identity(connection, place)
    return found is not None and found.operation == work.id


def _taken(work: Work, shard: str) -> PreflightError:
    place = work.topology.shard(shard)
    return PreflightError(
        f"there is a database {place.database} on {place.instance} already, which this operation "
        "did not make",
        next_step="name another database, or take it in as it is: shardhash shard adopt",
    )


def _drop_what_was_made(work: Work, step: Step) -> None:
    """Drop the database if this operation made it; nothing happens if it is gone."""
    _drop(work, step.shard, made_by=work.id)
    work.forget(step.shard)


def _drop_database(work: Work, step: Step) -> Result:
    """Drop a database that an operation made, and its control tables after it."""
    work.leases.confirm()
    if work.connections.has_database(step.shard):
        _refuse_rows(work, step)
    _drop(work, step.shard, made_by=step.arguments["made_by"])
    work.forget(step.shard)
    return {}


def _refuse_rows(work: Work, step: Step) -> None:
    with work.read(step.shard) as connection:
        for name in step.arguments["must_be_empty"]:
            table = inspect_table(connection, name, work.backend(step.shard))
            count = connection.exec_driver_sql(sql.count_rows(table).sql).scalar_one()
            if count:
                raise MismatchError(
                    f"{step.shard} still holds {count} rows of {name}: its database stays",
                    next_step=f"shardhash shard verify {step.shard} says whose they are",
                )


def _drop(work: Work, shard: str, *, made_by: str) -> None:
    place = work.place(shard)
    if place.backend is Backend.SQLITE:
        if work.connections.has_database(shard):
            with work.read(shard) as connection:
                tables = [
                    row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master")
                ]
                found = (
                    guard.read_identity(connection, place)
                    if guard.has_control(connection, place)
                    else None
                )
            if (found is None and not tables) or (found and found.operation == made_by):
                work.connections.drop_database(shard)
        return
    with work.connections.instance(work.topology.shard(shard).instance) as connection:
        found = guard.read_identity(connection, place)
        if found is not None and found.operation == made_by:
            connection.exec_driver_sql(sql.drop_database(place.database).sql)
        elif found is not None or _has_others(work, connection, shard):
            return
        guard.drop_control(connection, place)  # also one that a crash left without identity
        connection.commit()


def _has_others(work: Work, connection: "Connection", shard: str) -> bool:
    """Tell whether a shard's database is there, or a table of others beside its control tables."""
    statement = sql.count_strangers(work.place(shard))
    found = connection.exec_driver_sql(statement.sql, statement.parameters).scalar_one()
    return bool(found) or work.connections.has_database(shard)


def _grant(work: Work, step: Step) -> Result:
    """Let the application's account read and write rows of the shard, and nothing else."""
    work.leases.confirm()
    shard = work.topology.shard(step.shard)
    config = replace(work.config, shards={**work.config.shards, shard.name: shard})
    with work.connections.instance(shard.instance) as connection:
        plan = plan_setup(connection, config, shard.instance, secrets=Secrets())
        apply_grants(connection, plan)
    return {"warnings": list(plan.warnings)}


def _end_grants(work: Work, step: Step) -> Result:
    """Take the application's rights on a shard's database away."""
    work.leases.confirm()
    _revoke(work, step)
    return {}


def _revoke(work: Work, step: Step) -> None:
    shard, user = work.topology.shard(step.shard), work.config.app_user
    if user is None:
        return
    with work.connections.instance(shard.instance) as connection:
        facts = read_grants(connection, user.user, user.host)
        apply_grants(connection, plan_revoke(user.user, user.host, shard.database, facts))


def _number_ids(work: Work, step: Step) -> Result:
    """Give the shard a band of ids that no shard had, and let its counters begin there."""
    ordinal = number_in_config(work, step.shard)
    first = ordinal * ID_BAND + 1
    backend = work.backend(step.shard)
    for name in step.arguments["tables"]:
        with work.define(step.shard) as connection:
            for statement in sql.set_next_id(name, first, backend):
                connection.exec_driver_sql(statement.sql, statement.parameters or None)
    return {"ordinal": ordinal}


def _release(work: Work, step: Step) -> Result:
    """Take all control tables off a shard; no row of the application's is touched."""
    release_control(work, step.shard)
    return {}


def release_control(work: Work, shard: str) -> None:
    """Drop the control tables of a shard, whose guards are gone, or what is left of them."""
    has_token = has_control_of(work, shard)
    with work.define(shard) if has_token else work.read(shard) as connection:
        guard.drop_control(connection, work.place(shard))
        connection.commit()
    work.forget(shard)


def has_control_of(work: Work, shard: str) -> bool:
    """Tell whether a shard has all its control tables."""
    with work.read(shard) as connection:
        return guard.has_control(connection, work.place(shard))


CREATE_DATABASE = Runner(_create_database, _drop_what_was_made)
DROP_DATABASE = Runner(_drop_database)
GRANT = Runner(_grant, _revoke)
REVOKE = Runner(_end_grants)
NUMBER_IDS = Runner(_number_ids)
RELEASE = Runner(_release)
