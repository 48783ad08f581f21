"""What each part of the YAML may say, as pydantic models, and the reader that reports on them.

The models check one level at a time and keep nested parts as plain values, so that a mistake in
one part never hides those in another. They do not leave ``db.config``.
"""

import re
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from shardhash.db.config._problems import Document, did_you_mean, found
from shardhash.db.config._yaml import Path
from shardhash.db.topology import MAX_ORDINAL, KeyType, TlsMode

__all__ = [
    "AppUserModel",
    "EndpointModel",
    "FileModel",
    "InstanceModel",
    "KeyModel",
    "MappingModel",
    "RangesModel",
    "RingModel",
    "SecretModel",
    "SetupModel",
    "ShardModel",
    "SlotsModel",
    "StoreModel",
    "TableModel",
    "check_name",
    "read_model",
]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_TABLE = re.compile(r"[A-Za-z0-9_$][A-Za-z0-9_$-]{0,63}")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,63}")
_DATABASE = re.compile(r"[A-Za-z0-9_$][A-Za-z0-9_$-]{0,53}")
_USER = re.compile(r"[^\x00-\x1f\x7f'\"`\\]{1,80}")
_HOST_PATTERN = re.compile(r"[A-Za-z0-9_.%:/-]{1,255}")
_SECRET_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SYSTEM_DATABASES = frozenset({"mysql", "information_schema", "performance_schema", "sys"})
_CONTROL_SUFFIX = "_shardhash"


def check_name(name: str) -> str:
    """Return `name`, of an app, instance, shard or mapping; ValueError says what is allowed."""
    if not _NAME.fullmatch(name):
        raise ValueError("must be a letter, then letters, digits, _ or -, at most 63 in all")
    return name


def _check_table(name: str) -> str:
    if not _TABLE.fullmatch(name):
        raise ValueError("must be letters, digits, _, $ or -, at most 64: rename the table")
    if name.lower().startswith("_shardhash"):
        raise ValueError("names that begin with _shardhash belong to the tool: rename the table")
    return name


def _check_column(name: str) -> str:
    if not _COLUMN.fullmatch(name):
        raise ValueError("must be a letter or _, then letters, digits, _ or $, at most 64 in all")
    return name


def _check_database(name: str) -> str:
    if not _DATABASE.fullmatch(name):
        raise ValueError("must be letters, digits, _, $ or -, at most 54")
    if name.lower() in _SYSTEM_DATABASES:
        raise ValueError("is a database of the server itself: name another")
    if name.lower().endswith(_CONTROL_SUFFIX):
        raise ValueError(f"names that end in {_CONTROL_SUFFIX} are the tool's own: name another")
    return name


def _check_user(name: str) -> str:
    if not _USER.fullmatch(name):
        raise ValueError("must be 1 to 80 characters, without quotes, backslashes or control codes")
    return name


def _check_host_pattern(host: str) -> str:
    if not _HOST_PATTERN.fullmatch(host):
        raise ValueError("must be a host name, an address, or a pattern with % and _")
    return host


def _check_secret_name(name: str) -> str:
    if not _SECRET_NAME.fullmatch(name):
        raise ValueError("a secret's name is a lower-case letter, then letters, digits or _")
    return name


Name = Annotated[str, AfterValidator(check_name)]
TableName = Annotated[str, AfterValidator(_check_table)]
ColumnName = Annotated[str, AfterValidator(_check_column)]
DatabaseName = Annotated[str, AfterValidator(_check_database)]
UserName = Annotated[str, AfterValidator(_check_user)]
HostPattern = Annotated[str, AfterValidator(_check_host_pattern)]
SecretName = Annotated[str, AfterValidator(_check_secret_name)]


class Part(BaseModel):
    """A mapping of the YAML. Field descriptions are what a missing key's message tells."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)
    aliases: ClassVar[dict[str, str]] = {}


PartT = TypeVar("PartT", bound=Part)


class FileModel(Part):
    """The whole file."""

    format: int = Field(default=1)
    app: Name = ""
    map_max_age_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 30.0
    setup: object = None
    instances: object = None
    shards: object = None
    mappings: object = None
    store: object = None
    last_ordinal: Annotated[int, Field(ge=0)] = 0
    takeovers: Annotated[int, Field(ge=0)] = 0


class StoreModel(Part):
    """Where the shared configuration is."""

    aliases: ClassVar[dict[str, str]] = {"username": "user", "pass": "password"}
    url: str = Field(description="write url: mongodb://HOST/DATABASE")
    app: Name = ""
    user: UserName | None = None
    password: object = None
    password_file: str | None = None


class SetupModel(Part):
    """What is set up on every shard."""

    app_user: object = None


class AppUserModel(Part):
    """The application's account."""

    aliases: ClassVar[dict[str, str]] = {"username": "user", "pass": "password"}
    user: UserName = Field(description="write user: NAME of the application's account")
    host: HostPattern = "%"
    password: object = None
    password_file: str | None = None


class EndpointModel(Part):
    """One address of a server: a url, a dsn, or host and port, and how to log in."""

    aliases: ClassVar[dict[str, str]] = {
        "username": "user",
        "pass": "password",
        "socket": "unix_socket",
    }
    url: str | None = None
    dsn: str | None = None
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    unix_socket: str | None = None
    user: UserName | None = None
    password: object = None
    password_file: str | None = None
    option_file: str | None = None
    tls: TlsMode | None = Field(default=None, strict=False)
    tls_ca: str | None = None


class InstanceModel(EndpointModel):
    """A server, or a directory of SQLite files."""


class SecretModel(Part):
    """A password kept outside the configuration, by name."""

    secret: SecretName = Field(description="write {secret: NAME}")


class ShardModel(Part):
    """A database on an instance."""

    aliases: ClassVar[dict[str, str]] = {"dbname": "database"}
    instance: str = Field(description="write instance: NAME, one of instances")
    database: DatabaseName = Field(description="write database: NAME")
    read: object = None
    ordinal: Annotated[int, Field(ge=0, le=MAX_ORDINAL)] | None = None
    detached: bool = False


class MappingModel(Part):
    """A rule from key to shard."""

    key: object = Field(description="write key: {column: NAME, type: int}")
    tables: object = Field(description="write tables: [NAME, ...]")
    global_tables: object = None
    slots: object = None
    ranges: object = None
    ring: object = None
    partitions: int | None = None
    unowned: object = None


class KeyModel(Part):
    """The shard key."""

    column: ColumnName = Field(description="write column: NAME")
    type: KeyType = Field(
        strict=False, description="write type: int, str, bytes, uuid, uuid16, date or datetime"
    )
    equality: Literal["bytes", "collation"] = "collation"


class TableModel(Part):
    """A table of a mapping."""

    name: TableName = Field(description="write name: TABLE")
    key: ColumnName | None = None


class SlotsModel(Part):
    """Slots and their owners."""

    count: int = 16_384
    scheme: Literal["crc32"] = "crc32"
    owners: object = Field(description='write owners: {s1: "0-8191", s2: "8192-16383"}')
    weights: object = None


class RangesModel(Part):
    """Ranges of the key itself."""

    bounds: object = Field(description="write bounds: [...]; [] for one range")
    shards: object = Field(description="write shards: [...], one more than bounds")


class RingModel(Part):
    """A ring of weighted nodes."""

    nodes: object = Field(description="write nodes: {s1: 1, s2: 1}")


def read_model(document: Document, model: type[PartT], data: object, path: Path) -> PartT | None:
    """Return `data` as `model`; None where something it needs is missing or wrong.

    Everything wrong is reported to `document`. What is wrong and optional is left out, so that
    the rest can be checked.
    """
    if not isinstance(data, dict):
        document.problem(path, f"must be a mapping (key: value), found {found(data)}")
        return None
    values = _without_aliases(document, model, data, path)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
    for mistake in mistakes:
        _report(document, model, mistake, path)
    wrong = {mistake["loc"][0] for mistake in mistakes if mistake["loc"]}
    try:
        return model.model_validate({key: values[key] for key in values if key not in wrong})
    except ValidationError:
        return None


def _without_aliases(
    document: Document, model: type[Part], data: dict[str, object], path: Path
) -> dict[str, object]:
    values = dict(data)
    for alias, name in model.aliases.items():
        if alias not in values:
            continue
        value = values.pop(alias)
        if name in values:
            message = f"is another word for {name}, which is here too; remove one"
            document.problem((*path, alias), message, at_key=True)
        else:
            values[name] = value
            document.rename((*path, alias), (*path, name))
    return values


def _report(document: Document, model: type[Part], mistake: ErrorDetails, path: Path) -> None:
    key = str(mistake["loc"][0])
    where = (*path, key)
    kind, value = mistake["type"], mistake["input"]
    if kind == "missing":
        hint = model.model_fields[key].description or "write it"
        document.problem(where, f"is missing; {hint}")
    elif kind == "extra_forbidden":
        _report_unknown(document, model, key, value, path)
    else:
        document.problem(where, _wrong_value(kind, value, mistake))


def _report_unknown(
    document: Document, model: type[Part], key: str, value: object, path: Path
) -> None:
    known = [*model.model_fields, *model.aliases]
    if value is None and not did_you_mean(key, known):
        message = (
            "a key without a value stands here; write a space after its colon, and quote a text "
            "that holds a comma or a colon"
        )
        document.problem(path, message)
        return
    message = f"unknown key{did_you_mean(key, known)}; known here: {', '.join(known)}"
    document.problem((*path, key), message, at_key=True)


_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
}


def _wrong_value(kind: str, value: object, mistake: ErrorDetails) -> str:
    if kind in _EXPECTED:
        is_plain = value is not None and not isinstance(value, list | dict)
        hint = "; put it in quotes" if kind == "string_type" and is_plain else ""
        return f"must be {_EXPECTED[kind]}, found {found(value)}{hint}"
    if kind in ("enum", "literal_error"):
        return _not_one_of(value, mistake["ctx"]["expected"])
    if kind == "value_error":
        return str(mistake["ctx"]["error"])
    limits = {"greater_than": ">", "greater_than_equal": ">=", "less_than_equal": "<="}
    if kind in limits:
        bound = next(iter(mistake["ctx"].values()))
        return f"must be {limits[kind]} {bound}, found {value}"
    return mistake["msg"]


def _not_one_of(value: object, expected: str) -> str:
    words = [word.strip("'") for word in re.split(r", | or ", expected)]
    if not isinstance(value, str):
        return f"must be one of {', '.join(words)}, found {found(value)}"
    return f"must be one of {', '.join(words)}{did_you_mean(value, words)}"
