"""Orders as the lines that COPY reads (its text format), in the order of the tables' columns."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import astuple
from sqlalchemy import Table

from service.entities.order import Order
from service.entities.version import Source, Sourced

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_ESCAPES: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def copy_statement(table: Table) -> str:
    """Return the COPY that reads this module's lines; columns with a default of the server's are left to it."""
    columns = ", ".join(column.name for column in table.columns if column.server_default is None)
    return f"COPY {table.name} ({columns}) FROM STDIN"


def order_line(sourced: Sourced) -> str:
    order, source = sourced
    return _line(
        (
            order.order_uid,
            order.track_number,
            order.entry,
            order.locale,
            order.internal_signature,
            order.customer_id,
            order.delivery_service,
            order.shardkey,
            order.sm_id,
            order.date_created,
            order.oof_shard,
            source.topic,
            source.partition,
            source.offset,
            record_time(source),
        )
    )


def delivery_line(order: Order) -> str:
    return _line((order.order_uid, *astuple(order.delivery)))


def payment_line(order: Order) -> str:
    return _line((order.order_uid, *astuple(order.payment)))


def item_lines(order: Order) -> Iterator[str]:
    for position, item in enumerate(order.items):
        yield _line((order.order_uid, position, *astuple(item)))


def record_time(source: Source) -> datetime:
    return _EPOCH + timedelta(milliseconds=source.timestamp_ms)


def _line(values: tuple[Any, ...]) -> str:
    """Join the columns; the rare line that needs escapes or holds an absent value is built anew."""
    line = "\t".join(map(str, values))
    if UNSET in values or "\\" in line or line.count("\t") >= len(values) or "\n" in line or "\r" in line:
        line = "\t".join(map(_escaped, values))
    return f"{line}\n"


def _escaped(value: Any) -> str:
    return r"\N" if value is UNSET else str(value).translate(_ESCAPES)


def blocks(lines: Iterable[str], size: int = 1 << 16) -> Iterator[bytes]:
    """Gather lines to blocks of at least `size` characters, the last one less."""
    block: list[str] = []
    length = 0
    for line in lines:
        block.append(line)
        length += len(line)
        if length >= size:
            yield "".join(block).encode()
            block, length = [], 0
    if block:
        yield "".join(block).encode()
