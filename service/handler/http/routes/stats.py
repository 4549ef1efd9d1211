"""`/stats`: statistics of this process and its dependencies, for the page."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from fastapi import Response
from msgspec import Struct

from service.handler.http.openapi import ok
from service.handler.http.responses import json_response
from service.handler.http.router import Router


class CacheStats(Struct, frozen=True, kw_only=True):
    entries: int
    bytes: int
    hits: int
    misses: int
    hit_ratio: float | None
    """Hits per lookup since the process started; null before the first lookup."""


class WarmUpStats(Struct, frozen=True, kw_only=True):
    is_over: bool
    orders: int
    seconds: float | None


class DependencyStatus(Struct, frozen=True):
    is_up: bool
    since: str
    """Time at which this process detected the change, in RFC 3339."""


class Dependencies(Struct, frozen=True, kw_only=True):
    """Each is null until it is first checked."""

    postgresql: DependencyStatus | None
    notifications: DependencyStatus | None
    """PostgreSQL's notifications (LISTEN), which update the cache and the events."""
    kafka: DependencyStatus | None


class Stats(Struct, frozen=True, kw_only=True):
    cache: CacheStats
    warm_up: WarmUpStats
    stored: int | None
    """Number of orders in the database; null while it is unreachable."""
    stored_is_estimate: bool
    """Whether `stored` is an estimate from PostgreSQL's statistics, which it is from 10,000 orders on."""
    stored_per_second: float | None
    """Orders stored or replaced per second, over the last ten seconds; null while notifications do not arrive."""
    event_clients: int
    lag: int | None
    """Messages that the consumer group has not committed; null while Kafka is unreachable."""
    dead_letters: int | None
    """Messages in the dead-letter topic; null while Kafka is unreachable."""
    dependencies: Dependencies


_UP: Final = DependencyStatus(is_up=True, since="2021-11-26T06:00:00Z")
_EXAMPLE: Final = Stats(
    cache=CacheStats(entries=10_000, bytes=12_000_000, hits=9_900, misses=100, hit_ratio=0.99),
    warm_up=WarmUpStats(is_over=True, orders=10_000, seconds=1.2),
    stored=1_000_000,
    stored_is_estimate=True,
    stored_per_second=250.0,
    event_clients=3,
    lag=0,
    dead_letters=12,
    dependencies=Dependencies(postgresql=_UP, notifications=_UP, kafka=_UP),
)
RESPONSES: Final = ok("Statistics of this process and its dependencies.", _EXAMPLE)


def router(read: Callable[[], Awaitable[Stats]]) -> Router:
    routes = Router("service")

    @routes.get("/stats", responses=RESPONSES, summary="Get statistics of the service")
    async def read_stats() -> Response:
        return json_response(msgspec.json.encode(await read()))

    return routes


def hit_ratio(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits + misses else None
