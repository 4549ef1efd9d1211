"""What event streams cost the API, plain and with summaries, at a steady rate of new orders.

The delay is the time from the start of the transaction that stores an order until a client has read its event.
"""

import re
import selectors
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from bench.context import Context
from bench.databases import migrated
from bench.figures import Sample, percentile
from bench.latency import System, generating, running_system
from bench.usage import cpu_seconds, resident_bytes
from local.ports import HOST

STREAMS: Final = 1_000
ORDERS_PER_SECOND: Final = 200
SECONDS: Final = 20
PATHS: Final[Mapping[str, str]] = {"plain": "/events", "summary": "/events?include=summary"}

_MIN_STREAMS: Final = 20
_MIN_SECONDS: Final = 3
_SAMPLED_STREAMS: Final = 10
"""The others are read without being parsed, so that this process does not take the CPU of the API."""
_READ_BYTES: Final = 2**18
_SEED: Final = 40_000
_STORED_AT: Final = re.compile(rb'"order_uid":"[^"]+","at":"[^"]+","stored_at":"([^"]+)"')


def measure(context: Context) -> Iterator[Sample]:
    """Yield CPU time per event and stream, memory per stream, and delays, of each kind of stream in each round."""
    with migrated(context) as template:
        for number in range(context.rounds):
            for kind, path in PATHS.items():
                context.echo(f"event streams: {kind}, round {number + 1} of {context.rounds}")
                with running_system(context, template) as system, generating(system, ORDERS_PER_SECOND, _SEED + number):
                    yield from _measure_streams(system, kind, path)


def _measure_streams(system: System, kind: str, path: str) -> Iterator[Sample]:
    pid, count = system.api.process.pid or 0, system.context.scaled(STREAMS, _MIN_STREAMS)
    idle_bytes = resident_bytes(pid)
    with ExitStack() as opened:
        streams = [opened.enter_context(closing(_open(system.api.port, path))) for _ in range(count)]
        began, used = monotonic(), cpu_seconds(pid)
        milliseconds = sorted(_read(streams, began + system.context.scaled(SECONDS, _MIN_SECONDS)))
        cpu, seconds = cpu_seconds(pid) - used, monotonic() - began
        grown_bytes = resident_bytes(pid) - idle_bytes
    events = len(milliseconds) / min(count, _SAMPLED_STREAMS)
    yield Sample(f"events.{kind}.cpu", "us/event and stream", cpu / events / count * 1e6)
    yield Sample(f"events.{kind}.load", "cpu-s/s", cpu / seconds)
    yield Sample(f"events.{kind}.rate", "events/s", events / seconds)
    yield Sample(f"events.{kind}.memory", "bytes/stream", grown_bytes / count)
    yield Sample(f"events.{kind}.p50", "ms", percentile(milliseconds, 0.5))
    yield Sample(f"events.{kind}.p99", "ms", percentile(milliseconds, 0.99))


def _open(port: int, path: str) -> socket.socket:
    stream = socket.create_connection((HOST, port))
    stream.sendall(f"GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode())
    stream.settimeout(0)
    return stream


def _read(streams: Iterable[socket.socket], deadline: float) -> Iterator[float]:
    """Read all streams until the deadline; yield the delays in milliseconds of the sampled ones."""
    with selectors.DefaultSelector() as selector:
        for number, stream in enumerate(streams):
            selector.register(stream, selectors.EVENT_READ, number < _SAMPLED_STREAMS)
        while (left := deadline - monotonic()) > 0:
            for key, _ in selector.select(left):
                chunk = key.fileobj.recv(_READ_BYTES)  # type: ignore[union-attr]  # a socket
                if key.data:
                    yield from _delays(chunk)


def _delays(chunk: bytes) -> Iterator[float]:
    """Yield the delays of the events in a chunk. Events that are split between chunks are few, and not counted."""
    now = datetime.now(UTC)
    for stored_at in _STORED_AT.findall(chunk):
        yield (now - datetime.fromisoformat(stored_at.decode())).total_seconds() * 1_000
