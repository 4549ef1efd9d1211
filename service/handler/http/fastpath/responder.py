"""Orders in memory, answered as soon as a request's head has come: before the parser, ASGI and FastAPI.

An answer has the bytes that the application would have sent, for it is made by the same functions. Whatever is not
plain goes the long way: another method or spelling of the path, a body, a header that is not known to change nothing.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

from service.handler.http.etag import matches
from service.handler.http.keys import Keys, Scope
from service.handler.http.middleware import framed, new_request_id, raw, request_id_in
from service.handler.http.routes.orders import answered
from service.pkg.etag import TAG_BYTES
from service.usecases.lookup import CachedOrder, Lookup

if TYPE_CHECKING:
    from service.metrics import Metrics

ROUTE: Final = "/orders/{order_uid}"
END: Final = b"\r\n\r\n"
BLOCK_BYTES: Final = 2_048
"""Of the header lines of a plain request: more than a browser sends without cookies."""
BLOCKS: Final = 256
"""How many header blocks are remembered: clients send the same one again and again."""
LARGE_BYTES: Final = 16 * 2**10
"""A document of this size is not copied into its answer: however many clients are slow to take it, it is held once."""
REQUEST_LINE_BYTES: Final = 128
"""More than the longest plain request line has."""

_REQUEST_LINE: Final = re.compile(rb"GET /orders/([A-Za-z0-9_-]{1,64}) HTTP/1\.1")
# Printable ASCII without a blank at either end: all parsers agree on these. `++` and `*+` give nothing back.
_HEADER: Final = re.compile(rb"([A-Za-z-]++): ((?:[!-~][ -~]*+(?<! ))?)")
_WITHOUT_EFFECT: Final = frozenset(
    b"accept accept-charset accept-encoding accept-language baggage cache-control dnt forwarded from host pragma "
    b"priority referer save-data sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode "
    b"sec-fetch-site sec-fetch-user sec-gpc traceparent tracestate upgrade-insecure-requests user-agent via "
    b"x-amzn-trace-id x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-forwarded-scheme "
    b"x-forwarded-server x-real-ip x-scheme".split()
)
"""No Range, although it is ignored: should it be served one day, nobody would think of this list."""
_PLAIN: Final = _WITHOUT_EFFECT | {b"authorization", b"connection", b"if-none-match", b"x-api-key", b"x-request-id"}
_KEPT: Final = b"keep-alive"
_BEARER: Final = re.compile(rb"Bearer ([!-~]+)")
_TAG: Final = "<tag>"
_REQUEST_ID: Final = b"<request-id>"

Headers = list[tuple[bytes, bytes]]
Answer = bytes | tuple[bytes, memoryview]


class PlainRequest(NamedTuple):
    """What a plain header block carries: the caller's request id, the ETags it holds already, and its API key."""

    request_id: bytes | None
    if_none_match: list[str]
    key: str


class CacheResponder:
    """For one server and its event loop. Refuses none: what it doesn't answer is the application's."""

    def __init__(self, lookup: Lookup, metrics: "Metrics", head_bytes: int, keys: Keys | None = None) -> None:
        self._lookup = lookup
        self._keys = keys
        self._block_bytes = min(BLOCK_BYTES, head_bytes - REQUEST_LINE_BYTES)
        self._requests: dict[bytes, PlainRequest] = {}
        self._headers: Headers | None = None
        self._ok = self._not_modified = b""
        self._ok_count = metrics.http_requests.labels(ROUTE, "GET", str(HTTPStatus.OK.value))
        self._not_modified_count = metrics.http_requests.labels(ROUTE, "GET", str(HTTPStatus.NOT_MODIFIED.value))
        self._seconds = metrics.http_request_seconds.labels(ROUTE, "GET")

    def answer(self, head: bytes, default_headers: Headers) -> Answer | None:
        """Return the answer to a request, in one piece or several; None where it isn't plain or its order isn't held.

        `head` comes without the empty line at its end. `default_headers` are the server's: another list whenever they
        change.
        """
        began = perf_counter()
        line, _, block = head.partition(b"\r\n")
        asked = _REQUEST_LINE.fullmatch(line)
        request = (self._requests.get(block) or self._plain_request(block)) if asked else None
        value = self._lookup.cached(asked[1].decode()) if asked and request and self._may_read(request.key) else None
        if request is None or value is None:
            return None
        if default_headers is not self._headers:
            self._prepare(default_headers)
        answer = self._render(value, request)
        self._seconds.observe(perf_counter() - began)
        return answer

    def _may_read(self, key: str) -> bool:
        return self._keys is None or Scope.READ in (self._keys.scopes(key) or ())

    def _render(self, value: bytes, request: PlainRequest) -> Answer:
        tag, request_id = value[:TAG_BYTES], request.request_id or new_request_id()
        if request.if_none_match and matches(tag.decode(), request.if_none_match):
            self._not_modified_count.inc()
            return self._not_modified % (tag, request_id)
        self._ok_count.inc()
        if len(value) >= LARGE_BYTES:
            body = memoryview(value)[TAG_BYTES:]
            return self._ok % (tag, len(body), request_id, b""), body
        return self._ok % (tag, len(value) - TAG_BYTES, request_id, value[TAG_BYTES:])

    def _prepare(self, default_headers: Headers) -> None:
        """Let the application's own functions write the answers, with gaps."""
        self._headers = default_headers
        found = CachedOrder(b"", _TAG, is_hit=True)
        ok, not_modified = answered(found, []), answered(found, ["*"])
        self._ok = _template(HTTPStatus.OK, [*default_headers, *ok.raw_headers]) + b"%b"
        self._not_modified = _template(HTTPStatus.NOT_MODIFIED, [*default_headers, *not_modified.raw_headers])

    def _plain_request(self, block: bytes) -> PlainRequest | None:
        """Return what a block that was not seen lately asks for; None where it isn't plain."""
        headers = _headers(block) if len(block) <= self._block_bytes else None
        request = None if headers is None else _parse(headers)
        if request and not request.request_id:  # else it never comes again
            self._remember(block, request)
        return request

    def _remember(self, block: bytes, request: PlainRequest) -> None:
        if len(self._requests) >= BLOCKS:
            self._requests.clear()
        self._requests[block] = request


def _headers(block: bytes) -> dict[bytes, bytes] | None:
    """Return the headers by lower-case names; None where a line is not of the plain form or a name comes twice."""
    headers = dict[bytes, bytes]()
    for line in block.split(b"\r\n")[:-1]:  # one by one: a search would begin anew at every byte of a long line
        header = _HEADER.fullmatch(line)
        if header is None or (name := header[1].lower()) in headers:
            return None
        headers[name] = header[2]
    return headers


def _parse(headers: Mapping[bytes, bytes]) -> PlainRequest | None:
    if not headers.keys() <= _PLAIN or headers.get(b"connection", _KEPT) != _KEPT:
        return None
    request_id, cached, key = headers.get(b"x-request-id"), headers.get(b"if-none-match"), _key(headers)
    if key is None:
        return None
    return PlainRequest(
        None if request_id is None else request_id_in([(b"x-request-id", request_id)]),
        [] if cached is None else [cached.decode()],
        key,
    )


def _key(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the API key, empty where there is none; None where another spelling would have to be understood."""
    bearer = headers.get(b"authorization")
    if bearer is None:
        return headers.get(b"x-api-key", b"").decode()
    match = _BEARER.fullmatch(bearer)
    return match[1].decode() if match else None


def _template(status: HTTPStatus, headers: Headers) -> bytes:
    written = raw(status, framed(headers, _REQUEST_ID), b"").replace(b"%", b"%%")
    gaps = ((_TAG.encode(), b"%b"), (b"content-length: 0\r\n", b"content-length: %d\r\n"), (_REQUEST_ID, b"%b"))
    for gap, form in gaps:
        written = written.replace(gap, form)
    return written
