"""Probes, metrics and version on the admin port, in both modes."""

import asyncio
from collections.abc import Callable, Mapping
from threading import Thread
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from structlog.typing import FilteringBoundLogger

from service.handler.http.responses.middleware import ResponseHeadersMiddleware
from service.handler.http.responses.problems import EXCEPTION_HANDLERS
from service.handler.http.routes import probes
from service.handler.http.serve import Server, listen

if TYPE_CHECKING:
    import socket

STOP_TIMEOUT_SECONDS: Final = 5


def admin_app(
    health: probes.Health, registry: CollectorRegistry, build_info: Mapping[str, str], log: FilteringBoundLogger
) -> Starlette:
    """Return the application of the admin port. `/version` returns `build_info`."""

    async def metrics(request: Request) -> Response:
        encode, media_type = _encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": media_type})

    async def version(_request: Request) -> Response:
        return JSONResponse(dict(build_info))

    return Starlette(
        routes=[
            *probes.routes(health),
            Route("/metrics", metrics, methods=["GET"]),
            Route("/version", version, methods=["GET"]),
        ],
        middleware=[Middleware(ResponseHeadersMiddleware, log=log)],
        exception_handlers=dict(EXCEPTION_HANDLERS),
    )


def _encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """Return the encoder of the format that the client accepts, and its media type."""
    try:
        return choose_encoder(accept)
    except TypeError:  # prometheus_client cannot compare a version such as "1.0.0" in quotation marks
        return choose_encoder("")


class AdminServer:
    """Serves an ASGI application in its own thread, for a process without an event loop."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._server = Server(app, drain_seconds=STOP_TIMEOUT_SECONDS)
        self._thread: Thread | None = None
        self._host = host
        self.port = port
        """The port to listen on. After `start`, the actual port if this was 0."""

    def start(self) -> None:
        """Start to listen, without blocking. Raises CommandFailed."""
        listener = listen(self._host, self.port)
        self.port = listener.getsockname()[1]
        self._thread = Thread(target=self._run, args=(listener,), name="admin", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Block until running requests have ended, at most STOP_TIMEOUT_SECONDS."""
        self._server.should_exit = True
        if self._thread:
            self._thread.join(STOP_TIMEOUT_SECONDS)

    def _run(self, listener: "socket.socket") -> None:
        asyncio.run(self._server.serve(listener))
