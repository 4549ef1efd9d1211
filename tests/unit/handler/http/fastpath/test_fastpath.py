"""Two protocols on transports in memory, one with the fast path and one without: nobody can tell them apart."""

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

from service.handler.http.api import Parts, api
from service.handler.http.event_broadcaster import EventBroadcaster
from service.handler.http.fastpath.protocol import MAX_HITS_PER_READ, MIN_IDLE_SECONDS, ConnectionLimits
from service.handler.http.fastpath.responder import MAX_CACHED_BLOCKS, MAX_HEADER_BLOCK_BYTES, CacheResponder
from service.handler.http.keys import Keys
from service.handler.http.routes.probes import Health
from service.handler.http.serve import Server, listen
from service.metrics import Metrics
from service.pkg.etag import split_etag, with_etag
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.lookup import Lookup
from tests.factories import order
from tests.fake_dead_letters import FakeDeadLetters
from tests.fake_reader import FakeReader
from tests.waiting import eventually, turns

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST = "-_" * 32
HELD = {"held": with_etag(b'{"order_uid":"held"}'), LONGEST: with_etag(b"%d %s \r\n\r\n HTTP/1.1 200 OK" * 10)}
TAG = split_etag(HELD["held"])[0].decode()
PLAIN = b"GET /orders/held HTTP/1.1\r\nhost: x\r\n\r\n"
MISS = b"GET /orders/missed HTTP/1.1\r\nhost: x\r\n\r\n"
READS, READS_NOT = "r" * 20, "d" * 20
LAST = b"GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n"
_OF_CHANCE = re.compile(rb'(x-request-id: |"request_id":")[0-9a-f]{16}\b')


def asked(*headers: str, line: str = "GET /orders/held HTTP/1.1", body: str = "") -> bytes:
    return "\r\n".join([line, *headers, "", body]).encode("latin-1")


class Wire(asyncio.Transport):
    """The transport of a client that reads everything at once."""

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
        """Take everything whatever they are."""

    def get_write_buffer_size(self) -> int:
        return 0


class Outcome(NamedTuple):
    written: bytes
    is_closed: bool
    is_timed: bool


class Side:
    """A server without sockets, its clients, and how often they got as far as its application."""

    def __init__(
        self,
        *,
        is_fast: bool,
        limits: ConnectionLimits | None = None,
        keys: Keys | None = None,
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.reader = FakeReader(order(order_uid="missed"))
        self.metrics = Metrics(CollectorRegistry())
        self.cache = Lru(3, 2**20)
        self.lookup = Lookup(
            self.reader, self.cache, TTLSet(10, 2), max_stale=1, now=now, on_hit=self.metrics.cache_hits.labels().inc
        )
        health = Health({}, {}, {}, {})
        parts = Parts(self.lookup, self.reader, FakeDeadLetters(), EventBroadcaster(10, 0), Any, health)  # type: ignore[arg-type]
        self.app = api(parts, self.metrics, structlog.get_logger(), version="1", keys=keys)
        self.calls = 0
        limits = limits or ConnectionLimits()
        self.hits = CacheResponder(self.lookup, self.metrics, limits.max_head_bytes, keys)
        self.server = Server(self, drain_seconds=1, limits=limits, responder=self.hits if is_fast else None)
        self.server.config.load()
        self.server.server_state.default_headers = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
        self.fill()

    def fill(self) -> None:
        """Bring the cache to where it was at first."""
        self.cache.clear()
        for uid, value in HELD.items():
            self.cache.put(uid, value)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        await self.app(scope, receive, send)

    def connect(self, loop: Any = None) -> "tuple[HttpToolsProtocol, Wire]":
        wire, config = Wire(), self.server.config
        protocol: HttpToolsProtocol = config.http_protocol_class(  # type: ignore[call-arg, assignment]
            config=config, server_state=self.server.server_state, app_state={}, _loop=loop
        )
        protocol.connection_made(wire)
        return protocol, wire

    async def settle(self) -> None:
        """Return when every request is answered."""
        while tasks := self.server.server_state.tasks:
            await asyncio.gather(*tasks)

    async def exchange(self, pieces: Sequence[bytes], *, is_patient: bool) -> Outcome:
        """Send the pieces; a patient client waits for the answers to each before it sends the next one."""
        protocol, wire = self.connect()
        for piece in pieces:
            if wire.is_paused or is_patient:
                await self.settle()
            if not wire.is_closed:
                protocol.data_received(piece)
        await self.settle()
        written = _OF_CHANCE.sub(rb"\1?", wire.written)
        timers = (protocol.timeout_keep_alive_task, protocol._head_timer)  # type: ignore[attr-defined]
        outcome = Outcome(written, wire.is_closed, wire.is_closed or any(timers))
        protocol.connection_lost(None)
        protocol._unset_keepalive_if_required()
        return outcome

    def counts(self) -> dict[tuple[str, str], float]:
        """Return all that was counted, but for how long it took."""
        samples = [each for family in self.metrics.registry.collect() for each in family.samples]
        counted = {(each.name, str(each.labels)): each.value for each in samples if each.value}
        return {key: value for key, value in counted.items() if key[0].endswith(("_total", "_count"))}


class Pair:
    def __init__(self, limits: ConnectionLimits | None = None, keys: Keys | None = None) -> None:
        self.fast = Side(is_fast=True, limits=limits, keys=keys)
        self.slow = Side(is_fast=False, limits=limits, keys=keys)

    def compare(self, *pieces: bytes, is_patient: bool = True) -> bytes:
        """Hold what is answered, the connection's state after it, and what is counted against each other."""
        for side in (self.fast, self.slow):
            side.fill()
        fast = asyncio.run(self.fast.exchange(pieces, is_patient=is_patient))
        slow = asyncio.run(self.slow.exchange(pieces, is_patient=is_patient))
        assert fast == slow
        assert self.fast.counts() == self.slow.counts()
        assert (self.fast.lookup.hits, self.fast.lookup.misses) == (self.slow.lookup.hits, self.slow.lookup.misses)
        assert [*self.fast.cache._entries] == [*self.slow.cache._entries]
        return fast.written


@pytest.fixture(scope="module")
def both() -> Pair:
    return Pair()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A pair that wants a key for everything."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"read {READS}\ndead-letters {READS_NOT}\n")
    return Pair(keys=Keys(path))


@pytest.fixture
def pair(both: Pair) -> Pair:
    both.fast.calls = both.slow.calls = 0
    return both


def played(play: Callable[[Side], Awaitable[None]], **options: Any) -> Side:
    """Let a coroutine play with the fast side, and return that."""
    side = Side(is_fast=True, **options)

    async def run() -> None:
        await play(side)

    asyncio.run(run())
    return side


PLAIN_ONES = [
    PLAIN,
    PLAIN * 5,
    asked(),
    asked(line=f"GET /orders/{LONGEST} HTTP/1.1"),
    asked("Host: x", "User-Agent: curl/8", "ACCEPT: */*", "Connection: keep-alive"),
    asked("accept-encoding: gzip", "accept-language: ", 'sec-ch-ua: "A";v="1"', "x-forwarded-for: 1.2.3.4, ::1"),
    asked("x-request-id: abc"),
    asked("X-Request-ID: not plain"),
    asked("x-request-id: "),
    asked(f'if-none-match: "{TAG}"'),
    asked(f'if-none-match: W/"{TAG}"'),
    asked(f'If-None-Match: "other", "{TAG}"', "x-request-id: abc"),
    asked("if-none-match: *"),
    asked('if-none-match: "other"'),
    asked(f"if-none-match: {TAG}"),
    asked("if-none-match: "),
    asked("authorization: Bearer a"),
    asked("x-api-key: a b"),
    asked(f"user-agent: {'a' * (MAX_HEADER_BLOCK_BYTES - len('user-agent: ') - 2)}"),
]  # fmt: skip
"""What the fast path answers by itself."""

OTHERS = [
    MISS,
    asked(line="GET /orders/unknown HTTP/1.1"),
    asked(line="GET /orders/ HTTP/1.1"),
    asked(line="GET /orders HTTP/1.1"),
    asked(line="GET /livez HTTP/1.1"),
    asked(line=f"GET /orders/{'x' * 65} HTTP/1.1"),
    asked(line="GET /orders/%68eld HTTP/1.1"),
    asked(line="GET /orders/held%20 HTTP/1.1"),
    asked(line="GET /orders/held? HTTP/1.1"),
    asked(line="GET /orders/held?a=b HTTP/1.1"),
    asked(line="GET /orders/held#a HTTP/1.1"),
    asked(line="GET //orders/held HTTP/1.1"),
    asked(line="GET /orders//held HTTP/1.1"),
    asked(line="GET /orders/held/ HTTP/1.1"),
    asked(line="GET /orders/../orders/held HTTP/1.1"),
    asked(line="GET http://x/orders/held HTTP/1.1"),
    asked(line="GET /ORDERS/held HTTP/1.1"),
    asked(line="GET /orders/held HTTP/1.0"),
    asked("connection: keep-alive", line="GET /orders/held HTTP/1.0"),
    asked(line="HEAD /orders/held HTTP/1.1"),
    asked(line="POST /orders/held HTTP/1.1"),
    asked(line="DELETE /orders/held HTTP/1.1"),
    asked(line="OPTIONS /orders/held HTTP/1.1"),
    asked("connection: close"),
    asked("connection: Keep-Alive"),
    asked("connection: keep-alive, close"),
    asked("connection: keep-alive, upgrade", "upgrade: h2c"),
    asked("content-length: 0"),
    asked("content-length: 5", body="12345"),
    asked("content-length: 38", body=PLAIN.decode()),
    asked("transfer-encoding: chunked", body="5\r\n12345\r\n0\r\n\r\n"),
    asked("expect: 100-continue"),
    asked("expect: 100-continue", "content-length: 5", body="12345"),
    asked("upgrade: websocket"),
    asked("upgrade: websocket", "connection: upgrade"),
    asked("origin: https://shop.example"),
    asked("cookie: a=b"),
    asked("range: bytes=0-1"),
    asked("authorization: Basic a"),
    asked("authorization: Bearer a b"),
    asked("if-match: *"),
    asked("x-anything: a"),
    asked("host: x", "host: y"),
    asked('if-none-match: "a"', f'if-none-match: "{TAG}"'),
    asked("x-request-id: not plain", "x-request-id: abc"),
    asked("accept:*/*"),
    asked("accept:  */*"),
    asked("accept: */* "),
    asked("accept: \xe9"),
    asked("accept: a\xe9b"),
    asked("accept: a\tb"),
    asked(f"user-agent: {'a' * MAX_HEADER_BLOCK_BYTES}"),
]
"""What the application answers, for it may make a difference there."""

MALFORMED = [
    asked(line="get /orders/held HTTP/1.1"),
    asked(line="GET  /orders/held HTTP/1.1"),
    asked(line="GET /orders/held  HTTP/1.1"),
    asked(line="GET /orders/held HTTP/1.1 "),
    asked(line="GET /orders/held HTTP/1.2"),
    asked(line="GET /orders/held HTTP/2.0"),
    asked(line="GET /orders/held"),
    asked(line="GET /orders/h\xe9ld HTTP/1.1"),
    asked("host : x"),
    asked(" host: x"),
    asked("host: x", " folded"),
    asked("host"),
    asked(": x"),
    asked("host: a\x00b"),
    asked("host: a\rb"),
    asked("host: a\nb: c"),
    asked("content-length: x"),
    asked("content-length: 5", "transfer-encoding: chunked", body="0\r\n\r\n"),
    asked("transfer-encoding: chunked", body="x\r\n\r\n"),
    asked("content-length: 5", "content-length: 6", body="12345"),
    PLAIN.replace(b"\r\n", b"\n"),
    b"\r\n" + PLAIN,
    b"\n" + PLAIN,
    PLAIN + b"\r\n",
    b"nonsense\r\n\r\n",
    b"\x16\x03\x01 nonsense\r\n\r\n",
    asked("content-length: 5", body="12345") + b"nonsense\r\n\r\n",
    PLAIN[:-2],
    PLAIN[:-4],
    PLAIN[:9],
    b"\r\n\r\n",
    b"\r\n" * 10_000,
    asked(f"x: {'a' * 20_000}"),
    asked(line=f"GET /orders/{'a' * 20_000} HTTP/1.1"),
]


@pytest.mark.parametrize("request_", PLAIN_ONES)
def test_plain_requests_for_what_is_in_memory_never_reach_the_application(pair: Pair, request_: bytes) -> None:
    pair.compare(request_)
    assert (pair.fast.calls, pair.slow.calls) == (0, request_.count(b"GET "))


@pytest.mark.parametrize("request_", OTHERS)
def test_whatever_could_make_a_difference_there_reaches_the_application(pair: Pair, request_: bytes) -> None:
    pair.compare(request_)
    assert pair.fast.calls == pair.slow.calls > 0


@pytest.mark.parametrize("request_", MALFORMED)
def test_what_is_malformed_or_unfinished_is_answered_as_without_the_fast_path(pair: Pair, request_: bytes) -> None:
    pair.compare(request_)


@pytest.mark.parametrize("request_", [*PLAIN_ONES, *OTHERS, *MALFORMED])
@pytest.mark.parametrize("is_patient", [True, False])
def test_what_follows_a_request_or_comes_before_it_changes_nothing(
    pair: Pair, request_: bytes, *, is_patient: bool
) -> None:
    pair.compare(PLAIN, request_, PLAIN, MISS, PLAIN, is_patient=is_patient)
    pair.compare(PLAIN + request_ + PLAIN + MISS + PLAIN, PLAIN, is_patient=is_patient)


@pytest.mark.parametrize("is_patient", [True, False])
def test_a_request_may_come_in_pieces_of_any_size(pair: Pair, *, is_patient: bool) -> None:
    both = PLAIN + asked("connection: keep-alive", "x-request-id: abc")
    for cut in range(1, len(both)):
        pair.compare(both[:cut], both[cut:], is_patient=is_patient)
    pair.compare(*(both[place : place + 1] for place in range(len(both))), is_patient=is_patient)


@pytest.mark.parametrize("size", range(100, 260, 16))
def test_the_limit_of_a_head_is_the_same(size: int) -> None:
    pair = Pair(ConnectionLimits(max_head_bytes=size))
    for length in range(0, 200, 3):
        pair.compare(asked(f"user-agent: {'a' * length}"))


ADMITTED = [
    asked(f"authorization: Bearer {READS}"),
    asked(f"x-api-key: {READS}"),
    asked(f"X-API-Key: {READS}", f'if-none-match: "{TAG}"', "x-request-id: abc"),
]
REFUSED = [
    PLAIN,
    asked("x-api-key: "),
    asked(f"x-api-key: {READS}x"),
    asked(f"x-api-key: {READS_NOT}"),
    asked(f"authorization: Bearer {READS_NOT}"),
    asked(f"authorization: Bearer {READS[1:]}"),
    asked(f"authorization: {READS}"),
    asked(f"authorization: Bearer {READS_NOT}", f"x-api-key: {READS}"),
    asked(line=f"GET /orders/held?key={READS} HTTP/1.1"),
    asked(line="GET /orders/not%20an%20id HTTP/1.1"),
]


@pytest.mark.parametrize("request_", ADMITTED)
def test_who_has_a_key_is_answered_from_memory(locked: Pair, request_: bytes) -> None:
    locked.fast.calls = 0
    locked.compare(request_)
    assert locked.fast.calls == 0


@pytest.mark.parametrize("request_", REFUSED)
def test_who_has_none_that_reads_gets_no_order(locked: Pair, request_: bytes) -> None:
    answered = locked.compare(request_)
    assert re.match(rb"HTTP/1.1 40[13] ", answered)
    assert b"order_uid" not in answered


def test_a_key_that_was_remembered_and_is_taken_away_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"read {READS}")
    pair = Pair(keys=(keys := Keys(path)))
    pair.compare(ADMITTED[0])
    path.write_text(f"read {READS}x")
    assert keys.reload()
    pair.compare(ADMITTED[0])
    assert pair.fast.calls == 1


LINES = st.sampled_from(
    sorted({request_.partition(b"\r\n")[0] for request_ in [*PLAIN_ONES, *OTHERS, *MALFORMED]} - {b""})
)
USUAL_LINES = st.sampled_from([b"GET /orders/held HTTP/1.1", b"GET /orders/missed HTTP/1.1"])
HEADERS = st.sampled_from(
    sorted(
        {
            line
            for each in [*PLAIN_ONES, *OTHERS, *MALFORMED, *ADMITTED, *REFUSED]
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
    is_patient: bool


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    sent = b"".join(draw(st.lists(requests() | st.just(PLAIN), min_size=1, max_size=5)))
    cuts = sorted(draw(st.sets(st.integers(0, len(sent)), max_size=4)))
    pieces = [sent[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True) if begin < end]
    return Conversation(pieces, draw(st.booleans()))


@settings(max_examples=300, deadline=None)
@given(conversations())
@example(Conversation([PLAIN + b"G", asked(" folded", f"x: {'a' * 20_000}")[1:]], is_patient=False))  # refused twice
def test_nobody_can_tell_the_fast_path_from_the_slow_one(both: Pair, conversation: Conversation) -> None:
    both.compare(*conversation.pieces, is_patient=conversation.is_patient)


@settings(max_examples=100, deadline=None)
@given(conversations())
def test_nobody_can_tell_them_apart_by_keys_either(locked: Pair, conversation: Conversation) -> None:
    locked.compare(*conversation.pieces, is_patient=conversation.is_patient)


@contextmanager
def serving(side: Side) -> Iterator[int]:
    """Serve on a free port, as `orders api` does."""
    with listen("127.0.0.1", 0) as listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        thread = Thread(target=runner.run, args=(side.server.serve(listener),))
        thread.start()
        yield listener.getsockname()[1]
        side.server.should_exit = True
        thread.join()


def received(port: int, sent: bytes) -> bytes:
    """Send all at once, and return what comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(sent)
        answered = b"".join(iter(lambda: client.recv(65_536), b""))
    return re.sub(rb"date: [^\r]+", b"date: ?", _OF_CHANCE.sub(rb"\1?", answered))


def is_dated(port: int) -> bool:
    """Tell whether the server has begun to look at the clock, which it does a moment after it listens."""
    return b"date: ?" in received(port, LAST)


def test_real_connections_bring_the_same_bytes() -> None:
    pair = Pair()
    with serving(pair.fast) as fast, serving(pair.slow) as slow:
        for port in (fast, slow):
            eventually(partial(is_dated, port))
        for request_ in [*PLAIN_ONES, *OTHERS, *MALFORMED]:
            assert received(fast, request_ + LAST) == received(slow, request_ + LAST)
    assert pair.fast.counts() == pair.slow.counts()
    assert pair.slow.calls - pair.fast.calls >= len(PLAIN_ONES)


def test_many_requests_at_once_are_answered_in_order_and_some_of_them_by_the_application(pair: Pair) -> None:
    count = MAX_HITS_PER_READ + 10
    pair.compare(b"".join(asked(f"x-request-id: {number}") for number in range(count)))
    assert pair.fast.calls == 10


def test_hits_are_counted() -> None:
    async def play(side: Side) -> None:
        await side.exchange([PLAIN * 2], is_patient=True)
        told = side.metrics.registry.get_sample_value
        asked_for = {"handler": "/orders/{order_uid}", "method": "GET"}
        assert told("orders_cache_hits_total") == side.lookup.hits == 2
        assert told("orders_http_requests_total", {**asked_for, "status": "200"}) == 2
        assert told("orders_http_request_seconds_count", asked_for) == 2

    assert played(play).calls == 0


def test_a_hit_waits_for_the_answer_to_the_miss_before_it() -> None:
    async def play(side: Side) -> None:
        side.reader.gate.clear()
        protocol, wire = side.connect()
        protocol.data_received(MISS)
        protocol.data_received(PLAIN)
        assert wire.written == b""
        side.reader.gate.set()
        await side.settle()
        assert re.findall(rb"x-cache: (\w+)", wire.written) == [b"miss", b"hit"]
        protocol.connection_lost(None)

    played(play)


@pytest.mark.parametrize(
    ("pieces", "status"),
    [([b"nonsense\r\n\r\n", PLAIN], "400"), ([b"GET /livez HTTP/1.1\r\nx: ", b" " * 20_000, b"\r\n\r\n"], "431")],
)
def test_a_refusal_comes_after_the_answers_to_those_before_it_and_ends_the_connection(
    pieces: Sequence[bytes], status: str
) -> None:
    async def play(side: Side) -> None:
        side.reader.gate.clear()
        protocol, wire = side.connect()
        for piece in (MISS, *pieces):
            protocol.data_received(piece)
        side.reader.gate.set()
        await side.settle()
        assert re.findall(r"HTTP/1\.1 (\d+)", wire.written.decode()) == ["200", status]
        assert wire.is_closed
        protocol.connection_lost(None)

    played(play)


def test_a_client_that_does_not_read_gets_no_further_answers_until_it_does() -> None:
    async def play(side: Side) -> None:
        protocol, wire = side.connect()
        protocol.pause_writing()
        protocol.data_received(PLAIN * 3)
        await turns()
        assert wire.written == b""
        protocol.resume_writing()
        await side.settle()
        assert wire.written.count(b"x-cache: hit") == 3
        protocol.connection_lost(None)

    played(play)


def test_memory_that_may_be_old_is_not_trusted() -> None:
    moment = 0.0

    async def play(side: Side) -> None:
        nonlocal moment
        await side.exchange([PLAIN], is_patient=True)
        assert side.calls == 0
        moment = 2.0
        side.reader.is_away = True
        assert (await side.exchange([PLAIN], is_patient=True)).written.startswith(b"HTTP/1.1 503 ")

    assert played(play, now=lambda: moment).calls == 1


def test_a_hit_keeps_its_order_in_memory() -> None:
    async def play(side: Side) -> None:
        side.cache.put("third", with_etag(b"3"))
        await side.exchange([PLAIN], is_patient=True)
        side.cache.put("fourth", with_etag(b"4"))
        assert side.cache.get("held")
        assert side.cache.get(LONGEST) is None

    played(play)


def test_answers_tell_the_date_of_their_second() -> None:
    async def play(side: Side) -> None:
        protocol, wire = side.connect()
        for date in (b"1", b"2"):
            side.server.server_state.default_headers = [(b"date", date)]
            protocol.data_received(PLAIN)
        assert re.findall(rb"date: (\d)", wire.written) == [b"1", b"2"]
        protocol.connection_lost(None)

    played(play)


def test_two_answers_never_have_the_same_request_id() -> None:
    async def play(side: Side) -> None:
        protocol, wire = side.connect()
        protocol.data_received(PLAIN * 10)
        assert len({*re.findall(rb"x-request-id: ([0-9a-f]{16})\r\n", wire.written)}) == 10
        protocol.connection_lost(None)

    played(play)


def test_what_clients_send_is_remembered_within_bounds() -> None:
    async def play(side: Side) -> None:
        protocol, _ = side.connect()
        for number in range(3 * MAX_CACHED_BLOCKS):
            protocol.data_received(asked(f"user-agent: {number}"))
            protocol.data_received(asked(f"x-request-id: {number}"))
        protocol.data_received(asked(f"user-agent: {'a' * MAX_HEADER_BLOCK_BYTES}"))
        assert 0 < len(side.hits._requests) <= MAX_CACHED_BLOCKS
        assert all(b"user-agent" in block and len(block) < 100 for block in side.hits._requests)
        await side.settle()
        protocol.connection_lost(None)

    played(play)


def test_an_idle_connection_is_closed_at_shutdown_after_hits_too() -> None:
    async def play(side: Side) -> None:
        protocol, wire = side.connect()
        protocol.data_received(PLAIN)
        protocol.shutdown()
        assert wire.is_closed
        protocol.connection_lost(None)

    played(play)


class Timer(NamedTuple):
    due: float
    callback: Callable[[], None]
    timers: "list[Timer]"

    def cancel(self) -> None:
        self.timers.remove(self)


class Hours:
    """An event loop's clock and its timers, and how it runs a task where one is needed."""

    def __init__(self, create_task: Callable[..., Any] | None = None) -> None:
        self.create_task = create_task
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + delay, callback, self.timers))
        return self.timers[-1]

    def go_on(self, seconds: float) -> None:
        self.now += seconds
        for timer in [each for each in self.timers if each.due <= self.now]:
            self.timers.remove(timer)
            timer.callback()


KEEP_ALIVE = ConnectionLimits().keep_alive_seconds
LOAD_BALANCERS_SECONDS = 60
"""After which the usual ones close an idle connection themselves."""


def test_a_connection_stays_as_long_after_its_last_hit_as_after_any_answer() -> None:
    hours, side = Hours(), Side(is_fast=True)
    protocol, wire = side.connect(hours)
    for _ in range(10):
        protocol.data_received(PLAIN)
        hours.go_on(KEEP_ALIVE - 1)
    assert not wire.is_closed
    assert len(hours.timers) == 1
    hours.go_on(1)
    assert wire.is_closed


@pytest.mark.parametrize("first", [PLAIN, MISS])
def test_a_connection_stays_open_for_longer_than_load_balancers_reuse_it(first: bytes) -> None:
    async def play(side: Side) -> None:
        protocol, wire = side.connect(hours := Hours(asyncio.get_running_loop().create_task))
        protocol.data_received(first)
        await side.settle()
        hours.go_on(LOAD_BALANCERS_SECONDS + 1)
        assert not wire.is_closed
        protocol.data_received(PLAIN)
        assert wire.written.count(b"HTTP/1.1 200 ") == 2
        hours.go_on(KEEP_ALIVE)
        assert wire.is_closed

    played(play)


def idle(side: Side, hours: Hours, sent: bytes = PLAIN) -> Wire:
    """Return a connection that has had its answer."""
    protocol, wire = side.connect(hours)
    protocol.data_received(sent)
    return wire


def test_of_too_many_connections_the_longest_idle_one_makes_room() -> None:
    hours, side = Hours(), Side(is_fast=True, limits=ConnectionLimits(max_connections=3))
    first, first_wire = side.connect(hours)
    first.data_received(PLAIN)
    hours.go_on(MIN_IDLE_SECONDS)
    second, third = idle(side, hours), idle(side, hours)
    hours.go_on(MIN_IDLE_SECONDS)
    first.data_received(PLAIN)  # a hit moves no timer
    fourth = idle(side, hours)
    assert [each.is_closed for each in (first_wire, second, third, fourth)] == [False, True, False, False]
    assert fourth.written.startswith(b"HTTP/1.1 200 ")


def test_a_connection_that_is_in_use_makes_no_room_and_the_new_one_is_refused() -> None:
    hours, side = Hours(), Side(is_fast=True, limits=ConnectionLimits(max_connections=3))
    recent = idle(side, hours)
    slow = [idle(side, hours, sent) for sent in (b"", PLAIN + b"GET ")]
    hours.go_on(MIN_IDLE_SECONDS - 0.1)
    refused = idle(side, hours)
    assert refused.written.startswith(b"HTTP/1.1 503 ")
    assert not any(each.is_closed for each in (recent, *slow))


def test_a_head_that_does_not_come_after_a_hit_does_not_keep_its_connection() -> None:
    hours, side = Hours(), Side(is_fast=True)
    protocol, wire = side.connect(hours)
    protocol.data_received(PLAIN + b"GET ")
    hours.go_on(14)
    assert not wire.is_closed
    hours.go_on(1)
    assert wire.is_closed
