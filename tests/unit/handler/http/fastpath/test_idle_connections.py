"""Times at which idle connections are closed, with the clock and timers of a fake event loop."""

import asyncio

import pytest

from service.handler.http.fastpath.idle import MIN_IDLE_SECONDS
from service.handler.http.fastpath.protocol import ConnectionLimits
from tests.kit.http_requests import (
    MISS,
    PLAIN,
)
from tests.kit.in_memory_server import FakeLoop, InMemoryServer, InMemoryTransport, run_server


def test_an_idle_connection_is_closed_at_shutdown_after_hits() -> None:
    async def scenario(server: InMemoryServer) -> None:
        protocol, transport = server.connect()
        protocol.data_received(PLAIN)
        protocol.shutdown()
        assert transport.is_closed
        protocol.connection_lost(None)

    run_server(scenario)


KEEP_ALIVE = ConnectionLimits().keep_alive_seconds
LOAD_BALANCER_IDLE_SECONDS = 60
"""The usual idle timeout of load balancers."""


def test_keep_alive_counts_from_the_last_hit() -> None:
    loop, server = FakeLoop(), InMemoryServer(has_fast_path=True)
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
    async def scenario(server: InMemoryServer) -> None:
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


def idle_connection(server: InMemoryServer, loop: FakeLoop, sent: bytes = PLAIN) -> InMemoryTransport:
    """Return a connection that has received its response."""
    protocol, transport = server.connect(loop)
    protocol.data_received(sent)
    return transport


def test_at_the_connection_limit_the_longest_idle_one_is_closed() -> None:
    loop, server = FakeLoop(), InMemoryServer(has_fast_path=True, limits=ConnectionLimits(max_connections=3))
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
    loop, server = FakeLoop(), InMemoryServer(has_fast_path=True, limits=ConnectionLimits(max_connections=3))
    recent = idle_connection(server, loop)
    slow = [idle_connection(server, loop, sent) for sent in (b"", PLAIN + b"GET ")]
    loop.advance(MIN_IDLE_SECONDS - 0.1)
    refused = idle_connection(server, loop)
    assert refused.written.startswith(b"HTTP/1.1 503 ")
    assert not any(each.is_closed for each in (recent, *slow))


def test_an_incomplete_head_after_a_hit_times_out() -> None:
    loop, server = FakeLoop(), InMemoryServer(has_fast_path=True)
    protocol, transport = server.connect(loop)
    protocol.data_received(PLAIN + b"GET ")
    loop.advance(14)
    assert not transport.is_closed
    loop.advance(1)
    assert transport.is_closed
