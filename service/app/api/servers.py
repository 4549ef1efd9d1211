"""Creates the two servers of the API, for the public and the admin port."""

from collections.abc import Callable
from typing import Final

from service.app.api.parts import ApiParts
from service.app.build_info import build_info
from service.config import CacheSettings, HttpSettings
from service.handler.http.admin import admin_app
from service.handler.http.api import create_app
from service.handler.http.fastpath.protocol import ConnectionLimits
from service.handler.http.fastpath.responder import CacheResponder
from service.handler.http.routes.probes import Health
from service.handler.http.security.hosts import AllowedHosts
from service.handler.http.serve import Server

MAX_CONCURRENT_REQUESTS: Final = 1_000
"""Concurrent requests of the application, without event streams and cache hits on the fast path."""
ADMIN_DRAIN_SECONDS: Final = 1.0
"""How long running requests of the admin port may take to finish."""


def public_server(settings: HttpSettings, parts: ApiParts, health: Health) -> Server:
    limits = _connection_limits(settings)
    app = create_app(
        parts.backends,
        health,
        parts.metrics,
        parts.log,
        version=build_info("api")["version"],
        cors_origins=settings.cors_origins,
        keys=parts.keys,
        allowed_hosts=settings.allowed_hosts,
    )
    responder = CacheResponder(
        parts.cache.orders, parts.metrics, limits.max_head_bytes, parts.keys, AllowedHosts(settings.allowed_hosts)
    )
    on_drop = parts.metrics.http.clients_dropped.inc
    return Server(app, drain_seconds=settings.drain_timeout, limits=limits, responder=responder, on_drop=on_drop)


def admin_server(parts: ApiParts, health: Health) -> Server:
    app = admin_app(health, parts.metrics.registry, build_info("api"), parts.log)
    on_drop = parts.metrics.http.clients_dropped.inc
    return Server(app, drain_seconds=ADMIN_DRAIN_SECONDS, limits=ConnectionLimits(), on_drop=on_drop)


def health_of(settings: CacheSettings, parts: ApiParts, is_draining: Callable[[], bool]) -> Health:
    database, warm_up = parts.database.status, parts.cache.warm_up
    informational = {"database": lambda: database.is_reachable, "notifications": lambda: database.sends_notifications}
    started = {"warm-up": lambda: warm_up.is_over}
    ready = started | {"not draining": lambda: not is_draining()}
    if not settings.ready_without_database:
        ready["database"] = lambda: database.is_reachable
    alive = {"loop": lambda: True}  # the response itself shows that the event loop runs
    return Health(live=alive, ready=ready, started=started, informational=informational)


def _connection_limits(settings: HttpSettings) -> ConnectionLimits:
    return ConnectionLimits(
        max_head_bytes=settings.max_header_bytes,
        max_connections=settings.max_connections,
        keep_alive_seconds=settings.keep_alive,
        max_buffered_bytes=settings.max_buffered_bytes,
        max_requests=settings.max_event_clients + MAX_CONCURRENT_REQUESTS,
    )
