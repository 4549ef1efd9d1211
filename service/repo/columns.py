"""The names of tables and columns, derived from the order document. `tables.py` adds types and keys.

A separate module, because only migrations need SQLAlchemy, which takes longer to import than a whole consumer.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from msgspec import Struct, structs

from service.entities.order import Delivery, Item, Order, Payment

_NESTED: Final = {"order_uid", "delivery", "payment", "items"}


class TableColumns(NamedTuple):
    """A table and the columns of its rows, in this order; columns with a default are left out."""

    name: str
    key: tuple[str, ...]
    """The primary key."""
    columns: tuple[str, ...] = ()
    optional: Collection[str] = ()
    """The columns that are NULL if the document lacks their field."""


def fields(document: type[Struct]) -> tuple[str, ...]:
    """Return the fields of a document that are columns of its table, without the key."""
    return tuple(name for name in document.__struct_fields__ if name not in _NESTED)


def optional_fields(document: type[Struct]) -> tuple[str, ...]:
    """Return the fields of a document that may be absent."""
    return tuple(field.name for field in structs.fields(document) if not field.required)


SOURCE: Final = ("source_topic", "source_partition", "source_offset", "source_timestamp")

ORDERS: Final = TableColumns("orders", ("id", "shard"), ("order_uid", *fields(Order), *SOURCE), optional_fields(Order))
DELIVERIES: Final = TableColumns("deliveries", ("order_id", "shard"), fields(Delivery), optional_fields(Delivery))
PAYMENTS: Final = TableColumns("payments", ("order_id", "shard"), fields(Payment), optional_fields(Payment))
ITEMS: Final = TableColumns("items", ("order_id", "position", "shard"), fields(Item), optional_fields(Item))
ORDER_VERSIONS: Final = TableColumns(
    "order_versions", ("order_id", "number", "shard"), (*SOURCE, "stored_at", "replaced_at", "changed_fields")
)
ERASED: Final = TableColumns("erased", ("order_uid_hash",))
ID_BLOCK: Final = 1_000
"""Ids that each value of the sequence `orders_id_seq` reserves: the sequence's increment."""
ORDER_UID_KEY: Final = ("order_uid", "shard")
"""The unique key of orders besides the primary key."""
TABLES: Final = (ORDERS, DELIVERIES, PAYMENTS, ITEMS, ORDER_VERSIONS, ERASED)
