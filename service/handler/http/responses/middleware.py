"""The outermost middleware: request ids, the headers of every response, and a problem document for unhandled errors."""

import asyncio
import re
from collections.abc import Sequence
from http import HTTPStatus
from random import getrandbits
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import problem_response
from service.handler.http.responses.routing import methods_of

RawHeaders = Sequence[tuple[bytes, bytes]]

CONTENT_SECURITY_POLICY: Final = b"content-security-policy"

_DEFAULT_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_STANDARD_HEADERS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""A client's request id is accepted in this form only, because it goes into logs and headers."""
_METHODS_WITHOUT_BODY: Final = {"GET", "HEAD"}
_CLOSE: Final = (b"connection", b"close")


class ResponseHeadersMiddleware:
    """Adds the standard headers, and refuses the bodies of GET and HEAD requests.

    Answers when the application raises or is canceled.
    """

    def __init__(self, app: ASGIApp, log: FilteringBoundLogger) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_from(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        has_body = _has_body(scope["headers"])
        is_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal is_started
            if message["type"] == "http.response.start":
                is_started = True
                close = [_CLOSE] if has_body and message["status"] >= HTTPStatus.BAD_REQUEST else []  # it may be unread
                message["headers"] = with_standard_headers([*message["headers"], *close], request_id)
            await send(message)

        try:
            app = _body_not_accepted(request_id) if has_body and _takes_no_body(scope) else self._app
            await app(scope, receive, send_with_headers)
        except asyncio.CancelledError:  # at the drain timeout
            if is_started:
                raise
            await _shutting_down(request_id)(scope, receive, send_with_headers)
        except Exception as error:
            self._log.error("request failed", exc_info=error, request_id=request_id.decode())
            if is_started:
                raise
            await _internal_error(request_id)(scope, receive, send_with_headers)


def _takes_no_body(scope: Scope) -> bool:
    """Return whether a route answers the request and reads no body. Unknown paths and methods have no route."""
    return scope["method"] in _METHODS_WITHOUT_BODY and scope["method"] in methods_of(scope)


def _body_not_accepted(request_id: bytes) -> ASGIApp:
    return problem_response(ProblemType.BODY_NOT_ACCEPTED, "request bodies are not accepted", request_id.decode())


def _internal_error(request_id: bytes) -> ASGIApp:
    detail = "internal error; the server's log has the details under this request id"
    return problem_response(ProblemType.INTERNAL_ERROR, detail, request_id.decode())


def _shutting_down(request_id: bytes) -> ASGIApp:
    return problem_response(ProblemType.SHUTTING_DOWN, "the API is shutting down", request_id.decode())


def request_id_from(headers: RawHeaders) -> bytes:
    """Return the client's X-Request-ID if it is well-formed, else a new id."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value
    return new_request_id()


def new_request_id() -> bytes:
    return b"%016x" % getrandbits(64)  # unique, not secret


def _has_body(headers: RawHeaders) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 ")) for name, value in headers
    )


def with_standard_headers(headers: RawHeaders, request_id: bytes) -> list[tuple[bytes, bytes]]:
    """Append the headers that every response carries. A Content-Security-Policy that is set already stays."""
    result = [*headers, *_STANDARD_HEADERS, (b"x-request-id", request_id)]
    if all(name != CONTENT_SECURITY_POLICY for name, _ in result):
        result.append((CONTENT_SECURITY_POLICY, _DEFAULT_POLICY))
    return result


def serialize(status: HTTPStatus, headers: RawHeaders, body: bytes) -> bytes:
    """Return a response as it goes over the wire."""
    head = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), *(b"%s: %s" % header for header in headers)]
    return b"\r\n".join([*head, b"", body])
