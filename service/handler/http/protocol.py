"""uvicorn's HTTP/1.1 with limits: on the head of a request, on the time that it takes, and on connections."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.handler.http.frame import Headers, framed, new_request_id
from service.handler.http.problems import RETRY_AFTER_SECONDS, problem

HEAD_SECONDS: Final = 15.0
UNWANTED_SECONDS: Final = 1.0
"""What a connection beyond the limit has to ask for something, for the refusal is an answer."""
_SEPARATORS: Final = len(b": \r\n")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a request's head (request line and headers), and connections at once."""

    head_bytes: int = 16 * 2**10
    connections: int = 10_000


def limited(limits: Limits) -> type[HttpToolsProtocol]:
    """Return the protocol for `uvicorn.Config(http=…)`, which makes one for each connection."""

    class Limited(LimitedProtocol):
        _limits = limits

    return Limited


class LimitedProtocol(HttpToolsProtocol):
    _limits = Limits()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._heads = 0
        self._head_bytes = 0
        self._unfinished_bytes = 0
        self._is_in_head = True
        self._refusal = HTTPStatus.BAD_REQUEST
        self._is_one_too_many = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_one_too_many = len(self.connections) > self._limits.connections
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_one_too_many:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
            return
        heads = self._heads
        super().data_received(data)
        if self._is_in_head and heads == self._heads:  # a header that doesn't end is not told by the parser
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > self._limits.head_bytes and not self.transport.is_closing():
                self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._heads += 1
        self._head_bytes = self._unfinished_bytes = 0
        self._expect_head()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + _SEPARATORS)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's interface
        """Answer what can't be parsed: uvicorn's way to say so."""
        if self._refusal is HTTPStatus.BAD_REQUEST:
            self._refuse(self._refusal, "this is not HTTP")
        else:
            self._refuse_head()

    def _expect_head(self) -> None:
        self._stop_waiting()
        self._is_in_head = True
        seconds = UNWANTED_SECONDS if self._is_one_too_many else HEAD_SECONDS
        self._patience = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise httptools.HttpParserError  # the parser's way to stop

    def _refuse_head(self) -> None:
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large")

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        request_id = new_request_id()
        retry = {"retry-after": str(RETRY_AFTER_SECONDS)} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
        answer = problem(status, detail, request_id.decode(), headers={"connection": "close", **retry})
        headers = framed([*self.server_state.default_headers, *answer.raw_headers], request_id)
        self.transport.write(_raw(status, headers, bytes(answer.body)))
        self.transport.close()


def _raw(status: HTTPStatus, headers: Headers, body: bytes) -> bytes:
    head = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), *(b"%s: %s" % header for header in headers)]
    return b"\r\n".join([*head, b"", body])
