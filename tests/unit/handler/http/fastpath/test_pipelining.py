"""Pipelined requests on real connections: every answer belongs to the request at its place, or the connection ends."""

import socket
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from io import BufferedReader
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.handler.http.fastpath.test_fastpath import Side, serving

SECONDS = 10


class Sent(NamedTuple):
    """A request without its id: the line, what follows the id among the headers, and what follows the head."""

    line: str = "GET /orders/held HTTP/1.1"
    headers: tuple[str, ...] = ()
    body: str = ""


HIT = Sent()
UPGRADE = Sent(headers=("Connection: Upgrade", "Upgrade: h2c"))
KINDS = [
    HIT,
    Sent("GET /orders/missed HTTP/1.1"),
    Sent("GET /orders/unknown HTTP/1.1"),
    Sent("GET /livez HTTP/1.1"),
    Sent("HEAD /orders/held HTTP/1.1"),
    Sent("DELETE /orders/held HTTP/1.1"),
    Sent(headers=("if-none-match: *",)),
    UPGRADE,
    Sent("GET /orders/missed HTTP/1.1", UPGRADE.headers),
    Sent(headers=("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")),
    Sent(headers=("connection: keep-alive, upgrade", "upgrade: websocket", "sec-websocket-version: 13")),
    Sent(headers=UPGRADE.headers, body="\x81\x05hello"),
    Sent(headers=(*UPGRADE.headers, "content-length: 5"), body="12345"),
    Sent(headers=(*UPGRADE.headers, "transfer-encoding: chunked"), body="5\r\n12345\r\n0\r\n\r\n"),
    Sent(headers=("connection: upgrade",)),
    Sent(headers=("upgrade: h2c",)),
    Sent("CONNECT x:443 HTTP/1.1"),
    Sent("CONNECT /orders/held HTTP/1.1"),
    Sent("PRI * HTTP/2.0"),
    Sent("PRI * HTTP/2.0", body="SM\r\n\r\n"),
    Sent("GET /orders/held HTTP/1.0"),
    Sent("GET /orders/held HTTP/1.0", ("connection: keep-alive",)),
    Sent("GET /orders/held HTTP/2.0"),
    Sent("GET /orders/held"),
    Sent(headers=("connection: close",)),
    Sent("GET /orders/missed HTTP/1.1", ("connection: close",)),
    Sent(headers=("expect: 100-continue",)),
    Sent(headers=("expect: 100-continue", "content-length: 5"), body="12345"),
    Sent(headers=("content-length: 0",)),
    Sent(headers=("content-length: 5",), body="12345"),
    Sent("POST /orders HTTP/1.1", ("content-length: 5",), "12345"),
    Sent(headers=("transfer-encoding: chunked",), body="5\r\n12345\r\n0\r\n\r\n"),
    Sent(headers=("transfer-encoding: chunked", "trailer: x"), body="5\r\n12345\r\n0\r\nx: y\r\n\r\n"),
    Sent(headers=("content-length: 5", "transfer-encoding: chunked"), body="0\r\n\r\n"),
    Sent(headers=("content-length: 5", "content-length: 6"), body="12345"),
    Sent(headers=("content-length: x",)),
    Sent(headers=("no header",)),
    Sent("nonsense"),
]


class Answer(NamedTuple):
    status: int
    request_id: str
    ends: bool
    """Whether it says that the connection ends."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    side = Side(is_fast=True)
    with serving(side) as port:
        yield port


@st.composite
def pipelines(draw: st.DrawFn) -> tuple[list[Sent], list[int]]:
    """Return requests, and how many of them come at once each time."""
    requests = draw(st.lists(st.sampled_from(KINDS) | st.just(HIT), min_size=1, max_size=6))
    return requests, draw(st.lists(st.integers(1, 3), min_size=len(requests), max_size=len(requests)))


@settings(max_examples=200, deadline=None)
@given(pipelines())
@example(([UPGRADE, HIT, HIT], [2, 1, 1]))  # in one segment; the last one when the first is answered
@example(([HIT, UPGRADE, HIT, HIT], [1, 2, 1, 1]))
def test_answers_belong_to_the_requests_at_their_places_or_the_connection_ends(
    port: int, pipeline: tuple[list[Sent], list[int]]
) -> None:
    requests, sizes = pipeline
    client = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    with closing(client), client.makefile("rb") as incoming:
        is_open, first = True, 0
        for size in sizes:
            if is_open and (segment := requests[first : first + size]):
                is_open = is_answered(client, incoming, segment, first)
                first += size


def is_answered(client: socket.socket, incoming: BufferedReader, requests: list[Sent], first: int) -> bool:
    """Send requests in one segment, and return whether all were answered and the connection goes on."""
    try:
        client.sendall(b"".join(written(request, first + place) for place, request in enumerate(requests)))
    except OSError:
        return False
    for place, request in enumerate(requests):
        answer = received(incoming, is_head=request.line.startswith("HEAD "))
        if answer is None:
            return False
        is_refusal = answer.ends and answer.status in {400, 431}  # of what could not be read: with an id of its own
        assert is_refusal or answer.request_id == f"id-{first + place}"
        if answer.ends:
            assert is_at_end(incoming)
            return False
    return True


def written(request: Sent, number: int) -> bytes:
    head = [request.line, f"x-request-id: id-{number}", *request.headers, "", request.body]
    return "\r\n".join(head).encode("latin-1")


def received(incoming: BufferedReader, *, is_head: bool) -> Answer | None:
    """Return the next answer that is final; None where what was left unread has reset the connection."""
    try:
        lines = [*iter(lambda: incoming.readline().rstrip(b"\r\n").decode(), "")]
        assert lines, "the connection ended, and no answer said that it would"
        status = int(lines[0].split()[1])
        if status == HTTPStatus.CONTINUE:
            return received(incoming, is_head=is_head)
        headers = dict(line.split(": ", 1) for line in lines[1:])
        if not is_head and status != HTTPStatus.NOT_MODIFIED:
            incoming.read(int(headers["content-length"]))
    except ConnectionResetError:
        return None
    return Answer(status, headers["x-request-id"], headers.get("connection") == "close")


def is_at_end(incoming: BufferedReader) -> bool:
    try:
        return incoming.read(1) == b""
    except ConnectionResetError:
        return True
