"""Interleavings of reads, notifications and invalidations that could leave an old version in the cache."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from service.errors import StorageUnavailable
from service.usecases.cached_orders import CachedOrders
from tests.kit.factories import order
from tests.kit.lookup import INVALIDATIONS, NEW, OLD, LookupSetup, locale_of
from tests.kit.waiting import one_iteration, until_idle

pytestmark = pytest.mark.anyio


async def test_the_second_request_is_a_hit_with_the_same_bytes_and_tag() -> None:
    setup = LookupSetup(OLD)
    first, second = await setup.lookup.find("uid"), await setup.lookup.find("uid")
    assert first
    assert second
    assert (first.is_hit, second.is_hit) == (False, True)
    assert first[:2] == second[:2]
    assert await setup.is_hit()
    assert (setup.cached.hits, setup.cached.misses) == (2, 1)


async def test_each_version_has_its_own_tag() -> None:
    tags = []
    for version in (OLD, NEW, OLD):
        found = await LookupSetup(version).lookup.find("uid")
        assert found
        tags.append(found.tag)
    assert tags[0] == tags[2] != tags[1]


async def test_concurrent_misses_of_one_id_are_one_query() -> None:
    setup = LookupSetup(OLD)
    setup.reader.gate.clear()
    requests = [await setup.ask() for _ in range(20)]
    setup.reader.gate.set()
    assert [locale_of(await request) for request in requests] == ["old"] * 20
    assert setup.reader.queries == ["uid"]


async def test_misses_during_two_queries_share_the_next_queries_of_16_uids() -> None:
    setup = LookupSetup()
    setup.reader.gate.clear()
    requests = [await setup.ask(f"{number}") for number in range(2 + 16 + 4)]
    assert setup.reader.batches == [["0"], ["1"]]
    setup.reader.gate.set()
    assert await asyncio.gather(*requests) == [None] * 22
    assert [len(batch) for batch in setup.reader.batches] == [1, 1, 16, 4]


async def test_a_canceled_request_does_not_cancel_the_shared_query() -> None:
    setup = LookupSetup(OLD)
    setup.reader.gate.clear()
    first, second = await setup.ask(), await setup.ask()
    first.cancel()
    await until_idle()
    setup.reader.gate.set()
    assert locale_of(await second) == "old"
    assert setup.reader.queries == ["uid"]


async def test_a_result_is_not_cached_if_its_id_was_notified_after_the_query_started() -> None:
    setup = LookupSetup(OLD)
    setup.reader.gate.clear()
    request = await setup.ask()
    setup.reader.store(NEW)
    setup.cached.invalidate(["uid"])
    setup.reader.gate.set()
    assert locale_of(await request) == "old"  # it was requested before the notification
    assert await setup.locale() == "new"


async def test_a_result_is_not_cached_if_its_id_was_notified_before_the_query_was_sent() -> None:
    setup = LookupSetup(OLD)
    request = asyncio.create_task(setup.lookup.find("uid"))
    await one_iteration()  # the query is in flight, but not sent
    assert setup.reader.queries == []
    setup.cached.invalidate(["uid"])
    assert locale_of(await request) == "old"
    assert not await setup.is_hit()


async def test_a_result_is_cached_if_another_id_was_notified() -> None:
    setup = LookupSetup(OLD)
    setup.reader.gate.clear()
    request = await setup.ask()
    setup.cached.invalidate(["another"])
    setup.reader.gate.set()
    await request
    assert await setup.is_hit()


async def test_a_result_is_not_cached_if_the_cache_was_invalidated_after_the_query_started() -> None:
    setup = LookupSetup(OLD)
    setup.reader.gate.clear()
    request = await setup.ask()
    setup.reader.store(NEW)
    setup.cached.invalidate_all(0)
    setup.reader.gate.set()
    await request
    assert await setup.locale() == "new"


@pytest.mark.parametrize("event", INVALIDATIONS)
async def test_a_request_after_an_invalidation_never_joins_an_earlier_query(
    event: Callable[[CachedOrders], None],
) -> None:
    setup = LookupSetup(OLD)
    setup.reader.gate.clear()
    before = await setup.ask()
    setup.reader.store(NEW)
    event(setup.cached)
    after = await setup.ask()
    setup.reader.gate.set()
    assert (locale_of(await before), locale_of(await after)) == ("old", "new")
    assert setup.reader.queries == ["uid", "uid"]


async def test_an_earlier_query_that_ends_last_does_not_overwrite_the_later_result() -> None:
    setup = LookupSetup(OLD)
    slow, quick = asyncio.Event(), asyncio.Event()
    setup.reader.gate = slow
    before = await setup.ask()
    setup.reader.store(NEW)
    setup.cached.invalidate(["uid"])
    setup.reader.gate = quick
    after = await setup.ask()
    quick.set()
    assert locale_of(await after) == "new"
    slow.set()
    assert locale_of(await before) == "old"
    assert await setup.locale() == "new"
    assert await setup.is_hit()


async def test_an_earlier_query_that_ends_leaves_the_later_one_in_flight() -> None:
    setup = LookupSetup(OLD)
    quick, slow = asyncio.Event(), asyncio.Event()
    setup.reader.gate = quick
    before = await setup.ask()
    setup.cached.invalidate(["uid"])
    setup.reader.gate = slow
    await setup.ask()
    quick.set()
    await before
    await setup.ask()
    assert setup.reader.queries == ["uid", "uid"]  # the third request joined the second query


async def test_a_cached_order_is_a_miss_after_its_notification() -> None:
    setup = LookupSetup(OLD)
    await setup.locale()
    setup.reader.store(NEW)
    setup.cached.invalidate(["uid"])
    assert await setup.locale() == "new"


async def test_everything_is_a_miss_after_invalidate_all() -> None:
    setup = LookupSetup(OLD)
    await setup.locale()
    await setup.locale("unknown")
    setup.reader.store(NEW, order(order_uid="unknown"))
    setup.cached.invalidate_all(0)
    assert await setup.locale() == "new"
    assert await setup.locale("unknown") == "new"


async def test_an_unknown_uid_is_remembered_for_a_short_time() -> None:
    setup = LookupSetup()
    assert [await setup.locale() for _ in range(3)] == [None] * 3
    assert setup.reader.queries == ["uid"]
    setup.now += 2
    await setup.locale()
    assert setup.reader.queries == ["uid", "uid"]


async def test_an_unknown_uid_is_found_as_soon_as_it_was_notified() -> None:
    setup = LookupSetup()
    assert await setup.locale() is None
    setup.reader.store(NEW)
    setup.cached.invalidate(["uid"])
    assert await setup.locale() == "new"


@pytest.mark.parametrize("event", INVALIDATIONS)
async def test_an_unknown_uid_is_not_remembered_if_it_was_stored_meanwhile(
    event: Callable[[CachedOrders], None],
) -> None:
    setup = LookupSetup()
    setup.reader.gate.clear()
    request = await setup.ask()
    setup.reader.store(NEW)
    event(setup.cached)
    setup.reader.gate.set()
    assert await request is None
    assert await setup.locale() == "new"


async def test_hits_are_served_and_misses_fail_while_the_database_is_unreachable() -> None:
    setup = LookupSetup(OLD, order(order_uid="other"))
    await setup.locale()
    setup.reader.is_unreachable = True
    assert await setup.locale() == "old"
    with pytest.raises(StorageUnavailable):
        await setup.locale("other")
    setup.reader.is_unreachable = False
    assert await setup.locale("other") == "new"


async def test_an_error_is_raised_in_every_waiting_request_and_is_not_cached() -> None:
    setup = LookupSetup(OLD)
    setup.reader.gate.clear()
    requests = [await setup.ask() for _ in range(3)]
    setup.reader.is_unreachable = True
    setup.reader.gate.set()
    for request in requests:
        with pytest.raises(StorageUnavailable):
            await request
    setup.reader.is_unreachable = False
    assert await setup.locale() == "old"


def test_an_error_without_waiting_requests_is_not_reported_to_the_event_loop() -> None:
    reports: list[dict[str, Any]] = []

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))
        setup = LookupSetup(OLD)
        setup.reader.gate.clear()
        request = await setup.ask()
        request.cancel()
        setup.reader.is_unreachable = True
        setup.reader.gate.set()
        await until_idle()

    asyncio.run(play())
    assert reports == []


async def test_without_a_verified_listener_the_cache_is_used_for_max_stale_only() -> None:
    setup = LookupSetup(OLD, max_stale=10)
    await setup.locale()
    setup.now += 10
    assert await setup.is_hit()
    setup.now += 0.1
    assert not await setup.is_hit()
    setup.reader.is_unreachable = True
    with pytest.raises(StorageUnavailable):
        await setup.locale()
    setup.cached.staleness.mark_verified(setup.now)
    assert await setup.is_hit()


async def test_without_a_listener_a_readable_database_is_queried_and_nothing_is_cached() -> None:
    setup = LookupSetup(OLD)
    await setup.locale()
    await setup.locale("unknown")
    for _ in range(2):
        setup.cached.suspend(can_read=True)
    setup.reader.store(NEW, order(order_uid="unknown"))
    assert await setup.locale() == "new"
    assert await setup.locale("unknown") == "new"
    assert not await setup.is_hit()
    assert len(setup.cache) == 0
    setup.cached.invalidate_all(0)
    await setup.locale()
    assert await setup.is_hit()


async def test_without_a_listener_and_a_database_the_cache_is_served_and_does_not_grow() -> None:
    setup = LookupSetup(OLD, order(order_uid="other"))
    await setup.locale()
    setup.cached.suspend(can_read=False)
    assert await setup.is_hit()
    assert not await setup.is_hit("other")  # notifications may have been missed
    assert not await setup.is_hit("other")


async def test_orders_cached_before_an_outage_are_not_served_in_the_next_one() -> None:
    setup = LookupSetup(OLD)
    await setup.locale()
    for can_read in (False, True, True, False):
        setup.cached.suspend(can_read=can_read)
    setup.reader.is_unreachable = True
    with pytest.raises(StorageUnavailable):
        await setup.locale()


async def test_a_single_successful_read_during_a_shutdown_does_not_clear_the_cache() -> None:
    setup = LookupSetup(OLD)
    await setup.locale()
    setup.cached.suspend(can_read=True)
    assert not await setup.is_hit()
    setup.cached.suspend(can_read=False)
    assert await setup.is_hit()


async def test_a_cached_order_is_served_if_the_query_that_bypasses_the_cache_fails() -> None:
    setup = LookupSetup(OLD, max_stale=10)
    setup.cached.staleness.mark_verified(setup.now)
    await setup.locale()
    setup.cached.suspend(can_read=True)  # by the last answer of a server that is shutting down
    setup.reader.is_unreachable = True
    assert [await setup.is_hit() for _ in range(2)] == [True, True]
    assert (setup.cached.hits, setup.cached.misses) == (2, 1)
    with pytest.raises(StorageUnavailable):
        await setup.locale("other")
    assert (setup.cached.hits, setup.cached.misses) == (2, 2)
    setup.now += 10.1
    with pytest.raises(StorageUnavailable):
        await setup.locale()


async def test_a_cached_order_is_served_if_the_outage_is_noticed_while_the_query_waits() -> None:
    setup = LookupSetup(OLD)
    await setup.locale()
    setup.cached.suspend(can_read=True)
    setup.reader.gate.clear()
    request = await setup.ask()
    setup.cached.suspend(can_read=False)
    setup.reader.is_unreachable = True
    setup.reader.gate.set()
    assert locale_of(await request) == "old"


async def test_a_result_from_before_a_disconnect_is_not_cached_after_it() -> None:
    setup = LookupSetup(OLD)
    setup.reader.gate.clear()
    request = await setup.ask()
    setup.cached.suspend(can_read=True)
    setup.reader.store(NEW)
    setup.cached.invalidate_all(0)
    setup.reader.gate.set()
    await request
    assert await setup.locale() == "new"


async def is_cached_at(setup: LookupSetup, replay_lsn: int | None, uid: str = "uid") -> bool:
    setup.reader.replay_lsn = replay_lsn
    await setup.locale(uid)
    return await setup.is_hit(uid) if uid in setup.reader.orders else setup.cached.is_absent(uid)


@pytest.mark.parametrize("uid", ["uid", "unknown"])
async def test_a_standbys_result_is_cached_only_if_it_replayed_the_notified_commit(uid: str) -> None:
    setup = LookupSetup(OLD)
    setup.cached.invalidate_all(100)
    setup.cached.minimum_lsn.advance(200)
    setup.cached.invalidate([uid])
    assert not await is_cached_at(setup, 2**64 - 1, uid)  # its minimum LSN is not known yet
    setup.cached.minimum_lsn.advance(300)
    assert not await is_cached_at(setup, 299, uid)
    assert await is_cached_at(setup, 300, uid)


async def test_an_order_without_notification_is_cached_from_a_standby_beyond_the_shared_minimum() -> None:
    setup = LookupSetup(OLD)
    setup.cached.invalidate_all(100)
    setup.cached.invalidate(["other"])
    setup.cached.minimum_lsn.advance(500)
    assert not await is_cached_at(setup, 99)
    assert await is_cached_at(setup, 100)


async def test_a_primarys_result_is_always_cached() -> None:
    setup = LookupSetup(OLD)
    setup.cached.invalidate_all(100)
    setup.cached.invalidate(["uid"])
    assert await is_cached_at(setup, None)


def test_beyond_the_limit_the_oldest_minimum_becomes_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.usecases.minimum_lsn.MAX_TRACKED_ORDERS", 2)

    async def play() -> None:
        setup = LookupSetup(OLD)
        setup.cached.invalidate_all(100)
        for position, notified in enumerate(["a", "b", "a", "c"], 101):
            setup.cached.invalidate([notified])
            setup.cached.minimum_lsn.advance(position)
        assert not await is_cached_at(setup, 101)
        assert await is_cached_at(setup, 102)  # of b; a was notified again since
        assert not await is_cached_at(setup, 102, "a")

    asyncio.run(play())
