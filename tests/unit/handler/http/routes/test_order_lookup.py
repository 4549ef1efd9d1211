"""`POST /orders/lookup`: which requests it accepts, and what it answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import encode

from service.handler.http.routes import order_lookup
from service.handler.http.security.keys import Keys
from tests.kit.factories import order
from tests.kit.in_memory_api import CLIENT_VALUE, ORDER, URL, InMemoryApi, problem_of

KEY, OTHER_KEY = "k" * 20, "o" * 20
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def api() -> Iterator[InMemoryApi]:
    """An API with ORDER, and with the orders o0 to o9."""
    with (made := InMemoryApi()).client:
        made.reader.store(*(order(order_uid=f"o{number}") for number in range(10)))
        yield made


def post(api: InMemoryApi, content: object, **headers: str) -> Any:
    return api.client.post("/orders/lookup", content=encode(content), headers=JSON | headers)


def ask(api: InMemoryApi, *uids: str) -> Any:
    return post(api, {"order_uids": uids})


def test_orders_are_returned_as_by_single_reads_and_the_others_are_missing(api: InMemoryApi) -> None:
    response = ask(api, "unknown", ORDER.order_uid, "o3", "other")
    assert response.status_code == 200
    assert (response.headers["content-type"], response.headers["cache-control"]) == ("application/json", "no-store")
    documents = [api.client.get(url).content for url in (URL, "/orders/o3")]
    assert response.content == b'{"orders":[%b],"missing":["unknown","other"]}' % b",".join(documents)


def test_only_missing_orders_leave_an_empty_list(api: InMemoryApi) -> None:
    assert ask(api, "unknown").json() == {"orders": [], "missing": ["unknown"]}


@given(st.lists(st.sampled_from([f"o{number}" for number in range(15)]), min_size=1, max_size=200))
def test_each_order_is_answered_once_in_the_order_of_the_request(api: InMemoryApi, uids: list[str]) -> None:
    answer = ask(api, *uids).json()
    found = [each["order_uid"] for each in answer["orders"]]
    distinct = [*dict.fromkeys(uids)]
    assert found == [uid for uid in distinct if uid in api.reader.orders]
    assert answer["missing"] == [uid for uid in distinct if uid not in api.reader.orders]


@pytest.mark.parametrize(
    ("content", "rules"),
    [
        ({}, {"": "Object missing required field order_uids"}),
        ([], {"": "Expected object, got array"}),
        ({"order_uids": []}, {"order_uids": "Expected array of length >= 1"}),
        ({"order_uids": ["a"] * 201}, {"order_uids": "Expected array of length <= 200"}),
        ({"order_uids": [CLIENT_VALUE * 5]}, {"order_uids[0]": "Expected str of length <= 64"}),
        ({"order_uids": [""]}, {"order_uids[0]": "Expected str of length >= 1"}),
        ({"order_uids": [1]}, {"order_uids[0]": "Expected str, got int"}),
        ({"order_uids": "a"}, {"order_uids": "Expected array, got str"}),
        ({"order_uids": ["a"], CLIENT_VALUE: 1}, {"": "unknown member"}),
    ],
)
def test_an_invalid_request_is_refused_with_paths_and_rules(
    api: InMemoryApi, content: object, rules: dict[str, str]
) -> None:
    problem = problem_of(post(api, content), 422)
    assert {each["name"]: each["rule"] for each in problem["errors"]} == rules


@pytest.mark.parametrize("uid", [f"{CLIENT_VALUE}!", "a.b", "\0", "a\n", "a b", "é", "a/b"])
def test_an_id_that_no_path_may_have_is_refused(api: InMemoryApi, uid: str) -> None:
    (error,) = problem_of(ask(api, "a", uid), 422)["errors"]
    assert (error["in"], error["name"]) == ("body", "order_uids[1]")


def test_the_most_and_longest_ids_are_accepted_even_if_each_character_is_escaped(api: InMemoryApi) -> None:
    uids = [f"{number:03}".rjust(64, "x") for number in range(200)]
    escaped = ["".join(f"\\u{ord(character):04x}" for character in uid) for uid in uids]
    content = encode({"order_uids": escaped}).replace(b"\\\\u", b"\\u")
    response = api.client.post("/orders/lookup", content=content, headers=JSON)
    assert response.json() == {"orders": [], "missing": uids}


def test_a_body_that_is_too_large_is_refused(api: InMemoryApi) -> None:
    content = encode({"order_uids": ["a"]})
    limit = order_lookup.MAX_BODY_BYTES
    accepted, refused = [
        api.client.post("/orders/lookup", content=content.ljust(size), headers=JSON) for size in (limit, limit + 1)
    ]
    assert accepted.status_code == 200
    assert problem_of(refused, 413)["type"] == "urn:orders:problem:body-too-large"


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [(b"{", "application/json", 400), (b"{}", "text/plain", 415)],
)
def test_a_body_that_is_not_json_is_refused(api: InMemoryApi, content: bytes, media_type: str, status: int) -> None:
    problem_of(api.client.post("/orders/lookup", content=content, headers={"Content-Type": media_type}), status)


def test_orders_that_do_not_fit_into_a_response_are_refused(api: InMemoryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(api.client.get("/orders/o1").content)
    monkeypatch.setattr(order_lookup, "MAX_RESPONSE_BYTES", 2 * size)
    assert len(ask(api, "o1", "o2").json()["orders"]) == 2
    ask(api, "o3")
    api.cached.invalidate(["o4"])
    for uids in (("o1", "o2", "o3"), ("o1", "o2", "o4")):  # all cached, and not
        problem = problem_of(ask(api, *uids), 422)
        assert problem["type"] == "urn:orders:problem:orders-too-large"
        assert problem["detail"] == f"the orders together are larger than {2 * size} bytes"


def test_orders_cannot_be_looked_up_while_postgresql_is_unreachable() -> None:
    with (api := InMemoryApi()).client:
        api.client.get(URL)
        api.reader.is_unreachable = True
        assert len(ask(api, ORDER.order_uid).json()["orders"]) == 1  # cached
        problem_of(ask(api, ORDER.order_uid, "other"), 503)


def test_a_lookup_requires_a_key_that_reads_orders(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"read {KEY}\ndead-letters {OTHER_KEY}\n")
    with (api := InMemoryApi(keys=Keys.load(path))).client:
        body = {"order_uids": [ORDER.order_uid]}
        assert post(api, body, **{"X-API-Key": KEY}).status_code == 200
        problem_of(post(api, body), 401)
        problem_of(post(api, body, **{"X-API-Key": OTHER_KEY}), 403)


def test_an_order_may_have_the_id_lookup() -> None:
    with (api := InMemoryApi()).client:
        api.reader.store(order(order_uid="lookup"))
        assert api.client.get("/orders/lookup").json()["order_uid"] == "lookup"
        assert api.client.delete("/orders/lookup").headers["allow"] == "GET, HEAD, POST, OPTIONS"


def test_documents_are_never_compressed(api: InMemoryApi) -> None:
    response = post(api, {"order_uids": ["o1", "o2", "o3"]}, **{"Accept-Encoding": "gzip"})
    assert "content-encoding" not in response.headers
