"""Errors that are sent without the application."""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.types import Receive, Scope, Send

from service.handler.http.responses.middleware import (
    RawHeaders,
    new_request_id,
    request_id_from,
    serialize,
    with_standard_headers,
)
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import problem_response

_PROBLEMS: Final = {
    HTTPStatus.BAD_REQUEST: (ProblemType.MALFORMED_REQUEST, "not a valid HTTP/1.1 request"),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        ProblemType.HEADERS_TOO_LARGE,
        "the request line and headers are too large",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        ProblemType.TOO_MANY_PIPELINED_REQUESTS,
        "too many pipelined requests on this connection",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (ProblemType.OVERLOADED, "too many connections"),
}


class Refusal:
    """The last response of a connection."""

    def __init__(self, status: HTTPStatus, default_headers: RawHeaders) -> None:
        request_id = new_request_id()
        response = problem_response(*_PROBLEMS[status], request_id.decode(), headers={"connection": "close"})
        headers = with_standard_headers([*default_headers, *response.raw_headers], request_id)
        self._response = serialize(status, headers, bytes(response.body))

    def send(self, transport: asyncio.Transport) -> None:
        """Send the response and close the connection."""
        transport.write(self._response)
        transport.close()


async def overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 503, as an ASGI application."""
    request_id = request_id_from(scope["headers"])
    response = problem_response(ProblemType.OVERLOADED, "too many concurrent requests", request_id.decode())
    response.raw_headers = with_standard_headers(response.raw_headers, request_id)
    await response(scope, receive, send)
