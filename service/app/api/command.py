"""`orders api`: starts the parts of the API in order, and stops them in reverse order."""

import argparse
import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from socket import socket
from typing import Final

import uvloop

from service.app.api.metrics import connect_metrics
from service.app.api.parts import ApiParts
from service.app.api.servers import admin_server, health_of, public_server
from service.app.api.wiring import build
from service.config import Settings
from service.errors import InvalidSettings
from service.handler.http.serve import Server, listen
from service.handler.kafka.client import properties
from service.pkg.exit_codes import ExitCode
from service.pkg.run_with_timeout import run_in_daemon_thread

FILES_POLL_INTERVAL_SECONDS: Final = 1.0
"""How often the files of API keys and of Kafka's password are checked for changes."""


def run(_args: argparse.Namespace, settings: Settings, _stop: object) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit code. Raises CommandFailed or InvalidSettings."""
    properties.verify(settings.kafka)
    if settings.http.port == settings.admin.port != 0 and settings.http.host == settings.admin.host:
        raise InvalidSettings("ORDERS_ADMIN__PORT: must differ from ORDERS_HTTP__PORT")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings))
    return ExitCode.DONE


async def _run(settings: Settings) -> None:
    parts = build(settings)
    connect_metrics(parts)
    http, admin = settings.http, settings.admin
    with listen(http.host, http.port) as api_port, listen(admin.host, admin.port) as admin_port:
        await Lifecycle(settings, parts).run(api_port, admin_port)


class Lifecycle:
    def __init__(self, settings: Settings, parts: ApiParts) -> None:
        self._settings = settings
        self._parts = parts
        self._stop = asyncio.Event()
        self._is_draining = False

    async def run(self, api_port: socket, admin_port: socket) -> None:
        """Start everything, wait for a stop signal, drain."""
        self._stop_at_signals()
        parts, database, log = self._parts, self._parts.database, self._parts.log
        health = health_of(self._settings.cache, parts, lambda: self._is_draining)
        async with AsyncExitStack() as running:
            start = running.enter_async_context
            await start(self._serving(admin_server(parts, health), admin_port))
            await database.pool.open()
            running.push_async_callback(database.pool.close)
            await start(self._in_background(database.listeners.run()))
            await start(self._in_background(database.listeners.watch()))
            await start(self._in_background(parts.stats.poll_dependencies()))
            await start(self._in_background(self._reload_files()))
            await start(self._in_background(self._warm_up()))
            await start(self._serving(public_server(self._settings.http, parts, health), api_port))
            log.info("serving", port=api_port.getsockname()[1], admin_port=admin_port.getsockname()[1])
            await self._stop.wait()
            log.info("draining")
            self._is_draining = True
            parts.broadcaster.close()

    async def _warm_up(self) -> None:
        """Warm the cache up, then exempt its objects from garbage collection."""
        cache = self._parts.cache
        await cache.warm_up.run(cache.changes.listening)
        gc.collect()
        gc.freeze()

    async def _reload_files(self) -> None:
        """Poll the files. If API keys change, disconnect all event streams, because their keys may be revoked.

        A thread reads the files, because a slow volume would stall the event loop.
        """
        reloader = self._parts.key_reloader
        while True:
            await asyncio.sleep(FILES_POLL_INTERVAL_SECONDS)
            await run_in_daemon_thread(self._parts.password_watch.check)
            if reloader is not None and await run_in_daemon_thread(reloader.check):
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
    async def _serving(self, server: Server, port: socket) -> AsyncIterator[None]:
        """Serve until the block ends, then drain. A failed server stops the API."""
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
