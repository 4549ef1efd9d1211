"""Summaries for events wait for PostgreSQL, and for a standby that lags behind the notifications."""

import asyncio

import pytest

from service.usecases import current_summaries
from service.usecases.current_summaries import CurrentSummaries
from tests.kit.factories import order
from tests.kit.fake_reader import FakeReader
from tests.kit.waiting import until

pytestmark = pytest.mark.anyio


class Setup:
    """A standby at `reader.replay_lsn`; its orders were notified before LSN 5."""

    def __init__(self) -> None:
        self.reader = FakeReader(order(order_uid="a"))
        self.checks = 0
        self.checked: set[str] = set()

    def has_replayed(self, uid: str, replay_lsn: int | None) -> bool:
        self.checks += 1
        self.checked.add(uid)
        return replay_lsn is None or replay_lsn >= 5

    def read(self) -> "asyncio.Task[list[str]]":
        async def read() -> list[str]:
            return [*await CurrentSummaries(self.reader, self.has_replayed).read(["a", "missing"])]

        return asyncio.create_task(read())


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setattr(current_summaries, "SUMMARIES_RETRY_INTERVAL_SECONDS", 0.0)
    return Setup()


async def test_orders_that_are_not_stored_have_no_summary(setup: Setup) -> None:
    assert await setup.read() == ["a"]
    assert setup.checked == {"a", "missing"}


async def test_reads_are_retried_while_the_database_is_unreachable(setup: Setup) -> None:
    setup.reader.is_unreachable = True
    reading = setup.read()
    await asyncio.wait({reading}, timeout=0.1)
    assert not reading.done()
    setup.reader.is_unreachable = False
    assert await asyncio.wait_for(reading, 5) == ["a"]


async def test_a_summary_older_than_the_notifications_is_not_returned(setup: Setup) -> None:
    setup.reader.replay_lsn = 4
    reading = setup.read()
    await until(lambda: setup.checks > 3)
    assert not reading.done()
    setup.reader.replay_lsn = 5
    assert await asyncio.wait_for(reading, 5) == ["a"]


async def test_a_standby_that_never_catches_up_delays_events_for_a_limited_time(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_summaries, "MAX_STANDBY_LAG_SECONDS", 0.1)
    setup.reader.replay_lsn = 4
    assert await asyncio.wait_for(setup.read(), 5) == ["a"]
    assert setup.checks > 1
