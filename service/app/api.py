"""`orders api`: its parts, started in the order of the lines and stopped in reverse."""

import argparse
import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
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
from service.config import Settings
from service.entities.errors import InvalidKeysFile, InvalidSettings, StorageUnavailable
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
from service.repo.listener import Listener, ListenerCallbacks
from service.repo.reads import OrderReads
from service.usecases.lookup import Lookup
from service.usecases.ports import OrderCount
from service.usecases.warm_up import WarmUp

FIGURE_SECONDS: Final = 5.0
"""How old a figure of PostgreSQL or Kafka may be that `/stats` tells."""
FIGURE_PATIENCE_SECONDS: Final = 1.0
DEPENDENCIES_SECONDS: Final = 0.5
"""How often it is noted whether PostgreSQL is reached."""
REQUESTS_AT_ONCE: Final = 1_000
"""Requests that the application works on, event streams apart; hits of the fast path are none."""
KEYS_SECONDS: Final = 1.0
"""How often the file of API keys is read."""


def run(_args: argparse.Namespace, settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit code. Raises PortUnavailable or InvalidSettings."""
    properties.verify(settings.kafka)
    if settings.http.port == settings.admin.port != 0 and settings.http.host == settings.admin.host:
        raise InvalidSettings("ORDERS_ADMIN__PORT: must differ from ORDERS_HTTP__PORT")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Api(settings).run())


class Api:
    """The parts of the API, made in the order in which they need each other."""

    def __init__(self, settings: Settings) -> None:
        cache, http, postgres = settings.cache, settings.http, settings.postgres
        self.settings = settings
        self.keys = _keys(settings)
        self.log = structlog.get_logger("orders.api")
        self.metrics = shared.new_metrics("api")
        self.stop = asyncio.Event()
        self.listening = asyncio.Event()
        self.verified_at: datetime | None = None
        """Every notification sent before has been received."""
        self.is_draining = False
        self.reads = OrderReads(shared.access(postgres, "orders-api"), postgres.pool_size)
        self.cache = Lru(cache.max_entries, cache.max_bytes, self.metrics.cache_evictions.inc)
        self.lookup = Lookup(
            self.reads,
            self.cache,
            TTLSet(cache.negative_entries, cache.negative_ttl),
            max_stale=cache.max_stale,
            on_hit=self.metrics.cache_hits.labels().inc,
            on_miss=self.metrics.cache_misses.inc,
        )
        self.feed = EventBroadcaster(http.event_buffer_size, http.event_clients, self.metrics.event_clients_dropped.inc)
        self.listener = Listener(
            postgres.listen_dsn or postgres.dsn,
            self.reads,
            self.listener_callbacks(),
            self.log,
            heartbeat=settings.listener.heartbeat,
            connect_timeout=postgres.connect_timeout,
        )
        self.lookup.suspend_caching(can_read=True)  # until the first heartbeat arrives
        self.warm_up = WarmUp(self.lookup, cache.warm_up_size, cache.warm_deadline, self.log, self.settle)
        self.stored = RefreshingValue(self.estimate, FIGURE_SECONDS, FIGURE_PATIENCE_SECONDS)
        self.watch = _watch(settings)
        self.dead_letters = Browser(partial(_dead_letter_consumer, settings), settings.kafka.dead_letter_topic)
        self.postgresql, self.notifications, self.kafka = Dependency(), Dependency(), Dependency()
        self.read = RefreshingValue(self.ask_kafka, FIGURE_SECONDS, FIGURE_PATIENCE_SECONDS)
        self.observe()

    async def run(self) -> int:
        http, admin = self.settings.http, self.settings.admin
        with listen(http.host, http.port) as api_port, listen(admin.host, admin.port) as admin_port:
            await self.serve(api_port, admin_port)
        return 0

    async def serve(self, api_port: socket, admin_port: socket) -> None:
        """Start everything, wait for the request to stop, drain."""
        self.stop_at_signals()
        http = self.settings.http
        about = shared.about("api")
        backends = Backends(self.lookup, self.reads, self.dead_letters, self.feed, self.figures, self.health())
        app = create_app(
            backends, self.metrics, self.log, version=about["version"], cors_origins=http.cors_origins, keys=self.keys
        )
        admin = admin_app(backends.health, self.metrics.registry, about, self.log)
        async with AsyncExitStack() as running:
            start = running.enter_async_context
            await start(self.serving(admin, admin_port, 1, ConnectionLimits()))
            await self.reads.open()
            running.push_async_callback(self.reads.close)
            await start(self.in_background(self.listener.run()))
            await start(self.in_background(self.listener.watch()))
            await start(self.in_background(self.note_dependencies()))
            if self.keys:
                await start(self.in_background(self.renew(self.keys)))
            await start(self.in_background(self.warm_up.run(self.listening)))
            limits = ConnectionLimits(
                http.max_header_bytes,
                http.max_connections,
                http.keep_alive,
                http.max_buffered_bytes,
                http.event_clients + REQUESTS_AT_ONCE,
            )
            responder = CacheResponder(self.lookup, self.metrics, limits.max_head_bytes, self.keys)
            await start(self.serving(app, api_port, http.drain_timeout, limits, responder))
            self.log.info("serving", port=api_port.getsockname()[1], admin_port=admin_port.getsockname()[1])
            await self.stop.wait()
            self.log.info("draining")
            self.is_draining = True
            self.feed.close()

    def stop_at_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop.set)

    async def renew(self, keys: Keys) -> None:
        """Look at the file of keys now and then. When they change all streams end, for theirs may be gone."""
        renewal = KeyReloader(keys, self.log)
        while True:
            await asyncio.sleep(KEYS_SECONDS)
            if renewal.check():
                self.feed.disconnect_all()

    def listener_callbacks(self) -> ListenerCallbacks:
        return ListenerCallbacks(
            on_listen=self.on_listen,
            on_lsn=self.lookup.advance,
            on_verified=self.on_verified,
            on_notify=self.on_notify,
            on_disconnect=self.on_disconnect,
            on_repeated_timeouts=lambda: self.warm_up.stop_waiting("not receiving notifications"),
        )

    def on_listen(self, lsn: int) -> None:
        self.lookup.invalidate_all(lsn)
        self.metrics.cache_invalidations.inc()
        self.feed.reset(self.verified_at)
        self.feed.rate.restart()
        self.listening.set()

    def on_verified(self, at: float) -> None:
        self.lookup.mark_verified(at)
        self.verified_at = datetime.now(UTC)
        self.feed.rate.observe()

    def on_notify(self, new: list[str], changed: list[str]) -> None:
        self.lookup.invalidate(new)
        self.lookup.invalidate(changed)
        self.feed.publish("stored", new)
        self.feed.publish("replaced", changed)

    def on_disconnect(self, can_read: bool) -> None:  # noqa: FBT001 - a callback with one argument
        self.listening.clear()
        self.feed.rate.restart()
        self.reads.is_reachable &= can_read
        self.lookup.suspend_caching(can_read=can_read)

    def settle(self) -> None:
        """Keep the collector from looking again at what is there now and stays."""
        self.metrics.warm_up_orders.set(self.warm_up.orders)
        self.metrics.warm_up_seconds.set(self.warm_up.seconds or 0)
        gc.collect()
        gc.freeze()

    def health(self) -> Health:
        told = {"database": self.has_database, "notifications": lambda: self.listener.is_verified}
        ready = {"warm-up": lambda: self.warm_up.is_over, "not draining": lambda: not self.is_draining}
        if not self.settings.cache.ready_without_database:
            ready["database"] = self.has_database
        return Health({"loop": lambda: True}, ready, {"warm-up": lambda: self.warm_up.is_over}, told)

    def has_database(self) -> bool:
        return self.listener.is_verified or self.reads.is_reachable

    async def estimate(self) -> OrderCount | None:
        try:
            return await self.reads.estimate()
        except StorageUnavailable:
            return None

    async def figures(self) -> Stats:
        lookup, cache, warm_up = self.lookup, self.cache, self.warm_up
        stored, read = await asyncio.gather(self.stored.get(), self.read.get())
        lag, dead_letters = read or (None, None)
        return Stats(
            CacheStats(len(cache), cache.size, lookup.hits, lookup.misses, hit_ratio(lookup.hits, lookup.misses)),
            WarmUpStats(warm_up.is_over, warm_up.orders, warm_up.seconds),
            stored.orders if stored else None,
            stored is not None and stored.is_estimate,
            self.feed.rate.per_second,
            self.feed.clients,
            lag,
            dead_letters,
            Dependencies(self.postgresql.figures, self.notifications.figures, self.kafka.figures),
        )

    async def ask_kafka(self) -> TopicDepths | None:
        read = await asyncio.to_thread(self.watch.read)
        self.kafka.note(is_up=read is not None)
        return read

    async def note_dependencies(self) -> None:
        while True:
            self.postgresql.note(is_up=self.has_database())
            self.notifications.note(is_up=self.listener.is_verified)
            await asyncio.sleep(DEPENDENCIES_SECONDS)

    def observe(self) -> None:
        """Let the gauges look when they are asked."""
        metrics = self.metrics
        metrics.cache_entries.set_function(lambda: len(self.cache))
        metrics.cache_bytes.set_function(lambda: self.cache.size)
        metrics.pool_waiting.set_function(lambda: self.reads.waiting)
        metrics.event_clients.set_function(lambda: self.feed.clients)
        if keys := self.keys:
            metrics.api_keys.set_function(lambda: len(keys))
            metrics.api_keys_file_errors.set_function(lambda: len(keys.problems))
        metrics.dependency_up.labels("postgresql").set_function(self.has_database)
        metrics.dependency_up.labels("notifications").set_function(lambda: self.listener.is_verified)

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
        """Serve until the block ends; running requests may end then. If it fails, everything stops."""
        on_drop = self.metrics.http_clients_dropped.inc
        server = Server(app, drain_seconds=drain_seconds, limits=limits, responder=responder, on_drop=on_drop)
        task = asyncio.create_task(server.serve(port))
        task.add_done_callback(self.stop_if_failed)
        try:
            yield
        finally:
            server.should_exit = True
            await task

    @asynccontextmanager
    async def in_background(self, work: Coroutine[None, None, None]) -> AsyncIterator[None]:
        """Run it until the block ends; if it fails, everything stops and the error is raised."""
        task = asyncio.create_task(work)
        task.add_done_callback(self.stop_if_failed)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _watch(settings: Settings) -> GroupLag:
    kafka = settings.kafka
    # Without logs: while Kafka is away there would be one a second, about something that nothing here depends on.
    quiet = properties.common(kafka) | {"log_level": 0}
    group = partial(Consumer, quiet | {"group.id": kafka.group_id, "enable.auto.commit": False})
    return GroupLag(partial(AdminClient, quiet), group, kafka.topic, kafka.dead_letter_topic)


def _dead_letter_consumer(settings: Settings) -> Consumer:
    return Consumer(properties.dead_letter_browser(settings.kafka))


def _keys(settings: Settings) -> Keys | None:
    path = settings.auth.keys_file
    try:
        return None if path is None else Keys(path)
    except InvalidKeysFile as error:
        raise InvalidSettings(f"ORDERS_AUTH__KEYS_FILE: {error}") from None
