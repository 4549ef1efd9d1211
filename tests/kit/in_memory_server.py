"""The HTTP server without sockets, whose clients are transports in memory."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
import uvloop
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from service.handler.http.api import Backends, create_app
from service.handler.http.fastpath.protocol import ConnectionLimits
from service.handler.http.fastpath.responder import CacheResponder
from service.handler.http.routes.probes import Health
from service.handler.http.security.hosts import AllowedHosts
from service.handler.http.security.keys import Keys
from service.handler.http.serve import Server, listen
from service.metrics import ApiMetrics
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.bulk_lookup import BulkLookup
from service.usecases.cached_orders import CachedOrders
from service.usecases.lookup import Lookup
from service.usecases.staleness import Staleness
from tests.kit.event_streams import new_broadcaster
from tests.kit.factories import order
from tests.kit.fake_dead_letter_reader import FakeDeadLetterReader
from tests.kit.fake_reader import FakeReader
from tests.kit.http_requests import (
    CACHED,
)
from tests.kit.waiting import one_iteration

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


RANDOM_IDS = re.compile(rb'(x-request-id: |"request_id":")[0-9a-f]{16}\b')


class InMemoryTransport(asyncio.Transport):
    """The transport of a client that reads at once. Records what was written."""

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
        """Ignore the limits."""

    def get_write_buffer_size(self) -> int:
        return 0


class Outcome(NamedTuple):
    written: bytes
    is_closed: bool
    has_timeout: bool


class InMemoryServer:
    """A server without sockets. Counts the requests that reach its application."""

    def __init__(
        self,
        *,
        has_fast_path: bool,
        limits: ConnectionLimits | None = None,
        keys: Keys | None = None,
        allowed_hosts: Sequence[str] = (),
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.reader = FakeReader(order(order_uid="missed"))
        self.metrics = ApiMetrics(CollectorRegistry())
        self.cache = Lru(3, 2**20)
        self.cached = CachedOrders(self.cache, TTLSet(10, 2), Staleness(1, now))
        self.cached.invalidate_all(0)  # notifications arrive
        self.lookup = Lookup(self.reader, self.cached)
        health = Health(live={}, ready={}, started={})
        broadcaster = new_broadcaster(max_clients=0)
        backends = Backends(
            lookup=self.lookup,
            bulk_lookup=BulkLookup(self.reader, self.cached),
            reader=self.reader,
            dead_letters=FakeDeadLetterReader(),
            replay=Any,  # type: ignore[arg-type]
            broadcaster=broadcaster,
            stats=Any,  # type: ignore[arg-type]
        )
        self.app = create_app(
            backends, health, self.metrics, structlog.get_logger(), version="1", keys=keys, allowed_hosts=allowed_hosts
        )
        self.calls = 0
        limits = limits or ConnectionLimits()
        self.responder = CacheResponder(
            self.cached, self.metrics, limits.max_head_bytes, keys, AllowedHosts(allowed_hosts)
        )
        self.uvicorn = Server(self, drain_seconds=1, limits=limits, responder=self.responder if has_fast_path else None)
        self.uvicorn.config.load()
        self.uvicorn.server_state.default_headers = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
        self.fill()

    def fill(self) -> None:
        """Reset the cache to its first content."""
        self.cache.clear()
        for uid, value in CACHED.items():
            self.cache.put(uid, value)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        await self.app(scope, receive, send)

    def connect(self, loop: Any = None) -> "tuple[HttpToolsProtocol, InMemoryTransport]":
        transport, config = InMemoryTransport(), self.uvicorn.config
        protocol: HttpToolsProtocol = config.http_protocol_class(  # type: ignore[call-arg, assignment]
            config=config, server_state=self.uvicorn.server_state, app_state={}, _loop=loop
        )
        protocol.connection_made(transport)
        return protocol, transport

    async def settle(self) -> None:
        """Wait until all requests are answered."""
        while tasks := self.uvicorn.server_state.tasks:
            await asyncio.gather(*tasks)
            await one_iteration()  # which removes them: since Python 3.12, gather does not wait for finished tasks

    async def exchange(self, pieces: Sequence[bytes], *, waits_for_responses: bool) -> Outcome:
        """Send the pieces, each after the responses to earlier ones if `waits_for_responses`."""
        protocol, transport = self.connect()
        for piece in pieces:
            if waits_for_responses:
                await self.settle()
            while transport.is_paused and not transport.is_closed:
                await one_iteration()
            if not transport.is_closed:
                protocol.data_received(piece)
        await self.settle()
        written = RANDOM_IDS.sub(rb"\1?", transport.written)
        is_head_due = protocol._head_timer.is_running  # type: ignore[attr-defined]
        has_timeout = transport.is_closed or is_head_due or protocol.timeout_keep_alive_task is not None
        outcome = Outcome(written, transport.is_closed, has_timeout)
        protocol.connection_lost(None)
        protocol._unset_keepalive_if_required()
        return outcome

    def counts(self) -> dict[tuple[str, str], float]:
        """Return all counters, and the counts of histograms without their durations."""
        samples = [each for family in self.metrics.registry.collect() for each in family.samples]
        counted = {(each.name, str(each.labels)): each.value for each in samples if each.value}
        return {key: value for key, value in counted.items() if key[0].endswith(("_total", "_count"))}


class ServerPair:
    def __init__(self, limits: ConnectionLimits | None = None, keys: Keys | None = None) -> None:
        self.fast = InMemoryServer(has_fast_path=True, limits=limits, keys=keys)
        self.slow = InMemoryServer(has_fast_path=False, limits=limits, keys=keys)

    @classmethod
    def with_keys(cls, folder: Path, *lines: str) -> "ServerPair":
        """Return a pair that requires one of these API keys."""
        path = folder / "keys"
        path.write_text("".join(f"{line}\n" for line in lines))
        return cls(keys=Keys.load(path))

    def compare(self, *pieces: bytes, waits_for_responses: bool = True) -> bytes:
        """Compare responses, the state of the connection, and metrics."""
        for server in (self.fast, self.slow):
            server.fill()
        fast = asyncio.run(self.fast.exchange(pieces, waits_for_responses=waits_for_responses))
        slow = asyncio.run(self.slow.exchange(pieces, waits_for_responses=waits_for_responses))
        assert fast == slow
        assert self.fast.counts() == self.slow.counts()
        assert (self.fast.cached.hits, self.fast.cached.misses) == (self.slow.cached.hits, self.slow.cached.misses)
        assert [*self.fast.cache._entries] == [*self.slow.cache._entries]
        return fast.written


def run_server(scenario: Callable[[InMemoryServer], Awaitable[None]], **options: Any) -> InMemoryServer:
    """Run a scenario on a server with the fast path, and return the server."""
    server = InMemoryServer(has_fast_path=True, **options)

    async def run() -> None:
        await scenario(server)

    asyncio.run(run())
    return server


@contextmanager
def serving(server: InMemoryServer) -> Iterator[int]:
    """Serve on a free port, as `orders api` does."""
    with listen("127.0.0.1", 0) as listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        thread = Thread(target=runner.run, args=(server.uvicorn.serve(listener),))
        thread.start()
        yield listener.getsockname()[1]
        server.uvicorn.should_exit = True
        thread.join()


class Timer(NamedTuple):
    due: float
    callback: Callable[[], None]
    timers: "list[Timer]"

    def cancel(self) -> None:
        self.timers.remove(self)


class FakeLoop:
    """The clock and the timers of an event loop. Tasks need `create_task`."""

    def __init__(self, create_task: Callable[..., Any] | None = None) -> None:
        self.create_task = create_task
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + delay, callback, self.timers))
        return self.timers[-1]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for timer in [each for each in self.timers if each.due <= self.now]:
            self.timers.remove(timer)
            timer.callback()
