"""Every transition of a connection's states, and no other."""

import asyncio
from collections.abc import Callable
from enum import Enum
from itertools import product
from typing import Any

import pytest

from service.handler.http.fastpath.protocol import ConnectionLimits
from service.handler.http.fastpath.states import ConnectionState, ReceiveState, SendState
from tests.kit.http_requests import MALFORMED, MISS, OTHER_REQUESTS, PLAIN, PLAIN_REQUESTS, make_request
from tests.kit.in_memory_server import InMemoryServer

Transition = tuple[Enum, Enum]
Step = Callable[[Any], None]
"""Does something with a connection."""

pytestmark = pytest.mark.anyio

POST = make_request("content-length: 5", line="POST /orders/cached HTTP/1.1")
CONNECT = make_request(line="CONNECT /orders/cached HTTP/1.1")
INVALID = b"nonsense\r\n\r\n"


def send(data: bytes) -> Step:
    return lambda protocol: protocol.data_received(data)


def pause(protocol: Any) -> None:
    protocol.pause_writing()


def resume(protocol: Any) -> None:
    protocol.resume_writing()


def disconnect(protocol: Any) -> None:
    protocol.connection_lost(None)


class Recorder:
    """A server, and the transitions of all its connections."""

    def __init__(self, limits: ConnectionLimits | None = None) -> None:
        self.transitions: list[Transition] = []
        self.server = InMemoryServer(has_fast_path=True, limits=limits)

        def record(protocol: Any, name: str, value: Any) -> None:
            before = protocol.__dict__.get(name)
            if isinstance(value, Enum) and before is not None and value is not before:
                self.transitions.append((before, value))
            object.__setattr__(protocol, name, value)

        self.server.uvicorn.config.http_protocol_class.__setattr__ = record  # type: ignore[method-assign]


def transitions_of(*steps: Step) -> list[Transition]:
    """Return the transitions of the last step."""

    async def run() -> list[Transition]:
        recorder = Recorder()
        protocol, _ = recorder.server.connect()
        for step in steps:
            recorder.transitions.clear()
            step(protocol)
        found = [*recorder.transitions]
        await recorder.server.settle()
        disconnect(protocol)
        return found

    return asyncio.run(run())


NEW, HEAD, BODY, BETWEEN = ReceiveState
READY, PAUSED, REQUEST_DEFERRED = SendState
OPEN, OVER_LIMIT, LAST_REQUEST, ERROR_PENDING = ConnectionState


@pytest.mark.parametrize(
    ("steps", "transitions"),
    [
        ([send(b"\r\n")], []),
        ([send(PLAIN)], [(NEW, BETWEEN)]),
        ([send(b"GET ")], [(NEW, HEAD)]),
        ([send(b"GET "), send(b"/orders")], []),
        ([send(POST[:20]), send(POST[20:])], [(HEAD, BODY)]),
        ([send(POST), send(b"123")], []),
        ([send(POST), send(b"12345")], [(BODY, BETWEEN)]),
        ([send(MISS)], [(NEW, HEAD), (HEAD, BODY), (BODY, BETWEEN)]),
        ([send(PLAIN), send(PLAIN)], []),
        ([send(PLAIN), send(b"\r\n")], []),
        ([send(PLAIN), send(b"GET ")], [(BETWEEN, HEAD)]),
        ([send(MISS), send(b"GET ")], [(BETWEEN, HEAD)]),
        ([send(INVALID)], [(NEW, HEAD)]),
    ],
)
def test_the_request_that_is_received(steps: list[Step], transitions: list[Transition]) -> None:
    assert transitions_of(*steps) == transitions


@pytest.mark.parametrize(
    ("steps", "transitions"),
    [
        ([pause], [(READY, PAUSED)]),
        ([resume], []),
        ([pause, resume], [(PAUSED, READY)]),
        (
            [send(PLAIN), pause, send(MISS)],
            [(BETWEEN, HEAD), (HEAD, BODY), (PAUSED, REQUEST_DEFERRED), (BODY, BETWEEN)],
        ),
        ([pause, send(MISS), send(MISS)], [(BETWEEN, HEAD), (HEAD, BODY), (BODY, BETWEEN)]),
        ([pause, send(MISS), resume], [(REQUEST_DEFERRED, READY)]),
        ([pause, send(MISS), disconnect], []),
    ],
)
def test_the_responses_that_are_sent(steps: list[Step], transitions: list[Transition]) -> None:
    assert transitions_of(*steps) == transitions


@pytest.mark.parametrize(
    ("steps", "transitions"),
    [
        ([send(CONNECT)], [(OPEN, LAST_REQUEST)]),
        ([send(MISS + INVALID)], [(OPEN, ERROR_PENDING)]),
        ([send(INVALID)], []),  # rejected, and the connection is closed at once
        ([send(MISS + INVALID), send(INVALID)], []),
        ([send(MISS + INVALID), send(MISS)], []),
        ([send(CONNECT), send(INVALID)], []),
    ],
)
def test_a_connection_changes_its_state_as_documented(steps: list[Step], transitions: list[Transition]) -> None:
    assert [change for change in transitions_of(*steps) if change[0] in ConnectionState] == transitions


async def test_a_connection_over_the_limit_stays_so() -> None:
    recorder = Recorder(ConnectionLimits(max_connections=1))
    first, _ = recorder.server.connect()
    second, transport = recorder.server.connect()
    assert recorder.transitions == [(OPEN, OVER_LIMIT)]
    second.data_received(PLAIN)
    assert recorder.transitions == [(OPEN, OVER_LIMIT)]
    assert transport.is_closed
    for protocol in (first, second):
        disconnect(protocol)


TRANSITIONS = {
    (NEW, HEAD), (NEW, BETWEEN), (HEAD, BODY), (BODY, BETWEEN), (BETWEEN, HEAD),
    (READY, PAUSED), (PAUSED, READY), (PAUSED, REQUEST_DEFERRED), (REQUEST_DEFERRED, READY),
    (OPEN, LAST_REQUEST), (OPEN, ERROR_PENDING),
}  # fmt: skip


async def test_no_request_makes_another_transition() -> None:
    recorder = Recorder()
    for before, request in product([b"", PLAIN, MISS], [*PLAIN_REQUESTS, *OTHER_REQUESTS, *MALFORMED]):
        for steps in ([send(before), send(request)], [send(before), pause, send(request), resume]):
            protocol, transport = recorder.server.connect()
            for step in steps:
                if not transport.is_closed:
                    step(protocol)
            await recorder.server.settle()
            disconnect(protocol)
    assert {*recorder.transitions} == TRANSITIONS
