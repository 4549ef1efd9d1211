"""What slow clients, or many, can have the server hold: on real connections, on the event loop of `orders api`."""

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

import pytest

from service.handler.http.fastpath import protocol
from service.handler.http.fastpath.buffers import UNCOUNTED_BYTES, BufferBudget
from service.handler.http.fastpath.protocol import MAX_HEADERS, ConnectionLimits
from service.handler.http.fastpath.responder import MIN_ZERO_COPY_BYTES
from service.pkg.etag import with_etag
from tests.unit.handler.http.fastpath.test_fastpath import MISS, PLAIN, Pair, Side, asked, serving
from tests.waiting import eventually, turns

LARGE = b"x" * 10**6
"""More than a socket's buffers take."""
GET_LARGE = b"GET /orders/large HTTP/1.1\r\n\r\n"
GET_LARGE_LONG_WAY = b"GET /orders/large HTTP/1.1\r\ncookie: a\r\n\r\n"
BOUND = 4 * 2**20
CLIENTS = 20


@dataclass(eq=False)
class Held:
    """A connection that holds so much."""

    size: int
    log: list["Held"] = field(default_factory=list)

    def buffered_bytes(self) -> int:
        return self.size

    def abort(self) -> None:
        self.log.append(self)


def test_beyond_the_bound_those_that_made_no_progress_for_longest_are_closed() -> None:
    dropped: list[Held] = []
    buffers = BufferBudget(80_000)
    first, second, third, fourth = (Held(20_000, dropped) for _ in range(4))
    for connection in (first, second, third, fourth):
        buffers.update(connection)
    first.size = 19_000  # it reads
    buffers.update(last := Held(20_000, dropped))
    assert dropped == [second, third]
    assert (len(buffers), buffers.size) == (3, 59_000)
    for connection in (first, fourth, last):
        buffers.discard(connection)
    assert (len(buffers), buffers.size) == (0, 0)


def test_one_connection_may_hold_more_than_the_bound() -> None:
    dropped: list[Held] = []
    buffers = BufferBudget(80_000)
    buffers.update(Held(20_000, dropped))
    buffers.update(large := Held(100_000, dropped))
    assert len(dropped) == 1
    large.size = UNCOUNTED_BYTES
    buffers.update(large)
    assert (len(buffers), buffers.size) == (0, 0)


@pytest.fixture
def site() -> Side:
    """A side whose cache holds a large order."""
    made = Side(is_fast=True, limits=ConnectionLimits(max_buffered_bytes=BOUND))
    made.cache.put("large", with_etag(LARGE))
    assert made.cache.get("large")
    return made


def buffers_of(side: Side) -> BufferBudget:
    made: BufferBudget = side.server.config.http_protocol_class._buffers  # type: ignore[attr-defined]
    return made


@contextmanager
def deaf(port: int, sent: bytes) -> Iterator[socket.socket]:
    """Send, and read nothing."""
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.settimeout(10)
        client.connect(("127.0.0.1", port))
        client.sendall(sent)
        yield client


def is_served(port: int) -> bool:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as client:
        client.sendall(PLAIN)
        return client.recv(20).startswith(b"HTTP/1.1 200 OK")


def is_cut(client: socket.socket) -> bool:
    client.setblocking(False)  # noqa: FBT003 - the name of the method
    try:
        while client.recv(2**20):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize("request_", [GET_LARGE, GET_LARGE_LONG_WAY])
def test_unsent_answers_of_all_connections_have_a_bound_and_others_are_served(site: Side, request_: bytes) -> None:
    with serving(site) as port, ExitStack() as stack:
        clients = [stack.enter_context(deaf(port, request_ * 8)) for _ in range(CLIENTS)]
        eventually(lambda: len(site.server.server_state.connections) < CLIENTS, what="some are closed")
        assert is_served(port)
        assert 0 < buffers_of(site).size <= BOUND
        assert any(is_cut(client) for client in clients)
        stack.close()
        eventually(lambda: not buffers_of(site).size, what="nothing is held any more")
        assert is_served(port)


@pytest.mark.parametrize("request_", [GET_LARGE, GET_LARGE_LONG_WAY])
def test_a_client_that_reads_late_gets_all_its_answers(site: Side, request_: bytes) -> None:
    with serving(site) as port, deaf(port, request_ * 5 + PLAIN + GET_LARGE_LONG_WAY) as client:
        eventually(lambda: buffers_of(site).size)
        incoming = client.makefile("rb")
        sizes = []
        for _ in range(7):
            head = b"".join(iter(incoming.readline, b"\r\n"))
            assert head.startswith(b"HTTP/1.1 200 OK")
            sizes.append(len(incoming.read(int(re.findall(rb"content-length: (\d+)", head)[0]))))
        assert [size for size in sizes if size != len(LARGE)] == [len(b'{"order_uid":"held"}')]
        eventually(lambda: not buffers_of(site).size)
        client.sendall(PLAIN)
        assert incoming.readline() == b"HTTP/1.1 200 OK\r\n"


def test_an_answer_that_is_not_taken_in_time_is_given_up(site: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SEND_TIMEOUT_SECONDS", 0.2)
    with serving(site) as port, deaf(port, GET_LARGE):
        eventually(lambda: site.lookup.hits)
        eventually(lambda: not site.server.server_state.connections, what="it is closed")
        assert is_served(port)


def test_a_large_answer_from_memory_is_no_copy(site: Side) -> None:
    value = with_etag(b"x" * MIN_ZERO_COPY_BYTES)
    site.cache.put("large", value)
    head = GET_LARGE[:-2]
    several = [site.hits.respond(head, []) for _ in range(2)]
    assert all(isinstance(each, tuple) and each[1].obj is value for each in several)
    found = asyncio.run(site.lookup.find("large"))
    assert found
    assert isinstance(found.body, memoryview)
    assert found.body.obj is value


def test_requests_that_wait_and_heads_without_an_end_are_counted() -> None:
    async def play() -> None:
        side.reader.gate.clear()
        waiting, _ = side.connect()
        waiting.data_received(MISS * 51)
        unfinished, _ = side.connect()
        unfinished.data_received(b"GET / HTTP/1.1\r\nx: " + b"a" * 10_000)
        assert buffers.size > 50 * 2_000 + 10_000
        side.reader.gate.set()
        await side.settle()
        await turns(10)
        await side.settle()
        unfinished.data_received(b"\r\n\r\n")
        await side.settle()
        waiting.data_received(PLAIN)
        assert buffers.size < 10_000
        for each in (waiting, unfinished):
            each.connection_lost(None)
        assert buffers.size == 0

    side = Side(is_fast=True)
    buffers = buffers_of(side)
    asyncio.run(play())


def test_a_header_that_does_not_end_is_refused_in_one_piece_too() -> None:
    async def play() -> None:
        side = Side(is_fast=True)
        protocol_, wire = side.connect()
        protocol_.data_received(PLAIN + b"GET / HTTP/1.1\r\nx: " + b"a" * 200_000)
        assert re.findall(rb"HTTP/1\.1 (\d+)", wire.written) == [b"200", b"431"]
        assert wire.is_closed
        protocol_.connection_lost(None)

    asyncio.run(play())


@pytest.mark.parametrize(("count", "status"), [(MAX_HEADERS, b"200"), (MAX_HEADERS + 1, b"431")])
def test_headers_have_a_number(count: int, status: bytes) -> None:
    answered = Pair().compare(asked(*["x: a"] * count))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answered) == [status]


def test_more_requests_than_the_application_may_work_on_are_refused() -> None:
    async def play() -> None:
        side.reader.gate.clear()
        connections = [side.connect() for _ in range(3)]
        for protocol_, _ in connections:
            protocol_.data_received(MISS)
        await turns(20)
        assert [wire.written[:12] for _, wire in connections] == [b"", b"", b"HTTP/1.1 503"]
        assert b"retry-after: " in connections[2][1].written
        protocol_, wire = side.connect()
        protocol_.data_received(PLAIN)
        assert wire.written.startswith(b"HTTP/1.1 200")  # what is in memory costs no such request
        side.reader.gate.set()
        await side.settle()
        assert all(wire.written.startswith(b"HTTP/1.1 200") for _, wire in connections[:2])
        for each, _ in [*connections, (protocol_, wire)]:
            each.connection_lost(None)

    side = Side(is_fast=True, limits=ConnectionLimits(max_requests=2))
    asyncio.run(play())
