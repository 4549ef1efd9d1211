"""The fast path and the application give the same responses: both are run on in-memory transports and compared."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import structlog
import uvloop
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from service.handler.http.api import Backends, create_app
from service.handler.http.event_broadcaster import EventBroadcaster
from service.handler.http.fastpath.idle import MIN_IDLE_SECONDS
from service.handler.http.fastpath.protocol import MAX_HITS_PER_READ, ConnectionLimits
from service.handler.http.fastpath.responder import MAX_CACHED_BLOCKS, MAX_HEADER_BLOCK_BYTES, CacheResponder
from service.handler.http.keys import Keys
from service.handler.http.routes.probes import Health
from service.handler.http.serve import Server, listen
from service.metrics import Metrics
from service.pkg.etag import split_etag, with_etag
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.lookup import Lookup
from tests.kit.factories import order
from tests.kit.fake_dead_letter_reader import FakeDeadLetterReader
from tests.kit.fake_reader import FakeReader
from tests.kit.waiting import eventually, turns

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST = "-_" * 32
CACHED = {"cached": with_etag(b'{"order_uid":"cached"}'), LONGEST: with_etag(b"%d %s \r\n\r\n HTTP/1.1 200 OK" * 10)}
TAG = split_etag(CACHED["cached"])[0].decode()
PLAIN = b"GET /orders/cached HTTP/1.1\r\nhost: x\r\n\r\n"
MISS = b"GET /orders/missed HTTP/1.1\r\nhost: x\r\n\r\n"
READ_KEY, DEAD_LETTERS_KEY = "r" * 20, "d" * 20
CLOSING_REQUEST = b"GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n"
_RANDOM_IDS = re.compile(rb'(x-request-id: |"request_id":")[0-9a-f]{16}\b')


def make_request(*headers: str, line: str = "GET /orders/cached HTTP/1.1", body: str = "") -> bytes:
    return "\r\n".join([line, *headers, "", body]).encode("latin-1")


class FakeTransport(asyncio.Transport):
    """The transport of a client that reads at once. Records what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_paused = self.is_closed = False

    def write(self, data: Any) -> None:
        assert not self.is_closed
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Ignore the limits."""

    def get_write_buffer_size(self) -> int:
        return 0


class Outcome(NamedTuple):
    written: bytes
    is_closed: bool
    has_timeout: bool


class FakeServer:
    """A server without sockets. Counts the requests that reach its application."""

    def __init__(
        self,
        *,
        has_fast_path: bool,
        limits: ConnectionLimits | None = None,
        keys: Keys | None = None,
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.reader = FakeReader(order(order_uid="missed"))
        self.metrics = Metrics(CollectorRegistry())
        self.cache = Lru(3, 2**20)
        self.lookup = Lookup(
            self.reader, self.cache, TTLSet(10, 2), max_stale=1, now=now, on_hit=self.metrics.cache.hits.labels().inc
        )
        health = Health({}, {}, {}, {})
        backends = Backends(self.lookup, self.reader, FakeDeadLetterReader(), EventBroadcaster(10, 0), Any, health)  # type: ignore[arg-type]
        self.app = create_app(backends, self.metrics, structlog.get_logger(), version="1", keys=keys)
        self.calls = 0
        limits = limits or ConnectionLimits()
        self.responder = CacheResponder(self.lookup, self.metrics, limits.max_head_bytes, keys)
        self.uvicorn = Server(self, drain_seconds=1, limits=limits, responder=self.responder if has_fast_path else None)
        self.uvicorn.config.load()
        self.uvicorn.server_state.default_headers = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
        self.fill()

    def fill(self) -> None:
        """Reset the cache to its first content."""
        self.cache.clear()
        for uid, value in CACHED.items():
            self.cache.put(uid, value)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        await self.app(scope, receive, send)

    def connect(self, loop: Any = None) -> "tuple[HttpToolsProtocol, FakeTransport]":
        transport, config = FakeTransport(), self.uvicorn.config
        protocol: HttpToolsProtocol = config.http_protocol_class(  # type: ignore[call-arg, assignment]
            config=config, server_state=self.uvicorn.server_state, app_state={}, _loop=loop
        )
        protocol.connection_made(transport)
        return protocol, transport

    async def settle(self) -> None:
        """Wait until all requests are answered."""
        while tasks := self.uvicorn.server_state.tasks:
            await asyncio.gather(*tasks)

    async def exchange(self, pieces: Sequence[bytes], *, waits_for_responses: bool) -> Outcome:
        """Send the pieces, each after the responses to earlier ones if `waits_for_responses`."""
        protocol, transport = self.connect()
        for piece in pieces:
            if transport.is_paused or waits_for_responses:
                await self.settle()
            if not transport.is_closed:
                protocol.data_received(piece)
        await self.settle()
        written = _RANDOM_IDS.sub(rb"\1?", transport.written)
        timers = (protocol.timeout_keep_alive_task, protocol._head_timer)  # type: ignore[attr-defined]
        outcome = Outcome(written, transport.is_closed, transport.is_closed or any(timers))
        protocol.connection_lost(None)
        protocol._unset_keepalive_if_required()
        return outcome

    def counts(self) -> dict[tuple[str, str], float]:
        """Return all counters, and the counts of histograms without their durations."""
        samples = [each for family in self.metrics.registry.collect() for each in family.samples]
        counted = {(each.name, str(each.labels)): each.value for each in samples if each.value}
        return {key: value for key, value in counted.items() if key[0].endswith(("_total", "_count"))}


class ServerPair:
    def __init__(self, limits: ConnectionLimits | None = None, keys: Keys | None = None) -> None:
        self.fast = FakeServer(has_fast_path=True, limits=limits, keys=keys)
        self.slow = FakeServer(has_fast_path=False, limits=limits, keys=keys)

    def compare(self, *pieces: bytes, waits_for_responses: bool = True) -> bytes:
        """Compare responses, the state of the connection, and metrics."""
        for server in (self.fast, self.slow):
            server.fill()
        fast = asyncio.run(self.fast.exchange(pieces, waits_for_responses=waits_for_responses))
        slow = asyncio.run(self.slow.exchange(pieces, waits_for_responses=waits_for_responses))
        assert fast == slow
        assert self.fast.counts() == self.slow.counts()
        assert (self.fast.lookup.hits, self.fast.lookup.misses) == (self.slow.lookup.hits, self.slow.lookup.misses)
        assert [*self.fast.cache._entries] == [*self.slow.cache._entries]
        return fast.written


@pytest.fixture(scope="module")
def shared_pair() -> ServerPair:
    return ServerPair()


@pytest.fixture(scope="module")
def pair_with_keys(tmp_path_factory: pytest.TempPathFactory) -> ServerPair:
    """A pair that requires API keys."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"read {READ_KEY}\ndead-letters {DEAD_LETTERS_KEY}\n")
    return ServerPair(keys=Keys.load(path))


@pytest.fixture
def pair(shared_pair: ServerPair) -> ServerPair:
    shared_pair.fast.calls = shared_pair.slow.calls = 0
    return shared_pair


def run_server(scenario: Callable[[FakeServer], Awaitable[None]], **options: Any) -> FakeServer:
    """Run a scenario on a server with the fast path, and return the server."""
    server = FakeServer(has_fast_path=True, **options)

    async def run() -> None:
        await scenario(server)

    asyncio.run(run())
    return server


PLAIN_REQUESTS = [
    PLAIN,
    PLAIN * 5,
    make_request(),
    make_request(line=f"GET /orders/{LONGEST} HTTP/1.1"),
    make_request("Host: x", "User-Agent: curl/8", "ACCEPT: */*", "Connection: keep-alive"),
    make_request("accept-encoding: gzip", "accept-language: ", 'sec-ch-ua: "A";v="1"', "x-forwarded-for: 1.2.3.4, ::1"),
    make_request("x-request-id: abc"),
    make_request("X-Request-ID: not plain"),
    make_request("x-request-id: "),
    make_request(f'if-none-match: "{TAG}"'),
    make_request(f'if-none-match: W/"{TAG}"'),
    make_request(f'If-None-Match: "other", "{TAG}"', "x-request-id: abc"),
    make_request("if-none-match: *"),
    make_request('if-none-match: "other"'),
    make_request(f"if-none-match: {TAG}"),
    make_request("if-none-match: "),
    make_request("authorization: Bearer a"),
    make_request("x-api-key: a b"),
    make_request(f"user-agent: {'a' * (MAX_HEADER_BLOCK_BYTES - len('user-agent: ') - 2)}"),
]  # fmt: skip
"""Answered by the fast path."""

OTHER_REQUESTS = [
    MISS,
    make_request(line="GET /orders/unknown HTTP/1.1"),
    make_request(line="GET /orders/ HTTP/1.1"),
    make_request(line="GET /orders HTTP/1.1"),
    make_request(line="GET /livez HTTP/1.1"),
    make_request(line=f"GET /orders/{'x' * 65} HTTP/1.1"),
    make_request(line="GET /orders/%63ached HTTP/1.1"),
    make_request(line="GET /orders/cached%20 HTTP/1.1"),
    make_request(line="GET /orders/cached? HTTP/1.1"),
    make_request(line="GET /orders/cached?a=b HTTP/1.1"),
    make_request(line="GET /orders/cached#a HTTP/1.1"),
    make_request(line="GET //orders/cached HTTP/1.1"),
    make_request(line="GET /orders//cached HTTP/1.1"),
    make_request(line="GET /orders/cached/ HTTP/1.1"),
    make_request(line="GET /orders/../orders/cached HTTP/1.1"),
    make_request(line="GET http://x/orders/cached HTTP/1.1"),
    make_request(line="GET /ORDERS/cached HTTP/1.1"),
    make_request(line="GET /orders/cached HTTP/1.0"),
    make_request("connection: keep-alive", line="GET /orders/cached HTTP/1.0"),
    make_request(line="HEAD /orders/cached HTTP/1.1"),
    make_request(line="POST /orders/cached HTTP/1.1"),
    make_request(line="DELETE /orders/cached HTTP/1.1"),
    make_request(line="OPTIONS /orders/cached HTTP/1.1"),
    make_request("connection: close"),
    make_request("connection: Keep-Alive"),
    make_request("connection: keep-alive, close"),
    make_request("connection: keep-alive, upgrade", "upgrade: h2c"),
    make_request("content-length: 0"),
    make_request("content-length: 5", body="12345"),
    make_request(f"content-length: {len(PLAIN)}", body=PLAIN.decode()),
    make_request("transfer-encoding: chunked", body="5\r\n12345\r\n0\r\n\r\n"),
    make_request("expect: 100-continue"),
    make_request("expect: 100-continue", "content-length: 5", body="12345"),
    make_request("upgrade: websocket"),
    make_request("upgrade: websocket", "connection: upgrade"),
    make_request("origin: https://shop.example"),
    make_request("cookie: a=b"),
    make_request("range: bytes=0-1"),
    make_request("authorization: Basic a"),
    make_request("authorization: Bearer a b"),
    make_request("if-match: *"),
    make_request("x-anything: a"),
    make_request("host: x", "host: y"),
    make_request('if-none-match: "a"', f'if-none-match: "{TAG}"'),
    make_request("x-request-id: not plain", "x-request-id: abc"),
    make_request("accept:*/*"),
    make_request("accept:  */*"),
    make_request("accept: */* "),
    make_request("accept: \xe9"),
    make_request("accept: a\xe9b"),
    make_request("accept: a\tb"),
    make_request(f"user-agent: {'a' * MAX_HEADER_BLOCK_BYTES}"),
]
"""Answered by the application, whose response may differ."""

MALFORMED = [
    make_request(line="get /orders/cached HTTP/1.1"),
    make_request(line="GET  /orders/cached HTTP/1.1"),
    make_request(line="GET /orders/cached  HTTP/1.1"),
    make_request(line="GET /orders/cached HTTP/1.1 "),
    make_request(line="GET /orders/cached HTTP/1.2"),
    make_request(line="GET /orders/cached HTTP/2.0"),
    make_request(line="GET /orders/cached"),
    make_request(line="GET /orders/c\xe9ched HTTP/1.1"),
    make_request("host : x"),
    make_request(" host: x"),
    make_request("host: x", " folded"),
    make_request("host"),
    make_request(": x"),
    make_request("host: a\x00b"),
    make_request("host: a\rb"),
    make_request("host: a\nb: c"),
    make_request("content-length: x"),
    make_request("content-length: 5", "transfer-encoding: chunked", body="0\r\n\r\n"),
    make_request("transfer-encoding: chunked", body="x\r\n\r\n"),
    make_request("content-length: 5", "content-length: 6", body="12345"),
    PLAIN.replace(b"\r\n", b"\n"),
    b"\r\n" + PLAIN,
    b"\n" + PLAIN,
    PLAIN + b"\r\n",
    b"nonsense\r\n\r\n",
    b"\x16\x03\x01 nonsense\r\n\r\n",
    make_request("content-length: 5", body="12345") + b"nonsense\r\n\r\n",
    PLAIN[:-2],
    PLAIN[:-4],
    PLAIN[:9],
    b"\r\n\r\n",
    b"\r\n" * 10_000,
    make_request(f"x: {'a' * 20_000}"),
    make_request(line=f"GET /orders/{'a' * 20_000} HTTP/1.1"),
]


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


AUTHORIZED = [
    make_request(f"authorization: Bearer {READ_KEY}"),
    make_request(f"x-api-key: {READ_KEY}"),
    make_request(f"X-API-Key: {READ_KEY}", f'if-none-match: "{TAG}"', "x-request-id: abc"),
]
UNAUTHORIZED = [
    PLAIN,
    make_request("x-api-key: "),
    make_request(f"x-api-key: {READ_KEY}x"),
    make_request(f"x-api-key: {DEAD_LETTERS_KEY}"),
    make_request(f"authorization: Bearer {DEAD_LETTERS_KEY}"),
    make_request(f"authorization: Bearer {READ_KEY[1:]}"),
    make_request(f"authorization: {READ_KEY}"),
    make_request(f"authorization: Bearer {DEAD_LETTERS_KEY}", f"x-api-key: {READ_KEY}"),
    make_request(line=f"GET /orders/cached?key={READ_KEY} HTTP/1.1"),
    make_request(line="GET /orders/not%20an%20id HTTP/1.1"),
]


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


LINES = st.sampled_from(
    sorted({request_.partition(b"\r\n")[0] for request_ in [*PLAIN_REQUESTS, *OTHER_REQUESTS, *MALFORMED]} - {b""})
)
USUAL_LINES = st.sampled_from([b"GET /orders/cached HTTP/1.1", b"GET /orders/missed HTTP/1.1"])
HEADERS = st.sampled_from(
    sorted(
        {
            line
            for each in [*PLAIN_REQUESTS, *OTHER_REQUESTS, *MALFORMED, *AUTHORIZED, *UNAUTHORIZED]
            for line in each.split(b"\r\n")[1:]
            if line
        }
    )
)
BODIES = st.sampled_from([b""] * 5 + [b"12345", b"5\r\n12345\r\n0\r\n\r\n", PLAIN])


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


@contextmanager
def serving(server: FakeServer) -> Iterator[int]:
    """Serve on a free port, as `orders api` does."""
    with listen("127.0.0.1", 0) as listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        thread = Thread(target=runner.run, args=(server.uvicorn.serve(listener),))
        thread.start()
        yield listener.getsockname()[1]
        server.uvicorn.should_exit = True
        thread.join()


def received(port: int, sent: bytes) -> bytes:
    """Send at once, and return all data until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(sent)
        answered = b"".join(iter(lambda: client.recv(65_536), b""))
    return re.sub(rb"date: [^\r]+", b"date: ?", _RANDOM_IDS.sub(rb"\1?", answered))


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
    async def scenario(server: FakeServer) -> None:
        await server.exchange([PLAIN * 2], waits_for_responses=True)
        sample = server.metrics.registry.get_sample_value
        labels = {"handler": "/orders/{order_uid}", "method": "GET"}
        assert sample("orders_cache_hits_total") == server.lookup.hits == 2
        assert sample("orders_http_requests_total", {**labels, "status": "200"}) == 2
        assert sample("orders_http_request_seconds_count", labels) == 2

    assert run_server(scenario).calls == 0


def test_a_hit_is_answered_after_the_miss_before_it() -> None:
    async def scenario(server: FakeServer) -> None:
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
    [([b"nonsense\r\n\r\n", PLAIN], "400"), ([b"GET /livez HTTP/1.1\r\nx: ", b" " * 20_000, b"\r\n\r\n"], "431")],
)
def test_an_error_response_follows_earlier_responses_and_closes_the_connection(
    pieces: Sequence[bytes], status: str
) -> None:
    async def scenario(server: FakeServer) -> None:
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
    async def scenario(server: FakeServer) -> None:
        protocol, transport = server.connect()
        protocol.pause_writing()
        protocol.data_received(PLAIN * 3)
        await turns()
        assert transport.written == b""
        protocol.resume_writing()
        await server.settle()
        assert transport.written.count(b"x-cache: hit") == 3
        protocol.connection_lost(None)

    run_server(scenario)


def test_entries_that_may_be_stale_are_not_served() -> None:
    moment = 0.0

    async def scenario(server: FakeServer) -> None:
        nonlocal moment
        await server.exchange([PLAIN], waits_for_responses=True)
        assert server.calls == 0
        moment = 2.0
        server.reader.is_unreachable = True
        assert (await server.exchange([PLAIN], waits_for_responses=True)).written.startswith(b"HTTP/1.1 503 ")

    assert run_server(scenario, now=lambda: moment).calls == 1


def test_a_hit_makes_its_order_most_recently_used() -> None:
    async def scenario(server: FakeServer) -> None:
        server.cache.put("third", with_etag(b"3"))
        await server.exchange([PLAIN], waits_for_responses=True)
        server.cache.put("fourth", with_etag(b"4"))
        assert server.cache.get("cached")
        assert server.cache.get(LONGEST) is None

    run_server(scenario)


def test_responses_have_the_current_date() -> None:
    async def scenario(server: FakeServer) -> None:
        protocol, transport = server.connect()
        for date in (b"1", b"2"):
            server.uvicorn.server_state.default_headers = [(b"date", date)]
            protocol.data_received(PLAIN)
        assert re.findall(rb"date: (\d)", transport.written) == [b"1", b"2"]
        protocol.connection_lost(None)

    run_server(scenario)


def test_request_ids_are_unique() -> None:
    async def scenario(server: FakeServer) -> None:
        protocol, transport = server.connect()
        protocol.data_received(PLAIN * 10)
        assert len({*re.findall(rb"x-request-id: ([0-9a-f]{16})\r\n", transport.written)}) == 10
        protocol.connection_lost(None)

    run_server(scenario)


def test_cached_header_blocks_are_bounded() -> None:
    async def scenario(server: FakeServer) -> None:
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


def test_an_idle_connection_is_closed_at_shutdown_after_hits() -> None:
    async def scenario(server: FakeServer) -> None:
        protocol, transport = server.connect()
        protocol.data_received(PLAIN)
        protocol.shutdown()
        assert transport.is_closed
        protocol.connection_lost(None)

    run_server(scenario)


class Timer(NamedTuple):
    due: float
    callback: Callable[[], None]
    timers: "list[Timer]"

    def cancel(self) -> None:
        self.timers.remove(self)


class FakeLoop:
    """The clock and the timers of an event loop. Tasks need `create_task`."""

    def __init__(self, create_task: Callable[..., Any] | None = None) -> None:
        self.create_task = create_task
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + delay, callback, self.timers))
        return self.timers[-1]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for timer in [each for each in self.timers if each.due <= self.now]:
            self.timers.remove(timer)
            timer.callback()


KEEP_ALIVE = ConnectionLimits().keep_alive_seconds
LOAD_BALANCER_IDLE_SECONDS = 60
"""The usual idle timeout of load balancers."""


def test_keep_alive_counts_from_the_last_hit() -> None:
    loop, server = FakeLoop(), FakeServer(has_fast_path=True)
    protocol, transport = server.connect(loop)
    for _ in range(10):
        protocol.data_received(PLAIN)
        loop.advance(KEEP_ALIVE - 1)
    assert not transport.is_closed
    assert len(loop.timers) == 1
    loop.advance(1)
    assert transport.is_closed


@pytest.mark.parametrize("first", [PLAIN, MISS])
def test_keep_alive_is_longer_than_the_idle_timeout_of_load_balancers(first: bytes) -> None:
    async def scenario(server: FakeServer) -> None:
        protocol, transport = server.connect(loop := FakeLoop(asyncio.get_running_loop().create_task))
        protocol.data_received(first)
        await server.settle()
        loop.advance(LOAD_BALANCER_IDLE_SECONDS + 1)
        assert not transport.is_closed
        protocol.data_received(PLAIN)
        assert transport.written.count(b"HTTP/1.1 200 ") == 2
        loop.advance(KEEP_ALIVE)
        assert transport.is_closed

    run_server(scenario)


def idle_connection(server: FakeServer, loop: FakeLoop, sent: bytes = PLAIN) -> FakeTransport:
    """Return a connection that has received its response."""
    protocol, transport = server.connect(loop)
    protocol.data_received(sent)
    return transport


def test_at_the_connection_limit_the_longest_idle_one_is_closed() -> None:
    loop, server = FakeLoop(), FakeServer(has_fast_path=True, limits=ConnectionLimits(max_connections=3))
    first, first_transport = server.connect(loop)
    first.data_received(PLAIN)
    loop.advance(MIN_IDLE_SECONDS)
    second, third = idle_connection(server, loop), idle_connection(server, loop)
    loop.advance(MIN_IDLE_SECONDS)
    first.data_received(PLAIN)  # a hit does not restart the timer
    fourth = idle_connection(server, loop)
    assert [each.is_closed for each in (first_transport, second, third, fourth)] == [False, True, False, False]
    assert fourth.written.startswith(b"HTTP/1.1 200 ")


def test_at_the_connection_limit_without_idle_connections_a_new_one_is_refused() -> None:
    loop, server = FakeLoop(), FakeServer(has_fast_path=True, limits=ConnectionLimits(max_connections=3))
    recent = idle_connection(server, loop)
    slow = [idle_connection(server, loop, sent) for sent in (b"", PLAIN + b"GET ")]
    loop.advance(MIN_IDLE_SECONDS - 0.1)
    refused = idle_connection(server, loop)
    assert refused.written.startswith(b"HTTP/1.1 503 ")
    assert not any(each.is_closed for each in (recent, *slow))


def test_an_incomplete_head_after_a_hit_times_out() -> None:
    loop, server = FakeLoop(), FakeServer(has_fast_path=True)
    protocol, transport = server.connect(loop)
    protocol.data_received(PLAIN + b"GET ")
    loop.advance(14)
    assert not transport.is_closed
    loop.advance(1)
    assert transport.is_closed
