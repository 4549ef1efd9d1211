"""Runs ASGI applications with uvicorn, on sockets that the caller has opened."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from service.errors import CommandFailed
from service.handler.http.fastpath.protocol import (
    SEND_BUFFER_BYTES,
    ConnectionContext,
    ConnectionLimits,
    protocol_class,
)
from service.handler.http.fastpath.responder import CacheResponder

LISTEN_BACKLOG: Final = 2_048
"""Connections that the kernel accepts before the server does."""
TCP_USER_TIMEOUT_MS: Final = 60_000
"""The kernel closes a connection whose client has acknowledged no data for this long, and frees its send buffer."""

_ALL_ADDRESSES: Final = "::"

CANCEL_TIMEOUT_SECONDS: Final = 1.0
"""How long requests that are canceled at the drain timeout may take to answer 503."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. On `::`, it accepts IPv4, too.

    Raises CommandFailed if the port is in use or not permitted.
    """
    try:
        listener = _listen_on_all(port) if host == _ALL_ADDRESSES else _listen_on(host, port)
    except OSError as error:
        raise CommandFailed(f"cannot listen on {host} port {port}: {error.strerror or error}") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES // 2)  # Linux doubles it
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
    return listener


def _listen_on(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=family, backlog=LISTEN_BACKLOG)


def _listen_on_all(port: int) -> socket.socket:
    """Listen on all addresses: IPv6 and IPv4, or IPv4 alone where the kernel has no IPv6."""
    if not socket.has_dualstack_ipv6():
        return _listen_on("0.0.0.0", port)  # noqa: S104 - that is asked for
    address = _ALL_ADDRESSES, port
    return socket.create_server(address, family=socket.AF_INET6, dualstack_ipv6=True, backlog=LISTEN_BACKLOG)


class Server(uvicorn.Server):
    """Serves until `should_exit` is set, then drains for up to `drain_seconds`. Installs no signal handlers.

    `responder` answers requests for cached orders before they reach the application. `on_drop` is called for each
    connection that is closed because its client is too slow.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        drain_seconds: float,
        limits: ConnectionLimits | None = None,
        responder: CacheResponder | None = None,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self.context = ConnectionContext(limits or ConnectionLimits(), responder, on_drop)
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol_class(self.context),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",  # ResponseHeadersMiddleware logs errors, without a traceback
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, round(drain_seconds)),
            )
        )

    async def serve(self, listener: socket.socket | list[socket.socket] | None = None) -> None:
        await super().serve([listener] if isinstance(listener, socket.socket) else listener)
        if canceled := [*self.server_state.tasks]:  # at the drain timeout
            await asyncio.wait(canceled, timeout=CANCEL_TIMEOUT_SECONDS)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
