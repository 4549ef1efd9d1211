"""An HTTP load generator for GETs on keep-alive connections. It is a separate process, so its CPU time does not count.

`python -m bench.load TARGETS PORT CONNECTIONS REQUESTS`: TARGETS is a JSON file with a list of paths and the lengths of
their bodies. Each connection sends its next request when the previous response is complete. The last line of the output
is a Report in JSON. Any unexpected response aborts the run.
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
    """The expected length of the body in bytes."""


class Report(Struct, frozen=True):
    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


class UnexpectedResponse(Exception):
    """The server returned another response than expected: the measurement is invalid."""


class _Request(NamedTuple):
    data: bytes
    length: int


def is_complete(received: bytes, length: int) -> bool:
    """Return whether a 200 with a body of `length` has been received completely.

    Raises UnexpectedResponse if the bytes are not the start of such a response.
    """
    if not received.startswith(_OK[: len(received)]):
        raise UnexpectedResponse(f"not a 200: {received[:60]!r}")
    end = received.find(_HEAD_END)
    if end < 0:
        return False
    if (actual := _content_length(received[:end].lower() + b"\r\n")) != length:
        raise UnexpectedResponse(f"a body of {actual} bytes instead of {length}")
    missing = end + len(_HEAD_END) + length - len(received)
    if missing < 0:
        raise UnexpectedResponse(f"{-missing} unexpected bytes")
    return missing == 0


def _content_length(head: bytes) -> int | None:
    """Return Content-Length. `head` must be in lower case and end with a line break."""
    _, found, rest = head.partition(_LENGTH)
    return int(rest[: rest.index(b"\r\n")]) if found else None


class Client(asyncio.Protocol):
    """One connection. All connections take their requests from the same iterator."""

    def __init__(self, requests: Iterator[_Request], latencies: list[float], finished: "asyncio.Future[None]") -> None:
        self._requests = requests
        self._latencies = latencies
        self._finished = finished
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # always true for TCP

    def send(self) -> None:
        """Send the next request; finish if there is none."""
        request = next(self._requests, None)
        if request is None:
            self._finished.set_result(None)
        else:
            self._length = request.length
            self._sent_at = perf_counter()
            self._transport.write(request.data)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        try:
            complete = is_complete(self._received, self._length)
        except UnexpectedResponse as error:
            self._fail(error)
            return
        if complete:
            self._latencies.append(perf_counter() - self._sent_at)
            self._received = b""
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or UnexpectedResponse("the server closed the connection"))

    def close(self) -> None:
        self._finished.cancel()
        self._transport.close()

    def _fail(self, error: Exception) -> None:
        if not self._finished.done():
            self._finished.set_exception(error)
        self._transport.close()


async def load(port: int, targets: Sequence[Target], *, connections: int, requests: int) -> Report:
    """Send `requests` to `targets` in turn, timed from when all connections are open. Raises UnexpectedResponse."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    queue = iter([*islice(cycle(map(_request, targets)), requests)])
    ends = [loop.create_future() for _ in range(connections)]
    clients = [(await loop.create_connection(partial(Client, queue, latencies, end), HOST, port))[1] for end in ends]
    try:
        started_at = perf_counter()
        for client in clients:
            client.send()
        await asyncio.gather(*ends)
        seconds = perf_counter() - started_at
    finally:
        for client in clients:
            client.close()
    return Report(requests, seconds, 1_000 * percentile(latencies, 0.5), 1_000 * percentile(latencies, 0.99))


def _request(target: Target) -> _Request:
    """Return a request with the headers that curl sends."""
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
