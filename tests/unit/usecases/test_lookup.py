"""Every interleaving of reads, notifications and generations that could leave an old version in the cache."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from service.entities.errors import StorageUnavailable
from service.entities.order import Order
from service.pkg.lru import Lru
from service.pkg.ttl_set import TTLSet
from service.usecases.lookup import CachedOrder, Lookup
from tests.factories import order
from tests.fake_reader import FakeReader
from tests.waiting import turns

OLD = order(order_uid="uid", locale="old")
NEW = replace(OLD, locale="new")


class Scene:
    """A lookup on a fake reader, and a clock that stands still."""

    def __init__(self, *orders: Order, max_stale: float | None = None) -> None:
        self.now = 100.0
        self.reader = FakeReader(*orders)
        self.cache = Lru(1_000, 2**30)
        unknown = TTLSet(1_000, 2, self._clock)
        self.lookup = Lookup(self.reader, self.cache, unknown, max_stale=max_stale, now=self._clock)

    def _clock(self) -> float:
        return self.now

    async def ask(self, uid: str = "uid") -> "asyncio.Task[CachedOrder | None]":
        """Begin a request, and let it come to its query."""
        request = asyncio.create_task(self.lookup.find(uid))
        await steps()
        return request

    async def locale(self, uid: str = "uid") -> str | None:
        return told(await self.lookup.find(uid))

    async def is_hit(self, uid: str = "uid") -> bool:
        found = await self.lookup.find(uid)
        return found is not None and found.is_hit


async def steps() -> None:
    for _ in range(10):
        await turns()


def told(found: CachedOrder | None) -> str | None:
    if found is None:
        return None
    return "old" if b'"locale":"old"' in bytes(found.body) else "new"


def test_the_second_request_is_a_hit_with_the_same_bytes_and_tag() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        first, second = await scene.lookup.find("uid"), await scene.lookup.find("uid")
        assert first
        assert second
        assert (first.is_hit, second.is_hit) == (False, True)
        assert first[:2] == second[:2]
        assert (scene.lookup.hits, scene.lookup.misses) == (1, 1)

    asyncio.run(play())


def test_concurrent_misses_of_one_id_are_one_query() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.reader.gate.clear()
        requests = [await scene.ask() for _ in range(20)]
        scene.reader.gate.set()
        assert [told(await request) for request in requests] == ["old"] * 20
        assert scene.reader.queries == ["uid"]

    asyncio.run(play())


def test_a_request_that_is_cancelled_does_not_end_the_query_of_the_others() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.reader.gate.clear()
        first, second = await scene.ask(), await scene.ask()
        first.cancel()
        await steps()
        scene.reader.gate.set()
        assert told(await second) == "old"
        assert scene.reader.queries == ["uid"]

    asyncio.run(play())


def test_a_load_is_not_cached_when_its_id_was_notified_after_its_query_started() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.reader.gate.clear()
        request = await scene.ask()
        scene.reader.store(NEW)
        scene.lookup.invalidate(["uid"])
        scene.reader.gate.set()
        assert told(await request) == "old"  # it was asked before the notification
        assert await scene.locale() == "new"

    asyncio.run(play())


def test_a_load_is_not_cached_when_its_id_was_notified_before_its_query_took_a_step() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        request = asyncio.create_task(scene.lookup.find("uid"))
        await turns()  # the request has made its flight; the query has not begun
        assert scene.reader.queries == []
        scene.lookup.invalidate(["uid"])
        assert told(await request) == "old"
        assert not await scene.is_hit()

    asyncio.run(play())


def test_a_load_is_cached_when_another_id_was_notified_meanwhile() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.reader.gate.clear()
        request = await scene.ask()
        scene.lookup.invalidate(["another"])
        scene.reader.gate.set()
        await request
        assert await scene.is_hit()

    asyncio.run(play())


def test_a_load_is_not_cached_when_a_generation_began_after_its_query_started() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.reader.gate.clear()
        request = await scene.ask()
        scene.reader.store(NEW)
        scene.lookup.invalidate_all()
        scene.reader.gate.set()
        await request
        assert await scene.locale() == "new"

    asyncio.run(play())


@pytest.mark.parametrize("event", [lambda lookup: lookup.invalidate(["uid"]), Lookup.invalidate_all])
def test_a_request_after_a_notification_or_generation_never_joins_an_older_flight(
    event: Callable[[Lookup], None],
) -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.reader.gate.clear()
        before = await scene.ask()
        scene.reader.store(NEW)
        event(scene.lookup)
        after = await scene.ask()
        scene.reader.gate.set()
        assert (told(await before), told(await after)) == ("old", "new")
        assert scene.reader.queries == ["uid", "uid"]

    asyncio.run(play())


def test_an_older_flight_that_ends_last_does_not_overwrite_the_newer_one() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        slow, quick = asyncio.Event(), asyncio.Event()
        scene.reader.gate = slow
        before = await scene.ask()
        scene.reader.store(NEW)
        scene.lookup.invalidate(["uid"])
        scene.reader.gate = quick
        after = await scene.ask()
        quick.set()
        assert told(await after) == "new"
        slow.set()
        assert told(await before) == "old"
        assert await scene.locale() == "new"
        assert await scene.is_hit()

    asyncio.run(play())


def test_a_flight_that_ends_does_not_take_its_successor_away() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        quick, slow = asyncio.Event(), asyncio.Event()
        scene.reader.gate = quick
        before = await scene.ask()
        scene.lookup.invalidate(["uid"])
        scene.reader.gate = slow
        await scene.ask()
        quick.set()
        await before
        await scene.ask()
        assert scene.reader.queries == ["uid", "uid"]  # the third request joined the second flight

    asyncio.run(play())


def test_a_cached_order_is_a_miss_after_its_notification() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        await scene.locale()
        scene.reader.store(NEW)
        scene.lookup.invalidate(["uid"])
        assert await scene.locale() == "new"

    asyncio.run(play())


def test_everything_is_a_miss_after_a_new_generation() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        await scene.locale()
        await scene.locale("unknown")
        scene.reader.store(NEW, order(order_uid="unknown"))
        scene.lookup.invalidate_all()
        assert await scene.locale() == "new"
        assert await scene.locale("unknown") == "new"

    asyncio.run(play())


def test_an_unknown_id_is_remembered_for_a_short_time() -> None:
    async def play() -> None:
        scene = Scene()
        assert [await scene.locale() for _ in range(3)] == [None] * 3
        assert scene.reader.queries == ["uid"]
        scene.now += 2
        await scene.locale()
        assert scene.reader.queries == ["uid", "uid"]

    asyncio.run(play())


def test_an_unknown_id_is_found_as_soon_as_it_was_notified() -> None:
    async def play() -> None:
        scene = Scene()
        assert await scene.locale() is None
        scene.reader.store(NEW)
        scene.lookup.invalidate(["uid"])
        assert await scene.locale() == "new"

    asyncio.run(play())


@pytest.mark.parametrize("event", [lambda lookup: lookup.invalidate(["uid"]), Lookup.invalidate_all])
def test_that_there_is_none_is_not_remembered_when_it_was_stored_meanwhile(event: Callable[[Lookup], None]) -> None:
    async def play() -> None:
        scene = Scene()
        scene.reader.gate.clear()
        request = await scene.ask()
        scene.reader.store(NEW)
        event(scene.lookup)
        scene.reader.gate.set()
        assert await request is None
        assert await scene.locale() == "new"

    asyncio.run(play())


def test_hits_are_served_while_the_database_is_away_and_misses_are_refused() -> None:
    async def play() -> None:
        scene = Scene(OLD, order(order_uid="other"))
        await scene.locale()
        scene.reader.is_away = True
        assert await scene.locale() == "old"
        with pytest.raises(StorageUnavailable):
            await scene.locale("other")
        scene.reader.is_away = False
        assert await scene.locale("other") == "new"

    asyncio.run(play())


def test_an_error_reaches_all_who_wait_and_is_not_cached() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.reader.gate.clear()
        requests = [await scene.ask() for _ in range(3)]
        scene.reader.is_away = True
        scene.reader.gate.set()
        for request in requests:
            with pytest.raises(StorageUnavailable):
                await request
        scene.reader.is_away = False
        assert await scene.locale() == "old"

    asyncio.run(play())


def test_an_error_that_nobody_waits_for_any_more_is_no_news_for_the_event_loop() -> None:
    complaints: list[dict[str, Any]] = []

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        scene = Scene(OLD)
        scene.reader.gate.clear()
        request = await scene.ask()
        request.cancel()
        scene.reader.is_away = True
        scene.reader.gate.set()
        await steps()

    asyncio.run(play())
    assert complaints == []


def test_memory_is_not_trusted_longer_than_max_stale_without_a_proven_listener() -> None:
    async def play() -> None:
        scene = Scene(OLD, max_stale=10)
        scene.lookup.mark_verified(scene.now)
        await scene.locale()
        scene.now += 10
        assert await scene.is_hit()
        scene.now += 0.1
        assert not await scene.is_hit()
        scene.reader.is_away = True
        with pytest.raises(StorageUnavailable):
            await scene.locale()
        scene.lookup.mark_verified(scene.now)
        assert await scene.is_hit()

    asyncio.run(play())


def test_the_warm_up_makes_the_newest_orders_hits() -> None:
    async def play() -> None:
        orders = [order(order_uid=f"o{day}", date_created=f"2026-01-{day:02}T00:00:00Z") for day in range(1, 10)]
        scene = Scene(*orders)
        assert await scene.lookup.warm(3) == 3
        assert [await scene.is_hit(f"o{day}") for day in (9, 8, 7, 6)] == [True, True, True, False]

    asyncio.run(play())


def test_a_warmed_order_has_the_bytes_and_the_tag_of_a_queried_one() -> None:
    async def play() -> None:
        warm, cold = Scene(OLD), Scene(OLD)
        await warm.lookup.warm(1)
        warmed, queried = await warm.lookup.find("uid"), await cold.lookup.find("uid")
        assert warmed
        assert queried
        assert warmed[:2] == queried[:2]

    asyncio.run(play())


async def warming(scene: Scene) -> "asyncio.Task[int | None]":
    """Begin a warm-up and hold it between its snapshot and the first order."""
    scene.reader.gate.clear()
    warm_up = asyncio.create_task(scene.lookup.warm(100))
    await steps()
    return warm_up


def test_an_order_notified_during_the_warm_up_is_not_filled_from_its_snapshot() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        warm_up = await warming(scene)
        scene.reader.store(NEW)
        scene.lookup.invalidate(["uid"])
        scene.reader.gate.set()
        assert await warm_up == 0
        assert await scene.locale() == "new"

    asyncio.run(play())


def test_an_order_loaded_during_the_warm_up_is_not_overwritten_from_its_snapshot() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        warm_up = await warming(scene)
        scene.reader.store(NEW)
        scene.lookup.invalidate(["uid"])
        cached, scene.reader.gate = scene.reader.gate, asyncio.Event()
        scene.reader.gate.set()
        assert await scene.locale() == "new"
        cached.set()
        await warm_up
        assert await scene.locale() == "new"
        assert await scene.is_hit()

    asyncio.run(play())


def test_an_order_filled_by_the_warm_up_is_a_miss_once_it_is_notified() -> None:
    async def play() -> None:
        scene = Scene(OLD, order(order_uid="older", date_created="2020-01-01T00:00:00Z"))
        warm_up = await warming(scene)
        cached, scene.reader.gate = scene.reader.gate, asyncio.Event()
        cached.set()
        await steps()
        assert scene.cache.get("uid")  # filled, while the next order is still to come
        scene.reader.store(NEW)
        scene.lookup.invalidate(["uid"])
        scene.reader.gate.set()
        await warm_up
        assert await scene.locale() == "new"

    asyncio.run(play())


def test_a_generation_that_begins_during_the_warm_up_ends_it_unfinished() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        warm_up = await warming(scene)
        scene.reader.store(NEW)
        scene.lookup.invalidate_all()
        scene.reader.gate.set()
        assert await warm_up is None
        assert len(scene.cache) == 0
        assert await scene.lookup.warm(100) == 1
        assert await scene.locale() == "new"

    asyncio.run(play())


def test_the_warm_up_ends_when_the_cache_is_full_and_keeps_the_newest() -> None:
    async def play() -> None:
        orders = [order(order_uid=f"o{day}", date_created=f"2026-01-{day:02}T00:00:00Z") for day in range(1, 10)]
        reader, cache = FakeReader(*orders), Lru(2, 2**30)
        lookup = Lookup(reader, cache, TTLSet(10, 2))
        assert await lookup.warm(9) == 2
        assert cache.get("o9")
        assert cache.get("o8")

    asyncio.run(play())


def test_a_warm_up_that_failed_leaves_nothing_behind() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.reader.is_away = True
        with pytest.raises(StorageUnavailable):
            await scene.lookup.warm(10)
        scene.lookup.invalidate(["uid"])
        scene.reader.is_away = False
        assert await scene.lookup.warm(10) == 1
        assert await scene.is_hit()

    asyncio.run(play())


def test_the_warm_up_from_a_standby_that_has_no_order_yet_fails_too() -> None:
    async def play() -> None:
        scene = Scene()
        scene.lookup.invalidate_all(100)
        scene.reader.replay_lsn = 99
        with pytest.raises(StorageUnavailable):
            await scene.lookup.warm(10)

    asyncio.run(play())


def test_while_nothing_is_heard_a_database_that_answers_is_asked_and_nothing_is_cached() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        await scene.locale()
        await scene.locale("unknown")
        for _ in range(2):
            scene.lookup.suspend_caching(can_read=True)
        scene.reader.store(NEW, order(order_uid="unknown"))
        assert await scene.locale() == "new"
        assert await scene.locale("unknown") == "new"
        assert not await scene.is_hit()
        assert len(scene.cache) == 0
        scene.lookup.invalidate_all()
        await scene.locale()
        assert await scene.is_hit()

    asyncio.run(play())


def test_while_nothing_is_heard_and_the_database_is_away_memory_is_served_and_does_not_grow() -> None:
    async def play() -> None:
        scene = Scene(OLD, order(order_uid="other"))
        await scene.locale()
        scene.lookup.suspend_caching(can_read=False)
        assert await scene.is_hit()
        assert not await scene.is_hit("other")  # it has just come back, and not everything was heard
        assert not await scene.is_hit("other")

    asyncio.run(play())


def test_what_was_held_in_an_outage_is_not_served_in_the_next_one_if_the_database_was_there_in_between() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        await scene.locale()
        for can_read in (False, True, True, False):
            scene.lookup.suspend_caching(can_read=can_read)
        scene.reader.is_away = True
        with pytest.raises(StorageUnavailable):
            await scene.locale()

    asyncio.run(play())


def test_one_last_answer_of_a_server_that_goes_down_costs_nothing_of_what_is_held() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        await scene.locale()
        scene.lookup.suspend_caching(can_read=True)
        assert not await scene.is_hit()
        scene.lookup.suspend_caching(can_read=False)
        assert await scene.is_hit()

    asyncio.run(play())


def test_a_load_that_began_before_nothing_was_heard_is_not_cached_after_it_is_heard_again() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.reader.gate.clear()
        request = await scene.ask()
        scene.lookup.suspend_caching(can_read=True)
        scene.reader.store(NEW)
        scene.lookup.invalidate_all()
        scene.reader.gate.set()
        await request
        assert await scene.locale() == "new"

    asyncio.run(play())


async def is_cached_at(scene: Scene, replay_lsn: int | None, uid: str = "uid") -> bool:
    scene.reader.replay_lsn = replay_lsn
    await scene.locale(uid)
    return await scene.is_hit(uid) if uid in scene.reader.orders else uid in scene.lookup._unknown


@pytest.mark.parametrize("uid", ["uid", "unknown"])
def test_what_a_standby_tells_is_kept_only_as_of_what_was_notified(uid: str) -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.lookup.invalidate_all(100)
        scene.lookup.advance(200)
        scene.lookup.invalidate([uid])
        assert not await is_cached_at(scene, 2**64 - 1, uid)  # nobody knows yet how far it has to be
        scene.lookup.advance(300)
        assert not await is_cached_at(scene, 299, uid)
        assert await is_cached_at(scene, 300, uid)

    asyncio.run(play())


def test_what_was_not_notified_is_kept_from_a_standby_that_is_as_far_as_the_generation() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.lookup.invalidate_all(100)
        scene.lookup.invalidate(["other"])
        scene.lookup.advance(500)
        assert not await is_cached_at(scene, 99)
        assert await is_cached_at(scene, 100)

    asyncio.run(play())


def test_what_a_primary_tells_is_kept_at_once() -> None:
    async def play() -> None:
        scene = Scene(OLD)
        scene.lookup.invalidate_all(100)
        scene.lookup.invalidate(["uid"])
        assert await is_cached_at(scene, None)

    asyncio.run(play())


def test_of_many_notified_ids_the_oldest_give_their_floor_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.usecases.minimum_lsn.MAX_TRACKED_ORDERS", 2)

    async def play() -> None:
        scene = Scene(OLD)
        scene.lookup.invalidate_all(100)
        for position, notified in enumerate(["a", "b", "a", "c"], 101):
            scene.lookup.invalidate([notified])
            scene.lookup.advance(position)
        assert not await is_cached_at(scene, 101)
        assert await is_cached_at(scene, 102)  # of b; a was notified again since
        assert not await is_cached_at(scene, 102, "a")

    asyncio.run(play())


def test_the_warm_up_from_a_standby_fills_in_what_is_new_enough_and_fails_where_nothing_is() -> None:
    async def play() -> None:
        scene = Scene(OLD, order(order_uid="notified"))
        scene.lookup.invalidate_all(100)
        scene.reader.replay_lsn = 99
        with pytest.raises(StorageUnavailable):
            await scene.lookup.warm(10)
        scene.lookup.invalidate(["notified"])
        scene.lookup.advance(200)
        scene.reader.replay_lsn = 100
        assert await scene.lookup.warm(10) == 1
        assert await scene.is_hit()

    asyncio.run(play())
