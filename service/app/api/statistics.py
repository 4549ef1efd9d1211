"""The numbers of `/stats`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from service.app.api.dependencies import Dependency
from service.app.api.parts import Database, OrderCache
from service.errors import StorageUnavailable
from service.handler.http.event_broadcaster import EventBroadcaster
from service.handler.http.routes.stats import CacheStats, Dependencies, Stats, WarmUpStats, hit_ratio
from service.handler.kafka.client.group_lag import GroupLag, TopicDepths
from service.pkg.refreshing_value import RefreshingValue
from service.pkg.run_with_timeout import run_in_daemon_thread
from service.usecases.ports.reads import OrderCount
from service.usecases.warm_up import WarmUp

T = TypeVar("T")

REFRESH_INTERVAL_SECONDS: Final = 5.0
"""Interval at which the numbers are read from PostgreSQL and Kafka."""
TIMEOUT_SECONDS: Final = 1.0
DEPENDENCY_POLL_INTERVAL_SECONDS: Final = 0.5


class ApiStatistics:
    """Belongs to one event loop."""

    def __init__(
        self, database: Database, cache: OrderCache, broadcaster: EventBroadcaster, group_lag: GroupLag
    ) -> None:
        self._database = database
        self._cache = cache
        self._broadcaster = broadcaster
        self._group_lag = group_lag
        self._order_count = _refreshing(self._estimate_orders)
        self._topic_depths = _refreshing(self._read_topic_depths)
        self._postgresql, self._notifications, self._kafka = Dependency(), Dependency(), Dependency()

    async def read(self) -> Stats:
        order_count, topic_depths = await asyncio.gather(self._order_count.get(), self._topic_depths.get())
        lag, dead_letters = topic_depths or (None, None)
        return Stats(
            cache=_cache_stats(self._cache),
            warm_up=_warm_up_stats(self._cache.warm_up),
            stored=order_count.orders if order_count else None,
            stored_is_estimate=order_count is not None and order_count.is_estimate,
            stored_per_second=self._broadcaster.rate.per_second,
            event_clients=self._broadcaster.clients,
            lag=lag,
            dead_letters=dead_letters,
            dependencies=self._dependencies(),
        )

    async def poll_dependencies(self) -> None:
        """Record changes of their state until canceled."""
        while True:
            self._postgresql.set_state(is_up=self._database.is_reachable())
            self._notifications.set_state(is_up=self._database.listeners.is_verified)
            await asyncio.sleep(DEPENDENCY_POLL_INTERVAL_SECONDS)

    def _dependencies(self) -> Dependencies:
        return Dependencies(
            postgresql=self._postgresql.status,
            notifications=self._notifications.status,
            kafka=self._kafka.status,
        )

    async def _estimate_orders(self) -> OrderCount | None:
        try:
            return await self._database.reader.estimate()
        except StorageUnavailable:
            return None

    async def _read_topic_depths(self) -> TopicDepths | None:
        depths = await run_in_daemon_thread(self._group_lag.read_if_available)
        self._kafka.set_state(is_up=depths is not None)
        return depths


def _refreshing(load: Callable[[], Awaitable[T | None]]) -> RefreshingValue[T]:
    return RefreshingValue(load, interval_seconds=REFRESH_INTERVAL_SECONDS, timeout_seconds=TIMEOUT_SECONDS)


def _cache_stats(cache: OrderCache) -> CacheStats:
    lookup = cache.lookup
    return CacheStats(
        entries=len(cache.entries),
        bytes=cache.entries.size,
        hits=lookup.hits,
        misses=lookup.misses,
        hit_ratio=hit_ratio(lookup.hits, lookup.misses),
    )


def _warm_up_stats(warm_up: WarmUp) -> WarmUpStats:
    return WarmUpStats(is_over=warm_up.is_over, orders=warm_up.orders, seconds=warm_up.seconds)
