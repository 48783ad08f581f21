"""``shardhash instance``: the servers and directories that hold shards."""

import argparse
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from shardhash.cli._changes import changed
from shardhash.cli._commands import Commands
from shardhash.cli._console import Console, Outcome, Status
from shardhash.cli._table import table
from shardhash.cli._words import address_words
from shardhash.errors import DatabaseError, RefusedError, ShardhashError, UsageError

if TYPE_CHECKING:
    from shardhash.db.checks import DirectoryFacts, ServerFacts
    from shardhash.db.config import Config
    from shardhash.db.planning.grants import GrantPlan
    from shardhash.db.topology import Instance

__all__ = ["register"]

_ADDRESS = (
    ("--url", "URL", "its address, as mysql://USER@HOST:3306 or sqlite:///DIRECTORY"),
    ("--dsn", "DSN", "its address, as mysql:host=HOST;port=3306"),
    ("--user", "NAME", "who logs in, if the address does not say"),
    ("--password-file", "FILE", "a file that holds the password"),
    ("--option-file", "FILE", "an option file of MySQL whose [client] section has the password"),
    ("--password-variable", "NAME", "the environment variable that holds the password"),
    ("--secret", "NAME", "the named secret that is the password; for shared configurations"),
    ("--tls-ca", "FILE", "the certificates of the authorities to trust"),
)
_TLS_MODES = ("disabled", "preferred", "required", "verify")


@dataclass(frozen=True, slots=True)
class _Checked:
    """An instance with its facts, or with why there are none."""

    instance: "Instance"
    facts: "ServerFacts | DirectoryFacts | None"
    error: ShardhashError | None = None


def register(commands: Commands) -> None:
    """Add the group's commands."""
    instance = commands.group("instance", "add, check and set up servers that hold shards")
    add = instance.command(
        "add",
        _add,
        "add an instance to the configuration",
        details=(
            "Connects to nothing, and changes only lines of the new instance. A password is named, "
            "never given: the process list and the shell's history would show it."
        ),
    )
    add.add_argument("name", metavar="NAME", help="its name")
    for option, metavar, text in _ADDRESS:
        add.add_argument(option, metavar=metavar, help=text)
    add.add_argument("--tls", choices=_TLS_MODES, help="how the connection is encrypted")
    remove = instance.command("remove", _remove, "remove an instance from the configuration")
    remove.add_argument("name", metavar="NAME", help="the instance; no shard may be on it")
    instance.command("list", _list, "list the instances", details="Reads the configuration only.")
    check = instance.command(
        "check",
        _check,
        "connect, and report what the server is like and what the account may do",
        details=(
            "Makes a throw-away table with a trigger, where the account may, and drops it again; "
            "nothing else is written."
        ),
    )
    check.add_argument("name", metavar="NAME", nargs="?", help="one instance (default: all)")
    setup = instance.command(
        "setup",
        _setup,
        "make the application's account, with DML on the shard databases of the instance",
        details="The account is setup.app_user of the configuration. Can be run again at any time.",
    )
    setup.add_argument("name", metavar="NAME", help="the instance")
    setup.add_argument("--apply", action="store_true", help="do it, after printing the plan")


def _add(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.db.config.edit import add_instance
    from shardhash.db.fleet import instance_values

    values = instance_values(
        url=options.url,
        dsn=options.dsn,
        variable=options.password_variable,
        secret=options.secret,
        user=options.user,
        password_file=options.password_file,
        option_file=options.option_file,
        tls=options.tls,
        tls_ca=options.tls_ca,
    )
    return changed(
        options,
        lambda text: add_instance(text, options.name, values),
        f"instance {options.name} added",
    )


def _remove(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.db.config.edit import remove_instance

    return changed(
        options,
        lambda text: remove_instance(text, options.name),
        f"instance {options.name} removed",
    )


def _list(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config

    config = load_config(options, console)
    data = [_listed(config, each) for each in config.instances.values()]
    rows = [
        (
            each.name,
            each.backend,
            address_words(each),
            (each.endpoint.user or "-") if each.endpoint else "-",
            each.endpoint.tls if each.endpoint else "-",
            ", ".join(_shards_on(config, each.name)) or "-",
        )
        for each in config.instances.values()
    ]
    lines = table(("instance", "backend", "address", "user", "tls", "shards"), rows)
    return Outcome(data={"instances": data}, lines=lines)


def _listed(config: "Config", instance: "Instance") -> dict[str, object]:
    endpoint = instance.endpoint
    return {
        "name": instance.name,
        "backend": instance.backend,
        "address": address_words(instance),
        "user": endpoint.user if endpoint else None,
        "password": endpoint.password.kind if endpoint else None,
        "tls": endpoint.tls if endpoint else None,
        "shards": _shards_on(config, instance.name),
    }


def _shards_on(config: "Config", instance: str) -> list[str]:
    return [shard.name for shard in config.shards.values() if shard.instance == instance]


def _check(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config

    config = load_config(options, console)
    names = [options.name] if options.name else list(config.instances)
    checked = [_checked(config, config.instance(name)) for name in names]
    error = _failure([each for each in checked if each.error])
    return Outcome(
        status=Status.FAILED if error else Status.OK,
        data={"instances": [_checked_data(each) for each in checked]},
        lines=_checked_lines(checked),
        error=error,
    )


def _checked(config: "Config", instance: "Instance") -> _Checked:
    """Return the facts of an instance; one that cannot be reached keeps none from being told."""
    from shardhash.db.checks import check_directory, check_server
    from shardhash.db.connections import ConnectionManager
    from shardhash.db.setup import shard_databases

    databases = shard_databases(config, instance.name)
    if instance.directory is not None:
        return _Checked(instance, check_directory(instance.directory, databases))
    name = f"_shardhash_trial_{secrets.token_hex(8)}"
    try:
        with (
            ConnectionManager(config) as connections,
            connections.instance(instance.name) as connection,
        ):
            facts = check_server(connection, databases, clock=time, trial_name=name)
    except ShardhashError as error:
        return _Checked(instance, None, error)
    return _Checked(instance, facts)


def _failure(failed: list[_Checked]) -> ShardhashError | None:
    errors = [each.error for each in failed if each.error]
    if len(errors) < 2:
        return errors[0] if errors else None
    names = ", ".join(each.instance.name for each in failed)
    return DatabaseError(
        f"no answer of {names}; each is told above",
        next_step="shardhash instance check NAME tells what to do for one",
    )


def _checked_data(checked: _Checked) -> dict[str, object]:
    error = checked.error
    return {
        "name": checked.instance.name,
        "address": address_words(checked.instance),
        "facts": asdict(checked.facts) if checked.facts else None,
        "error": {"code": error.code, "message": str(error)} if error else None,
    }


def _checked_lines(checked: list[_Checked]) -> Iterator[str]:
    for number, each in enumerate(checked):
        if number:
            yield ""
        yield f"{each.instance.name}, {address_words(each.instance)}"
        yield from (f"  {line}" for line in _fact_lines(each))


def _fact_lines(checked: _Checked) -> list[str]:
    from shardhash.db.checks import ServerFacts

    if checked.facts is None:
        return [str(checked.error)]
    if isinstance(checked.facts, ServerFacts):
        return _server_lines(checked.facts)
    return _pairs(_directory_facts(checked.facts))


def _directory_facts(facts: "DirectoryFacts") -> dict[str, str]:
    state = "writable" if facts.is_writable else "not writable" if facts.exists else "not there"
    return {
        "version": facts.version,
        "directory": state,
        "shards without file": ", ".join(facts.missing) or "none",
    }


def _server_lines(facts: "ServerFacts") -> list[str]:
    described = {
        "version": facts.version,
        "latency": f"{facts.latency_ms:.1f} ms",
        "user": facts.user,
        "tls": facts.tls or "not encrypted",
        "sql_mode": facts.sql_mode or "(empty)",
        "charset": f"{facts.charset}, {facts.collation}",
        "time zone": facts.time_zone,
        "binary log": facts.binlog_format,
        "read only": "yes" if facts.is_read_only else "no",
        "flush at commit": str(facts.flush_at_commit),
        "trigger": f"{facts.trigger.result}: {facts.trigger.reason}".removesuffix(": "),
    }
    rows = [
        (operation, "yes" if not missing else "no", "; ".join(missing))
        for operation, missing in facts.missing.items()
    ]
    return [*_pairs(described), "", *table(("operation", "may run", "lacks"), rows)]


def _pairs(values: Mapping[str, str]) -> list[str]:
    width = max(map(len, values))
    return [f"{name.ljust(width)}  {value}" for name, value in values.items()]


def _setup(options: argparse.Namespace, console: Console) -> Outcome:
    from shardhash.cli._configuration import load_config
    from shardhash.db.accounts import apply_grants
    from shardhash.db.connections import ConnectionManager
    from shardhash.db.drivers import Secrets, SessionSettings
    from shardhash.db.setup import plan_setup

    config = load_config(options, console)
    if config.instance(options.name).directory is not None:
        raise UsageError(
            f"instance {options.name} is a directory of SQLite files, which have no accounts",
            next_step="nothing is to be set up: who may write the files may use the shards",
        )
    with (
        ConnectionManager(config, session=SessionSettings.operations()) as connections,
        connections.instance(options.name) as connection,
    ):
        plan = plan_setup(connection, config, options.name, secrets=Secrets())
        if not options.apply:
            return _planned(plan, options.name)
        if plan.warnings:
            raise RefusedError(
                "; ".join(plan.warnings), next_step="name another user in setup.app_user"
            )
        console.say(*_plan_lines(plan, options.name), "")
        apply_grants(connection, plan)
    return Outcome(data=_plan_data(plan), lines=[f"{plan.account} is set up on {options.name}"])


def _planned(plan: "GrantPlan", instance: str) -> Outcome:
    lines = list(_plan_lines(plan, instance))
    if plan.titles:
        lines += ["", "Nothing was changed: add --apply to do it."]
    return Outcome(status=Status.PLAN, data=_plan_data(plan), lines=lines, warnings=plan.warnings)


def _plan_lines(plan: "GrantPlan", instance: str) -> Iterator[str]:
    yield f"account {plan.account} on {instance}"
    yield from (f"  {title}" for title in plan.titles or ("nothing to do",))


def _plan_data(plan: "GrantPlan") -> dict[str, object]:
    return {"account": plan.account, "steps": list(plan.titles)}
