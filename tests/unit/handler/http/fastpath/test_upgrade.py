"""A request that offers another protocol is answered like one that does not."""

import asyncio
import re
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.kit.http_requests import make_request
from tests.kit.in_memory_server import InMemoryServer, Outcome

LOOKUP = '{"order_uids":["cached","unknown"]}'
LOOKUP_LINE = "POST /orders/lookup HTTP/1.1"
CHUNKED = f"{len(LOOKUP):x}\r\n{LOOKUP}\r\n0\r\n\r\n"
OFFERS = [
    ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB"),  # Java's HttpClient
    ("connection: keep-alive, upgrade", "upgrade: websocket", "sec-websocket-version: 13"),
    ("connection: upgrade", "upgrade: h2c", "UPGRADE: websocket"),
]
CLOSING_OFFER = ("connection: upgrade, close", "upgrade: h2c")


class Sent(NamedTuple):
    """A request, and the headers of its offer, if it has one."""

    line: str
    headers: tuple[str, ...] = ()
    body: str = ""
    offer: tuple[str, ...] = ()

    def encoded(self, *, has_offer: bool) -> bytes:
        return make_request(*self.headers, *(self.offer if has_offer else ()), line=self.line, body=self.body)


REQUESTS = [
    Sent("GET /orders/cached HTTP/1.1"),
    Sent("GET /orders/missed HTTP/1.1", ("if-none-match: *",)),
    Sent("HEAD /orders/cached HTTP/1.1"),
    Sent("GET /orders/unknown?a=%20b HTTP/1.0", ("connection: keep-alive",)),
    Sent("DELETE /orders/cached HTTP/1.1"),
    Sent("GET /livez HTTP/1.1", ("content-length: 5",), "12345"),
    Sent(LOOKUP_LINE, ("content-type: application/json", f"content-length: {len(LOOKUP)}"), LOOKUP),
    Sent(LOOKUP_LINE, ("content-type: application/json", "transfer-encoding: chunked"), CHUNKED),
    Sent(LOOKUP_LINE, ("content-length: 2", "transfer-encoding: chunked"), CHUNKED),
    Sent("GET /livez HTTP/1.1", ("connection: close",)),
]


@pytest.fixture(scope="module")
def server() -> InMemoryServer:
    return InMemoryServer(has_fast_path=True)


@st.composite
def pipelines(draw: st.DrawFn) -> list[Sent]:
    requests = draw(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=5))
    return [request._replace(offer=draw(st.sampled_from([*OFFERS, ()]))) for request in requests]


def exchange(server: InMemoryServer, requests: list[Sent], size: int, *, has_offers: bool) -> Outcome:
    """Send requests in pieces of this size."""
    server.fill()
    sent = b"".join(request.encoded(has_offer=has_offers) for request in requests)
    pieces = [sent[begin : begin + size] for begin in range(0, len(sent), size)]
    return asyncio.run(server.exchange(pieces, waits_for_responses=False))


@settings(max_examples=200, deadline=None)
@given(pipelines(), st.integers(1, 1000))
@example([REQUESTS[6]._replace(offer=OFFERS[0])] * 5, 1000)
@example([REQUESTS[7]._replace(offer=OFFERS[0])] * 5, 1)
def test_the_responses_are_those_to_requests_without_an_offer(
    server: InMemoryServer, requests: list[Sent], size: int
) -> None:
    plain = exchange(server, requests, size, has_offers=False)
    assert exchange(server, requests, size, has_offers=True) == plain
    assert plain.has_timeout


@pytest.mark.parametrize("size", [1, 1000])
def test_a_body_is_read_although_its_request_offers_another_protocol(server: InMemoryServer, size: int) -> None:
    outcome = exchange(server, [REQUESTS[6]._replace(offer=OFFERS[0])] * 2, size, has_offers=True)
    assert re.findall(rb"HTTP/1.1 (\d+)", outcome.written) == [b"200", b"200"]
    assert outcome.written.count(b'"missing":["unknown"]') == 2
    assert not outcome.is_closed


def test_an_offer_does_not_hide_that_the_connection_is_to_be_closed(server: InMemoryServer) -> None:
    outcome = exchange(server, [REQUESTS[6]._replace(offer=CLOSING_OFFER)], 1000, has_offers=True)
    assert outcome.written.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in outcome.written
    assert outcome.is_closed
