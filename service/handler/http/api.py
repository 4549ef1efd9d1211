"""The API as an ASGI application, put together from what it is given."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_fastapi_instrumentator.metrics import Info
from starlette.middleware.cors import CORSMiddleware
from structlog.typing import FilteringBoundLogger

from service.handler.http.auth import KEY_HEADER, OFF, required
from service.handler.http.keys import Keys, Scope
from service.handler.http.middleware import ResponseHeadersMiddleware
from service.handler.http.openapi import documented, operation_id
from service.handler.http.problems import HANDLERS
from service.handler.http.routes import dead_letters, orders, page, probes, stats
from service.handler.http.routes import events as feed
from service.usecases.lookup import Lookup
from service.usecases.ports import DeadLetterReader, OrderReader

if TYPE_CHECKING:
    from service.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes answer from."""

    lookup: Lookup
    reader: OrderReader
    dead_letters: DeadLetterReader
    feed: feed.EventBroadcaster
    figures: Callable[[], Awaitable[stats.Figures]]
    health: probes.Health


def api(
    parts: Parts,
    metrics: "Metrics",
    log: FilteringBoundLogger,
    *,
    version: str,
    cors_origins: Sequence[str] = (),
    keys: Keys | None = None,
) -> FastAPI:
    """Return the application; it opens nothing and starts nothing. Without keys everybody may read orders."""
    app = FastAPI(
        title="Orders",
        version=version,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # every path has one spelling, and no Location is made of a client's Host header
        generate_unique_id_function=operation_id,
        exception_handlers=dict(HANDLERS),
    )
    reading = required(keys, Scope.READ)
    app.include_router(orders.router(parts.lookup, parts.reader), dependencies=reading)
    app.include_router(feed.router(parts.feed), dependencies=reading)
    app.include_router(stats.router(parts.figures), dependencies=reading)
    app.include_router(dead_letters.router(parts.dead_letters), dependencies=required(keys, Scope.DEAD_LETTERS) or OFF)
    app.router.routes.extend([*probes.routes(parts.health), *page.routes(page.built())])
    app.openapi = documented(app)  # type: ignore[method-assign]  # FastAPI's documented way
    _measure(app, metrics)
    if cors_origins:
        _allow(app, cors_origins)
    app.add_middleware(ResponseHeadersMiddleware, log=log)  # the last one added is the outermost
    return app


def _measure(app: FastAPI, metrics: "Metrics") -> None:
    """Count requests by their route's template; paths without a route are one."""

    def count(info: Info) -> None:
        method = info.method if info.method in {"GET", "HEAD"} else "other"
        metrics.http_requests.labels(info.modified_handler, method, info.modified_status).inc()
        metrics.http_request_seconds.labels(info.modified_handler, method).observe(
            info.modified_duration_without_streaming
        )

    Instrumentator(should_group_status_codes=False, registry=metrics.registry).add(count).instrument(app)


def _allow(app: FastAPI, origins: Sequence[str]) -> None:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "HEAD"],
        allow_headers=["Authorization", KEY_HEADER, "If-None-Match", "Last-Event-ID", "X-Request-ID"],
        expose_headers=["ETag", "Retry-After", "X-Cache", "X-Request-ID"],
    )
