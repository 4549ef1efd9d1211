"""Clients can be generated from docs/openapi.json. The page's types are."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from reference.documents import render_openapi
from tests.kit.in_memory_api import URL, InMemoryApi

OPERATIONS = {
    "get_order",
    "get_order_history",
    "list_orders",
    "look_up_orders",
    "follow_events",
    "read_stats",
    "list_dead_letters",
    "count_dead_letters",
    "get_dead_letter",
    "replay_dead_letters",
    "check_liveness",
    "check_readiness",
    "check_startup",
}
NOT_PORTABLE = re.compile(r"\(\?|\\[uAZzbB]|[*+?}]\+")
"""Look-around, inline flags, and what RE2, Java, .NET and ECMAScript write differently."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(render_openapi())
    return loaded


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["operationId"]: each for methods in document["paths"].values() for each in methods.values()}


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of the document, without its examples."""
    if isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key not in {"example", "examples"}:
                yield from nodes(value)
    elif isinstance(node, list):
        for each in node:
            yield from nodes(each)


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def test_operation_ids_are_stable(document: dict[str, Any]) -> None:
    assert operations(document).keys() == OPERATIONS


def test_every_reference_exists_and_every_component_is_used(document: dict[str, Any]) -> None:
    references = {each["$ref"] for each in nodes(document) if "$ref" in each}
    components = {f"#/components/{kind}/{name}" for kind, each in document["components"].items() for name in each}
    unused = {each for each in components - references if "/responses/" not in each and "/securitySchemes/" not in each}
    assert references <= components
    assert unused == set()


def test_schemas_are_components(document: dict[str, Any]) -> None:
    schemas = [each["schema"] for each in nodes(document["paths"]) if "content" not in each and "schema" in each]
    assert [each for each in schemas if each.get("type") in {"object", "array"} and "properties" in each] == []
    bodies = [body["schema"] for each in nodes(document) for body in each.get("content", {}).values()]
    assert bodies
    assert [each for each in bodies if each.keys() != {"$ref"}] == []


def test_every_integer_has_a_format(document: dict[str, Any]) -> None:
    integers = [each for each in nodes(document) if each.get("type") == "integer"]
    assert {each.get("format") for each in integers} == {"int32", "int64"}
    assert [each for each in integers if (each["format"] == "int32") != (each.get("maximum", 2**63) < 2**31)] == []


def test_patterns_have_the_same_meaning_in_every_engine(document: dict[str, Any]) -> None:
    patterns = {each["pattern"] for each in nodes(document) if isinstance(each.get("pattern"), str)}
    assert patterns
    assert [each for each in patterns if NOT_PORTABLE.search(each) or not re.fullmatch(r"\^.*\$", each)] == []


def test_only_any_of_makes_a_value_nullable(document: dict[str, Any]) -> None:
    assert [each for each in nodes(document) if isinstance(each.get("type"), list) or "nullable" in each] == []
    parameters = [each for operation in operations(document).values() for each in operation.get("parameters", [])]
    assert [each["name"] for each in parameters if "anyOf" in each["schema"]] == []


def test_every_error_is_a_problem_and_every_response_has_its_headers(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        for status, reference in operation["responses"].items():
            response = resolve(document, reference)
            assert "X-Request-ID" in response["headers"]
            assert ("Retry-After" in response["headers"]) == (status == "503")
            assert int(status) < 400 or response["content"].keys() == {"application/problem+json"}


@pytest.mark.parametrize(
    ("name", "security"),
    [
        ("get_order", [{"HTTPBearer": []}, {"APIKeyHeader": []}, {}]),
        ("list_dead_letters", [{"HTTPBearer": []}, {"APIKeyHeader": []}]),
        ("check_liveness", []),
    ],
)
def test_keys_are_optional_for_orders_and_required_for_dead_letters(
    document: dict[str, Any], name: str, security: list[dict[str, list[str]]]
) -> None:
    assert operations(document)[name]["security"] == security
    assert all(each.keys() <= document["components"]["securitySchemes"].keys() for each in security)


def test_conditional_requests_are_described(document: dict[str, Any]) -> None:
    headers = {
        name: [each["name"] for each in operation.get("parameters", []) if each["in"] == "header"]
        for name, operation in operations(document).items()
    }
    assert headers["get_order"] == headers["list_orders"] == ["If-None-Match"]
    assert headers["follow_events"] == ["Last-Event-ID"]


def test_examples_match_their_schemas(document: dict[str, Any]) -> None:
    registry: Registry[Any] = Registry().with_resource(
        "urn:openapi", Resource.from_contents(document | {"$schema": "https://json-schema.org/draft/2020-12/schema"})
    )
    bodies = [body for each in nodes(document) for body in each.get("content", {}).values()]
    for body in bodies:
        schema = {"$ref": "urn:openapi" + body["schema"]["$ref"]}
        validator = Draft202012Validator(schema, registry=registry)
        for example in [each["value"] for each in body.get("examples", {}).values()] or [body["example"]]:
            validator.validate(example)


@pytest.mark.parametrize("path", [URL, "/orders", "/stats", "/livez", "/readyz?verbose"])
def test_responses_match_their_schemas(document: dict[str, Any], path: str) -> None:
    registry: Registry[Any] = Registry().with_resource(
        "urn:openapi", Resource.from_contents(document | {"$schema": "https://json-schema.org/draft/2020-12/schema"})
    )
    template = path.partition("?")[0].replace("b563feb7b2b84b6test", "{order_uid}")
    content = document["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]
    with (api := InMemoryApi()).client:
        body = api.client.get(path).json()
    Draft202012Validator({"$ref": "urn:openapi" + content["schema"]["$ref"]}, registry=registry).validate(body)
    schema = resolve(document, content["schema"])
    assert set(body) <= set(schema["properties"])
