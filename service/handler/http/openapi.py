"""Completes the OpenAPI document that FastAPI generates: the order's schema, and the error responses."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from service.entities.order import json_schema
from service.handler.http import problems

Responses = dict[int | str, dict[str, Any]]

DESCRIPTION: Final = (
    "Read access to stored orders. Cached orders are served from memory. Errors are problem details (RFC 9457)."
)

_DEFS_PREFIX: Final = "#/$defs/"
_PROBLEM_CONTENT: Final = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_ERROR_DESCRIPTIONS: Final = {
    HTTPStatus.UNAUTHORIZED: "Missing or unknown API key.",
    HTTPStatus.FORBIDDEN: "The API key lacks the scope.",
    HTTPStatus.NOT_FOUND: "Not found.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Request bodies are not accepted.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Invalid parameters; `errors` lists them.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The request line and headers are too large.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Internal error; the server's log has the details under the request id.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Temporarily unavailable; retry after `Retry-After` seconds.",
}
_COMMON_ERRORS: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def error_responses(*statuses: HTTPStatus) -> Responses:
    """Describe these error responses and those that every route may return."""
    return {
        int(status): {"description": _ERROR_DESCRIPTIONS[status], "content": _PROBLEM_CONTENT}
        for status in (*statuses, *_COMMON_ERRORS)
    }


def json_response(description: str, schema: dict[str, Any], media_type: str = "application/json") -> Responses:
    return {200: {"description": description, "content": {media_type: {"schema": schema}}}}


def describe_headers(**descriptions: str) -> dict[str, Any]:
    """Describe response headers; an underscore in a name stands for a hyphen."""
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
        for name, text in descriptions.items()
    }


def operation_id(route: APIRoute) -> str:
    return route.name


def openapi_factory(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return a function for `app.openapi` that generates the document at its first call."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=app.openapi_tags
            )
            document.setdefault("components", {}).setdefault("schemas", {}).update(_component_schemas())
            app.openapi_schema = document
        return app.openapi_schema

    return openapi


def inline_schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON schema of a struct without references."""
    schema = msgspec.json.schema(struct)
    definitions = schema.pop("$defs")

    def resolve(node: Any) -> Any:
        match node:
            case {"$ref": name}:
                return resolve(definitions[name.removeprefix(_DEFS_PREFIX)])
            case dict():
                return {key: resolve(value) for key, value in node.items()}
            case list():
                return [resolve(item) for item in node]
            case _:
                return node

    resolved: dict[str, Any] = resolve(schema)
    return resolved


def _component_schemas() -> dict[str, Any]:
    """Return the schemas of the order, its parts, and problem details."""
    definitions = json_schema()["$defs"]
    return {name: _with_component_refs(schema) for name, schema in definitions.items()} | {"Problem": problems.SCHEMA}


def _with_component_refs(schema: Any) -> Any:
    match schema:
        case dict():
            return {
                key: value.replace(_DEFS_PREFIX, "#/components/schemas/")
                if key == "$ref"
                else _with_component_refs(value)
                for key, value in schema.items()
            }
        case list():
            return [_with_component_refs(item) for item in schema]
        case _:
            return schema
