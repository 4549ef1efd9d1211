"""Which responses are compressed, and how their ETags and Vary follow from it."""

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from service.handler.http.responses.compression import MIN_COMPRESSED_BYTES, CompressionMiddleware
from service.handler.http.responses.if_none_match import matches
from tests.kit.factories import SAMPLE, order
from tests.kit.in_memory_api import ORDER, URL, InMemoryApi

PERSONAL = ["/orders/a", "/dead-letters", "/dead-letters/0/1"]
BODY = b"x" * MIN_COMPRESSED_BYTES


async def tagged(request: Request) -> Response:
    is_known = matches("abc", request.headers.getlist("if-none-match"))
    return Response(b"" if is_known else BODY, 304 if is_known else 200, {"etag": '"abc"'})


async def small(_request: Request) -> Response:
    return Response(BODY[1:], headers={"etag": '"abc"'})


async def events(_request: Request) -> Response:
    return StreamingResponse(iter([BODY, BODY]), media_type="text/event-stream")


@pytest.fixture
def client() -> Iterator[TestClient]:
    routes = [Route(path, tagged) for path in ("/tagged", *PERSONAL)]
    routes += [Route("/small", small), Route("/events", events)]
    with TestClient(Starlette(routes=routes, middleware=[Middleware(CompressionMiddleware)])) as made:
        yield made


def get(client: TestClient, path: str, encoding: str | None = "gzip", **headers: str) -> tuple[int, Any, bytes]:
    """Return status, headers, and the body as it was sent."""
    if encoding is not None:
        headers["accept-encoding"] = encoding
    else:
        client.headers.pop("accept-encoding", None)
    with client.stream("GET", path, headers=headers) as response:
        return response.status_code, response.headers, b"".join(response.iter_raw())


@pytest.mark.parametrize("encoding", ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip;q=0.001"])
def test_a_response_is_compressed_for_a_client_that_accepts_it(client: TestClient, encoding: str) -> None:
    _, headers, body = get(client, "/tagged", encoding)
    assert gzip.decompress(body) == BODY
    assert (headers["content-encoding"], headers["vary"]) == ("gzip", "Accept-Encoding")
    assert int(headers["content-length"]) == len(body)


@pytest.mark.parametrize("encoding", [None, "", "identity", "br", "gzip;q=0", "gzip; q=0.000, br", "br, GZIP ;q=0"])
def test_other_clients_get_the_same_bytes_and_a_strong_tag(client: TestClient, encoding: str | None) -> None:
    _, headers, body = get(client, "/tagged", encoding)
    assert (body, headers["etag"], headers["vary"]) == (BODY, '"abc"', "Accept-Encoding")
    assert "content-encoding" not in headers


def test_a_compressed_response_has_a_weak_tag_which_its_client_can_revalidate(client: TestClient) -> None:
    _, headers, _ = get(client, "/tagged")
    assert headers["etag"] == 'W/"abc"'
    status, headers, body = get(client, "/tagged", **{"if-none-match": headers["etag"]})
    assert (status, headers["etag"], headers["vary"], body) == (304, 'W/"abc"', "Accept-Encoding", b"")


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_client_with_a_strong_tag_keeps_it(client: TestClient, encoding: str) -> None:
    status, headers, _ = get(client, "/tagged", encoding, **{"if-none-match": '"abc"'})
    assert (status, headers["etag"]) == (304, '"abc"')


@pytest.mark.parametrize("path", ["/small", "/events", *PERSONAL])
def test_small_responses_event_streams_and_personal_data_are_not_compressed(client: TestClient, path: str) -> None:
    _, headers, body = get(client, path)
    assert "content-encoding" not in headers
    assert {*body} == {*BODY}
    assert headers.get("etag") in {None, '"abc"'}


@pytest.mark.parametrize("path", ["/static/swagger-ui-bundle.js", "/static/swagger-ui.css", "/openapi.json"])
def test_the_documentation_is_compressed(path: str) -> None:
    with InMemoryApi().client as client:
        plain, (_, _, sent) = client.get(path, headers={"accept-encoding": "identity"}), get(client, path)
    assert gzip.decompress(sent) == plain.content


def test_the_documentation_takes_less_than_500_kb() -> None:
    with InMemoryApi().client as client:
        files = [f"/{each}" for each in client.get("/docs").text.split('"') if each.startswith("static/")]
        sizes = {path: len(get(client, path)[2]) for path in ["/docs", "/openapi.json", *files]}
    assert "/static/swagger-ui-bundle.js" in files
    assert sum(sizes.values()) < 500_000, sizes


def test_a_list_is_compressed_and_an_order_is_not() -> None:
    with (api := InMemoryApi()).client as client:
        api.reader.store(*(order(order_uid=f"uid-{number}") for number in range(20)), order(items=SAMPLE["items"] * 9))
        assert get(client, "/orders")[1]["content-encoding"] == "gzip"
        _, headers, body = get(client, URL)
        assert ("content-encoding" in headers, headers["etag"][:1]) == (False, '"')
        assert ORDER.order_uid.encode() in body
