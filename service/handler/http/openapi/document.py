"""Describes responses for FastAPI, and completes the OpenAPI document that it generates.

Every schema is generated from a type: from a `msgspec.Struct` (bodies), or from the annotation of a parameter.
"""

from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from service.entities.order import portable
from service.handler.http.responses.problem_types import ProblemType
from service.handler.http.responses.problems import MEDIA_TYPE, ProblemDetails
from service.handler.http.security.auth import SECURITY_SCHEMES

Responses = dict[int | str, dict[str, Any]]

DESCRIPTION: Final = (
    "Read access to stored orders, and replays of dead letters. Cached orders are served from memory. Errors are "
    "problem details (RFC 9457), whose types are stable. `HEAD` is answered wherever `GET` is. Unknown query "
    "parameters are errors."
)
SERVERS: Final = [
    {"url": "/", "description": "The API that serves this document."},
    {"url": "http://localhost:8000", "description": "The demo, and `make run-api`."},
]

_REQUEST_ID: Final = "X-Request-ID"
HEADERS: Final = {
    "ETag": "Strong entity tag: changes when the body does.",
    "Link": "The next page, with the request's filters, as a relative reference (RFC 8288). None on the last page, and "
    "none for a list of one customer: headers contain no personal data.",
    "X-Cache": "`hit`: served from memory; `miss`: read from the database.",
    "Idempotency-Replayed": "`true`: the response to an earlier request with this Idempotency-Key.",
    _REQUEST_ID: "The id in the log: the request's `X-Request-ID`, or a new one.",
    "Retry-After": "Seconds after which to retry.",
}
"""Response headers."""
IF_NONE_MATCH: Final = "If-None-Match", "An ETag. If it is current, the response is 304 without a body."
LAST_EVENT_ID: Final = "Last-Event-ID", "The id of the last event received: the stream continues after it."

_SCHEMAS: Final = "#/components/schemas/"
_MAX_INT32: Final = 2**31 - 1


def ok(description: str, example: msgspec.Struct, *headers: str, media_type: str = "application/json") -> Responses:
    """Describe a 200 by an example of its body, which also has its type."""
    return {
        200: {
            "description": description,
            "content": {media_type: _content(example)},
            "headers": _header_refs(*headers),
        }
    }


def not_modified(*headers: str) -> Responses:
    return {304: {"description": "Not modified: an ETag in If-None-Match matches.", "headers": _header_refs(*headers)}}


def errors(*statuses: HTTPStatus) -> Responses:
    return {status.value: {"$ref": f"#/components/responses/{_name(status)}"} for status in statuses}


def request_headers(*headers: tuple[str, str]) -> dict[str, Any]:
    """Describe headers that a route reads itself, for its `openapi_extra`."""
    return {
        "parameters": [
            {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
            for name, text in headers
        ]
    }


def request_body(example: msgspec.Struct) -> dict[str, Any]:
    """Describe a body that a route reads itself, for its `openapi_extra`."""
    return {"requestBody": {"required": True, "content": {"application/json": _content(example)}}}


def schema_ref(body: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _SCHEMAS + body.__name__}


def operation_id(route: APIRoute) -> str:
    return route.name


def openapi_factory(app: FastAPI, structs: Sequence[type[msgspec.Struct]]) -> Callable[[], dict[str, Any]]:
    """Return a function for `app.openapi` that generates the document at its first call.

    `structs` are the types of all bodies.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=DESCRIPTION,
                servers=SERVERS,
                routes=app.routes,
            )
            document["components"] = _components(structs, document.get("components", {}))
            for operation in _operations(document):
                _clean_parameters(operation)
                _clean_responses(operation["responses"])
            _add_integer_formats(document)
            app.openapi_schema = document
        return app.openapi_schema

    return openapi


def _components(structs: Sequence[type[msgspec.Struct]], generated: dict[str, Any]) -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components([*structs, ProblemDetails], ref_template=_SCHEMAS + "{name}")
    return {
        "schemas": generated.get("schemas", {}) | portable(schemas),
        "responses": {
            _name(status): _problem_response(status) for status in dict.fromkeys(kind.status for kind in ProblemType)
        },
        "headers": {
            name: {"description": text, "schema": {"type": "integer" if name == "Retry-After" else "string"}}
            for name, text in HEADERS.items()
        },
        "securitySchemes": SECURITY_SCHEMES,
    }


def _problem_response(status: HTTPStatus) -> dict[str, Any]:
    """Describe the problems with this status, with an example for each."""
    kinds = [kind for kind in ProblemType if kind.status == status]
    examples = {kind.urn.rpartition(":")[2]: {"value": msgspec.to_builtins(_example(kind))} for kind in kinds}
    content = {MEDIA_TYPE: {"schema": schema_ref(ProblemDetails), "examples": examples}}
    headers = [_REQUEST_ID, *(["Retry-After"] if status == HTTPStatus.SERVICE_UNAVAILABLE else [])]
    description = "; ".join(kind.title for kind in kinds) + "."
    return {"description": description, "content": content, "headers": _header_refs(*headers)}


def _example(kind: ProblemType) -> ProblemDetails:
    return ProblemDetails(
        type=kind.urn, title=kind.title, status=kind.status, detail=kind.title, request_id="7f3c2a9d5e1b4860"
    )


def _content(example: msgspec.Struct) -> dict[str, Any]:
    return {"schema": schema_ref(type(example)), "example": msgspec.to_builtins(example)}


def _name(status: HTTPStatus) -> str:
    return status.name.title().replace("_", "")


def _header_refs(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def _clean_parameters(operation: dict[str, Any]) -> None:
    """Describe optional parameters as such: they cannot be null, although their annotations have None."""
    for parameter in operation.get("parameters", []):
        schema = parameter["schema"]
        choices = schema.pop("anyOf", [{}])
        schema |= next(choice for choice in choices if choice != {"type": "null"})
        schema.pop("title", None)
        schema.pop("description", None)


def _clean_responses(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        if "$ref" in response:
            responses[status] = {"$ref": response["$ref"]}  # without FastAPI's description
        else:
            response.setdefault("headers", {}).update(_header_refs(_REQUEST_ID))


def _add_integer_formats(node: Any) -> None:
    """Set the format of each integer: without one, generators for typed languages use 32 bits."""
    match node:
        case {"type": "integer"}:
            node["format"] = "int32" if node.get("maximum", _MAX_INT32 + 1) <= _MAX_INT32 else "int64"
        case dict():
            for each in node.values():
                _add_integer_formats(each)
        case list():
            for each in node:
                _add_integer_formats(each)
