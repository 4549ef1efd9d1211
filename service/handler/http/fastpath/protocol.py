"""uvicorn's HTTP/1.1 with limits: on the head of a request, on the time that it takes, and on connections.

While nothing is under way on a connection, requests for what is in memory are answered without uvicorn's parser.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import Any, ClassVar, Final

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.handler.http.fastpath.buffers import UNNOTICED_BYTES, Buffers
from service.handler.http.fastpath.responder import END, CacheResponder
from service.handler.http.middleware import framed, new_request_id, raw, request_id_in
from service.handler.http.problems import problem

HEAD_SECONDS: Final = 15.0
UNWANTED_SECONDS: Final = 1.0
"""How long a connection beyond the limit may take to send a request, which the refusal then answers."""
MIN_IDLE_SECONDS: Final = 5.0
"""How long a connection must have been idle to be closed for a new one, where there are too many."""
IDLE_LOOKED_AT: Final = 16
"""Connections of which the longest idle one is closed for a new one."""
HITS_AT_ONCE: Final = 64
"""How many of the requests that came together are answered before another connection's turn."""
WAITING_AT_ONCE: Final = 100
"""Requests that wait on a connection for the answers before theirs."""
WAITING_BYTES: Final = 2 * 2**10
"""What each of them costs beside its head, which may be of 18 bytes."""
HEADERS: Final = 100
"""Of a request: each costs 150 bytes of memory, and may be of 5."""
SEND_BUFFER_BYTES: Final = 128 * 2**10
"""What the kernel holds of unsent answers for a connection; by itself it would take 4 MiB, the container's memory."""
UNSENT_SECONDS: Final = 60.0
"""How long a client may take for what is left of an answer when it stops to fit into the socket's buffers."""
_DISCARD: Final = struct.pack("ii", 1, 0)
_SEPARATORS: Final = len(b": \r\n")
_REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "this is not HTTP",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "the request's head is too large",
    HTTPStatus.TOO_MANY_REQUESTS: "too many requests wait on this connection",
}
"""What is said of a request that the parser was stopped at."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Of one server."""

    head_bytes: int = 16 * 2**10
    """Of a request's head: request line and headers."""
    connections: int = 10_000
    keep_alive: float = 75.0
    """Seconds for which an idle connection is kept."""
    buffered_bytes: int = 64 * 2**20
    """What all connections together may hold for slow clients."""
    requests: int = 2_000
    """Requests that the application works on, event streams among them."""


def limited(
    limits: ConnectionLimits, hits: CacheResponder | None = None, on_drop: Callable[[], None] = lambda: None
) -> type[HttpToolsProtocol]:
    """Return the protocol for `uvicorn.Config(http=…)`, which makes one for each connection."""

    class Limited(LimitedProtocol):
        _limits = limits
        _hits = hits
        _idle: ClassVar[dict[LimitedProtocol, float]] = {}
        _buffers = Buffers(limits.buffered_bytes, on_drop)

    return Limited


async def _overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse, as an application."""
    request_id = request_id_in(scope["headers"])
    answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests are running", request_id.decode())
    answer.raw_headers = framed(answer.raw_headers, request_id)
    await answer(scope, receive, send)


class LimitedProtocol(HttpToolsProtocol):
    _limits = ConnectionLimits()
    _hits: CacheResponder | None = None
    _idle: ClassVar[dict["LimitedProtocol", float]] = {}
    """The server's idle connections with the moment since when, the earliest first; hits since then are not in it."""
    _overloaded_app: Any = staticmethod(_overloaded)
    _buffers = Buffers(ConnectionLimits().buffered_bytes)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.timeout_keep_alive = self._limits.keep_alive  # type: ignore[assignment]  # any number of seconds
        self._heads = 0
        self._head_bytes = 0
        self._unfinished_bytes = 0
        self._is_in_head = True
        self._is_between_requests = True
        self.hit_at = 0.0
        self._refusal = HTTPStatus.BAD_REQUEST
        self._late_refusal = b""
        self._is_last_request = False
        self._is_one_too_many = False
        self._patience: asyncio.TimerHandle | None = None
        self._unsent: asyncio.TimerHandle | None = None
        self._queued_bytes = 0
        self._is_start_deferred = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(UNNOTICED_BYTES)
        self._is_one_too_many = len(self.connections) > self._limits.connections and not self._close_longest_idle()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._unset_keepalive_if_required()
        self._stop_unsent()
        self.pipeline.clear()
        self._buffers.discard(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Read nothing further of a client that does not take its answer, and give it some time."""
        super().pause_writing()
        self.flow.pause_reading()
        if self._unsent is None:
            self._unsent = self.loop.call_later(UNSENT_SECONDS, self._buffers.drop, self)
        self._buffers.update(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_unsent()
        if self._is_start_deferred:
            self._is_start_deferred = False
            self._start_asgi_task(*self.pipeline.pop())
        if not self.pipeline:
            self.flow.resume_reading()
        self._buffers.update(self)

    def buffered_bytes(self) -> int:
        if not self.pipeline:
            self._queued_bytes = 0
        unfinished = self._unfinished_bytes if self._is_in_head else 0
        unsent = self.transport.get_write_buffer_size()
        return self._queued_bytes + unfinished + (unsent + SEND_BUFFER_BYTES if unsent else 0)

    def abort(self) -> None:
        peer = self.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)  # else the kernel keeps what is unsent
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._is_one_too_many:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
            return
        if self._late_refusal or self._is_last_request:
            return  # nothing after it counts
        if self._hits and self._is_idle():
            data = data[self._answer_hits(self._hits, data) :]
        if data:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        heads = self._heads
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # Upgrade or CONNECT: the parser leaves what follows unread
            self._end_after_this_request()
        except httptools.HttpParserError:
            self._refuse(self._refusal, _REFUSALS[self._refusal])
        if self._is_in_head:  # a header that doesn't end is not told by the parser
            self._unfinished_bytes += len(data if heads == self._heads else data.rpartition(END)[2])
            if self._unfinished_bytes > self._limits.head_bytes:
                self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                self._refuse(self._refusal, _REFUSALS[self._refusal])
        if self._is_idle() and self._patience is None and self.timeout_keep_alive_task is None:
            self._keep_alive(self.timeout_keep_alive)  # an empty line is data for uvicorn, and no request
        self._buffers.update(self)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_between_requests = False
        self._heads += 1
        self._head_bytes = self._unfinished_bytes = 0
        self._expect_head()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + _SEPARATORS)
        if len(self.headers) >= HEADERS:
            self._refuse_head()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= WAITING_AT_ONCE:
            self._refusal = HTTPStatus.TOO_MANY_REQUESTS
            raise httptools.HttpParserError  # the parser's way to stop
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()
        if self.pipeline:
            self._queued_bytes += WAITING_BYTES + self._head_bytes

    def on_message_complete(self) -> None:
        self._is_between_requests = True
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Start the application, but not while an earlier answer is unsent: two answers would be held."""
        if self.flow.write_paused:
            self._is_start_deferred = True
            self.pipeline.append((cycle, app))
            self.flow.pause_reading()
        else:
            is_overloaded = len(self.tasks) >= self._limits.requests
            super()._start_asgi_task(cycle, self._overloaded_app if is_overloaded else app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._queued_bytes and not self.pipeline:
            self._buffers.update(self)
        if self.timeout_keep_alive_task is not None:
            self._idle[self] = self.loop.time()
        if self._late_refusal and self._has_answered_all() and not self.transport.is_closing():
            self._write_last(self._late_refusal)

    def timeout_keep_alive_handler(self) -> None:
        """Close, unless there was a hit since the timer was set: to set it anew at each costs more than to look."""
        remaining = self.hit_at + self.timeout_keep_alive - self.loop.time()
        if remaining > 0:
            self._keep_alive(remaining)
        else:
            super().timeout_keep_alive_handler()

    def _is_idle(self) -> bool:
        """Tell whether the next byte begins a request, and nobody waits for an answer to an earlier one."""
        return self._is_between_requests and self._has_answered_all()

    def _has_answered_all(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _answer_hits(self, hits: CacheResponder, data: bytes) -> int:
        """Answer what can be answered from memory, in order, and return where the rest begins."""
        begin = 0
        for _ in range(HITS_AT_ONCE):
            end = data.find(END, begin)
            if end < 0 or self.flow.write_paused:
                break
            answer = hits.answer(data[begin : end + 2], self.server_state.default_headers)
            if answer is None:
                break
            if isinstance(answer, bytes):
                self.transport.write(answer)
            else:
                self.transport.writelines(answer)
            begin = end + len(END)
        if begin:
            self._note_hit()
        return begin

    def _note_hit(self) -> None:
        """Leave the connection as uvicorn leaves it after an answer."""
        self._is_in_head = False
        self._stop_waiting()
        self.hit_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._keep_alive(self.timeout_keep_alive)

    def _keep_alive(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)
        self._idle.setdefault(self, self.loop.time())

    def _unset_keepalive_if_required(self) -> None:
        super()._unset_keepalive_if_required()
        self._idle.pop(self, None)

    def _close_longest_idle(self) -> bool:
        """Make room for another connection; return whether that was possible."""
        for connection, since in [*islice(self._idle.items(), IDLE_LOOKED_AT)]:
            if connection.hit_at > since:
                del self._idle[connection]
                self._idle[connection] = connection.hit_at
            elif since <= self.loop.time() - MIN_IDLE_SECONDS:
                del self._idle[connection]
                connection.transport.close()
                return True
        return False

    def _expect_head(self) -> None:
        self._stop_waiting()
        self._is_in_head = True
        seconds = UNWANTED_SECONDS if self._is_one_too_many else HEAD_SECONDS
        self._patience = self.loop.call_later(seconds, self.transport.close)

    def _stop_unsent(self) -> None:
        if self._unsent is not None:
            self._unsent.cancel()
            self._unsent = None

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _end_after_this_request(self) -> None:
        """Close once the request is answered, and read no other."""
        self._is_last_request = True
        if self._has_answered_all():
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes:
            self._refuse_head()

    def _refuse_head(self) -> None:
        self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise httptools.HttpParserError  # the parser's way to stop

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        if self._late_refusal or self.transport.is_closing():
            return  # one refusal is enough
        request_id = new_request_id()
        answer = problem(status, detail, request_id.decode(), headers={"connection": "close"})
        headers = framed([*self.server_state.default_headers, *answer.raw_headers], request_id)
        written = raw(status, headers, bytes(answer.body))
        if self._has_answered_all():
            self._write_last(written)
        else:  # it would be taken for the answer to the one before it; no application here waits for a body
            self._late_refusal = written
            self.flow.pause_reading()

    def _write_last(self, answer: bytes) -> None:
        self.transport.write(answer)
        self.transport.close()
