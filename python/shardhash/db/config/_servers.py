"""Reads instances, shards, the app user and the shared store."""

from dataclasses import replace

from shardhash.db.config._models import (
    AppUserModel,
    EndpointModel,
    InstanceModel,
    SetupModel,
    ShardModel,
    StoreModel,
    check_name,
    read_model,
)
from shardhash.db.config._passwords import PasswordReader, absolute_path
from shardhash.db.config._problems import Data, Document, did_you_mean, found
from shardhash.db.config._yaml import Path
from shardhash.db.config.addresses import (
    Address,
    AddressError,
    check_host,
    is_local,
    parse_dsn,
    parse_mongo_url,
    parse_url,
)
from shardhash.db.topology import (
    AppUser,
    Backend,
    Endpoint,
    Instance,
    PasswordKind,
    PasswordSource,
    Shard,
    SharedStore,
    TlsMode,
)

__all__ = ["ServerReader", "named_parts"]


def named_parts(document: Document, value: object, path: Path) -> dict[str, Data]:
    """Return the parts under `path` by name; wrong names are reported and kept."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        document.problem(path, f"must be a mapping of names, found {found(value)}")
        return {}
    folded: dict[str, str] = {}
    for name in value:
        other = folded.setdefault(name.casefold(), name)
        try:
            check_name(name)
        except ValueError as error:
            document.problem((*path, name), f"the name {error}", at_key=True)
        if other != name:
            message = f"differs from {other} in case only; give it another name"
            document.problem((*path, name), message, at_key=True)
    return value


class ServerReader:
    """Reads the parts that name servers; every mistake goes to the document."""

    def __init__(
        self, document: Document, passwords: PasswordReader, *, base_dir: str | None
    ) -> None:
        self._document = document
        self._passwords = passwords
        self._base_dir = base_dir

    def instances(self, parts: dict[str, Data]) -> dict[str, Instance]:
        """Return the instances that could be read, by name."""
        read = {name: self._instance(name, part) for name, part in parts.items()}
        return {name: instance for name, instance in read.items() if instance is not None}

    def shards(
        self, parts: dict[str, Data], instances: dict[str, Instance], known: set[str]
    ) -> dict[str, Shard]:
        """Return the shards that could be read; `known` are all names of instances written."""
        shards: dict[str, Shard] = {}
        for name, part in parts.items():
            shard = self._shard(name, part, instances, known)
            if shard is not None:
                shards[name] = shard
        self._check_databases(shards, instances)
        return shards

    def app_user(self, value: object) -> AppUser | None:
        """Return ``setup.app_user``, or None."""
        path: Path = ("setup",)
        if value is None:
            return None
        setup = read_model(self._document, SetupModel, value, path)
        if setup is None or setup.app_user is None:
            return None
        path = (*path, "app_user")
        model = read_model(self._document, AppUserModel, setup.app_user, path)
        if model is None:
            return None
        password = self._passwords.read(
            path, password=model.password, password_file=model.password_file
        )
        if password.kind is PasswordKind.NONE and model.password is None:
            self._document.problem(path, "has no password; write password: ${NAME}")
        return AppUser(user=model.user, host=model.host, password=password)

    def store(self, value: object) -> SharedStore | None:
        """Return ``store``, or None."""
        path: Path = ("store",)
        model = value is not None and read_model(self._document, StoreModel, value, path)
        if not model:
            return None
        try:
            url, user, secret = parse_mongo_url(model.url)
        except AddressError as error:
            self._document.problem((*path, "url"), str(error))
            return None
        password = self._passwords.read(
            path, password=model.password, password_file=model.password_file, in_url=secret
        )
        return SharedStore(
            url=url, app=model.app, user=self._user(model.user, user, path), password=password
        )

    def _instance(self, name: str, part: Data) -> Instance | None:
        path: Path = ("instances", name)
        model = read_model(self._document, InstanceModel, part, path)
        address = self._address(model, path) if model else None
        if model is None or address is None:
            return None
        if address.backend is Backend.SQLITE:
            return self._directory(name, model, address, path)
        if address.database is not None:
            message = "names a database; an instance is a server: write it under shards"
            self._document.problem((*path, _address_key(model)), message)
        return Instance(
            name=name, backend=Backend.MYSQL, endpoint=self._endpoint(model, address, path)
        )

    def _directory(
        self, name: str, model: InstanceModel, address: Address, path: Path
    ) -> Instance | None:
        for key in model.model_fields_set - {"url", "dsn"}:
            self._document.problem((*path, key), "has no meaning for SQLite; remove it")
        directory = absolute_path(address.directory or "", self._base_dir)
        if directory is None or directory.startswith("~"):
            message = "must be an absolute directory here: sqlite:////srv/shards"
            self._document.problem((*path, _address_key(model)), message)
            return None
        return Instance(name=name, backend=Backend.SQLITE, directory=directory)

    def _address(self, model: EndpointModel, path: Path) -> Address | None:
        ways = [key for key in ("url", "dsn", "host", "unix_socket") if getattr(model, key)]
        if "host" in ways and "unix_socket" in ways:
            ways.remove("host")
        if len(ways) != 1:
            what = f"has {' and '.join(ways)}" if ways else "has no address"
            self._document.problem(path, f"{what}; write one of url, dsn, host, unix_socket")
            return None
        try:
            return _read_address(model)
        except AddressError as error:
            self._document.problem((*path, ways[0]), str(error))
            return None

    def _endpoint(self, model: EndpointModel, address: Address, path: Path) -> Endpoint:
        if model.port is not None and (model.url or model.dsn):
            self._document.problem((*path, "port"), "stands beside an address; write it there")
        password = self._passwords.read(
            path,
            password=model.password,
            password_file=model.password_file,
            option_file=model.option_file,
            in_url=address.password,
            url_key=_address_key(model),
        )
        local = address.unix_socket is not None or is_local(address.host or "")
        ca = model.tls_ca and absolute_path(model.tls_ca, self._base_dir)
        if model.tls_ca is not None and ca is None:
            self._document.problem((*path, "tls_ca"), "must be an absolute path here")
        return Endpoint(
            host=address.host or "localhost",
            port=address.port or 3306,
            unix_socket=address.unix_socket,
            user=self._user(model.user, address.user, path),
            password=password,
            tls=model.tls or (TlsMode.DISABLED if local else TlsMode.VERIFY),
            tls_ca=ca,
        )

    def _user(self, written: str | None, in_url: str | None, path: Path) -> str | None:
        if written is not None and in_url is not None:
            self._document.problem((*path, "user"), "stands in the address too; keep one")
        return written if written is not None else in_url

    def _shard(
        self, name: str, part: Data, instances: dict[str, Instance], known: set[str]
    ) -> Shard | None:
        path: Path = ("shards", name)
        model = read_model(self._document, ShardModel, part, path)
        if model is None:
            return None
        if model.instance not in known:
            message = f"no such instance{did_you_mean(model.instance, known)}; {_there_are(known)}"
            self._document.problem((*path, "instance"), message)
        read = self._read_endpoints(model.read, instances.get(model.instance), (*path, "read"))
        return Shard(
            name=name,
            instance=model.instance,
            database=model.database,
            read=read,
            ordinal=model.ordinal,
            detached=model.detached,
        )

    def _read_endpoints(
        self, value: object, instance: Instance | None, path: Path
    ) -> tuple[Endpoint, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self._document.problem(path, f"must be a list of addresses, found {found(value)}")
            return ()
        if instance is not None and instance.backend is Backend.SQLITE:
            self._document.problem(path, "an embedded shard has no read endpoints; remove them")
            return ()
        read = [self._read_endpoint(item, instance, (*path, i)) for i, item in enumerate(value)]
        return tuple(endpoint for endpoint in read if endpoint is not None)

    def _read_endpoint(self, value: Data, instance: Instance | None, path: Path) -> Endpoint | None:
        model = read_model(self._document, EndpointModel, value, path)
        address = self._address(model, path) if model else None
        if model is None or address is None:
            return None
        if address.backend is Backend.SQLITE or address.database is not None:
            message = "must be a server without a database: the shard says which"
            self._document.problem((*path, _address_key(model)), message)
            return None
        return _with_login_of(instance, self._endpoint(model, address, path))

    def _check_databases(self, shards: dict[str, Shard], instances: dict[str, Instance]) -> None:
        taken: dict[tuple[object, ...], str] = {}
        for name, shard in shards.items():
            instance = instances.get(shard.instance)
            if instance is None:
                continue
            other = taken.setdefault((*_server_of(instance), shard.database.casefold()), name)
            if other != name:
                message = f"is the database of shard {other} too; a shard has one of its own"
                self._document.problem(("shards", name, "database"), message)


def _read_address(model: EndpointModel) -> Address:
    if model.url is not None:
        return parse_url(model.url)
    if model.dsn is not None:
        return parse_dsn(model.dsn)
    if model.host is not None:
        check_host(model.host)
    return Address(
        backend=Backend.MYSQL, host=model.host, port=model.port, unix_socket=model.unix_socket
    )


def _address_key(model: EndpointModel) -> str:
    return next(key for key in ("url", "dsn", "unix_socket", "host") if getattr(model, key))


def _with_login_of(instance: Instance | None, endpoint: Endpoint) -> Endpoint:
    """Return a read endpoint that, without user and password, logs in as its instance does."""
    main = instance and instance.endpoint
    if not main or endpoint.user is not None or endpoint.password != PasswordSource():
        return endpoint
    return replace(
        endpoint,
        user=main.user,
        password=main.password,
        tls_ca=endpoint.tls_ca or main.tls_ca,
    )


def _server_of(instance: Instance) -> tuple[object, ...]:
    endpoint = instance.endpoint
    if endpoint is None:
        return (instance.directory,)
    if endpoint.unix_socket is not None:
        return (endpoint.unix_socket,)
    host = "localhost" if is_local(endpoint.host) else endpoint.host.lower().rstrip(".")
    return (host, endpoint.port)


def _there_are(names: set[str]) -> str:
    return f"there are {', '.join(sorted(names))}" if names else "there is none"
