"""uvicorn's HTTP/1.1 protocol with limits on request heads, time, memory and connections.

On an idle connection, requests for cached orders are answered without uvicorn's parser (see responder.py).
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httptools

from service.errors import RequestRefused
from service.handler.http.fastpath.buffers import UNCOUNTED_BYTES, BufferBudget
from service.handler.http.fastpath.idle import IdleConnections
from service.handler.http.fastpath.keep_alive import KeepAliveProtocol
from service.handler.http.fastpath.refusal import Refusal, overloaded
from service.handler.http.fastpath.request_head import RequestHead
from service.handler.http.fastpath.responder import HEAD_END, CacheResponder
from service.handler.http.fastpath.states import ConnectionState, ReceiveState, SendState
from service.handler.http.fastpath.timer import ConnectionTimer
from service.handler.http.fastpath.uvicorn_protocol import RequestResponseCycle, UvicornProtocol
from service.handler.http.security.hosts import require_host

HEAD_TIMEOUT_SECONDS: Final = 15.0
"""How long a client may take to send the head of a request."""
REFUSED_HEAD_TIMEOUT_SECONDS: Final = 1.0
"""How long a connection over the limit may take for its first request, which is answered with 503."""
MAX_HITS_PER_READ: Final = 64
"""Cache hits answered from one read before other connections get their turn."""
MAX_PIPELINED_REQUESTS: Final = 100
"""Requests of a connection that may wait for the responses before theirs."""
PIPELINED_REQUEST_BYTES: Final = 2 * 2**10
"""Memory of a waiting request besides its head, which may be as short as 18 bytes."""
SEND_BUFFER_BYTES: Final = 128 * 2**10
"""The kernel's send buffer of a connection. Linux's default of up to 4 MiB would count towards the container's memory
limit."""
SEND_TIMEOUT_SECONDS: Final = 60.0
"""How long a client may take to read enough of a response that the rest fits into the socket's buffers."""
_LINGER_ZERO: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, with a timeout of 0 s: the kernel discards unsent data on close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Limits of one server."""

    max_head_bytes: int = 16 * 2**10
    """Size of a request's head: request line and headers."""
    max_connections: int = 10_000
    keep_alive_seconds: float = 75.0
    """How long an idle connection stays open."""
    max_buffered_bytes: int = 64 * 2**20
    """Memory for slow clients, over all connections."""
    max_requests: int = 2_000
    """Concurrent requests in the application, event streams included."""


class ConnectionContext:
    """What all connections of one server share."""

    def __init__(
        self,
        limits: ConnectionLimits,
        responder: CacheResponder | None = None,
        on_drop: Callable[[], None] = lambda: None,
    ) -> None:
        self.limits = limits
        self.responder = responder
        self.idle = IdleConnections()
        self.buffers = BufferBudget(limits.max_buffered_bytes, on_drop)


def protocol_class(context: ConnectionContext) -> type[UvicornProtocol]:
    """Return the class for `uvicorn.Config(http=…)`. uvicorn creates one instance for each connection."""

    class ServerProtocol(LimitedProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(context, *args, **kwargs)

    return ServerProtocol


# For the hot path: Python 3.11 looks up enum members slowly.
_OPEN: Final = ConnectionState.OPEN
_NEW: Final = ReceiveState.NEW
_BETWEEN: Final = ReceiveState.BETWEEN
_READY: Final = SendState.READY
_IN_HEAD: Final = {ReceiveState.NEW, ReceiveState.HEAD}


class LimitedProtocol(KeepAliveProtocol):
    """One connection. Its `_state`, `_receiving` and `_sending` are described in states.py."""

    def __init__(self, context: ConnectionContext, *args: Any, **kwargs: Any) -> None:
        super().__init__(context.idle, context.limits.keep_alive_seconds, *args, **kwargs)
        self._limits = context.limits
        self._responder = context.responder
        self._buffers = context.buffers
        self._state = _OPEN
        self._receiving = _NEW
        self._head = RequestHead(self._limits.max_head_bytes)
        self._head_timer = ConnectionTimer(self.loop)
        self._sending = _READY
        self._send_timer = ConnectionTimer(self.loop)
        self._pipelined_bytes = 0
        self._refusal: Refusal | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(UNCOUNTED_BYTES)
        seconds = HEAD_TIMEOUT_SECONDS
        if self.connection_count > self._limits.max_connections and not self._idle.close_longest(self.loop.time()):
            self._state, seconds = ConnectionState.OVER_LIMIT, REFUSED_HEAD_TIMEOUT_SECONDS
        self._head_timer.start(seconds, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer.cancel()
        self.cancel_keep_alive_timer()
        self._send_timer.cancel()
        self.drop_pipelined_requests()
        self._buffers.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._state is not _OPEN:
            if self._state is ConnectionState.OVER_LIMIT:
                self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
            return
        if self._responder and self._is_idle():
            data = data[self._answer_hits(self._responder, data) :]
        if data:
            self._parse(data)

    def _is_idle(self) -> bool:
        """Return whether the next byte begins a request and all earlier requests are answered."""
        return (self._receiving is _BETWEEN or self._receiving is _NEW) and self.has_answered_all()

    def _answer_hits(self, responder: CacheResponder, data: bytes) -> int:
        """Answer leading requests for cached orders, in order. Return the length of these requests."""
        begin, default_headers = 0, self.default_headers
        for _ in range(MAX_HITS_PER_READ):
            end = data.find(HEAD_END, begin)
            if end < 0 or self._sending is not _READY:
                break
            response = responder.respond(data[begin : end + 2], default_headers)
            if response is None:
                break
            if isinstance(response, bytes):
                self.transport.write(response)
            else:
                self.transport.writelines(response)
            begin = end + len(HEAD_END)
        if begin:
            self._on_hit()
        return begin

    def _on_hit(self) -> None:
        """Set the state that uvicorn sets after a response."""
        if self._receiving is not _BETWEEN:
            self._receiving = _BETWEEN
            self._head_timer.cancel()
        self.last_hit_at = self.loop.time()
        if not self.is_keep_alive_timer_running:
            self.start_keep_alive_timer(self.timeout_keep_alive)

    def _parse(self, data: bytes) -> None:
        head_before = self._head
        self.cancel_keep_alive_timer()
        self._feed_parser(data)
        if self._receiving in _IN_HEAD:
            is_new_head = self._head is not head_before
            self._head.incomplete_bytes += len(data.rpartition(HEAD_END)[2] if is_new_head else data)
            if self._head.incomplete_bytes > self._limits.max_head_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if self._is_idle() and not self._head_timer.is_running and not self.is_keep_alive_timer_running:
            self.start_keep_alive_timer(self.timeout_keep_alive)  # an empty line canceled it, and began no request
        self._buffers.update(self)

    def _feed_parser(self, data: bytes) -> None:
        try:
            self.feed_parser(data)
        except httptools.HttpParserUpgrade:  # CONNECT: the parser ignores all that follows
            self._end_after_this_request()
        except httptools.HttpParserError as error:
            raised = error.__context__  # by a callback
            self._refuse(raised.status if isinstance(raised, RequestRefused) else HTTPStatus.BAD_REQUEST)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._receiving = ReceiveState.HEAD
        self._head = RequestHead(self._limits.max_head_bytes)
        self._head_timer.start(HEAD_TIMEOUT_SECONDS, self.transport.close)

    def on_url(self, url: bytes) -> None:
        self._head.add_url(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head.add_header(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.pipelined_requests >= MAX_PIPELINED_REQUESTS:
            raise RequestRefused(HTTPStatus.TOO_MANY_REQUESTS)
        require_host(self.request_headers, self.http_version)
        self._receiving = ReceiveState.BODY
        self._head_timer.cancel()
        pipelined_before = self.pipelined_requests
        super().on_headers_complete()
        if self.pipelined_requests > pipelined_before:
            self._pipelined_bytes += PIPELINED_REQUEST_BYTES + self._head.parsed_bytes

    def on_message_complete(self) -> None:
        self._receiving = _BETWEEN
        super().on_message_complete()

    def start_application(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Defer the request while an earlier response is unsent, so that only one response is in memory."""
        if self._sending is not _READY:
            self._sending = SendState.REQUEST_DEFERRED
            self.defer_request(cycle, app)
            self.pause_reading()
        else:
            is_overloaded = self.running_requests >= self._limits.max_requests
            super().start_application(cycle, overloaded if is_overloaded else app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._pipelined_bytes and not self.pipelined_requests:
            self._buffers.update(self)
        if self._refusal and self.has_answered_all() and not self.transport.is_closing():
            self._refusal.send(self.transport)

    def _refuse(self, status: HTTPStatus) -> None:
        if self._refusal or self.transport.is_closing():
            return
        self._refusal = Refusal(status, self.default_headers)
        if self.has_answered_all():
            self._refusal.send(self.transport)
        else:  # sent now, it would be taken for the response to an earlier request
            self._state = ConnectionState.ERROR_PENDING
            self.pause_reading()

    def _end_after_this_request(self) -> None:
        """Close when the current request is answered, and ignore all that follows it."""
        self._state = ConnectionState.LAST_REQUEST
        if self.has_answered_all():
            self.transport.close()
        else:
            self.close_after_response()

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read its responses, and start the send timeout."""
        super().pause_writing()
        self.pause_reading()
        if self._sending is _READY:
            self._sending = SendState.PAUSED
            self._send_timer.start(SEND_TIMEOUT_SECONDS, self._buffers.drop, self)
        self._buffers.update(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._send_timer.cancel()
        is_request_deferred, self._sending = self._sending is SendState.REQUEST_DEFERRED, _READY
        if is_request_deferred:
            self.start_pipelined_request()
        if not self.pipelined_requests:
            self.resume_reading()
        self._buffers.update(self)

    def buffered_bytes(self) -> int:
        if not self.pipelined_requests:
            self._pipelined_bytes = 0
        incomplete_head = self._head.incomplete_bytes if self._receiving in _IN_HEAD else 0
        unsent = self.transport.get_write_buffer_size()
        return self._pipelined_bytes + incomplete_head + (unsent + SEND_BUFFER_BYTES if unsent else 0)

    def abort(self) -> None:
        peer = self.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.transport.abort()
