"""The four tables of an order, derived from its document (fields are columns, limits their types), and three others.

`id` leads the keys because it grows: an insert then touches the same few index pages as its neighbors, however many
orders are stored. `order_uid` is random and in one index only. `shard` ends each key, so that the tables can be
partitioned or distributed by it.
"""

from typing import Any, Final

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.types import TypeEngine

from service.entities.order import MAX_UID_LENGTH, Delivery, Item, Order, Payment
from service.entities.version import MAX_TOPIC_LENGTH
from service.repo.columns import ID_BLOCK, ORDER_UID_KEY, fields

_MAX_SMALLINT: Final = 2**15 - 1

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
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
    scalar = fields(document)
    return [
        Column(field.name, _type(field.type), nullable=not field.required)
        for field in info.fields
        if field.name in scalar
    ]


def _shard() -> Column[int]:
    return Column("shard", SmallInteger, primary_key=True, autoincrement=False)


def _order_key() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["order_id", "shard"], ["orders.id", "orders.shard"], ondelete="CASCADE")


def _source() -> list[Column[Any]]:
    """Return the columns of the record that an order was read from."""
    return [
        Column("source_topic", String(MAX_TOPIC_LENGTH), nullable=False),
        Column("source_partition", Integer, nullable=False),
        Column("source_offset", BigInteger, nullable=False),
        Column("source_timestamp", DateTime(timezone=True), nullable=False),
    ]


def _child(name: str, document: type[msgspec.Struct], *position: Column[int]) -> Table:
    """Return a table of rows that belong to an order."""
    return Table(
        name,
        metadata,
        Column("order_id", BigInteger, primary_key=True, autoincrement=False),
        *position,
        _shard(),
        *_columns(document),
        _order_key(),
    )


_ids = Sequence("orders_id_seq", increment=ID_BLOCK, metadata=metadata)
"""Consumers take ids from it themselves. It is the column's default only because Citus copies no other sequences to its
nodes."""
orders = Table(
    "orders",
    metadata,
    Column("id", BigInteger, _ids, primary_key=True, autoincrement=True, server_default=_ids.next_value()),
    _shard(),
    Column("order_uid", String(MAX_UID_LENGTH, collation="C"), nullable=False),
    *_columns(Order),
    *_source(),
    Column("stored_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint(*ORDER_UID_KEY),
)
deliveries = _child("deliveries", Delivery)
payments = _child("payments", Payment)
items = _child("items", Item, Column("position", SmallInteger, primary_key=True, autoincrement=False))
order_versions = Table(
    "order_versions",
    metadata,
    Column("order_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    _shard(),
    *_source(),
    Column("stored_at", DateTime(timezone=True), nullable=False),
    Column("replaced_at", DateTime(timezone=True), nullable=False),
    Column("changed_fields", ARRAY(Text)),
    _order_key(),
)
"""The versions of orders that were replaced, without their documents. `changed_fields` are the paths that the
replacement changed; NULL if the replaced document could not be read."""
erased = Table(
    "erased",
    metadata,
    Column("order_uid_hash", LargeBinary, primary_key=True),
    Column("erased_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""Erased orders, by the SHA-256 of their `order_uid`. Small, and read by every batch: a reference table on Citus, never
partitioned."""
schema_releases = Table(
    "schema_releases",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("revision", String(32), nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
"""Numbered revisions, so that an older image recognizes a newer schema without its scripts."""

# Lists are sorted by date and uid. The indexes leave out the uid: PostgreSQL sorts the few orders of one date itself,
# and an index without a unique column has duplicates, which take less space and WAL.
Index("orders_newest_idx", orders.c.date_created)
"""Serves `newest_statement`, `page_statement` without a filter, `OLDEST_EXPIRED` and `COUNT_EXPIRED`."""
Index("orders_customer_idx", orders.c.customer_id, orders.c.date_created)
"""Serves `page_statement` with the filter `customer_id`."""
Index("orders_track_idx", orders.c.track_number, orders.c.date_created)
"""Serves `page_statement` with the filter `track_number`."""
