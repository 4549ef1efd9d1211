"""`/stats`: figures for the page."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from fastapi import APIRouter, Response
from msgspec import Struct

from service.handler.http.openapi import Responses, answer, inline, refusals


class CacheFigures(Struct, frozen=True):
    entries: int
    bytes: int
    hits: int
    misses: int
    hit_ratio: float | None
    """Of all lookups since the start; null before the first."""


class WarmUpFigures(Struct, frozen=True):
    is_over: bool
    orders: int
    seconds: float | None


class DependencyFigures(Struct, frozen=True):
    is_up: bool
    since: str
    """When this process found that out, in RFC 3339."""


class Dependencies(Struct, frozen=True):
    """Each null as long as it was not asked."""

    postgresql: DependencyFigures | None
    notifications: DependencyFigures | None
    """Of PostgreSQL, by which caches and events learn what was stored."""
    kafka: DependencyFigures | None


class Figures(Struct, frozen=True):
    cache: CacheFigures
    warm_up: WarmUpFigures
    stored: int | None
    """Orders in the database; null while it is unreachable."""
    stored_is_estimate: bool
    """Whether `stored` is an estimate from PostgreSQL's statistics: from 10,000 orders on."""
    stored_per_second: float | None
    """Stored and replaced orders, over the last ten seconds; null while notifications don't arrive."""
    event_clients: int
    lag: int | None
    """Messages that the consumers have not committed; null while Kafka is away."""
    dead_letters: int | None
    """Messages in the dead-letter topic; null while Kafka is away."""
    dependencies: Dependencies


STATS: Final[Responses] = {**answer("Figures of this process and its servers.", inline(Figures)), **refusals()}


def router(figures: Callable[[], Awaitable[Figures]]) -> APIRouter:
    routes = APIRouter(tags=["service"])

    @routes.get("/stats", responses=STATS, response_class=Response, summary="Figures")
    async def read_stats() -> Response:
        body = msgspec.json.encode(await figures())
        return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")

    return routes


def ratio(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits + misses else None
