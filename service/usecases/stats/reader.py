"""The numbers of `/stats`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.errors import StorageUnavailable
from service.pkg.lru import Lru
from service.pkg.rate import Rate
from service.usecases.cached_orders import CachedOrders
from service.usecases.database_status import DatabaseStatus
from service.usecases.ports.reads import OrderCount, OrderReader
from service.usecases.ports.stats import PoolUsage
from service.usecases.stats.dependency import Dependency
from service.usecases.stats.group import GroupStatsReader
from service.usecases.stats.refreshing import refreshing
from service.usecases.stats.view import (
    CacheStats,
    ConnectionPool,
    Dependencies,
    ProcessInfo,
    Stats,
    WarmUpStats,
    hit_ratio,
)
from service.usecases.warm_up import WarmUp

DEPENDENCY_POLL_INTERVAL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsSources:
    """What the statistics describe. `stored` is the rate of changed orders."""

    process: ProcessInfo
    entries: Lru
    cached: CachedOrders
    warm_up: WarmUp
    stored: Rate
    event_clients: Callable[[], int]
    database: DatabaseStatus
    orders: OrderReader
    group: GroupStatsReader


class StatsReader:
    """Belongs to one event loop."""

    def __init__(self, sources: StatsSources) -> None:
        self._sources = sources
        self._order_count = refreshing(self._estimate_orders)
        self._postgresql, self._notifications = Dependency(), Dependency()

    async def read(self) -> Stats:
        sources = self._sources
        order_count, group = await asyncio.gather(self._order_count.get(), sources.group.read())
        return Stats(
            process=sources.process,
            cache=_cache_stats(sources.entries, sources.cached),
            warm_up=_warm_up_stats(sources.warm_up),
            stored=order_count.orders if order_count else None,
            stored_is_estimate=order_count is not None and order_count.is_estimate,
            stored_per_second=sources.stored.per_second,
            event_clients=sources.event_clients(),
            pool=_pool(sources.database.pool_usage),
            lag=group.lag,
            partitions=group.partitions,
            consumers=group.consumers,
            dead_letters=group.dead_letters,
            dependencies=Dependencies(
                postgresql=self._postgresql.status, notifications=self._notifications.status, kafka=group.kafka
            ),
        )

    async def poll_dependencies(self) -> None:
        """Record changes of their state until canceled."""
        database = self._sources.database
        while True:
            self._postgresql.set_state(is_up=database.is_reachable)
            self._notifications.set_state(is_up=database.sends_notifications)
            await asyncio.sleep(DEPENDENCY_POLL_INTERVAL_SECONDS)

    async def _estimate_orders(self) -> OrderCount | None:
        try:
            return await self._sources.orders.estimate()
        except StorageUnavailable:
            return None


def _cache_stats(entries: Lru, cached: CachedOrders) -> CacheStats:
    return CacheStats(
        entries=len(entries),
        bytes=entries.size,
        hits=cached.hits,
        misses=cached.misses,
        hit_ratio=hit_ratio(cached.hits, cached.misses),
    )


def _warm_up_stats(warm_up: WarmUp) -> WarmUpStats:
    return WarmUpStats(is_over=warm_up.is_over, orders=warm_up.orders, seconds=warm_up.seconds)


def _pool(pool: PoolUsage) -> ConnectionPool:
    return ConnectionPool(
        max_size=pool.max_size, size=pool.size, in_use=pool.size - pool.available, waiting=pool.waiting
    )
