"""Memory for slow clients is bounded: on real connections, on the event loop of `orders api`."""

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from service.handler.http.fastpath import protocol
from service.handler.http.fastpath.buffers import BufferBudget
from service.handler.http.fastpath.protocol import ConnectionLimits
from service.handler.http.fastpath.request_head import MAX_HEADERS
from service.handler.http.fastpath.responder import MIN_ZERO_COPY_BYTES
from service.pkg.etag import with_etag
from tests.kit.http_requests import MISS, PLAIN, make_request
from tests.kit.in_memory_server import InMemoryServer, ServerPair, serving
from tests.kit.waiting import eventually, until_idle

LARGE = b"x" * 10**6
"""More than a socket's buffers take."""
GET_LARGE = b"GET /orders/large HTTP/1.1\r\nhost: x\r\n\r\n"
GET_LARGE_FROM_APPLICATION = b"GET /orders/large HTTP/1.1\r\nhost: x\r\ncookie: a\r\n\r\n"
MAX_BYTES = 4 * 2**20
CLIENTS = 20


@pytest.fixture
def large_order_server() -> InMemoryServer:
    """A server with a large cached order."""
    server = InMemoryServer(has_fast_path=True, limits=ConnectionLimits(max_buffered_bytes=MAX_BYTES))
    server.cache.put("large", with_etag(LARGE))
    assert server.cache.get("large")
    return server


def buffers_of(server: InMemoryServer) -> BufferBudget:
    return server.uvicorn.context.buffers


@contextmanager
def client_that_does_not_read(port: int, sent: bytes) -> Iterator[socket.socket]:
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


def is_disconnected(client: socket.socket) -> bool:
    client.setblocking(False)  # noqa: FBT003 - the name of the method
    try:
        while client.recv(2**20):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize("request_", [GET_LARGE, GET_LARGE_FROM_APPLICATION])
def test_unsent_responses_of_all_connections_are_bounded_and_other_clients_served(
    large_order_server: InMemoryServer, request_: bytes
) -> None:
    with serving(large_order_server) as port, ExitStack() as stack:
        clients = [stack.enter_context(client_that_does_not_read(port, request_ * 8)) for _ in range(CLIENTS)]
        eventually(lambda: len(large_order_server.uvicorn.server_state.connections) < CLIENTS, what="some are closed")
        assert is_served(port)
        assert 0 < buffers_of(large_order_server).size <= MAX_BYTES
        assert any(is_disconnected(client) for client in clients)
        stack.close()
        eventually(lambda: not buffers_of(large_order_server).size, what="all buffers are free")
        assert is_served(port)


@pytest.mark.parametrize("request_", [GET_LARGE, GET_LARGE_FROM_APPLICATION])
def test_a_client_that_reads_late_gets_all_responses(large_order_server: InMemoryServer, request_: bytes) -> None:
    with (
        serving(large_order_server) as port,
        client_that_does_not_read(port, request_ * 5 + PLAIN + GET_LARGE_FROM_APPLICATION) as client,
    ):
        eventually(lambda: buffers_of(large_order_server).size)
        incoming = client.makefile("rb")
        sizes = []
        for _ in range(7):
            head = b"".join(iter(incoming.readline, b"\r\n"))
            assert head.startswith(b"HTTP/1.1 200 OK")
            sizes.append(len(incoming.read(int(re.findall(rb"content-length: (\d+)", head)[0]))))
        assert [size for size in sizes if size != len(LARGE)] == [len(b'{"order_uid":"cached"}')]
        eventually(lambda: not buffers_of(large_order_server).size)
        client.sendall(PLAIN)
        assert incoming.readline() == b"HTTP/1.1 200 OK\r\n"


def test_a_response_that_is_not_read_in_time_is_dropped(
    large_order_server: InMemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SEND_TIMEOUT_SECONDS", 0.2)
    with serving(large_order_server) as port, client_that_does_not_read(port, GET_LARGE):
        eventually(lambda: large_order_server.cached.hits)
        eventually(lambda: not large_order_server.uvicorn.server_state.connections, what="it is closed")
        assert is_served(port)


def test_a_large_cached_document_is_not_copied(large_order_server: InMemoryServer) -> None:
    value = with_etag(b"x" * MIN_ZERO_COPY_BYTES)
    large_order_server.cache.put("large", value)
    head = GET_LARGE[:-2]
    several = [large_order_server.responder.respond(head, []) for _ in range(2)]
    assert all(isinstance(each, tuple) and each[1].obj is value for each in several)
    found = asyncio.run(large_order_server.lookup.find("large"))
    assert found
    assert isinstance(found.body, memoryview)
    assert found.body.obj is value


def test_pipelined_requests_and_incomplete_heads_are_counted() -> None:
    async def play() -> None:
        server.reader.gate.clear()
        waiting, _ = server.connect()
        waiting.data_received(MISS * 51)
        unfinished, _ = server.connect()
        unfinished.data_received(b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 10_000)
        assert buffers.size > 50 * 2_000 + 10_000
        server.reader.gate.set()
        await server.settle()
        await until_idle()
        await server.settle()
        unfinished.data_received(b"\r\n\r\n")
        await server.settle()
        waiting.data_received(PLAIN)
        assert buffers.size < 10_000
        for each in (waiting, unfinished):
            each.connection_lost(None)
        assert buffers.size == 0

    server = InMemoryServer(has_fast_path=True)
    buffers = buffers_of(server)
    asyncio.run(play())


def test_an_endless_header_after_a_hit_is_refused() -> None:
    async def play() -> None:
        server = InMemoryServer(has_fast_path=True)
        protocol_, transport = server.connect()
        protocol_.data_received(PLAIN + b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 200_000)
        assert re.findall(rb"HTTP/1\.1 (\d+)", transport.written) == [b"200", b"431"]
        assert transport.is_closed
        protocol_.connection_lost(None)

    asyncio.run(play())


@pytest.mark.parametrize(("count", "status"), [(MAX_HEADERS, b"200"), (MAX_HEADERS + 1, b"431")])
def test_the_number_of_headers_is_limited(count: int, status: bytes) -> None:
    answered = ServerPair().compare(make_request("host: x", *["x: a"] * (count - 1)))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answered) == [status]


def test_concurrent_requests_in_the_application_are_limited() -> None:
    async def play() -> None:
        server.reader.gate.clear()
        connections = [server.connect() for _ in range(3)]
        for protocol_, _ in connections:
            protocol_.data_received(MISS)
        await until_idle()
        assert [transport.written[:12] for _, transport in connections] == [b"", b"", b"HTTP/1.1 503"]
        assert b"retry-after: " in connections[2][1].written
        protocol_, transport = server.connect()
        protocol_.data_received(PLAIN)
        assert transport.written.startswith(b"HTTP/1.1 200")  # cache hits are not limited
        server.reader.gate.set()
        await server.settle()
        assert all(transport.written.startswith(b"HTTP/1.1 200") for _, transport in connections[:2])
        for each, _ in [*connections, (protocol_, transport)]:
            each.connection_lost(None)

    server = InMemoryServer(has_fast_path=True, limits=ConnectionLimits(max_requests=2))
    asyncio.run(play())
