"""A fake OrderReader; `tests/integration/test_order_reader.py` runs the same contract on it and on the real one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

import msgspec

from service.entities.changes import changed_fields
from service.entities.order import Order
from service.entities.version import RecordCoordinates
from service.errors import OrdersTooLarge, StorageUnavailable
from service.usecases.ports.reads import (
    OrderCount,
    OrderHistory,
    OrderVersion,
    Page,
    PageCursor,
    PageQuery,
    ReadResult,
    Snapshot,
)

STORED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When every order was stored."""


class FakeReader:
    """Orders in memory, as the compact JSON of an encoder. While `is_unreachable`, every call fails.

    A query takes its snapshot when it starts, and ends when `gate` is set.
    """

    def __init__(self, *orders: Order) -> None:
        self.orders: dict[str, Order] = {}
        self._versions: dict[str, list[OrderVersion]] = {}
        self._offsets = count()
        self.erased: dict[str, datetime] = {}
        """When these orders were erased."""
        self.store(*orders)
        self.is_unreachable = False
        self.replay_lsn: int | None = None
        """The replay LSN of a standby; None: a primary."""
        self.batches: list[list[str]] = []
        """The uids of each query of documents."""
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def queries(self) -> list[str]:
        """The uids of all queries of documents."""
        return [uid for uids in self.batches for uid in uids]

    def store(self, *orders: Order) -> None:
        for order in orders:
            stored = self.orders.get(order.order_uid)
            source = RecordCoordinates(1_000, 0, next(self._offsets), "orders")
            version = OrderVersion(source, STORED_AT, changed_fields(stored, order) if stored else None)
            self._versions.setdefault(order.order_uid, []).insert(0, version)
            self.orders[order.order_uid] = order

    async def documents(self, uids: Sequence[str]) -> dict[str, ReadResult]:
        self.batches.append([*uids])
        return await self._by_uid(_document, uids)

    async def summaries(self, uids: Sequence[str]) -> dict[str, ReadResult]:
        return await self._by_uid(_summary, uids)

    async def _by_uid(self, encode: Callable[[Order], bytes], uids: Sequence[str]) -> dict[str, ReadResult]:
        snapshot, replay_lsn = self._snapshot(), self.replay_lsn
        await self.gate.wait()
        self._snapshot()
        return {uid: ReadResult(encode(snapshot[uid]) if uid in snapshot else None, replay_lsn) for uid in uids}

    async def documents_within(self, uids: Sequence[str], max_bytes: int) -> dict[str, ReadResult]:
        found = await self.documents(uids)
        if sum(len(each.document or b"") for each in found.values()) > max_bytes:
            raise OrdersTooLarge
        return found

    @asynccontextmanager
    async def newest(self, count: int) -> AsyncIterator[Snapshot]:
        orders = sorted(self._snapshot().values(), key=_age, reverse=True)[:count]
        yield Snapshot(self._stream(orders), self.replay_lsn)

    async def page(self, query: PageQuery) -> Page:
        found = [order for order in sorted(self._snapshot().values(), key=_age, reverse=True) if _matches(order, query)]
        last = found[query.limit - 1] if len(found) > query.limit else None
        following = PageCursor(_created_us(last), last.order_uid) if last else None
        return Page([_summary(order) for order in found[: query.limit]], following)

    async def history(self, uid: str) -> OrderHistory | None:
        if uid not in self._snapshot():
            return None
        return OrderHistory(len(self._versions[uid]) - 1, self._versions[uid])

    async def erased_at(self, uid: str) -> datetime | None:
        self._snapshot()
        return self.erased.get(uid)

    async def estimate(self) -> OrderCount:
        return OrderCount(len(self._snapshot()), is_estimate=False)

    async def _stream(self, orders: Sequence[Order]) -> AsyncIterator[tuple[str, bytes]]:
        for order in orders:
            await self.gate.wait()
            yield order.order_uid, _document(order)

    def _snapshot(self) -> Mapping[str, Order]:
        if self.is_unreachable:
            raise StorageUnavailable("unreachable")
        return dict(self.orders)


def _document(order: Order) -> bytes:
    return msgspec.json.encode(order)


def _age(order: Order) -> tuple[int, str]:
    return _created_us(order), order.order_uid


def _created_us(order: Order) -> int:
    return round(order.date_created.timestamp() * 1_000_000)


def _matches(order: Order, query: PageQuery) -> bool:
    return (
        (query.after is None or _age(order) < query.after)
        and query.customer_id in {None, order.customer_id}
        and query.track_number in {None, order.track_number}
        and (query.created_from is None or order.date_created >= query.created_from)
        and (query.created_to is None or order.date_created < query.created_to)
    )


def _summary(order: Order) -> bytes:
    return msgspec.json.encode(
        {
            "order_uid": order.order_uid,
            "track_number": order.track_number,
            "date_created": order.date_created,
            "stored_at": STORED_AT,
            "delivery_service": order.delivery_service,
            "amount": order.payment.amount,
            "currency": order.payment.currency,
            "items": len(order.items),
        }
    )
