"""Interleavings of the warm-up with notifications and reads."""

import asyncio

import pytest

from service.errors import StorageUnavailable
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.cached_orders import CachedOrders
from service.usecases.load_newest import load_newest
from service.usecases.staleness import Staleness
from tests.kit.factories import order
from tests.kit.fake_reader import FakeReader
from tests.kit.lookup import NEW, OLD, LookupSetup
from tests.kit.waiting import until_idle

pytestmark = pytest.mark.anyio


async def test_the_warm_up_makes_the_newest_orders_hits() -> None:
    orders = [order(order_uid=f"o{day}", date_created=f"2026-01-{day:02}T00:00:00Z") for day in range(1, 10)]
    setup = LookupSetup(*orders)
    assert await load_newest(setup.reader, setup.cached, 3) == 3
    assert [await setup.is_hit(f"o{day}") for day in (9, 8, 7, 6)] == [True, True, True, False]


async def test_a_warmed_up_order_has_the_same_bytes_and_etag_as_a_queried_one() -> None:
    warm, cold = LookupSetup(OLD), LookupSetup(OLD)
    await load_newest(warm.reader, warm.cached, 1)
    warmed, queried = await warm.lookup.find("uid"), await cold.lookup.find("uid")
    assert warmed
    assert queried
    assert warmed[:2] == queried[:2]


async def warming(setup: LookupSetup) -> "asyncio.Task[int | None]":
    """Start a warm-up, and block it between its snapshot and the first order."""
    setup.reader.gate.clear()
    warm_up = asyncio.create_task(load_newest(setup.reader, setup.cached, 100))
    await until_idle()
    return warm_up


async def test_an_order_notified_during_the_warm_up_is_not_filled_from_its_snapshot() -> None:
    setup = LookupSetup(OLD)
    warm_up = await warming(setup)
    setup.reader.store(NEW)
    setup.cached.invalidate(["uid"])
    setup.reader.gate.set()
    assert await warm_up == 0
    assert await setup.locale() == "new"


@pytest.mark.parametrize("can_read", [True, False])
async def test_a_warm_up_ends_without_filling_the_cache_if_the_listener_disconnects(*, can_read: bool) -> None:
    setup = LookupSetup(OLD)
    warm_up = await warming(setup)
    setup.cached.suspend(can_read=can_read)
    setup.reader.store(NEW)  # its notification is lost
    setup.reader.gate.set()
    assert await warm_up is None
    assert len(setup.cache) == 0


async def test_an_order_loaded_during_the_warm_up_is_not_overwritten_from_its_snapshot() -> None:
    setup = LookupSetup(OLD)
    warm_up = await warming(setup)
    setup.reader.store(NEW)
    setup.cached.invalidate(["uid"])
    cached, setup.reader.gate = setup.reader.gate, asyncio.Event()
    setup.reader.gate.set()
    assert await setup.locale() == "new"
    cached.set()
    await warm_up
    assert await setup.locale() == "new"
    assert await setup.is_hit()


async def test_an_order_filled_by_the_warm_up_is_a_miss_once_it_is_notified() -> None:
    setup = LookupSetup(OLD, order(order_uid="older", date_created="2020-01-01T00:00:00Z"))
    warm_up = await warming(setup)
    cached, setup.reader.gate = setup.reader.gate, asyncio.Event()
    cached.set()
    await until_idle()
    assert setup.cache.get("uid")  # filled, while the next order is still to come
    setup.reader.store(NEW)
    setup.cached.invalidate(["uid"])
    setup.reader.gate.set()
    await warm_up
    assert await setup.locale() == "new"


async def test_invalidate_all_ends_a_running_warm_up() -> None:
    setup = LookupSetup(OLD)
    warm_up = await warming(setup)
    setup.reader.store(NEW)
    setup.cached.invalidate_all(0)
    setup.reader.gate.set()
    assert await warm_up is None
    assert len(setup.cache) == 0
    assert await load_newest(setup.reader, setup.cached, 100) == 1
    assert await setup.locale() == "new"


async def test_the_warm_up_ends_when_the_cache_is_full_and_keeps_the_newest() -> None:
    orders = [order(order_uid=f"o{day}", date_created=f"2026-01-{day:02}T00:00:00Z") for day in range(1, 10)]
    reader, cache = FakeReader(*orders), Lru(2, 2**30)
    assert await load_newest(reader, CachedOrders(cache, TTLSet(10, 2), Staleness()), 9) == 2
    assert cache.get("o9")
    assert cache.get("o8")


async def test_a_warm_up_that_failed_leaves_nothing_behind() -> None:
    setup = LookupSetup(OLD)
    setup.reader.is_unreachable = True
    with pytest.raises(StorageUnavailable):
        await load_newest(setup.reader, setup.cached, 10)
    assert len(setup.cached._running) == 1  # the queries of Lookup
    setup.cached.invalidate(["uid"])
    setup.reader.is_unreachable = False
    assert await load_newest(setup.reader, setup.cached, 10) == 1
    assert await setup.is_hit()


async def test_the_warm_up_from_a_standby_that_has_no_order_yet_fails_too() -> None:
    setup = LookupSetup()
    setup.cached.invalidate_all(100)
    setup.reader.replay_lsn = 99
    behind = "the standby lags behind: it has not replayed the WAL up to the last invalidation"
    with pytest.raises(StorageUnavailable, match=f"^{behind}$"):
        await load_newest(setup.reader, setup.cached, 10)


async def test_the_warm_up_from_a_standby_skips_outdated_orders_and_fails_if_all_are() -> None:
    setup = LookupSetup(OLD, order(order_uid="notified", date_created="2026-01-01T00:00:00Z"))
    setup.cached.invalidate_all(100)
    setup.reader.replay_lsn = 99
    with pytest.raises(StorageUnavailable):
        await load_newest(setup.reader, setup.cached, 10)
    setup.cached.invalidate(["notified"])
    setup.cached.minimum_lsn.advance(200)
    setup.reader.replay_lsn = 100
    assert await load_newest(setup.reader, setup.cached, 10) == 1
    assert await setup.is_hit()
