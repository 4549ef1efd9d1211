"""Lookups of many orders: one query for the misses, and what they leave in the cache."""

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from service.errors import OrdersTooLarge, StorageUnavailable
from service.usecases import bulk_lookup
from service.usecases.bulk_lookup import MAX_CONCURRENT_QUERIES
from service.usecases.cached_orders import CachedOrders
from tests.kit.factories import order
from tests.kit.lookup import INVALIDATIONS, NEW, OLD, LookupSetup
from tests.kit.waiting import until_idle

pytestmark = pytest.mark.anyio

OTHER = replace(OLD, order_uid="other")
UNLIMITED = 2**30


def setup_with(*uids: str) -> LookupSetup:
    return LookupSetup(*(order(order_uid=uid) for uid in uids))


async def uids_of(setup: LookupSetup, *uids: str, max_bytes: int = UNLIMITED) -> list[str]:
    return [*await setup.bulk_lookup.find(uids, max_bytes)]


async def asking(setup: LookupSetup, *uids: str) -> "asyncio.Task[list[str]]":
    """Start a lookup, and let it send its query."""
    request = asyncio.create_task(uids_of(setup, *uids))
    await until_idle()
    return request


async def test_misses_are_one_query_and_the_order_of_the_request_is_kept() -> None:
    uids = [f"o{number}" for number in range(100)]
    setup = setup_with(*uids)
    await setup.is_hit("o50")
    setup.reader.batches.clear()
    assert await uids_of(setup, *reversed(uids), "unknown") == uids[::-1]
    assert [len(batch) for batch in setup.reader.batches] == [100]
    assert (setup.cached.hits, setup.cached.misses) == (1, 1 + 100)


async def test_a_document_has_the_bytes_of_a_single_read() -> None:
    setup = setup_with("a")
    queried, cached = [(await setup.bulk_lookup.find(["a"], UNLIMITED))["a"] for _ in range(2)]
    single = await setup.lookup.find("a")
    assert single
    assert bytes(queried) == bytes(cached) == bytes(single.body)


async def test_orders_and_absences_are_cached() -> None:
    setup = setup_with("a", "b")
    assert await uids_of(setup, "a", "unknown", "b") == ["a", "b"]
    assert await uids_of(setup, "b", "unknown", "a") == ["b", "a"]
    assert await setup.is_hit("a")
    assert await setup.locale("unknown") is None
    assert len(setup.reader.batches) == 1


@pytest.mark.parametrize("event", INVALIDATIONS)
async def test_an_order_that_was_changed_during_the_query_is_not_cached(event: Callable[[CachedOrders], None]) -> None:
    setup = LookupSetup(OLD)
    setup.reader.gate.clear()
    request = await asking(setup, "uid")
    setup.reader.store(NEW)
    event(setup.cached)
    setup.reader.gate.set()
    assert await request == ["uid"]
    assert await setup.locale() == "new"


async def test_an_order_that_was_changed_after_the_end_of_an_equal_query_is_not_cached() -> None:
    setup = LookupSetup(OLD)
    quick, slow = asyncio.Event(), asyncio.Event()
    setup.reader.gate = quick
    first = await asking(setup, "uid")
    setup.reader.gate = slow
    second = await asking(setup, "uid")
    quick.set()
    await first
    setup.reader.store(NEW)
    setup.cached.invalidate(["uid"])
    slow.set()
    await second
    assert await setup.locale() == "new"


async def test_an_order_is_cached_if_another_one_of_the_query_was_changed() -> None:
    setup = LookupSetup(OLD, OTHER)
    setup.reader.gate.clear()
    request = await asking(setup, "uid", "other")
    setup.cached.invalidate(["uid"])
    setup.reader.gate.set()
    await request
    assert (await setup.is_hit("uid"), await setup.is_hit("other")) == (False, True)


async def test_nothing_is_cached_while_notifications_do_not_arrive() -> None:
    setup = setup_with("a")
    setup.cached.suspend(can_read=True)
    assert await uids_of(setup, "a") == ["a"]
    assert len(setup.cache) == 0


async def test_documents_up_to_the_limit_are_returned() -> None:
    setup = setup_with("a", "b", "c")
    size = sum(len(document) for document in (await setup.bulk_lookup.find(["a", "b"], UNLIMITED)).values())
    assert await uids_of(setup, "a", "b", max_bytes=size) == ["a", "b"]
    with pytest.raises(OrdersTooLarge):
        await uids_of(setup, "a", "b", max_bytes=size - 1)  # cached
    setup.reader.batches.clear()
    with pytest.raises(OrdersTooLarge):
        await uids_of(setup, "a", "b", "c", max_bytes=size)  # c is not cached
    with pytest.raises(OrdersTooLarge):
        await uids_of(setup, "c", max_bytes=1)
    assert setup.reader.batches == [["c"], ["c"]]


async def test_while_the_database_is_unreachable_only_cached_orders_are_returned() -> None:
    setup = setup_with("a", "b", "c")
    await uids_of(setup, "a", "b")
    setup.reader.is_unreachable = True
    assert await uids_of(setup, "a", "b") == ["a", "b"]
    with pytest.raises(StorageUnavailable):
        await uids_of(setup, "a", "c")


async def test_cached_orders_are_returned_if_the_query_that_bypasses_the_cache_fails() -> None:
    setup = LookupSetup(OLD, OTHER, max_stale=10)
    setup.cached.staleness.mark_verified(setup.now)
    await uids_of(setup, "uid")
    setup.cached.suspend(can_read=True)
    setup.reader.is_unreachable = True
    assert await uids_of(setup, "uid") == ["uid"]
    assert (setup.cached.hits, setup.cached.misses) == (1, 1)
    with pytest.raises(StorageUnavailable):
        await uids_of(setup, "uid", "other")
    assert (setup.cached.hits, setup.cached.misses) == (1, 3)
    setup.now += 10.1
    with pytest.raises(StorageUnavailable):
        await uids_of(setup, "uid")


async def test_few_queries_run_at_once_and_single_reads_do_not_wait_for_them() -> None:
    setup = setup_with("a", "b", "c", "d")
    blocked, setup.reader.gate = setup.reader.gate, asyncio.Event()
    requests = [await asking(setup, uid) for uid in ("a", "b", "c")]
    assert setup.reader.batches == [["a"], ["b"]]
    waiting, setup.reader.gate = setup.reader.gate, blocked
    assert await setup.locale("d")
    waiting.set()
    assert await asyncio.gather(*requests) == [["a"], ["b"], ["c"]]


async def test_a_lookup_that_waits_too_long_for_others_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = setup_with("a", "b", "c")
    setup.reader.gate.clear()
    requests = [await asking(setup, f"{number}") for number in range(MAX_CONCURRENT_QUERIES)]
    monkeypatch.setattr(bulk_lookup, "QUEUE_TIMEOUT_SECONDS", 0.01)
    with pytest.raises(StorageUnavailable, match=r"^timed out waiting for other lookups of many orders"):
        await uids_of(setup, "a")
    setup.reader.gate.set()
    await asyncio.gather(*requests)
    assert await uids_of(setup, "a") == ["a"]


async def test_a_query_that_fails_leaves_room_for_the_next_one() -> None:
    setup = setup_with("a")
    setup.reader.is_unreachable = True
    for _ in range(MAX_CONCURRENT_QUERIES + 1):
        with pytest.raises(StorageUnavailable, match="unreachable"):
            await uids_of(setup, "a")
    setup.reader.is_unreachable = False
    assert await uids_of(setup, "a") == ["a"]
