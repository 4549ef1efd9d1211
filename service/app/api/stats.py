"""The numbers of `/stats`."""

import asyncio
from typing import Final

from service.app.api.dependencies import Dependency
from service.app.api.group_stats import GroupStatsReader
from service.app.api.parts import Database, OrderCache
from service.app.api.refreshing import refreshing
from service.errors import StorageUnavailable
from service.handler.http.events.event_broadcaster import EventBroadcaster
from service.handler.http.routes.stats import (
    CacheStats,
    ConnectionPool,
    Dependencies,
    ProcessInfo,
    Stats,
    WarmUpStats,
    hit_ratio,
)
from service.usecases.ports.reads import OrderCount
from service.usecases.warm_up import WarmUp

DEPENDENCY_POLL_INTERVAL_SECONDS: Final = 0.5


class StatsReader:
    """Belongs to one event loop."""

    def __init__(
        self,
        process: ProcessInfo,
        database: Database,
        cache: OrderCache,
        broadcaster: EventBroadcaster,
        group: GroupStatsReader,
    ) -> None:
        self._process = process
        self._database = database
        self._cache = cache
        self._broadcaster = broadcaster
        self._group = group
        self._order_count = refreshing(self._estimate_orders)
        self._postgresql, self._notifications = Dependency(), Dependency()

    async def read(self) -> Stats:
        order_count, group = await asyncio.gather(self._order_count.get(), self._group.read())
        return Stats(
            process=self._process,
            cache=_cache_stats(self._cache),
            warm_up=_warm_up_stats(self._cache.warm_up),
            stored=order_count.orders if order_count else None,
            stored_is_estimate=order_count is not None and order_count.is_estimate,
            stored_per_second=self._broadcaster.rate.per_second,
            event_clients=self._broadcaster.clients,
            pool=_pool(self._database),
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
        while True:
            self._postgresql.set_state(is_up=self._database.is_reachable)
            self._notifications.set_state(is_up=self._database.listeners.is_verified)
            await asyncio.sleep(DEPENDENCY_POLL_INTERVAL_SECONDS)

    async def _estimate_orders(self) -> OrderCount | None:
        try:
            return await self._database.reader.estimate()
        except StorageUnavailable:
            return None


def _cache_stats(cache: OrderCache) -> CacheStats:
    return CacheStats(
        entries=len(cache.entries),
        bytes=cache.entries.size,
        hits=cache.orders.hits,
        misses=cache.orders.misses,
        hit_ratio=hit_ratio(cache.orders.hits, cache.orders.misses),
    )


def _warm_up_stats(warm_up: WarmUp) -> WarmUpStats:
    return WarmUpStats(is_over=warm_up.is_over, orders=warm_up.orders, seconds=warm_up.seconds)


def _pool(database: Database) -> ConnectionPool:
    pool = database.pool.usage
    return ConnectionPool(
        max_size=pool.max_size, size=pool.size, in_use=pool.size - pool.available, waiting=pool.waiting
    )
