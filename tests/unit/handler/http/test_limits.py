"""Connection limits, on real sockets."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from service.errors import CommandFailed
from service.handler.http.admin import AdminServer
from service.handler.http.fastpath import protocol
from service.handler.http.fastpath.protocol import ConnectionLimits
from service.handler.http.serve import Server
from tests.kit.waiting import eventually, one_iteration

LIMITS = ConnectionLimits(max_head_bytes=2_000, max_connections=3, keep_alive_seconds=1)
LARGE_BYTES = 2**22
"""More than the buffers of a socket."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(scope["path"])(scope, receive, send)


@pytest.fixture
def port() -> Iterator[int]:
    server = AdminServer(app, "127.0.0.1", 0)
    server._server = Server(app, drain_seconds=1, limits=LIMITS)
    server.start()
    yield server.port
    server.stop()


@pytest.fixture
def slow_port() -> Iterator[int]:
    """The port of a server whose application does not answer at once."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await one_iteration()
        await PlainTextResponse("")(scope, receive, send)

    server = AdminServer(app, "127.0.0.1", 0)
    server.start()
    yield server.port
    server.stop()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def answer(port: int, *pieces: bytes) -> bytes:
    """Send the pieces, and return all data until the server closes."""
    with connected(port) as client:
        for piece in pieces:
            client.sendall(piece)
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    received = b""
    while chunk := client.recv(65_536):
        received += chunk
    return received


def request(*headers: str, path: str = "/") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "host: x", *headers, "connection: close", "", ""]).encode()


def test_a_request_within_the_limits_is_answered(port: int) -> None:
    assert answer(port, request(f"x: {'a' * 1_500}")).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "head", [request(f"x: {'a' * 2_000}"), request(*["x: a"] * 400), request(path="/" + "a" * 2_000)]
)
def test_a_too_large_head_gets_431(port: int, head: bytes) -> None:
    answered = answer(port, head)
    assert answered.startswith(b"HTTP/1.1 431 Request Header Fields Too Large")
    assert b"application/problem+json" in answered


@pytest.mark.parametrize("head", [request(path="/" + "a" * 2_000), b"\x16\x03\x01 nonsense\r\n\r\n"])
def test_errors_before_the_application_have_the_standard_headers(port: int, head: bytes) -> None:
    lines, _, body = answer(port, head).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in lines.decode().split("\r\n")[1:])
    assert json.loads(body)["request_id"] == headers["x-request-id"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert int(headers["content-length"]) == len(body)
    assert {"date", "content-security-policy"} <= set(headers)


def test_an_endless_header_gets_431(port: int) -> None:
    with connected(port) as client:
        client.settimeout(0.05)
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx: ")
        eventually(lambda: b"431" in send_and_receive(client, b"a" * 1_000))


def send_and_receive(client: socket.socket, data: bytes) -> bytes:
    """Send, and return what has arrived so far."""
    client.sendall(data)
    return client.recv(1_000)


def test_other_protocols_get_400(port: int) -> None:
    answered = answer(port, b"\x16\x03\x01 nonsense\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"application/problem+json" in answered


def test_the_size_limit_applies_to_each_request_of_a_connection(port: int) -> None:
    many = b"GET /a HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 1_000 + b"\r\n\r\n"
    answered = answer(port, many * 10 + request(path="/last"))
    assert answered.count(b"HTTP/1.1 200 OK") == 11
    assert answered.endswith(b"/last")


def test_pipelined_requests_are_limited(slow_port: int) -> None:
    """Behind a slow response, uvicorn keeps a scope and a cycle for each waiting request."""
    many = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * (protocol.MAX_PIPELINED_REQUESTS + 1)
    answered = answer(slow_port, many + b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 10_000)
    assert answered.count(b"HTTP/1.1 200 OK") == protocol.MAX_PIPELINED_REQUESTS + 1
    assert answered.count(b"HTTP/1.1 429 Too Many Requests") == 1
    assert b"too many pipelined requests on this connection" in answered.rpartition(b"HTTP/1.1 ")[2]


def test_too_many_connections_get_503_until_one_closes(port: int) -> None:
    clients = [connected(port) for _ in range(LIMITS.max_connections)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(1_000).startswith(b"HTTP/1.1 200 OK")
    refused = answer(port, request())
    assert refused.startswith(b"HTTP/1.1 503 Service Unavailable")
    assert b"retry-after: " in refused
    clients.pop().close()
    eventually(lambda: answer(port, request()).startswith(b"HTTP/1.1 200 OK"))
    for client in clients:
        client.close()


def test_connections_over_the_limit_do_not_affect_earlier_ones(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REFUSED_HEAD_TIMEOUT_SECONDS", 0.2)
    with ExitStack() as stack:
        first, *_ = [stack.enter_context(closing(connected(port))) for _ in range(LIMITS.max_connections)]
        refused = stack.enter_context(closing(connected(port)))
        for _ in range(2):
            first.sendall(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")  # a response in one segment
            assert first.recv(1_000).startswith(b"HTTP/1.1 200 OK")
        assert read_all(refused) == b""


def test_an_incomplete_head_times_out(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_SECONDS", 0.1)
    assert answer(port) == b""
    assert answer(port, b"GET / HTTP/1.1\r\nhost: ") == b""


def test_a_client_that_does_not_read_gets_one_response_and_is_then_disconnected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.handler.http.serve.TCP_USER_TIMEOUT_MS", 300)
    begun: list[int] = []

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(1)
        await PlainTextResponse("x" * LARGE_BYTES)(scope, receive, send)

    server = AdminServer(large, "127.0.0.1", 0)
    server.start()
    connections = server._server.server_state.connections
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 50)
        eventually(lambda: begun and connections)
        eventually(lambda: not connections, 20, "it is disconnected")
    assert len(begun) < 5
    server.stop()


def test_the_admin_port_has_the_same_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_SECONDS", 0.1)
    server = AdminServer(app, "127.0.0.1", 0)
    server.start()
    with closing(connected(server.port)) as slow:
        slow.sendall(b"GET /livez HTTP/1.1\r\nhost: ")
        assert answer(server.port, request(path="/livez")).startswith(b"HTTP/1.1 200 OK")
        assert read_all(slow) == b""
    assert answer(server.port, request(f"x: {'a' * ConnectionLimits().max_head_bytes}")).startswith(b"HTTP/1.1 431")
    server.stop()


def test_connect_is_answered_and_the_connection_closed(port: int) -> None:
    answered = answer(port, b"CONNECT / HTTP/1.1\r\nhost: x\r\n\r\n" + request())
    assert re.findall(rb"HTTP/1.1 (\d+)", answered) == [b"200"]
    assert b"connection: close" in answered


def test_a_port_in_use_is_an_error_of_one_line() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(CommandFailed, match=rf"^cannot listen on 127\.0\.0\.1 port {port}: [^\n]+$"):
            AdminServer(app, "127.0.0.1", port).start()


def test_an_unknown_host_is_an_error() -> None:
    with pytest.raises(CommandFailed):
        AdminServer(app, "no-such-host.invalid", 0).start()


def test_a_stopped_admin_server_refuses_connections() -> None:
    server = AdminServer(app, "127.0.0.1", 0)
    server.start()
    assert answer(server.port, request()).startswith(b"HTTP/1.1 200 OK")
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        connected(server.port)
