"""The router of the API's paths: what applies to each of them."""

from collections.abc import Callable
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError

from service.handler.http.openapi.document import errors

COMMON_ERRORS: Final = errors(
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


class HeadRouter(APIRouter):
    """Answers HEAD wherever GET; only GET is in the OpenAPI document."""

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().add_api_route(path, endpoint, **options)
        if "GET" in options["methods"]:
            super().add_api_route(path, endpoint, **options | {"methods": ["HEAD"], "include_in_schema": False})


class Router(HeadRouter):
    """Refuses unknown query parameters."""

    def __init__(self, tag: str) -> None:
        super().__init__(
            tags=[tag],
            default_response_class=Response,
            responses=COMMON_ERRORS,
            dependencies=[Depends(refuse_unknown_parameters)],
        )


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a misspelled parameter, which would silently omit a filter. Its name is not repeated, only corrected."""
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    unknown = request.query_params.keys() - known
    if unknown:
        raise RequestValidationError([_unknown_parameter(name, known) for name in sorted(unknown)])


def _unknown_parameter(name: str, known: list[str]) -> dict[str, Any]:
    similar = get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean {similar[0]}?" if similar else f"known parameters: {', '.join(known) or 'none'}"
    return {"loc": ("query",), "type": "unknown_parameter", "ctx": {"hint": hint}}
