"""Requests that follow each other closely cause one call."""

import asyncio

import pytest

from service.pkg.coalesced_call import CoalescedCall
from tests.kit.waiting import until, until_idle

pytestmark = pytest.mark.anyio

INTERVAL_SECONDS = 0.5
"""Longer than a pause of a busy machine."""


@pytest.fixture
def calls() -> list[float]:
    """The times of the calls."""
    return []


@pytest.fixture
def coalesced(calls: list[float]) -> CoalescedCall:
    return CoalescedCall(lambda: calls.append(asyncio.get_running_loop().time()), INTERVAL_SECONDS)


async def test_the_first_request_is_served_at_once_and_not_within_the_request(
    coalesced: CoalescedCall, calls: list[float]
) -> None:
    coalesced.request()
    assert calls == []
    await until_idle()
    assert len(calls) == 1


async def test_requests_within_the_interval_share_the_call_at_its_end(
    coalesced: CoalescedCall, calls: list[float]
) -> None:
    coalesced.request()
    await until_idle()
    for _ in range(3):
        coalesced.request()
        await until_idle()
    assert len(calls) == 1
    await until(lambda: len(calls) == 2)
    assert calls[1] - calls[0] >= INTERVAL_SECONDS
    await until_idle()
    assert len(calls) == 2


async def test_a_request_that_is_dropped_runs_no_call_and_blocks_no_later_one(
    coalesced: CoalescedCall, calls: list[float]
) -> None:
    coalesced.request()
    coalesced.cancel()
    await until_idle()
    assert calls == []
    coalesced.request()
    await until_idle()
    assert len(calls) == 1
