"""What is looked at between taking the leases and the first effect."""

from shardhash.db.config import Config
from shardhash.db.executor import Work
from shardhash.db.inspect import inspect_table
from shardhash.db.operations._reader import FactReader
from shardhash.db.plan import Plan
from shardhash.errors import StalePlanError

__all__ = ["preflight"]


def preflight(work: Work, config: Config) -> None:
    """Raise StalePlanError where configuration, servers or schema changed since the plan."""
    plan = work.plan
    _check_version(plan, config.version)
    if work.store is not None:
        _check_version(plan, work.store.version())
    reader = FactReader(config, work.topology, work.connections)
    found = reader.identities(plan.identities)
    if others := [shard for shard in plan.identities if found[shard] != plan.identities[shard]]:
        raise StalePlanError(
            f"{', '.join(others)}: another database now than when the plan was made",
            next_step="check instances and databases, and make the plan again",
        )
    for entry in plan.new_shards.values():
        reader.check_primary(str(entry["instance"]))
    for path, fingerprint in plan.fingerprints.items():
        shard, _, name = path.partition(".")
        with work.read(shard) as connection:
            table = inspect_table(connection, name, work.backend(shard))
        if table.fingerprint != fingerprint:
            raise StalePlanError(
                f"table {name} of {shard} changed since the plan was made",
                next_step="make the plan again",
            )


def _check_version(plan: Plan, version: str) -> None:
    if plan.config_version != version:
        raise StalePlanError(
            f"the plan was made for configuration {plan.config_version[:12]}, the present "
            f"one is {version[:12]}",
            next_step="make the plan again; shardhash config history says what changed",
        )
