import asyncio

import pytest

from service.errors import StorageUnavailable
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases import warm_up
from service.usecases.cached_orders import CachedOrders
from service.usecases.staleness import Staleness
from service.usecases.warm_up import WarmUp
from tests.kit.factories import order
from tests.kit.fake_reader import FakeReader
from tests.kit.waiting import until, until_idle

pytestmark = pytest.mark.anyio


class Reports(list[str]):
    """Implements usecases.ports.reads.WarmUpObserver."""

    def on_retry(self, error: StorageUnavailable) -> None:
        self.append(f"retry: {error.problem}")

    def on_overdue(self, problem: str) -> None:
        self.append(f"overdue: {problem}")

    def on_done(self, orders: int, seconds: float) -> None:
        self.append(f"done: {orders} orders, {seconds:.0f} s")


class WarmUpSetup:
    def __init__(self, count: int = 10, deadline: float = 60) -> None:
        self.reader = FakeReader(order(order_uid="uid"))
        self.cache = Lru(100, 2**30)
        self.cached = CachedOrders(self.cache, TTLSet(10, 2), Staleness())
        self.reports = Reports()
        self.listening = asyncio.Event()
        self.warm_up = WarmUp(self.reader, self.cached, self.reports, count=count, timeout_seconds=deadline)

    def start(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self.warm_up.run(self.listening))


async def test_nothing_is_read_before_notifications_arrive() -> None:
    setup = WarmUpSetup()
    run = setup.start()
    await until_idle()
    assert len(setup.cache) == 0
    assert not setup.warm_up.is_over
    setup.listening.set()
    await run
    assert (len(setup.cache), setup.warm_up.orders, setup.warm_up.is_over) == (1, 1, True)
    assert setup.reports == ["done: 1 orders, 0 s"]


async def test_it_is_over_at_the_deadline_and_continues_in_the_background() -> None:
    setup = WarmUpSetup(deadline=0.01)
    run = setup.start()
    await until(lambda: setup.warm_up.is_over)
    assert setup.warm_up.seconds is None
    assert setup.reports == ["overdue: timed out after 0.01 s"]
    setup.listening.set()
    await run
    assert setup.warm_up.orders == 1


async def test_it_retries_until_the_database_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "WARM_UP_RETRY_INTERVAL_SECONDS", 0.0)
    setup = WarmUpSetup()
    setup.reader.is_unreachable = True
    setup.listening.set()
    run = setup.start()
    await until(lambda: len(setup.reports) > 2)
    assert {*setup.reports} == {"retry: unreachable"}
    assert not setup.warm_up.is_over
    setup.reader.is_unreachable = False
    await run
    assert setup.warm_up.orders == 1


async def test_it_restarts_if_the_cache_is_invalidated() -> None:
    setup = WarmUpSetup()
    setup.listening.set()
    setup.reader.gate.clear()
    run = setup.start()
    await until_idle()
    setup.cached.invalidate_all(0)
    setup.reader.gate.set()
    await run
    assert len(setup.cache) == 1


async def test_it_loads_no_more_orders_than_configured() -> None:
    setup = WarmUpSetup(count=1)
    setup.reader.store(order(order_uid="another"))
    setup.listening.set()
    await setup.start()
    assert (setup.warm_up.orders, len(setup.cache)) == (1, 1)


async def test_without_orders_to_load_it_is_over_at_once() -> None:
    setup = WarmUpSetup(count=0)
    await setup.start()
    assert (setup.warm_up.is_over, setup.warm_up.orders, len(setup.cache)) == (True, 0, 0)
    assert setup.reports == ["done: 0 orders, 0 s"]


async def test_it_waits_before_each_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "WARM_UP_RETRY_INTERVAL_SECONDS", 0.2)
    setup = WarmUpSetup()
    setup.reader.is_unreachable = True
    setup.listening.set()
    run = setup.start()
    await until(lambda: len(setup.reports) == 1)
    setup.reader.is_unreachable = False
    await run
    assert 0.2 <= (setup.warm_up.seconds or 0) < 60
