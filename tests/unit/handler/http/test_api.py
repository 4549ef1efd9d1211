"""The API's answers, on a reader in memory."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from service.entities.order import Order
from service.handler.http.api import Parts, api
from service.handler.http.event_broadcaster import EventBroadcaster
from service.handler.http.routes.probes import Health
from service.handler.http.routes.stats import CacheFigures, Dependencies, Figures, WarmUpFigures
from service.metrics import Metrics
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.lookup import Lookup
from tests.factories import order
from tests.fake_dead_letters import FakeDeadLetters
from tests.fake_reader import FakeReader

ORDER: Order = order(order_uid="b563feb7b2b84b6test")
URL = "/orders/b563feb7b2b84b6test"
SENT = "sent-by-a-client"


class Site:
    def __init__(self, **options: Any) -> None:
        self.reader = FakeReader(ORDER)
        self.is_ready = True
        self.metrics = Metrics(CollectorRegistry())
        lookup = Lookup(self.reader, Lru(10, 2**20), TTLSet(10, 2))
        self.lookup = lookup
        ready = {"warm-up": lambda: self.is_ready, "not draining": lambda: True}
        health = Health({"loop": lambda: True}, ready, {"warm-up": lambda: True}, {"database": lambda: False})
        self.dead_letters = FakeDeadLetters()
        parts = Parts(lookup, self.reader, self.dead_letters, EventBroadcaster(10, 0), self.figures, health)
        app = api(parts, self.metrics, structlog.get_logger(), **{"version": "1.2.3", **options})
        self.client = TestClient(app, raise_server_exceptions=False)

    async def figures(self) -> Figures:
        return Figures(
            cache=CacheFigures(1, 2, 3, 4, 0.5),
            warm_up=WarmUpFigures(is_over=True, orders=1, seconds=0.1),
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
def site() -> Iterator[Site]:
    made = Site()
    with made.client:
        yield made


def problem_of(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]
    assert (status == 503) == ("retry-after" in answer.headers)
    assert SENT not in answer.text
    return document


def test_an_order_is_answered_with_a_strong_tag_and_where_it_came_from(site: Site) -> None:
    first, second = site.client.get(URL), site.client.get(URL)
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert first.headers["cache-control"] == "private, no-cache"
    assert re.fullmatch('"[0-9a-f]{32}"', first.headers["etag"])
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]


def test_the_tag_changes_with_the_document(site: Site) -> None:
    before = site.client.get(URL).headers["etag"]
    site.reader.store(order(order_uid=ORDER.order_uid, locale="other"))
    site.lookup.invalidate([ORDER.order_uid])
    assert site.client.get(URL).headers["etag"] != before


def test_a_client_that_holds_the_document_is_told_so_without_a_body(site: Site) -> None:
    tag = site.client.get(URL).headers["etag"]
    for held in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = site.client.get(URL, headers={"if-none-match": held})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert site.client.get(URL, headers={"if-none-match": '"other"'}).status_code == 200


def test_head_answers_as_get_does_without_a_body(site: Site) -> None:
    get, head = site.client.get(URL), site.client.head(URL)
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers["etag"] == get.headers["etag"]
    assert site.client.head("/orders/unknown").status_code == 404


def test_an_unknown_id_is_not_found(site: Site) -> None:
    assert problem_of(site.client.get("/orders/unknown"), 404)["title"] == "Not Found"


@pytest.mark.parametrize("uid", [f"{SENT}!", "a.b", "%00", "%0A", "a%20b", "x" * 65, "%C3%A9", "%ff"])
def test_a_malformed_id_is_named_and_not_repeated(site: Site, uid: str) -> None:
    document = problem_of(site.client.get(f"/orders/{uid}"), 422)
    assert [(each["in"], each["name"]) for each in document["errors"]] == [("path", "order_uid")]
    assert site.reader.queries == []


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
def test_a_malformed_parameter_of_a_list_is_named(site: Site, query: str) -> None:
    document = problem_of(site.client.get(f"/orders?{query}"), 422)
    assert [(each["in"], each["name"]) for each in document["errors"]] == [("query", query.partition("=")[0])]


def test_paths_and_methods_that_are_not_there_are_problems(site: Site) -> None:
    problem_of(site.client.get(f"/nothing/{SENT}"), 404)
    refused = site.client.delete(URL)
    problem_of(refused, 405)
    assert refused.headers["allow"] == "GET, HEAD"
    assert site.client.delete("/orders").headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/orders/", "/docs/", "/stats/", "/orders//"])
def test_a_path_has_one_spelling(site: Site, path: str) -> None:
    problem_of(site.client.get(path, follow_redirects=False), 404)


def test_a_body_is_refused_unread(site: Site) -> None:
    answer = site.client.post("/orders", content=SENT)
    problem_of(answer, 413)
    assert answer.headers["connection"] == "close"
    assert site.client.request("GET", URL, headers={"content-length": "0"}).status_code == 200


def test_an_order_that_is_not_in_memory_is_refused_for_now_while_the_database_is_away(site: Site) -> None:
    site.reader.is_away = True
    for url in (URL, "/orders"):
        problem_of(site.client.get(url), 503)


def test_a_bug_is_a_problem_without_a_stack_or_a_value(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_uid: str) -> bytes | None:
        raise RuntimeError(SENT)

    monkeypatch.setattr(site.reader, "document", fail)
    with capture_logs() as logged:
        answer = site.client.get(URL)
    document = problem_of(answer, 500)
    assert "RuntimeError" not in answer.text
    assert [(each["event"], each["request_id"]) for each in logged] == [("request failed", document["request_id"])]
    assert site.count("/orders/{order_uid}", "GET", "500") == 1


@pytest.mark.parametrize("given", ["abc", "A.b_c-1", "x" * 64])
def test_a_plain_request_id_is_taken_over(site: Site, given: str) -> None:
    assert site.client.get("/nothing", headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a/b", "<script>", "é"])
def test_any_other_request_id_is_replaced(site: Site, given: str) -> None:
    answer = site.client.get("/nothing", headers={b"x-request-id": given.encode()})
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "path", [URL, "/orders", "/stats", "/livez", "/", "/docs", "/nothing", "/static/docs.js", "/assets/none.js"]
)
def test_every_answer_carries_the_security_headers(site: Site, path: str) -> None:
    headers = site.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"].partition("script-src")[2].partition(";")[0]
    assert "server" not in headers


def test_a_list_is_paged_until_there_is_no_more(site: Site) -> None:
    site.reader.store(*(order(order_uid=f"o{number}") for number in range(4)))
    first = site.client.get("/orders?limit=3").json()
    second = site.client.get("/orders", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    uids = [each["order_uid"] for each in first["orders"] + second["orders"]]
    assert uids == ["o3", "o2", "o1", "o0", ORDER.order_uid]
    assert second["next_cursor"] is None


def test_a_list_carries_no_personal_data(site: Site) -> None:
    listed = site.client.get("/orders").text
    assert [value for value in (ORDER.delivery.name, ORDER.delivery.email, "customer") if value in listed] == []


def test_figures_are_told(site: Site) -> None:
    figures = site.client.get("/stats").json()
    assert figures["cache"]["hit_ratio"] == 0.5
    assert (figures["lag"], figures["dead_letters"], figures["stored"]) == (None, None, None)


def test_too_many_event_streams_are_refused(site: Site) -> None:
    problem_of(site.client.get("/events"), 503)


def test_probes_tell_their_parts_when_asked(site: Site) -> None:
    assert site.client.get("/readyz").json() == {"status": "ok"}
    told = {"warm-up": True, "not draining": True, "database": False}
    assert site.client.get("/readyz?verbose").json()["parts"] == told
    site.is_ready = False
    document = problem_of(site.client.get("/readyz?verbose"), 503)
    assert "warm-up" in document["detail"]
    assert document["parts"] == told | {"warm-up": False}
    assert site.client.get("/livez").status_code == 200
    assert site.client.get("/startupz").status_code == 200


def test_requests_are_counted_by_template_and_unknown_paths_together(site: Site) -> None:
    site.client.get(URL)
    site.client.get("/orders/unknown")
    for path in ("/nothing/1", "/nothing/2"):
        site.client.get(path)
    site.client.request("BREW", "/nothing")
    assert site.count("/orders/{order_uid}", "GET", "200") == 1
    assert site.count("/orders/{order_uid}", "GET", "404") == 1
    assert site.count("none", "GET", "404") == 2
    assert site.count("none", "other", "404") == 1


def test_other_origins_may_read_only_where_they_are_listed() -> None:
    origin = {"origin": "https://shop.example"}
    with Site().client as closed, Site(cors_origins=["https://shop.example"]).client as opened:
        assert "access-control-allow-origin" not in closed.get(URL, headers=origin).headers
        answer = opened.get(URL, headers=origin)
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "ETag" in answer.headers["access-control-expose-headers"]
        other = opened.get(URL, headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_the_document_of_the_api_describes_every_refusal_as_a_problem(site: Site) -> None:
    document = site.client.get("/openapi.json").json()
    assert set(document["paths"]) == {"/orders", "/orders/{order_uid}", "/events", "/stats", "/dead-letters"}
    assert {"Order", "Delivery", "Payment", "Item", "Problem"} <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in str(document)
    for operations in document["paths"].values():
        for method, operation in operations.items():
            refusals = {status: told for status, told in operation["responses"].items() if status >= "400"}
            assert {"413", "431", "500", "503"} <= set(refusals)
            told = {media for told in refusals.values() for media in told.get("content", {})}
            assert told == (set() if method == "head" else {"application/problem+json"})
