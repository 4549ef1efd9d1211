"""Readers of orders, on PostgreSQL and on the fake, with the orders that they read."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

from service.entities.order import Order
from service.entities.version import RecordCoordinates, VersionedOrder
from service.repo.reader.order_reader import PostgresOrderReader
from service.repo.reader.pool import ReadPool
from service.usecases.ports.reads import OrderReader
from tests.kit.factories import connection_settings
from tests.kit.fake_reader import FakeReader
from tests.kit.stores import writing

T = TypeVar("T")
Read = Callable[[OrderReader], Awaitable[T]]


class RealReads:
    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._settings = connection_settings(dsn, "tests", connect_timeout=2, statement_timeout=2)
        self._offsets = count()

    def store(self, *orders: Order) -> None:
        with writing(self._dsn) as writer:
            writer.store(
                [VersionedOrder(each, RecordCoordinates(1_000, 0, next(self._offsets), "orders")) for each in orders]
            )

    def read(self, read: Read[T]) -> T:
        async def run() -> T:
            pool = ReadPool(self._settings, 3)
            await pool.open()
            try:
                return await read(PostgresOrderReader(pool))
            finally:
                await pool.close()

        return asyncio.run(run())


class MemoryReads:
    def __init__(self) -> None:
        self._reader = FakeReader()

    def store(self, *orders: Order) -> None:
        self._reader.store(*orders)

    def read(self, read: Read[T]) -> T:
        async def run() -> T:
            return await read(self._reader)

        return asyncio.run(run())


Store = RealReads | MemoryReads


async def document(reader: OrderReader, uid: str) -> bytes | None:
    return (await reader.documents([uid]))[uid].document
