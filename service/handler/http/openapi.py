"""What `/openapi.json` says beyond what FastAPI finds in the routes: the order, the problems, each status."""

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

DESCRIPTION: Final = "Orders as they are stored, from memory where possible. Every refusal is a problem (RFC 9457)."

_DEFINITIONS: Final = "#/$defs/"
_PROBLEM: Final = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_REASONS: Final = {
    HTTPStatus.UNAUTHORIZED: "No API key, or none that is known.",
    HTTPStatus.FORBIDDEN: "The API key lacks the scope.",
    HTTPStatus.NOT_FOUND: "There is none.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "A body was sent; none is read.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A parameter is not what it should be.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The head of the request is too large.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The request failed.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not now; `Retry-After` says when to ask again.",
}
_ALWAYS: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def refusals(*statuses: HTTPStatus) -> Responses:
    """Document these refusals, and those that any request may meet."""
    return {int(status): {"description": _REASONS[status], "content": _PROBLEM} for status in (*statuses, *_ALWAYS)}


def answer(description: str, schema: dict[str, Any], media_type: str = "application/json") -> Responses:
    return {200: {"description": description, "content": {media_type: {"schema": schema}}}}


def headers(**described: str) -> dict[str, Any]:
    """Document headers of an answer; an underscore in a name stands for a hyphen."""
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in described.items()
    }


def operation_id(route: APIRoute) -> str:
    return route.name


def documented(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what makes the document, once, when it is first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=app.openapi_tags
            )
            document.setdefault("components", {}).setdefault("schemas", {}).update(_schemas())
            app.openapi_schema = document
        return app.openapi_schema

    return openapi


def inline(described: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schema of a struct, with those of its parts in their places."""
    schema = msgspec.json.schema(described)
    parts = schema.pop("$defs")

    def resolve(node: Any) -> Any:
        match node:
            case {"$ref": name}:
                return resolve(parts[name.removeprefix(_DEFINITIONS)])
            case dict():
                return {key: resolve(value) for key, value in node.items()}
            case list():
                return [resolve(each) for each in node]
            case _:
                return node

    resolved: dict[str, Any] = resolve(schema)
    return resolved


def _schemas() -> dict[str, Any]:
    """Return the order's schema with its parts as components of the document, and the problem's."""
    parts = json_schema()["$defs"]
    return {name: _moved(part) for name, part in parts.items()} | {"Problem": problems.SCHEMA}


def _moved(schema: Any) -> Any:
    match schema:
        case dict():
            return {
                key: value.replace(_DEFINITIONS, "#/components/schemas/") if key == "$ref" else _moved(value)
                for key, value in schema.items()
            }
        case list():
            return [_moved(each) for each in schema]
        case _:
            return schema
