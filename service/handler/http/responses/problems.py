"""Error responses: `application/problem+json` (RFC 9457). They never repeat a value that the client sent."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from fastapi.exceptions import RequestValidationError
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.entities.dead_letter import Violation
from service.errors import KafkaRequestFailed, StorageUnavailable
from service.handler.http.responses.json_response import NO_STORE
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.routing import methods_of

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 2

Handler = Callable[[Request, Any], Awaitable[Response]]


class Problem(HTTPException):
    """Raised by routes; `detail` and `errors` are sent to the client."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: "list[InvalidValue] | UnsetType" = UNSET,
    ) -> None:
        super().__init__(kind.status, detail, headers)
        self.kind = kind
        self.errors = errors


class InvalidValue(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"in_": "in"}):
    """A value that violates a rule, and the bounds of the rule. The value itself is never repeated."""

    in_: Annotated[str, Meta(description="`path`, `query`, `header` or `body`.")]
    name: Annotated[str, Meta(description="Empty if the operation has no parameter of this name.")]
    rule: str
    minimum: int | UnsetType = UNSET
    maximum: int | UnsetType = UNSET
    min_length: int | UnsetType = UNSET
    max_length: int | UnsetType = UNSET
    pattern: str | UnsetType = UNSET
    expected: Annotated[str | UnsetType, Meta(description="The allowed values.")] = UNSET
    hint: str | UnsetType = UNSET


class ProblemDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error (RFC 9457). `docs/problems.md` lists the types, which are stable."""

    type: Annotated[str, Meta(extra_json_schema={"format": "uri"})]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    request_id: str
    errors: list[InvalidValue] | UnsetType = UNSET
    parts: Annotated[dict[str, bool] | UnsetType, Meta(description="`/readyz?verbose` only: the checks.")] = UNSET


def invalid_body(violations: Iterable[Violation]) -> Problem:
    """Return the problem of a body that violates rules. Its paths and rules must contain no value of the client."""
    errors = [InvalidValue(in_="body", name=each.path, rule=each.rule) for each in violations]
    return Problem(ProblemType.INVALID_REQUEST, "invalid request body", errors=errors)


_BOUNDS: Final = {
    "ge": "minimum",
    "le": "maximum",
    "min_length": "min_length",
    "max_length": "max_length",
    "pattern": "pattern",
    "expected": "expected",
    "hint": "hint",
}
"""Members of pydantic's error context that are not values of the request, with their names in InvalidValue."""


def problem_response(
    kind: ProblemType,
    detail: str,
    request_id: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: list[InvalidValue] | UnsetType = UNSET,
    parts: dict[str, bool] | UnsetType = UNSET,
) -> Response:
    """Return a response with problem details. A 503 has a Retry-After header."""
    details = ProblemDetails(
        type=kind.urn,
        title=kind.title,
        status=kind.status,
        detail=detail,
        request_id=request_id,
        errors=errors,
        parts=parts,
    )
    retry_after = {"retry-after": str(RETRY_AFTER_SECONDS)} if kind.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    all_headers = {**NO_STORE, **retry_after, **(headers or {})}
    return Response(msgspec.json.encode(details), kind.status, all_headers, MEDIA_TYPE)


def request_id_of(request: Request) -> str:
    return str(request.state.request_id)


async def _problem(request: Request, error: Problem) -> Response:
    return problem_response(
        error.kind, error.detail, request_id_of(request), headers=error.headers, errors=error.errors
    )


async def _routing_error(request: Request, error: HTTPException) -> Response:
    """Answer for Starlette, which raises 405 for an unknown method of a known path, and 404 otherwise."""
    if error.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return problem_response(ProblemType.NOT_FOUND, "no resource has this path", request_id_of(request))
    allow = {"allow": ", ".join([*methods_of(request.scope), "OPTIONS"])}
    if request.method == "OPTIONS":
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=allow)
    return problem_response(
        ProblemType.METHOD_NOT_ALLOWED,
        "the path does not support this method",
        request_id_of(request),
        headers=allow,
    )


async def _validation_error(request: Request, error: RequestValidationError) -> Response:
    """List the invalid values and the violated rules, without pydantic's messages, which quote the input."""
    errors = [_invalid_value(each) for each in error.errors()]
    return problem_response(ProblemType.INVALID_REQUEST, "invalid parameters", request_id_of(request), errors=errors)


def _invalid_value(error: Mapping[str, Any]) -> InvalidValue:
    context = error.get("ctx", {})
    bounds = {name: context[each] for each, name in _BOUNDS.items() if each in context}
    return InvalidValue(in_=str(error["loc"][0]), name=_name(error["loc"]), rule=error["type"], **bounds)


def _name(location: Sequence[int | str]) -> str:
    return str(location[1]) if len(location) > 1 else ""


async def _storage_unavailable(request: Request, error: StorageUnavailable) -> Response:
    """Return the problem, which is one of a few fixed phrases, without host names, roles or values."""
    return problem_response(ProblemType.STORAGE_UNAVAILABLE, error.problem, request_id_of(request))


async def _kafka_request_failed(request: Request, error: KafkaRequestFailed) -> Response:
    return problem_response(ProblemType.KAFKA_UNAVAILABLE, str(error), request_id_of(request))


EXCEPTION_HANDLERS: Final[Mapping[Any, Handler]] = {
    Problem: _problem,
    HTTPException: _routing_error,
    RequestValidationError: _validation_error,
    StorageUnavailable: _storage_unavailable,
    KafkaRequestFailed: _kafka_request_failed,
}
"""The application's `exception_handlers`. ResponseHeadersMiddleware answers 500 for all other exceptions."""
