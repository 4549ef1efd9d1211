"""Runs ASGI applications by uvicorn, on sockets that are opened before anything else is."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from service.entities.errors import PortUnavailable
from service.handler.http.fastpath.protocol import SEND_BUFFER_BYTES, ConnectionLimits, limited
from service.handler.http.fastpath.responder import CacheResponder

BACKLOG: Final = 2_048
_ABANDON_AFTER_MS: Final = 60_000
"""A peer that takes nothing for this long is cut off by the kernel: a dropped stream leaves no buffer behind."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises PortUnavailable."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise PortUnavailable(f"can't listen on {host} port {port}: {error.strerror or error}") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES // 2)  # Linux doubles it
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _ABANDON_AFTER_MS)
    return listener


class Server(uvicorn.Server):
    """Serves until `should_exit` is set; then running requests may take `drain_seconds`. Leaves signals alone.

    Plain requests for what `hits` hold never reach the application. `on_drop` is called for each connection that is
    closed because its client is too slow.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        drain_seconds: float,
        limits: ConnectionLimits | None = None,
        hits: CacheResponder | None = None,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=limited(limits or ConnectionLimits(), hits, on_drop),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",  # the frame logs what fails, without a trace
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, round(drain_seconds)),
            )
        )

    async def serve(self, listener: socket.socket | list[socket.socket] | None = None) -> None:
        await super().serve([listener] if isinstance(listener, socket.socket) else listener)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
