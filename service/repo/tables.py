"""The four tables of an order, derived from its document (fields are columns, limits their types), and two others.

Every key of the four begins with `order_uid`, so hash partitioning (or Citus) needs no other schema.
"""

from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    func,
)
from sqlalchemy.types import TypeEngine

from service.entities.order import MAX_UID_LENGTH, Delivery, Item, Order, Payment
from service.entities.version import MAX_TOPIC_LENGTH

_MAX_SMALLINT: Final = 2**15 - 1

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


def _type(field: msgspec.inspect.Type) -> TypeEngine[Any]:
    match field:
        case (
            msgspec.inspect.Metadata(type=described)
            | msgspec.inspect.UnionType(types=(described, msgspec.inspect.NoneType()))
        ):
            return _type(described)
        case msgspec.inspect.StrType(max_length=int(length)):
            return String(length)
        case msgspec.inspect.IntType(le=int(highest)):
            return SmallInteger() if highest <= _MAX_SMALLINT else BigInteger()
        case msgspec.inspect.DateTimeType():
            return DateTime(timezone=True)
    raise TypeError(f"no column type for {field}")


def _columns(document: type[msgspec.Struct]) -> list[Column[Any]]:
    """Return a column for each scalar field except the key; optional fields are nullable."""
    info = msgspec.inspect.type_info(document)
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101 - for the type checker
    return [
        Column(field.name, _type(field.type), nullable=not field.required)
        for field in info.fields
        if field.name not in {"order_uid", "delivery", "payment", "items"}
    ]


def _key() -> Column[str]:
    return Column("order_uid", String(MAX_UID_LENGTH, collation="C"), primary_key=True)


def _foreign_key() -> Column[str]:
    key = ForeignKey("orders.order_uid", ondelete="CASCADE")
    return Column("order_uid", String(MAX_UID_LENGTH, collation="C"), key, primary_key=True)


orders = Table(
    "orders",
    metadata,
    _key(),
    *_columns(Order),
    Column("source_topic", String(MAX_TOPIC_LENGTH), nullable=False),
    Column("source_partition", Integer, nullable=False),
    Column("source_offset", BigInteger, nullable=False),
    Column("source_timestamp", DateTime(timezone=True), nullable=False),
    Column("stored_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
deliveries = Table("deliveries", metadata, _foreign_key(), *_columns(Delivery))
payments = Table("payments", metadata, _foreign_key(), *_columns(Payment))
items = Table(
    "items",
    metadata,
    _foreign_key(),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    *_columns(Item),
)
erased = Table(
    "erased",
    metadata,
    Column("order_uid_hash", LargeBinary, primary_key=True),
    Column("erased_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""Erased orders, by the SHA-256 of their id. Small, and read by every batch: a reference table on Citus, never
partitioned."""
schema_releases = Table(
    "schema_releases",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("revision", String(32), nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""Numbered revisions, so that an older image recognizes a newer schema without its scripts."""

Index("orders_newest_idx", orders.c.date_created.desc(), orders.c.order_uid.desc())
"""Serves `reads.NEWEST`, and the page query of `reads` without a filter."""
Index("orders_customer_idx", orders.c.customer_id, orders.c.date_created.desc(), orders.c.order_uid.desc())
"""Serves the page query of `reads` with the filter `customer_id`."""
Index("orders_track_idx", orders.c.track_number, orders.c.date_created.desc(), orders.c.order_uid.desc())
"""Serves the page query of `reads` with the filter `track_number`."""
