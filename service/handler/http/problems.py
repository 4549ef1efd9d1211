"""Every refusal is `application/problem+json` (RFC 9457): what went wrong in our words, never a value sent to us."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from service.entities.errors import KafkaUnavailable, StorageUnavailable

MEDIA_TYPE: Final = "application/problem+json"
_RETRY_AFTER_SECONDS: Final = 2

Handler = Callable[[Request, Any], Awaitable[Response]]


class Problem(HTTPException):
    """What a route raises to refuse; `detail` is a sentence of ours."""


def problem(
    status: int,
    detail: str,
    request_id: str,
    *,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Response:
    """Return the answer; `more` are members of this problem's own, next to the standard ones.

    A 503 says when to ask again.
    """
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body = msgspec.json.encode({**document, "request_id": request_id, **(more or {})})
    retry = {"retry-after": str(_RETRY_AFTER_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(body, status, {"cache-control": "no-store", **retry, **(headers or {})}, MEDIA_TYPE)


def request_id_of(request: Request) -> str:
    return str(request.state.request_id)


async def _refused(request: Request, error: HTTPException) -> Response:
    if not isinstance(error, Problem):  # Starlette's own: no such path, or not with this method
        detail = HTTPStatus(error.status_code).description or HTTPStatus(error.status_code).phrase
        return problem(error.status_code, detail, request_id_of(request), headers=_all_methods(request, error.headers))
    return problem(error.status_code, error.detail, request_id_of(request), headers=error.headers)


def _all_methods(request: Request, headers: Mapping[str, str] | None) -> Mapping[str, str]:
    """Complete Allow: where several routes share a path, Starlette names the methods of the first alone."""
    if not headers or "Allow" not in headers:
        return headers or {}
    scopes = {method: {**request.scope, "method": method} for method in ("GET", "HEAD")}
    routes = request.app.routes
    allowed = [name for name, scope in scopes.items() if any(each.matches(scope)[0] is Match.FULL for each in routes)]
    return {**headers, "Allow": ", ".join(allowed)}


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    """Name the parameters and the rules that they break; pydantic's text and `input` hold what was sent."""
    broken = [{"in": each["loc"][0], "name": _name(each["loc"]), "rule": each["type"]} for each in error.errors()]
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "a parameter is not what it should be",
        request_id_of(request),
        more={"errors": broken},
    )


def _name(place: Sequence[int | str]) -> str:
    return str(place[1]) if len(place) > 1 else ""


async def _away(request: Request, _error: StorageUnavailable) -> Response:
    detail = "the database is away and the answer is not in memory"
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, request_id_of(request))


async def _kafka_away(request: Request, error: KafkaUnavailable) -> Response:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), request_id_of(request))


HANDLERS: Final[Mapping[Any, Handler]] = {
    HTTPException: _refused,
    RequestValidationError: _invalid,
    StorageUnavailable: _away,
    KafkaUnavailable: _kafka_away,
}
"""For `exception_handlers`; whatever else is raised, the frame answers 500."""

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
