"""Set the application's account up on an instance, as ``setup.app_user`` says."""

from typing import TYPE_CHECKING

from shardhash.db.accounts import read_grants
from shardhash.db.config import Config
from shardhash.db.planning.grants import GrantPlan, plan_app_user
from shardhash.db.ports import SecretResolver
from shardhash.db.topology import Instance
from shardhash.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["plan_setup", "shard_databases"]


def shard_databases(config: Config, instance: str) -> tuple[str, ...]:
    """Return the databases of all shards on an instance, sorted.

    Two instances at the same address are one server: its accounts are for the shards of both.
    """
    place = _place(config.instance(instance))
    names = {
        shard.database
        for shard in config.shards.values()
        if _place(config.instance(shard.instance)) == place
    }
    return tuple(sorted(names))


def plan_setup(
    connection: "Connection", config: Config, instance: str, *, secrets: SecretResolver
) -> GrantPlan:
    """Return what makes the application's account right on an instance; only reads.

    Raises:
        UsageError: there is no account in the configuration, no shard on the instance, or the
            password cannot be looked up.
        DatabaseError: the operator's account may not read the grants of others.
    """
    user = config.app_user
    if user is None:
        raise UsageError(
            "the configuration names no account for the application",
            next_step='write setup: {app_user: {user: NAME, password: "${VARIABLE}"}}',
        )
    databases = shard_databases(config, instance)
    if not databases:
        raise UsageError(
            f"no shard is on instance {instance}: there is nothing to grant there",
            next_step=f"name an instance that has shards, or write one: instance: {instance}",
        )
    password = secrets.password(user.password, owner="setup.app_user")
    facts = read_grants(connection, user.user, user.host)
    return plan_app_user(user.user, user.host, password, databases, facts)


def _place(instance: Instance) -> str | None:
    return instance.endpoint.address if instance.endpoint else instance.directory
