"""Interleavings of reads, notifications and invalidations that could leave an old version in the cache."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.errors import StorageUnavailable
from service.usecases.lookup import Lookup
from tests.kit.factories import order
from tests.kit.lookup import NEW, OLD, Scene, locale_of, steps
from tests.kit.waiting import turns

pytestmark = pytest.mark.anyio


async def test_the_second_request_is_a_hit_with_the_same_bytes_and_tag() -> None:
    scene = Scene(OLD)
    first, second = await scene.lookup.find("uid"), await scene.lookup.find("uid")
    assert first
    assert second
    assert (first.is_hit, second.is_hit) == (False, True)
    assert first[:2] == second[:2]
    assert (scene.lookup.hits, scene.lookup.misses) == (1, 1)


async def test_concurrent_misses_of_one_id_are_one_query() -> None:
    scene = Scene(OLD)
    scene.reader.gate.clear()
    requests = [await scene.ask() for _ in range(20)]
    scene.reader.gate.set()
    assert [locale_of(await request) for request in requests] == ["old"] * 20
    assert scene.reader.queries == ["uid"]


async def test_misses_during_two_queries_share_the_next_queries_of_16_uids() -> None:
    scene = Scene()
    scene.reader.gate.clear()
    requests = [await scene.ask(f"{number}") for number in range(2 + 16 + 4)]
    assert scene.reader.batches == [["0"], ["1"]]
    scene.reader.gate.set()
    assert await asyncio.gather(*requests) == [None] * 22
    assert [len(batch) for batch in scene.reader.batches] == [1, 1, 16, 4]


async def test_a_canceled_request_does_not_cancel_the_shared_query() -> None:
    scene = Scene(OLD)
    scene.reader.gate.clear()
    first, second = await scene.ask(), await scene.ask()
    first.cancel()
    await steps()
    scene.reader.gate.set()
    assert locale_of(await second) == "old"
    assert scene.reader.queries == ["uid"]


async def test_a_result_is_not_cached_if_its_id_was_notified_after_the_query_started() -> None:
    scene = Scene(OLD)
    scene.reader.gate.clear()
    request = await scene.ask()
    scene.reader.store(NEW)
    scene.lookup.invalidate(["uid"])
    scene.reader.gate.set()
    assert locale_of(await request) == "old"  # it was requested before the notification
    assert await scene.locale() == "new"


async def test_a_result_is_not_cached_if_its_id_was_notified_before_the_query_was_sent() -> None:
    scene = Scene(OLD)
    request = asyncio.create_task(scene.lookup.find("uid"))
    await turns()  # the query is in flight, but not sent
    assert scene.reader.queries == []
    scene.lookup.invalidate(["uid"])
    assert locale_of(await request) == "old"
    assert not await scene.is_hit()


async def test_a_result_is_cached_if_another_id_was_notified() -> None:
    scene = Scene(OLD)
    scene.reader.gate.clear()
    request = await scene.ask()
    scene.lookup.invalidate(["another"])
    scene.reader.gate.set()
    await request
    assert await scene.is_hit()


async def test_a_result_is_not_cached_if_the_cache_was_invalidated_after_the_query_started() -> None:
    scene = Scene(OLD)
    scene.reader.gate.clear()
    request = await scene.ask()
    scene.reader.store(NEW)
    scene.lookup.invalidate_all()
    scene.reader.gate.set()
    await request
    assert await scene.locale() == "new"


@pytest.mark.parametrize("event", [lambda lookup: lookup.invalidate(["uid"]), Lookup.invalidate_all])
async def test_a_request_after_an_invalidation_never_joins_an_earlier_query(
    event: Callable[[Lookup], None],
) -> None:
    scene = Scene(OLD)
    scene.reader.gate.clear()
    before = await scene.ask()
    scene.reader.store(NEW)
    event(scene.lookup)
    after = await scene.ask()
    scene.reader.gate.set()
    assert (locale_of(await before), locale_of(await after)) == ("old", "new")
    assert scene.reader.queries == ["uid", "uid"]


async def test_an_earlier_query_that_ends_last_does_not_overwrite_the_later_result() -> None:
    scene = Scene(OLD)
    slow, quick = asyncio.Event(), asyncio.Event()
    scene.reader.gate = slow
    before = await scene.ask()
    scene.reader.store(NEW)
    scene.lookup.invalidate(["uid"])
    scene.reader.gate = quick
    after = await scene.ask()
    quick.set()
    assert locale_of(await after) == "new"
    slow.set()
    assert locale_of(await before) == "old"
    assert await scene.locale() == "new"
    assert await scene.is_hit()


async def test_an_earlier_query_that_ends_leaves_the_later_one_in_flight() -> None:
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
    assert scene.reader.queries == ["uid", "uid"]  # the third request joined the second query


async def test_a_cached_order_is_a_miss_after_its_notification() -> None:
    scene = Scene(OLD)
    await scene.locale()
    scene.reader.store(NEW)
    scene.lookup.invalidate(["uid"])
    assert await scene.locale() == "new"


async def test_everything_is_a_miss_after_invalidate_all() -> None:
    scene = Scene(OLD)
    await scene.locale()
    await scene.locale("unknown")
    scene.reader.store(NEW, order(order_uid="unknown"))
    scene.lookup.invalidate_all()
    assert await scene.locale() == "new"
    assert await scene.locale("unknown") == "new"


async def test_an_unknown_uid_is_remembered_for_a_short_time() -> None:
    scene = Scene()
    assert [await scene.locale() for _ in range(3)] == [None] * 3
    assert scene.reader.queries == ["uid"]
    scene.now += 2
    await scene.locale()
    assert scene.reader.queries == ["uid", "uid"]


async def test_an_unknown_uid_is_found_as_soon_as_it_was_notified() -> None:
    scene = Scene()
    assert await scene.locale() is None
    scene.reader.store(NEW)
    scene.lookup.invalidate(["uid"])
    assert await scene.locale() == "new"


@pytest.mark.parametrize("event", [lambda lookup: lookup.invalidate(["uid"]), Lookup.invalidate_all])
async def test_an_unknown_uid_is_not_remembered_if_it_was_stored_meanwhile(event: Callable[[Lookup], None]) -> None:
    scene = Scene()
    scene.reader.gate.clear()
    request = await scene.ask()
    scene.reader.store(NEW)
    event(scene.lookup)
    scene.reader.gate.set()
    assert await request is None
    assert await scene.locale() == "new"


async def test_hits_are_served_and_misses_fail_while_the_database_is_unreachable() -> None:
    scene = Scene(OLD, order(order_uid="other"))
    await scene.locale()
    scene.reader.is_unreachable = True
    assert await scene.locale() == "old"
    with pytest.raises(StorageUnavailable):
        await scene.locale("other")
    scene.reader.is_unreachable = False
    assert await scene.locale("other") == "new"


async def test_an_error_is_raised_in_every_waiting_request_and_is_not_cached() -> None:
    scene = Scene(OLD)
    scene.reader.gate.clear()
    requests = [await scene.ask() for _ in range(3)]
    scene.reader.is_unreachable = True
    scene.reader.gate.set()
    for request in requests:
        with pytest.raises(StorageUnavailable):
            await request
    scene.reader.is_unreachable = False
    assert await scene.locale() == "old"


def test_an_error_without_waiting_requests_is_not_reported_to_the_event_loop() -> None:
    reports: list[dict[str, Any]] = []

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))
        scene = Scene(OLD)
        scene.reader.gate.clear()
        request = await scene.ask()
        request.cancel()
        scene.reader.is_unreachable = True
        scene.reader.gate.set()
        await steps()

    asyncio.run(play())
    assert reports == []


async def test_without_a_verified_listener_the_cache_is_used_for_max_stale_only() -> None:
    scene = Scene(OLD, max_stale=10)
    scene.lookup.mark_verified(scene.now)
    await scene.locale()
    scene.now += 10
    assert await scene.is_hit()
    scene.now += 0.1
    assert not await scene.is_hit()
    scene.reader.is_unreachable = True
    with pytest.raises(StorageUnavailable):
        await scene.locale()
    scene.lookup.mark_verified(scene.now)
    assert await scene.is_hit()


async def test_without_a_listener_a_readable_database_is_queried_and_nothing_is_cached() -> None:
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


async def test_without_a_listener_and_a_database_the_cache_is_served_and_does_not_grow() -> None:
    scene = Scene(OLD, order(order_uid="other"))
    await scene.locale()
    scene.lookup.suspend_caching(can_read=False)
    assert await scene.is_hit()
    assert not await scene.is_hit("other")  # notifications may have been missed
    assert not await scene.is_hit("other")


async def test_orders_cached_before_an_outage_are_not_served_in_the_next_one() -> None:
    scene = Scene(OLD)
    await scene.locale()
    for can_read in (False, True, True, False):
        scene.lookup.suspend_caching(can_read=can_read)
    scene.reader.is_unreachable = True
    with pytest.raises(StorageUnavailable):
        await scene.locale()


async def test_a_single_successful_read_during_a_shutdown_does_not_clear_the_cache() -> None:
    scene = Scene(OLD)
    await scene.locale()
    scene.lookup.suspend_caching(can_read=True)
    assert not await scene.is_hit()
    scene.lookup.suspend_caching(can_read=False)
    assert await scene.is_hit()


async def test_a_result_from_before_a_disconnect_is_not_cached_after_it() -> None:
    scene = Scene(OLD)
    scene.reader.gate.clear()
    request = await scene.ask()
    scene.lookup.suspend_caching(can_read=True)
    scene.reader.store(NEW)
    scene.lookup.invalidate_all()
    scene.reader.gate.set()
    await request
    assert await scene.locale() == "new"


async def is_cached_at(scene: Scene, replay_lsn: int | None, uid: str = "uid") -> bool:
    scene.reader.replay_lsn = replay_lsn
    await scene.locale(uid)
    return await scene.is_hit(uid) if uid in scene.reader.orders else uid in scene.lookup._unknown


@pytest.mark.parametrize("uid", ["uid", "unknown"])
async def test_a_standbys_result_is_cached_only_if_it_replayed_the_notified_commit(uid: str) -> None:
    scene = Scene(OLD)
    scene.lookup.invalidate_all(100)
    scene.lookup.advance(200)
    scene.lookup.invalidate([uid])
    assert not await is_cached_at(scene, 2**64 - 1, uid)  # its minimum LSN is not known yet
    scene.lookup.advance(300)
    assert not await is_cached_at(scene, 299, uid)
    assert await is_cached_at(scene, 300, uid)


async def test_an_order_without_notification_is_cached_from_a_standby_beyond_the_shared_minimum() -> None:
    scene = Scene(OLD)
    scene.lookup.invalidate_all(100)
    scene.lookup.invalidate(["other"])
    scene.lookup.advance(500)
    assert not await is_cached_at(scene, 99)
    assert await is_cached_at(scene, 100)


async def test_a_primarys_result_is_always_cached() -> None:
    scene = Scene(OLD)
    scene.lookup.invalidate_all(100)
    scene.lookup.invalidate(["uid"])
    assert await is_cached_at(scene, None)


def test_beyond_the_limit_the_oldest_minimum_becomes_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
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
