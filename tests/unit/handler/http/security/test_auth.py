"""API keys and their scopes."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.handler.http.security.keys import Keys
from tests.kit.in_memory_api import ORDER, URL, InMemoryApi, problem_of

READ_KEY, DEAD_LETTERS_KEY, ALL_SCOPES_KEY = "r" * 20, "d" * 20, "a" * 20
DEAD_LETTERS_URL = "/dead-letters"
ORDER_ROUTES = [URL, "/orders", "/stats"]
OPEN_ROUTES = ["/", "/docs", "/openapi.json", "/livez", "/readyz", "/startupz"]


@pytest.fixture
def api_with_keys(tmp_path: Path) -> Iterator[InMemoryApi]:
    path = tmp_path / "keys"
    path.write_text(f"read {READ_KEY}\ndead-letters {DEAD_LETTERS_KEY}\nread,dead-letters {ALL_SCOPES_KEY}\n")
    with (made := InMemoryApi(keys=Keys.load(path))).client:
        yield made


@pytest.mark.parametrize(
    "header", [("Authorization", "Bearer {}"), ("authorization", "bearer {}"), ("X-API-Key", "{}")]
)
@pytest.mark.parametrize("key", [READ_KEY, ALL_SCOPES_KEY])
def test_a_key_allows_the_routes_of_its_scopes(api_with_keys: InMemoryApi, header: tuple[str, str], key: str) -> None:
    for path in ORDER_ROUTES:
        assert api_with_keys.client.get(path, headers={header[0]: header[1].format(key)}).status_code == 200


@pytest.mark.parametrize(
    "path", [*ORDER_ROUTES, "/events", DEAD_LETTERS_URL, "/orders/unknown", "/orders/not%20an%20id"]
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": READ_KEY},
        {"Authorization": f"Basic {READ_KEY}"},
        {"X-API-Key": ""},
        {"X-API-Key": f"{READ_KEY}x"},
    ],
)
def test_without_a_known_key_every_route_answers_401(
    api_with_keys: InMemoryApi, path: str, headers: dict[str, str]
) -> None:
    response = api_with_keys.client.get(path, headers=headers)
    document = problem_of(response, 401)
    assert document["detail"] in {"missing API key", "unknown API key"}
    assert response.headers["www-authenticate"] == "Bearer"
    assert READ_KEY not in response.text
    assert api_with_keys.client.head(URL, headers=headers).status_code == 401


def test_a_key_in_the_url_is_ignored(api_with_keys: InMemoryApi) -> None:
    for name in ("key", "api_key", "access_token", "X-API-Key"):
        assert api_with_keys.client.get(f"{URL}?{name}={READ_KEY}").status_code == 401


@pytest.mark.parametrize(
    ("path", "key", "scope"), [(URL, DEAD_LETTERS_KEY, "read"), (DEAD_LETTERS_URL, READ_KEY, "dead-letters")]
)
def test_a_403_names_the_missing_scope(api_with_keys: InMemoryApi, path: str, key: str, scope: str) -> None:
    document = problem_of(api_with_keys.client.get(path, headers={"X-API-Key": key}), 403)
    assert document["detail"] == f"the API key lacks the scope {scope}"


@pytest.mark.parametrize("path", OPEN_ROUTES)
def test_pages_and_probes_require_no_key(api_with_keys: InMemoryApi, path: str) -> None:
    assert api_with_keys.client.get(path).status_code == 200


def operations(api: InMemoryApi) -> Iterator[tuple[str, str, list[dict[str, list[str]]]]]:
    """Yield method, path and security requirements of each operation in the OpenAPI document."""
    for path, methods in api.client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield method, re.sub(r"{\w+}", "0", path), operation["security"]


def test_routes_require_what_the_openapi_document_says(api_with_keys: InMemoryApi) -> None:
    scheme: list[dict[str, list[str]]] = [{"HTTPBearer": []}, {"APIKeyHeader": []}]
    for method, path, security in operations(api_with_keys):
        is_public = api_with_keys.client.request(method, path).status_code != 401
        assert security in ([[]] if is_public else [scheme, [*scheme, {}]]), path
    with (api := InMemoryApi()).client:
        for method, path, security in operations(api):
            is_disabled = "dead-letters-disabled" in api.client.request(method, path).text
            assert (security != [] and {} not in security) == is_disabled, path


def test_errors_are_counted_by_route_template(api_with_keys: InMemoryApi) -> None:
    api_with_keys.client.get(URL)
    assert api_with_keys.count("/orders/{order_uid}", "GET", "401") == 1


def test_without_keys_dead_letters_are_disabled_and_kafka_is_not_queried() -> None:
    with (api := InMemoryApi()).client:
        document = problem_of(api.client.get(DEAD_LETTERS_URL), 404)
    assert "API keys" in document["detail"]
    assert api.dead_letters.queries == []


def test_cors_allows_keys_from_listed_origins(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"read {READ_KEY}")
    origin = "https://shop.example"
    with (api := InMemoryApi(keys=Keys.load(path), cors_origins=[origin])).client:
        preflight = {"origin": origin, "access-control-request-method": "GET"}
        for name in ("authorization", "x-api-key"):
            response = api.client.options(URL, headers={**preflight, "access-control-request-headers": name})
            assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, origin)


def test_a_401_has_no_data_of_the_order(api_with_keys: InMemoryApi) -> None:
    assert ORDER.delivery.name not in api_with_keys.client.get(URL).text
