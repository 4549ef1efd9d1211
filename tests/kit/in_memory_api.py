"""The API on a test client, with fakes of PostgreSQL and Kafka."""

from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from service.app.decoding import value_decoder
from service.config import DocumentSettings
from service.entities.order import Order
from service.handler.http.api import Backends, create_app
from service.handler.http.requests.idempotency import IdempotentResponses
from service.handler.http.routes.dead_letter_replay import ReplayBackend
from service.handler.http.routes.probes import Health
from service.metrics import REPLAY_OUTCOMES, ApiMetrics
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.bulk_lookup import BulkLookup
from service.usecases.cached_orders import CachedOrders
from service.usecases.lookup import Lookup
from service.usecases.ports.replay import ReplayRefusal, ReplayRequest, ReplayResult, Selected
from service.usecases.staleness import Staleness
from service.usecases.stats.view import (
    CacheStats,
    ConnectionPool,
    Dependencies,
    Links,
    ProcessInfo,
    Stats,
    Thresholds,
    WarmUpStats,
)
from tests.kit.event_streams import new_broadcaster
from tests.kit.factories import order
from tests.kit.fake_dead_letter_reader import FakeDeadLetterReader
from tests.kit.fake_reader import FakeReader

ORDER: Order = order(order_uid="b563feb7b2b84b6test")
CLIENT_VALUE = "sent-by-a-client"
URL = "/orders/b563feb7b2b84b6test"


class RecordingReplayer:
    """Records requests, and sends nothing. `error`, if set, is raised."""

    def __init__(self) -> None:
        self.requests: list[ReplayRequest] = []
        self.refusals: dict[tuple[int, int], ReplayRefusal] = {}
        self.error: Exception | None = None

    async def replay(self, request: ReplayRequest) -> list[ReplayResult]:
        if self.error is not None:
            raise self.error
        self.requests.append(request)
        chosen = request.which.dead_letters if isinstance(request.which, Selected) else ()
        return [ReplayResult(each, self.refusals.get(each)) for each in chosen]


class InMemoryApi:
    def __init__(self, **options: Any) -> None:
        self.reader = FakeReader(ORDER)
        self.is_ready = True
        self.metrics = ApiMetrics(CollectorRegistry())
        self.cached = CachedOrders(Lru(10, 2**20), TTLSet(10, 2), Staleness())
        self.cached.invalidate_all(0)  # notifications arrive
        ready = {"warm-up": lambda: self.is_ready, "not draining": lambda: True}
        health = Health(
            live={"loop": lambda: True},
            ready=ready,
            started={"warm-up": lambda: True},
            informational={"database": lambda: False},
        )
        self.dead_letters = FakeDeadLetterReader()
        broadcaster = new_broadcaster(max_clients=0)
        self.replayer = RecordingReplayer()
        replay = ReplayBackend(
            replayer=self.replayer,
            responses=IdempotentResponses(),
            decode=value_decoder(DocumentSettings()),
            max_value_bytes=2**20,
            outcomes=self.metrics.replays.outcomes,
        )
        backends = Backends(
            lookup=Lookup(self.reader, self.cached),
            bulk_lookup=BulkLookup(self.reader, self.cached),
            reader=self.reader,
            dead_letters=self.dead_letters,
            replay=replay,
            broadcaster=broadcaster,
            stats=self.figures,
        )
        app = create_app(backends, health, self.metrics, structlog.get_logger(), **{"version": "1.2.3", **options})
        self.client = TestClient(app, raise_server_exceptions=False)

    async def figures(self) -> Stats:
        return Stats(
            process=ProcessInfo(
                version="1.2.3",
                commit=None,
                thresholds=Thresholds(lag=None, waiting_reads=None),
                links=Links(metrics=None, grafana=None, kafka_ui=None, runbooks=None),
            ),
            cache=CacheStats(entries=1, bytes=2, hits=3, misses=4, hit_ratio=0.5),
            warm_up=WarmUpStats(is_over=True, orders=1, seconds=0.1),
            stored=None,
            stored_is_estimate=False,
            stored_per_second=0.5,
            event_clients=0,
            pool=ConnectionPool(max_size=8, size=1, in_use=0, waiting=0),
            lag=None,
            partitions=None,
            consumers=None,
            dead_letters=None,
            dependencies=Dependencies(postgresql=None, notifications=None, kafka=None),
        )

    def outcomes(self) -> dict[str, float | None]:
        name = "orders_dead_letter_replays_total"
        return {
            outcome: self.metrics.registry.get_sample_value(name, {"outcome": outcome}) for outcome in REPLAY_OUTCOMES
        }

    def count(self, handler: str, method: str, status: str) -> float | None:
        labels = {"handler": handler, "method": method, "status": status}
        return self.metrics.registry.get_sample_value("orders_http_requests_total", labels)


def problem_of(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["request_id"] == response.headers["x-request-id"]
    assert (status == 503) == ("retry-after" in response.headers)
    assert CLIENT_VALUE not in response.text
    return document
