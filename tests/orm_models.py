"""Mapped classes on two shards, for tests: two mappings, a global table, relationships by key.

Stores and customers are numbered 1 to 9. Each store has one order, each order two items and a note;
one order has one more note, which is of another store, on another shard.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy import LargeBinary, String, Uuid, and_, event
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship, remote

from query_cases import owner

OWNERS = {"s1": "0-7", "s2": "8-15"}
ON_S1, ALSO_S1, ON_S2 = 6, 1, 2
"""Stores of slots 4, 7 and 13."""

MAPPINGS = {
    "by_store": {
        "key": {"column": "store_id", "type": "int"},
        "tables": ["orders", "items", "notes"],
        "global_tables": ["countries"],
        "slots": {"count": 16, "owners": OWNERS},
    },
    "by_token": {
        "key": {"column": "token", "type": "str"},
        "tables": ["visits"],
        "slots": {"count": 16, "owners": OWNERS},
    },
    "by_day": {
        "key": {"column": "day", "type": "date"},
        "tables": ["days"],
        "slots": {"count": 16, "owners": OWNERS},
    },
    "by_blob": {
        "key": {"column": "blob_key", "type": "bytes"},
        "tables": ["blobs"],
        "slots": {"count": 16, "owners": OWNERS},
    },
    "by_customer": {
        "key": {"column": "id", "type": "int"},
        "tables": ["customers"],
        "slots": {"count": 16, "owners": OWNERS},
    },
}


class Base(DeclarativeBase):
    pass


class Country(Base):
    __tablename__ = "countries"
    code: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(20))


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    store_id: Mapped[int | None] = mapped_column()
    amount: Mapped[int] = mapped_column(default=0)
    customer_id: Mapped[int | None] = mapped_column()
    country: Mapped[str | None] = mapped_column(String(2))

    items: Mapped[list[Item]] = relationship(back_populates="order", primaryjoin=lambda: _by_key())
    customer: Mapped[Customer | None] = relationship(
        primaryjoin=lambda: foreign(Order.customer_id) == Customer.id
    )
    land: Mapped[Country | None] = relationship(
        primaryjoin=lambda: foreign(Order.country) == Country.code
    )
    notes: Mapped[list[Note]] = relationship(
        back_populates="order", primaryjoin=lambda: foreign(remote(Note.order_id)) == Order.id
    )


class Visit(Base):
    """Its key is stored as another text than the application's value has."""

    __tablename__ = "visits"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    token: Mapped[UUID] = mapped_column(Uuid(native_uuid=False))


class Day(Base):
    __tablename__ = "days"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column()


class Blob(Base):
    __tablename__ = "blobs"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    blob_key: Mapped[bytes] = mapped_column(LargeBinary)


class Item(Base):
    __tablename__ = "items"
    store_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    order_id: Mapped[int | None] = mapped_column()
    name: Mapped[str] = mapped_column(String(20))

    order: Mapped[Order | None] = relationship(
        back_populates="items", primaryjoin=lambda: _by_key()
    )


class Note(Base):
    """It refers to its order by the order's number alone, which does not say where that is."""

    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    store_id: Mapped[int | None] = mapped_column()
    order_id: Mapped[int | None] = mapped_column()
    text: Mapped[str] = mapped_column(String(20), default="")

    order: Mapped[Order | None] = relationship(
        back_populates="notes", primaryjoin=lambda: foreign(Note.order_id) == remote(Order.id)
    )


def _by_key():
    return and_(
        foreign(Item.order_id) == Order.id,
        foreign(Item.store_id) == Order.store_id,
    )


def make_tables(cluster) -> None:
    """Make and fill the tables on each shard, past the adapter, with what the shard owns."""
    for shard in OWNERS:
        with cluster.connections.write(shard) as connection, connection.begin():
            create(connection, Country, Customer, Order, Item, Note)
            fill(connection, [key for key in range(1, 10) if owner(key, OWNERS) == shard])


def create(connection, *models) -> None:
    Base.metadata.create_all(connection, tables=[model.__table__ for model in models])


def fill(connection, keys) -> None:
    """Insert the rows of some stores and customers, and the global table."""
    notes = [{"id": k, "store_id": k, "order_id": 100 + k, "text": f"of {k}"} for k in keys]
    if ON_S1 in keys:
        notes.append({"id": 77, "store_id": ON_S1, "order_id": 100 + ON_S2, "text": "elsewhere"})
    rows = {
        Order: [
            {"id": 100 + k, "store_id": k, "amount": k, "customer_id": 10 - k, "country": "CH"}
            for k in keys
        ],
        Item: [
            {"store_id": k, "id": 10 * k + n, "order_id": 100 + k, "name": f"item {n}"}
            for k in keys
            for n in (1, 2)
        ],
        Note: notes,
        Customer: [{"id": k, "name": f"customer {k}"} for k in keys],
        Country: [{"code": "CH", "name": "Switzerland"}],
    }
    for model, values in rows.items():
        connection.execute(model.__table__.insert(), values)


class Asked:
    """Notes which shards statements of sessions go to."""

    def __init__(self, cluster) -> None:
        self.shards: list[str] = []
        for shard in OWNERS:
            engine = cluster.connections.engine(shard)
            event.listen(
                engine,
                "before_cursor_execute",
                lambda _, cursor, statement, *others, shard=shard: self._note(shard, statement),
            )

    def by(self, do):
        """Return what a function returns, and the shards that it asked."""
        self.shards.clear()
        found = do()
        return found, sorted(self.shards)

    def _note(self, shard: str, statement: str) -> None:
        if statement != "BEGIN":  # of our SQLite connections
            self.shards.append(shard)
