"""Compresses responses with gzip for clients that accept it.

A compressed response gets a weak ETag, because a strong one identifies bytes (RFC 9110, 8.8.3.3). If-None-Match
compares weakly, so both forms match. A 304 repeats the form that the client sent: the one of its cached response.

Orders and dead letters are never compressed. The length of a compressed response could reveal personal data in it, and
an order has one strong ETag, whether the cache or the application answers. GZipMiddleware leaves out event streams.
"""

import re
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIN_COMPRESSED_BYTES: Final = 1_024
"""Smaller responses fit into one packet anyway."""
_LEVEL: Final = 6
_PERSONAL_DATA: Final = re.compile(r"/orders/[^/]+|/dead-letters.*")
_REFUSES_GZIP: Final = re.compile(r"gzip\s*;\s*q=0(\.0*)?\s*(,|$)", re.IGNORECASE)


class CompressionMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressing = GZipMiddleware(app, MIN_COMPRESSED_BYTES, _LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _PERSONAL_DATA.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        known_tags = headers.get("if-none-match", "")
        if _REFUSES_GZIP.search(headers.get("accept-encoding", "")):  # GZipMiddleware does not look at weights
            del MutableHeaders(scope=scope)["accept-encoding"]

        async def send_with_tag(message: Message) -> None:
            if message["type"] == "http.response.start":
                _describe_encoding(message["status"], MutableHeaders(scope=message), known_tags)
            await send(message)

        await self._compressing(scope, receive, send_with_tag)


def _describe_encoding(status: int, headers: MutableHeaders, known_tags: str) -> None:
    """Make the ETag of a compressed response weak, and add Vary where GZipMiddleware does not."""
    tag = headers.get("etag", "")
    is_known_weak = False
    if status == HTTPStatus.NOT_MODIFIED:
        headers.add_vary_header("Accept-Encoding")
        is_known_weak = f"W/{tag}" in known_tags
    if tag.startswith('"') and (is_known_weak or "content-encoding" in headers):
        headers["etag"] = f"W/{tag}"
