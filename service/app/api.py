"""`orders api`: creates the API's parts, starts them in order, and stops them in reverse order."""

import argparse
import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from socket import socket
from typing import Final

import structlog
import uvloop
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from starlette.types import ASGIApp

from service.app import shared
from service.app.dependencies import Dependency
from service.app.notification_handler import NotificationHandler
from service.config import Settings
from service.errors import InvalidKeysFile, InvalidSettings, StorageUnavailable
from service.handler.http.admin import admin_app
from service.handler.http.api import Backends, create_app
from service.handler.http.event_broadcaster import EventBroadcaster
from service.handler.http.fastpath.protocol import ConnectionLimits
from service.handler.http.fastpath.responder import CacheResponder
from service.handler.http.keys import KeyReloader, Keys
from service.handler.http.routes.probes import Health
from service.handler.http.routes.stats import CacheStats, Dependencies, Stats, WarmUpStats, hit_ratio
from service.handler.http.serve import Server, listen
from service.handler.kafka.client import properties
from service.handler.kafka.client.group_lag import GroupLag, TopicDepths
from service.handler.kafka.dead_letters.browse import Browser
from service.pkg.lru import Lru
from service.pkg.refreshing_value import RefreshingValue
from service.pkg.ttl_set import TTLSet
from service.repo.listener import Listener
from service.repo.reads import PostgresOrderReader
from service.usecases.lookup import Lookup
from service.usecases.ports import OrderCount
from service.usecases.warm_up import WarmUp

STATS_MAX_AGE_SECONDS: Final = 5.0
"""Maximum age of the numbers from PostgreSQL and Kafka in `/stats`."""
STATS_TIMEOUT_SECONDS: Final = 1.0
DEPENDENCY_POLL_INTERVAL_SECONDS: Final = 0.5
MAX_CONCURRENT_REQUESTS: Final = 1_000
"""Concurrent requests of the application, without event streams and cache hits on the fast path."""
KEYS_POLL_INTERVAL_SECONDS: Final = 1.0
"""How often the file of API keys is checked for changes."""


def run(_args: argparse.Namespace, settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit code. Raises PortUnavailable or InvalidSettings."""
    properties.verify(settings.kafka)
    if settings.http.port == settings.admin.port != 0 and settings.http.host == settings.admin.host:
        raise InvalidSettings("ORDERS_ADMIN__PORT: must differ from ORDERS_HTTP__PORT")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Api(settings).run())


class Api:
    """The composition root of the API, and its lifecycle."""

    def __init__(self, settings: Settings) -> None:
        cache, http, postgres = settings.cache, settings.http, settings.postgres
        self.settings = settings
        self.keys = _keys(settings)
        self.log = structlog.get_logger("orders.api")
        self.metrics = shared.new_metrics("api")
        self.stop = asyncio.Event()
        self.is_draining = False
        self.reads = PostgresOrderReader(shared.connection_settings(postgres, "orders-api"), postgres.pool_size)
        self.cache = Lru(cache.max_entries, cache.max_bytes, self.metrics.cache_evictions.inc)
        self.lookup = Lookup(
            self.reads,
            self.cache,
            TTLSet(cache.max_negative_entries, cache.negative_ttl),
            max_stale=cache.max_stale,
            on_hit=self.metrics.cache_hits.labels().inc,
            on_miss=self.metrics.cache_misses.inc,
        )
        self.broadcaster = EventBroadcaster(
            http.event_buffer_size, http.max_event_clients, self.metrics.event_clients_dropped.inc
        )
        self.notification_handler = NotificationHandler(
            self.lookup, self.reads, self.broadcaster, self.metrics.cache_invalidations.inc
        )
        self.listener = Listener(
            postgres.listen_dsn or postgres.dsn,
            self.reads,
            self.notification_handler.callbacks(
                on_repeated_timeouts=lambda: self.warm_up.stop_waiting("not receiving notifications")
            ),
            self.log,
            heartbeat=settings.listener.heartbeat,
            connect_timeout=postgres.connect_timeout,
        )
        self.lookup.suspend_caching(can_read=True)  # until the first heartbeat arrives
        self.warm_up = WarmUp(self.lookup, cache.warm_up_size, cache.warm_deadline, self.log, self.on_warm)
        self.order_count = RefreshingValue(self.estimate_orders, STATS_MAX_AGE_SECONDS, STATS_TIMEOUT_SECONDS)
        self.group_lag = _group_lag(settings)
        self.topic_depths = RefreshingValue(self.read_topic_depths, STATS_MAX_AGE_SECONDS, STATS_TIMEOUT_SECONDS)
        self.dead_letters = Browser(partial(_dead_letter_consumer, settings), settings.kafka.dead_letter_topic)
        self.postgresql, self.notifications, self.kafka = Dependency(), Dependency(), Dependency()
        self.register_gauges()

    async def run(self) -> int:
        http, admin = self.settings.http, self.settings.admin
        with listen(http.host, http.port) as api_port, listen(admin.host, admin.port) as admin_port:
            await self.serve(api_port, admin_port)
        return 0

    async def serve(self, api_port: socket, admin_port: socket) -> None:
        """Start everything, wait for a stop signal, drain."""
        self.stop_at_signals()
        http = self.settings.http
        build_info = shared.build_info("api")
        backends = Backends(self.lookup, self.reads, self.dead_letters, self.broadcaster, self.stats, self.health())
        app = create_app(
            backends,
            self.metrics,
            self.log,
            version=build_info["version"],
            cors_origins=http.cors_origins,
            keys=self.keys,
        )
        admin = admin_app(backends.health, self.metrics.registry, build_info, self.log)
        async with AsyncExitStack() as running:
            start = running.enter_async_context
            await start(self.serving(admin, admin_port, 1, ConnectionLimits()))
            await self.reads.open()
            running.push_async_callback(self.reads.close)
            await start(self.in_background(self.listener.run()))
            await start(self.in_background(self.listener.watch()))
            await start(self.in_background(self.poll_dependencies()))
            if self.keys:
                await start(self.in_background(self.reload_keys(self.keys)))
            await start(self.in_background(self.warm_up.run(self.notification_handler.listening)))
            limits = ConnectionLimits(
                http.max_header_bytes,
                http.max_connections,
                http.keep_alive,
                http.max_buffered_bytes,
                http.max_event_clients + MAX_CONCURRENT_REQUESTS,
            )
            responder = CacheResponder(self.lookup, self.metrics, limits.max_head_bytes, self.keys)
            await start(self.serving(app, api_port, http.drain_timeout, limits, responder))
            self.log.info("serving", port=api_port.getsockname()[1], admin_port=admin_port.getsockname()[1])
            await self.stop.wait()
            self.log.info("draining")
            self.is_draining = True
            self.broadcaster.close()

    def stop_at_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop.set)

    async def reload_keys(self, keys: Keys) -> None:
        """Poll the file of API keys. On a change disconnect all event streams, because their keys may be revoked."""
        reloader = KeyReloader(keys, self.log)
        while True:
            await asyncio.sleep(KEYS_POLL_INTERVAL_SECONDS)
            if reloader.check():
                self.broadcaster.disconnect_all()

    def on_warm(self) -> None:
        """Record the warm-up, and exempt the objects that exist now from garbage collection."""
        self.metrics.warm_up_orders.set(self.warm_up.orders)
        self.metrics.warm_up_seconds.set(self.warm_up.seconds or 0)
        gc.collect()
        gc.freeze()

    def health(self) -> Health:
        informative = {"database": self.has_database, "notifications": lambda: self.listener.is_verified}
        ready = {"warm-up": lambda: self.warm_up.is_over, "not draining": lambda: not self.is_draining}
        if not self.settings.cache.ready_without_database:
            ready["database"] = self.has_database
        return Health({"loop": lambda: True}, ready, {"warm-up": lambda: self.warm_up.is_over}, informative)

    def has_database(self) -> bool:
        return self.listener.is_verified or self.reads.is_reachable

    async def estimate_orders(self) -> OrderCount | None:
        try:
            return await self.reads.estimate()
        except StorageUnavailable:
            return None

    async def stats(self) -> Stats:
        lookup, cache, warm_up = self.lookup, self.cache, self.warm_up
        order_count, topic_depths = await asyncio.gather(self.order_count.get(), self.topic_depths.get())
        lag, dead_letters = topic_depths or (None, None)
        return Stats(
            CacheStats(len(cache), cache.size, lookup.hits, lookup.misses, hit_ratio(lookup.hits, lookup.misses)),
            WarmUpStats(warm_up.is_over, warm_up.orders, warm_up.seconds),
            order_count.orders if order_count else None,
            order_count is not None and order_count.is_estimate,
            self.broadcaster.rate.per_second,
            self.broadcaster.clients,
            lag,
            dead_letters,
            Dependencies(self.postgresql.status, self.notifications.status, self.kafka.status),
        )

    async def read_topic_depths(self) -> TopicDepths | None:
        depths = await asyncio.to_thread(self.group_lag.read)
        self.kafka.set_state(is_up=depths is not None)
        return depths

    async def poll_dependencies(self) -> None:
        while True:
            self.postgresql.set_state(is_up=self.has_database())
            self.notifications.set_state(is_up=self.listener.is_verified)
            await asyncio.sleep(DEPENDENCY_POLL_INTERVAL_SECONDS)

    def register_gauges(self) -> None:
        """Compute these gauges on each scrape."""
        metrics = self.metrics
        metrics.cache_entries.set_function(lambda: len(self.cache))
        metrics.cache_bytes.set_function(lambda: self.cache.size)
        metrics.pool_waiting.set_function(lambda: self.reads.waiting)
        metrics.event_clients.set_function(lambda: self.broadcaster.clients)
        if keys := self.keys:
            metrics.api_keys.set_function(lambda: len(keys))
            metrics.api_keys_file_errors.set_function(lambda: len(keys.problems))
        metrics.dependency_up.labels("postgresql").set_function(self.has_database)
        metrics.dependency_up.labels("notifications").set_function(lambda: self.listener.is_verified)

    def start_task(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Run `work` in a task whose error stops the API."""
        task = asyncio.create_task(work)
        task.add_done_callback(self.stop_if_failed)
        return task

    def stop_if_failed(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception():
            self.stop.set()

    @asynccontextmanager
    async def serving(
        self,
        app: ASGIApp,
        port: socket,
        drain_seconds: float,
        limits: ConnectionLimits,
        responder: CacheResponder | None = None,
    ) -> AsyncIterator[None]:
        """Serve until the block ends, then drain. A failed server stops the API."""
        on_drop = self.metrics.http_clients_dropped.inc
        server = Server(app, drain_seconds=drain_seconds, limits=limits, responder=responder, on_drop=on_drop)
        task = self.start_task(server.serve(port))
        try:
            yield
        finally:
            server.should_exit = True
            await task

    @asynccontextmanager
    async def in_background(self, work: Coroutine[None, None, None]) -> AsyncIterator[None]:
        """Run `work` until the block ends. An error stops the API and is raised at the end of the block."""
        task = self.start_task(work)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _group_lag(settings: Settings) -> GroupLag:
    kafka = settings.kafka
    # Without logs: an unreachable Kafka would log every second, although the API does not depend on it.
    client = properties.common(kafka) | {"log_level": 0}
    group = partial(Consumer, client | {"group.id": kafka.group_id, "enable.auto.commit": False})
    return GroupLag(partial(AdminClient, client), group, kafka.topic, kafka.dead_letter_topic)


def _dead_letter_consumer(settings: Settings) -> Consumer:
    return Consumer(properties.dead_letter_browser(settings.kafka))


def _keys(settings: Settings) -> Keys | None:
    path = settings.auth.keys_file
    try:
        return None if path is None else Keys(path)
    except InvalidKeysFile as error:
        raise InvalidSettings(f"ORDERS_AUTH__KEYS_FILE: {error}") from None
