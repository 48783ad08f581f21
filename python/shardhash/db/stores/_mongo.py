"""A configuration in MongoDB, shared by many machines: one document an app.

Only single-document operations: each is atomic by itself on any server that speaks the protocol,
and needs neither transactions, nor an order of results, nor field names with dots.

::

    configs   {_id: app, version: 7, format: 1, body: text, author, saved_ms, save_id}
    history   {_id: "app/6", body: masked text, author, saved_ms}
    leases    {_id: "app/name", holder, token, expires_ms}
    journal   {_id: "app/operation/0", record: JSON, written_ms, append_id}
    journals  {_id: "app/0", operation}
    progress  {_id: "app/operation", record: JSON, written_ms}
    clock     {_id: app, now}

Times are milliseconds since 1970, because not every server gives a date back as a date.
"""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from shardhash.db.config import FORMAT, Config, Origin, mask_passwords
from shardhash.db.config.addresses import AddressError, parse_mongo_url
from shardhash.db.drivers import Secrets, import_extra
from shardhash.db.stores._state import journal_taken, lease_held, lease_lost
from shardhash.db.stores._types import (
    JournalEntry,
    Lease,
    SavedProgress,
    SavedVersion,
    default_author,
    text_diff,
)
from shardhash.db.topology import PasswordKind, PasswordSource, SharedStore
from shardhash.errors import (
    ConfigConflictError,
    StoreError,
    UsageError,
)

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.collection import Collection

    Document = dict[str, Any]

__all__ = ["MongoStore"]

_TIMEOUTS_MS = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 10_000,
}


class MongoStore:
    """The configuration of one app in a MongoDB database. The version is a counter.

    Connects at the first use. What the server answers with is read from the primary and confirmed
    by a majority, whatever the URL says. After a fork a process opens its own connections.
    """

    def __init__(self, target: SharedStore) -> None:
        """Name the server, the database and the app; an empty app is the only one there is."""
        self._target = target
        self._app = target.app
        self._database = target.url.partition("://")[2].partition("/")[2].partition("?")[0]
        self._client: MongoClient[Document] | None = None
        self._pid = 0
        self._lock = Lock()

    @classmethod
    def at(cls, url: str) -> Self:
        """Return the store at a ``mongodb://`` URL, whose password may be a reference."""
        try:
            bare, user, password = parse_mongo_url(url)
        except AddressError as error:
            raise UsageError(f"the URL of the store: {error}") from None
        source = PasswordSource(PasswordKind.TEXT, password) if password else PasswordSource()
        return cls(SharedStore(url=bare, user=user, password=source))

    @property
    def url(self) -> str:
        """The server's URL, without login."""
        return self._target.url

    @property
    def may_repeat_versions(self) -> bool:
        """False: every save counts one up."""
        return False

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()

    def close(self) -> None:
        """Close connections; the next use opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            client.close()

    def version(self) -> str:
        """Return the counter of the present configuration; one small read."""
        return str(self._present("version")["version"])

    def load(self) -> tuple[Config, str]:
        """Return the present configuration and its version."""
        text, version = self.read_text()
        return self._parse(text, version), version

    def read_text(self) -> tuple[str, str]:
        """Return the text as it was saved, to the byte, and its version."""
        present = self._present("body", "version")
        return str(present["body"]), str(present["version"])

    def save(self, config: Config | str, *, expect: str | None, author: str | None = None) -> str:
        """Replace the configuration if its version still is `expect`, and return the new one."""
        text = config.text if isinstance(config, Config) else config
        parsed = self._parse(text, "")
        self._check_app(parsed.app)
        saved = {
            "format": FORMAT,
            "body": text,
            "author": author or default_author(),
            "saved_ms": _milliseconds(self.now()),
        }
        if expect is None:
            return self._insert(saved)
        present = self._present("body", "version", "author", "saved_ms")
        if str(present["version"]) != expect:
            raise self._conflict(text)
        if present["body"] == text:
            return expect
        self._keep(present)
        return self._replace(saved, present["version"])

    def history(self, *, limit: int = 20) -> tuple[SavedVersion, ...]:
        """Return the last versions, the newest first; one read for each."""
        present = self._present("body", "version", "author", "saved_ms")
        newest = int(present["version"])
        versions = [_saved(present, newest)]
        with self._asking("history") as history:
            for number in range(newest - 1, max(0, newest - limit), -1):
                found = history.find_one({"_id": f"{self._app}/{number}"})
                if found is not None:
                    versions.append(_saved(found, number))
        return tuple(versions[:limit])

    def acquire_lease(self, name: str, *, holder: str, ttl_s: float, above: int = 0) -> Lease:
        """Take the lease of `name`, with a token above all earlier ones and above `above`."""
        now = self.now()
        key = {"_id": f"{self._named_app()}/{name}"}
        with self._asking("leases") as leases:
            found = leases.find_one(key)
            if found is None:
                self._insert_or_ignore(leases, {**key, "token": 0, "holder": None})
                found = {"token": 0, "holder": None}
            if found["holder"] is not None and _time(found["expires_ms"]) > now:
                left = _time(found["expires_ms"]) - now
                raise lease_held(name, found["holder"], left.total_seconds())
            token = max(above, int(found["token"])) + 1
            lease = Lease(name, holder, token, now + timedelta(seconds=ttl_s))
            taken = leases.find_one_and_update(
                {**key, "token": found["token"], "holder": found["holder"]},
                {
                    "$set": {
                        "token": token,
                        "holder": holder,
                        "expires_ms": _milliseconds(lease.expires_at),
                    }
                },
            )
        if taken is None:
            raise lease_held(name, "another process", ttl_s)
        return lease

    def renew_lease(self, lease: Lease, *, ttl_s: float) -> Lease:
        """Extend a lease that nobody took since."""
        expires_at = self.now() + timedelta(seconds=ttl_s)
        with self._asking("leases") as leases:
            renewed = leases.find_one_and_update(
                self._lease_key(lease), {"$set": {"expires_ms": _milliseconds(expires_at)}}
            )
        if renewed is None:
            raise lease_lost(lease)
        return Lease(lease.name, lease.holder, lease.token, expires_at)

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back, keeping its token so that the next is above it."""
        with self._asking("leases") as leases:
            leases.find_one_and_update(self._lease_key(lease), {"$set": {"holder": None}})

    def get_lease(self, name: str) -> Lease | None:
        """Return the lease of `name` as last taken, or None where it is free."""
        with self._asking("leases") as leases:
            found = leases.find_one({"_id": f"{self._named_app()}/{name}"})
        if found is None or found["holder"] is None:
            return None
        return Lease(name, found["holder"], int(found["token"]), _time(found["expires_ms"]))

    def now(self) -> datetime:
        """Return the server's time; one small write."""
        from pymongo import ReturnDocument

        with self._asking("clock") as clock:
            found = clock.find_one_and_update(
                {"_id": self._named_app()},
                {"$currentDate": {"now": True}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        now: datetime = (found or {})["now"]
        return now if now.tzinfo else now.replace(tzinfo=UTC)

    def append_journal(self, operation: str, number: int, record: Mapping[str, object]) -> None:
        """Write record `number` of an operation.

        Where the answer is lost, the record is looked up by an id of its own, and else sent again.
        """
        from pymongo.errors import AutoReconnect, DuplicateKeyError

        app = self._named_app()
        if number == 0:
            self._list_journal(operation)
        document = {
            "_id": f"{app}/{operation}/{number}",
            "record": json.dumps(dict(record)),
            "written_ms": _milliseconds(self.now()),
            "append_id": uuid.uuid4().hex,
        }
        with self._asking("journal") as journal:
            for tries_left in (1, 0):
                try:
                    journal.insert_one(document)
                except (AutoReconnect, DuplicateKeyError):
                    found = journal.find_one({"_id": document["_id"]}, {"append_id": 1})
                    if found is None and tries_left:
                        continue
                    if found is None:
                        raise
                    if found.get("append_id") != document["append_id"]:
                        raise journal_taken(operation, number) from None
                return

    def read_journal(self, operation: str) -> tuple[JournalEntry, ...]:
        """Return the records of an operation in order; one read for each."""
        app = self._named_app()
        entries: list[JournalEntry] = []
        with self._asking("journal") as journal:
            while True:
                number = len(entries)
                found = journal.find_one({"_id": f"{app}/{operation}/{number}"})
                if found is None:
                    return tuple(entries)
                record = json.loads(found["record"])
                entries.append(JournalEntry(operation, number, _time(found["written_ms"]), record))

    def list_journals(self) -> tuple[str, ...]:
        """Return the names of all operations that have a journal, the oldest first."""
        app = self._named_app()
        names: list[str] = []
        with self._asking("journals") as journals:
            while True:
                found = journals.find_one({"_id": f"{app}/{len(names)}"})
                if found is None:
                    return tuple(names)
                names.append(str(found["operation"]))

    def save_progress(self, operation: str, record: Mapping[str, object]) -> None:
        """Replace what is saved of an operation's progress; one small write."""
        document = {
            "_id": f"{self._named_app()}/{operation}",
            "record": json.dumps(dict(record)),
            "written_ms": _milliseconds(datetime.now(UTC)),
        }
        with self._asking("progress") as progress:
            progress.replace_one({"_id": document["_id"]}, document, upsert=True)

    def read_progress(self, operation: str) -> SavedProgress | None:
        """Return what was saved last of an operation's progress; None where nothing was."""
        with self._asking("progress") as progress:
            found = progress.find_one({"_id": f"{self._named_app()}/{operation}"})
        if found is None:
            return None
        return SavedProgress(_time(found["written_ms"]), json.loads(found["record"]))

    def _list_journal(self, operation: str) -> None:
        """Add a name to the numbered list of journals, unless it is there."""
        names = list(self.list_journals())
        app = self._named_app()
        while operation not in names:
            document = {"_id": f"{app}/{len(names)}", "operation": operation}
            with self._asking("journals") as journals:
                self._insert_or_ignore(journals, document)
            names = list(self.list_journals())

    def _parse(self, text: str, version: str) -> Config:
        return Config.parse(
            text, source=self.url, base_dir=None, origin=Origin.SHARED, version=version
        )

    def _check_app(self, app: str) -> None:
        if self._app and self._app != app:
            raise UsageError(
                f"the text is of the app {app}, but the store was opened for {self._app}",
                next_step="name the same app in both",
            )
        self._app = app

    def _present(self, *fields: str) -> "Document":
        app = self._named_app()
        with self._asking("configs") as configs:
            found = configs.find_one({"_id": app}, dict.fromkeys(fields, 1))
        if found is None:
            raise self._nothing_stored(app)
        return found

    def _named_app(self) -> str:
        """Return the app's name; where none was given, that of the only one stored."""
        if self._app:
            return self._app
        with self._asking("configs") as configs:
            found = configs.find_one({}, {"_id": 1})
            if found is None:
                raise self._nothing_stored("")
            other = configs.find_one({"_id": {"$ne": found["_id"]}}, {"_id": 1})
        if other is not None:
            raise UsageError(
                f"{self.url} holds several apps, {found['_id']} and {other['_id']} among them",
                next_step="write store: {url: ..., app: NAME} in a file and open that",
            )
        self._app = str(found["_id"])
        return self._app

    def _nothing_stored(self, app: str) -> UsageError:
        what = f"no configuration of {app}" if app else "no configuration"
        return UsageError(
            f"{what} at {self.url}", next_step="shardhash config upload puts one there"
        )

    def _insert(self, saved: "Document") -> str:
        from pymongo.errors import DuplicateKeyError

        document = {**saved, "_id": self._app, "version": 1}
        with self._asking("configs") as configs:
            try:
                configs.insert_one(document)
            except DuplicateKeyError:
                raise self._conflict(saved["body"]) from None
        return "1"

    def _replace(self, saved: "Document", version: int) -> str:
        from pymongo.errors import AutoReconnect

        save_id = uuid.uuid4().hex
        change = {"$set": {**saved, "version": version + 1, "save_id": save_id}}
        with self._asking("configs") as configs:
            try:
                before = configs.find_one_and_update(
                    {"_id": self._app, "version": version}, change, projection={"version": 1}
                )
                is_saved = before is not None
            except AutoReconnect:
                found = configs.find_one({"_id": self._app}, {"save_id": 1})
                is_saved = found is not None and found.get("save_id") == save_id
        if not is_saved:
            raise self._conflict(saved["body"])
        return str(version + 1)

    def _keep(self, present: "Document") -> None:
        """Copy a version to the history before it is replaced."""
        number = present["version"]
        document = {
            "_id": f"{self._app}/{number}",
            "body": mask_passwords(present["body"]),
            "author": present["author"],
            "saved_ms": present["saved_ms"],
        }
        with self._asking("history") as history:
            self._insert_or_ignore(history, document)

    def _insert_or_ignore(self, collection: "Collection[Document]", document: "Document") -> None:
        from pymongo.errors import DuplicateKeyError

        try:
            collection.insert_one(document)
        except DuplicateKeyError:
            return

    def _conflict(self, text: str) -> ConfigConflictError:
        present = self._present("body", "version", "author")
        difference = text_diff(
            present["body"], text, old_name=f"version {present['version']}", new_name="not saved"
        )
        return ConfigConflictError(
            f"{self.url} holds version {present['version']} by {present['author']} meanwhile; "
            f"nothing was written\n{difference}",
            next_step="load it anew and repeat the change",
        )

    def _lease_key(self, lease: Lease) -> "Document":
        name = f"{self._named_app()}/{lease.name}"
        return {"_id": name, "token": lease.token, "holder": lease.holder}

    @contextmanager
    def _asking(self, collection: str) -> "Iterator[Collection[Document]]":
        """Yield a collection; errors of the driver come out as StoreError without its text."""
        pymongo_errors = _import_pymongo("pymongo.errors")
        try:
            yield self._collection(collection)
        except pymongo_errors.OperationFailure as error:
            if error.code in (13, 18, 8000) or "uthenticat" in str(error):
                what, step = "refused the login", "check user, password and authSource of the store"
            else:
                what, step = f"refused a request (code {error.code})", "look at the server's log"
            raise StoreError(f"{self.url} {what}", next_step=step) from None
        except (pymongo_errors.PyMongoError, OSError) as error:
            raise StoreError(
                f"{self.url} does not answer ({type(error).__name__})",
                next_step="check that the server runs, and the host, port and TLS options",
            ) from None

    def _collection(self, name: str) -> "Collection[Document]":
        from pymongo import ReadPreference, WriteConcern
        from pymongo.read_concern import ReadConcern

        return self._connected()[self._database].get_collection(
            name,
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority"),
            read_concern=ReadConcern("majority"),
        )

    def _connected(self) -> "MongoClient[Document]":
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                self._client = self._connect()
                self._pid = os.getpid()
            return self._client

    def _connect(self) -> "MongoClient[Document]":
        options = self.url.lower()
        settings: dict[str, Any] = {
            name: value for name, value in _TIMEOUTS_MS.items() if name.lower() not in options
        }
        if self._target.user is not None:
            settings["username"] = self._target.user
            settings["password"] = Secrets().password(
                self._target.password, owner=f"the store {self.url}"
            )
        client: MongoClient[Document] = _import_pymongo().MongoClient(
            self.url, appname="shardhash", **settings
        )
        return client


def _import_pymongo(module: str = "pymongo") -> Any:
    return import_extra(module, extra="mongo", what="a mongodb:// store")


def _saved(document: "Document", number: int) -> SavedVersion:
    return SavedVersion(
        str(number),
        _time(document["saved_ms"]),
        str(document["author"]),
        mask_passwords(document["body"]),
    )


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
