"""The fast path and the application give the same responses: both are run on in-memory transports and compared."""

import re
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.handler.http.fastpath.protocol import MAX_HITS_PER_READ, ConnectionLimits
from service.handler.http.fastpath.responder import MAX_CACHED_BLOCKS, MAX_HEADER_BLOCK_BYTES
from service.handler.http.security.keys import Keys
from service.pkg.etag import with_etag
from tests.kit.http_requests import (
    AUTHORIZED,
    BODIES,
    DEAD_LETTERS_KEY,
    HEADERS,
    LINES,
    LONGEST,
    MALFORMED,
    MISS,
    OTHER_REQUESTS,
    PLAIN,
    PLAIN_REQUESTS,
    READ_KEY,
    UNAUTHORIZED,
    make_request,
)
from tests.kit.in_memory_server import RANDOM_IDS, InMemoryServer, ServerPair, run_server, serving
from tests.kit.waiting import eventually, until_idle

CLOSING_REQUEST = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def shared_pair() -> ServerPair:
    return ServerPair()


@pytest.fixture(scope="module")
def pair_with_keys(tmp_path_factory: pytest.TempPathFactory) -> ServerPair:
    """A pair that requires API keys."""
    keys = (f"read {READ_KEY}", f"dead-letters {DEAD_LETTERS_KEY}")
    return ServerPair.with_keys(tmp_path_factory.mktemp("keys"), *keys)


@pytest.fixture
def pair(shared_pair: ServerPair) -> ServerPair:
    shared_pair.fast.calls = shared_pair.slow.calls = 0
    return shared_pair


@pytest.mark.parametrize("request_", PLAIN_REQUESTS)
def test_plain_requests_for_cached_orders_do_not_reach_the_application(pair: ServerPair, request_: bytes) -> None:
    pair.compare(request_)
    assert (pair.fast.calls, pair.slow.calls) == (0, request_.count(b"GET "))


@pytest.mark.parametrize("request_", OTHER_REQUESTS)
def test_other_requests_reach_the_application(pair: ServerPair, request_: bytes) -> None:
    pair.compare(request_)
    assert pair.fast.calls == pair.slow.calls > 0


@pytest.mark.parametrize("request_", MALFORMED)
def test_malformed_and_incomplete_requests_get_the_same_responses(pair: ServerPair, request_: bytes) -> None:
    pair.compare(request_)


@pytest.mark.parametrize("request_", [*PLAIN_REQUESTS, *OTHER_REQUESTS, *MALFORMED])
@pytest.mark.parametrize("waits_for_responses", [True, False])
def test_earlier_and_later_requests_change_nothing(
    pair: ServerPair, request_: bytes, *, waits_for_responses: bool
) -> None:
    pair.compare(PLAIN, request_, PLAIN, MISS, PLAIN, waits_for_responses=waits_for_responses)
    pair.compare(PLAIN + request_ + PLAIN + MISS + PLAIN, PLAIN, waits_for_responses=waits_for_responses)


@pytest.mark.parametrize("waits_for_responses", [True, False])
def test_a_request_may_be_split_anywhere(pair: ServerPair, *, waits_for_responses: bool) -> None:
    both = PLAIN + make_request("connection: keep-alive", "x-request-id: abc")
    for cut in range(1, len(both)):
        pair.compare(both[:cut], both[cut:], waits_for_responses=waits_for_responses)
    pair.compare(*(both[place : place + 1] for place in range(len(both))), waits_for_responses=waits_for_responses)


@pytest.mark.parametrize("size", range(100, 260, 16))
def test_the_size_limit_of_a_head_is_the_same(size: int) -> None:
    pair = ServerPair(ConnectionLimits(max_head_bytes=size))
    for length in range(0, 200, 3):
        pair.compare(make_request(f"user-agent: {'a' * length}"))


@pytest.mark.parametrize("request_", AUTHORIZED)
def test_a_valid_key_is_answered_from_the_cache(pair_with_keys: ServerPair, request_: bytes) -> None:
    pair_with_keys.fast.calls = 0
    pair_with_keys.compare(request_)
    assert pair_with_keys.fast.calls == 0


@pytest.mark.parametrize("request_", UNAUTHORIZED)
def test_without_a_key_for_reading_no_order_is_sent(pair_with_keys: ServerPair, request_: bytes) -> None:
    answered = pair_with_keys.compare(request_)
    assert re.match(rb"HTTP/1.1 40[13] ", answered)
    assert b"order_uid" not in answered


def test_headers_are_cached_only_if_their_key_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"read {READ_KEY}\ndead-letters {DEAD_LETTERS_KEY}")
    pair = ServerPair(keys=Keys.load(path))
    for request in (*UNAUTHORIZED, *AUTHORIZED):
        pair.compare(request)
    assert len(pair.fast.responder._requests) == len(AUTHORIZED) - 1  # the last one has a request id
    assert all(READ_KEY.encode() + b"\r\n" in block for block in pair.fast.responder._requests)


def test_a_revoked_key_is_rejected_although_its_headers_are_cached(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"read {READ_KEY}")
    pair = ServerPair(keys=(keys := Keys.load(path)))
    pair.compare(AUTHORIZED[0])
    path.write_text(f"read {READ_KEY}x")
    assert keys.reload()
    pair.compare(AUTHORIZED[0])
    assert pair.fast.calls == 1


USUAL_LINES = st.sampled_from([b"GET /orders/cached HTTP/1.1", b"GET /orders/missed HTTP/1.1"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    head = [draw(USUAL_LINES | LINES), *draw(st.lists(HEADERS, max_size=4))]
    written = b"\r\n".join([*head, b"", draw(BODIES)])
    if draw(st.integers(0, 3)):
        return written
    place, length = draw(st.integers(0, len(written))), draw(st.integers(0, 2))
    return written[:place] + draw(st.binary(max_size=2)) + written[place + length :]


class Conversation(NamedTuple):
    pieces: list[bytes]
    waits_for_responses: bool


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    sent = b"".join(draw(st.lists(requests() | st.just(PLAIN), min_size=1, max_size=5)))
    cuts = sorted(draw(st.sets(st.integers(0, len(sent)), max_size=4)))
    pieces = [sent[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True) if begin < end]
    return Conversation(pieces, draw(st.booleans()))


@settings(max_examples=300, deadline=None)
@given(conversations())
@example(
    Conversation([PLAIN + b"G", make_request(" folded", f"x: {'a' * 20_000}")[1:]], waits_for_responses=False)
)  # rejected twice
def test_any_conversation_gets_the_same_responses(shared_pair: ServerPair, conversation: Conversation) -> None:
    shared_pair.compare(*conversation.pieces, waits_for_responses=conversation.waits_for_responses)


@settings(max_examples=100, deadline=None)
@given(conversations())
def test_any_conversation_with_keys_gets_the_same_responses(
    pair_with_keys: ServerPair, conversation: Conversation
) -> None:
    pair_with_keys.compare(*conversation.pieces, waits_for_responses=conversation.waits_for_responses)


def received(port: int, sent: bytes) -> bytes:
    """Send at once, and return all data until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(sent)
        answered = b"".join(iter(lambda: client.recv(65_536), b""))
    return re.sub(rb"date: [^\r]+", b"date: ?", RANDOM_IDS.sub(rb"\1?", answered))


def is_dated(port: int) -> bool:
    """Return whether responses have a date, which uvicorn sets shortly after it starts to listen."""
    return b"date: ?" in received(port, CLOSING_REQUEST)


def test_real_connections_receive_the_same_bytes() -> None:
    pair = ServerPair()
    with serving(pair.fast) as fast, serving(pair.slow) as slow:
        for port in (fast, slow):
            eventually(partial(is_dated, port))
        for request_ in [*PLAIN_REQUESTS, *OTHER_REQUESTS, *MALFORMED]:
            assert received(fast, request_ + CLOSING_REQUEST) == received(slow, request_ + CLOSING_REQUEST)
    assert pair.fast.counts() == pair.slow.counts()
    assert pair.slow.calls - pair.fast.calls >= len(PLAIN_REQUESTS)


def test_many_requests_at_once_are_answered_in_order_the_last_ones_by_the_application(pair: ServerPair) -> None:
    count = MAX_HITS_PER_READ + 10
    pair.compare(b"".join(make_request(f"x-request-id: {number}") for number in range(count)))
    assert pair.fast.calls == 10


def test_hits_are_counted() -> None:
    async def scenario(server: InMemoryServer) -> None:
        await server.exchange([PLAIN * 2], waits_for_responses=True)
        sample = server.metrics.registry.get_sample_value
        labels = {"handler": "/orders/{order_uid}", "method": "GET"}
        assert server.cached.hits == 2
        assert sample("orders_http_requests_total", {**labels, "status": "200"}) == 2
        assert sample("orders_http_request_seconds_count", labels) == 2

    assert run_server(scenario).calls == 0


def test_a_hit_is_answered_after_the_miss_before_it() -> None:
    async def scenario(server: InMemoryServer) -> None:
        server.reader.gate.clear()
        protocol, transport = server.connect()
        protocol.data_received(MISS)
        protocol.data_received(PLAIN)
        assert transport.written == b""
        server.reader.gate.set()
        await server.settle()
        assert re.findall(rb"x-cache: (\w+)", transport.written) == [b"miss", b"hit"]
        protocol.connection_lost(None)

    run_server(scenario)


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"nonsense\r\n\r\n", PLAIN], "400"),
        ([b"GET /livez HTTP/1.1\r\nhost: x\r\nx: ", b" " * 20_000, b"\r\n\r\n"], "431"),
    ],
)
def test_an_error_response_follows_earlier_responses_and_closes_the_connection(
    pieces: Sequence[bytes], status: str
) -> None:
    async def scenario(server: InMemoryServer) -> None:
        server.reader.gate.clear()
        protocol, transport = server.connect()
        for piece in (MISS, *pieces):
            protocol.data_received(piece)
        server.reader.gate.set()
        await server.settle()
        assert re.findall(r"HTTP/1\.1 (\d+)", transport.written.decode()) == ["200", status]
        assert transport.is_closed
        protocol.connection_lost(None)

    run_server(scenario)


def test_a_client_that_does_not_read_gets_no_more_responses_until_it_does() -> None:
    async def scenario(server: InMemoryServer) -> None:
        protocol, transport = server.connect()
        protocol.pause_writing()
        protocol.data_received(PLAIN * 3)
        await until_idle()
        assert transport.written == b""
        protocol.resume_writing()
        await server.settle()
        assert transport.written.count(b"x-cache: hit") == 3
        protocol.connection_lost(None)

    run_server(scenario)


def test_entries_that_may_be_stale_are_not_served() -> None:
    moment = 0.0

    async def scenario(server: InMemoryServer) -> None:
        nonlocal moment
        await server.exchange([PLAIN], waits_for_responses=True)
        assert server.calls == 0
        moment = 2.0
        server.reader.is_unreachable = True
        assert (await server.exchange([PLAIN], waits_for_responses=True)).written.startswith(b"HTTP/1.1 503 ")

    assert run_server(scenario, now=lambda: moment).calls == 1


def test_a_hit_makes_its_order_most_recently_used() -> None:
    async def scenario(server: InMemoryServer) -> None:
        server.cache.put("third", with_etag(b"3"))
        await server.exchange([PLAIN], waits_for_responses=True)
        server.cache.put("fourth", with_etag(b"4"))
        assert server.cache.get("cached")
        assert server.cache.get(LONGEST) is None

    run_server(scenario)


def test_responses_have_the_current_date() -> None:
    async def scenario(server: InMemoryServer) -> None:
        protocol, transport = server.connect()
        for date in (b"1", b"2"):
            server.uvicorn.server_state.default_headers = [(b"date", date)]
            protocol.data_received(PLAIN)
        assert re.findall(rb"date: (\d)", transport.written) == [b"1", b"2"]
        protocol.connection_lost(None)

    run_server(scenario)


def test_request_ids_are_unique() -> None:
    async def scenario(server: InMemoryServer) -> None:
        protocol, transport = server.connect()
        protocol.data_received(PLAIN * 10)
        assert len({*re.findall(rb"x-request-id: ([0-9a-f]{16})\r\n", transport.written)}) == 10
        protocol.connection_lost(None)

    run_server(scenario)


def test_cached_header_blocks_are_bounded() -> None:
    async def scenario(server: InMemoryServer) -> None:
        protocol, _ = server.connect()
        for number in range(3 * MAX_CACHED_BLOCKS):
            protocol.data_received(make_request(f"user-agent: {number}"))
            protocol.data_received(make_request(f"x-request-id: {number}"))
        protocol.data_received(make_request(f"user-agent: {'a' * MAX_HEADER_BLOCK_BYTES}"))
        assert 0 < len(server.responder._requests) <= MAX_CACHED_BLOCKS
        assert all(b"user-agent" in block and len(block) < 100 for block in server.responder._requests)
        await server.settle()
        protocol.connection_lost(None)

    run_server(scenario)
