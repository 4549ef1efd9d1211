"""`orders api`: starts the parts of the API in order, and stops them in reverse order."""

import argparse
import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from socket import socket
from typing import Final

import uvloop
from starlette.types import ASGIApp

from service.app.api.parts import ApiParts, build
from service.app.api.statistics import ApiStatistics, register_gauges
from service.app.build_info import build_info
from service.config import Settings
from service.errors import InvalidSettings
from service.handler.http.admin import admin_app
from service.handler.http.api import Backends, create_app
from service.handler.http.fastpath.protocol import ConnectionLimits
from service.handler.http.fastpath.responder import CacheResponder
from service.handler.http.keys import KeyReloader, Keys
from service.handler.http.routes.probes import Health
from service.handler.http.serve import Server, listen
from service.handler.kafka.client import properties
from service.pkg.exit_codes import ExitCode

MAX_CONCURRENT_REQUESTS: Final = 1_000
"""Concurrent requests of the application, without event streams and cache hits on the fast path."""
ADMIN_DRAIN_SECONDS: Final = 1.0
"""How long running requests of the admin port may take to finish."""
KEYS_POLL_INTERVAL_SECONDS: Final = 1.0
"""How often the file of API keys is checked for changes."""


def run(_args: argparse.Namespace, settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit code. Raises PortUnavailable or InvalidSettings."""
    properties.verify(settings.kafka)
    if settings.http.port == settings.admin.port != 0 and settings.http.host == settings.admin.host:
        raise InvalidSettings("ORDERS_ADMIN__PORT: must differ from ORDERS_HTTP__PORT")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings))
    return ExitCode.DONE


async def _run(settings: Settings) -> None:
    parts = build(settings)
    register_gauges(parts)
    http, admin = settings.http, settings.admin
    with listen(http.host, http.port) as api_port, listen(admin.host, admin.port) as admin_port:
        await Lifecycle(parts).run(api_port, admin_port)


class Lifecycle:
    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._statistics = ApiStatistics(parts)
        self._stop = asyncio.Event()
        self._is_draining = False

    async def run(self, api_port: socket, admin_port: socket) -> None:
        """Start everything, wait for a stop signal, drain."""
        self._stop_at_signals()
        parts, log, health = self._parts, self._parts.log, self._health()
        async with AsyncExitStack() as running:
            start = running.enter_async_context
            admin = admin_app(health, parts.metrics.registry, build_info("api"), log)
            await start(self._serving(admin, admin_port, ADMIN_DRAIN_SECONDS, ConnectionLimits()))
            await parts.reader.open()
            running.push_async_callback(parts.reader.close)
            await start(self._in_background(parts.listeners.run()))
            await start(self._in_background(parts.listeners.watch()))
            await start(self._in_background(self._statistics.poll_dependencies()))
            if parts.keys:
                await start(self._in_background(self._reload_keys(parts.keys)))
            await start(self._in_background(parts.warm_up.run(parts.changes.listening)))
            limits = _connection_limits(parts.settings)
            responder = CacheResponder(parts.lookup, parts.metrics, limits.max_head_bytes, parts.keys)
            drain_timeout = parts.settings.http.drain_timeout
            await start(self._serving(self._app(health), api_port, drain_timeout, limits, responder))
            log.info("serving", port=api_port.getsockname()[1], admin_port=admin_port.getsockname()[1])
            await self._stop.wait()
            log.info("draining")
            self._is_draining = True
            parts.broadcaster.close()

    def _app(self, health: Health) -> ASGIApp:
        parts = self._parts
        return create_app(
            Backends(parts.lookup, parts.reader, parts.dead_letters, parts.broadcaster, self._statistics.read, health),
            parts.metrics,
            parts.log,
            version=build_info("api")["version"],
            cors_origins=parts.settings.http.cors_origins,
            keys=parts.keys,
        )

    def _health(self) -> Health:
        parts = self._parts
        informative = {"database": parts.has_database, "notifications": lambda: parts.listeners.is_verified}
        ready = {"warm-up": lambda: parts.warm_up.is_over, "not draining": lambda: not self._is_draining}
        if not parts.settings.cache.ready_without_database:
            ready["database"] = parts.has_database
        alive = {"loop": lambda: True}  # the response itself shows that the event loop runs
        return Health(alive, ready, {"warm-up": lambda: parts.warm_up.is_over}, informative)

    async def _reload_keys(self, keys: Keys) -> None:
        """Poll the file of API keys. On a change disconnect all event streams, because their keys may be revoked."""
        reloader = KeyReloader(keys, self._parts.log)
        while True:
            await asyncio.sleep(KEYS_POLL_INTERVAL_SECONDS)
            if reloader.check():
                self._parts.broadcaster.disconnect_all()

    def _stop_at_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)

    def _start_task(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Run `work` in a task whose error stops the API."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._stop_if_failed)
        return task

    def _stop_if_failed(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception():
            self._stop.set()

    @asynccontextmanager
    async def _serving(
        self,
        app: ASGIApp,
        port: socket,
        drain_seconds: float,
        limits: ConnectionLimits,
        responder: CacheResponder | None = None,
    ) -> AsyncIterator[None]:
        """Serve until the block ends, then drain. A failed server stops the API."""
        on_drop = self._parts.metrics.http.clients_dropped.inc
        server = Server(app, drain_seconds=drain_seconds, limits=limits, responder=responder, on_drop=on_drop)
        task = self._start_task(server.serve(port))
        try:
            yield
        finally:
            server.should_exit = True
            await task

    @asynccontextmanager
    async def _in_background(self, work: Coroutine[None, None, None]) -> AsyncIterator[None]:
        """Run `work` until the block ends. An error stops the API and is raised at the end of the block."""
        task = self._start_task(work)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _connection_limits(settings: Settings) -> ConnectionLimits:
    http = settings.http
    return ConnectionLimits(
        http.max_header_bytes,
        http.max_connections,
        http.keep_alive,
        http.max_buffered_bytes,
        http.max_event_clients + MAX_CONCURRENT_REQUESTS,
    )
