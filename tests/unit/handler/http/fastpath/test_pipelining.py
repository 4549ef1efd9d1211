"""Pipelining on real connections: responses are in the order of the requests, or the connection ends."""

import socket
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from io import BufferedReader
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.kit.in_memory_server import InMemoryServer, serving

TIMEOUT_SECONDS = 10


class Template(NamedTuple):
    """A request without its id: request line, headers after X-Request-ID, and body."""

    line: str = "GET /orders/cached HTTP/1.1"
    headers: tuple[str, ...] = ()
    body: str = ""


HIT = Template()
UPGRADE = Template(headers=("Connection: Upgrade", "Upgrade: h2c"))
KINDS = [
    HIT,
    Template("GET /orders/missed HTTP/1.1"),
    Template("GET /orders/unknown HTTP/1.1"),
    Template("GET /livez HTTP/1.1"),
    Template("HEAD /orders/cached HTTP/1.1"),
    Template("DELETE /orders/cached HTTP/1.1"),
    Template(headers=("if-none-match: *",)),
    UPGRADE,
    Template("GET /orders/missed HTTP/1.1", UPGRADE.headers),
    Template(
        headers=("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
    ),
    Template(headers=("connection: keep-alive, upgrade", "upgrade: websocket", "sec-websocket-version: 13")),
    Template(headers=UPGRADE.headers, body="\x81\x05hello"),
    Template(headers=(*UPGRADE.headers, "content-length: 5"), body="12345"),
    Template(headers=(*UPGRADE.headers, "transfer-encoding: chunked"), body="5\r\n12345\r\n0\r\n\r\n"),
    Template(headers=("connection: upgrade",)),
    Template(headers=("upgrade: h2c",)),
    Template("CONNECT x:443 HTTP/1.1"),
    Template("CONNECT /orders/cached HTTP/1.1"),
    Template("PRI * HTTP/2.0"),
    Template("PRI * HTTP/2.0", body="SM\r\n\r\n"),
    Template("GET /orders/cached HTTP/1.0"),
    Template("GET /orders/cached HTTP/1.0", ("connection: keep-alive",)),
    Template("GET /orders/cached HTTP/2.0"),
    Template("GET /orders/cached"),
    Template(headers=("connection: close",)),
    Template("GET /orders/missed HTTP/1.1", ("connection: close",)),
    Template(headers=("expect: 100-continue",)),
    Template(headers=("expect: 100-continue", "content-length: 5"), body="12345"),
    Template(headers=("content-length: 0",)),
    Template(headers=("content-length: 5",), body="12345"),
    Template("POST /orders HTTP/1.1", ("content-length: 5",), "12345"),
    Template(headers=("transfer-encoding: chunked",), body="5\r\n12345\r\n0\r\n\r\n"),
    Template(headers=("transfer-encoding: chunked", "trailer: x"), body="5\r\n12345\r\n0\r\nx: y\r\n\r\n"),
    Template(headers=("content-length: 5", "transfer-encoding: chunked"), body="0\r\n\r\n"),
    Template(headers=("content-length: 5", "content-length: 6"), body="12345"),
    Template(headers=("content-length: x",)),
    Template(headers=("no header",)),
    Template("nonsense"),
]


class Response(NamedTuple):
    status: int
    request_id: str
    closes: bool
    """Whether it has `connection: close`."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = InMemoryServer(has_fast_path=True)
    with serving(server) as port:
        yield port


@st.composite
def pipelines(draw: st.DrawFn) -> tuple[list[Template], list[int]]:
    """Return requests, and the number of requests per segment."""
    requests = draw(st.lists(st.sampled_from(KINDS) | st.just(HIT), min_size=1, max_size=6))
    return requests, draw(st.lists(st.integers(1, 3), min_size=len(requests), max_size=len(requests)))


@settings(max_examples=200, deadline=None)
@given(pipelines())
@example(([UPGRADE, HIT, HIT], [2, 1, 1]))  # two in one segment, then one after each response
@example(([HIT, UPGRADE, HIT, HIT], [1, 2, 1, 1]))
@example(([Template(body="\x81\x05hello"), Template("HEAD /orders/cached HTTP/1.1")], [1, 1]))
def test_responses_are_in_the_order_of_requests_or_the_connection_ends(
    port: int, pipeline: tuple[list[Template], list[int]]
) -> None:
    requests, sizes = pipeline
    client = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS)
    with closing(client), client.makefile("rb") as incoming:
        is_open, first = True, 0
        for size in sizes:
            if is_open and (segment := requests[first : first + size]):
                is_open = is_answered(client, incoming, segment, first)
                first += size


def is_answered(client: socket.socket, incoming: BufferedReader, requests: list[Template], first: int) -> bool:
    """Send requests in one segment. Return whether all were answered and the connection is open."""
    try:
        client.sendall(b"".join(written(request, first + place) for place, request in enumerate(requests)))
    except OSError:
        return False
    for place, request in enumerate(requests):
        response = received(incoming, is_head=request.line.startswith("HEAD "))
        if response is None:
            return False
        # A request that cannot be parsed gets a new id.
        is_refusal = response.closes and response.status in {400, 431}
        assert is_refusal or response.request_id == f"id-{first + place}"
        if response.closes:
            assert is_at_end(incoming)
            return False
    return True


def written(request: Template, number: int) -> bytes:
    head = [request.line, f"x-request-id: id-{number}", *request.headers, "", request.body]
    return "\r\n".join(head).encode("latin-1")


def received(incoming: BufferedReader, *, is_head: bool) -> Response | None:
    """Return the next final response; None if the connection was reset because of unread data."""
    try:
        lines = [*iter(lambda: incoming.readline().rstrip(b"\r\n").decode(), "")]
        assert lines, "the connection ended without `connection: close`"
        status = int(lines[0].split()[1])
        if status == HTTPStatus.CONTINUE:
            return received(incoming, is_head=is_head)
        headers = dict(line.split(": ", 1) for line in lines[1:])
        is_unparsed = status == HTTPStatus.BAD_REQUEST  # such as a HEAD request after a body without a length
        if (not is_head or is_unparsed) and status != HTTPStatus.NOT_MODIFIED:
            incoming.read(int(headers["content-length"]))
    except ConnectionResetError:
        return None
    return Response(status, headers["x-request-id"], headers.get("connection") == "close")


def is_at_end(incoming: BufferedReader) -> bool:
    try:
        return incoming.read(1) == b""
    except ConnectionResetError:
        return True
