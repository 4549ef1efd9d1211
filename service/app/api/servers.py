"""Creates the two servers of the API, for the public and the admin port."""

from collections.abc import Callable
from typing import Final

from service.app.api.wiring import ApiParts
from service.app.build_info import build_info
from service.config import Settings
from service.handler.http.admin import admin_app
from service.handler.http.api import Backends, create_app
from service.handler.http.fastpath.protocol import ConnectionLimits
from service.handler.http.fastpath.responder import CacheResponder
from service.handler.http.routes.probes import Health
from service.handler.http.serve import Server
from service.usecases.bulk_lookup import BulkLookup
from service.usecases.lookup import Lookup

MAX_CONCURRENT_REQUESTS: Final = 1_000
"""Concurrent requests of the application, without event streams and cache hits on the fast path."""
ADMIN_DRAIN_SECONDS: Final = 1.0
"""How long running requests of the admin port may take to finish."""


def public_server(parts: ApiParts, health: Health) -> Server:
    http, limits = parts.settings.http, _connection_limits(parts.settings)
    cached, reader = parts.cache.orders, parts.database.reader
    backends = Backends(
        lookup=Lookup(reader, cached),
        bulk_lookup=BulkLookup(reader, cached),
        reader=reader,
        dead_letters=parts.dead_letters,
        replay=parts.replay,
        broadcaster=parts.broadcaster,
        stats=parts.stats.read,
        health=health,
    )
    app = create_app(
        backends,
        parts.metrics,
        parts.log,
        version=build_info("api")["version"],
        cors_origins=http.cors_origins,
        keys=parts.keys,
    )
    responder = CacheResponder(cached, parts.metrics, limits.max_head_bytes, parts.keys)
    on_drop = parts.metrics.http.clients_dropped.inc
    return Server(app, drain_seconds=http.drain_timeout, limits=limits, responder=responder, on_drop=on_drop)


def admin_server(parts: ApiParts, health: Health) -> Server:
    app = admin_app(health, parts.metrics.registry, build_info("api"), parts.log)
    on_drop = parts.metrics.http.clients_dropped.inc
    return Server(app, drain_seconds=ADMIN_DRAIN_SECONDS, limits=ConnectionLimits(), on_drop=on_drop)


def health_of(parts: ApiParts, is_draining: Callable[[], bool]) -> Health:
    database, warm_up = parts.database, parts.cache.warm_up
    informational = {"database": lambda: database.is_reachable, "notifications": lambda: database.listeners.is_verified}
    started = {"warm-up": lambda: warm_up.is_over}
    ready = started | {"not draining": lambda: not is_draining()}
    if not parts.settings.cache.ready_without_database:
        ready["database"] = lambda: database.is_reachable
    alive = {"loop": lambda: True}  # the response itself shows that the event loop runs
    return Health(live=alive, ready=ready, started=started, informational=informational)


def _connection_limits(settings: Settings) -> ConnectionLimits:
    http = settings.http
    return ConnectionLimits(
        max_head_bytes=http.max_header_bytes,
        max_connections=http.max_connections,
        keep_alive_seconds=http.keep_alive,
        max_buffered_bytes=http.max_buffered_bytes,
        max_requests=http.max_event_clients + MAX_CONCURRENT_REQUESTS,
    )
