import asyncio

import pytest
import structlog

from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases import warm_up
from service.usecases.lookup import Lookup
from service.usecases.warm_up import WarmUp
from tests.kit.factories import order
from tests.kit.fake_reader import FakeReader
from tests.kit.waiting import turns, until

pytestmark = pytest.mark.anyio


class Scene:
    def __init__(self, count: int = 10, deadline: float = 60) -> None:
        self.reader = FakeReader(order(order_uid="uid"))
        self.cache = Lru(100, 2**30)
        self.lookup = Lookup(self.reader, self.cache, TTLSet(10, 2))
        self.done: list[bool] = []
        self.listening = asyncio.Event()
        self.warm_up = WarmUp(self.lookup, count, deadline, structlog.get_logger(), lambda *_: self.done.append(True))

    def start(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self.warm_up.run(self.listening))


async def test_nothing_is_read_before_notifications_arrive() -> None:
    scene = Scene()
    run = scene.start()
    for _ in range(10):
        await turns()
    assert len(scene.cache) == 0
    assert not scene.warm_up.is_over
    scene.listening.set()
    await run
    assert (len(scene.cache), scene.warm_up.orders, scene.warm_up.is_over) == (1, 1, True)
    assert scene.done == [True]


async def test_it_is_over_at_the_deadline_and_continues_in_the_background() -> None:
    scene = Scene(deadline=0.01)
    run = scene.start()
    await until(lambda: scene.warm_up.is_over)
    assert scene.warm_up.seconds is None
    scene.listening.set()
    await run
    assert scene.warm_up.orders == 1


async def test_it_retries_until_the_database_is_reachable() -> None:
    warm_up.RETRY_SECONDS = 0.0  # type: ignore[misc]
    scene = Scene()
    scene.reader.is_unreachable = True
    scene.listening.set()
    run = scene.start()
    for _ in range(50):
        await turns()
    assert not scene.warm_up.is_over
    scene.reader.is_unreachable = False
    await run
    assert scene.warm_up.orders == 1


async def test_it_restarts_if_the_cache_is_invalidated() -> None:
    scene = Scene()
    scene.listening.set()
    scene.reader.gate.clear()
    run = scene.start()
    await turns()
    scene.lookup.invalidate_all()
    scene.reader.gate.set()
    await run
    assert len(scene.cache) == 1


async def test_without_orders_to_load_it_is_over_at_once() -> None:
    scene = Scene(count=0)
    await scene.start()
    assert scene.warm_up.is_over
