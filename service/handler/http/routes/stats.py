"""`/stats`: statistics of this process and its dependencies, for the page."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Response

from service.handler.http.openapi.document import ok
from service.handler.http.openapi.router import Router
from service.handler.http.responses.json_response import struct_response
from service.usecases.stats.view import (
    AssignedTopic,
    CacheStats,
    ConnectionPool,
    ConsumerMember,
    Consumers,
    Dependencies,
    DependencyStatus,
    Links,
    PartitionLag,
    ProcessInfo,
    Stats,
    Thresholds,
    WarmUpStats,
)

_UP: Final = DependencyStatus(is_up=True, since="2021-11-26T06:00:00Z")
_EXAMPLE: Final = Stats(
    process=ProcessInfo(
        version="0.1.0",
        commit="3f786850e387550fdab836ed7e6dc881de23001b",
        thresholds=Thresholds(lag=50_000, waiting_reads=0),
        links=Links(
            metrics="https://prometheus.example.com/graph",
            grafana="https://grafana.example.com/d/orders",
            kafka_ui="https://kafka-ui.example.com",
            runbooks="https://git.example.com/orders/docs/runbooks",
        ),
    ),
    cache=CacheStats(entries=10_000, bytes=12_000_000, hits=9_900, misses=100, hit_ratio=0.99),
    warm_up=WarmUpStats(is_over=True, orders=10_000, seconds=1.2),
    stored=1_000_000,
    stored_is_estimate=True,
    stored_per_second=250.0,
    event_clients=3,
    pool=ConnectionPool(max_size=8, size=3, in_use=1, waiting=0),
    lag=180,
    partitions=[PartitionLag("orders", 0, 0, 0.0), PartitionLag("orders", 1, 180, 0.7)],
    consumers=Consumers(
        is_running=True,
        since="2021-11-26T06:00:00Z",
        members=[ConsumerMember("orders-consumer-1", [AssignedTopic("orders", [0, 1])])],
    ),
    dead_letters=12,
    dependencies=Dependencies(postgresql=_UP, notifications=_UP, kafka=_UP),
)
RESPONSES: Final = ok("Statistics of this process and its dependencies.", _EXAMPLE)


def router(read: Callable[[], Awaitable[Stats]]) -> Router:
    routes = Router("service")

    @routes.get("/stats", responses=RESPONSES, summary="Get statistics of the service")
    async def read_stats() -> Response:
        return struct_response(await read())

    return routes
