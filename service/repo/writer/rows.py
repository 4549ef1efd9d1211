"""Encodes orders as lines of COPY's text format, in the order of `line_columns`.

A line begins with the order's key, which is known only when the order is written: `order_key`.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from msgspec.structs import astuple

from service.entities.order import Order, Payment
from service.entities.version import RecordCoordinates, VersionedOrder
from service.pkg.timestamps import from_milliseconds
from service.repo.columns import DELIVERIES, ITEMS, ORDERS, PAYMENTS, TableColumns
from service.repo.shards import shard_of

BLOCK_CHARACTERS: Final = 2**19
"""Minimum size of a block, which is written to the connection in one call."""


class _Null(str):
    """COPY's NULL, compared by identity: a document may hold the same text."""

    __slots__ = ()


_NULL: Final = _Null(r"\N")

_ESCAPES: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def line_columns(table: TableColumns) -> tuple[str, ...]:
    """Return the columns of a line: the order's key, then the others."""
    order_id, *position, shard = table.key
    return (order_id, shard, *position, *table.columns)


def copy_statement(table: TableColumns) -> str:
    """Return the COPY statement that reads the lines of this module."""
    return f"COPY {table.name} ({', '.join(line_columns(table))}) FROM STDIN"


_ORDERS_LINE, _DELIVERIES_LINE, _PAYMENTS_LINE, _ITEMS_LINE = (
    "\t".join("%s" for _ in line_columns(table)[2:]) + "\n" for table in (ORDERS, DELIVERIES, PAYMENTS, ITEMS)
)
"""The `%` format of a line without the order's key."""


class CopyRows(NamedTuple):
    """The lines of an order in each table, without its key: one, and in `items` one per item.

    An empty text precedes them, so that `key.join` puts the key in front of each line.
    """

    orders: tuple[str, ...]
    deliveries: tuple[str, ...]
    payments: tuple[str, ...]
    items: tuple[str, ...]


class PreparedOrder(VersionedOrder, frozen=True):
    """An order whose lines were built ahead of the write."""

    rows: CopyRows


def copy_rows(order: Order, source: RecordCoordinates, *, is_plain_text: bool = False) -> CopyRows:
    """Return the lines of an order. `is_plain_text` promises that no text has a character that COPY escapes."""
    items = [_line(_ITEMS_LINE, (position, *astuple(item)), is_plain_text) for position, item in enumerate(order.items)]
    return CopyRows(
        ("", _line(_ORDERS_LINE, _order_values(order, source), is_plain_text)),
        ("", _line(_DELIVERIES_LINE, astuple(order.delivery), is_plain_text)),
        ("", _line(_PAYMENTS_LINE, _payment_values(order.payment), is_plain_text)),
        ("", *items),
    )


def order_key(order_id: int, order_uid: str) -> str:
    """Return the first columns of every line of an order."""
    return f"{order_id}\t{shard_of(order_uid)}\t"


def _order_values(order: Order, source: RecordCoordinates) -> tuple[Any, ...]:
    return (
        order.order_uid,
        order.track_number,
        order.entry,
        order.locale,
        _NULL if order.internal_signature is None else order.internal_signature,
        order.customer_id,
        order.delivery_service,
        order.shardkey,
        order.sm_id,
        order.date_created,
        order.oof_shard,
        source.topic,
        source.partition,
        source.offset,
        _record_time_text(source.timestamp_ms),
    )


def _payment_values(payment: Payment) -> tuple[Any, ...]:
    values = astuple(payment)
    return values if payment.request_id is not None else tuple(_NULL if value is None else value for value in values)


@lru_cache(1_024)
def _record_time_text(timestamp_ms: int) -> str:
    return str(from_milliseconds(timestamp_ms))


def _line(line_format: str, values: tuple[Any, ...], is_plain_text: bool) -> str:  # noqa: FBT001 - called for each row
    line = line_format % values
    if is_plain_text or _is_plain_text(line, len(values)):
        return line
    return line_format % tuple(map(_escaped, values))


def _is_plain_text(line: str, values: int) -> bool:
    return "\\" not in line and "\r" not in line and line.count("\t") == values - 1 and line.count("\n") == 1


def _escaped(value: Any) -> Any:
    return value if value is _NULL else str(value).translate(_ESCAPES)


def blocks(texts: Iterable[str], size: int = BLOCK_CHARACTERS) -> Iterator[bytes]:
    """Join lines into blocks of at least `size` characters; the last one may be shorter."""
    block: list[str] = []
    length = 0
    for text in texts:
        block.append(text)
        length += len(text)
        if length >= size:
            yield "".join(block).encode()
            block, length = [], 0
    if block:
        yield "".join(block).encode()
