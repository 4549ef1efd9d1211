"""Error responses: `application/problem+json` (RFC 9457). They never repeat a value that the client sent."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from service.entities.dead_letter import Violation
from service.errors import KafkaRequestFailed, StorageUnavailable

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 2

Handler = Callable[[Request, Any], Awaitable[Response]]


class Problem(HTTPException):
    """Raised by routes; `detail` and `errors` are sent to the client."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.errors = errors


def invalid_body(violations: Iterable[Violation]) -> Problem:
    """Return the problem of a body that violates rules. Its paths and rules must contain no value of the client."""
    errors = [{"in": "body", "name": each.path, "rule": each.rule} for each in violations]
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid request body", errors=errors)


def problem(
    status: int,
    detail: str,
    request_id: str,
    *,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> Response:
    """Return a problem document, extended by `members`. A 503 has a Retry-After header."""
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body = msgspec.json.encode({**document, "request_id": request_id, **(members or {})})
    retry_after = {"retry-after": str(RETRY_AFTER_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(body, status, {"cache-control": "no-store", **retry_after, **(headers or {})}, MEDIA_TYPE)


def request_id_of(request: Request) -> str:
    return str(request.state.request_id)


async def _http_exception(request: Request, error: HTTPException) -> Response:
    if not isinstance(error, Problem):  # raised by Starlette: unknown path, or method not allowed
        detail = HTTPStatus(error.status_code).description or HTTPStatus(error.status_code).phrase
        headers = _with_all_methods(request, error.headers)
        return problem(error.status_code, detail, request_id_of(request), headers=headers)
    members = {"errors": error.errors} if error.errors else {}
    return problem(error.status_code, error.detail, request_id_of(request), headers=error.headers, members=members)


def _with_all_methods(request: Request, headers: Mapping[str, str] | None) -> Mapping[str, str]:
    """Complete the Allow header: for a path with several routes, Starlette lists only the first one's methods."""
    if not headers or "Allow" not in headers:
        return headers or {}
    scopes = {method: {**request.scope, "method": method} for method in ("GET", "HEAD", "POST")}
    routes = request.app.routes
    allowed = [name for name, scope in scopes.items() if any(each.matches(scope)[0] is Match.FULL for each in routes)]
    return {**headers, "Allow": ", ".join(allowed)}


async def _validation_error(request: Request, error: RequestValidationError) -> Response:
    """List the invalid parameters and the violated rules, without pydantic's messages, which quote the input."""
    errors = [{"in": each["loc"][0], "name": _name(each["loc"]), "rule": each["type"]} for each in error.errors()]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "invalid parameters", request_id_of(request), members={"errors": errors}
    )


def _name(location: Sequence[int | str]) -> str:
    return str(location[1]) if len(location) > 1 else ""


async def _storage_unavailable(request: Request, error: StorageUnavailable) -> Response:
    """Return the problem, which is one of a few fixed phrases, without host names, roles or values."""
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, error.problem, request_id_of(request))


async def _kafka_request_failed(request: Request, error: KafkaRequestFailed) -> Response:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), request_id_of(request))


HANDLERS: Final[Mapping[Any, Handler]] = {
    HTTPException: _http_exception,
    RequestValidationError: _validation_error,
    StorageUnavailable: _storage_unavailable,
    KafkaRequestFailed: _kafka_request_failed,
}
"""The application's `exception_handlers`. ResponseHeadersMiddleware answers 500 for all other exceptions."""

SCHEMA: Final = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["in", "name", "rule"],
                "properties": {"in": {"type": "string"}, "name": {"type": "string"}, "rule": {"type": "string"}},
            },
        },
    },
}
