"""The names of tables and columns, derived from the order document. `tables.py` adds types and keys.

A module of its own because only migrations need SQLAlchemy, which takes longer to import than a whole consumer.
"""

from typing import Final, NamedTuple

from msgspec import Struct

from service.entities.order import Delivery, Item, Order, Payment

_NESTED: Final = {"order_uid", "delivery", "payment", "items"}


class TableColumns(NamedTuple):
    """The columns of an INSERT, in this order. Other columns have a default."""

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...] = ()

    @property
    def written(self) -> tuple[str, ...]:
        return self.key + self.columns


def fields(document: type[Struct]) -> tuple[str, ...]:
    """Return the fields of a document that are columns of its table, without the key."""
    return tuple(name for name in document.__struct_fields__ if name not in _NESTED)


SOURCE: Final = ("source_topic", "source_partition", "source_offset", "source_timestamp")

ORDERS: Final = TableColumns("orders", ("order_uid",), fields(Order) + SOURCE)
DELIVERIES: Final = TableColumns("deliveries", ("order_uid",), fields(Delivery))
PAYMENTS: Final = TableColumns("payments", ("order_uid",), fields(Payment))
ITEMS: Final = TableColumns("items", ("order_uid", "position"), fields(Item))
ERASED: Final = TableColumns("erased", ("order_uid_hash",))
TABLES: Final = (ORDERS, DELIVERIES, PAYMENTS, ITEMS, ERASED)
