"""The API's responses, with fakes for PostgreSQL and Kafka."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from service.entities.order import Order
from service.handler.http.api import Backends, create_app
from service.handler.http.event_broadcaster import EventBroadcaster
from service.handler.http.routes.probes import Health
from service.handler.http.routes.stats import CacheStats, Dependencies, Stats, WarmUpStats
from service.metrics import Metrics
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.lookup import Lookup
from service.usecases.ports import ReadResult
from tests.kit.factories import order
from tests.kit.fake_dead_letter_reader import FakeDeadLetterReader
from tests.kit.fake_reader import FakeReader

ORDER: Order = order(order_uid="b563feb7b2b84b6test")
URL = "/orders/b563feb7b2b84b6test"
CLIENT_VALUE = "sent-by-a-client"


class ApiFixture:
    def __init__(self, **options: Any) -> None:
        self.reader = FakeReader(ORDER)
        self.is_ready = True
        self.metrics = Metrics(CollectorRegistry())
        lookup = Lookup(self.reader, Lru(10, 2**20), TTLSet(10, 2))
        self.lookup = lookup
        ready = {"warm-up": lambda: self.is_ready, "not draining": lambda: True}
        health = Health({"loop": lambda: True}, ready, {"warm-up": lambda: True}, {"database": lambda: False})
        self.dead_letters = FakeDeadLetterReader()
        backends = Backends(lookup, self.reader, self.dead_letters, EventBroadcaster(10, 0), self.figures, health)
        app = create_app(backends, self.metrics, structlog.get_logger(), **{"version": "1.2.3", **options})
        self.client = TestClient(app, raise_server_exceptions=False)

    async def figures(self) -> Stats:
        return Stats(
            cache=CacheStats(1, 2, 3, 4, 0.5),
            warm_up=WarmUpStats(is_over=True, orders=1, seconds=0.1),
            stored=None,
            stored_is_estimate=False,
            stored_per_second=0.5,
            event_clients=0,
            lag=None,
            dead_letters=None,
            dependencies=Dependencies(None, None, None),
        )

    def count(self, handler: str, method: str, status: str) -> float | None:
        labels = {"handler": handler, "method": method, "status": status}
        return self.metrics.registry.get_sample_value("orders_http_requests_total", labels)


@pytest.fixture
def api_fixture() -> Iterator[ApiFixture]:
    made = ApiFixture()
    with made.client:
        yield made


def problem_of(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["request_id"] == response.headers["x-request-id"]
    assert (status == 503) == ("retry-after" in response.headers)
    assert CLIENT_VALUE not in response.text
    return document


def test_an_order_has_a_strong_etag_and_the_cache_status(api_fixture: ApiFixture) -> None:
    first, second = api_fixture.client.get(URL), api_fixture.client.get(URL)
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert first.headers["cache-control"] == "private, no-cache"
    assert re.fullmatch('"[0-9a-f]{32}"', first.headers["etag"])
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]


def test_the_etag_changes_with_the_document(api_fixture: ApiFixture) -> None:
    before = api_fixture.client.get(URL).headers["etag"]
    api_fixture.reader.store(order(order_uid=ORDER.order_uid, locale="other"))
    api_fixture.lookup.invalidate([ORDER.order_uid])
    assert api_fixture.client.get(URL).headers["etag"] != before


def test_a_matching_if_none_match_gets_304_without_a_body(api_fixture: ApiFixture) -> None:
    tag = api_fixture.client.get(URL).headers["etag"]
    for value in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        response = api_fixture.client.get(URL, headers={"if-none-match": value})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag)
    assert api_fixture.client.get(URL, headers={"if-none-match": '"other"'}).status_code == 200


def test_head_has_the_headers_of_get_without_a_body(api_fixture: ApiFixture) -> None:
    get, head = api_fixture.client.get(URL), api_fixture.client.head(URL)
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers["etag"] == get.headers["etag"]
    assert api_fixture.client.head("/orders/unknown").status_code == 404


def test_an_unknown_uid_is_not_found(api_fixture: ApiFixture) -> None:
    assert problem_of(api_fixture.client.get("/orders/unknown"), 404)["title"] == "Not Found"


@pytest.mark.parametrize("uid", [f"{CLIENT_VALUE}!", "a.b", "%00", "%0A", "a%20b", "x" * 65, "%C3%A9", "%ff"])
def test_a_malformed_uid_is_reported_without_its_value(api_fixture: ApiFixture, uid: str) -> None:
    document = problem_of(api_fixture.client.get(f"/orders/{uid}"), 422)
    assert [(each["in"], each["name"]) for each in document["errors"]] == [("path", "order_uid")]
    assert api_fixture.reader.queries == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=x",
        "cursor=1.",
        "cursor=1234567890123456789.a",
        "customer_id=",
        "limit=",
    ],
)
def test_a_malformed_parameter_is_reported(api_fixture: ApiFixture, query: str) -> None:
    document = problem_of(api_fixture.client.get(f"/orders?{query}"), 422)
    assert [(each["in"], each["name"]) for each in document["errors"]] == [("query", query.partition("=")[0])]


def test_unknown_paths_and_methods_are_problems(api_fixture: ApiFixture) -> None:
    problem_of(api_fixture.client.get(f"/nothing/{CLIENT_VALUE}"), 404)
    refused = api_fixture.client.delete(URL)
    problem_of(refused, 405)
    assert refused.headers["allow"] == "GET, HEAD"
    assert api_fixture.client.delete("/orders").headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/orders/", "/docs/", "/stats/", "/orders//"])
def test_trailing_and_double_slashes_are_not_found(api_fixture: ApiFixture, path: str) -> None:
    problem_of(api_fixture.client.get(path, follow_redirects=False), 404)


def test_a_body_is_refused_unread(api_fixture: ApiFixture) -> None:
    response = api_fixture.client.post("/orders", content=CLIENT_VALUE)
    problem_of(response, 413)
    assert response.headers["connection"] == "close"
    assert api_fixture.client.request("GET", URL, headers={"content-length": "0"}).status_code == 200


def test_while_the_database_is_unreachable_orders_that_are_not_cached_get_503(api_fixture: ApiFixture) -> None:
    api_fixture.reader.is_unreachable = True
    for url in (URL, "/orders"):
        assert problem_of(api_fixture.client.get(url), 503)["detail"] == "unreachable"


def test_an_unhandled_error_is_a_problem_without_a_traceback_or_a_value(
    api_fixture: ApiFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_uids: Sequence[str]) -> Mapping[str, ReadResult]:
        raise RuntimeError(CLIENT_VALUE)

    monkeypatch.setattr(api_fixture.reader, "documents", fail)
    with capture_logs() as logged:
        response = api_fixture.client.get(URL)
    document = problem_of(response, 500)
    assert "RuntimeError" not in response.text
    assert [(each["event"], each["request_id"]) for each in logged] == [("request failed", document["request_id"])]
    assert api_fixture.count("/orders/{order_uid}", "GET", "500") == 1


@pytest.mark.parametrize("given", ["abc", "A.b_c-1", "x" * 64])
def test_a_well_formed_request_id_is_kept(api_fixture: ApiFixture, given: str) -> None:
    assert api_fixture.client.get("/nothing", headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a/b", "<script>", "é"])
def test_any_other_request_id_is_replaced(api_fixture: ApiFixture, given: str) -> None:
    response = api_fixture.client.get("/nothing", headers={b"x-request-id": given.encode()})
    assert re.fullmatch("[0-9a-f]{16}", response.headers["x-request-id"])


@pytest.mark.parametrize(
    "path", [URL, "/orders", "/stats", "/livez", "/", "/docs", "/nothing", "/static/docs.js", "/assets/none.js"]
)
def test_every_response_has_the_security_headers(api_fixture: ApiFixture, path: str) -> None:
    headers = api_fixture.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"].partition("script-src")[2].partition(";")[0]
    assert "server" not in headers


def test_a_list_is_paged_to_its_end(api_fixture: ApiFixture) -> None:
    api_fixture.reader.store(*(order(order_uid=f"o{number}") for number in range(4)))
    first = api_fixture.client.get("/orders?limit=3").json()
    second = api_fixture.client.get("/orders", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    uids = [each["order_uid"] for each in first["orders"] + second["orders"]]
    assert uids == ["o3", "o2", "o1", "o0", ORDER.order_uid]
    assert second["next_cursor"] is None


def test_a_list_has_no_personal_data(api_fixture: ApiFixture) -> None:
    listed = api_fixture.client.get("/orders").text
    assert [value for value in (ORDER.delivery.name, ORDER.delivery.email, "customer") if value in listed] == []


def test_stats_are_served(api_fixture: ApiFixture) -> None:
    figures = api_fixture.client.get("/stats").json()
    assert figures["cache"]["hit_ratio"] == 0.5
    assert (figures["lag"], figures["dead_letters"], figures["stored"]) == (None, None, None)


def test_too_many_event_streams_are_refused(api_fixture: ApiFixture) -> None:
    problem_of(api_fixture.client.get("/events"), 503)


def test_verbose_probes_list_their_checks(api_fixture: ApiFixture) -> None:
    assert api_fixture.client.get("/readyz").json() == {"status": "ok"}
    checks = {"warm-up": True, "not draining": True, "database": False}
    assert api_fixture.client.get("/readyz?verbose").json()["parts"] == checks
    api_fixture.is_ready = False
    document = problem_of(api_fixture.client.get("/readyz?verbose"), 503)
    assert "warm-up" in document["detail"]
    assert document["parts"] == checks | {"warm-up": False}
    assert api_fixture.client.get("/livez").status_code == 200
    assert api_fixture.client.get("/startupz").status_code == 200


def test_requests_are_counted_by_route_template_and_unknown_paths_together(api_fixture: ApiFixture) -> None:
    api_fixture.client.get(URL)
    api_fixture.client.get("/orders/unknown")
    for path in ("/nothing/1", "/nothing/2"):
        api_fixture.client.get(path)
    api_fixture.client.request("BREW", "/nothing")
    assert api_fixture.count("/orders/{order_uid}", "GET", "200") == 1
    assert api_fixture.count("/orders/{order_uid}", "GET", "404") == 1
    assert api_fixture.count("none", "GET", "404") == 2
    assert api_fixture.count("none", "other", "404") == 1


def test_cors_allows_only_listed_origins() -> None:
    origin = {"origin": "https://shop.example"}
    with ApiFixture().client as closed, ApiFixture(cors_origins=["https://shop.example"]).client as opened:
        assert "access-control-allow-origin" not in closed.get(URL, headers=origin).headers
        response = opened.get(URL, headers=origin)
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
        assert "ETag" in response.headers["access-control-expose-headers"]
        other = opened.get(URL, headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_the_openapi_document_describes_every_error_as_a_problem(api_fixture: ApiFixture) -> None:
    document = api_fixture.client.get("/openapi.json").json()
    assert set(document["paths"]) == {"/orders", "/orders/{order_uid}", "/events", "/stats", "/dead-letters"}
    assert {"Order", "Delivery", "Payment", "Item", "Problem"} <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in str(document)
    for operations in document["paths"].values():
        for method, operation in operations.items():
            errors = {status: response for status, response in operation["responses"].items() if status >= "400"}
            assert {"413", "431", "500", "503"} <= set(errors)
            media_types = {each for response in errors.values() for each in response.get("content", {})}
            assert media_types == (set() if method == "head" else {"application/problem+json"})
