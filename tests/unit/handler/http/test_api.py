"""The API's responses, with fakes for PostgreSQL and Kafka."""

import re
from collections.abc import Iterator, Mapping, Sequence

import pytest
from structlog.testing import capture_logs

from service.usecases.ports.reads import ReadResult
from tests.kit.factories import order
from tests.kit.in_memory_api import CLIENT_VALUE, ORDER, URL, InMemoryApi, problem_of


@pytest.fixture
def api() -> Iterator[InMemoryApi]:
    made = InMemoryApi()
    with made.client:
        yield made


def test_an_order_has_a_strong_etag_and_the_cache_status(api: InMemoryApi) -> None:
    first, second = api.client.get(URL), api.client.get(URL)
    assert first.status_code == 200
    assert first.headers["content-type"] == "application/json"
    assert first.headers["cache-control"] == "private, no-cache"
    assert re.fullmatch('"[0-9a-f]{32}"', first.headers["etag"])
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert first.content == second.content
    assert first.headers["etag"] == second.headers["etag"]


def test_the_etag_changes_with_the_document(api: InMemoryApi) -> None:
    before = api.client.get(URL).headers["etag"]
    api.reader.store(order(order_uid=ORDER.order_uid, locale="other"))
    api.cached.invalidate([ORDER.order_uid])
    assert api.client.get(URL).headers["etag"] != before


def test_a_matching_if_none_match_gets_304_without_a_body(api: InMemoryApi) -> None:
    tag = api.client.get(URL).headers["etag"]
    for value in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        response = api.client.get(URL, headers={"if-none-match": value})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag)
    assert api.client.get(URL, headers={"if-none-match": '"other"'}).status_code == 200


def test_head_has_the_headers_of_get_without_a_body(api: InMemoryApi) -> None:
    get, head = api.client.get(URL), api.client.head(URL)
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers["etag"] == get.headers["etag"]
    assert api.client.head("/orders/unknown").status_code == 404


def test_an_unknown_uid_is_not_found(api: InMemoryApi) -> None:
    assert problem_of(api.client.get("/orders/unknown"), 404)["type"] == "urn:orders:problem:order-not-found"


@pytest.mark.parametrize("uid", [f"{CLIENT_VALUE}!", "a.b", "%00", "%0A", "a%20b", "x" * 65, "%C3%A9", "%ff"])
def test_a_malformed_uid_is_reported_without_its_value(api: InMemoryApi, uid: str) -> None:
    document = problem_of(api.client.get(f"/orders/{uid}"), 422)
    assert [(each["in"], each["name"]) for each in document["errors"]] == [("path", "order_uid")]
    assert api.reader.queries == []


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
        "created_from=",
        "created_from=2026-01-01T00:00:00",  # no time zone
        "created_to=1767225600",
        "created_to=2026-01-01T00:00:00+03:00",  # + means a space
        "limit=",
    ],
)
def test_a_malformed_parameter_is_reported(api: InMemoryApi, query: str) -> None:
    document = problem_of(api.client.get(f"/orders?{query}"), 422)
    assert [(each["in"], each["name"]) for each in document["errors"]] == [("query", query.partition("=")[0])]


def test_unknown_paths_and_methods_are_problems(api: InMemoryApi) -> None:
    problem_of(api.client.get(f"/nothing/{CLIENT_VALUE}"), 404)
    refused = api.client.delete(URL)
    problem_of(refused, 405)
    assert refused.headers["allow"] == "GET, HEAD, OPTIONS"
    assert api.client.delete("/orders").headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", [URL, "/orders", "/stats", "/readyz", "/docs", "/openapi.json"])
def test_head_and_options_are_answered_wherever_get_is(api: InMemoryApi, path: str) -> None:
    head, options = api.client.head(path), api.client.options(path)
    assert (head.status_code, head.content) == (200, b"")
    assert (options.status_code, options.content) == (204, b"")
    assert options.headers["allow"] == "GET, HEAD, OPTIONS"


def test_head_of_the_events_ends() -> None:
    with (api := InMemoryApi()).client:
        head = api.client.head("/events")
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("custmer_id=1", "did you mean customer_id?"),
        ("Limit=1&limit=1", "did you mean limit?"),
        (
            f"{CLIENT_VALUE}=1",
            "known parameters: limit, cursor, customer_id, track_number, created_from, created_to",
        ),
    ],
)
def test_an_unknown_parameter_is_an_error_with_a_hint(api: InMemoryApi, query: str, hint: str) -> None:
    document = problem_of(api.client.get(f"/orders?{query}"), 422)
    assert document["errors"] == [{"in": "query", "name": "", "rule": "unknown_parameter", "hint": hint}]


def test_an_unknown_value_of_include_is_refused_with_the_allowed_ones(api: InMemoryApi) -> None:
    for method in ("GET", "HEAD"):
        assert api.client.request(method, "/events?include=items").status_code == 422
    (error,) = problem_of(api.client.get("/events?include=items"), 422)["errors"]
    assert (error["name"], error["expected"]) == ("include", "'summary'")


@pytest.mark.parametrize("path", [URL, "/stats"])
def test_a_route_without_parameters_accepts_none(api: InMemoryApi, path: str) -> None:
    (error,) = problem_of(api.client.get(f"{path}?limit=1"), 422)["errors"]
    assert error["hint"] == "known parameters: none"


def test_an_invalid_value_is_reported_with_the_bounds_of_its_rule(api: InMemoryApi) -> None:
    (error,) = problem_of(api.client.get("/orders?limit=201"), 422)["errors"]
    assert error == {"in": "query", "name": "limit", "rule": "less_than_equal", "maximum": 200}
    (error,) = problem_of(api.client.get(f"/orders/{'x' * 65}"), 422)["errors"]
    assert (error["rule"], error["max_length"]) == ("string_too_long", 64)


@pytest.mark.parametrize("path", ["/orders/", "/docs/", "/stats/", "/orders//"])
def test_trailing_and_double_slashes_are_not_found(api: InMemoryApi, path: str) -> None:
    problem_of(api.client.get(path, follow_redirects=False), 404)


def test_a_body_is_refused_unread(api: InMemoryApi) -> None:
    for path in ("/orders", "/livez"):
        response = api.client.request("GET", path, content=CLIENT_VALUE)
        problem_of(response, 413)
        assert response.headers["connection"] == "close"
    assert api.client.request("GET", URL, headers={"content-length": "0"}).status_code == 200


def test_an_unknown_path_or_method_comes_before_a_refused_body(api: InMemoryApi) -> None:
    for method, path, status in (("DELETE", "/orders", 405), ("GET", "/nothing", 404), ("POST", "/livez", 405)):
        response = api.client.request(method, path, content=CLIENT_VALUE)
        problem_of(response, status)
        assert response.headers["connection"] == "close"


def test_while_the_database_is_unreachable_orders_that_are_not_cached_get_503(api: InMemoryApi) -> None:
    api.reader.is_unreachable = True
    for url in (URL, "/orders"):
        assert problem_of(api.client.get(url), 503)["detail"] == "unreachable"


def test_an_unhandled_error_is_a_problem_without_a_traceback_or_a_value(
    api: InMemoryApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_uids: Sequence[str]) -> Mapping[str, ReadResult]:
        raise RuntimeError(CLIENT_VALUE)

    monkeypatch.setattr(api.reader, "documents", fail)
    with capture_logs() as logged:
        response = api.client.get(URL)
    document = problem_of(response, 500)
    assert "RuntimeError" not in response.text
    assert [(each["event"], each["request_id"]) for each in logged] == [("request failed", document["request_id"])]
    assert api.count("/orders/{order_uid}", "GET", "500") == 1


@pytest.mark.parametrize("given", ["abc", "A.b_c-1", "x" * 64])
def test_a_well_formed_request_id_is_kept(api: InMemoryApi, given: str) -> None:
    assert api.client.get("/nothing", headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a/b", "<script>", "é"])
def test_any_other_request_id_is_replaced(api: InMemoryApi, given: str) -> None:
    response = api.client.get("/nothing", headers={b"x-request-id": given.encode()})
    assert re.fullmatch("[0-9a-f]{16}", response.headers["x-request-id"])


@pytest.mark.parametrize(
    "path", [URL, "/orders", "/stats", "/livez", "/", "/docs", "/nothing", "/static/docs.js", "/assets/none.js"]
)
def test_every_response_has_the_security_headers(api: InMemoryApi, path: str) -> None:
    headers = api.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"].partition("script-src")[2].partition(";")[0]
    assert "server" not in headers


def test_stats_are_served(api: InMemoryApi) -> None:
    figures = api.client.get("/stats").json()
    assert figures["cache"]["hit_ratio"] == 0.5
    assert (figures["lag"], figures["dead_letters"], figures["stored"]) == (None, None, None)


def test_too_many_event_streams_are_refused(api: InMemoryApi) -> None:
    problem_of(api.client.get("/events"), 503)


def test_verbose_probes_list_their_checks(api: InMemoryApi) -> None:
    assert api.client.get("/readyz").json() == {"status": "ok"}
    checks = {"warm-up": True, "not draining": True, "database": False}
    assert api.client.get("/readyz?verbose").json()["parts"] == checks
    api.is_ready = False
    document = problem_of(api.client.get("/readyz?verbose"), 503)
    assert "warm-up" in document["detail"]
    assert document["parts"] == checks | {"warm-up": False}
    assert api.client.get("/livez").status_code == 200
    assert api.client.get("/startupz").status_code == 200


def test_requests_are_counted_by_route_template_and_unknown_paths_together(api: InMemoryApi) -> None:
    api.client.get(URL)
    api.client.get("/orders/unknown")
    for path in ("/nothing/1", "/nothing/2"):
        api.client.get(path)
    api.client.request("BREW", "/nothing")
    assert api.count("/orders/{order_uid}", "GET", "200") == 1
    assert api.count("/orders/{order_uid}", "GET", "404") == 1
    assert api.count("none", "GET", "404") == 2
    assert api.count("none", "other", "404") == 1


def test_a_post_is_counted_as_such(api: InMemoryApi) -> None:
    api.client.post("/dead-letters/replay", json={})
    api.client.post("/orders")
    assert api.count("/dead-letters/replay", "POST", "404") == 1  # disabled without keys
    assert api.count("/orders", "POST", "405") == 1
    assert api.count("/dead-letters/replay", "other", "404") is None


def test_cors_allows_only_listed_origins() -> None:
    origin = {"origin": "https://shop.example"}
    with InMemoryApi().client as closed, InMemoryApi(cors_origins=["https://shop.example"]).client as opened:
        assert "access-control-allow-origin" not in closed.get(URL, headers=origin).headers
        response = opened.get(URL, headers=origin)
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
        exposed = {*response.headers["access-control-expose-headers"].split(", ")}
        assert exposed == opened.get("/openapi.json").json()["components"]["headers"].keys()
        other = opened.get(URL, headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/orders/lookup", "content-type,x-api-key"),
        ("/dead-letters/replay", "authorization,content-type,idempotency-key"),
    ],
)
def test_a_listed_origin_may_post(path: str, headers: str) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": headers}
    with InMemoryApi(cors_origins=["https://shop.example"]).client as opened:
        preflight = opened.options(path, headers={"origin": "https://shop.example", **asked})
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]
