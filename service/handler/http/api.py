"""The API as an ASGI application."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_fastapi_instrumentator.metrics import Info
from starlette.middleware.cors import CORSMiddleware
from structlog.typing import FilteringBoundLogger

from service.entities.order import Order
from service.handler.http.events.event_broadcaster import EventBroadcaster
from service.handler.http.openapi.document import HEADERS, openapi_factory, operation_id
from service.handler.http.responses.compression import CompressionMiddleware
from service.handler.http.responses.middleware import ResponseHeadersMiddleware
from service.handler.http.responses.problems import EXCEPTION_HANDLERS
from service.handler.http.responses.routing import METHODS
from service.handler.http.routes import (
    dead_letter_counts,
    dead_letter_replay,
    dead_letters,
    events,
    history,
    order_list,
    order_lookup,
    orders,
    page,
    probes,
    stats,
)
from service.handler.http.security.auth import KEY_HEADER, PUBLIC, Access, access
from service.handler.http.security.hosts import AllowedHosts, AllowedHostsMiddleware
from service.handler.http.security.keys import Keys, KeyScope
from service.usecases.bulk_lookup import BulkLookup
from service.usecases.dead_letter_view import WholeDeadLetter
from service.usecases.lookup import Lookup
from service.usecases.ports.dead_letters import DeadLetterReader
from service.usecases.ports.reads import OrderReader
from service.usecases.stats.view import Stats

if TYPE_CHECKING:
    from service.metrics import ApiMetrics


STRUCTS: Final = (
    Order,
    order_list.OrderList,
    order_lookup.LookUpOrders,
    order_lookup.LookedUpOrders,
    history.HistoryView,
    dead_letters.DeadLetterList,
    WholeDeadLetter,
    dead_letter_counts.CountsView,
    dead_letter_replay.ReplayDeadLetters,
    dead_letter_replay.ReplayedDeadLetters,
    events.Event,
    events.EventData,
    events.ResetData,
    Stats,
    probes.ProbeStatus,
)
"""The types of all bodies but problem details."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """The services behind the routes."""

    lookup: Lookup
    bulk_lookup: BulkLookup
    reader: OrderReader
    dead_letters: DeadLetterReader
    replay: dead_letter_replay.ReplayBackend
    broadcaster: EventBroadcaster
    stats: Callable[[], Awaitable[Stats]]


def create_app(
    backends: Backends,
    health: probes.Health,
    metrics: "ApiMetrics",
    log: FilteringBoundLogger,
    *,
    version: str,
    cors_origins: Sequence[str] = (),
    keys: Keys | None = None,
    allowed_hosts: Sequence[str] = (),
) -> FastAPI:
    """Return the application. Without `keys`, anyone can read orders, and dead letters are disabled."""
    app = _empty_app(version)
    _include_routes(app, backends, keys, log)
    _include(app, probes.router(health), PUBLIC)
    app.router.routes.extend(page.routes(page.page_folder()))
    app.openapi = openapi_factory(app, STRUCTS)  # type: ignore[method-assign]  # as FastAPI documents
    _instrument(app, metrics)
    app.add_middleware(CompressionMiddleware)
    if cors_origins:
        _allow_cross_origin(app, cors_origins)
    if allowed_hosts:
        app.add_middleware(AllowedHostsMiddleware, hosts=AllowedHosts(allowed_hosts))
    app.add_middleware(ResponseHeadersMiddleware, log=log)  # the last one added is the outermost
    return app


def _empty_app(version: str) -> FastAPI:
    return FastAPI(
        title="Orders",
        version=version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would copy the client's Host header into Location
        generate_unique_id_function=operation_id,
        exception_handlers=dict(EXCEPTION_HANDLERS),
    )


def _include_routes(app: FastAPI, backends: Backends, keys: Keys | None, log: FilteringBoundLogger) -> None:
    reading = access(keys, KeyScope.READ)
    reading_dead_letters = access(keys, KeyScope.DEAD_LETTERS)
    _include(app, orders.router(backends.lookup), reading)
    _include(app, order_list.router(backends.reader), reading)
    _include(app, order_lookup.router(backends.bulk_lookup), reading)
    _include(app, history.router(backends.reader), reading)
    _include(app, events.router(backends.broadcaster), reading)
    _include(app, stats.router(backends.stats), reading)
    _include(app, dead_letters.router(backends.dead_letters), reading_dead_letters)
    _include(app, dead_letter_counts.router(backends.dead_letters), reading_dead_letters)
    _include(app, dead_letter_replay.router(backends.replay, log), access(keys, KeyScope.REPLAY))


def _include(app: FastAPI, router: APIRouter, access: Access) -> None:
    for route in router.routes:
        if isinstance(route, APIRoute):
            route.openapi_extra = {**(route.openapi_extra or {}), "security": access.security}
    app.include_router(router, dependencies=access.dependencies)


def _instrument(app: FastAPI, metrics: "ApiMetrics") -> None:
    """Count requests by route template. All paths without a route share one label."""

    def count(info: Info) -> None:
        method = info.method if info.method in METHODS else "other"
        metrics.http.requests.labels(info.modified_handler, method, info.modified_status).inc()
        metrics.http.request_seconds.labels(info.modified_handler, method).observe(
            info.modified_duration_without_streaming
        )

    Instrumentator(should_group_status_codes=False, registry=metrics.registry).add(count).instrument(app)


def _allow_cross_origin(app: FastAPI, origins: Sequence[str]) -> None:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "HEAD", "POST"],
        allow_headers=[
            "Authorization",
            KEY_HEADER,
            "Content-Type",
            "Idempotency-Key",
            "If-None-Match",
            "Last-Event-ID",
            "X-Request-ID",
        ],
        expose_headers=[*HEADERS],
    )
