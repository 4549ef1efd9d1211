"""What is around every request: its id, the headers that every answer carries, and a problem instead of a stack."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from random import getrandbits
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from service.handler.http.problems import problem

Headers = Iterable[tuple[bytes, bytes]]

CONTENT_SECURITY_POLICY: Final = b"content-security-policy"

_STRICT: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_PLAIN: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class ResponseHeadersMiddleware:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, log: FilteringBoundLogger) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_in(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        begun = False

        async def send_framed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = framed(message["headers"], request_id)
            await send(message)

        try:
            await self._serve(scope, receive, send_framed)
        except Exception as error:
            self._log.error("a request failed", exc_info=error, request_id=request_id.decode())
            if begun:
                raise
            await _failed(request_id)(scope, receive, send_framed)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _has_body(scope["headers"]):
            refusal = problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "no body is read here",
                scope["state"]["request_id"],
                headers={"connection": "close"},  # so that it isn't read
            )
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _failed(request_id: bytes) -> ASGIApp:
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed; the log says where", request_id.decode())


def request_id_in(headers: Headers) -> bytes:
    """Return the caller's id where it is short and plain, for it goes into logs and headers; else one of ours."""
    for name, value in headers:
        if name == b"x-request-id" and _PLAIN.fullmatch(value):
            return value
    return new_request_id()


def new_request_id() -> bytes:
    return b"%016x" % getrandbits(64)  # it tells requests apart and is no secret


def _has_body(headers: Headers) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 ")) for name, value in headers
    )


def framed(headers: Headers, request_id: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers, and after them those that every answer carries."""
    all_of_them = [*headers, *_HEADERS, (b"x-request-id", request_id)]
    if all(name != CONTENT_SECURITY_POLICY for name, _ in all_of_them):
        all_of_them.append((CONTENT_SECURITY_POLICY, _STRICT))
    return all_of_them


def raw(status: HTTPStatus, headers: Headers, body: bytes) -> bytes:
    """Return an answer as it goes over the wire."""
    head = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), *(b"%s: %s" % header for header in headers)]
    return b"\r\n".join([*head, b"", body])
