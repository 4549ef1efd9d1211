"""Which orders are expired, and how fast and how long `orders prune` deletes them."""

from datetime import UTC, datetime, timedelta

import pytest

from service.errors import Stopped
from service.pkg.shutdown_event import ShutdownEvent
from service.usecases.retention import KEEP_FOREVER, RetentionPolicy, prune
from tests.kit.fakes import FakeClock

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


class FakeOrders:
    """Deletes `counts` orders, in `seconds` of the clock each, then none."""

    def __init__(self, counts: list[int], clock: FakeClock, seconds: float = 0.0) -> None:
        self.counts = counts
        self._clock = clock
        self._seconds = seconds

    def count(self) -> int:
        return sum(self.counts)

    def delete_oldest(self) -> int:
        self._clock.advance(self._seconds)
        return self.counts.pop(0) if self.counts else 0


class RecordedStop(ShutdownEvent):
    """Records the waits instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return self.is_set()


def test_an_order_expires_when_it_is_older_than_the_maximum_age() -> None:
    assert RetentionPolicy.of_seconds(86_400).cutoff(NOW) == NOW - timedelta(days=1)


@pytest.mark.parametrize("policy", [KEEP_FOREVER, RetentionPolicy.of_seconds(None)])
def test_without_a_maximum_age_no_order_expires(policy: RetentionPolicy) -> None:
    assert policy.cutoff(NOW) <= datetime(1, 1, 1, tzinfo=UTC)


def test_transactions_follow_each_other_until_no_expired_order_is_left() -> None:
    stop, clock = RecordedStop(), FakeClock()
    assert [*prune(FakeOrders([500, 500, 7], clock), 0, stop, clock)] == [500, 500, 7]
    assert stop.waits == [0, 0, 0, 0]


def test_the_rate_includes_the_time_of_the_transactions() -> None:
    stop, clock = RecordedStop(), FakeClock()
    assert [*prune(FakeOrders([500, 100], clock, seconds=0.25), 1_000, stop, clock)] == [500, 100]
    assert stop.waits == pytest.approx([0, 0.25, -0.15])


def test_a_stop_ends_it_between_two_transactions() -> None:
    stop, clock = ShutdownEvent(), FakeClock()
    orders = FakeOrders([500, 500, 500], clock)
    deleted = prune(orders, 0.001, stop, clock)
    assert next(deleted) == 500
    stop.set()
    with pytest.raises(Stopped):
        next(deleted)
    assert orders.count() == 1_000


def test_nothing_is_deleted_after_a_stop() -> None:
    stop, clock = ShutdownEvent(), FakeClock()
    stop.set()
    orders = FakeOrders([500], clock)
    with pytest.raises(Stopped):
        next(prune(orders, 0, stop, clock))
    assert orders.count() == 500
