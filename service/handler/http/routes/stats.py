"""`/stats`: statistics of this process and its dependencies, for the page."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from fastapi import APIRouter, Response
from msgspec import Struct

from service.handler.http.openapi import Responses, error_responses, inline_schema, json_response


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


RESPONSES: Final[Responses] = {
    **json_response("Statistics of this process and its dependencies.", inline_schema(Stats)),
    **error_responses(),
}


def router(read: Callable[[], Awaitable[Stats]]) -> APIRouter:
    routes = APIRouter(tags=["service"])

    @routes.get("/stats", responses=RESPONSES, response_class=Response, summary="Get statistics of the service")
    async def read_stats() -> Response:
        body = msgspec.json.encode(await read())
        return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")

    return routes


def hit_ratio(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits + misses else None
