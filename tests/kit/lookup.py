"""Lookups of orders with a fake reader and a fake clock."""

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from service.entities.order import Order
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.bulk_lookup import BulkLookup
from service.usecases.cached_orders import CachedOrders
from service.usecases.lookup import Lookup, LookupResult
from service.usecases.staleness import Staleness
from tests.kit.factories import order
from tests.kit.fake_reader import FakeReader
from tests.kit.waiting import until_idle

OLD = order(order_uid="uid", locale="old")
NEW = replace(OLD, locale="new")

INVALIDATIONS: list[Callable[[CachedOrders], None]] = [
    lambda cached: cached.invalidate(["uid"]),
    lambda cached: cached.invalidate_all(0),
]
"""Of the order `uid`."""


class LookupSetup:
    """Lookups that share a cache, with a fake reader and a fake clock."""

    def __init__(self, *orders: Order, max_stale: float | None = None) -> None:
        self.now = 100.0
        self.reader = FakeReader(*orders)
        self.cache = Lru(1_000, 2**30)
        self.cached = CachedOrders(self.cache, TTLSet(1_000, 2, self._clock), Staleness(max_stale, self._clock))
        self.cached.invalidate_all(0)  # notifications arrive
        self.lookup = Lookup(self.reader, self.cached)
        self.bulk_lookup = BulkLookup(self.reader, self.cached)

    def _clock(self) -> float:
        return self.now

    async def ask(self, uid: str = "uid") -> "asyncio.Task[LookupResult | None]":
        """Start a request, and let it send its query."""
        request = asyncio.create_task(self.lookup.find(uid))
        await until_idle()
        return request

    async def locale(self, uid: str = "uid") -> str | None:
        return locale_of(await self.lookup.find(uid))

    async def is_hit(self, uid: str = "uid") -> bool:
        found = await self.lookup.find(uid)
        return found is not None and found.is_hit


def locale_of(found: LookupResult | None) -> str | None:
    if found is None:
        return None
    return "old" if b'"locale":"old"' in bytes(found.body) else "new"
