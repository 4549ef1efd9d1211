"""An HTTP load generator for GETs on keep-alive connections. It is a separate process, so its CPU time does not count.

`python -m bench.load TARGETS PORT CONNECTIONS WARM_UP REQUESTS PIDS`: TARGETS is a JSON file with a list of paths and
the lengths of their bodies, PIDS the comma-separated process ids of the server. Each connection sends its next request
when the previous response is complete. The first WARM_UP requests do not count, and neither does the cost of opening
connections. The last line of the output is a LoadResult in JSON. Any unexpected response aborts the run.
"""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

import msgspec
import uvloop
from msgspec import Struct

from bench.figures import percentile
from bench.usage import fine_cpu_seconds
from local.ports import HOST

_OK: Final = b"HTTP/1.1 200 "
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"


class Target(NamedTuple):
    path: str
    length: int
    """The expected length of the body in bytes."""


class LoadResult(Struct, frozen=True):
    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_seconds: float
    """CPU time of the server between the first request and the last response."""


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
    """One connection."""

    def __init__(self) -> None:
        self._received = b""
        self._error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]  # always true for TCP
        self._finished = asyncio.get_running_loop().create_future()

    def start(self, requests: Iterator[_Request], latencies: list[float]) -> "asyncio.Future[None]":
        """Send the requests that no other client takes. Return a future that is done when there are none left."""
        self._requests, self._latencies = requests, latencies
        self._finished = asyncio.get_running_loop().create_future()
        if self._error:
            self._finished.set_exception(self._error)
        else:
            self.send()
        return self._finished

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
        self._error = error
        if not self._finished.done():
            self._finished.set_exception(error)
        self._transport.close()


async def load(
    port: int, targets: Sequence[Target], *, connections: int, requests: int, warm_up: int = 0, pids: Sequence[int] = ()
) -> LoadResult:
    """Send `warm_up` requests, which do not count, and then `requests`, to `targets` in turn on the same connections.

    Raises UnexpectedResponse.
    """
    loop = asyncio.get_running_loop()
    queue = cycle(map(_request, targets))
    clients = [(await loop.create_connection(Client, HOST, port))[1] for _ in range(connections)]
    try:
        await _send(clients, [*islice(queue, warm_up)])
        counted = [*islice(queue, requests)]
        cpu_before, started_at = _cpu_seconds(pids), perf_counter()
        latencies = await _send(clients, counted)
        seconds, cpu_seconds = perf_counter() - started_at, _cpu_seconds(pids) - cpu_before
    finally:
        for client in clients:
            client.close()
    p50, p99 = (1_000 * percentile(latencies, share) for share in (0.5, 0.99))
    return LoadResult(requests, seconds, p50, p99, cpu_seconds)


async def _send(clients: Sequence[Client], requests: Sequence[_Request]) -> list[float]:
    """Send all requests; return the latencies in seconds."""
    latencies: list[float] = []
    queue = iter(requests)
    await asyncio.gather(*[client.start(queue, latencies) for client in clients])
    return latencies


def _cpu_seconds(pids: Sequence[int]) -> float:
    return sum(map(fine_cpu_seconds, pids))


def _request(target: Target) -> _Request:
    """Return a request with the headers that curl sends."""
    head = f"GET {target.path} HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: orders-bench\r\nAccept: */*\r\n\r\n"
    return _Request(head.encode(), target.length)


def main() -> None:
    path, port, connections, warm_up, requests, pids = sys.argv[1:]
    targets = msgspec.json.decode(Path(path).read_bytes(), type=list[Target])
    run = load(
        int(port),
        targets,
        connections=int(connections),
        requests=int(requests),
        warm_up=int(warm_up),
        pids=[*map(int, pids.split(","))],
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(run)
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
