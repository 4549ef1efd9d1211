"""The numbers of `/stats`, and the metrics that are read on each scrape."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from operator import attrgetter
from typing import Final, TypeVar

from service.app.api.dependencies import Dependency
from service.app.api.parts import ApiParts, OrderCache
from service.errors import StorageUnavailable
from service.handler.http.routes.stats import CacheStats, Dependencies, Stats, WarmUpStats, hit_ratio
from service.handler.kafka.client.group_lag import TopicDepths
from service.pkg.refreshing_value import RefreshingValue
from service.pkg.run_with_timeout import run_in_daemon_thread
from service.usecases.ports import OrderCount
from service.usecases.warm_up import WarmUp

T = TypeVar("T")

REFRESH_INTERVAL_SECONDS: Final = 5.0
"""Interval at which the numbers are read from PostgreSQL and Kafka."""
TIMEOUT_SECONDS: Final = 1.0
DEPENDENCY_POLL_INTERVAL_SECONDS: Final = 0.5


class ApiStatistics:
    """Belongs to one event loop."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._order_count = _refreshing(self._estimate_orders)
        self._topic_depths = _refreshing(self._read_topic_depths)
        self._postgresql, self._notifications, self._kafka = Dependency(), Dependency(), Dependency()

    async def read(self) -> Stats:
        parts = self._parts
        order_count, topic_depths = await asyncio.gather(self._order_count.get(), self._topic_depths.get())
        lag, dead_letters = topic_depths or (None, None)
        return Stats(
            cache=_cache_stats(parts.cache),
            warm_up=_warm_up_stats(parts.cache.warm_up),
            stored=order_count.orders if order_count else None,
            stored_is_estimate=order_count is not None and order_count.is_estimate,
            stored_per_second=parts.broadcaster.rate.per_second,
            event_clients=parts.broadcaster.clients,
            lag=lag,
            dead_letters=dead_letters,
            dependencies=self._dependencies(),
        )

    async def poll_dependencies(self) -> None:
        """Record changes of their state until canceled."""
        while True:
            self._postgresql.set_state(is_up=self._parts.database.is_reachable())
            self._notifications.set_state(is_up=self._parts.database.listeners.is_verified)
            await asyncio.sleep(DEPENDENCY_POLL_INTERVAL_SECONDS)

    def _dependencies(self) -> Dependencies:
        return Dependencies(
            postgresql=self._postgresql.status,
            notifications=self._notifications.status,
            kafka=self._kafka.status,
        )

    async def _estimate_orders(self) -> OrderCount | None:
        try:
            return await self._parts.database.reader.estimate()
        except StorageUnavailable:
            return None

    async def _read_topic_depths(self) -> TopicDepths | None:
        depths = await run_in_daemon_thread(self._parts.kafka.group_lag.read_if_available)
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


def connect_metrics(parts: ApiParts) -> None:
    """Read these metrics from the parts on each scrape."""
    metrics, cache, database = parts.metrics, parts.cache, parts.database
    metrics.cache.hits.set_function(lambda: cache.lookup.hits)
    metrics.cache.misses.set_function(lambda: cache.lookup.misses)
    metrics.cache.entries.set_function(lambda: len(cache.entries))
    metrics.cache.bytes.set_function(lambda: cache.entries.size)
    metrics.cache.warm_up_orders.set_function(lambda: cache.warm_up.orders)
    metrics.cache.warm_up_seconds.set_function(lambda: cache.warm_up.seconds or 0)
    metrics.postgresql.pool_waiting.set_function(lambda: database.reader.waiting)
    metrics.events.clients.set_function(lambda: parts.broadcaster.clients)
    if keys := parts.keys:
        metrics.api_keys.accepted.set_function(lambda: len(keys))
        metrics.api_keys.file_errors.set_function(lambda: len(keys.problems))
    metrics.dependency_up.labels("postgresql").set_function(database.is_reachable)
    metrics.dependency_up.labels("notifications").set_function(lambda: database.listeners.is_verified)
    for listener in database.listeners.members:
        metrics.postgresql.listener_up.labels(listener.server).set_function(
            partial(attrgetter("is_verified"), listener)
        )
