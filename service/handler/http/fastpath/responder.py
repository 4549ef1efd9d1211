"""Answers GET requests for cached orders before uvicorn's parser, ASGI and FastAPI see them.

A response has the same bytes as the application's, because the same functions produce both. Every other request goes to
the application: other methods, other spellings of the path, bodies, and headers that are not on the list below.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

from service.handler.http.responses.if_none_match import matches
from service.handler.http.responses.middleware import (
    RawHeaders,
    new_request_id,
    request_id_from,
    serialize,
    with_standard_headers,
)
from service.handler.http.routes.orders import ORDER_PATH, order_response
from service.handler.http.security.hosts import AllowedHosts
from service.handler.http.security.keys import Keys, KeyScope
from service.pkg.etag import ETAG_BYTES
from service.usecases.cached_orders import CachedOrders
from service.usecases.lookup import LookupResult

if TYPE_CHECKING:
    from service.metrics import ApiMetrics

HEAD_END: Final = b"\r\n\r\n"
MAX_HEADER_BLOCK_BYTES: Final = 2_048
"""Size of a plain request's headers: more than a browser sends without cookies."""
MAX_CACHED_BLOCKS: Final = 256
"""Parsed header blocks kept in memory: clients send the same block again and again.

A block may contain an accepted API key in plain text: to look it up by a digest would cost a tenth of a cache hit."""
MIN_ZERO_COPY_BYTES: Final = 16 * 2**10
"""Documents from this size on are sent without a copy, so that slow clients share one document in memory."""
MAX_REQUEST_LINE_BYTES: Final = 128
"""Longer than any plain request line."""

_REQUEST_LINE: Final = re.compile(rb"GET /orders/([A-Za-z0-9_-]{1,64}) HTTP/1\.1")
# Printable ASCII without a space at either end: all parsers agree on these. Possessive quantifiers avoid backtracking.
_HEADER: Final = re.compile(rb"([A-Za-z-]++): ((?:[!-~][ -~]*+(?<! ))?)")
_IGNORED_HEADERS: Final = frozenset(
    b"accept accept-charset accept-encoding accept-language baggage cache-control dnt forwarded from host pragma "
    b"priority referer save-data sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode "
    b"sec-fetch-site sec-fetch-user sec-gpc traceparent tracestate upgrade-insecure-requests user-agent via "
    b"x-amzn-trace-id x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-forwarded-scheme "
    b"x-forwarded-server x-real-ip x-scheme".split()
)
"""Headers that the application ignores. Range is left out, although it is ignored too: if the application supports it
one day, this list must not hide it."""
_PLAIN_HEADERS: Final = _IGNORED_HEADERS | {
    b"authorization",
    b"connection",
    b"if-none-match",
    b"x-api-key",
    b"x-request-id",
}
_KEEP_ALIVE: Final = b"keep-alive"
_BEARER: Final = re.compile(rb"Bearer ([!-~]+)")
_ETAG_PLACEHOLDER: Final = "<etag>"
_REQUEST_ID_PLACEHOLDER: Final = b"<request-id>"

Response = bytes | tuple[bytes, memoryview]
"""What goes over the wire, in one or two pieces."""


class PlainRequest(NamedTuple):
    """The headers that affect the response to a plain request."""

    request_id: bytes | None
    if_none_match: list[str]
    key: str
    """The API key, or an empty string."""


class CacheResponder:
    """Answers from the cache, for one server and its event loop. Sends no errors: these come from the application."""

    def __init__(
        self,
        cached: CachedOrders,
        metrics: "ApiMetrics",
        max_head_bytes: int,
        keys: Keys | None = None,
        hosts: AllowedHosts | None = None,
    ) -> None:
        self._cached = cached
        self._keys = keys
        self._hosts = hosts or AllowedHosts()
        self._max_block_bytes = min(MAX_HEADER_BLOCK_BYTES, max_head_bytes - MAX_REQUEST_LINE_BYTES)
        self._requests: dict[bytes, PlainRequest] = {}
        self._default_headers: RawHeaders | None = None
        self._ok_template = self._not_modified_template = b""
        self._ok_total = metrics.http.requests.labels(ORDER_PATH, "GET", str(HTTPStatus.OK.value))
        self._not_modified_total = metrics.http.requests.labels(ORDER_PATH, "GET", str(HTTPStatus.NOT_MODIFIED.value))
        self._seconds = metrics.http.request_seconds.labels(ORDER_PATH, "GET")

    def respond(self, head: bytes, default_headers: RawHeaders) -> Response | None:
        """Return the response, or None if the request is not plain or its order is not cached.

        `head` is the request line and the headers, without the empty line. `default_headers` are the server's, in a new
        list whenever they change.
        """
        began = perf_counter()
        line, _, block = head.partition(b"\r\n")
        path = _REQUEST_LINE.fullmatch(line)
        request = (self._requests.get(block) or self._plain_request(block)) if path else None
        value = self._cached.get(path[1].decode()) if path and request and self._may_read(request.key) else None
        if request is None or value is None:
            return None
        if default_headers is not self._default_headers:
            self._make_templates(default_headers)
        response = self._render(value, request)
        self._seconds.observe(perf_counter() - began)
        return response

    def _may_read(self, key: str) -> bool:
        if self._keys is None:
            return True
        holder = self._keys.holder(key)
        return holder is not None and KeyScope.READ in holder.scopes

    def _render(self, value: bytes, request: PlainRequest) -> Response:
        tag, request_id = value[:ETAG_BYTES], request.request_id or new_request_id()
        if request.if_none_match and matches(tag.decode(), request.if_none_match):
            self._not_modified_total.inc()
            return self._not_modified_template % (tag, request_id)
        self._ok_total.inc()
        if len(value) >= MIN_ZERO_COPY_BYTES:
            body = memoryview(value)[ETAG_BYTES:]
            return self._ok_template % (tag, len(body), request_id, b""), body
        return self._ok_template % (tag, len(value) - ETAG_BYTES, request_id, value[ETAG_BYTES:])

    def _make_templates(self, default_headers: RawHeaders) -> None:
        """Make templates of the application's own responses."""
        self._default_headers = default_headers
        order = LookupResult(b"", _ETAG_PLACEHOLDER, is_hit=True)
        ok, not_modified = order_response(order, []), order_response(order, ["*"])
        self._ok_template = _template(HTTPStatus.OK, [*default_headers, *ok.raw_headers]) + b"%b"
        self._not_modified_template = _template(HTTPStatus.NOT_MODIFIED, [*default_headers, *not_modified.raw_headers])

    def _plain_request(self, block: bytes) -> PlainRequest | None:
        """Parse a header block, and cache it if its key is accepted. Return None if the request is not plain."""
        headers = _headers(block) if len(block) <= self._max_block_bytes else None
        is_for_us = headers is not None and b"host" in headers and self._hosts.allow(headers[b"host"])
        request = _parse(headers) if headers is not None and is_for_us else None
        if request and not request.request_id and self._may_read(request.key):  # a request id does not repeat
            self._remember(block, request)
        return request

    def _remember(self, block: bytes, request: PlainRequest) -> None:
        if len(self._requests) >= MAX_CACHED_BLOCKS:
            self._requests.clear()
        self._requests[block] = request


def _headers(block: bytes) -> dict[bytes, bytes] | None:
    """Return the headers by lower-case name; None if a line is not in the plain form or a name is repeated."""
    headers = dict[bytes, bytes]()
    for line in block.split(b"\r\n")[:-1]:  # a search over the block would restart at every byte of a long line
        header = _HEADER.fullmatch(line)
        if header is None or (name := header[1].lower()) in headers:
            return None
        headers[name] = header[2]
    return headers


def _parse(headers: Mapping[bytes, bytes]) -> PlainRequest | None:
    if not headers.keys() <= _PLAIN_HEADERS or headers.get(b"connection", _KEEP_ALIVE) != _KEEP_ALIVE:
        return None
    request_id, if_none_match, key = headers.get(b"x-request-id"), headers.get(b"if-none-match"), _api_key(headers)
    if key is None:
        return None
    return PlainRequest(
        None if request_id is None else request_id_from([(b"x-request-id", request_id)]),
        [] if if_none_match is None else [if_none_match.decode()],
        key,
    )


def _api_key(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the API key, empty if there is none; None if Authorization has a form that only the application parses."""
    authorization = headers.get(b"authorization")
    if authorization is None:
        return headers.get(b"x-api-key", b"").decode()
    match = _BEARER.fullmatch(authorization)
    return match[1].decode() if match else None


def _template(status: HTTPStatus, headers: RawHeaders) -> bytes:
    """Return a bytes template for the ETag, the length of the body (200 only), and the request id."""
    template = serialize(status, with_standard_headers(headers, _REQUEST_ID_PLACEHOLDER), b"").replace(b"%", b"%%")
    placeholders = {
        _ETAG_PLACEHOLDER.encode(): b"%b",
        b"content-length: 0\r\n": b"content-length: %d\r\n",
        _REQUEST_ID_PLACEHOLDER: b"%b",
    }
    for placeholder, conversion in placeholders.items():
        template = template.replace(placeholder, conversion)
    return template
