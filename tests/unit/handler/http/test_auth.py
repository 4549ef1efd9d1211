"""API keys and their scopes, and dead letters, which require them."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.entities.dead_letter_record import DeadLetterRecord
from service.handler.http.keys import Keys
from service.usecases.ports import DeadLetterQuery
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


ORIGINAL = [
    ("dlq-reason", b"invalid"),
    ("dlq-detail", b"payment.amount: Expected `int`"),
    ("dlq-original-topic", b"orders"),
    ("dlq-original-partition", b"2"),
    ("dlq-original-offset", b"17"),
    ("dlq-original-timestamp", b"1700000000000"),
    ("dlq-failed-at", b"2026-11-25T10:00:00.000Z"),
    ("dlq-attempts", b"1"),
    ("dlq-replays", b"3"),
]


OLDER = [(0, 11), (3, 6), (3, 7)]
"""Partition and offset of dead letters on later pages."""


def dead_letters_page(api: InMemoryApi, query: str = "") -> dict[str, object]:
    response = api.client.get(f"{DEAD_LETTERS_URL}{query}", headers={"X-API-Key": DEAD_LETTERS_KEY})
    assert (response.status_code, response.headers["cache-control"]) == (200, "no-store")
    document: dict[str, object] = response.json()
    return document


def test_a_dead_letter_has_its_original_bytes(api_with_keys: InMemoryApi) -> None:
    dead_letter = DeadLetterRecord(0, 12, 1_764_064_800_123, b"\x00key", b"\xff\xfe" * 20, [*ORIGINAL])
    older = [dead_letter._replace(partition=partition, offset=offset, timestamp_ms=0) for partition, offset in OLDER]
    api_with_keys.dead_letters.store(*older, dead_letter)
    api_with_keys.dead_letters.max_bytes = 6
    assert dead_letters_page(api_with_keys, "?limit=1") == {
        "dead_letters": [
            {
                "partition": 0,
                "offset": 12,
                "timestamp": "2025-11-25T10:00:00.123Z",
                "reason": "invalid",
                "detail": "payment.amount: Expected `int`",
                "failed_at": "2026-11-25T10:00:00.000Z",
                "attempts": "1",
                "replays": 3,
                "is_stub": False,
                "original": {"topic": "orders", "partition": 2, "offset": 17, "timestamp": "2023-11-14T22:13:20.000Z"},
                "key": base64.b64encode(b"\x00key").decode(),
                "value": base64.b64encode(b"\xff\xfe" * 3).decode(),
                "size": 40,
            }
        ],
        "next_cursor": "0.12-3.8",
    }


@pytest.mark.parametrize(
    "headers",
    [[], [("dlq-reason", None)], [("dlq-replays", b"x")], [*ORIGINAL[:5], ("dlq-original-timestamp", b"9" * 18)]],
)
def test_malformed_dead_letter_headers_are_tolerated(
    api_with_keys: InMemoryApi, headers: list[tuple[str, bytes | None]]
) -> None:
    api_with_keys.dead_letters.store(DeadLetterRecord(0, 0, -1, None, None, headers))
    document = dead_letters_page(api_with_keys)
    assert document["next_cursor"] is None


def test_the_query_is_passed_on(api_with_keys: InMemoryApi) -> None:
    dead_letters_page(api_with_keys)
    dead_letters_page(api_with_keys, "?limit=50&cursor=0.12-31.8&reason=invalid&reason=rejected")
    first, second = api_with_keys.dead_letters.queries
    assert first == DeadLetterQuery(20)
    assert second == DeadLetterQuery(50, {0: 12, 31: 8}, frozenset({"invalid", "rejected"}))


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=51", "?reason=other", "?cursor=0", "?cursor=0.1-", "?cursor=a.b", "?cursor=0.-1"]
)
def test_a_malformed_parameter_is_reported_by_name(api_with_keys: InMemoryApi, query: str) -> None:
    document = problem_of(
        api_with_keys.client.get(DEAD_LETTERS_URL + query, headers={"X-API-Key": ALL_SCOPES_KEY}), 422
    )
    assert [error["name"] for error in document["errors"]] == [query[1:].partition("=")[0]]


def test_unreachable_kafka_is_a_503(api_with_keys: InMemoryApi) -> None:
    api_with_keys.dead_letters.is_unreachable = True
    problem_of(api_with_keys.client.get(DEAD_LETTERS_URL, headers={"X-API-Key": ALL_SCOPES_KEY}), 503)


def test_a_401_has_no_data_of_the_order(api_with_keys: InMemoryApi) -> None:
    assert ORDER.delivery.name not in api_with_keys.client.get(URL).text
