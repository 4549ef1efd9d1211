"""What `/stats` reports of one process and its servers."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from service.pkg.lru import Lru
from service.pkg.rate import Rate
from service.pkg.ttl_set import TTLSet
from service.usecases.cached_orders import CachedOrders, QueriedOrder
from service.usecases.database_status import DatabaseStatus
from service.usecases.ports.reads import OrderCount
from service.usecases.ports.stats import PoolUsage
from service.usecases.staleness import Staleness
from service.usecases.stats import reader as stats_reader
from service.usecases.stats.group import GroupStats
from service.usecases.stats.reader import StatsReader, StatsSources
from service.usecases.stats.view import (
    CacheStats,
    ConnectionPool,
    Consumers,
    DependencyStatus,
    Links,
    PartitionLag,
    ProcessInfo,
    Stats,
    Thresholds,
    WarmUpStats,
)
from tests.kit.factories import order
from tests.kit.fake_reader import FakeReader
from tests.kit.fakes import FakeClock

PROCESS = ProcessInfo(
    version="1.2.3",
    commit=None,
    thresholds=Thresholds(lag=1, waiting_reads=2),
    links=Links(metrics=None, grafana=None, kafka_ui=None, runbooks=None),
)
KAFKA_UP = DependencyStatus(is_up=True, since="2026-03-01T12:00:00.000Z")
GROUP = GroupStats(
    lag=3,
    partitions=[PartitionLag("orders", 0, 3, 1.5)],
    dead_letters=2,
    consumers=Consumers(is_running=False, since="2026-03-01T12:00:00.000Z", members=[]),
    kafka=KAFKA_UP,
)


@dataclass
class Connections:
    """Implements usecases.ports.stats.ReadConnections and Notifications."""

    is_reachable: bool = True
    is_verified: bool = True
    usage: PoolUsage = field(default_factory=lambda: PoolUsage(max_size=9, size=7, available=3, waiting=5))


@dataclass
class WarmedUp:
    is_over: bool = True
    orders: int = 8
    seconds: float = 0.5


class Group:
    async def read(self) -> GroupStats:
        return GROUP


class Setup:
    """A reader of statistics, and what it describes: two cached orders, one hit and two misses."""

    def __init__(self) -> None:
        self.entries = Lru(10, 2**20)
        cached = CachedOrders(self.entries, TTLSet(10, 1), Staleness())
        cached.invalidate_all(0)
        for uid in ("a", "b"):
            cached.add(uid, QueriedOrder(b"value", None))
        cached.count_hits(1)
        cached.count_misses(2)
        clock = FakeClock()
        stored = Rate(10, now=clock)
        stored.observe()
        stored.add(12)
        clock.advance(2)
        stored.observe()
        self.orders = FakeReader(order(order_uid="a"), order(order_uid="b"))
        self.connections = Connections()
        sources: Any = {"warm_up": WarmedUp(), "group": Group()}
        self.reader = StatsReader(
            StatsSources(
                process=PROCESS,
                entries=self.entries,
                cached=cached,
                stored=stored,
                event_clients=lambda: 4,
                database=DatabaseStatus(reads=self.connections, notifications=self.connections),
                orders=self.orders,
                **sources,
            )
        )

    def read(self) -> Stats:
        return asyncio.run(self.reader.read())


@pytest.fixture
def setup() -> Setup:
    return Setup()


def test_every_part_is_reported(setup: Setup) -> None:
    stats = setup.read()
    assert stats.process is PROCESS
    assert stats.cache == CacheStats(entries=2, bytes=setup.entries.size, hits=1, misses=2, hit_ratio=1 / 3)
    assert stats.warm_up == WarmUpStats(is_over=True, orders=8, seconds=0.5)
    assert (stats.stored, stats.stored_is_estimate, stats.stored_per_second) == (2, False, 6)
    assert stats.event_clients == 4
    assert stats.pool == ConnectionPool(max_size=9, size=7, in_use=4, waiting=5)
    assert (stats.lag, stats.partitions, stats.dead_letters) == (GROUP.lag, GROUP.partitions, GROUP.dead_letters)
    assert stats.consumers is GROUP.consumers
    assert stats.dependencies.kafka is KAFKA_UP


def test_an_estimate_of_the_stored_orders_is_marked(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    async def estimate() -> OrderCount:
        return OrderCount(12_000, is_estimate=True)

    monkeypatch.setattr(setup.orders, "estimate", estimate)
    stats = setup.read()
    assert (stats.stored, stats.stored_is_estimate) == (12_000, True)


def test_without_postgresql_the_number_of_orders_is_unknown(setup: Setup) -> None:
    setup.orders.is_unreachable = True
    stats = setup.read()
    assert (stats.stored, stats.stored_is_estimate) == (None, False)
    assert stats.lag == GROUP.lag


def test_the_dependencies_are_polled(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_reader, "DEPENDENCY_POLL_INTERVAL_SECONDS", 0)

    async def play() -> list[tuple[bool, bool]]:
        task = asyncio.create_task(setup.reader.poll_dependencies())
        states = []
        for is_reachable, is_verified in ((True, True), (True, False), (False, False)):
            setup.connections.is_reachable, setup.connections.is_verified = is_reachable, is_verified
            for _ in range(3):
                await asyncio.sleep(0)
            found = (await setup.reader.read()).dependencies
            assert found.postgresql
            assert found.notifications
            states.append((found.postgresql.is_up, found.notifications.is_up))
        task.cancel()
        return states

    assert asyncio.run(play()) == [(True, True), (True, False), (False, False)]
