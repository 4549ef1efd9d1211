"""Encodes orders as lines of COPY's text format, in the order of the tables' columns.

The first column is the order's id, which is known only when the order is written: `with_id` adds it.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from msgspec.structs import astuple

from service.entities.order import Order, Payment
from service.entities.version import RecordCoordinates
from service.repo.columns import DELIVERIES, ITEMS, ORDERS, PAYMENTS, TableColumns
from service.repo.shards import shard_of

BLOCK_CHARACTERS: Final = 2**19
"""Minimum size of a block, which is written to the connection at once."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _Null(str):
    """COPY's NULL, compared by identity: a document may hold the same text."""

    __slots__ = ()


_NULL: Final = _Null(r"\N")

_ESCAPES: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def copy_statement(table: TableColumns) -> str:
    """Return the COPY statement that reads the lines of this module."""
    return f"COPY {table.name} ({', '.join(table.written)}) FROM STDIN"


def _line_format(table: TableColumns) -> str:
    """Return the `%` format of a line without the id."""
    return "\t".join("%s" for _ in table.written[1:]) + "\n"


_ORDERS_LINE, _DELIVERIES_LINE, _PAYMENTS_LINE, _ITEMS_LINE = map(_line_format, (ORDERS, DELIVERIES, PAYMENTS, ITEMS))


class CopyRows(NamedTuple):
    """The lines of an order in each table, without its id: one, and in `items` one per item."""

    orders: str
    deliveries: str
    payments: str
    items: str


def copy_rows(order: Order, source: RecordCoordinates, *, needs_no_escaping: bool = False) -> CopyRows:
    """Return the lines of an order. `needs_no_escaping` promises that no text has a character that COPY escapes."""
    shard = shard_of(order.order_uid)
    return CopyRows(
        _line(_ORDERS_LINE, _order_values(shard, order, source), needs_no_escaping),
        _line(_DELIVERIES_LINE, (shard, *astuple(order.delivery)), needs_no_escaping),
        _line(_PAYMENTS_LINE, _payment_values(shard, order.payment), needs_no_escaping),
        "".join(
            [
                _line(_ITEMS_LINE, (position, shard, *astuple(item)), needs_no_escaping)
                for position, item in enumerate(order.items)
            ]
        ),
    )


def with_id(lines: str, order_id: int) -> str:
    """Return the lines of an order in one table with its id. Line breaks in texts are escaped, so each ends a line."""
    separator = f"\n{order_id}\t"
    return separator[1:] + lines[:-1].replace("\n", separator) + "\n"


def _order_values(shard: int, order: Order, source: RecordCoordinates) -> tuple[Any, ...]:
    return (
        shard,
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


def _payment_values(shard: int, payment: Payment) -> tuple[Any, ...]:
    if payment.request_id is not None:
        return (shard, *astuple(payment))
    return (shard, *(_NULL if value is None else value for value in astuple(payment)))


def record_time(timestamp_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=timestamp_ms)


@lru_cache(1_024)
def _record_time_text(timestamp_ms: int) -> str:
    return str(record_time(timestamp_ms))


def _line(line_format: str, values: tuple[Any, ...], needs_no_escaping: bool) -> str:  # noqa: FBT001 - called for each row
    line = line_format % values
    if needs_no_escaping or _needs_no_escaping(line, len(values)):
        return line
    return line_format % tuple(map(_escaped, values))


def _needs_no_escaping(line: str, values: int) -> bool:
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
