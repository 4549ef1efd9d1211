"""A load of GETs over connections that are kept alive, in a process of its own: its time is not the server's.

`python -m bench.load TARGETS PORT CONNECTIONS REQUESTS`: TARGETS is a JSON list of paths with the lengths of
their bodies. Each connection sends its next request when the answer to its last one is complete. The last line of the
output is a Report in JSON; an answer other than the expected one ends everything.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

import msgspec
import uvloop
from msgspec import Struct

from bench.figures import percentile
from local.ports import HOST

_OK: Final = b"HTTP/1.1 200 "
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"


class Target(NamedTuple):
    path: str
    length: int
    """Bytes of the body that a 200 has."""


class Report(Struct, frozen=True):
    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


class WrongAnswer(Exception):
    """The server answered something else than it was to; nothing that was measured counts."""


class _Request(NamedTuple):
    data: bytes
    length: int


def is_whole(received: bytes, length: int) -> bool:
    """Tell whether these are all bytes of a 200 with a body of `length`.

    Raises WrongAnswer as soon as they can't become that.
    """
    if not received.startswith(_OK[: len(received)]):
        raise WrongAnswer(f"not a 200: {received[:60]!r}")
    end = received.find(_HEAD_END)
    if end < 0:
        return False
    if (told := _told_length(received[:end].lower() + b"\r\n")) != length:
        raise WrongAnswer(f"a body of {told} bytes instead of {length}")
    missing = end + len(_HEAD_END) + length - len(received)
    if missing < 0:
        raise WrongAnswer(f"{-missing} unexpected bytes")
    return missing == 0


def _told_length(head: bytes) -> int | None:
    """Return what Content-Length says; `head` is in lower case, and each of its lines has an end."""
    _, found, rest = head.partition(_LENGTH)
    return int(rest[: rest.index(b"\r\n")]) if found else None


class Client(asyncio.Protocol):
    """One connection; all connections take their requests from one queue."""

    def __init__(self, requests: Iterator[_Request], latencies: list[float], finished: "asyncio.Future[None]") -> None:
        self._requests = requests
        self._latencies = latencies
        self._finished = finished
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # a TCP connection's is one

    def send(self) -> None:
        """Ask for the next one, or finish when there is none."""
        request = next(self._requests, None)
        if request is None:
            self._finished.set_result(None)
        else:
            self._length = request.length
            self._began = perf_counter()
            self._transport.write(request.data)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        try:
            whole = is_whole(self._received, self._length)
        except WrongAnswer as error:
            self._fail(error)
            return
        if whole:
            self._latencies.append(perf_counter() - self._began)
            self._received = b""
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or WrongAnswer("the connection was closed"))

    def close(self) -> None:
        self._finished.cancel()
        self._transport.close()

    def _fail(self, error: Exception) -> None:
        if not self._finished.done():
            self._finished.set_exception(error)
        self._transport.close()


async def load(port: int, targets: Sequence[Target], *, connections: int, requests: int) -> Report:
    """Send `requests` to `targets` in turn; the time begins when all connections are there. Raises WrongAnswer."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    todo = iter([*islice(cycle(map(_request, targets)), requests)])
    ends = [loop.create_future() for _ in range(connections)]
    clients = [(await loop.create_connection(partial(Client, todo, latencies, end), HOST, port))[1] for end in ends]
    try:
        began = perf_counter()
        for client in clients:
            client.send()
        await asyncio.gather(*ends)
        seconds = perf_counter() - began
    finally:
        for client in clients:
            client.close()
    return Report(requests, seconds, 1_000 * percentile(latencies, 0.5), 1_000 * percentile(latencies, 0.99))


def _request(target: Target) -> _Request:
    """Return what curl would send."""
    head = f"GET {target.path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: orders-bench\r\nAccept: */*\r\n\r\n"
    return _Request(head.encode(), target.length)


def main() -> None:
    path, port, connections, requests = sys.argv[1:]
    targets = msgspec.json.decode(Path(path).read_bytes(), type=list[Target])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(load(int(port), targets, connections=int(connections), requests=int(requests)))
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
